//! `wit/credentials.wit`, kept by every host that answers challenges. Which login is found and how it is sent is tested
//! beside this, on real sockets.

use super::subject::{Portable, Real, Simulated, Subject};
use super::suite;
use crate::network::listener::{Listener, answer};
use wharf::credentials::{Document, Settings};
use wharf_component::host::{Challenge, Grant as _, Host, HttpError, Method, Origin, Request, Visit};
use wharf_component::nouns::problem::ErrorCode;
use wharf_sim::memory::network::{Answer, Grant};

suite! {
    [simulated: Simulated, real: Real, portable: Portable];
    without_a_login_basic_is_not_found,
    without_a_login_a_token_is_anonymous,
    with_a_login_no_grant_is_anonymous,
    who_wants_to_be_anonymous_is_although_there_is_a_login,
    a_login_that_is_rejected_is_denied,
    a_grant_is_a_word_of_its_own,
    a_grant_goes_to_its_registry_and_to_no_other,
}

/// What a machine knows of a registry's logins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    None,
    Good,
    Bad,
}

/// A machine, a registry that wants to know who asks, and a second registry.
struct Gate<S> {
    subject: S,
    registry: Origin,
    other: Origin,
    bearer: Challenge,
}

trait Registries: Subject {
    /// Starts registries, and makes a machine that has this login for the first.
    fn gate(login: Login) -> Gate<Self>;
}

fn bearer(realm: String) -> Challenge {
    let scopes = vec!["repository:library/alpine:pull".to_owned()];
    Challenge::Bearer { realm, service: Some("registry.test".to_owned()), scopes }
}

impl Registries for Simulated {
    fn gate(login: Login) -> Gate<Self> {
        let subject = Self::new();
        let [registry, other] = ["registry.lan", "other.lan"].map(|authority| {
            subject.host().network().serve(authority, |_| Ok(Answer::new(200, "text/plain", *b"come in")));
            Origin { secure: true, authority: authority.to_owned() }
        });
        let answer = match login {
            Login::None => None,
            Login::Good => Some(Ok(Grant { id: "good".to_owned(), anonymous: false })),
            Login::Bad => Some(Err(ErrorCode::Denied)),
        };
        if let Some(answer) = answer {
            subject.host().network().log_in("registry.lan", answer);
        }
        Gate { subject, registry, other, bearer: bearer("https://registry.lan/token".to_owned()) }
    }
}

/// Starts registries on real sockets, and makes the file that has this login for the first of them.
fn registries(login: Login) -> ([String; 2], Vec<Document>) {
    let start = || {
        Listener::start(move |request| match (request.line.contains("/token"), request.header("authorization")) {
            (true, Some(_)) if login == Login::Bad => answer(401, &[], "{}"),
            (true, _) => answer(200, &[], r#"{"token":"a-token"}"#),
            (false, _) => answer(200, &[], "come in"),
        })
    };
    let named = [start(), start()].map(|listener| listener.authority());
    // RFC 4648, of `harbour:lighthouse`.
    let auth = "aGFyYm91cjpsaWdodGhvdXNl";
    let document = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, named[0]);
    let document = Document { label: "config.json".to_owned(), bytes: document.into_bytes() };
    let documents = if login == Login::None { Vec::new() } else { vec![document] };
    (named, documents)
}

impl<S> Gate<S> {
    /// With registries on real sockets.
    fn real(subject: S, named: [String; 2]) -> Self {
        let bearer = bearer(format!("http://{}/token", named[0]));
        let [registry, other] = named.map(|authority| Origin { secure: false, authority });
        Self { subject, registry, other, bearer }
    }
}

impl Registries for Real {
    fn gate(login: Login) -> Gate<Self> {
        let (named, documents) = registries(login);
        let subject = Self::new().with_logins(Settings { documents, ..Settings::default() }, &named);
        Gate::real(subject, named)
    }
}

impl Registries for Portable {
    fn gate(login: Login) -> Gate<Self> {
        let (named, documents) = registries(login);
        Gate::real(Self::new().with_logins(documents, &named), named)
    }
}

type Authorized<S> = Result<<<S as Subject>::Host as Host>::Grant, ErrorCode>;

impl<S: Subject> Gate<S> {
    async fn authorize(&self, challenge: &Challenge, visit: Visit) -> Authorized<S> {
        self.subject.host().authorize(&self.registry, Some("library/alpine"), challenge, visit).await
    }

    /// Sends a request with a grant, and returns the status.
    async fn send(&self, origin: &Origin, grant: &str) -> Result<u16, HttpError> {
        let headers = vec![("wharf-grant".to_owned(), grant.to_owned())];
        let request = Request { method: Method::Get, origin: origin.clone(), path: "/v2/".to_owned(), headers };
        self.subject.host().send(request).await.map(|response| response.status)
    }
}

fn without_a_login_basic_is_not_found<S: Registries>() {
    let gate = S::gate(Login::None);
    gate.subject.run(async {
        for visit in [Visit::WithLogin, Visit::Anonymous] {
            assert_eq!(gate.authorize(&Challenge::Basic, visit).await.err(), Some(ErrorCode::NotFound));
        }
    });
}

fn without_a_login_a_token_is_anonymous<S: Registries>() {
    let gate = S::gate(Login::None);
    gate.subject.run(async {
        for visit in [Visit::WithLogin, Visit::Anonymous] {
            assert!(gate.authorize(&gate.bearer, visit).await.expect("anybody gets a token").anonymous());
        }
    });
}

fn with_a_login_no_grant_is_anonymous<S: Registries>() {
    let gate = S::gate(Login::Good);
    gate.subject.run(async {
        for challenge in [&Challenge::Basic, &gate.bearer] {
            assert!(!gate.authorize(challenge, Visit::WithLogin).await.expect("there is a login").anonymous());
        }
    });
}

fn who_wants_to_be_anonymous_is_although_there_is_a_login<S: Registries>() {
    let gate = S::gate(Login::Good);
    gate.subject.run(async {
        assert!(gate.authorize(&gate.bearer, Visit::Anonymous).await.expect("anybody gets a token").anonymous());
        assert_eq!(gate.authorize(&Challenge::Basic, Visit::Anonymous).await.err(), Some(ErrorCode::NotFound));
    });
}

fn a_login_that_is_rejected_is_denied<S: Registries>() {
    let gate = S::gate(Login::Bad);
    gate.subject.run(async {
        assert_eq!(gate.authorize(&gate.bearer, Visit::WithLogin).await.err(), Some(ErrorCode::Denied));
    });
}

fn a_grant_is_a_word_of_its_own<S: Registries>() {
    let gate = S::gate(Login::Good);
    gate.subject.run(async {
        let id = gate.authorize(&gate.bearer, Visit::WithLogin).await.expect("there is a login").id();
        assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?} is no value of a header");
        assert!(!id.contains("a-token") && !id.contains("lighthouse"), "it is no secret");
    });
}

fn a_grant_goes_to_its_registry_and_to_no_other<S: Registries>() {
    let gate = S::gate(Login::Good);
    gate.subject.run(async {
        let grant = gate.authorize(&gate.bearer, Visit::WithLogin).await.expect("there is a login");
        assert_eq!(gate.send(&gate.registry, &grant.id()).await, Ok(200));
        for (origin, id) in [(&gate.other, &*grant.id()), (&gate.registry, "nobody-gave-this")] {
            let sent = gate.send(origin, id).await;
            assert!(matches!(sent, Err(HttpError::Denied(_))), "{sent:?}");
        }
    });
}
