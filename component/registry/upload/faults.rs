//! The rows of the table of faults that are about uploads, one after the other: how often
//! the registry did what is wrong with it, what came of that, and what it cost. The other
//! rows of uploads, with their stories, are in `stories`.

use super::*;
use crate::{
    host::HttpError,
    nouns::{
        digest::{Algorithm, Digest},
        media_type,
    },
    registry::script::{Fate, Reply, Script, Witness, broken, reply, silent},
};

const BLOB: &[u8] = b"the bytes of a layer, which are not many";
/// How often something is tried, without progress.
const ATTEMPTS: usize = 5;

fn what() -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(Algorithm::Sha256, BLOB), BLOB.len() as u64)
}

fn begun() -> Reply {
    reply(202).header("location", "/v2/a/b/blobs/uploads/1?state=x")
}

/// What is wrong.
fn fault(reply: Reply) -> (bool, Reply) {
    (true, reply)
}

/// What is not.
fn fine(reply: Reply) -> (bool, Reply) {
    (false, reply)
}

/// What a row ends with.
enum End {
    /// The blob is there, and so many bytes went.
    Sent(u64),
    Failed(ErrorCode, &'static str),
}

struct Row {
    id: &'static str,
    replies: Vec<(bool, Reply)>,
    /// How often the fault happens.
    count: usize,
    /// How long was waited in all, at least and at most, in milliseconds.
    waited_ms: (u64, u64),
    end: End,
}

/// Runs a row. Every reply has to be asked for, and none beyond them.
#[track_caller]
fn check(row: Row) {
    let Row { id, replies, count, waited_ms, end } = row;
    let (mut faults, mut script) = (0, Vec::new());
    for (is_fault, reply) in replies {
        faults += usize::from(is_fault);
        script.push(reply);
    }
    assert_eq!(faults, count, "{id}: the row says how often");
    let all = script.len();
    let host = Script::new(script);
    host.keep(BLOB);
    let witness = Witness::default();
    let outcome = host.run(async {
        let repository = host.home("registry.example/a/b", &[]);
        let blob = host.open(&what().digest).await.expect("it was kept");
        repository.upload(&what(), Bytes::Here(&blob), &[], &witness).await
    });
    assert_eq!(host.requests().len(), all, "{id}: as often as the registry was at fault, and no more");
    let waited: u64 = host.slept().iter().sum();
    assert!((waited_ms.0..=waited_ms.1).contains(&waited), "{id}: {waited} ms");
    match (outcome, end) {
        (Ok(delivered), End::Sent(bytes)) => {
            assert_eq!((delivered.way, delivered.sent_bytes), (Way::Sent, bytes), "{id}");
            assert_eq!(witness.story().last(), Some(&Phase::Uploaded), "{id}");
        }
        (Err(failure), End::Failed(code, word)) => {
            assert_eq!(failure.code, code, "{id}: {failure:?}");
            assert!(failure.why.iter().any(|why| why.contains(word)), "{id}: {failure:?}");
        }
        (outcome, _) => panic!("{id}: {outcome:?}"),
    }
    // Who was granted anything is asked by nobody else.
    assert!(host.requests().iter().all(|request| request.origin.authority == "registry.example"), "{id}");
}

const SIZE: u64 = BLOB.len() as u64;

/// A registry that wants fewer requests says when, or not, or nonsense.
#[test]
fn a_registry_that_wants_fewer_requests_is_waited_for() {
    let later = "Sun, 06 Nov 1994 08:49:47 GMT";
    for (id, said, waited_ms) in [
        ("F01 seconds", Some("3"), (3_000, 3_999)),
        ("F02 a date", Some(later), (8_000, 10_999)),
        ("F02 a date that is over", Some("Sun, 06 Nov 1994 08:00:00 GMT"), (0, 5_000)),
        ("F02 nonsense", Some("soon"), (500, 5_000)),
        ("F02 a negative number", Some("-9"), (500, 5_000)),
        ("F03 nothing", None, (500, 5_000)),
    ] {
        let busy = || said.iter().fold(reply(429), |reply, said| reply.header("retry-after", said));
        let replies = vec![fine(reply(404)), fault(busy()), fine(begun()), fine(reply(201))];
        check(Row { id, replies, count: 1, waited_ms, end: End::Sent(SIZE) });
    }
    let thrice = (0..3).map(|_| fault(reply(429)));
    let replies = [fine(reply(404))].into_iter().chain(thrice).chain([fine(begun()), fine(reply(201))]).collect();
    check(Row { id: "F03 three times", replies, count: 3, waited_ms: (3_000, 40_000), end: End::Sent(SIZE) });
}

#[test]
fn a_registry_that_never_gets_better_is_given_up() {
    let forever = |status: u16| -> Vec<(bool, Reply)> {
        [fine(reply(404))].into_iter().chain((0..ATTEMPTS).map(|_| fault(reply(status)))).collect()
    };
    let too_many = End::Failed(ErrorCode::Unavailable, "registry.example");
    let waited_ms = (3_000, 300_000);
    check(Row { id: "F04", replies: forever(429), count: ATTEMPTS, waited_ms, end: too_many });
    for (id, status, word) in [("F06 500", 500, "500"), ("F06 502", 502, "502"), ("F06 503", 503, "503")] {
        let end = End::Failed(ErrorCode::Unavailable, word);
        check(Row { id, replies: forever(status), count: ATTEMPTS, waited_ms, end });
    }
    let replies = (0..ATTEMPTS).map(|_| fault(broken(HttpError::Connect("refused".to_owned())))).collect();
    let end = End::Failed(ErrorCode::Unavailable, "registry.example");
    check(Row { id: "F07 refused", replies, count: ATTEMPTS, waited_ms, end });
}

/// Each step of an upload: the look, its beginning, and its end.
#[test]
fn a_burst_of_errors_is_outlived_at_each_step() {
    for status in [500, 502, 503, 504] {
        let burst = || (0..3).map(move |_| fault(reply(status)));
        let (look, begin, end) = (fine(reply(404)), fine(begun()), fine(reply(201)));
        let at_look = burst().chain([look, begin, end]).collect();
        check(Row { id: "F05 HEAD", replies: at_look, count: 3, waited_ms: (1_000, 60_000), end: End::Sent(SIZE) });
        let (look, begin, end) = (fine(reply(404)), fine(begun()), fine(reply(201)));
        let at_begin = [look].into_iter().chain(burst()).chain([begin, end]).collect();
        check(Row { id: "F05 POST", replies: at_begin, count: 3, waited_ms: (1_000, 60_000), end: End::Sent(SIZE) });
        // What failed at the end may be there: it is looked for, and the upload is asked how far it is.
        let again = || [fault(reply(status)), fine(reply(404)), fine(reply(404)), fine(begun())];
        let mut at_end = vec![fine(reply(404)), fine(begun())];
        at_end.extend((0..3).flat_map(|_| again()));
        at_end.push(fine(reply(201)));
        let row =
            Row { id: "F05 PUT", replies: at_end, count: 3, waited_ms: (1_000, 60_000), end: End::Sent(4 * SIZE) };
        check(row);
    }
}

#[test]
fn a_connection_that_breaks_costs_what_it_carried() {
    let reset = || broken(HttpError::Broken("reset".to_owned()));
    for (id, taken) in [("F08 at 0", 0), ("F08 at 1", 1), ("F08 in the middle", 20), ("F08 at the end", 39)] {
        let replies = vec![
            fine(reply(404)),
            fine(begun()),
            fault(reset().after(taken)),
            fine(reply(404)),
            fine(reply(404)),
            fine(begun()),
            fine(reply(201)),
        ];
        check(Row { id, replies, count: 1, waited_ms: (0, 5_000), end: End::Sent(SIZE + taken as u64) });
    }
    // It has every byte, and breaks before it says so.
    let replies = vec![fine(reply(404)), fine(begun()), fault(reset()), fine(reply(200))];
    check(Row { id: "F08 after the end", replies, count: 1, waited_ms: (0, 5_000), end: End::Sent(SIZE) });
    let silence = vec![fine(reply(404)), fine(begun()), fault(silent().after(8)), fine(reply(200))];
    check(Row { id: "F19", replies: silence, count: 1, waited_ms: (0, 1_000_000), end: End::Sent(8) });
}

/// F38: a token that may pull is not enough, and a wider one is asked for once.
#[test]
fn a_right_that_does_not_suffice_is_asked_for_anew_once() {
    let narrow = || {
        let challenge = r#"Bearer realm="https://a.example/t",service="r",error="insufficient_scope""#;
        reply(401).header("www-authenticate", challenge)
    };
    let replies = vec![fine(reply(404)), fault(narrow()), fine(begun()), fine(reply(201))];
    check(Row { id: "F38", replies, count: 1, waited_ms: (0, 0), end: End::Sent(SIZE) });
    let replies = vec![fine(reply(404)), fault(narrow()), fault(narrow())];
    let end = End::Failed(ErrorCode::Denied, "registry.example");
    check(Row { id: "F38 for ever", replies, count: 2, waited_ms: (0, 0), end });
}

/// RFC 3986, from where the answer came.
#[test]
fn a_location_may_be_written_in_many_ways() {
    for (location, path) in [
        ("/v2/a/b/blobs/uploads/1?state=x", "/v2/a/b/blobs/uploads/1?state=x&digest="),
        ("https://registry.example/up/1", "/up/1?digest="),
        ("https://registry.example:443/up/1?a=b", "/up/1?a=b&digest="),
        ("//registry.example/up/1", "/up/1?digest="),
        ("1?_state=y", "/v2/a/b/blobs/uploads/1?_state=y&digest="),
        ("../../../../up/1#part", "/v2/up/1?digest="),
    ] {
        let host = Script::new([reply(404), reply(202).header("location", location), reply(201)]);
        host.keep(BLOB);
        let outcome = host.run(async {
            let repository = host.home("registry.example/a/b", &[]);
            let blob = host.open(&what().digest).await.expect("it was kept");
            repository.upload(&what(), Bytes::Here(&blob), &[], &Witness::default()).await
        });
        assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent), "F39 {location}");
        let last = host.requests().pop().expect("there were requests");
        assert_eq!(last.origin.authority, "registry.example", "F39 {location}");
        assert!(last.path.starts_with(path), "F39 {location}: {}", last.path);
    }
    let replies = vec![fine(reply(404)), fault(reply(202))];
    let end = End::Failed(ErrorCode::Invalid, "does not say where it goes on");
    check(Row { id: "F39 none", replies, count: 1, waited_ms: (0, 0), end });
    for (id, location) in [("F39 no address", "https://[::1"), ("F39 a downgrade", "http://registry.example/up")] {
        let replies = vec![fine(reply(404)), fault(reply(202).header("location", location))];
        let end = End::Failed(ErrorCode::Invalid, "is not followed");
        check(Row { id, replies, count: 1, waited_ms: (0, 0), end });
    }
}

