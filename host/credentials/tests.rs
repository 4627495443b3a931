//! The way from a challenge to a grant, over a wire that sends nothing: what is asked of it, and what is entered.
//!
//! What a real network adds is asked in `tests/credentials.rs`.

use crate::grants::{Entitlement, Grants};
use crate::{Bearer, Challenge, Credentials, Document, Error, Grant, Origin, Settings, Unanswered, Visit, Wire};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a wire does with a request.
enum Plan {
    /// It brings this status, this `retry-after` and this body, piece by piece.
    Answer(u16, Option<&'static str>, Vec<&'static [u8]>),
    /// It brings the head, and one piece of a body that breaks then.
    Cut,
    /// It does not send it.
    Deny,
    /// It waits for ever, and all waiting on it ends at once.
    Silence,
}

/// A wire of one thread, which answers by its plans and writes down what it is asked.
#[derive(Clone)]
struct Paper(Arc<Sheet>);

struct Sheet {
    grants: Grants,
    plans: Mutex<VecDeque<Plan>>,
    asked: Mutex<Vec<Asked>>,
    waited: Mutex<Vec<Duration>>,
    silent: AtomicBool,
}

/// Method and URL, the login, and the body.
type Asked = (String, Option<String>, String);

fn number() -> u128 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed).into()
}

impl Paper {
    fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        let plans = Mutex::new(plans.into_iter().collect());
        let (asked, waited, silent) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Sheet { grants: Grants::new(number), plans, asked, waited, silent }))
    }

    fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().expect("no test panics while it holds the lock").clone()
    }

    /// Returns what a request to `origin` with this grant would carry.
    fn carried(&self, grant: &Grant, origin: &Origin) -> Option<String> {
        let header = self.0.grants.authorization(grant.id(), origin)?;
        assert!(header.is_sensitive());
        Some(header.to_str().expect("a login is text").to_owned())
    }
}

impl Wire for Paper {
    type Body = VecDeque<Result<Bytes, Unanswered>>;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Self::Body>, Unanswered> {
        let text = |value: &HeaderValue| value.to_str().expect("a login is text").to_owned();
        let asked = (
            format!("{} {}", request.method(), request.uri()),
            request.headers().get(AUTHORIZATION).map(text),
            String::from_utf8(request.body().to_vec()).expect("a form is text"),
        );
        self.0.asked.lock().expect("no test panics while it holds the lock").push(asked);
        let plan = self.0.plans.lock().expect("no test panics while it holds the lock").pop_front();
        let (status, wait, body): (_, _, Self::Body) = match plan.expect("a test plans every answer") {
            Plan::Answer(status, wait, pieces) => {
                (status, wait, pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece))).collect())
            }
            Plan::Cut => {
                let broken = Unanswered::Failed { why: "it broke".to_owned() };
                (200, None, [Ok(Bytes::from_static(b"{")), Err(broken)].into())
            }
            Plan::Deny => return Err(Unanswered::Denied { why: "nobody goes there".to_owned() }),
            Plan::Silence => {
                self.0.silent.store(true, Ordering::Relaxed);
                return std::future::pending().await;
            }
        };
        let response = Response::builder().status(status);
        let response = match wait {
            Some(wait) => response.header("retry-after", wait),
            None => response,
        };
        Ok(response.body(body).expect("a response"))
    }

    async fn next(&self, body: &mut Self::Body) -> Option<Result<Bytes, Unanswered>> {
        body.pop_front()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.waited.lock().expect("no test panics while it holds the lock").push(duration);
        // The deadline of a request ends where nothing comes; other waiting is over at once.
        if duration == Duration::from_secs(60) && !self.0.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        self.0.grants.enter(origin, authorization, refused)
    }
}

/// As docker writes it, for `ann` with the password `secret`.
const DOCUMENT: &[u8] = br#"{"auths":{"registry.lan:5000":{"auth":"YW5uOnNlY3JldA=="}}}"#;

const LOGIN: &str = "Basic YW5uOnNlY3JldA==";

const TOKEN: &[u8] = br#"{"token":"one","expires_in":300}"#;

fn registry() -> Origin {
    Origin::new(true, "registry.lan:5000").expect("an authority")
}

fn credentials(wire: &Paper) -> Credentials<Paper> {
    let documents = vec![Document { label: "config.json".to_owned(), bytes: DOCUMENT.to_vec() }];
    let credentials = Credentials::new(Settings { documents, ..Settings::default() }, wire.clone());
    credentials.expect("there are no realms").named(&[registry().authority()])
}

fn bearer(realm: &str) -> Challenge {
    Challenge::Bearer(Bearer {
        realm: realm.to_owned(),
        service: Some("registry".to_owned()),
        scopes: vec!["repository:team/app:pull".to_owned()],
    })
}

/// Nothing here waits for anything but the wire, which answers at once.
fn authorize(credentials: &Credentials<Paper>, challenge: &Challenge) -> Result<Grant, Error> {
    let registry = registry();
    let asking = credentials.authorize(&registry, Some("team/app"), challenge, Visit::WithLogin);
    asking.now_or_never().expect("a wire that answers at once")
}

