//! Histories made by hand in which names come and go: by tags, removals, prunes, collections and plans, beside leases.

use super::super::checker::who;
use super::super::history::{Change, Event, Fact, Moment, Operation, Outcome, Shift};
use super::{A, B, BLOB, KEPT as K, blob, done, event, failed, held, hold, is_here, pull, put, saw, wrote};

/// A second, in the time of events.
const S: Moment = 1_000_000_000;

fn shift(name: &str, before: Option<&str>, after: Option<&str>) -> Shift {
    Shift { name: name.to_owned(), before: before.map(str::to_owned), after: after.map(str::to_owned) }
}

fn changed(name: &str, before: Option<&str>, after: Option<&str>) -> Fact {
    Fact::Changed(shift(name, before, after))
}

fn perform(change: Change) -> Operation {
    Operation::Perform { change, stop_ms: None }
}

fn rm(what: &str) -> Change {
    Change::Untag { what: what.to_owned(), force: false, platform: None }
}

/// A removal of a name that pointed there.
fn gone(began: Moment, ended: Moment, name: &str, before: &str) -> Event {
    event(began, ended, perform(rm(name)), done(vec![changed(name, Some(before), None)]))
}

/// A removal of a platform.
fn shrink() -> Change {
    Change::Untag { what: A.to_owned(), force: false, platform: Some("linux/arm64".to_owned()) }
}

fn tag(source: &str, name: &str) -> Change {
    Change::Tag { source: source.to_owned(), names: vec![name.to_owned()] }
}

fn prune(below: Option<&str>) -> Operation {
    perform(Change::Prune { all: true, below: below.map(str::to_owned), keep_bytes: None })
}

fn stopped() -> Operation {
    Operation::Perform { change: Change::Prune { all: true, below: None, keep_bytes: None }, stop_ms: Some(1) }
}

fn collect() -> Operation {
    perform(Change::Collect { ingest_age_s: 0 })
}

/// One that began when everything was over.
fn collect_later() -> Event {
    event(60, 70, collect(), done(vec![]))
}

fn removed() -> Fact {
    Fact::Removed(vec![BLOB.to_owned()])
}

/// A plan to take `A` away from `v1`, made at 20 and carried out.
fn apply(began: Moment, ended: Moment, outcome: Outcome) -> Event {
    event(began, ended, Operation::Apply { change: rm(A), shifts: vec![shift(A, Some("v1"), None)], made: 20 }, outcome)
}

/// A lease from one moment to the other, released then.
fn lease(from: Moment, until: Moment) -> Event {
    let fact = Fact::Leased { target: "v1".to_owned(), blobs: vec![BLOB.to_owned()], from, until };
    event(until, until + 1, Operation::Release, done(vec![fact]))
}

fn label(began: Moment, ended: Moment, value: &str) -> Event {
    let fact = Fact::Labelled { name: A.to_owned(), value: value.to_owned() };
    event(began, ended, Operation::Label { name: A.to_owned(), value: Some(value.to_owned()) }, done(vec![fact]))
}

fn labels(began: Moment, ended: Moment, value: Option<&str>) -> Event {
    let fact = Fact::Label { name: A.to_owned(), value: value.map(str::to_owned) };
    event(began, ended, Operation::Label { name: A.to_owned(), value: None }, done(vec![fact]))
}

fn expire(began: Moment, ended: Moment) -> Event {
    event(began, ended, Operation::Expire { name: A.to_owned() }, done(vec![]))
}

fn told(began: Moment, facts: Vec<Fact>) -> Event {
    event(began, began + 1, Operation::Events { name: A.to_owned(), seconds: 4 }, done(facts))
}

fn untagged(target: &str) -> Fact {
    Fact::Happened { name: A.to_owned(), action: "untag".to_owned(), target: Some(target.to_owned()) }
}

fn lost(from: Moment, until: Moment) -> Fact {
    Fact::Lost { name: A.to_owned(), why: "its blob is not here".to_owned(), from, until }
}

/// What another process did.
fn by(worker: usize, event: Event) -> Event {
    Event { worker, ..event }
}

fn refused(worker: usize) -> Outcome {
    let why = format!("cannot prune: another prune runs: {}", who(worker));
    Outcome::Failed { code: "in-use".to_owned(), why }
}

