//! Uploads, by registries that answer by a script. Which rule each is about stands in
//! its name; fault numbers are those of the table of faults of the tests.

use super::*;
use crate::{
    host::{Challenge, HttpError},
    nouns::{
        digest::{Algorithm, Digest},
        media_type,
    },
    planted,
    registry::script::{Reply, Script, Witness, broken, reply, silent},
};

const BLOB: &[u8] = b"the bytes of a layer, which are not many";

fn what(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(Algorithm::Sha256, bytes), bytes.len() as u64)
}

fn begun() -> Reply {
    reply(202).header("location", "/v2/a/b/blobs/uploads/1?state=x")
}

fn accepted(bytes: usize) -> Reply {
    begun().header("range", &format!("0-{}", bytes.max(1) - 1))
}

fn done() -> Reply {
    reply(201)
}

fn big() -> Vec<u8> {
    (0..=WHOLE_BYTES_MAX).map(|at| b'a' + (at % 23) as u8).collect()
}

/// Uploads, and returns what came of it with the requests in short: the method, the
/// last part of the path, and how many bytes it carried.
fn upload(host: &Script, bytes: &[u8], sources: &[&str]) -> (Result<Delivered, Failure>, Vec<String>, Witness) {
    host.keep(bytes);
    let witness = Witness::default();
    let sources: Vec<String> = sources.iter().map(|&source| source.to_owned()).collect();
    let outcome = host.run(async {
        let repository = host.home("registry.example/a/b", &sources.iter().map(String::as_str).collect::<Vec<_>>());
        let what = what(bytes);
        let blob = host.open(&what.digest).await.expect("it was kept");
        repository.upload(&what, Bytes::Here(&blob), &sources, &witness).await
    });
    let digest = what(bytes).digest.to_string();
    let short = |(line, body): (String, Vec<u8>)| {
        let line = line.replace(&digest, "D").replace(&digest.replace(':', "%3A"), "D");
        let line = line.replace("/v2/a/b/blobs/", "");
        if body.is_empty() { line } else { format!("{line} +{}", body.len()) }
    };
    let lines = host.requests().into_iter().map(|request| format!("{} {}", request.method.name(), request.path));
    let story = lines.zip(host.bodies()).map(short).collect();
    (outcome, story, witness)
}

#[test]
fn a_small_blob_goes_with_the_end_of_its_upload() {
    let host = Script::new([reply(404), begun(), done()]);
    let (outcome, story, witness) = upload(&host, BLOB, &[]);
    assert_eq!(outcome, Ok(Delivered { way: Way::Sent, attempts: 3, sent_bytes: 40 }));
    assert_eq!(story, ["HEAD D", "POST uploads/", "PUT uploads/1?state=x&digest=D +40"]);
    assert_eq!(witness.story(), [Phase::Waiting, Phase::Uploading, Phase::Uploaded]);
    assert_eq!(host.sent("content-length"), [None, Some("0".to_owned()), Some("40".to_owned())]);
}

#[test]
fn a_large_blob_goes_before_the_end_of_its_upload() {
    let big = big();
    let host = Script::new([reply(404), begun(), accepted(big.len()), done()]);
    let (outcome, story, _) = upload(&host, &big, &[]);
    assert_eq!(outcome.map(|it| (it.way, it.sent_bytes)), Ok((Way::Sent, big.len() as u64)));
    let sent = format!("PATCH uploads/1?state=x +{}", big.len());
    assert_eq!(story, ["HEAD D", "POST uploads/", &sent, "PUT uploads/1?state=x&digest=D"]);
    assert_eq!(host.sent("content-range"), [None, None, None, None], "everything is no chunk");
}

#[test]
fn what_the_registry_has_is_not_sent() {
    let host = Script::new([reply(200)]);
    let (outcome, story, witness) = upload(&host, BLOB, &["c/d"]);
    assert_eq!(outcome, Ok(Delivered { way: Way::There, attempts: 1, sent_bytes: 0 }));
    assert_eq!((story, witness.story()), (vec!["HEAD D".to_owned()], vec![Phase::Waiting, Phase::There]));
}

