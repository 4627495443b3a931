//! A login as docker's clients send it with a request: the header `X-Registry-Auth`,
//! and the body of `POST /auth`. It becomes a document as `docker login` writes it.
//! Docker Engine API, “Authentication”.

use crate::Document;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use zeroize::Zeroizing;

/// The largest header, in bytes.
const HEADER_BYTES_MAX: usize = 48 << 10;

/// Either alphabet is written, with padding and without.
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// A login that came with a request. Its secrets are overwritten when it is dropped.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    #[serde(deserialize_with = "hidden")]
    username: Zeroizing<String>,
    #[serde(deserialize_with = "hidden")]
    password: Zeroizing<String>,
    #[serde(deserialize_with = "hidden")]
    identitytoken: Zeroizing<String>,
    #[serde(deserialize_with = "hidden")]
    registrytoken: Zeroizing<String>,
    serveraddress: String,
}

/// Some clients write `null` where nothing is.
fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    Ok(Zeroizing::new(Option::deserialize(deserializer)?.unwrap_or_default()))
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("serveraddress", &self.serveraddress).finish_non_exhaustive()
    }
}

impl Sent {
    /// Reads the value of the header; none if it says nothing. What is wrong with it is told without its text.
    pub fn of_header(value: &[u8]) -> Result<Option<Self>, &'static str> {
        if value.len() > HEADER_BYTES_MAX {
            return Err("it is too long");
        }
        let decoded = URL_SAFE.decode(value).or_else(|_| STANDARD.decode(value));
        let decoded = Zeroizing::new(decoded.map_err(|_| "it is not in base64")?);
        if decoded.is_empty() {
            return Ok(None);
        }
        let sent: Self = serde_json::from_slice(&decoded).map_err(|_| "it is no JSON object of a login")?;
        let texts = [&sent.username, &sent.password, &sent.identitytoken, &sent.registrytoken];
        let says_something = texts.iter().any(|text| !text.is_empty());
        Ok(says_something.then_some(sent))
    }

    /// Reads the body of `POST /auth`.
    pub fn of_body(body: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(body).map_err(|_| "it is no JSON object of a login")
    }

    /// Where it is for, as the client says it: `https://index.docker.io/v1/`, or `registry.lan:5000`; may be empty.
    pub fn address(&self) -> &str {
        &self.serveraddress
    }

    /// Returns the login for `registry`, as in `docker.io`, in the form of a file.
    pub fn document(&self, registry: &str) -> Document {
        let auth = match (self.username.as_str(), self.password.as_str()) {
            ("", _) | (_, "") => String::new(),
            (user, password) => BASE64_STANDARD.encode(Zeroizing::new(format!("{user}:{password}")).as_bytes()),
        };
        let entry = json!({"auth": auth, "identitytoken": &*self.identitytoken, "registrytoken": &*self.registrytoken});
        let bytes = json!({"auths": {registry: entry}}).to_string().into_bytes();
        Document { label: "the request".to_owned(), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    fn read(value: &str) -> Result<Option<String>, &'static str> {
        let sent = Sent::of_header(value.as_bytes())?;
        Ok(sent.map(|sent| String::from_utf8(sent.document("registry.lan").bytes.clone()).unwrap()))
    }

    #[test]
    fn a_login_of_a_header_becomes_a_document() {
        let login = r#"{"username":"moby?","password":"a>b","email":"","serveraddress":"registry.lan"}"#;
        let expected = format!(
            r#"{{"auths":{{"registry.lan":{{"auth":"{}","identitytoken":"","registrytoken":""}}}}}}"#,
            BASE64_STANDARD.encode("moby?:a>b")
        );
        for encoded in [BASE64_STANDARD.encode(login), BASE64_URL_SAFE_NO_PAD.encode(login)] {
            assert_eq!(read(&encoded), Ok(Some(expected.clone())));
        }
    }

    #[test]
    fn an_empty_login_is_none_and_a_broken_one_is_refused_without_its_text() {
        assert_eq!(read(&BASE64_STANDARD.encode("{}")), Ok(None));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("%%%"), Err("it is not in base64"));
        for broken in ["secret", "[1]"] {
            assert_eq!(read(&BASE64_STANDARD.encode(broken)), Err("it is no JSON object of a login"));
        }
        assert!(!format!("{:?}", Sent::of_body(br#"{"password":"hush"}"#).unwrap()).contains("hush"));
    }
}