#[test]
fn a_basic_challenge_enters_the_login_of_the_document_for_one_origin() {
    let wire = Paper::new([]);
    let grant = authorize(&credentials(&wire), &Challenge::Basic).expect("a grant");
    assert!(!grant.anonymous());
    for (secure, authority, expected) in [
        (true, "registry.lan:5000", Some(LOGIN)),
        (true, "REGISTRY.lan:5000", Some(LOGIN)),
        (false, "registry.lan:5000", None),
        (true, "registry.lan", None),
        (true, "registry.lan.evil:5000", None),
    ] {
        let origin = Origin::new(secure, authority).expect("an authority");
        assert_eq!(wire.carried(&grant, &origin).as_deref(), expected, "{origin}");
    }
    assert_eq!(wire.asked(), []);
    let id = grant.id().to_owned();
    drop(grant);
    assert_eq!(wire.0.grants.authorization(&id, &registry()), None);
}

#[test]
fn a_bearer_challenge_becomes_one_token_request_and_its_token_a_grant_for_one_origin() {
    let wire = Paper::new([Plan::Answer(200, None, vec![&TOKEN[..9], &TOKEN[9..]])]);
    let credentials = credentials(&wire);
    let challenge = bearer("https://registry.lan/token");
    let grant = authorize(&credentials, &challenge).expect("a grant");
    let url = "https://registry.lan/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull";
    assert_eq!(wire.asked(), [(format!("GET {url}"), Some(LOGIN.to_owned()), String::new())]);
    assert_eq!(wire.carried(&grant, &registry()).as_deref(), Some("Bearer one"));
    // Its own token server is another origin.
    let server = Origin::new(true, "registry.lan").expect("an authority");
    assert_eq!((wire.carried(&grant, &server), grant.anonymous()), (None, false));

    let again = authorize(&credentials, &challenge).expect("a grant");
    assert_eq!((wire.asked().len(), wire.carried(&again, &registry()).as_deref()), (1, Some("Bearer one")));
}

#[test]
fn a_token_that_was_refused_is_asked_for_again() {
    let answer = |body| Plan::Answer(200, None, vec![body]);
    let wire = Paper::new([answer(TOKEN), answer(br#"{"access_token":"two"}"#)]);
    let credentials = credentials(&wire);
    let challenge = bearer("https://registry.lan/token");
    let first = authorize(&credentials, &challenge).expect("a grant");
    wire.0.grants.refused(first.id());
    let second = authorize(&credentials, &challenge).expect("a grant");
    assert_eq!(wire.carried(&second, &registry()).as_deref(), Some("Bearer two"));
}

#[test]
fn the_login_stays_here_when_the_realm_is_elsewhere_or_the_registry_was_not_named() {
    let wire = Paper::new([Plan::Answer(200, None, vec![TOKEN])]);
    let credentials = credentials(&wire);
    match authorize(&credentials, &bearer("https://evil.lan/token")) {
        Err(Error::Denied { why }) => assert!(why.contains("https://evil.lan"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(wire.asked(), []);

    let unnamed = credentials.named(&["other.lan".to_owned()]);
    assert!(matches!(authorize(&unnamed, &Challenge::Basic), Err(Error::Denied { .. })));
    let grant = authorize(&unnamed, &bearer("https://registry.lan/token")).expect("a grant");
    let logins: Vec<_> = wire.asked().into_iter().map(|(_, login, _)| login).collect();
    assert_eq!((logins, grant.anonymous()), (vec![None], true));
}

#[test]
fn a_wire_that_fails_says_how() {
    static LARGE: [u8; 40 * 1024] = [b' '; 40 * 1024];
    let unavailable = |status: Option<u16>, why: &str| Error::Unavailable {
        server: "registry.lan".to_owned(),
        status,
        why: why.to_owned(),
    };
    let denied = Error::Denied { why: "the token server `registry.lan`: nobody goes there".to_owned() };
    for (plan, expected) in [
        (Plan::Deny, denied),
        (Plan::Cut, unavailable(Some(200), "its answer was cut short")),
        (Plan::Silence, unavailable(None, "it did not answer in time")),
        (Plan::Answer(200, None, vec![&LARGE, &LARGE]), unavailable(Some(200), "its answer has more than 65536 bytes")),
        (Plan::Answer(429, Some("31"), Vec::new()), unavailable(Some(429), "it answered 429, and asks to wait 31 s")),
        // Nothing of another answer than 200 is read.
        (Plan::Answer(500, None, vec![&LARGE, &LARGE]), unavailable(Some(500), "it answered 500")),
    ] {
        let wire = Paper::new([plan]);
        let outcome = authorize(&credentials(&wire), &bearer("https://registry.lan/token"));
        assert_eq!(outcome.map(|_| ()), Err(expected));
    }
}

#[test]
fn a_server_that_names_a_short_wait_is_asked_again_after_it() {
    let later = || Plan::Answer(503, Some("7"), Vec::new());
    let wire = Paper::new([later(), later(), Plan::Answer(200, None, vec![TOKEN])]);
    authorize(&credentials(&wire), &bearer("https://registry.lan/token")).expect("a grant");
    let waited = wire.0.waited.lock().expect("no test panics while it holds the lock").clone();
    let pauses: Vec<_> = waited.into_iter().filter(|wait| *wait != Duration::from_secs(60)).collect();
    assert_eq!((wire.asked().len(), pauses), (3, vec![Duration::from_secs(7); 2]));
}