/// F40.
#[test]
fn a_mount_is_used_or_made_do_without() {
    let mount = "POST uploads/?mount=D&from=c%2Fd";
    let put = "PUT uploads/1?state=x&digest=D +40";
    let rows: [(Vec<Reply>, Way, &[&str]); 4] = [
        (vec![reply(404), done()], Way::Mounted("c/d".to_owned()), &["HEAD D", mount]),
        // The upload that it began instead is the one that is used.
        (vec![reply(404), begun(), done()], Way::Sent, &["HEAD D", mount, put]),
        (vec![reply(404), reply(404), begun(), done()], Way::Sent, &["HEAD D", mount, "POST uploads/", put]),
        (vec![reply(404), reply(400), begun(), done()], Way::Sent, &["HEAD D", mount, "POST uploads/", put]),
    ];
    for (replies, way, expected) in rows {
        let host = Script::new(replies);
        let (outcome, story, _) = upload(&host, BLOB, &["c/d", "e/f"]);
        assert_eq!((outcome.map(|it| it.way), story), (Ok(way), expected.iter().map(|it| it.to_string()).collect()));
    }
}

/// F08 and F34 of an upload: the registry says how far it is, and the rest follows.
#[test]
fn a_broken_upload_goes_on_where_the_registry_has_it() {
    let big = big();
    let cut = || broken(HttpError::Broken("reset".to_owned()));
    let replies = [
        reply(404),
        begun(),
        cut().after(1_000_000),
        reply(204).header("range", "0-899999"),
        accepted(big.len()),
        done(),
    ];
    let host = Script::new(replies);
    let (outcome, story, witness) = upload(&host, &big, &[]);
    let rest = big.len() - 900_000;
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    assert_eq!(
        story[2..],
        [
            "PATCH uploads/1?state=x +1000000".to_owned(),
            "GET uploads/1?state=x".to_owned(),
            format!("PATCH uploads/1?state=x +{rest}"),
            "PUT uploads/1?state=x&digest=D".to_owned(),
        ]
    );
    let ranges = host.sent("content-range");
    assert_eq!(ranges[4].as_deref(), Some(&*format!("900000-{}", big.len() - 1)));
    assert!(witness.story().contains(&Phase::Retrying));
}

#[test]
fn an_upload_that_is_forgotten_is_begun_anew() {
    let big = big();
    let replies =
        [reply(404), begun(), broken(HttpError::Timeout).after(9), reply(404), begun(), accepted(big.len()), done()];
    let host = Script::new(replies);
    let (outcome, story, _) = upload(&host, &big, &[]);
    assert_eq!((outcome.map(|it| it.way), story.len()), (Ok(Way::Sent), 7));
    assert!(story[3].starts_with("GET") && story[4].starts_with("POST"), "{story:?}");
}

/// F42.
#[test]
fn an_upload_that_is_unknown_at_its_end_is_begun_anew_after_a_look() {
    let host = Script::new([reply(404), begun(), reply(404), reply(404), begun(), done()]);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    assert_eq!(outcome.map(|it| (it.way, it.sent_bytes)), Ok((Way::Sent, 80)));
    assert_eq!(story[3..5], ["HEAD D".to_owned(), "POST uploads/".to_owned()]);
}

/// F05: the answer was lost, and the upload was not.
#[test]
fn what_may_have_arrived_is_not_sent_again_blindly() {
    let host = Script::new([reply(404), begun(), broken(HttpError::Timeout), reply(200)]);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    assert_eq!(story[3], "HEAD D");
}

/// F05.
#[test]
fn the_beginning_of_an_upload_is_tried_again() {
    let host = Script::new([reply(404), reply(503), reply(500), begun(), done()]);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    assert_eq!((outcome.map(|it| it.way), story.len()), (Ok(Way::Sent), 5));
    assert_eq!(host.slept().len(), 2);
}

/// F01.
#[test]
fn a_registry_that_wants_fewer_requests_is_obeyed() {
    let host = Script::new([reply(404), reply(429).header("retry-after", "7"), begun(), done()]);
    let (outcome, _, _) = upload(&host, BLOB, &[]);
    assert_eq!((outcome.map(|it| it.way), host.slept()), (Ok(Way::Sent), vec![7_000]));
}

