//! `wit/writable.wit`, kept by every host that has trees to write to. What a mount of one shows is tested beside this, on
//! real files.

use super::layers::{Archives, layer};
use super::subject::{put, sha256};
use super::suite;
use wharf_component::host::{Host, Made, Top as _};
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;

suite! {
    [simulated: Simulated, real: Real];
    a_top_is_there_until_it_is_removed,
    a_name_has_one_top,
    what_is_no_name_is_refused,
    tops_are_listed_in_order_and_in_pages,
    what_a_top_stands_on_stays_with_it,
    what_is_applied_first_is_shown,
    what_is_no_archive_changes_nothing,
    a_view_takes_nothing,
    the_same_tree_makes_the_same_archive,
    who_holds_a_top_keeps_others_from_ending_it,
    a_commit_makes_a_snapshot_of_a_top,
    a_commit_under_a_name_that_is_taken_leaves_the_top,
    what_is_absent_is_removed_already,
}

/// A snapshot of one layer that has a file of this name.
async fn snapshot<S: Archives>(host: &S::Host, name: &str) -> <S::Host as Host>::Snapshot {
    let below = layer::<S>(host, name).await;
    host.stack(&sha256(name.as_bytes()), None, &below).await.expect("a snapshot")
}

/// Applies a layer that has one file of this name, and returns its DiffID.
async fn apply<S: Archives>(host: &S::Host, top: &<S::Host as Host>::Top, name: &str) -> Digest {
    let (archive, expected) = S::archive(name);
    let diff_id = apply_bytes(host, top, &archive).await;
    assert_eq!(diff_id, expected);
    diff_id
}

async fn apply_bytes<H: Host>(host: &H, top: &H::Top, archive: &[u8]) -> Digest {
    let (diff_id, bytes) = top.apply(&put(host, archive).await).await.expect("it is an archive");
    assert!(bytes > 0);
    diff_id
}

/// The archive that a difference is, and its DiffID.
async fn told<H: Host>(host: &H, (stream, end): wharf_component::host::Diff<H::Stream>) -> (Vec<u8>, Digest) {
    let bytes = host.collect(stream, 1 << 20).await.expect("it is small");
    let diff_id = end.await.expect("the tree can be read");
    assert_eq!(diff_id, sha256(&bytes), "it is uncompressed");
    (bytes, diff_id)
}

fn refused<T>(outcome: Made<T>) -> Option<ErrorCode> {
    outcome.err().map(|refusal| refusal.code)
}

fn a_top_is_there_until_it_is_removed<S: Archives>() {
    let subject = S::new();
    subject.run(async {
        let (host, other) = (subject.host(), subject.other());
        assert_eq!(host.top("top").await.err(), Some(ErrorCode::NotFound));
        drop(host.prepare("top", true, None).await.expect("a top"));
        // Nobody has synced the snapshot: who stands on it does.
        let below = snapshot::<S>(host, "below").await;
        drop(host.prepare("upper", true, Some(&below)).await.expect("a top"));
        assert!(host.top("top").await.is_ok() && other.top("upper").await.is_ok());
    });
    let subject = subject.restart();
    subject.run(async {
        let (host, other) = (subject.host(), subject.other());
        assert!(host.top("top").await.is_ok() && host.top("upper").await.is_ok(), "a top is durable");
        assert_eq!(other.remove_top("top").await, Ok(()));
        assert_eq!(host.top("top").await.err(), Some(ErrorCode::NotFound));
    });
    let subject = subject.restart();
    subject.run(async {
        assert_eq!(subject.host().tops(None, 9).await, Ok(vec!["upper".to_owned()]), "and so is a removal");
    });
}

fn a_name_has_one_top<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let below = snapshot::<S>(host, "below").await;
        drop(host.prepare("top", true, None).await.expect("a top"));
        assert_eq!(refused(host.prepare("top", true, None).await), Some(ErrorCode::Conflict));
        assert_eq!(refused(host.prepare("top", false, Some(&below)).await), Some(ErrorCode::Conflict));
        assert_eq!(other.remove_top("top").await, Ok(()));
        assert!(host.prepare("top", false, Some(&below)).await.is_ok(), "the name is free again");
    });
}

fn what_is_no_name_is_refused<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let longest = "é".repeat(512);
        for name in ["", &format!("{longest}x")] {
            assert_eq!(refused(host.prepare(name, true, None).await), Some(ErrorCode::Invalid), "{name:?}");
        }
        for name in [&longest, "../top", "a/b", ".", "\0"] {
            assert!(host.prepare(name, true, None).await.is_ok(), "{name:?} is a text like others");
            assert!(host.top(name).await.is_ok());
        }
    });
}

fn tops_are_listed_in_order_and_in_pages<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let mut names: Vec<String> = (0..7).map(|number| format!("top-{}", number * 3 % 7)).collect();
        for name in &names {
            drop(host.prepare(name, true, None).await.expect("a top"));
        }
        names.sort();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = host.tops(seen.last().map(String::as_str), 3).await.expect("a page");
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, names);
    });
}

fn what_a_top_stands_on_stays_with_it<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let name = sha256(b"below");
    subject.run(async {
        let below = snapshot::<S>(host, "below").await;
        drop(host.prepare("top", true, Some(&below)).await.expect("a top"));
        drop(below);
        assert_eq!(other.remove_snapshot(name.as_str()).await, Err(ErrorCode::InUse), "a top stands on it");
        assert_eq!(other.remove_layer(&S::archive("below").1).await, Err(ErrorCode::InUse));
        assert_eq!(other.remove_top("top").await, Ok(()));
        assert_eq!(other.remove_snapshot(name.as_str()).await, Ok(()));
    });
}

