//! Histories made by hand: those that a store must never have, one for each kind of wrong, and those that look wrong and
//! are not. Those about changes of what is here are in `changes`, those about files and registries in `passed`, and those about images that are made here in `made` and
//! `composed`.

mod changes;
mod composed;
mod made;
mod passed;

use super::checker::{Registry, violations};
use super::history::{Event, Fact, Moment, Move, Operation, Outcome};

const A: &str = "race/a:one";
const B: &str = "race/b:one";
/// A name that no registry has, unless it is pushed.
const KEPT: &str = "kept/a:one";
const BLOB: &str = "sha256:blob";

/// A registry whose tag `A` points to `v1` from 0 on, to `v2` from 100 on, and to `v3` from 200 on; `B` to `w1`. `KEPT` was
/// pushed to it twice.
fn registry() -> Registry {
    let moved =
        |name: &str, digest: &str, at| Move { name: name.to_owned(), digest: digest.to_owned(), began: at, ended: at };
    let texts = ["v1", "v2", "v3", "w1"].map(|digest| (digest.to_owned(), format!("text of {digest}")));
    let targets = texts.clone().map(|(digest, text)| (text, [digest].into()));
    Registry {
        moves: vec![moved(A, "v1", 0), moved(B, "w1", 0), moved(A, "v2", 100), moved(A, "v3", 200)],
        pushed: vec![moved(KEPT, "v1", 50), moved(KEPT, "v2", 130)],
        flaws: Vec::new(),
        texts: texts.into(),
        targets: targets.into(),
        ..Registry::default()
    }
}

fn event(began: Moment, ended: Moment, operation: Operation, outcome: Outcome) -> Event {
    Event { worker: 0, began, ended, operation, outcome }
}

fn pull(name: &str) -> Operation {
    Operation::Pull { names: vec![name.to_owned()], unpack: false, whole: false, stop_ms: None }
}

/// A pull that wrote.
fn wrote(began: Moment, ended: Moment, name: &str, digest: &str) -> Event {
    let fact = Fact::Wrote { name: name.to_owned(), digest: digest.to_owned() };
    event(began, ended, pull(name), Outcome::Done(vec![fact]))
}

/// An inspection that saw a digest, or nothing.
fn saw(began: Moment, ended: Moment, name: &str, digest: Option<&str>) -> Event {
    let operation = Operation::Inspect { name: name.to_owned() };
    let outcome = match digest {
        Some(_) => Outcome::Done(vec![Fact::Read { name: name.to_owned(), digest: digest.map(str::to_owned) }]),
        None => failed("not-found"),
    };
    event(began, ended, operation, outcome)
}

fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), why: "because".to_owned() }
}

fn blob(began: Moment, ended: Moment, make: fn(String) -> Operation, outcome: Outcome) -> Event {
    event(began, ended, make(BLOB.to_owned()), outcome)
}

fn put(blob: String) -> Operation {
    Operation::Put { blob }
}

fn hold(blob: String) -> Operation {
    Operation::Hold { blob }
}

fn remove(blob: String) -> Operation {
    Operation::Remove { blob }
}

fn done(facts: Vec<Fact>) -> Outcome {
    Outcome::Done(facts)
}

fn is_here() -> Fact {
    Fact::Blob { blob: BLOB.to_owned(), is_here: true }
}

fn held(from: Moment, until: Moment) -> Fact {
    Fact::Held { blob: BLOB.to_owned(), from, until }
}