/// F41.
#[test]
fn a_registry_that_takes_no_parts_gets_the_whole() {
    let big = big();
    for refusal in [reply(405), reply(400), accepted(0), begun().header("range", "0-99999999")] {
        let host = Script::new([reply(404), begun(), refusal, begun(), done()]);
        let (outcome, story, _) = upload(&host, &big, &[]);
        assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
        assert_eq!(story[4], format!("PUT uploads/1?state=x&digest=D +{}", big.len()));
    }
}

/// F41: 416, and then what the registry has after all.
#[test]
fn a_registry_that_is_elsewhere_is_asked_where() {
    let big = big();
    let replies = [reply(404), begun(), reply(416), reply(204).header("range", "0-99"), accepted(big.len()), done()];
    let host = Script::new(replies);
    let (outcome, story, _) = upload(&host, &big, &[]);
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    assert_eq!(story[4], format!("PATCH uploads/1?state=x +{}", big.len() - 100));
}

/// F41: what a registry takes of a request is what it says.
#[test]
fn a_part_that_is_taken_in_part_is_followed_by_the_rest() {
    let big = big();
    let host = Script::new([reply(404), begun(), accepted(1_000), accepted(big.len()), done()]);
    let (outcome, story, _) = upload(&host, &big, &[]);
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    assert_eq!(story[3], format!("PATCH uploads/1?state=x +{}", big.len() - 1_000));
}

/// F42: 413 of a proxy. Chunks are as long as the registry wants them at least.
#[test]
fn a_request_that_is_too_large_is_followed_by_smaller_ones() {
    let bytes: Vec<u8> = (0..6 << 20).map(|at: u32| (at % 251) as u8).collect();
    let chunk = CHUNK_BYTES[1] as usize;
    let replies = [reply(404), begun(), reply(413), begun(), accepted(chunk), accepted(bytes.len()), done()];
    let host = Script::new(replies);
    let (outcome, story, _) = upload(&host, &bytes, &[]);
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    let sent = |bytes: usize| format!("PATCH uploads/1?state=x +{bytes}");
    assert_eq!(story[4..6], [sent(chunk), sent(bytes.len() - chunk)]);
    assert_eq!(host.sent("content-range")[4].as_deref(), Some(&*format!("0-{}", chunk - 1)));

    let whole = begun().header("oci-chunk-min-length", "9999999");
    let host = Script::new([reply(404), begun(), reply(413), whole, accepted(bytes.len()), done()]);
    let (_, story, _) = upload(&host, &bytes, &[]);
    assert_eq!(story[4], sent(bytes.len()), "the registry takes no smaller chunks");
}

#[test]
fn a_limit_that_nothing_helps_against_is_told() {
    let host = Script::new([reply(404), begun(), reply(413), reply(204)]);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    let failure = outcome.expect_err("nothing is smaller");
    assert_eq!(failure.why[0], "`registry.example` takes no request as large as this");
    assert!(failure.fix.is_some_and(|fix| fix.contains("client_max_body_size")));
    assert_eq!(story[3], "DELETE uploads/1?state=x", "the registry need not keep it");
}

/// F39 and C1: wherever an upload goes on, the grant stays at home.
#[test]
fn an_upload_elsewhere_gets_no_grant() {
    let challenge = r#"Bearer realm="https://auth.example/token",service="r""#;
    let host = Script::new([
        reply(401).header("www-authenticate", challenge),
        reply(404),
        reply(202).header("location", "https://store.example/up?sig=s"),
        done(),
    ]);
    let (outcome, _, _) = upload(&host, BLOB, &["c/d"]);
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    let origins: Vec<String> = host.requests().into_iter().map(|request| request.origin.authority).collect();
    assert_eq!(origins[3], "store.example");
    let grant = Some("grant-1".to_owned());
    assert_eq!(host.grants_sent(), [None, grant.clone(), grant, None]);
    let Challenge::Bearer { scopes, .. } = &host.challenges()[0].1 else { panic!("a bearer challenge") };
    assert_eq!(scopes[..], ["repository:a/b:pull,push", "repository:c/d:pull"]);
}