fn what_is_applied_first_is_shown<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let top = host.prepare("top", true, None).await.expect("a top");
        assert_eq!(top.shows().await, Ok(None));
        let diff_id = apply::<S>(host, &top, "first").await;
        assert_eq!(top.shows().await, Ok(Some(diff_id.clone())));
        assert!(other.layer(&diff_id).await.is_ok(), "it is a layer like others");
        assert_eq!(other.remove_layer(&diff_id).await, Err(ErrorCode::InUse), "the top shows it");
        apply::<S>(host, &top, "second").await;
        assert_eq!(top.shows().await, Ok(None), "there is more than that layer");
    });
}

fn what_is_no_archive_changes_nothing<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let top = host.prepare("top", true, None).await.expect("a top");
        let broken = put(host, &S::broken().0).await;
        assert_eq!(refused(top.apply(&broken).await), Some(ErrorCode::Invalid));
        assert_eq!(top.shows().await, Ok(None));
        let diff_id = apply::<S>(host, &top, "file").await;
        let before = told(host, top.diff()).await;
        assert_eq!(refused(top.apply(&broken).await), Some(ErrorCode::Invalid));
        assert_eq!(told(host, top.diff()).await.1, before.1);
        assert_eq!(top.shows().await, Ok(Some(diff_id)));
    });
}

fn a_view_takes_nothing<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let below = snapshot::<S>(host, "below").await;
        let view = host.prepare("view", false, Some(&below)).await.expect("a view");
        let (archive, _) = S::archive("file");
        assert_eq!(refused(view.apply(&put(host, &archive).await).await), Some(ErrorCode::Invalid));
        assert_eq!(view.usage().await, Ok((0, 0)));
        assert_eq!(refused(view.commit(sha256(b"a name").as_str()).await), Some(ErrorCode::Invalid));
        assert!(host.top("view").await.is_ok(), "it is still there");
        assert_eq!(host.snapshot(&sha256(b"a name")).await.err(), Some(ErrorCode::NotFound));
    });
}

fn the_same_tree_makes_the_same_archive<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let below = snapshot::<S>(host, "below").await;
        let one = host.prepare("one", true, Some(&below)).await.expect("a top");
        for name in ["first", "second"] {
            apply::<S>(host, &one, name).await;
        }
        let (bytes, diff_id) = told(host, one.diff()).await;
        assert_eq!(told(&other, other.top("one").await.expect("the top").diff()).await.1, diff_id);
        // Applied to the same parent they make the same tree.
        let two = host.prepare("two", true, Some(&below)).await.expect("a top");
        assert_eq!(apply_bytes(host, &two, &bytes).await, diff_id);
        assert_eq!(told(host, two.diff()).await.1, diff_id);
        // And so does the snapshot that becomes of it.
        let committed = two.commit(sha256(b"committed").as_str()).await.expect("a snapshot");
        assert_eq!(told(host, host.diff(&committed)).await.1, diff_id);
    });
}

fn who_holds_a_top_keeps_others_from_ending_it<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let name = sha256(b"committed");
    subject.run(async {
        let top = host.prepare("top", true, None).await.expect("a top");
        let theirs = other.top("top").await.expect("the top");
        assert_eq!(refused(top.commit(name.as_str()).await), Some(ErrorCode::InUse));
        assert_eq!(host.remove_top("top").await, Err(ErrorCode::InUse));
        drop(theirs);
        let top = other.top("top").await.expect("it is still there");
        assert!(top.commit(name.as_str()).await.is_ok());
    });
}

fn a_commit_makes_a_snapshot_of_a_top<S: Archives>() {
    let subject = S::new();
    let (below, committed) = (sha256(b"below"), sha256(b"committed"));
    subject.run(async {
        let (host, other) = (subject.host(), subject.other());
        let parent = snapshot::<S>(host, "below").await;
        let top = host.prepare("top", true, Some(&parent)).await.expect("a top");
        apply::<S>(host, &top, "file").await;
        drop(top.commit(committed.as_str()).await.expect("a snapshot"));
        drop(parent);
        assert!(other.snapshot(&committed).await.is_ok());
        assert_eq!(other.top("top").await.err(), Some(ErrorCode::NotFound), "the top is gone");
        assert_eq!(other.remove_snapshot(below.as_str()).await, Err(ErrorCode::InUse), "it stands on that");
    });
    let subject = subject.restart();
    subject.run(async {
        let host = subject.host();
        assert!(host.snapshot(&committed).await.is_ok(), "it is durable");
        assert_eq!(host.tops(None, 9).await, Ok(Vec::new()));
        assert_eq!(host.remove_snapshot(committed.as_str()).await, Ok(()));
        assert_eq!(host.remove_snapshot(below.as_str()).await, Ok(()));
    });
}

fn a_commit_under_a_name_that_is_taken_leaves_the_top<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        drop(snapshot::<S>(host, "below").await);
        let top = host.prepare("top", true, None).await.expect("a top");
        let diff_id = apply::<S>(host, &top, "file").await;
        assert_eq!(refused(top.commit(sha256(b"below").as_str()).await), Some(ErrorCode::Conflict));
        let top = host.top("top").await.expect("it is still there");
        assert_eq!(top.shows().await, Ok(Some(diff_id)));
    });
}

fn what_is_absent_is_removed_already<S: Archives>() {
    let subject = S::new();
    subject.run(async {
        assert_eq!(subject.host().remove_top("nothing").await, Ok(()));
    });
}