/// Each with a part of what has to be said about it.
pub(super) fn bad() -> Vec<(&'static str, Vec<Event>, &'static str)> {
    let first = || wrote(0, 10, A, "v1");
    let listed = Fact::Read { name: A.to_owned(), digest: Some("v1".to_owned()) };
    let mounted = Fact::Mounted { text: "text of v1".to_owned(), from: 20, until: 80 };
    let stayed = Fact::Stayed { name: A.to_owned(), why: "has changed".to_owned() };
    vec![
        (
            "a removal that is lost: the name comes back, and nobody wrote it",
            vec![first(), gone(20, 30, A, "v1"), saw(40, 50, A, None), saw(60, 70, A, Some("v1"))],
            "no order",
        ),
        (
            "a name that is listed after its removal was acknowledged",
            vec![first(), gone(20, 30, A, "v1"), event(40, 50, Operation::Images, done(vec![listed]))],
            "no order",
        ),
        ("one name that two took", vec![first(), gone(20, 30, A, "v1"), gone(40, 50, A, "v1")], "no order"),
        (
            "a removal of an image that the name did not point to any more",
            vec![first(), wrote(110, 120, A, "v2"), gone(130, 140, A, "v1")],
            "no order",
        ),
        (
            "a removal of another name",
            vec![wrote(0, 10, B, "w1"), event(20, 30, perform(rm(A)), done(vec![changed(B, Some("w1"), None)]))],
            "nobody asked for",
        ),
        (
            "a platform that goes from the name of another image",
            vec![
                first(),
                wrote(0, 10, B, "w1"),
                event(
                    20,
                    30,
                    perform(shrink()),
                    done(vec![changed(A, Some("v1"), Some("v1")), changed(B, Some("w1"), Some("w1"))]),
                ),
            ],
            "nobody asked for",
        ),
        (
            "a tag of what the source never was",
            vec![first(), event(20, 30, perform(tag(A, K)), done(vec![changed(K, None, Some("w1"))]))],
            "no order",
        ),
        (
            "a tag that was killed, and that points to what its source never was",
            vec![first(), event(20, 30, perform(tag(A, K)), Outcome::Killed), saw(40, 50, K, Some("w1"))],
            "no order",
        ),
        (
            "a blob that is gone although a lease holds it",
            vec![lease(20, 90), event(40, 50, collect(), done(vec![removed()]))],
            "while a lease held it",
        ),
        (
            "a prune of an image that a lease holds",
            vec![first(), lease(20, 90), event(40, 50, prune(None), done(vec![changed(A, Some("v1"), None)]))],
            "while a lease held its image",
        ),
        (
            "a prune of what is mounted",
            vec![
                first(),
                event(15, 90, Operation::Mount { name: A.to_owned() }, done(vec![mounted])),
                event(40, 50, prune(None), done(vec![changed(A, Some("v1"), None)])),
            ],
            "while it was mounted",
        ),
        (
            "a prune that takes a name that its filter excludes",
            vec![first(), event(40, 50, prune(Some("race/b")), done(vec![changed(A, Some("v1"), None)]))],
            "does not pass the filters",
        ),
        (
            "the same, by a process that was killed",
            vec![first(), event(40, 50, prune(Some("race/b")), Outcome::Killed), saw(60, 70, A, None)],
            "no order",
        ),
        (
            "a plan that is carried out as another one",
            vec![first(), wrote(0, 10, B, "w1"), apply(40, 50, done(vec![changed(B, Some("w1"), None)]))],
            "the plan was another one",
        ),
        ("a plan of which nothing is done", vec![first(), apply(40, 50, done(vec![]))], "the plan was another one"),
        (
            "a plan that is carried out although the name is another",
            vec![first(), wrote(110, 120, A, "v2"), apply(130, 140, done(vec![changed(A, Some("v1"), None)]))],
            "no order",
        ),
        (
            "a plan that is refused although nothing has changed",
            vec![first(), apply(40, 50, failed("conflict"))],
            "no outcome",
        ),
        (
            "a plan that is refused because of a lease that nobody took",
            vec![
                first(),
                event(
                    40,
                    50,
                    Operation::Apply { change: Change::Collect { ingest_age_s: 0 }, shifts: Vec::new(), made: 20 },
                    Outcome::Failed { code: "conflict".to_owned(), why: "the lease `a` is another one".to_owned() },
                ),
                collect_later(),
            ],
            "no outcome",
        ),
        ("a prune that is refused while nobody prunes", vec![event(40, 50, prune(None), refused(3))], "no outcome"),
        (
            "a prune that is refused in the name of somebody else",
            vec![
                event(30, 60, prune(None), done(vec![])),
                by(3, event(10, 20, prune(None), done(vec![]))),
                by(7, event(40, 50, prune(None), refused(3))),
            ],
            "no outcome",
        ),
        (
            "a prune that was stopped and is in the way of another",
            vec![by(3, event(10, 20, stopped(), failed("cancelled"))), event(40, 50, prune(None), refused(3))],
            "no outcome",
        ),
        (
            "a blob that is collected while it is held",
            vec![
                blob(0, 10, put, done(vec![])),
                blob(20, 90, hold, done(vec![is_here(), held(30, 80)])),
                event(40, 50, collect(), done(vec![removed()])),
            ],
            "collected while somebody held it",
        ),
        (
            "a blob that is found after it was collected",
            vec![
                blob(0, 10, put, done(vec![])),
                event(20, 30, collect(), done(vec![removed()])),
                blob(40, 50, hold, done(vec![is_here()])),
            ],
            "no order",
        ),
        (
            "half an image that nobody has touched",
            vec![first(), event(20, 30, Operation::Images, done(vec![lost(22, 28)])), gone(40, 50, A, "v1")],
            "nobody has touched it",
        ),
        (
            "an image that lost something, and nobody has touched it",
            vec![first(), event(20, 30, Operation::History { name: A.to_owned() }, failed("lost"))],
            "no outcome",
        ),
        (
            "a collection that takes a name that does not expire",
            vec![first(), event(20, 30, collect(), done(vec![changed(A, Some("v1"), None)])), expire(40, 50)],
            "nothing said that it expires",
        ),
        ("a label that is lost", vec![first(), label(20, 30, "x"), labels(40, 50, None)], "no order"),
        (
            "a label that outlives its name",
            vec![first(), label(20, 30, "x"), gone(40, 50, A, "v1"), wrote(60, 70, A, "v1"), labels(80, 90, Some("x"))],
            "no order",
        ),
        (
            "a change that stays undone although nobody else has touched the name",
            vec![first(), event(20, 30, perform(rm(A)), done(vec![stayed]))],
            "nobody else has touched it",
        ),
        (
            "a removal that is not told",
            vec![first(), gone(2 * S, 2 * S + 1, A, "v1"), told(4 * S, vec![])],
            "was not told",
        ),
        ("a removal that is told and never was", vec![first(), told(4 * S, vec![untagged("v1")])], "nobody did"),
    ]
}