#[test]
fn an_upload_does_not_go_on_without_tls() {
    let host = Script::new([reply(404), reply(202).header("location", "http://registry.example/up")]);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    let failure = outcome.expect_err("it would be a downgrade");
    assert!(failure.why[0].contains("it leads from `https` to `http`"), "{failure:?}");
    assert!(failure.fix.is_some_and(|fix| fix.contains("X-Forwarded-Proto")));
    assert_eq!(story.len(), 2);
}

/// F34: the right ends between two requests, and the bytes go again with a new one.
#[test]
fn a_right_that_ends_meanwhile_is_renewed() {
    let challenge = || reply(401).header("www-authenticate", r#"Bearer realm="https://a.example/t",service="r""#);
    let big = big();
    let host = Script::new([challenge(), reply(404), begun(), challenge().after(7), accepted(big.len()), done()]);
    let (outcome, story, _) = upload(&host, &big, &[]);
    assert_eq!(outcome.map(|it| (it.way, it.sent_bytes)), Ok((Way::Sent, big.len() as u64)));
    assert_eq!(story[4], format!("PATCH uploads/1?state=x +{}", big.len()));
    assert_eq!(host.grants_sent()[4].as_deref(), Some("grant-2"));
}

/// F19.
#[test]
fn a_registry_that_takes_nothing_more_is_given_up() {
    let mut replies = vec![reply(404), begun(), silent().after(8)];
    (1..5).for_each(|_| replies.extend([reply(404), reply(404), begun(), silent().after(8)]));
    let host = Script::new(replies);
    let (outcome, story, _) = upload(&host, BLOB, &[]);
    let failure = outcome.expect_err("nobody answers");
    assert_eq!((failure.code, story.len()), (ErrorCode::Unavailable, 19));
}

#[test]
fn a_damaged_blob_is_told_as_such() {
    let host = Script::new([reply(404), begun(), broken(HttpError::Broken("too short".to_owned())), reply(204)]);
    host.forget_bytes();
    let (outcome, _, _) = upload(&host, BLOB, &[]);
    let failure = outcome.expect_err("the store has not what it should have");
    assert!(failure.why[0].ends_with("is damaged: 0 bytes of it are here"), "{failure:?}");
    assert_eq!(failure.fix.as_deref(), Some("`wharf fsck --repair` fetches damaged blobs again"));
}

#[test]
fn refusals_are_told_with_what_to_do() {
    let quota = r#"{"errors":[{"code":"DENIED","message":"adding 1 MiB exceeds the quota"}]}"#;
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository does not exist"}]}"#;
    for (reply, code, why) in [
        (reply(403), ErrorCode::Denied, "it takes a login to push to `registry.example/a/b`"),
        (
            reply(405),
            ErrorCode::Unsupported,
            "`registry.example` takes nothing: it may be read-only, or no place to push to",
        ),
        (reply(403).body(quota), ErrorCode::NoSpace, "`registry.example` has no room for it"),
        (reply(404).body(unknown), ErrorCode::NotFound, "there is no repository `registry.example/a/b`"),
    ] {
        let host = Script::new([super::super::script::reply(404), reply]);
        let failure = upload(&host, BLOB, &[]).0.expect_err("it refuses");
        assert_eq!((failure.code.clone(), failure.why[0].as_str()), (code, why));
        assert!(failure.fix.is_some(), "{failure:?}");
    }
}

/// The registry's word would be asked for in the story before this one.
#[test]
fn an_upload_that_trusts_its_own_count_is_noticed() {
    let _planted = planted::plant(Bug::UploadOffsetTrusted);
    let big = big();
    let cut = broken(HttpError::Broken("reset".to_owned())).after(1_000_000);
    let host = Script::new([reply(404), begun(), cut, accepted(big.len()), done()]);
    let (_, story, _) = upload(&host, &big, &[]);
    assert!(!story.iter().any(|line| line.starts_with("GET")), "{story:?}");
}
