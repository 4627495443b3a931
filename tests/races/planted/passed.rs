//! Histories made by hand in which images go into a file and come out of it, and to a registry, and are given up in part.

use super::super::history::{Change, Event, Fact, Kept, Moment, Operation, Outcome, Shift};
use super::{A, B, KEPT, done, event, failed, pull, saw, wrote};

/// A name of which what is saved may be given up.
const LEAN: &str = "kept/b:one";

fn load_as(name: &str, stop_ms: Option<u64>) -> Operation {
    Operation::Load { name: A.to_owned(), names: vec![name.to_owned()], stop_ms }
}

/// A load of what `A` was.
fn loaded(began: Moment, ended: Moment, digest: &str) -> Event {
    let read = Fact::Read { name: A.to_owned(), digest: Some(digest.to_owned()) };
    let wrote = Fact::Wrote { name: KEPT.to_owned(), digest: digest.to_owned() };
    event(began, ended, load_as(KEPT, None), done(vec![read, wrote]))
}

/// An export of what the name is.
fn exported(began: Moment, ended: Moment, manifest: &str, text: &str) -> Event {
    let fact = Fact::Tree { name: A.to_owned(), manifest: manifest.to_owned(), text: text.to_owned() };
    event(began, ended, Operation::Export { name: A.to_owned() }, done(vec![fact]))
}

/// A push of what the name is.
fn pushed(began: Moment, ended: Moment, digest: &str) -> Event {
    let read = Fact::Read { name: KEPT.to_owned(), digest: Some(digest.to_owned()) };
    let published = Fact::Published { name: KEPT.to_owned(), digest: digest.to_owned() };
    event(began, ended, Operation::Push { name: KEPT.to_owned(), stop_ms: None }, done(vec![read, published]))
}

fn retain(name: &str) -> Operation {
    let change = Change::Retain { what: name.to_owned(), kept: Kept::Unpacked };
    Operation::Perform { change, stop_ms: None }
}

fn untag(name: &str) -> Operation {
    let change = Change::Untag { what: name.to_owned(), force: false, platform: None };
    Operation::Perform { change, stop_ms: None }
}

fn shift(name: &str, before: &str, after: Option<&str>) -> Fact {
    let (name, before, after) = (name.to_owned(), Some(before.to_owned()), after.map(str::to_owned));
    Fact::Changed(Shift { name, before, after })
}

/// Each with a part of what has to be said about it.
pub(super) fn bad() -> Vec<(&'static str, Vec<Event>, &'static str)> {
    let first = || wrote(0, 10, A, "v1");
    let save = |name: &str| event(60, 70, Operation::Save { name: name.to_owned() }, failed("lost"));
    let read = Fact::Read { name: A.to_owned(), digest: Some("w1".to_owned()) };
    vec![
        ("a load that is lost", vec![first(), loaded(20, 30, "v1"), saw(40, 50, KEPT, None)], "no order"),
        (
            "a load of what its source never was",
            vec![first(), event(20, 30, load_as(KEPT, None), done(vec![read]))],
            "no order",
        ),
        (
            "a load that was killed, and that points to what its source never was",
            vec![first(), event(20, 30, load_as(KEPT, None), Outcome::Killed), saw(40, 50, KEPT, Some("w1"))],
            "no order",
        ),
        (
            "a load that was not stopped, and says so",
            vec![first(), event(20, 30, load_as(KEPT, None), failed("cancelled"))],
            "no outcome",
        ),
        (
            "an archive with the files of another image",
            vec![first(), exported(20, 30, "v1", "text of w1")],
            "has `text of w1`",
        ),
        (
            "an export of what the name does not point to any more",
            vec![first(), wrote(110, 120, A, "v2"), exported(130, 140, "v1", "text of v1")],
            "no order",
        ),
        (
            "an export that finds nothing of a name that is here",
            vec![first(), event(20, 30, Operation::Export { name: A.to_owned() }, failed("not-found"))],
            "no order",
        ),
        (
            "an export of which something is gone, and nobody has touched it",
            vec![first(), event(20, 30, Operation::Export { name: A.to_owned() }, failed("vanished"))],
            "no outcome",
        ),
        (
            "a push that was acknowledged, and that the registry does not have",
            vec![wrote(0, 10, KEPT, "v3"), pushed(60, 70, "v3")],
            "never had",
        ),
        ("a push that comes too early", vec![wrote(0, 10, KEPT, "v2"), pushed(60, 70, "v2")], "never had"),
        (
            "what is kept of another name",
            vec![first(), wrote(0, 10, B, "w1"), event(20, 30, retain(A), done(vec![shift(B, "w1", Some("w1"))]))],
            "nobody asked for",
        ),
        (
            "a name that points elsewhere because of what is kept of it",
            vec![first(), event(20, 30, retain(A), done(vec![shift(A, "v1", Some("v2"))]))],
            "nobody asked for",
        ),
        (
            "a name that is gone because of what is kept of it",
            vec![first(), event(20, 30, retain(A), Outcome::Killed), saw(40, 50, A, None)],
            "no order",
        ),
        ("blobs that are missed where none were given up", vec![first(), save(A)], "no outcome"),
    ]
}

pub(super) fn good() -> Vec<(&'static str, Vec<Event>)> {
    let first = || wrote(0, 10, A, "v1");
    vec![
        ("a load, and who sees it", vec![first(), loaded(20, 30, "v1"), saw(40, 50, KEPT, Some("v1"))]),
        (
            "a load of what its source was when it was saved",
            vec![first(), wrote(110, 120, A, "v2"), loaded(105, 190, "v1"), saw(195, 199, KEPT, Some("v1"))],
        ),
        (
            "a load of an older image, and a pull of the newer one after it",
            vec![
                first(),
                wrote(110, 120, A, "v2"),
                event(
                    90,
                    190,
                    load_as(A, None),
                    done(vec![Fact::Wrote { name: A.to_owned(), digest: "v1".to_owned() }]),
                ),
                saw(130, 140, A, Some("v2")),
                saw(191, 193, A, Some("v1")),
                event(194, 199, pull(A), Outcome::Killed),
            ],
        ),
        (
            "a load that was killed, and was recorded",
            vec![first(), event(20, 30, load_as(KEPT, None), Outcome::Killed), saw(40, 50, KEPT, Some("v1"))],
        ),
        (
            "a load that was stopped, and was not",
            vec![first(), event(20, 30, load_as(KEPT, Some(3)), failed("cancelled")), saw(40, 50, KEPT, None)],
        ),
        (
            "an export of the tree that the name had when it began",
            vec![first(), exported(100, 150, "v1", "text of v1"), wrote(110, 120, A, "v2")],
        ),
        (
            "an export whose tree goes before it is opened",
            vec![
                first(),
                event(20, 50, Operation::Export { name: A.to_owned() }, failed("vanished")),
                event(30, 40, untag(A), done(vec![shift(A, "v1", None)])),
            ],
        ),
        (
            "a push, and one of the same again",
            vec![wrote(0, 10, KEPT, "v1"), pushed(45, 55, "v1"), pushed(60, 70, "v1")],
        ),
        (
            "a name of which less is kept, and that stays",
            vec![first(), event(20, 30, retain(A), done(vec![shift(A, "v1", Some("v1"))])), saw(40, 50, A, Some("v1"))],
        ),
        (
            "an image that cannot be saved because its blobs were given up",
            vec![
                wrote(0, 10, LEAN, "v1"),
                event(20, 30, retain(LEAN), Outcome::Killed),
                event(60, 70, Operation::Save { name: LEAN.to_owned() }, failed("lost")),
            ],
        ),
    ]
}
