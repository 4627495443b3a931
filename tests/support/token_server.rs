//! A token server for a registry: the other end of `WWW-Authenticate: Bearer`, on loopback.
//!
//! It answers `GET` and the OAuth 2 `POST` as distribution's token authentication says. Its tokens are ES256 JSON Web
//! Tokens with the certificate in `x5c`, which `docker-registry` verifies.

use super::{PASSWORD, RUNTIME, USER, basic, wait};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// Who the tokens are for: the `service` of the challenge.
pub(crate) const SERVICE: &str = "registry.test";
/// The identity token, a refresh token of OAuth 2, that stands for [`USER`] with [`PASSWORD`].
pub(crate) const IDENTITY: &str = "beacon+/=";
/// Who signs the tokens.
pub(crate) const ISSUER: &str = "wharf tests";

/// What a token server grants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Whether a request without a login gets a token that may pull. With a login every action is granted.
    pub(crate) anonymous: bool,
    /// How long a token lives. The answer says so in `expires_in`.
    pub(crate) lifetime: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { anonymous: false, lifetime: Duration::from_secs(300) }
    }
}

/// One request that a token server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    /// As in `service=registry.test&scope=repository:library/demo:pull`, as the client wrote it: the query of a `GET`,
    /// the form of a `POST`.
    pub(crate) query: String,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// What was answered, as in 200.
    pub(crate) status: u16,
}

/// A token server that answers until it is dropped.
#[derive(Debug)]
pub(crate) struct TokenServer {
    address: SocketAddr,
    signer: Arc<Signer>,
    requests: Arc<Mutex<Vec<TokenRequest>>>,
    age: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl TokenServer {
    /// Starts on a free port, with a key of its own.
    pub(crate) fn start(policy: Policy) -> Self {
        let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("the machine has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let signer = Arc::new(Signer::new());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let age = Arc::new(AtomicU64::new(0));
        let state = State { policy, signer: signer.clone(), requests: requests.clone(), age: age.clone() };
        let serving = RUNTIME.spawn(accept(listener, state));
        Self { address, signer, requests, age, serving }
    }

    /// From now on tokens are as old as this when they are given out, and the answer does not say so. A registry
    /// forgives a minute.
    pub(crate) fn age(&self, age: Duration) {
        self.age.store(age.as_secs(), SeqCst);
    }

    /// The `realm` of the challenge, as in `http://127.0.0.1:40123/token`.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The key that signs, for a registry to trust and for pushes.
    pub(crate) fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// Every request so far, the first one first.
    pub(crate) fn requests(&self) -> Vec<TokenRequest> {
        self.requests.lock().expect("no holder panics").clone()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A key, its certificate, and the tokens it signs.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    certificate: rcgen::Certificate,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([ISSUER.to_owned()]).expect("the name fits a certificate");
        let pkcs8 = made.signing_key.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new())
            .expect("rcgen makes P-256 keys");
        Self { key, certificate: made.cert }
    }

    /// The certificate in PEM, for `rootcertbundle`.
    pub(crate) fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// Signs a token that grants `access`, as in `[{"type": "repository", "name": "a", "actions": ["pull"]}]`.
    pub(crate) fn sign(&self, subject: &str, access: &Value, lifetime: Duration) -> String {
        self.sign_before(subject, access, lifetime, 0)
    }

    /// Signs as if `age` seconds had gone by since.
    fn sign_before(&self, subject: &str, access: &Value, lifetime: Duration, age: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs() - age;
        let header = json!({ "alg": "ES256", "typ": "JWT", "x5c": [STANDARD.encode(self.certificate.der())] });
        let claims = json!({
            "access": access,
            "aud": SERVICE,
            "exp": now + lifetime.as_secs(),
            "iat": now,
            "iss": ISSUER,
            "jti": now.to_string(),
            "nbf": now,
            "sub": subject,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("the machine has entropy");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[derive(Clone)]
struct State {
    policy: Policy,
    signer: Arc<Signer>,
    requests: Arc<Mutex<Vec<TokenRequest>>>,
    age: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, state: State) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = state.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let state = state.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                Ok::<_, Infallible>(answer(&state, &Request::from_parts(head, body)))
            }
        });
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

fn answer(state: &State, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let is_form = request.method() == Method::POST;
    let query = match is_form {
        true => String::from_utf8_lossy(request.body()).into_owned(),
        false => request.uri().query().unwrap_or_default().to_owned(),
    };
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let login = basic(USER, PASSWORD);
    let subject = match &authorization {
        None if is_form => is_identity(&query).then_some(USER),
        None if state.policy.anonymous => Some(""),
        Some(given) if *given == login => Some(USER),
        _ => None,
    };
    let (status, body) = match subject {
        Some(subject) => {
            let access = granted(&query, !subject.is_empty());
            let age = state.age.load(SeqCst);
            let token = state.signer.sign_before(subject, &access, state.policy.lifetime, age);
            // OAuth 2 has another name for it.
            let name = if is_form { "access_token" } else { "token" };
            (StatusCode::OK, json!({ "expires_in": state.policy.lifetime.as_secs(), name: token }))
        }
        None => {
            let error = json!({ "code": "UNAUTHORIZED", "message": "the login is missing or wrong" });
            (StatusCode::UNAUTHORIZED, json!({ "errors": [error] }))
        }
    };
    let request = TokenRequest { query, authorization, status: status.as_u16() };
    state.requests.lock().expect("no holder panics").push(request);
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// Whether a form is what OAuth 2 says about refresh tokens, and has the right one. RFC 6749 section 6.
fn is_identity(form: &str) -> bool {
    let pairs: Vec<_> = form.split('&').collect();
    let encoded: String = IDENTITY
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    ["grant_type=refresh_token", &format!("refresh_token={encoded}"), &format!("service={SERVICE}")]
        .iter()
        .all(|pair| pairs.contains(pair))
        && pairs.iter().any(|pair| pair.starts_with("client_id="))
}

/// Reads the scopes of a request, as in `scope=repository:library/demo:pull,push`, and grants what is asked for:
/// everything to who is known, `pull` to others.
fn granted(query: &str, known: bool) -> Value {
    let decoded =
        query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").replace("%20", " ").replace('+', " ");
    let scopes = decoded.split('&').filter_map(|pair| pair.strip_prefix("scope=")).flat_map(|scopes| scopes.split(' '));
    let access = scopes.filter_map(|scope| {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions: Vec<_> = actions.split(',').filter(|action| known || *action == "pull").collect();
        Some(json!({ "actions": actions, "name": name, "type": kind }))
    });
    access.collect()
}

#[test]
fn scopes_are_granted_to_who_may_have_them() {
    let pull = json!([{ "actions": ["pull"], "name": "a/b", "type": "repository" }]);
    let both = json!([{ "actions": ["pull", "push"], "name": "a/b", "type": "repository" }]);
    let two = json!([
        { "actions": ["pull"], "name": "a/b", "type": "repository" },
        { "actions": ["pull"], "name": "c", "type": "repository" },
    ]);
    let rows = [
        ("service=x", true, json!([])),
        ("scope=repository:a/b:pull&service=x", false, pull.clone()),
        ("scope=repository%3Aa%2Fb%3Apull%2Cpush", false, pull),
        ("scope=repository%3Aa%2Fb%3Apull%2Cpush", true, both),
        ("scope=repository:a/b:pull+repository:c:pull", true, two.clone()),
        ("scope=repository:a/b:pull&scope=repository:c:pull", true, two),
    ];
    for (query, known, expected) in rows {
        assert_eq!(granted(query, known), expected, "{query}, {known}");
    }
}
