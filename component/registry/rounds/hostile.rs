//! What careless and hostile endpoints do to the others: nothing. Each test is a
//! script of what they answer, in the order in which they are asked.

use super::stories::{
    BEARER, BYTES, MIRROR, NAME, PLAIN, REGISTRY, asked, endpoint, insecure, manifest, mirrored, rest, rule, what,
};
use crate::{
    host::{Flaw, Host, HttpError, Visit},
    nouns::{
        access::{Access, Capabilities, Endpoint},
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
    registry::script::{Fate, MANIFEST, Script, Witness, broken, reply},
};
use std::cell::RefCell;

const FORGED: &[u8] = b"Forty-two bytes that make a fake, no more.";
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The registry, which only sent the rest, was blamed, and the mirror asked
/// again as soon as it was awake, for ever.
#[test]
fn a_mirror_that_spoils_the_first_bytes_is_not_asked_for_them_again() {
    let slowly = rest(10).fate(Fate::Drip);
    let host = Script::new([reply(200).body(FORGED).fate(Fate::Short(10)), slowly, reply(200).body(BYTES)]);
    let (blob, sent) =
        host.run(host.by(NAME, &mirrored()).blob(&what(), &Witness::default(), &|_| {})).expect("the registry has it");
    assert!(host.uptime_ms() > 30_000, "the mirror has rested");
    assert_eq!((blob.0, sent.fetched_bytes), (BYTES.to_vec(), 84));
    assert_eq!(asked(&host), [MIRROR, REGISTRY, REGISTRY]);
}

#[test]
fn a_mirror_without_the_rest_does_not_cost_what_is_here() {
    let other = reply(206).header("content-range", "bytes 0-41/42").body(BYTES);
    for answer in [reply(416).header("content-range", "bytes */7"), other] {
        let host = Script::new([answer, rest(20)]);
        host.keep_part(&what(), &BYTES[..20]);
        let (_, sent) = host
            .run(host.by(NAME, &mirrored()).blob(&what(), &Witness::default(), &|_| {}))
            .expect("the registry has it");
        assert_eq!((sent.resumed_from, sent.fetched_bytes), (20, 22));
        assert_eq!(asked(&host), [MIRROR, REGISTRY]);
    }
}

#[test]
fn a_mirror_that_asks_for_peace_has_it() {
    let limited = reply(429).header("retry-after", "100");
    let host = Script::new([limited, manifest(), manifest(), manifest()]);
    let access = mirrored();
    let repository = host.by(NAME, &access);
    for wait_ms in [0, 90_000, 20_000] {
        host.run(async {
            host.sleep(wait_ms).await;
            repository.manifest("v1").await
        })
        .expect("somebody has it");
    }
    assert_eq!(asked(&host), [MIRROR, REGISTRY, REGISTRY, MIRROR]);
}

#[test]
fn the_registrys_word_counts_wherever_it_stands() {
    let access = rule(vec![endpoint(REGISTRY, false), endpoint(MIRROR, true)]);
    let host = Script::new([reply(403), reply(404)]);
    let failure = host.run(host.by(NAME, &access).manifest("v1")).expect_err("nobody has it");
    assert_eq!((failure.code, asked(&host)), (ErrorCode::Denied, vec![REGISTRY.to_owned(), MIRROR.to_owned()]));
    assert!(failure.fix.is_some_and(|fix| fix.contains("wharf login lan.example")));
}

/// An attacker who showed a wrong certificate and then refused connections got
/// the request in plain HTTP.
#[test]
fn plain_http_is_not_spoken_after_a_certificate_was_seen() {
    for seen in [HttpError::Certificate(Flaw::Authority, "self-signed".to_owned()), HttpError::Client("who".to_owned())]
    {
        let host = Script::new([broken(seen), broken(HttpError::Connect("refused".to_owned()))]);
        let access = Access { retries: 0, ..insecure() };
        let repository = host.by(NAME, &access);
        host.run(repository.manifest("v1")).expect_err("the certificate is wrong");
        host.run(repository.manifest("v1")).expect_err("nobody listens");
        assert!(!asked(&host).contains(&PLAIN.to_owned()));
    }
}

/// The twin's place in the list was taken for granted.
#[test]
fn plain_http_has_no_twin_where_the_twin_is_not_asked() {
    let resolve = Capabilities { resolve: true, pull: false, push: false };
    let tls = Endpoint { capabilities: resolve, ..endpoint(REGISTRY, false) };
    let access = rule(vec![tls, endpoint(PLAIN, false)]);
    let digest = Digest::of(Algorithm::Sha256, MANIFEST.as_bytes()).to_string();

    let host = Script::new([manifest()]);
    host.run(host.by(&format!("{NAME}@{digest}"), &access).manifest(&digest)).expect("that is what it is listed for");
    assert_eq!(asked(&host), [PLAIN]);

    let host = Script::new([manifest()]);
    let repository = host.by(NAME, &access);
    host.run(repository.manifest("v1")).expect("it answers by TLS");
    let failure = host.run(repository.manifest(&digest)).expect_err("nobody is left who may be asked");
    assert_eq!((failure.code, asked(&host)), (ErrorCode::Denied, vec![REGISTRY.to_owned()]));
}

#[test]
fn bytes_of_an_earlier_run_are_not_held_against_a_mirror() {
    let host = Script::new([reply(200).body(BYTES)]);
    host.keep_part(&what(), FORGED);
    let (_, sent) =
        host.run(host.by(NAME, &mirrored()).blob(&what(), &Witness::default(), &|_| {})).expect("it is mended");
    assert_eq!((asked(&host), sent.resumed_from), (vec![MIRROR.to_owned()], 0));
}

#[test]
fn a_mirror_that_fails_is_told_once_and_what_it_lacks_is_not() {
    let host = Script::new([reply(404), manifest(), reply(401), manifest(), reply(403), manifest()]);
    let told = RefCell::new(Vec::new());
    let access = mirrored();
    let repository = host.by(NAME, &access).with_voice(|text| told.borrow_mut().push(text));
    for tag in ["v1", "v2", "v3"] {
        host.run(repository.manifest(tag)).expect("the registry has it");
    }
    drop(repository);
    let told = told.into_inner();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("`https://mirror.example` failed; asking `https://lan.example`: "), "{told:?}");
}

