//! The right answers: the pull half of the distribution specification, tokens, logins, and the storage host.

use super::fault::{Framing, Object};
use super::wire::{Ending, Reply, Request};
use super::{Auth, Log, PASSWORD, Place, REPOSITORY, Shared, TAGS, USER, basic};
use bytes::Bytes;
use serde_json::json;

/// Who the tokens are for.
const SERVICE: &str = "registry.test";

impl Shared {
    /// Answers a request, and says which object it is about. One without the rights that it takes is about none.
    pub(super) fn right(&self, log: &mut Log, place: Place, request: &Request) -> (Option<Object>, Reply) {
        if place == Place::Storage {
            let digest = request.path().strip_prefix("/store/").unwrap_or_default();
            let Some((_, bytes)) = log.options.stock.blob(digest) else { return (None, Reply::new(404)) };
            return (Some(Object::Stored), ranged(request, bytes));
        }
        if request.path() == "/token" {
            return (Some(Object::Token), self.issue(log, request));
        }
        if !self.admits(log, request) {
            return (None, self.challenge(log));
        }
        let Some(rest) = request.path().strip_prefix(&format!("/v2/{REPOSITORY}/")) else {
            return (None, Reply::new(if request.path() == "/v2/" { 200 } else { 404 }));
        };
        if rest == "tags/list" {
            return (Some(Object::Tags), tags(request, log.options.page_tags));
        }
        let stock = &log.options.stock;
        if let Some(reference) = rest.strip_prefix("manifests/") {
            let Some(document) = stock.document(reference) else { return (None, unknown("MANIFEST_UNKNOWN")) };
            let on = if request.method == "HEAD" { Object::Head } else { document.on };
            let reply = Reply::new(200)
                .header("content-type", &document.media_type)
                .header("docker-content-digest", &document.digest)
                .body(document.bytes.clone());
            return (Some(on), reply);
        }
        let digest = rest.strip_prefix("blobs/").unwrap_or_default();
        match stock.blob(digest) {
            None => (None, unknown("BLOB_UNKNOWN")),
            Some((on, _)) if log.options.storage => {
                let location = format!("http://{}/store/{digest}?signature=f00d", self.storage);
                (Some(*on), Reply::new(307).header("location", location))
            }
            Some((on, bytes)) => (Some(*on), ranged(request, bytes)),
        }
    }

    /// A refusal that says how to do better.
    pub(super) fn challenge(&self, log: &Log) -> Reply {
        let usual = match log.options.auth {
            Auth::Basic => "Basic realm=\"harbour\"".to_owned(),
            _ => format!(
                "Bearer realm=\"http://{{registry}}/token\",service=\"{SERVICE}\",scope=\"repository:{REPOSITORY}:pull\""
            ),
        };
        let challenges = match &log.options.challenges[..] {
            [] => &[usual][..],
            special => special,
        };
        let reply = Reply::new(401).header("content-type", "application/json");
        let reply = challenges
            .iter()
            .fold(reply, |reply, challenge| reply.header("www-authenticate", self.fill(log, challenge)));
        reply.body(json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] }).to_string())
    }

    fn admits(&self, log: &Log, request: &Request) -> bool {
        let shown = request.header("authorization").unwrap_or_default();
        match log.options.auth {
            Auth::Open => true,
            Auth::Basic => shown == basic(USER, PASSWORD),
            Auth::Token | Auth::TokenForLogin => {
                shown.strip_prefix("Bearer ").is_some_and(|token| log.tokens.contains(token))
            }
        }
    }

    fn issue(&self, log: &mut Log, request: &Request) -> Reply {
        let known = match request.header("authorization") {
            None => log.options.auth != Auth::TokenForLogin,
            Some(shown) => shown == basic(USER, PASSWORD),
        };
        if !known {
            return Reply::new(401).header("content-type", "application/json").body("{}");
        }
        log.issued += 1;
        let token = self.token(log.issued);
        log.tokens.insert(token.clone());
        let answer = json!({ "access_token": token, "expires_in": 300, "token": token });
        Reply::new(200).header("content-type", "application/json").body(answer.to_string())
    }
}

/// Answers with a blob, or with what is asked for of it.
fn ranged(request: &Request, bytes: &Bytes) -> Reply {
    let whole = bytes.len();
    match request.first_byte() {
        None => Reply::new(200).header("content-type", "application/octet-stream").body(bytes.clone()),
        Some(first) if first >= whole => Reply::new(416).header("content-range", format!("bytes */{whole}")),
        Some(first) => Reply::new(206)
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("bytes {first}-{}/{whole}", whole - 1))
            .body(bytes.slice(first..)),
    }
}

fn tags(request: &Request, page: usize) -> Reply {
    let query = |name: &str| request.query().split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let last = query("last").and_then(|last| TAGS.iter().position(|tag| *tag == last));
    let start = last.map_or(0, |last| last + 1);
    let end = (start + page).min(TAGS.len());
    let body = json!({ "name": REPOSITORY, "tags": TAGS[start..end] }).to_string();
    let reply = Reply::new(200).header("content-type", "application/json").body(body);
    if end == TAGS.len() {
        return reply;
    }
    let next = format!("</v2/{REPOSITORY}/tags/list?n={page}&last={}>; rel=\"next\"", TAGS[end - 1]);
    reply.header("link", next)
}

fn unknown(code: &str) -> Reply {
    let reply = Reply::new(404).header("content-type", "application/json");
    Reply {
        framing: Framing::Length,
        ending: Ending::Whole,
        ..reply.body(json!({ "errors": [{ "code": code, "message": "it is not here" }] }).to_string())
    }
}