pub(super) fn good() -> Vec<(&'static str, Vec<Event>)> {
    let first = || wrote(0, 10, A, "v1");
    let stayed = Fact::Stayed { name: A.to_owned(), why: "has changed".to_owned() };
    let less = |name| changed(name, Some("v1"), Some("v1"));
    vec![
        (
            "a platform that goes from all names of an image",
            vec![
                first(),
                event(20, 30, perform(tag(A, K)), done(vec![changed(K, None, Some("v1"))])),
                event(40, 50, perform(shrink()), done(vec![less(A), less(K)])),
            ],
        ),
        (
            "a name that is removed and comes again at an older image",
            vec![
                first(),
                wrote(110, 120, A, "v2"),
                wrote(90, 190, A, "v1"),
                gone(130, 140, A, "v2"),
                saw(145, 150, A, None),
                saw(195, 199, A, Some("v1")),
            ],
        ),
        (
            "a removal that was killed, and took the name",
            vec![first(), event(20, 30, perform(rm(A)), Outcome::Killed), saw(40, 50, A, None)],
        ),
        (
            "a removal that was killed, and did not",
            vec![first(), event(20, 30, perform(rm(A)), Outcome::Killed), saw(40, 50, A, Some("v1"))],
        ),
        (
            "a removal by digest that was killed, and took every name",
            vec![
                wrote(0, 10, A, "sha256:v1"),
                event(20, 30, perform(tag(A, K)), done(vec![changed(K, None, Some("sha256:v1"))])),
                event(40, 50, perform(rm("sha256:v1")), Outcome::Killed),
                saw(60, 70, A, None),
                saw(60, 70, K, None),
            ],
        ),
        (
            "a tag that was killed while its source moved",
            vec![
                first(),
                event(105, 150, perform(tag(A, K)), Outcome::Killed),
                wrote(110, 120, A, "v2"),
                saw(130, 140, K, Some("v1")),
            ],
        ),
        (
            "a reader who sees a name before and after a tag moves it",
            vec![
                first(),
                event(20, 30, perform(tag(A, K)), done(vec![changed(K, None, Some("v1"))])),
                wrote(110, 120, A, "v2"),
                event(130, 160, perform(tag(A, K)), done(vec![changed(K, Some("v1"), Some("v2"))])),
                saw(135, 140, K, Some("v1")),
                saw(145, 150, K, Some("v2")),
            ],
        ),
        (
            "a listed image that is removed and collected meanwhile",
            vec![first(), event(20, 40, Operation::Images, done(vec![lost(22, 38)])), gone(25, 30, A, "v1")],
        ),
        (
            "an image that is pruned after its name was read",
            vec![
                first(),
                event(20, 60, Operation::History { name: A.to_owned() }, failed("lost")),
                event(30, 40, prune(Some("race/a")), done(vec![changed(A, Some("v1"), None), removed()])),
            ],
        ),
        (
            "a collection that was at it when the lease came",
            vec![event(10, 50, collect(), done(vec![removed()])), lease(20, 90)],
        ),
        (
            "a prune that is refused because of one that was killed, until its place is taken again",
            vec![
                by(3, event(10, 20, prune(None), Outcome::Killed)),
                by(7, event(40, 50, prune(None), refused(3))),
                by(3, saw(60, 70, B, None)),
                by(7, event(80, 90, prune(None), done(vec![]))),
            ],
        ),
        (
            "a plan that is refused because of a label",
            vec![first(), label(25, 30, "x"), apply(40, 50, failed("conflict"))],
        ),
        (
            "a plan that is refused because of a lease that another collection took",
            vec![
                first(),
                event(30, 35, collect(), done(vec![])),
                event(
                    40,
                    50,
                    Operation::Apply { change: Change::Collect { ingest_age_s: 0 }, shifts: Vec::new(), made: 20 },
                    Outcome::Failed { code: "conflict".to_owned(), why: "the lease `a` is another one".to_owned() },
                ),
            ],
        ),
        (
            "a plan whose process was killed, and that was carried out",
            vec![first(), apply(40, 50, Outcome::Killed), saw(60, 70, A, None)],
        ),
        (
            "a platform that goes, and the name that stays",
            vec![
                first(),
                event(20, 30, perform(shrink()), done(vec![changed(A, Some("v1"), Some("v1"))])),
                saw(40, 50, A, Some("v1")),
            ],
        ),
        (
            "a name that goes because it expires, and one that a collection left when it was killed",
            vec![
                first(),
                expire(20, 30),
                event(35, 38, collect(), Outcome::Killed),
                saw(40, 50, A, Some("v1")),
                event(60, 70, collect(), done(vec![changed(A, Some("v1"), None)])),
                saw(80, 90, A, None),
            ],
        ),
        (
            "a label that stays when the name is moved, and goes with it",
            vec![
                first(),
                label(20, 30, "x"),
                wrote(110, 120, A, "v2"),
                labels(130, 140, Some("x")),
                gone(150, 160, A, "v2"),
                event(165, 170, pull(A), Outcome::Killed),
                labels(180, 190, None),
            ],
        ),
        (
            "a change that stays undone because somebody was faster",
            vec![first(), event(20, 40, perform(rm(A)), done(vec![stayed])), label(25, 30, "x")],
        ),
        (
            "a removal that was told, and one that is told before it is over",
            vec![
                first(),
                gone(2 * S, 2 * S + 1, A, "v1"),
                wrote(3 * S, 3 * S + 1, A, "v3"),
                gone(4 * S - 5, 4 * S + 9, A, "v3"),
                told(4 * S, vec![untagged("v1"), untagged("v3")]),
            ],
        ),
    ]
}
