//! How downloads go: each test is one registry, and what becomes of the blob.

use super::*;
use crate::{
    nouns::digest::{Algorithm, Digest},
    registry::Sent,
    registry::script::{Fate, Reply, Script, Witness, broken, reply},
};

mod store;

const BYTES: &[u8] = b"forty-two bytes that make a blob, no more.";
const FORGED: &[u8] = b"forty-two bytes that make a fake, no more.";

fn what() -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, BYTES);
    Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", digest, BYTES.len() as u64)
}

/// A 206 from `first` on.
fn rest(first: usize) -> Reply {
    let range = format!("bytes {first}-{}/{}", BYTES.len() - 1, BYTES.len());
    reply(206).header("content-range", &range).body(&BYTES[first..])
}

fn download(host: &Script) -> (Result<u64, Failure>, Witness) {
    let watch = Witness::default();
    let done = host.run(host.repository("registry.example/a/b").blob(&what(), &watch, &|_| {}));
    let done = done.map(|(blob, sent)| {
        assert_eq!(blob.0, BYTES);
        sent.fetched_bytes
    });
    (done, watch)
}

fn ranges(host: &Script) -> Vec<Option<String>> {
    host.sent("range")
}

fn some_ranges(expected: &[Option<&str>]) -> Vec<Option<String>> {
    expected.iter().map(|range| range.map(str::to_owned)).collect()
}

#[test]
fn a_blob_arrives_and_is_verified() {
    let host = Script::new([reply(200).header("content-length", "42").body(BYTES)]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(42));
    assert_eq!(host.requests()[0].path, format!("/v2/a/b/blobs/{}", what().digest));
    assert_eq!(watch.story(), [Phase::Waiting, Phase::Downloading, Phase::Verifying, Phase::Complete]);
    assert_eq!(watch.phases.borrow().last(), Some(&(Phase::Complete, 42)));
    assert_eq!((host.kept(&what()).as_deref(), host.part(&what())), (Some(BYTES), None));
}

#[test]
fn a_blob_that_is_here_is_not_asked_for() {
    let host = Script::new([]);
    host.keep(BYTES);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(0));
    assert_eq!(*watch.phases.borrow(), [(Phase::Present, 42)]);
}

#[test]
fn an_earlier_run_is_continued_and_only_the_rest_is_taken() {
    let host = Script::new([rest(30)]);
    host.keep_part(&what(), &BYTES[..30]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(12));
    assert_eq!(ranges(&host), some_ranges(&[Some("bytes=30-")]));
    let begin = [(Phase::Waiting, 0), (Phase::Waiting, 30), (Phase::Downloading, 30)];
    assert_eq!(watch.phases.borrow()[..3], begin, "what was here is told before anything comes");
    assert_eq!(host.log(), ["commit"]);
}

#[test]
fn an_earlier_run_that_has_everything_is_committed_without_a_request() {
    let host = Script::new([]);
    host.keep_part(&what(), BYTES);
    assert_eq!(download(&host).0, Ok(0));
}

#[test]
fn an_earlier_run_that_has_too_much_begins_again() {
    let host = Script::new([reply(200).body(BYTES)]);
    host.keep_part(&what(), &[BYTES, b"!"].concat());
    assert_eq!(download(&host).0, Ok(42));
    assert_eq!(host.log(), ["restart", "commit"]);
    assert_eq!(ranges(&host), [None]);
}

#[test]
fn an_empty_blob_needs_no_request() {
    let host = Script::new([]);
    let empty = Descriptor::new("text/plain", Digest::of(Algorithm::Sha256, b""), 0);
    let (blob, sent) = host
        .run(host.repository("registry.example/a/b").blob(&empty, &Witness::default(), &|_| {}))
        .expect("nothing is all");
    assert_eq!((blob.0, sent), (vec![], Sent::default()));
}

#[test]
fn a_body_that_breaks_off_is_resumed_and_not_committed() {
    for cut in [0, 1, 20, 41] {
        let second = if cut == 0 { reply(200).body(BYTES) } else { rest(cut) };
        let host = Script::new([reply(200).header("content-length", "42").body(BYTES).cut_at(cut), second]);
        let (done, watch) = download(&host);
        assert_eq!(done, Ok(42), "{cut}");
        let range = (cut > 0).then(|| format!("bytes={cut}-"));
        assert_eq!(ranges(&host), [None, range], "{cut}");
        assert_eq!(host.log(), ["commit"], "{cut}");
        assert_eq!(
            watch.story(),
            [
                Phase::Waiting,
                Phase::Downloading,
                Phase::Retrying,
                Phase::Downloading,
                Phase::Verifying,
                Phase::Complete
            ]
        );
    }
}