/// F31 and F32: a redirect that would make another request of it is not followed, and none takes the grant along.
#[test]
fn a_redirect_of_an_upload_is_followed_as_it_is_or_not_at_all() {
    let challenge = r#"Bearer realm="https://a.example/t",service="r""#;
    let away = |status: u16| reply(status).header("location", "https://store.example/up?sig=s");
    for status in [307, 308] {
        let login = reply(401).header("www-authenticate", challenge);
        let host = Script::new([login, reply(404), begun(), away(status), reply(201)]);
        host.keep(BLOB);
        let outcome = host.run(async {
            let repository = host.home("registry.example/a/b", &[]);
            let blob = host.open(&what().digest).await.expect("it was kept");
            repository.upload(&what(), Bytes::Here(&blob), &[], &Witness::default()).await
        });
        assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent), "F31 {status}");
        let grant = || Some("grant-1".to_owned());
        assert_eq!(host.grants_sent(), [None, grant(), grant(), grant(), None], "F31 {status}");
        assert_eq!(host.bodies()[4], BLOB, "F31 {status}: all of it goes there");
    }
    for status in [301, 302, 303] {
        let replies = vec![fine(reply(404)), fine(begun()), fault(away(status)), fine(reply(204))];
        let end = End::Failed(ErrorCode::Invalid, "redirects an upload");
        check(Row { id: "F31 as another request", replies, count: 1, waited_ms: (0, 0), end });
    }
    let round = || reply(307).header("location", "/v2/a/b/round");
    let mut replies = vec![fine(reply(404)), fine(begun())];
    replies.extend((0..6).map(|_| fault(round())));
    replies.push(fine(reply(204)));
    let end = End::Failed(ErrorCode::Invalid, "redirects more than 5 times");
    check(Row { id: "F32", replies, count: 6, waited_ms: (0, 0), end });
}

