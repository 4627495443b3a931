//! How a mirror and the registry take turns: each test is a script of what they
//! answer, in the order in which they are asked.

use crate::{
    host::{HttpError, Origin, Visit},
    nouns::{
        access::{Access, AskedFor, Capabilities, Endpoint, Rule},
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
    registry::{
        Sent,
        script::{MANIFEST, Reply, Script, Witness, broken, reply},
    },
};
use std::cell::RefCell;

pub(super) const BYTES: &[u8] = b"forty-two bytes that make a blob, no more.";
pub(super) const NAME: &str = "lan.example/a/b";
pub(super) const BEARER: &str = r#"Bearer realm="https://auth.example/token",service="lan.example""#;

pub(super) fn what() -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, BYTES);
    Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", digest, BYTES.len() as u64)
}

pub(super) fn endpoint(url: &str, mirror: bool) -> Endpoint {
    let (scheme, authority) = url.split_once("://").expect("the test writes a URL");
    Endpoint {
        origin: Origin { secure: scheme == "https", authority: authority.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror,
        names_registry: mirror,
    }
}

pub(super) fn rule(endpoints: Vec<Endpoint>) -> Access {
    let rule = Rule { prefix: "lan.example".to_owned(), blocked: false, endpoints };
    Access { rules: vec![rule], ..Access::default() }
}

/// A mirror before the registry.
pub(super) fn mirrored() -> Access {
    rule(vec![endpoint("https://mirror.example", true)])
}

/// A registry that may be without TLS.
pub(super) fn insecure() -> Access {
    rule(vec![endpoint("https://lan.example", false), endpoint("http://lan.example", false)])
}

pub(super) fn manifest() -> Reply {
    reply(200).header("content-type", "application/vnd.oci.image.manifest.v1+json").body(MANIFEST)
}

pub(super) fn rest(first: usize) -> Reply {
    let range = format!("bytes {first}-{}/{}", BYTES.len() - 1, BYTES.len());
    reply(206).header("content-range", &range).body(&BYTES[first..])
}

/// Who was asked, in order.
pub(super) fn asked(host: &Script) -> Vec<String> {
    let url = |origin: Origin| format!("{}://{}", if origin.secure { "https" } else { "http" }, origin.authority);
    host.requests().into_iter().map(|request| url(request.origin)).collect()
}

pub(super) const MIRROR: &str = "https://mirror.example";
pub(super) const REGISTRY: &str = "https://lan.example";
pub(super) const PLAIN: &str = "http://lan.example";

#[test]
fn whatever_a_mirror_fails_of_the_registry_is_asked_at_once() {
    for failure in [
        reply(404),
        reply(401),
        reply(403),
        reply(400),
        reply(429),
        reply(503),
        reply(200).header("content-type", "text/html").body("<html>"),
        reply(200).header("docker-content-digest", "md5:0").body(MANIFEST),
        reply(307),
        broken(HttpError::Name("no such host".to_owned())),
        broken(HttpError::Connect("refused".to_owned())),
        broken(HttpError::Tls("not TLS".to_owned())),
        broken(HttpError::Timeout),
        broken(HttpError::Denied("link-local".to_owned())),
    ] {
        let told = format!("{failure:?}");
        let host = Script::new([failure, manifest()]);
        let fetched = host.run(host.by(NAME, &mirrored()).manifest("v1")).expect(&told);
        assert_eq!(fetched.sent.endpoint.as_deref(), Some(REGISTRY), "{told}");
        assert_eq!((asked(&host), fetched.sent.attempts), (vec![MIRROR.to_owned(), REGISTRY.to_owned()], 2), "{told}");
        assert!(host.slept().is_empty(), "{told}");
    }
}

#[test]
fn a_mirror_is_told_which_registry_is_meant_and_the_registry_is_not() {
    let host = Script::new([reply(404), manifest()]);
    host.run(host.by(NAME, &mirrored()).manifest("v1")).expect("the registry has it");
    let paths: Vec<String> = host.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v2/a/b/manifests/v1?ns=lan.example", "/v2/a/b/manifests/v1"]);
}

#[test]
fn a_blob_goes_on_at_the_registry_where_the_mirror_broke_off() {
    let host = Script::new([reply(200).body(BYTES).cut_at(10), rest(10)]);
    let watch = Witness::default();
    let (blob, sent) =
        host.run(host.by(NAME, &mirrored()).blob(&what(), &watch, &|_| {})).expect("the registry has it");
    assert_eq!(blob.0, BYTES);
    let expected = Sent { endpoint: Some(REGISTRY.to_owned()), attempts: 2, resumed_from: 0, fetched_bytes: 42 };
    assert_eq!(sent, expected);
    assert_eq!(host.sent("range"), [None, Some("bytes=10-".to_owned())]);
    assert!(host.slept().is_empty());
}

#[test]
fn a_mirror_with_other_bytes_is_not_asked_for_them_again() {
    let forged = b"forty-two bytes that make a fake, no more.";
    let host = Script::new([reply(200).body(&forged[..]), reply(200).body(BYTES)]);
    let (blob, sent) =
        host.run(host.by(NAME, &mirrored()).blob(&what(), &Witness::default(), &|_| {})).expect("the registry has it");
    assert_eq!((blob.0, sent.endpoint.as_deref(), sent.fetched_bytes), (BYTES.to_vec(), Some(REGISTRY), 84));
    assert_eq!(asked(&host), [MIRROR, REGISTRY]);
    assert_eq!(host.sent("range"), [None, None], "nothing of the mirror is kept");
}

#[test]
fn a_mirror_that_does_not_work_is_left_alone_for_a_while() {
    let host = Script::new([reply(503), manifest(), manifest(), manifest()]);
    let access = mirrored();
    let repository = host.by(NAME, &access);
    host.run(repository.manifest("v1")).expect("the registry has it");
    host.run(repository.manifest("v1")).expect("the registry has it");
    assert_eq!(asked(&host), [MIRROR, REGISTRY, REGISTRY]);
    host.run(async {
        crate::host::Host::sleep(&host, 30_000).await;
        repository.manifest("v1").await
    })
    .expect("the mirror has recovered");
    assert_eq!(asked(&host).last().map(String::as_str), Some(MIRROR));
}

#[test]
fn a_mirror_that_lacks_one_thing_is_asked_for_the_next() {
    let host = Script::new([reply(404), manifest(), manifest()]);
    let access = mirrored();
    let repository = host.by(NAME, &access);
    host.run(repository.manifest("v1")).expect("the registry has it");
    host.run(repository.manifest("v2")).expect("the mirror has it");
    assert_eq!(asked(&host), [MIRROR, REGISTRY, MIRROR]);
}

#[test]
fn when_all_have_failed_each_is_told_and_the_registry_counts() {
    let host = Script::new([reply(404), reply(403)]);
    let failure = host.run(host.by(NAME, &mirrored()).manifest("v1")).expect_err("nobody has it");
    assert_eq!(failure.code, ErrorCode::Denied);
    assert_eq!(
        failure.why,
        [
            "`https://mirror.example`: `mirror.example/a/b` has no tag `v1`",
            "`https://lan.example`: `lan.example/a/b` does not exist, or it takes a login to read it: `lan.example` \
             answered 403 Forbidden to `GET /v2/a/b/manifests/v1`",
        ]
    );
    assert!(failure.fix.is_some_and(|fix| fix.contains("wharf login lan.example")));
}

#[test]
fn when_all_have_failed_and_it_may_pass_there_is_another_round() {
    let host = Script::new([reply(404), reply(503), reply(404), manifest()]);
    host.run(host.by(NAME, &mirrored()).manifest("v1")).expect("the second round is good");
    assert_eq!(asked(&host), [MIRROR, REGISTRY, MIRROR, REGISTRY]);
    assert_eq!(host.slept().len(), 1);

    let host = Script::new((0..4).map(|_| reply(503)));
    let access = Access { retries: 1, ..mirrored() };
    let failure = host.run(host.by(NAME, &access).manifest("v1")).expect_err("nobody recovers");
    assert_eq!(asked(&host), [MIRROR, REGISTRY, REGISTRY], "the mirror rests");
    assert_eq!(failure.why.len(), 3, "two endpoints, and how long it was tried: {:?}", failure.why);
    assert!(failure.why[2].starts_with("gave up after 2 attempts"), "{:?}", failure.why);
}

#[test]
fn without_retries_there_is_one_attempt() {
    let host = Script::new([reply(503), manifest()]);
    let access = Access { retries: 0, ..Access::default() };
    host.run(host.by(NAME, &access).manifest("v1")).expect_err("there is no second attempt");
    assert_eq!(asked(&host), [REGISTRY]);
}

#[test]
fn a_full_disk_is_no_matter_of_mirrors() {
    let host = Script::new([reply(200).body(BYTES), manifest()]);
    host.fill_disk();
    let access = mirrored();
    let repository = host.by(NAME, &access);
    let failure = host.run(repository.blob(&what(), &Witness::default(), &|_| {})).map(|_| ());
    assert_eq!(failure.expect_err("there is no space").code, ErrorCode::NoSpace);
    assert_eq!(asked(&host), [MIRROR]);
    host.run(repository.manifest("v1")).expect("the mirror did nothing wrong");
    assert_eq!(asked(&host), [MIRROR, MIRROR]);
}

#[test]
fn plain_http_is_spoken_only_where_there_is_no_tls() {
    for error in [HttpError::Connect("refused".to_owned()), HttpError::Tls("not TLS".to_owned())] {
        let host = Script::new([broken(error), manifest(), manifest()]);
        let access = insecure();
        let repository = host.by(NAME, &access);
        host.run(repository.manifest("v1")).expect("it speaks plain HTTP");
        host.run(repository.manifest("v2")).expect("it still does");
        assert_eq!(asked(&host), [REGISTRY, PLAIN, PLAIN]);
    }
}

#[test]
fn plain_http_is_not_spoken_after_tls_was_seen_to_work() {
    use crate::host::Flaw;
    for failures in [
        vec![broken(HttpError::Certificate(Flaw::Time, "expired".to_owned()))],
        vec![broken(HttpError::Timeout), broken(HttpError::Timeout)],
        vec![reply(404)],
        vec![reply(503), reply(503)],
        vec![reply(503), broken(HttpError::Connect("refused".to_owned()))],
    ] {
        let told = format!("{failures:?}");
        let host = Script::new(failures);
        let access = Access { retries: 1, ..insecure() };
        host.run(host.by(NAME, &access).manifest("v1")).expect_err(&told);
        assert!(!asked(&host).contains(&PLAIN.to_owned()), "{told}");
    }
}

#[test]
fn a_grant_of_one_endpoint_is_not_sent_to_another() {
    let challenged = || reply(401).header("www-authenticate", BEARER);
    let host = Script::new([challenged(), reply(404), challenged(), manifest()]);
    host.run(host.by(NAME, &mirrored()).manifest("v1")).expect("the registry has it");
    let grant = |name: &str| Some(name.to_owned());
    assert_eq!(host.grants_sent(), [None, grant("grant-1"), None, grant("grant-2")]);
    let origins: Vec<String> = host.challenges().into_iter().map(|(origin, _)| origin.authority).collect();
    assert_eq!(origins, ["mirror.example", "lan.example"]);
}

#[test]
fn a_refused_login_is_done_without_where_everybody_may_read() {
    let challenged = || reply(401).header("www-authenticate", BEARER);
    let (with, without) = (Visit::WithLogin, Visit::Anonymous);
    for (replies, is_rejected, visits) in [
        // The token server refuses it.
        (vec![challenged(), manifest()], true, vec![with, without]),
        // The registry refuses the token.
        (vec![challenged(), challenged(), manifest()], false, vec![with, without]),
        (vec![challenged(), reply(403), manifest()], false, vec![with, without]),
    ] {
        let host = Script::new(replies);
        host.log_in();
        if is_rejected {
            host.deny_logins(ErrorCode::Denied);
        }
        let told = RefCell::new(Vec::new());
        let repository = host.repository(NAME).with_voice(|text| told.borrow_mut().push(text));
        host.run(repository.manifest("v1")).expect("it is public");
        assert_eq!(host.visits(), visits);
        drop(repository);
        let told = told.into_inner();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("`lan.example` refused the login for it; `lan.example/a/b` is public"), "{told:?}");
    }
}