#[test]
fn a_short_body_is_resumed() {
    let host = Script::new([reply(200).body(BYTES).fate(Fate::Short(20)), rest(20)]);
    assert_eq!(download(&host).0, Ok(42));
    assert_eq!(ranges(&host), some_ranges(&[None, Some("bytes=20-")]));
}

#[test]
fn progress_makes_up_for_failures() {
    let cuts = (0..BYTES.len()).map(|at| match at {
        0 => reply(200).body(BYTES).cut_at(1),
        at => rest(at).cut_at(1),
    });
    let host = Script::new(cuts);
    assert_eq!(download(&host).0, Ok(42));
    assert_eq!(host.requests().len(), 42);
}

#[test]
fn a_registry_that_breaks_off_at_once_is_given_up_and_what_came_is_kept() {
    let host = Script::new([
        reply(200).body(BYTES).cut_at(7),
        rest(7).cut_at(0),
        broken(HttpError::Connect("refused".to_owned())),
        reply(502),
        rest(7).cut_at(0),
    ]);
    let failure = download(&host).0.expect_err("it breaks every time");
    assert_eq!(host.requests().len(), 5);
    assert_eq!(failure.code, ErrorCode::Unavailable);
    assert_eq!(failure.why[0], "the connection to `registry.example` broke: reset");
    assert!(failure.why[1].starts_with("gave up after 5 attempts in "), "{:?}", failure.why);
    assert_eq!(host.part(&what()).as_deref(), Some(&BYTES[..7]));
}

#[test]
fn a_server_that_ignores_range_is_noticed() {
    let host = Script::new([reply(200).body(BYTES)]);
    host.keep_part(&what(), &BYTES[..30]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(42));
    assert_eq!(host.log(), ["restart", "commit"]);
    assert_eq!(
        *watch.warnings.borrow(),
        [format!("`registry.example` cannot resume; downloading `{}` from the start", what().digest)]
    );
}

#[test]
fn a_server_that_ignores_range_and_breaks_off_is_given_up() {
    let host = Script::new((0..5).map(|_| reply(200).body(BYTES).cut_at(20)));
    let failure = download(&host).0.expect_err("it never gets further");
    assert_eq!(failure.code, ErrorCode::Unavailable);
    let range = Some("bytes=20-");
    assert_eq!(ranges(&host), some_ranges(&[None, range, range, range, range]));
    assert_eq!(host.log(), ["restart"; 4]);
}

#[test]
fn another_range_than_the_one_asked_for_is_refused() {
    for range in ["bytes 29-41/42", "bytes 31-41/42", "bytes 30-41/43", "bytes 30-42/43", "bytes 30-x/42", ""] {
        let wrong = reply(206).header("content-range", range).body(&BYTES[30..]);
        let host = Script::new([wrong, reply(200).body(BYTES)]);
        host.keep_part(&what(), &BYTES[..30]);
        assert_eq!(download(&host).0, Ok(42), "{range}");
        assert_eq!(ranges(&host), some_ranges(&[Some("bytes=30-"), None]), "{range}");
        assert_eq!(host.log(), ["restart", "commit"], "{range}");
    }
}

#[test]
fn a_part_that_is_less_than_the_rest_is_continued() {
    let part = reply(206).header("content-range", "bytes 10-19/*").body(&BYTES[10..20]);
    let host = Script::new([part, rest(20)]);
    host.keep_part(&what(), &BYTES[..10]);
    assert_eq!(download(&host).0, Ok(32));
    assert_eq!(ranges(&host), some_ranges(&[Some("bytes=10-"), Some("bytes=20-")]));
}

#[test]
fn a_part_that_nobody_asked_for_is_refused() {
    let host = Script::new([reply(206).header("content-range", "bytes 0-41/42").body(BYTES)]);
    let why = "`registry.example` sent a part of the blob, and all of it was asked for";
    assert_eq!(download(&host).0, Err(Failure::new(ErrorCode::Invalid, why)));
}

