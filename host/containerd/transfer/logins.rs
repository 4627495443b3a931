//! Logins of a client, asked for when a registry wants one: to the credentials of this host the client is a program
//! that keeps logins, and nobody else sees what it says. The challenge is not passed on: this host asks token servers.

use super::super::streaming::{Line, unpacked};
use crate::credentials::{self, Document, helper};
use futures::future::{BoxFuture, FutureExt};
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;
use wharf_containerd_api::types::transfer::{AuthRequest, AuthResponse, AuthType};
use zeroize::Zeroizing;

/// A document that says that somebody else has all logins.
const DOCUMENT: &[u8] = br#"{"credsStore": "client"}"#;
/// docker's `credentials`, which its programs say of a registry without a login.
const NOT_FOUND: &[u8] = b"credentials not found in native keychain";
/// The user name that stands for none: the secret is an identity token.
const IDENTITY: &str = "<token>";
/// Under which name docker's programs know Docker Hub, and where clients of containerd know it.
const HUB: (&str, &str) = ("https://index.docker.io/v1/", "registry-1.docker.io");

/// Credentials that ask the client at the other end of a stream.
pub(super) fn settings(line: Line, reference: String) -> credentials::Settings {
    let documents = vec![Document { label: "the client".to_owned(), bytes: DOCUMENT.to_vec() }];
    let client = Client { line: Arc::new(Mutex::new(line)), reference };
    credentials::Settings { documents, helpers: Some(Arc::new(client)), ..Default::default() }
}

/// Who asks.
#[derive(Debug)]
struct Client {
    /// One question at a time.
    line: Arc<Mutex<Line>>,
    reference: String,
}

impl helper::Helpers for Client {
    fn run(
        &self,
        _: &str,
        action: helper::Action,
        input: Zeroizing<Vec<u8>>,
    ) -> BoxFuture<'static, io::Result<helper::Said>> {
        let (line, reference) = (self.line.clone(), self.reference.clone());
        async move {
            if action != helper::Action::Get {
                return Err(io::Error::other("a client is only asked for logins"));
            }
            let server = String::from_utf8_lossy(&input).trim().to_owned();
            let host = if server == HUB.0 { HUB.1.to_owned() } else { server.clone() };
            let mut line = line.lock().await;
            let refused = |status: tonic::Status| io::Error::other(status.message().to_owned());
            line.send(&AuthRequest { host, reference, wwwauthenticate: Vec::new() }).await.map_err(refused)?;
            let answer = line.next().await.map_err(refused)?;
            let answer = answer.ok_or_else(|| io::Error::other("the client has ended the stream of logins"))?;
            said(unpacked(&answer).map_err(refused)?, &server)
        }
        .boxed()
    }
}

/// What the client says, as a program would have said it.
fn said(answer: AuthResponse, server: &str) -> io::Result<helper::Said> {
    let kind = AuthType::try_from(answer.auth_type)
        .map_err(|_| io::Error::other(format!("the client's login is of no kind that is known: {}", answer.auth_type)));
    let (user, secret) = (Zeroizing::new(answer.username), Zeroizing::new(answer.secret));
    let user = match kind? {
        AuthType::None => {
            let stdout = Zeroizing::new(NOT_FOUND.to_vec());
            return Ok(helper::Said { code: Some(1), stdout, stderr: Zeroizing::default() });
        }
        AuthType::Credentials => user.as_str(),
        AuthType::Refresh => IDENTITY,
        AuthType::Header => return Err(io::Error::other("the client's login is a header, which wharf does not send")),
    };
    let text = json!({"ServerURL": server, "Username": user, "Secret": &*secret}).to_string();
    let stdout = Zeroizing::new(text.into_bytes());
    Ok(helper::Said { code: Some(0), stdout, stderr: Zeroizing::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_becomes_what_a_program_would_say() {
        let answer = |kind: AuthType| AuthResponse {
            auth_type: kind.into(),
            username: "ann".to_owned(),
            secret: "hush".to_owned(),
            expire_at: None,
        };
        let none = said(answer(AuthType::None), "registry.lan").unwrap();
        assert_eq!((none.code, none.stdout.as_slice()), (Some(1), NOT_FOUND));
        for (kind, user) in [(AuthType::Credentials, "ann"), (AuthType::Refresh, IDENTITY)] {
            let said = said(answer(kind), "registry.lan").unwrap();
            let told: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!((said.code, &told["Username"], &told["Secret"]), (Some(0), &json!(user), &json!("hush")));
        }
        assert!(!said(answer(AuthType::Header), "registry.lan").unwrap_err().to_string().contains("hush"));
    }
}