/// Each with a part of what has to be said about it.
fn bad() -> Vec<(&'static str, Vec<Event>, &'static str)> {
    let tree = |manifest: &str, text: &str| {
        let fact = Fact::Tree { name: A.to_owned(), manifest: manifest.to_owned(), text: text.to_owned() };
        event(60, 70, Operation::Unpack { name: A.to_owned() }, done(vec![fact]))
    };
    let half = Fact::Wrong("`race/a:one` is listed, and its blob `sha256:gone` is not here".to_owned());
    vec![
        (
            "a stale read: the write of the second was over when the read began",
            vec![wrote(0, 10, A, "v1"), wrote(110, 120, A, "v2"), saw(130, 140, A, Some("v1"))],
            "no order",
        ),
        (
            "a lost update: two have seen the second, then the first is back",
            vec![
                wrote(0, 10, A, "v1"),
                wrote(110, 120, A, "v2"),
                saw(125, 128, A, Some("v2")),
                saw(130, 140, A, Some("v1")),
            ],
            "no order",
        ),
        ("a name that is gone again", vec![wrote(0, 10, A, "v1"), saw(20, 30, A, None)], "no order"),
        ("a value that nobody wrote", vec![wrote(0, 10, A, "v1"), saw(20, 30, A, Some("v9"))], "no order"),
        (
            "two readers who saw two writes in two orders",
            vec![
                wrote(100, 200, A, "v1"),
                wrote(100, 200, A, "v2"),
                saw(110, 120, A, Some("v1")),
                saw(130, 140, A, Some("v2")),
                saw(150, 160, A, Some("v1")),
            ],
            "no order",
        ),
        (
            "a pull that was killed wrote what the registry has never had",
            vec![event(0, 10, pull(A), Outcome::Killed), saw(20, 30, A, Some("v2"))],
            "no order",
        ),
        (
            "a write of a killed pull that comes and goes",
            vec![
                wrote(0, 10, A, "v1"),
                event(110, 120, pull(A), Outcome::Killed),
                saw(130, 140, A, Some("v2")),
                saw(150, 160, A, Some("v1")),
            ],
            "no order",
        ),
        (
            "a slow pull that moves the name back, as a register may",
            vec![
                wrote(90, 190, A, "v1"),
                wrote(110, 120, A, "v2"),
                saw(140, 150, A, Some("v2")),
                saw(195, 199, A, Some("v1")),
            ],
            "moved backwards",
        ),
        (
            "a pull of what the registry does not have any more",
            vec![event(210, 220, pull(A), done(vec![Fact::Resolved { name: A.to_owned(), digest: "v1".to_owned() }]))],
            "did not point to",
        ),
        ("half an image", vec![event(60, 70, Operation::Images, done(vec![half]))], "is not here"),
        ("the tree of another image", vec![wrote(0, 10, A, "v1"), tree("v1", "text of v2")], "has `text of v2` in it"),
        ("a tree that nobody made", vec![wrote(0, 10, A, "v1"), tree("v8", "text of v1")], "nobody made the manifest"),
        ("an error that a listing cannot have", vec![event(0, 9, Operation::Images, failed("conflict"))], "no outcome"),
        ("a conflict although no tag has moved", vec![event(10, 20, pull(A), failed("conflict"))], "no outcome"),
        (
            "a pull that nobody stopped and that says so",
            vec![event(10, 20, pull(A), failed("cancelled"))],
            "no outcome",
        ),
        ("a trap", vec![event(10, 20, pull(Operation::VICTIM), failed("trap"))], "no outcome"),
        (
            "damage of an image that nobody damaged",
            vec![event(10, 20, pull(A), failed("digest-mismatch"))],
            "no outcome",
        ),
        (
            "a blob that was removed while it was held",
            vec![
                blob(0, 10, put, done(vec![])),
                blob(20, 90, hold, done(vec![is_here(), held(30, 80)])),
                blob(40, 50, remove, done(vec![])),
            ],
            "while somebody held it",
        ),
        (
            "a blob that is in use while nobody is there",
            vec![blob(0, 10, put, done(vec![])), blob(40, 50, remove, failed("in-use"))],
            "while nobody used it",
        ),
        (
            "a blob that is found after it was removed",
            vec![
                blob(0, 10, put, done(vec![])),
                blob(20, 30, remove, done(vec![])),
                blob(40, 50, hold, done(vec![is_here()])),
            ],
            "no order",
        ),
        (
            "a blob that is gone though nobody removed it",
            vec![blob(0, 10, put, done(vec![])), blob(40, 50, hold, failed("not-found"))],
            "no order",
        ),
    ]
}

