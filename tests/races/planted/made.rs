//! Histories made by hand in which images are made here.

use super::super::history::{Change, Event, Fact, Moment, Operation, Outcome, Shift};
use super::{A, BLOB, KEPT, done, event, failed, saw, wrote};

/// A second, in the time of events.
const S: Moment = 1_000_000_000;
/// What an archive had in it.
const TEXT: &str = "imported";

fn import(stop_ms: Option<u64>) -> Operation {
    Operation::Import { name: KEPT.to_owned(), text: TEXT.to_owned(), stop_ms }
}

fn made(target: &str) -> Fact {
    Fact::Made { target: target.to_owned(), text: TEXT.to_owned() }
}

fn changed(name: &str, before: Option<&str>, after: Option<&str>) -> Fact {
    Fact::Changed(Shift { name: name.to_owned(), before: before.map(str::to_owned), after: after.map(str::to_owned) })
}

/// An import that made this of the name.
fn imported(began: Moment, ended: Moment, before: Option<&str>, target: &str) -> Event {
    event(began, ended, import(None), done(vec![made(target), changed(KEPT, before, Some(target))]))
}

/// An import that did not say what it made.
fn killed(began: Moment, ended: Moment) -> Event {
    event(began, ended, import(None), Outcome::Killed)
}

/// A look into the tree of an image.
fn tree(began: Moment, ended: Moment, manifest: &str, text: &str) -> Event {
    let fact = Fact::Tree { name: KEPT.to_owned(), manifest: manifest.to_owned(), text: text.to_owned() };
    event(began, ended, Operation::Unpack { name: KEPT.to_owned() }, done(vec![fact]))
}

/// A look at its history.
fn told(began: Moment, ended: Moment, text: &str) -> Event {
    let fact = Fact::Told { name: KEPT.to_owned(), text: text.to_owned() };
    event(began, ended, Operation::History { name: KEPT.to_owned() }, done(vec![fact]))
}

/// A tag of `A` as the name is.
fn tagged(began: Moment, ended: Moment, before: &str, after: &str) -> Event {
    let change = Change::Tag { source: KEPT.to_owned(), names: vec![A.to_owned()] };
    let operation = Operation::Perform { change, stop_ms: None };
    event(began, ended, operation, done(vec![changed(A, Some(before), Some(after))]))
}

/// A commit of a snapshot that stands on what `A` was.
fn commit(stop_ms: Option<u64>) -> Operation {
    Operation::Commit { name: KEPT.to_owned(), text: TEXT.to_owned(), stop_ms }
}

fn committed(began: Moment, ended: Moment, before: Option<&str>, target: &str) -> Event {
    event(began, ended, commit(None), done(vec![made(target), changed(KEPT, before, Some(target))]))
}

/// A snapshot that was there from one moment to the other, and is removed then.
fn stood(from: Moment, until: Moment) -> Event {
    let fact = Fact::Stood { blobs: vec![BLOB.to_owned()], from, until };
    event(until, until + 1, Operation::Leave, done(vec![fact]))
}

/// A snapshot that is made.
fn prepared(began: Moment, ended: Moment, text: &str) -> Event {
    let fact = Fact::Tree { name: A.to_owned(), manifest: "v1".to_owned(), text: text.to_owned() };
    event(began, ended, Operation::Prepare { name: A.to_owned() }, done(vec![fact]))
}

fn collected(began: Moment, ended: Moment) -> Event {
    let operation = Operation::Perform { change: Change::Collect { ingest_age_s: 0 }, stop_ms: None };
    event(began, ended, operation, done(vec![Fact::Removed(vec![BLOB.to_owned()])]))
}

/// What is told of the name.
fn events(began: Moment, facts: Vec<Fact>) -> Event {
    event(began, began + 1, Operation::Events { name: KEPT.to_owned(), seconds: 4 }, done(facts))
}

