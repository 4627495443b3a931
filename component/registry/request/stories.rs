//! How requests go: each test is one registry, and what it sees.

use super::*;
use crate::{
    host::{Challenge, Origin},
    nouns::{digest::Algorithm, digest::Digest},
    registry::script::{MANIFEST, Reply, Script, broken, reply, silent},
};

const BEARER: &str =
    r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull""#;

fn challenge() -> Challenge {
    Challenge::Bearer {
        realm: "https://auth.example/token".to_owned(),
        service: Some("registry.example".to_owned()),
        scopes: vec!["repository:a/b:pull".to_owned()],
    }
}

fn registry() -> Origin {
    Origin { secure: true, authority: "registry.example".to_owned() }
}

#[test]
fn a_request_carries_what_every_request_carries() {
    let host = Script::new([reply(200).body(MANIFEST)]);
    host.run(host.repository("registry.example/a/b").manifest("v1")).expect("the manifest arrives");
    let headers = [
        ("user-agent", concat!("wharf/", env!("CARGO_PKG_VERSION"))),
        ("accept-encoding", "identity"),
        (
            "accept",
            "application/vnd.oci.image.index.v1+json, \
             application/vnd.docker.distribution.manifest.list.v2+json, \
             application/vnd.oci.image.manifest.v1+json, \
             application/vnd.docker.distribution.manifest.v2+json",
        ),
    ];
    assert_eq!(
        host.requests(),
        [Request {
            method: Method::Get,
            origin: registry(),
            path: "/v2/a/b/manifests/v1".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }]
    );
}

#[test]
fn a_challenge_is_answered_and_the_grant_is_kept() {
    let host = Script::new([
        reply(401).header("www-authenticate", BEARER),
        reply(200).body(MANIFEST),
        reply(200).body(MANIFEST),
    ]);
    let repository = host.repository("registry.example/a/b");
    host.run(repository.manifest("v1")).expect("the grant opens the door");
    host.run(repository.manifest("v2")).expect("the grant is kept");
    assert_eq!(host.grants_sent(), [None, Some("grant-1"), Some("grant-1")].map(|grant| grant.map(str::to_owned)));
    assert_eq!(host.challenges(), [(registry(), challenge())]);
}

#[test]
fn a_stale_grant_is_renewed_once() {
    let refused = || reply(401).header("www-authenticate", BEARER);
    let host = Script::new([refused(), reply(200).body(MANIFEST), refused(), reply(200).body(MANIFEST)]);
    let repository = host.repository("registry.example/a/b");
    host.run(repository.manifest("v1")).expect("the first grant is good");
    host.run(repository.manifest("v1")).expect("the second grant is good");
    assert_eq!(
        host.grants_sent(),
        [None, Some("grant-1"), Some("grant-1"), Some("grant-2")].map(|grant| grant.map(str::to_owned))
    );
}

