//! Logins: the documents that have them, what helper programs and token servers answer, and the realms that registries
//! name. A login that was read may go to its registry and to nobody else.

use super::{assert_harmless, choice, texts, wait, written};
use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use wharf_credentials::grants::{Entitlement, Grants};
use wharf_credentials::helper::{Action, Helpers, Said};
use wharf_credentials::keep::{forget, keep};
use wharf_credentials::{
    Bearer, Challenge, Credentials, Document, Error, Grant, Login, Origin, Settings, Unanswered, Visit, Wire,
};
use zeroize::Zeroizing;

const REGISTRY: &str = "registry.lan:5000";
const USER: &str = "ann";
const PASSWORD: &str = "correct-horse-battery";

/// A wire whose every request gets the same answer.
struct Wired {
    grants: Grants,
    status: u16,
    after: Option<HeaderValue>,
    body: Vec<u8>,
    /// Where requests went, and whether they had a login.
    sent: RefCell<Vec<(String, bool)>>,
}

impl Wired {
    fn new(status: u16, body: &[u8]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let grants = Grants::new(|| NUMBER.fetch_add(1, Ordering::Relaxed).into());
        Self { grants, status, after: None, body: body.to_vec(), sent: RefCell::default() }
    }
}

impl Wire for Wired {
    type Body = Vec<Bytes>;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Self::Body>, Unanswered> {
        let secret = request.body().windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        let has_login = secret || request.headers().contains_key(AUTHORIZATION);
        self.sent.borrow_mut().push((request.uri().to_string(), has_login));
        let mut response = Response::builder().status(self.status);
        if let Some(after) = &self.after {
            response = response.header(RETRY_AFTER, after);
        }
        // The last piece first: they are taken from the end.
        let pieces = self.body.chunks(1_000).rev().map(Bytes::copy_from_slice).collect();
        Ok(response.body(pieces).expect("the status is one"))
    }

    async fn next(&self, body: &mut Self::Body) -> Option<Result<Bytes, Unanswered>> {
        body.pop().map(Ok)
    }

    async fn sleep(&self, duration: Duration) {
        if duration > Duration::from_secs(30) {
            std::future::pending().await
        }
    }

    fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        self.grants.enter(origin, authorization, refused)
    }
}

fn origin(authority: &str) -> Origin {
    Origin::new(true, authority).expect("an authority")
}

fn settings(document: &[u8]) -> Settings {
    let documents = vec![Document { label: "config.json".to_owned(), bytes: document.to_vec() }];
    Settings { documents, ..Settings::default() }
}

/// What a grant is worth: at its own origin one header, anywhere else none.
fn assert_granted(grants: &Grants, grant: &Grant, registry: &Origin) {
    let header = grants.authorization(grant.id(), registry);
    assert!(header.is_none_or(|header| header.is_sensitive() && header.as_bytes().iter().all(|byte| *byte >= b' ')));
    for elsewhere in [origin("evil.lan"), Origin::new(false, REGISTRY).expect("an authority"), origin("registry.lan")] {
        assert!(elsewhere == *registry || grants.authorization(grant.id(), &elsewhere).is_none());
    }
}

fn assert_error(error: &Error) {
    let text = error.to_string();
    assert_harmless(&text);
    assert!(text.len() <= 8 << 10 && !text.contains(PASSWORD), "{text}");
}

pub(super) fn document(bytes: &[u8]) -> bool {
    let wire = Wired::new(500, b"");
    let grants = wire.grants.clone();
    let credentials = Credentials::new(settings(bytes), wire).expect("there are no realms to refuse");
    let mut accepted = false;
    for authority in [REGISTRY, "registry-1.docker.io"] {
        let registry = origin(authority);
        let named = credentials.named(&[authority.to_owned()]);
        for repository in [None, Some("library/alpine"), Some("team/app")] {
            let described = named.describe(&registry, repository);
            assert_eq!(described, named.describe(&registry, repository));
            match described {
                Ok(source) => accepted |= source.is_some(),
                Err(error) => assert_error(&error),
            }
            match wait(named.authorize(&registry, repository, &Challenge::Basic, Visit::WithLogin)) {
                Ok(grant) => assert_granted(&grants, &grant, &registry),
                Err(error) => assert_error(&error),
            }
            // Nobody asked for this registry: there is a login for nobody.
            let stranger = wait(credentials.authorize(&registry, repository, &Challenge::Basic, Visit::WithLogin));
            assert!(matches!(stranger, Err(Error::Denied { .. })));
        }
    }
    for source in wait(credentials.entries()) {
        source.map_or_else(|error| assert_error(&error), |source| accepted |= !source.registry.is_empty());
    }
    change(bytes);
    accepted
}