#[test]
fn a_range_that_does_not_exist_begins_again() {
    let host = Script::new([reply(416).header("content-range", "bytes */20"), reply(200).body(BYTES)]);
    host.keep_part(&what(), &BYTES[..30]);
    assert_eq!(download(&host).0, Ok(42));
    assert_eq!(host.log(), ["restart", "commit"]);
}

#[test]
fn a_blob_that_is_shorter_than_promised_is_given_up() {
    let host = Script::new((0..5).map(|at| match at % 2 {
        0 => reply(416).header("content-range", "bytes */20"),
        _ => reply(200).body(&BYTES[..20]),
    }));
    host.keep_part(&what(), &BYTES[..20]);
    let failure = download(&host).0.expect_err("it has 20 bytes only");
    assert_eq!(failure.code, ErrorCode::SizeMismatch(20));
    assert_eq!(failure.why[0], "the blob of `registry.example` has 20 bytes, and 42 were promised");
    let range = Some("bytes=20-");
    assert_eq!(ranges(&host), some_ranges(&[range, None, range, None, range]));
    assert_eq!(host.kept(&what()), None);
}

#[test]
fn a_length_that_was_not_promised_is_refused_before_a_byte_is_read() {
    for length in ["41", "43", "0"] {
        let host = Script::new([reply(200).header("content-length", length).body(BYTES)]);
        let why = format!("the blob of `registry.example` has {length} bytes, and 42 were promised");
        let size = length.parse().expect("the test writes a number");
        assert_eq!(download(&host).0, Err(Failure::new(ErrorCode::SizeMismatch(size), why)));
        assert_eq!(host.part(&what()).as_deref(), Some(&b""[..]));
    }
}

#[test]
fn a_longer_body_is_cut_off_and_refused() {
    let host = Script::new([reply(200).body([BYTES, &[b'!'; 100_000]].concat())]);
    let why = "`registry.example` sent more than the 42 bytes that were promised";
    assert_eq!(download(&host).0, Err(Failure::new(ErrorCode::SizeMismatch(43), why)));
    assert_eq!((host.kept(&what()), host.part(&what()).as_deref()), (None, Some(&b""[..])));
    assert_eq!(host.log(), ["restart"]);
}

#[test]
fn a_longer_rest_begins_again() {
    let long = reply(206).header("content-range", "bytes 30-41/42").body([&BYTES[30..], b"!!"].concat());
    let host = Script::new([long, reply(200).body(BYTES)]);
    host.keep_part(&what(), &BYTES[..30]);
    assert_eq!(download(&host).0, Ok(13 + 42));
    assert_eq!(ranges(&host), some_ranges(&[Some("bytes=30-"), None]));
}

#[test]
fn a_response_that_stalls_is_dropped_and_resumed() {
    let host = Script::new([reply(200).body(BYTES).fate(Fate::Stall(20)), rest(20)]);
    assert_eq!(download(&host).0, Ok(42));
    assert_eq!(ranges(&host), some_ranges(&[None, Some("bytes=20-")]));
    let waited = host.uptime_ms();
    assert!((60_000..63_000).contains(&waited), "{waited} ms");
}

#[test]
fn a_registry_that_sends_a_byte_a_second_is_given_up() {
    let large = vec![7; 1_000_000];
    let what = Descriptor::new("text/plain", Digest::of(Algorithm::Sha256, &large), large.len() as u64);
    let drip = |at: usize| {
        let range = format!("bytes {at}-{}/{}", large.len() - 1, large.len());
        let reply = if at == 0 { reply(200) } else { reply(206).header("content-range", &range) };
        reply.body(&large[at..]).fate(Fate::Drip)
    };
    let host = Script::new([0, 60, 120, 180, 240].map(drip));
    let watch = Witness::default();
    let failure = host.run(host.repository("registry.example/a/b").blob(&what, &watch, &|_| {})).map(|_| ());
    let failure = failure.expect_err("it would take days");
    assert_eq!(failure.why[0], "`registry.example` stopped sending, or sends less than 1 KiB a second");
    assert!(host.uptime_ms() < 330_000, "{} ms", host.uptime_ms());
}