#[test]
fn a_refused_fresh_grant_is_a_denial_with_a_hint() {
    let refused = || reply(401).header("www-authenticate", BEARER);
    let host = Script::new([refused(), refused().body(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("it stays refused");
    assert_eq!(failure.code, ErrorCode::Denied);
    assert_eq!(
        failure.why,
        [
            "`registry.example/a/b` does not exist, or it takes a login to read it",
            "`registry.example` answered 401 Unauthorized to `GET /v2/a/b/manifests/v1`",
            "the registry says: UNAUTHORIZED",
        ]
    );
    assert!(failure.fix.is_some_and(|fix| fix.contains("`wharf login registry.example`")));
    assert_eq!(host.requests().len(), 2);
}

#[test]
fn overlapping_requests_share_one_renewal() {
    let refused = || reply(401).header("www-authenticate", BEARER);
    let host = Script::new([refused(), refused(), reply(200).body(MANIFEST), reply(200).body(MANIFEST)]);
    let repository = host.repository("registry.example/a/b");
    let (one, other) = host.run(futures_util::future::join(repository.manifest("v1"), repository.manifest("v2")));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(host.challenges(), [(registry(), challenge())]);
}

#[test]
fn a_login_that_the_host_does_not_have_is_told() {
    for (code, why) in [
        (ErrorCode::NotFound, "`registry.example` wants a login, and there is none for it"),
        (
            ErrorCode::Denied,
            "`registry.example` rejected the login, or it named a token server that the login may not be sent to",
        ),
    ] {
        let host = Script::new([reply(401).header("www-authenticate", "Basic realm=\"x\"")]);
        host.deny_logins(code);
        let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("no grant");
        assert_eq!((failure.code, failure.why), (ErrorCode::Denied, vec![why.to_owned()]));
        assert!(failure.fix.is_some_and(|fix| fix.contains("`wharf login registry.example`")));
        assert_eq!(host.challenges(), [(registry(), Challenge::Basic)]);
    }
}

/// Both were told as one word of the error code, without what to do.
#[test]
fn a_login_that_the_host_cannot_use_is_told() {
    for (code, why, fix) in [
        (
            ErrorCode::Invalid,
            "the logins of this machine, or the challenge of `registry.example`, cannot be read; see the warning above",
            None,
        ),
        (
            ErrorCode::Unsupported,
            "the program that keeps the login for `registry.example` failed; see the warning above",
            Some("check `credsStore` and `credHelpers` in `config.json`, or `wharf login registry.example`"),
        ),
    ] {
        let host = Script::new([reply(401).header("www-authenticate", BEARER)]);
        host.deny_logins(code.clone());
        let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("no grant");
        assert_eq!(failure, Failure { code, why: vec![why.to_owned()], fix: fix.map(str::to_owned) });
    }
}

#[test]
fn a_challenge_that_nobody_can_answer_is_told() {
    let host =
        Script::new([reply(401).header("www-authenticate", "Negotiate").header("www-authenticate", "Digest a=b")]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("no scheme is known");
    assert_eq!(
        failure,
        Failure::new(
            ErrorCode::Denied,
            "`registry.example` wants a login and offers only `negotiate`, `digest`; wharf knows `bearer` and `basic`"
        )
    );
}

#[test]
fn the_grant_does_not_cross_a_redirect_to_another_origin() {
    let host = Script::new([
        reply(401).header("www-authenticate", BEARER),
        reply(307).header("location", "https://cdn.example/data?signature=x"),
        reply(302).header("location", "https://registry.example:443/back"),
        reply(301).header("location", "https://registry.example:8443/neighbour"),
        reply(200).body(MANIFEST),
    ]);
    host.run(host.repository("registry.example/a/b").manifest("v1")).expect("the last one answers");
    let seen: Vec<_> = host.requests().iter().map(|request| request.origin.authority.clone()).collect();
    assert_eq!(
        seen,
        ["registry.example", "registry.example", "cdn.example", "registry.example", "registry.example:8443"]
    );
    assert_eq!(
        host.grants_sent(),
        [None, Some("grant-1"), None, None, None].map(|grant| grant.map(str::to_owned)),
        "nor does it come back: who was sent away may be sent to any path"
    );
    assert_eq!(host.requests()[2].path, "/data?signature=x");
}

#[test]
fn a_challenge_of_another_origin_is_not_answered() {
    let host = Script::new([
        reply(307).header("location", "https://cdn.example/data?signature=secret"),
        reply(401).header("www-authenticate", BEARER),
    ]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("the store refuses");
    assert_eq!(failure, Failure::new(ErrorCode::Denied, "`cdn.example` answered 401 Unauthorized to `GET /data`"));
    assert_eq!(host.challenges(), []);
}

#[test]
fn redirects_that_break_the_rule_are_not_followed() {
    let refused = |location: &str, why: &str| {
        format!("`registry.example` redirects to `{location}`, which is not followed: {why}")
    };
    for (reply, why) in [
        (
            reply(307).header("location", "http://registry.example/x?signature=secret"),
            refused("http://registry.example/x", "it leads from `https` to `http`"),
        ),
        (reply(302).header("location", "file:///x"), refused("file:///x", "it is neither `http` nor `https`")),
        (reply(301), "`registry.example` redirects, but does not say where to".to_owned()),
        (
            reply(301).header("location", "/a").header("location", "/b"),
            "`registry.example` redirects, but does not say where to".to_owned(),
        ),
    ] {
        let host = Script::new([reply]);
        let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("not followed");
        assert_eq!(failure, Failure::new(ErrorCode::Invalid, why));
        assert_eq!(host.requests().len(), 1);
    }
}

#[test]
fn the_sixth_redirect_is_not_followed() {
    let hop = || reply(302).header("location", "/again");
    let five = [hop(), hop(), hop(), hop(), hop(), reply(200).body(MANIFEST)];
    let host = Script::new(five);
    host.run(host.repository("registry.example/a/b").manifest("v1")).expect("five are followed");

    let host = Script::new([hop(), hop(), hop(), hop(), hop(), hop()]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("six are not");
    assert_eq!(failure, Failure::new(ErrorCode::Invalid, "`registry.example` redirects more than 5 times"));
}

#[test]
fn what_passes_is_sent_again_after_a_wait() {
    let digest = Digest::of(Algorithm::Sha256, MANIFEST.as_bytes());
    let host = Script::new([
        reply(503),
        reply(503).header("retry-after", "7"),
        broken(HttpError::Connect("refused".to_owned())),
        reply(200).body(MANIFEST),
    ]);
    let fetched = host.run(host.repository("registry.example/a/b").manifest("v1")).expect("the fourth one answers");
    assert_eq!(fetched.descriptor.digest, digest);
    let slept = host.slept();
    assert!(slept.len() == 3 && slept[0] <= 1_000 && slept[1] == 7_000 && slept[2] <= 4_000, "{slept:?}");
}

#[test]
fn a_registry_that_accepts_and_stays_silent_is_given_up() {
    let host = Script::new([silent(), silent(), silent(), silent(), silent()]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("no answer");
    assert_eq!(failure.code, ErrorCode::Unavailable);
    assert_eq!(failure.why[0], "`registry.example` did not answer in time");
    assert!(host.uptime_ms() < 340_000, "{} ms", host.uptime_ms());
}

fn nameless() -> Reply {
    broken(HttpError::Name("no such host".to_owned()))
}

#[test]
fn a_name_that_never_led_anywhere_is_tried_twice() {
    let host = Script::new([nameless(), nameless()]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("no such name");
    assert_eq!(
        failure.why,
        ["the name `registry.example` does not resolve: no such host", "gave up after 2 attempts in 0 s"]
    );
    assert!(failure.fix.is_some_and(|fix| fix.contains("spelling")));
    assert!(host.uptime_ms() <= 1_010, "{} ms", host.uptime_ms());
}

/// One failed look-up ended a pull of an hour, with advice to check the spelling.
#[test]
fn a_name_that_led_somewhere_before_is_tried_for_a_while() {
    let host = Script::new([reply(200).body(MANIFEST), nameless(), nameless(), nameless(), reply(200).body(MANIFEST)]);
    let repository = host.repository("registry.example/a/b");
    host.run(repository.manifest("v1")).expect("the name resolves");
    host.run(repository.manifest("v1")).expect("the name resolves again");

    let mut replies = vec![reply(200).body(MANIFEST)];
    replies.extend((0..5).map(|_| nameless()));
    let host = Script::new(replies);
    let repository = host.repository("registry.example/a/b");
    host.run(repository.manifest("v1")).expect("the name resolves");
    let failure = host.run(repository.manifest("v1")).expect_err("it does not any more");
    assert!(failure.why[1].starts_with("gave up after 5 attempts in "), "{:?}", failure.why);
    assert_eq!(failure.fix.as_deref(), Some("check the connection to the network and its name server"));
    assert!(host.uptime_ms() <= 15_100, "{} ms", host.uptime_ms());
}

#[test]
fn an_expired_address_is_asked_for_once_more() {
    let elsewhere = |signature| reply(307).header("location", &format!("https://cdn.example/x?signature={signature}"));
    let host = Script::new([elsewhere(1), reply(403), elsewhere(2), reply(200).body(MANIFEST)]);
    host.run(host.repository("registry.example/a/b").manifest("v1")).expect("the second address is good");
    assert_eq!((host.requests()[3].path.as_str(), host.requests().len()), ("/x?signature=2", 4));

    let host = Script::new([elsewhere(1), reply(403), elsewhere(2), reply(403)]);
    let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("it stays forbidden");
    assert_eq!(failure.code, ErrorCode::Denied);
    assert_eq!(failure.why[0], "`cdn.example` answered 403 Forbidden to `GET /x`");
    assert_eq!(host.requests().len(), 4);
}

#[test]
fn who_asks_for_a_wait_is_named() {
    let busy = || reply(503).header("retry-after", "20");
    let host = Script::new([
        busy(),
        reply(307).header("location", "https://cdn.example/x"),
        busy(),
        reply(200).body(MANIFEST),
    ]);
    let told = std::cell::RefCell::new(Vec::new());
    let repository = host.repository("registry.example/a/b").with_voice(|text| told.borrow_mut().push(text));
    host.run(repository.manifest("v1")).expect("both had their peace");
    assert_eq!(
        *told.borrow(),
        ["registry.example", "cdn.example"].map(|who| format!("`{who}` asks to wait 20 s before the next request"))
    );
}