fn good() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("nothing at all", Vec::new()),
        ("a read before anything was written", vec![saw(1, 2, A, None), wrote(3, 10, A, "v1")]),
        (
            "a read during a write may see either",
            vec![
                wrote(0, 10, A, "v1"),
                wrote(110, 140, A, "v2"),
                saw(120, 130, A, Some("v1")),
                saw(125, 135, A, Some("v2")),
            ],
        ),
        (
            "a slow write that took effect before a quick one",
            vec![
                wrote(110, 190, A, "v1"),
                wrote(120, 130, A, "v2"),
                saw(140, 150, A, Some("v2")),
                saw(195, 199, A, Some("v2")),
            ],
        ),
        (
            "a slow reader of what is long gone",
            vec![wrote(0, 10, A, "v1"), saw(5, 300, A, Some("v1")), wrote(110, 120, A, "v2"), wrote(210, 220, A, "v3")],
        ),
        (
            "a killed pull that wrote",
            vec![wrote(0, 10, A, "v1"), event(90, 120, pull(A), Outcome::Killed), saw(130, 140, A, Some("v2"))],
        ),
        (
            "a killed pull that did not",
            vec![wrote(0, 10, A, "v1"), event(90, 120, pull(A), Outcome::Killed), saw(130, 140, A, Some("v1"))],
        ),
        (
            "a killed pull that wrote after a reader had looked",
            vec![
                wrote(0, 10, A, "v1"),
                event(110, 200, pull(A), Outcome::Killed),
                saw(120, 130, A, Some("v1")),
                saw(140, 150, A, Some("v2")),
            ],
        ),
        (
            "the same value written by two who overlap",
            vec![
                wrote(0, 30, A, "v1"),
                wrote(20, 60, A, "v1"),
                wrote(110, 120, A, "v2"),
                saw(50, 115, A, Some("v1")),
                saw(125, 130, A, Some("v2")),
            ],
        ),
        ("two names do not order each other", vec![wrote(0, 10, A, "v1"), saw(20, 30, B, None), wrote(0, 50, B, "w1")]),
        ("a conflict when the tag has moved", vec![event(90, 120, pull(A), failed("conflict"))]),
        ("damage of the victim", vec![event(0, 9, pull(Operation::VICTIM), failed("digest-mismatch"))]),
        (
            "a blob that is removed as soon as it is let go, and comes again",
            vec![
                blob(0, 10, put, done(vec![held(8, 9)])),
                blob(20, 60, hold, done(vec![is_here(), held(25, 55)])),
                blob(30, 40, remove, failed("in-use")),
                blob(50, 70, remove, done(vec![])),
                blob(75, 80, hold, failed("not-found")),
                blob(85, 90, put, done(vec![])),
                blob(95, 99, hold, done(vec![is_here()])),
            ],
        ),
        (
            "of two removals one is told that the blob is in use",
            vec![
                blob(0, 10, put, done(vec![])),
                blob(20, 40, remove, done(vec![])),
                blob(30, 35, remove, failed("in-use")),
            ],
        ),
        (
            "a removal that was killed, or was not",
            vec![
                blob(0, 10, put, done(vec![])),
                blob(20, 30, remove, Outcome::Killed),
                blob(40, 50, hold, failed("not-found")),
            ],
        ),
    ]
}

#[test]
fn a_history_that_no_store_may_have_is_rejected() {
    for (what, events, expected) in
        bad().into_iter().chain(changes::bad()).chain(passed::bad()).chain(made::bad()).chain(composed::bad())
    {
        let found = violations(&events, &registry());
        assert!(found.iter().any(|why| why.contains(expected)), "{what}: {found:#?}");
    }
}

#[test]
fn a_history_that_only_looks_wrong_is_accepted() {
    for (what, events) in
        good().into_iter().chain(changes::good()).chain(passed::good()).chain(made::good()).chain(composed::good())
    {
        assert_eq!(violations(&events, &registry()), [""; 0], "{what}");
    }
}

/// The order is found whatever the order of the lines is: logs are read one process after the other.
#[test]
fn the_order_of_the_logs_does_not_matter() {
    let turned = |events: &[Event]| events.iter().rev().cloned().collect::<Vec<_>>();
    for (what, events, _) in
        bad().into_iter().chain(changes::bad()).chain(passed::bad()).chain(made::bad()).chain(composed::bad())
    {
        assert_ne!(violations(&turned(&events), &registry()), [""; 0], "{what}");
    }
    for (what, events) in
        good().into_iter().chain(changes::good()).chain(passed::good()).chain(made::good()).chain(composed::good())
    {
        assert_eq!(violations(&turned(&events), &registry()), [""; 0], "{what}");
    }
}