#[test]
fn progress_is_told_while_bytes_arrive() {
    let bytes = vec![7; 3_000];
    let what = Descriptor::new("text/plain", Digest::of(Algorithm::Sha256, &bytes), 3_000);
    // Cut beyond its end, so that it comes in small steps: 375 of a millisecond.
    let host = Script::new([reply(200).body(bytes).fate(Fate::Short(3_000))]);
    let watch = Witness::default();
    host.run(host.repository("registry.example/a/b").blob(&what, &watch, &|_| {})).expect("it arrives");
    let received: Vec<u64> = watch.phases.borrow().iter().map(|&(_, received)| received).collect();
    assert_eq!(received.len(), 3 + 5, "a report every 100 ms: {received:?}");
    assert!(received.is_sorted() && received.ends_with(&[3_000, 3_000, 3_000]), "{received:?}");
}

#[test]
fn a_blob_that_the_registry_does_not_have_is_told() {
    let host = Script::new([reply(404).body(r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#)]);
    assert_eq!(
        download(&host).0,
        Err(Failure {
            code: ErrorCode::NotFound,
            why: vec![
                format!("`registry.example/a/b` has no blob `{}`", what().digest),
                "the registry says: blob unknown (BLOB_UNKNOWN)".to_owned()
            ],
            fix: None,
        })
    );
}

#[test]
fn a_redirected_blob_resumes_at_the_registry_and_not_where_it_was_sent() {
    let elsewhere =
        |signature: &str| reply(307).header("location", &format!("https://cdn.example/x?signature={signature}"));
    let host = Script::new([elsewhere("1"), reply(200).body(BYTES).cut_at(20), elsewhere("2"), rest(20)]);
    assert_eq!(download(&host).0, Ok(42));
    let asked: Vec<String> = host.requests().iter().map(|request| request.origin.authority.clone()).collect();
    assert_eq!(asked, ["registry.example", "cdn.example", "registry.example", "cdn.example"]);
    assert_eq!(ranges(&host), some_ranges(&[None, None, Some("bytes=20-"), Some("bytes=20-")]));
}

/// The length of what was compressed on the way looked like a lie about the blob.
#[test]
fn a_blob_that_was_compressed_on_the_way_is_refused_for_that() {
    for compressed in [reply(200), reply(200).header("content-length", "31")] {
        let host = Script::new([compressed.header("content-encoding", "gzip").body(&BYTES[..31])]);
        let why = "`registry.example` compressed the blob, although that was not asked for";
        assert_eq!(download(&host).0, Err(Failure::new(ErrorCode::Invalid, why)));
    }
    for label in ["gzip", "identity", ""] {
        let labelled = reply(200).header("content-encoding", label).header("content-length", "42").body(BYTES);
        assert_eq!(download(&Script::new([labelled])).0, Ok(42), "{label}");
    }
}

#[test]
fn a_wait_for_a_blob_is_told_to_its_watch() {
    let host = Script::new([reply(503).header("retry-after", "300"), reply(200).body(BYTES)]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(42));
    assert_eq!(*watch.warnings.borrow(), ["`registry.example` asks to wait 300 s before the next request"]);
}

/// Who follows an ingest is shown each one, before it is filled: from an earlier
/// run, and again after bytes that were wrong.
#[test]
fn each_ingest_is_shown_before_it_is_filled() {
    let shown = |host: &Script| {
        let offsets = std::cell::RefCell::new(Vec::new());
        let arriving = |ingest: &_| offsets.borrow_mut().push(Ingest::offset(ingest));
        let repository = host.repository("registry.example/a/b");
        let (blob, _) = host.run(repository.blob(&what(), &Witness::default(), &arriving)).expect("it arrives");
        assert_eq!(blob.0, BYTES);
        drop(repository);
        offsets.into_inner()
    };
    assert_eq!(shown(&Script::new([reply(200).body(BYTES)])), [0]);
    let host = Script::new([rest(30)]);
    host.keep_part(&what(), &BYTES[..30]);
    assert_eq!(shown(&host), [30]);
    // A line that breaks goes on in the same one.
    assert_eq!(shown(&Script::new([reply(200).body(BYTES).cut_at(30), rest(30)])), [0]);
    assert_eq!(shown(&Script::new([reply(200).body(FORGED), reply(200).body(BYTES)])), [0, 0]);
    let host = Script::new([]);
    host.keep(BYTES);
    assert_eq!(shown(&host), [0; 0], "it is here");
    let host = Script::new([]);
    host.finish_meanwhile(BYTES);
    assert_eq!(shown(&host), [0; 0], "somebody else has brought it");
}
