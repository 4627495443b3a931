//! Downloads and the content store: what it has, who else fills it, and what it
//! does not believe.

use super::*;

/// A blob that the disk had shortened made every later pull of it fail.
#[test]
fn a_damaged_blob_is_fetched_again_and_replaced() {
    let host = Script::new([reply(200).body(BYTES)]);
    host.damage(&what(), &BYTES[..41]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(42));
    assert_eq!(host.kept(&what()).as_deref(), Some(BYTES));
    let told =
        format!("the store has 41 bytes of `{}`, and 42 were promised; downloading the blob again", what().digest);
    assert_eq!(*watch.warnings.borrow(), [told]);
}

#[test]
fn a_manifest_that_lies_about_a_size_does_not_harm_the_blob_that_is_here() {
    let host = Script::new([reply(200).header("content-length", "42").body(BYTES)]);
    host.keep(BYTES);
    let lie = Descriptor { size: 41, ..what() };
    let failure =
        host.run(host.repository("registry.example/a/b").blob(&lie, &Witness::default(), &|_| {})).map(|_| ());
    let why = "the blob of `registry.example` has 42 bytes, and 41 were promised";
    assert_eq!(failure, Err(Failure::new(ErrorCode::SizeMismatch(42), why)));
    assert_eq!(host.kept(&what()).as_deref(), Some(BYTES));
}

#[test]
fn a_blob_that_somebody_else_finishes_meanwhile_is_not_asked_for() {
    let host = Script::new([]);
    host.finish_meanwhile(BYTES);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(0));
    assert_eq!(watch.story(), [Phase::Waiting, Phase::Present]);
    assert_eq!(host.log(), ["discard"]);
    assert_eq!(host.part(&what()), None);
}

/// Two pulls at once: the second one looked as if it hung.
#[test]
fn waiting_for_another_holder_is_told_once_it_takes_long() {
    for (ms, expected) in
        [(1_900, None), (700_000, Some(format!("another wharf is downloading `{}`; waiting for it", what().digest)))]
    {
        let host = Script::new([]);
        host.hold_meanwhile(ms);
        host.finish_meanwhile(BYTES);
        let (done, watch) = download(&host);
        assert_eq!(done, Ok(0), "{ms}");
        assert_eq!(*watch.warnings.borrow(), Vec::from_iter(expected), "{ms}");
        assert_eq!(watch.story(), [Phase::Waiting, Phase::Present], "{ms}");
    }
}

#[test]
fn an_ingest_that_was_left_by_another_holder_is_continued() {
    let host = Script::new([rest(30)]);
    host.keep_part(&what(), &BYTES[..30]);
    host.hold_meanwhile(5_000);
    assert_eq!(download(&host).0, Ok(12));
}

/// A response that comes in one piece may be spoiled as well, by a cache on the way.
#[test]
fn a_wrong_digest_is_asked_for_once_more() {
    let host = Script::new([reply(200).body(FORGED), reply(200).body(BYTES)]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(84));
    assert_eq!(host.log(), ["commit", "commit"]);
    let (found, digest) = (Digest::of(Algorithm::Sha256, FORGED), what().digest);
    let told = format!("the bytes of `{digest}` hash to `{found}`; downloading the blob again from the start");
    assert_eq!(*watch.warnings.borrow(), [told]);
}

#[test]
fn a_wrong_digest_twice_leaves_nothing_behind_and_names_both() {
    let host = Script::new([reply(200).body(FORGED), reply(200).body(FORGED)]);
    let found = Digest::of(Algorithm::Sha256, FORGED);
    let why = format!("the bytes from `registry.example` hash to `{found}`, and `{}` was asked for", what().digest);
    assert_eq!(download(&host).0, Err(Failure::new(ErrorCode::DigestMismatch(found), why)));
    assert_eq!((host.kept(&what()), host.part(&what())), (None, None));
    assert_eq!(host.requests().len(), 2);
}

#[test]
fn pieces_that_do_not_fit_are_fetched_once_more_from_the_start() {
    let host = Script::new([rest(30), reply(200).body(BYTES)]);
    host.keep_part(&what(), &FORGED[..30]);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(12 + 42));
    assert_eq!(ranges(&host), some_ranges(&[Some("bytes=30-"), None]));
    assert_eq!(host.log(), ["commit", "commit"]);
    assert_eq!(watch.warnings.borrow().len(), 1);
}

#[test]
fn pieces_that_do_not_fit_twice_are_refused() {
    let forged_rest = reply(206).header("content-range", "bytes 20-41/42").body(&FORGED[20..]);
    let host = Script::new([rest(30), reply(200).body(FORGED).cut_at(20), forged_rest]);
    host.keep_part(&what(), &FORGED[..30]);
    let found = Digest::of(Algorithm::Sha256, FORGED);
    assert_eq!(download(&host).0.map_err(|failure| failure.code), Err(ErrorCode::DigestMismatch(found)));
    assert_eq!((host.kept(&what()), host.part(&what())), (None, None));
}

/// While the first download is refused, its ingest is free, and somebody else
/// may take it.
#[test]
fn a_blob_that_somebody_else_finishes_before_the_repetition_is_not_asked_for_again() {
    let host = Script::new([reply(200).body(FORGED)]);
    host.finish_before_repetition(BYTES);
    let (done, watch) = download(&host);
    assert_eq!(done, Ok(42));
    assert_eq!(host.log(), ["commit", "discard"]);
    assert_eq!(watch.story().last(), Some(&Phase::Present));
}

/// A dropped append may write what it had read already. The offset moves on
/// then, and the response that begins at the old one does not fit any more.
#[test]
fn bytes_that_land_while_the_next_request_is_on_its_way_are_noticed() {
    for (request, late, asked, expected) in [
        // The response is from byte 20, and the ingest has 22.
        (1, &BYTES[20..22], &[None, Some("bytes=20-"), Some("bytes=22-")][..], 42),
        // All of it landed: nothing is left to ask for.
        (1, &BYTES[20..], &[None, Some("bytes=20-")], 42),
        // More than the blob has: the response was too long, and nothing of it is worth anything.
        (1, &[&BYTES[20..], b"!!"].concat(), &[None, Some("bytes=20-"), None], 20 + 24 + 42),
    ] {
        let mut replies = vec![reply(200).body(BYTES).fate(Fate::Stall(20)), rest(20)];
        match asked.get(2) {
            Some(Some(_)) => replies.push(rest(22)),
            Some(None) => replies.push(reply(200).body(BYTES)),
            None => {}
        }
        let host = Script::new(replies);
        host.land_late(request, &what(), late);
        assert_eq!(download(&host).0, Ok(expected), "{} bytes", late.len());
        assert_eq!(ranges(&host), some_ranges(asked), "{} bytes", late.len());
    }
}
