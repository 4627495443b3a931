//! Who takes part in a case: a registry, its token server, other servers that should hear nothing, and the secrets.
//!
//! What each answers unless a case wants something else stands here; what a case wants, in `case`.

use super::listener::{Answer, Request};
use super::scan::{Scanner, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use wharf::credentials::Document;
use wharf::demo::image::{File, Image, Layer, Variant, noise};

/// The repository of every case.
pub(crate) const REPOSITORY: &str = "quay/demo";
/// Another namespace of the same registry.
pub(crate) const ELSEWHERE: &str = "pier/demo";

/// How much there is in each layer.
const LAYER_BYTES: usize = 10_000;

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Who {
    /// What the reference names.
    Registry,
    /// The registry's own token server: the same host, another port.
    Tokens,
    /// The registry's host, another port.
    Other,
    /// Another host.
    Far,
    /// What stands between.
    Proxy,
}

/// Everybody but the proxy.
pub(crate) const SERVERS: [Who; 4] = [Who::Registry, Who::Tokens, Who::Other, Who::Far];

/// The secrets of a case. Everything else of it may be known.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub(crate) user: Secret,
    pub(crate) password: Secret,
    pub(crate) identity: Secret,
    /// A token that the user put into the document himself.
    pub(crate) registry: Secret,
    /// What the token server gives out, in this order; the last one again and again.
    pub(crate) tokens: [Secret; 3],
    /// A login for somebody else than the registry.
    pub(crate) stranger: Secret,
    /// The login for the proxy.
    pub(crate) proxy: Secret,
}

impl Secrets {
    fn new() -> Self {
        Self {
            user: Secret::odd("user"),
            password: Secret::odd("password"),
            identity: Secret::token("identity token"),
            registry: Secret::token("registry token"),
            tokens: [Secret::token("first token"), Secret::token("second token"), Secret::token("third token")],
            stranger: Secret::odd("password of another"),
            proxy: Secret::plain("password of the proxy"),
        }
    }

    /// What a document with logins holds for the registry.
    pub(crate) fn login(&self) -> [&Secret; 4] {
        [&self.user, &self.password, &self.identity, &self.registry]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Secret> {
        self.login().into_iter().chain(&self.tokens).chain([&self.stranger, &self.proxy])
    }
}

/// Who takes part, and where.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) secrets: Secrets,
    pub(crate) image: Image,
    /// Whether the servers are reached by TLS, by names below `test`.
    secure: bool,
    /// Whether they are reached by names below `test`.
    named: bool,
    places: Vec<(Who, SocketAddr)>,
    issued: AtomicUsize,
}