#[test]
fn a_refused_login_is_told_where_nobody_else_may_read() {
    let challenged = || reply(401).header("www-authenticate", BEARER);
    for replies in [vec![challenged(), reply(403)], vec![challenged(), challenged()]] {
        let host = Script::new(replies);
        host.log_in();
        host.deny_logins(ErrorCode::Denied);
        let told = RefCell::new(Vec::new());
        let repository = host.repository(NAME).with_voice(|text| told.borrow_mut().push(text));
        let failure = host.run(repository.manifest("v1")).expect_err("it is private");
        assert!(failure.why[0].starts_with("the login was rejected"), "{failure:?}");
        drop(repository);
        assert!(told.into_inner().is_empty());
    }
}

#[test]
fn a_registry_that_wants_a_wider_scope_gets_it_once() {
    let narrow = || reply(401).header("www-authenticate", &format!(r#"{BEARER},scope="repository:a/b:pull""#));
    let wide = || {
        let scope = r#"scope="repository:a/b:pull,push",error="insufficient_scope""#;
        reply(401).header("www-authenticate", &format!("{BEARER},{scope}"))
    };
    let host = Script::new([narrow(), wide(), manifest()]);
    host.run(host.repository(NAME).manifest("v1")).expect("the wider scope is enough");
    assert_eq!(host.challenges().len(), 2);

    let host = Script::new([narrow(), wide(), wide()]);
    host.run(host.repository(NAME).manifest("v1")).expect_err("it stays refused");
    assert_eq!((host.requests().len(), host.challenges().len()), (3, 2));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let known = Digest::of(Algorithm::Sha256, MANIFEST.as_bytes());
    let host = Script::new([reply(304)]);
    assert_eq!(host.run(host.repository(NAME).manifest_unless("v1", Some(&known))), Ok(None));
    assert_eq!(host.sent("if-none-match"), [Some(format!("\"{known}\""))]);

    // Nobody asked for that.
    let host = Script::new([reply(304)]);
    host.run(host.repository(NAME).manifest("v1")).expect_err("there is no document");
}

#[test]
fn what_a_registry_has_to_say_is_told_once() {
    let warned = || manifest().header("warning", r#"299 - "this tag goes away""#);
    let limited = |left: &str| warned().header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", left);
    let host = Script::new([limited("50;w=21600"), limited("9;w=21600"), limited("8;w=21600")]);
    let told = RefCell::new(Vec::new());
    let repository = host.repository(NAME).with_voice(|text| told.borrow_mut().push(text));
    for tag in ["v1", "v2", "v3"] {
        host.run(repository.manifest(tag)).expect("it has it");
    }
    let limit = repository.limit().expect("it said so");
    assert_eq!((limit.limit, limit.remaining, limit.window_s), (100, 8, Some(21_600)));
    drop(repository);
    assert_eq!(
        told.into_inner(),
        [
            "`lan.example` says: this tag goes away",
            "`lan.example` allows 100 pulls, and few are left; it refuses more for a while",
        ]
    );
}

#[test]
fn a_blocked_repository_is_not_asked_for() {
    let access = Access {
        rules: vec![Rule { prefix: "lan.example/a".to_owned(), blocked: true, endpoints: Vec::new() }],
        ..Access::default()
    };
    let host = Script::new([]);
    let reference = NAME.parse().expect("a reference");
    let failure = crate::registry::Repository::open(&host, &reference, &access).expect_err("it is blocked");
    assert_eq!(failure.code, ErrorCode::Denied);
    assert_eq!(failure.why, ["the configuration of this machine blocks `lan.example/a`"]);
}

/// A registry that refuses connections was once told as one that the
/// configuration does not name, after a single attempt.
#[test]
fn a_registry_that_refuses_connections_is_tried_again_and_told_as_that() {
    let refused = || broken(HttpError::Connect("refused".to_owned()));
    let host = Script::new([refused(), refused(), manifest()]);
    host.run(host.repository("lan.example/a/b").manifest("v1")).expect("it is there again");
    let host = Script::new((0..20).map(|_| refused()));
    let failure = host.run(host.repository("lan.example/a/b").manifest("v1")).expect_err("nobody listens");
    assert_eq!(failure.code, ErrorCode::Unavailable);
    assert_eq!(failure.why[0], "cannot connect to `lan.example`: refused");
}