#[test]
fn an_upload_that_its_registry_loses_is_begun_anew() {
    let unknown = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such upload"}]}"#;
    let lost = || reply(404).body(unknown);
    let replies =
        vec![fine(reply(404)), fine(begun()), fault(lost()), fine(reply(404)), fine(begun()), fine(reply(201))];
    check(Row { id: "F42 once", replies, count: 1, waited_ms: (0, 5_000), end: End::Sent(2 * SIZE) });
    let mut replies = vec![fine(reply(404)), fine(begun()), fault(lost())];
    (0..ANEW_MAX).for_each(|_| replies.extend([fine(reply(404)), fine(begun()), fault(lost())]));
    let count = ANEW_MAX as usize + 1;
    let end = End::Failed(ErrorCode::NotFound, "has forgotten the upload");
    check(Row { id: "F42 for ever", replies, count, waited_ms: (0, 60_000), end });
    let gave_up = vec![
        fine(reply(404)),
        fine(begun()),
        fault(reply(499)),
        fine(reply(404)),
        fine(reply(404)),
        fine(begun()),
        fine(reply(201)),
    ];
    check(Row { id: "F42 499", replies: gave_up, count: 1, waited_ms: (0, 5_000), end: End::Sent(2 * SIZE) });
}

/// Whatever a registry says with its refusal, what is told is short and harmless.
#[test]
fn what_a_registry_says_with_a_refusal_is_told_within_limits() {
    let wordy = format!(r#"{{"errors":[{{"code":"DENIED","message":"{}"}}]}}"#, "x".repeat(3_000));
    let rows: [(&str, Vec<u8>); 6] = [
        ("F44 nothing", Vec::new()),
        ("F44 a page", b"<html><h1>Forbidden</h1>".to_vec()),
        ("F44 no text", vec![0xff, 0xfe, 0x80]),
        ("F44 what steers a terminal", b"\x1b[31mno\x07".to_vec()),
        ("F44 many words", wordy.into_bytes()),
        ("F44 far too much", vec![b'x'; 10 << 20]),
    ];
    for (id, body) in rows {
        let host = Script::new([reply(404), reply(403).body(body)]);
        host.keep(BLOB);
        let outcome = host.run(async {
            let repository = host.home("registry.example/a/b", &[]);
            let blob = host.open(&what().digest).await.expect("it was kept");
            repository.upload(&what(), Bytes::Here(&blob), &[], &Witness::default()).await
        });
        let failure = outcome.expect_err("it refuses");
        let told = failure.why.join("\n");
        assert!(told.len() <= 2_600 && !told.contains(['\u{1b}', '\u{7}']), "{id}: {told:?}");
        assert_eq!((failure.code, host.requests().len()), (ErrorCode::Denied, 2), "{id}");
    }
    // A refusal whose text breaks off is a refusal.
    let cut = reply(403).body("some words").fate(Fate::Cut(4));
    let end = End::Failed(ErrorCode::Denied, "registry.example");
    check(Row { id: "F44 broken", replies: vec![fine(reply(404)), fault(cut)], count: 1, waited_ms: (0, 0), end });
}

/// F45: what a registry wants to have said is said once, and an upload goes on.
#[test]
fn a_warning_of_a_registry_is_told_once() {
    let warned = |reply: Reply| reply.header("warning", r#"299 - "this registry moves""#);
    let host = Script::new([warned(reply(404)), warned(begun()), warned(reply(201))]);
    host.keep(BLOB);
    let told = std::cell::RefCell::new(Vec::new());
    let outcome = host.run(async {
        let repository = host.home("registry.example/a/b", &[]).with_voice(|text| told.borrow_mut().push(text));
        let blob = host.open(&what().digest).await.expect("it was kept");
        repository.upload(&what(), Bytes::Here(&blob), &[], &Witness::default()).await
    });
    assert_eq!(outcome.map(|it| it.way), Ok(Way::Sent));
    let told = told.into_inner();
    assert!(told.len() == 1 && told[0].contains("this registry moves"), "{told:?}");
}