/// Each with a part of what has to be said about it.
pub(super) fn bad() -> Vec<(&'static str, Vec<Event>, &'static str)> {
    let first = || wrote(0, 10, KEPT, "v1");
    let elsewhere = vec![made("m1"), changed(KEPT, None, Some("v2"))];
    let another = vec![made("m1"), changed(A, None, Some("m1"))];
    vec![
        ("an import that is lost", vec![imported(20, 30, None, "m1"), saw(40, 50, KEPT, None)], "no order"),
        ("an import that did not see what it replaced", vec![first(), imported(20, 30, None, "m1")], "no order"),
        (
            "an import that gives its name to something else",
            vec![event(20, 30, import(None), done(elsewhere))],
            "nobody asked for",
        ),
        ("an import that changes another name", vec![event(20, 30, import(None), done(another))], "nobody asked for"),
        (
            "an image that was imported with the files of another one",
            vec![imported(20, 30, None, "m1"), tree(40, 50, "m1", "text of v1")],
            "has `text of v1` in it",
        ),
        (
            "an import that becomes an image of the registry",
            vec![imported(120, 130, None, "v2")],
            "was made of `imported`, and is `text of v2`",
        ),
        (
            "the history of what was imported before it was",
            vec![first(), told(15, 18, TEXT), imported(20, 30, Some("v1"), "m1")],
            "no order",
        ),
        (
            "an import that was killed, and was two images",
            vec![killed(20, 30), tree(40, 50, "m1", TEXT), tree(60, 70, "m2", TEXT)],
            "was made once",
        ),
        (
            "an import that was killed, and that has the files of another one",
            vec![killed(20, 30), tree(40, 50, "m1", "text of v9")],
            "nobody made the manifest",
        ),
        (
            "an import that was killed, and that comes and goes",
            vec![
                first(),
                killed(20, 30),
                saw(40, 50, KEPT, Some("m1")),
                saw(60, 70, KEPT, Some("v1")),
                told(80, 90, TEXT),
            ],
            "no order",
        ),
        (
            "an image of which the import was over before its name was another",
            vec![killed(20, 30), saw(40, 50, KEPT, None), imported(60, 70, None, "m2"), saw(80, 90, KEPT, Some("m1"))],
            "no order",
        ),
        (
            "an import that was not stopped, and says so",
            vec![event(20, 30, import(None), failed("cancelled"))],
            "no outcome",
        ),
        (
            "a snapshot of another tree than the name has",
            vec![wrote(0, 10, A, "v1"), prepared(20, 30, "text of w1")],
            "has `text of w1` in it",
        ),
        (
            "a snapshot of what the name does not point to any more",
            vec![wrote(0, 10, A, "v1"), wrote(110, 120, A, "v2"), prepared(130, 140, "text of v1")],
            "no order",
        ),
        (
            "a snapshot that is not made, because something is gone that nobody has touched",
            vec![wrote(0, 10, A, "v1"), event(20, 30, Operation::Prepare { name: A.to_owned() }, failed("lost"))],
            "no outcome",
        ),
        (
            "a blob that is gone although a snapshot stands on it",
            vec![stood(20, 90), collected(40, 50)],
            "while a snapshot stood on it",
        ),
        (
            "a snapshot that is gone before it is removed",
            vec![event(20, 30, Operation::Leave, failed("lost"))],
            "no outcome",
        ),
        ("a commit that is lost", vec![committed(20, 30, None, "m1"), saw(40, 50, KEPT, None)], "no order"),
        ("a commit that did not see what it replaced", vec![first(), committed(20, 30, None, "m1")], "no order"),
        (
            "a commit that changes another name",
            vec![event(20, 30, commit(None), done(vec![made("m1"), changed(A, None, Some("m1"))]))],
            "nobody asked for",
        ),
        ("a commit of which the base is gone", vec![event(20, 30, commit(None), failed("lost"))], "no outcome"),
        (
            "a commit that was not told",
            vec![committed(2 * S, 2 * S + 1, None, "m1"), events(4 * S, vec![])],
            "was not told",
        ),
        (
            "an import that was not told",
            vec![imported(2 * S, 2 * S + 1, None, "m1"), events(4 * S, vec![])],
            "was not told",
        ),
        ("an import that is told and never was", vec![events(4 * S, vec![happened("m1")])], "nobody did"),
    ]
}

fn happened(target: &str) -> Fact {
    Fact::Happened { name: KEPT.to_owned(), action: "import".to_owned(), target: Some(target.to_owned()) }
}

pub(super) fn good() -> Vec<(&'static str, Vec<Event>)> {
    let first = || wrote(0, 10, KEPT, "v1");
    vec![
        (
            "an import, and who sees it under another name",
            vec![
                first(),
                wrote(0, 10, A, "v1"),
                imported(20, 30, Some("v1"), "m1"),
                tree(40, 50, "m1", TEXT),
                told(40, 50, TEXT),
                tagged(60, 70, "v1", "m1"),
                saw(80, 90, A, Some("m1")),
            ],
        ),
        (
            "an import that was killed, and of which everything is known by what others saw",
            vec![
                wrote(0, 10, A, "v1"),
                killed(20, 60),
                saw(30, 35, KEPT, None),
                told(40, 50, TEXT),
                tagged(45, 55, "v1", "m1"),
                tree(80, 90, "m1", TEXT),
            ],
        ),
        (
            "two imports that were killed, into which nobody has looked",
            vec![
                killed(20, 30),
                event(
                    20,
                    30,
                    Operation::Import { name: KEPT.to_owned(), text: "another".to_owned(), stop_ms: None },
                    Outcome::Killed,
                ),
                saw(40, 50, KEPT, Some("m1")),
            ],
        ),
        (
            "an import that was stopped, and was not",
            vec![first(), event(20, 30, import(Some(3)), failed("cancelled")), saw(40, 50, KEPT, Some("v1"))],
        ),
        (
            "a snapshot, what it becomes, and who sees that",
            vec![
                wrote(0, 10, A, "v1"),
                prepared(20, 30, "text of v1"),
                committed(40, 50, None, "m1"),
                told(60, 70, TEXT),
                stood(25, 80),
            ],
        ),
        (
            "a commit that was killed, and was recorded",
            vec![first(), event(20, 30, commit(None), Outcome::Killed), tree(40, 50, "m1", TEXT)],
        ),
        (
            "a commit that was stopped, and was recorded all the same",
            vec![first(), event(20, 30, commit(Some(3)), failed("cancelled")), saw(40, 50, KEPT, Some("m1"))],
        ),
        (
            "a snapshot of what is removed meanwhile",
            vec![
                wrote(0, 10, A, "v1"),
                event(20, 60, Operation::Prepare { name: A.to_owned() }, failed("lost")),
                event(30, 40, Operation::Expire { name: A.to_owned() }, done(vec![])),
            ],
        ),
        (
            "a collection that was at it when the snapshot came, and one when it had gone",
            vec![collected(10, 50), stood(20, 90), collected(95, 99)],
        ),
        ("an import that was told", vec![imported(2 * S, 2 * S + 1, None, "m1"), events(4 * S, vec![happened("m1")])]),
    ]
}