impl Cast {
    pub(crate) fn new(secure: bool, named: bool, places: Vec<(Who, SocketAddr)>) -> Self {
        let layers = [1, 2].map(|seed| {
            let file = File { path: "srv/cargo", mode: 0o644, bytes: &noise(seed, LAYER_BYTES) };
            Layer::new("COPY cargo /srv", &[file])
        });
        let layers = layers.to_vec();
        let image = Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers });
        Self { secrets: Secrets::new(), image, secure, named, places, issued: AtomicUsize::new(0) }
    }

    pub(crate) fn port(&self, who: Who) -> u16 {
        self.address(who).port()
    }

    fn address(&self, who: Who) -> SocketAddr {
        self.places.iter().find(|(other, _)| *other == who).expect("everybody has a place").1
    }

    /// Where somebody answers, as in `127.0.0.1:40123` or `registry.test:40123`.
    pub(crate) fn authority(&self, who: Who) -> String {
        match (self.secure || self.named, who) {
            (true, Who::Far) => format!("cdn.test:{}", self.port(who)),
            (true, _) => format!("registry.test:{}", self.port(who)),
            (false, _) => self.address(who).to_string(),
        }
    }

    pub(crate) fn url(&self, who: Who, path: &str) -> String {
        format!("{}://{}{path}", if self.secure { "https" } else { "http" }, self.authority(who))
    }

    /// Returns the value of `WWW-Authenticate` that sends to a realm.
    pub(crate) fn bearer(&self, realm: &str) -> String {
        format!("Bearer realm=\"{realm}\",service=\"harbour\",scope=\"repository:{REPOSITORY}:pull\"")
    }

    /// The challenge of a registry whose token server is its own.
    pub(crate) fn own_bearer(&self) -> String {
        self.bearer(&self.url(Who::Tokens, "/token"))
    }

    /// The next token, in the form of an answer.
    pub(crate) fn issue(&self) -> Answer {
        let count = self.issued.fetch_add(1, Ordering::SeqCst);
        let token = &self.secrets.tokens[count.min(self.secrets.tokens.len() - 1)];
        Answer::new(200, json!({ "token": token.text, "expires_in": 300 }).to_string())
    }

    /// `auth` of a document, and what follows `Basic`.
    pub(crate) fn pair(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.secrets.user.text, self.secrets.password.text))
    }

    /// Returns whether the request carries the login, or a token that the registry accepts.
    pub(crate) fn is_welcome(&self, request: &Request) -> bool {
        let Some(authorization) = request.header("authorization") else { return false };
        let tokens = self.secrets.tokens.iter().chain([&self.secrets.registry]);
        authorization == format!("Basic {}", self.pair())
            || tokens.into_iter().any(|token| authorization == format!("Bearer {}", token.text))
    }

    /// Answers what everybody may have.
    pub(crate) fn content(&self, request: &Request) -> Answer {
        content(&self.image, request)
    }

    /// Answers as a registry does that wants a login: with `challenge` first.
    pub(crate) fn guarded(&self, request: &Request, challenge: &str) -> Answer {
        if self.is_welcome(request) {
            return self.content(request);
        }
        unauthorized(challenge)
    }

    /// Answers as the token server does: a token for the login.
    pub(crate) fn token(&self, request: &Request) -> Answer {
        let by_form = !Scanner::new([&self.secrets.identity]).find(request.body()).is_empty();
        let by_login = request.header("authorization") == Some(&format!("Basic {}", self.pair()));
        if by_form || by_login {
            return self.issue();
        }
        Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"who is there"}]}"#)
    }

    /// A document in which `key` has `entry`.
    pub(crate) fn document(key: &str, entry: &Value) -> Document {
        let bytes = json!({ "auths": { key: entry } }).to_string().into_bytes();
        Document { label: "config.json".to_owned(), bytes }
    }

    /// An entry with the user and the password.
    pub(crate) fn password(&self) -> Value {
        json!({ "auth": self.pair() })
    }

    /// An entry with the identity token, as docker writes it.
    pub(crate) fn identity(&self) -> Value {
        let nobody = STANDARD.encode("00000000-0000-0000-0000-000000000000:");
        json!({ "auth": nobody, "identitytoken": self.secrets.identity.text })
    }

    /// An entry with a login of somebody else.
    pub(crate) fn stranger(&self) -> Value {
        json!({ "auth": STANDARD.encode(format!("someone:{}", self.secrets.stranger.text)) })
    }
}

/// Answers as a registry does that has one image, with every tag of every repository.
pub(crate) fn content(image: &Image, request: &Request) -> Answer {
    let path = request.target.split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.contains("/manifests/") {
        let by_digest = image.documents.iter().find(|document| document.digest == last);
        let document = by_digest.unwrap_or(image.root());
        let answer = Answer::new(200, document.bytes.to_vec());
        return answer.with("content-type", document.media_type).with("docker-content-digest", &document.digest);
    }
    match image.blobs.get(last) {
        Some(blob) => Answer::new(200, blob.to_vec()).with("content-type", "application/octet-stream"),
        None if path == "/v2/" => Answer::new(200, "{}"),
        None if last == "list" => Answer::new(200, json!({ "name": REPOSITORY, "tags": ["latest"] }).to_string()),
        None => Answer::new(404, r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#),
    }
}

/// The answer to who did not log in.
pub(crate) fn unauthorized(challenge: &str) -> Answer {
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Answer::new(401, body).with("www-authenticate", challenge)
}

/// A redirect.
pub(crate) fn redirect(status: u16, location: impl Into<String>) -> Answer {
    Answer::new(status, "").with("location", location)
}

impl Request {
    /// Whether it asks for a manifest of the case's repository, or for one below any other path.
    pub(crate) fn is_manifest(&self) -> bool {
        self.target.contains("/manifests/")
    }

    pub(crate) fn is_blob(&self) -> bool {
        self.target.contains("/blobs/")
    }
}