#[test]
fn a_scope_that_is_missing_is_asked_for_once_whatever_the_status() {
    let narrow = || reply(401).header("www-authenticate", &format!(r#"{BEARER},scope="repository:a/b:pull""#));
    for status in [401, 403] {
        let wide = || {
            let header = format!(r#"{BEARER},scope="repository:c/d:pull",error="insufficient_scope""#);
            reply(status).header("www-authenticate", &header)
        };
        let host = Script::new([narrow(), wide(), manifest()]);
        host.run(host.repository(NAME).manifest("v1")).expect("the wider scope is enough");
        let told = format!("{:?}", host.challenges()[1]);
        assert!(told.contains("repository:a/b:pull") && told.contains("repository:c/d:pull"), "{told}");

        let host = Script::new([narrow(), wide(), wide()]);
        host.run(host.repository(NAME).manifest("v1")).expect_err("it stays refused");
        assert_eq!((host.requests().len(), host.challenges().len()), (3, 2), "{status}");
    }
}

/// One refusal took the login from all that followed.
#[test]
fn a_login_that_is_worth_something_is_kept() {
    let challenged = || reply(401).header("www-authenticate", BEARER);
    let host = Script::new([challenged(), reply(403), reply(403), manifest(), reply(403)]);
    host.log_in();
    let told = RefCell::new(Vec::new());
    let repository = host.repository(NAME).with_voice(|text| told.borrow_mut().push(text));
    host.run(repository.manifest("v1")).expect_err("nobody may read it");
    host.run(repository.manifest("v2")).expect("the login is good for this one");
    host.run(repository.manifest("v3")).expect_err("nobody may read it");
    assert_eq!(
        host.grants_sent(),
        [None, Some("grant-1"), Some("grant-2"), Some("grant-1"), Some("grant-1")].map(|it| it.map(str::to_owned))
    );
    assert_eq!(host.visits(), [Visit::WithLogin, Visit::Anonymous], "that is tried once");
    drop(repository);
    assert_eq!(told.into_inner(), [""; 0]);
}

#[test]
fn nothing_changed_is_believed_of_the_digest_that_was_asked_about() {
    let known = Digest::of(Algorithm::Sha256, MANIFEST.as_bytes());
    let changed = reply(304).header("docker-content-digest", OTHER);
    let host = Script::new([changed, manifest()]);
    let fetched = host.run(host.repository(NAME).manifest_unless("v1", Some(&known)));
    assert!(fetched.is_ok_and(|fetched| fetched.is_some()));
    assert_eq!(host.sent("if-none-match"), [Some(format!("\"{known}\"")), None]);
}

#[test]
fn lengths_that_contradict_each_other_or_the_body_are_refused() {
    for lengths in [&["42", "43"][..], &["42, 43"]] {
        let lying =
            || lengths.iter().fold(reply(200).body(BYTES), |reply, length| reply.header("content-length", length));
        let host = Script::new([lying()]);
        let failure = host.run(host.repository(NAME).blob(&what(), &Witness::default(), &|_| {})).map(|_| ());
        let why = "`lan.example` declares two lengths of one body".to_owned();
        assert_eq!(failure.map_err(|failure| failure.why), Err(vec![why]), "{lengths:?}");
    }
    let same = reply(200).header("content-length", "42").header("content-length", "42, 42").body(BYTES);
    let host = Script::new([same]);
    host.run(host.repository(NAME).blob(&what(), &Witness::default(), &|_| {})).expect("it says one thing");

    let size = MANIFEST.len();
    for length in [size - 1, size + 1] {
        let host = Script::new([manifest().header("content-length", &length.to_string()), manifest()]);
        host.run(host.repository(NAME).manifest("v1")).expect("the second one tells the truth");
        assert_eq!(host.requests().len(), 2, "{length}");
    }
}

#[test]
fn what_registries_write_is_told_in_two_kibibytes() {
    let long = "x".repeat(10_000);
    let entry = format!(r#"{{"code":"{long}","message":"{long}"}}"#);
    let body = format!(r#"{{"errors":[{entry},{entry},{entry}]}}"#);
    let host = Script::new([reply(400).body(body)]);
    let failure = host.run(host.repository(NAME).manifest("v1")).expect_err("it is refused");
    let told: usize = failure.why[1..].iter().map(String::len).sum();
    assert!((1_000..2 * 1_024 + 200).contains(&told), "{told} bytes");
}

#[test]
fn a_limit_is_told_with_its_end() {
    for (name, value, expected) in [
        ("ratelimit-reset", "1200", Some("try again in 20 min")),
        ("retry-after", "9000", Some("try again in 3 h")),
        // Since 1970; it is 784 111 777 now.
        ("ratelimit-reset", "784111837", Some("try again in 60 s")),
        ("ratelimit-reset", "0", None),
        ("ratelimit-reset", "soon", None),
    ] {
        let access = Access { retries: 0, ..Default::default() };
        let host = Script::new([reply(429).header(name, value)]);
        let failure = host.run(host.by(NAME, &access).manifest("v1")).expect_err("it is limited");
        let fix = failure.fix.unwrap_or_default();
        assert_eq!(fix.split(';').next().filter(|fix| fix.starts_with("try")), expected, "{name}: {value}: {fix}");
    }
}

#[test]
fn what_another_host_warns_of_is_not_the_registrys_word() {
    let warned = |status| reply(status).header("warning", r#"299 - "buy more""#);
    let host = Script::new([reply(307).header("location", "https://cdn.example/x"), warned(200).body(MANIFEST)]);
    let told = RefCell::new(Vec::new());
    let repository = host.repository(NAME).with_voice(|text| told.borrow_mut().push(text));
    host.run(repository.manifest("v1")).expect("it arrives");
    drop(repository);
    assert_eq!(told.into_inner(), [""; 0]);
}