/// A login that is put into a document is found in it, and one that is taken away is not.
fn change(bytes: &[u8]) {
    let document = |bytes: &[u8]| Document { label: "config.json".to_owned(), bytes: bytes.to_vec() };
    let login = Login::new(USER.to_owned(), Zeroizing::new(PASSWORD.to_owned())).expect("it is a login");
    match wait(keep(&document(bytes), None, REGISTRY, &login)) {
        Ok(kept) => {
            assert!(kept.program.is_none(), "nobody runs programs here");
            let wire = Wired::new(500, b"");
            let changed = Credentials::new(settings(&kept.document), wire).expect("there are no realms to refuse");
            let source = changed.describe(&origin(REGISTRY), None).expect("what was written is read");
            assert_eq!(source.expect("the login is there").user.as_deref(), Some(USER));
            let gone = wait(forget(&document(&kept.document), None, Some(REGISTRY))).expect("it was just written");
            let left = gone.document.expect("there was a login");
            assert!(!left.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
        }
        Err(error) => assert_error(&error),
    }
    if let Err(error) = wait(forget(&document(bytes), None, None)) {
        assert_error(&error);
    }
}

pub(super) fn documents() -> Vec<Vec<u8>> {
    let mut seeds = texts(include_str!("../../../data/vectors/registry_client.json"));
    seeds.retain(|seed| seed.windows(5).any(|window| window == b"auths"));
    seeds.extend(written(&[
        r#"{"auths":{"registry.lan:5000":{"auth":"YW5uOnNlY3JldA=="},"https://index.docker.io/v1/":{"username":"a","password":"b"}}}"#,
        r#"{"auths":{"registry.lan:5000/team":{"identitytoken":"x"},"registry-1.docker.io":{"registrytoken":"y"}}}"#,
        r#"{"auths":{"registry.lan:5000":{}},"credsStore":"desktop","credHelpers":{"registry-1.docker.io":"x"}}"#,
        r#"{"auths":{"registry.lan:5000":{"auth":"!"}},"HttpHeaders":{"a":"b"},"psFormat":"x"}"#,
        r#"{"auths":null}"#,
        "{\"auths\":{\"\\u001b[31m\":{\"auth\":1}}}",
        "[]",
        "",
    ]));
    seeds
}

type Running = Pin<Box<dyn Future<Output = io::Result<Said>> + Send>>;

/// A program that answers the same whatever it is asked.
#[derive(Debug)]
struct Parrot {
    code: Option<i32>,
    output: Vec<u8>,
}

impl Helpers for Parrot {
    fn run(&self, program: &str, _: Action, _: Zeroizing<Vec<u8>>) -> Running {
        assert!(program.starts_with("docker-credential-") && !program.contains('/'), "{program}");
        let (stdout, stderr) = (Zeroizing::new(self.output.clone()), Zeroizing::new(self.output.clone()));
        let said = Said { code: self.code, stdout, stderr };
        Box::pin(std::future::ready(Ok(said)))
    }
}

pub(super) fn helper(bytes: &[u8]) -> bool {
    let (which, output) = choice(bytes);
    let code = [Some(0), Some(1), None][which % 3];
    let document = format!(r#"{{"credsStore":"parrot","auths":{{"{REGISTRY}":{{}}}}}}"#);
    let helpers: Option<Arc<dyn Helpers>> = Some(Arc::new(Parrot { code, output: output.to_vec() }));
    let wire = Wired::new(500, b"");
    let grants = wire.grants.clone();
    let credentials = Credentials::new(Settings { helpers, ..settings(document.as_bytes()) }, wire);
    let credentials = credentials.expect("there are no realms to refuse").named(&[REGISTRY.to_owned()]);
    let registry = origin(REGISTRY);
    for source in wait(credentials.entries()) {
        source.map_or_else(|error| assert_error(&error), |source| assert!(source.program().is_some()));
    }
    match wait(credentials.authorize(&registry, None, &Challenge::Basic, Visit::WithLogin)) {
        Ok(grant) => {
            assert!(code == Some(0) && !grant.anonymous());
            assert_granted(&grants, &grant, &registry);
            true
        }
        Err(error) => {
            assert_error(&error);
            false
        }
    }
}

pub(super) fn helper_answers() -> Vec<Vec<u8>> {
    written(&[
        "0{\"ServerURL\":\"registry.lan:5000\",\"Username\":\"ann\",\"Secret\":\"s3cret\"}",
        "0{\"ServerURL\":\"https://registry.lan:5000/\",\"Username\":\"<token>\",\"Secret\":\"s3cret\"}",
        "0{\"Username\":\"ann\",\"Secret\":\"\"}",
        "0{\"ServerURL\":\"evil.lan\",\"Username\":\"ann\",\"Secret\":\"s3cret\"}",
        "0{\"https://index.docker.io/v1/\":\"ann\"}",
        "1credentials not found in native keychain",
        "1\u{1b}[31mno \"Secret\"\n",
        "2",
    ])
}

fn bearer(realm: &str) -> Challenge {
    let scopes = vec!["repository:team/app:pull".to_owned()];
    Challenge::Bearer(Bearer { realm: realm.to_owned(), service: Some("registry".to_owned()), scopes })
}

fn with_login() -> Vec<u8> {
    format!(r#"{{"auths":{{"{REGISTRY}":{{"username":"{USER}","password":"{PASSWORD}"}}}}}}"#).into_bytes()
}

pub(super) fn token(bytes: &[u8]) -> bool {
    let (which, body) = choice(bytes);
    let mut wire = Wired::new([200, 200, 200, 401, 403, 404, 429, 503][which % 8], body);
    wire.after = HeaderValue::from_bytes(&body[..body.len().min(12)]).ok();
    let grants = wire.grants.clone();
    let credentials = Credentials::new(settings(&with_login()), wire).expect("there are no realms to refuse");
    let credentials = credentials.named(&[REGISTRY.to_owned()]);
    let registry = origin(REGISTRY);
    let visit = if which < 128 { Visit::WithLogin } else { Visit::Anonymous };
    match wait(credentials.authorize(&registry, Some("team/app"), &bearer("https://registry.lan/token"), visit)) {
        Ok(grant) => {
            assert!(body.len() <= 64 << 10);
            assert_granted(&grants, &grant, &registry);
            assert_eq!(grant.anonymous(), visit == Visit::Anonymous);
            true
        }
        Err(error) => {
            assert_error(&error);
            false
        }
    }
}

pub(super) fn token_answers() -> Vec<Vec<u8>> {
    written(&[
        "0{\"token\":\"abc.def\",\"expires_in\":300,\"issued_at\":\"2024-03-01T12:00:00Z\"}",
        "0{\"access_token\":\"abc\",\"refresh_token\":\"r\",\"expires_in\":-1}",
        "0{\"token\":\"\",\"access_token\":null}",
        "0{\"token\":\"a b\\n\"}",
        "0{\"token\":\"a\",\"expires_in\":1e999}",
        "\u{6}5",
        "\u{7}18446744073709551616",
        "3{}",
        "0[",
    ])
}

pub(super) fn realm(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let Ok(realm) = std::str::from_utf8(bytes) else { return false };
    let wire = Rc::new(Wired::new(200, br#"{"token":"abc"}"#));
    let credentials = Credentials::new(settings(&with_login()), Shared(wire.clone())).expect("no realms to refuse");
    let credentials = credentials.named(&[REGISTRY.to_owned()]);
    let visit = if which % 2 == 0 { Visit::WithLogin } else { Visit::Anonymous };
    let outcome = wait(credentials.authorize(&origin(REGISTRY), Some("team/app"), &bearer(realm), visit));
    for (url, has_login) in wire.sent.borrow().iter() {
        // Whatever the registry writes, the login goes to its own host by TLS, and a request always by TLS.
        let rest = url.strip_prefix("https://").expect("it is reached by TLS");
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let host = authority.split(':').next().unwrap_or_default();
        assert!(!has_login || host == "registry.lan", "the login went to {url}");
        assert!(!authority.contains('@') && (!has_login || visit == Visit::WithLogin));
    }
    if let Err(error) = &outcome {
        assert_error(error);
    }
    outcome.is_ok()
}

/// A wire that the harness looks into afterwards.
struct Shared(Rc<Wired>);

impl Wire for Shared {
    type Body = Vec<Bytes>;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Self::Body>, Unanswered> {
        self.0.send(request).await
    }

    async fn next(&self, body: &mut Self::Body) -> Option<Result<Bytes, Unanswered>> {
        self.0.next(body).await
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        self.0.enter(origin, authorization, refused)
    }
}

pub(super) fn realms() -> Vec<Vec<u8>> {
    let mut seeds = texts(include_str!("../../../data/vectors/registry_client.json"));
    seeds.retain(|seed| seed.len() < 256 && seed.starts_with(b"http"));
    seeds.extend(written(&[
        "https://registry.lan/token?a=b#c",
        "https://REGISTRY.lan:8443/token",
        "https://registry.lan.evil/token",
        "https://registry.lan@evil.lan/token",
        "https://evil.lan\\@registry.lan/",
        "http://registry.lan:5000/token",
        "https://registry.lan%2eevil.lan/",
        "https://xn--registry-.lan/",
        "ftp://registry.lan/",
    ]));
    seeds.into_iter().flat_map(|seed| [[b"0", &seed[..]].concat(), [b"1", &seed[..]].concat()]).collect()
}
