//! `check-login`: what a registry says about the login that the host has.

use super::{Access, World};
use wharf_component::{
    host::{Challenge, HttpError, Request},
    nouns::{
        access::{AskedFor, Capabilities, Endpoint, Origin, Rule},
        problem::{ErrorCode, Problem},
    },
    verbs,
};
use wharf_sim::memory::network::{Answer, Grant};

const LAN: &str = "registry.lan:5000";

impl World {
    fn check_login(&self, registry: &str, access: &Access) -> Result<bool, Problem> {
        self.memory.run(verbs::check_login(&self.memory, registry, access))
    }

    /// Starts a registry that answers this challenge, and 200 to whoever sends
    /// the grant `good`.
    fn challenge(&self, authority: &str, challenge: &'static str) {
        self.memory.network().serve(authority, move |request| {
            let good = request.headers.contains(&("wharf-grant".to_owned(), "good".to_owned()));
            let status = if good { 200 } else { 401 };
            let answer = Answer::new(status, "application/json", *b"{}");
            Ok(if good { answer } else { answer.with("www-authenticate", challenge) })
        });
    }

    fn login(&self, id: &str, anonymous: bool) {
        self.memory.network().log_in(LAN, Ok(Grant { id: id.to_owned(), anonymous }));
    }
}

fn status(status: u16) -> impl Fn(&Request) -> Result<Answer, HttpError> {
    move |_| Ok(Answer::new(status, "application/json", *b"{}"))
}

#[test]
fn a_registry_that_asks_for_nothing_wants_no_login() {
    let world = World::new();
    world.memory.network().serve(LAN, status(200));
    assert_eq!(world.check_login(LAN, &Access::default()), Ok(false));
    assert_eq!(world.memory.network().requests_with_origin(), [format!("https://{LAN}/v2/")]);
}

#[test]
fn a_login_is_accepted_or_rejected_by_basic_and_by_bearer() {
    let bearer = r#"Bearer realm="https://auth.lan/token",service="lan""#;
    for challenge in ["Basic realm=\"lan\"", bearer] {
        let world = World::new();
        world.challenge(LAN, challenge);
        world.login("good", false);
        assert_eq!(world.check_login(LAN, &Access::default()), Ok(true), "{challenge}");
        world.login("bad", false);
        let problem = world.check_login(LAN, &Access::default()).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Denied);
        assert_eq!(problem.what, format!("cannot log in to `{LAN}`"));
        assert!(problem.why[0].contains("rejected the login"), "{problem:?}");
        assert!(problem.fix.is_some());
    }
}

#[test]
fn no_repository_is_asked_for() {
    let world = World::new();
    let asked = |challenge: &'static str| {
        world.challenge(LAN, challenge);
        world.login("good", false);
        world.check_login(LAN, &Access::default()).unwrap();
        world.memory.network().challenges()
    };
    let expected = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        [Challenge::Bearer { realm: "https://auth.lan/token".to_owned(), service: None, scopes }]
    };
    assert_eq!(asked(r#"Bearer realm="https://auth.lan/token""#), expected(&[]));
    let scope = r#"Bearer realm="https://auth.lan/token",scope="registry:catalog:*""#;
    assert_eq!(asked(scope), expected(&["registry:catalog:*"]));
}

#[test]
fn without_a_login_there_is_none_to_accept() {
    let world = World::new();
    world.challenge(LAN, "Basic realm=\"lan\"");
    let expected = (ErrorCode::Denied, format!("`{LAN}` wants a login, and there is none for it"));
    let told = |problem: Problem| (problem.code, problem.why[0].clone());
    assert_eq!(told(world.check_login(LAN, &Access::default()).unwrap_err()), expected);
    // A token that was got without a login proves nothing.
    world.login("good", true);
    assert_eq!(told(world.check_login(LAN, &Access::default()).unwrap_err()), expected);
}

#[test]
fn what_is_no_registry_says_what_it_is() {
    for (answer, code) in [
        (404, ErrorCode::NotFound),
        (403, ErrorCode::Denied),
        (503, ErrorCode::Unavailable),
        (429, ErrorCode::Unavailable),
        (301, ErrorCode::Invalid),
    ] {
        let world = World::new();
        world.memory.network().serve(LAN, status(answer));
        let problem = world.check_login(LAN, &Access::default()).unwrap_err();
        assert_eq!(problem.code, code, "{problem:?}");
        assert!(problem.why[1].contains(&format!("answered {answer} to `GET /v2/`")), "{problem:?}");
    }
    for text in ["", "org", "lan.io/org", "https://lan.io", "lan.io:v1:2", "lan.io@x"] {
        let problem = World::new().check_login(text, &Access::default()).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Invalid, "{text}");
    }
}

fn endpoint(secure: bool, mirror: bool, authority: &str) -> Endpoint {
    Endpoint {
        origin: Origin { secure, authority: authority.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror,
        names_registry: false,
    }
}

#[test]
fn the_registry_itself_is_asked_and_by_plain_http_only_where_tls_fails() {
    let rule = |blocked| Rule {
        prefix: LAN.to_owned(),
        blocked,
        endpoints: vec![endpoint(true, true, "mirror.lan"), endpoint(true, false, LAN), endpoint(false, false, LAN)],
    };
    let world = World::new();
    let access = Access { rules: vec![rule(false)], ..Access::default() };
    world.memory.network().serve(LAN, |request| match request.origin.secure {
        true => Err(HttpError::Tls("no handshake".to_owned())),
        false => Ok(Answer::new(200, "application/json", *b"{}")),
    });
    assert_eq!(world.check_login(LAN, &access), Ok(false));
    let both = [format!("https://{LAN}/v2/"), format!("http://{LAN}/v2/")];
    assert_eq!(world.memory.network().requests_with_origin(), both);

    // Whoever answers by TLS is the registry, whatever it says.
    world.memory.network().serve(LAN, status(503));
    assert_eq!(world.check_login(LAN, &access).unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(world.memory.network().requests_with_origin(), both[..1]);

    let blocked = Access { rules: vec![rule(true)], ..Access::default() };
    assert_eq!(world.check_login(LAN, &blocked).unwrap_err().code, ErrorCode::Denied);
    assert!(world.memory.network().requests_with_origin().is_empty());
}
