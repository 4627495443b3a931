//! Histories made by hand in which indexes are made and changed here, by several at once.

use super::super::history::{Change, Edit, Event, Fact, Moment, Operation, Outcome, Shift};
use super::{A, B, KEPT, done, event, failed, saw, wrote};

/// An index that is made here.
const JOINED: &str = "joined/a:one";

fn compose(edit: Edit) -> Operation {
    Operation::Compose { name: JOINED.to_owned(), edit, mark: "mark".to_owned() }
}

fn create(source: &str) -> Edit {
    Edit::Create { source: source.to_owned(), platform: "linux/amd64".to_owned() }
}

fn add(source: &str) -> Edit {
    Edit::Add { source: source.to_owned(), platform: "linux/amd64".to_owned() }
}

fn remove(platform: &str) -> Edit {
    Edit::Remove { platform: platform.to_owned() }
}

fn changed(name: &str, before: Option<&str>, after: Option<&str>) -> Fact {
    Fact::Changed(Shift { name: name.to_owned(), before: before.map(str::to_owned), after: after.map(str::to_owned) })
}

/// An index that lists these since.
fn composed(
    (began, ended): (Moment, Moment),
    edit: Edit,
    (before, after): (Option<&str>, &str),
    manifests: &[&str],
    added: Option<&str>,
) -> Event {
    let manifests = manifests.iter().map(|&manifest| manifest.to_owned()).collect();
    let made = Fact::Composed { target: after.to_owned(), manifests, added: added.map(str::to_owned) };
    event(began, ended, compose(edit), done(vec![made, changed(JOINED, before, Some(after))]))
}

/// An index of what `A` was.
fn first(began: Moment, ended: Moment) -> Event {
    composed((began, ended), create(A), (None, "i1"), &["v1"], Some("v1"))
}

/// The same with what `B` was.
fn second(began: Moment, ended: Moment) -> Event {
    composed((began, ended), add(B), (Some("i1"), "i2"), &["v1", "w1"], Some("w1"))
}

fn refused(edit: Edit, code: &str, why: &str) -> Event {
    event(60, 70, compose(edit), Outcome::Failed { code: code.to_owned(), why: why.to_owned() })
}

fn told(began: Moment, ended: Moment, text: &str) -> Event {
    let fact = Fact::Told { name: JOINED.to_owned(), text: text.to_owned() };
    event(began, ended, Operation::History { name: JOINED.to_owned() }, done(vec![fact]))
}

fn untag(began: Moment, ended: Moment, before: &str) -> Event {
    let change = Change::Untag { what: JOINED.to_owned(), force: false, platform: None };
    event(began, ended, Operation::Perform { change, stop_ms: None }, done(vec![changed(JOINED, Some(before), None)]))
}

/// A removal of what a digest means, which has taken the index.
fn by_digest(began: Moment, ended: Moment, digest: &str, before: &str) -> Event {
    let change = Change::Untag { what: digest.to_owned(), force: false, platform: None };
    event(began, ended, Operation::Perform { change, stop_ms: None }, done(vec![changed(JOINED, Some(before), None)]))
}

/// An index of something that has a digest as its name.
fn listing(began: Moment, ended: Moment) -> Vec<Event> {
    let made = Fact::Made { target: "sha256:m".to_owned(), text: "imported".to_owned() };
    let import = Operation::Import { name: KEPT.to_owned(), text: "imported".to_owned(), stop_ms: None };
    vec![
        event(began - 9, began - 5, import, done(vec![made, changed(KEPT, None, Some("sha256:m"))])),
        composed((began, ended), create(KEPT), (None, "i1"), &["sha256:m"], Some("sha256:m")),
    ]
}

/// Each with a part of what has to be said about it.
pub(super) fn bad() -> Vec<(&'static str, Vec<Event>, &'static str)> {
    let here = |events: Vec<Event>| [vec![wrote(0, 10, A, "v1"), wrote(0, 10, B, "w1")], events].concat();
    let absent = |name: &str| format!("cannot change the index `x/{JOINED}`: no image here is called `x/{name}`");
    let other = vec![
        Fact::Composed { target: "i1".to_owned(), manifests: vec!["v1".to_owned()], added: Some("v1".to_owned()) },
        changed(B, Some("w1"), Some("i1")),
    ];
    vec![
        (
            "two who add to one index, of which one is lost",
            here(vec![
                first(20, 30),
                second(40, 50),
                composed((42, 55), add(B), (Some("i1"), "i3"), &["v1", "w1"], Some("w1")),
            ]),
            "no order",
        ),
        (
            "an index without what it listed before",
            here(vec![first(20, 30), composed((40, 50), add(B), (Some("i1"), "i2"), &["w1"], Some("w1"))]),
            "the index lists",
        ),
        (
            "an index of what the source is not yet",
            here(vec![composed((20, 30), create(A), (None, "i1"), &["v2"], Some("v2")), wrote(110, 120, A, "v2")]),
            "no order",
        ),
        ("an index of what the source was before", here(vec![wrote(110, 120, A, "v2"), first(130, 140)]), "no order"),
        (
            "an index that is made where an image is",
            here(vec![
                wrote(0, 10, JOINED, "v1"),
                composed((20, 30), create(A), (Some("v1"), "i1"), &["v1"], Some("v1")),
            ]),
            "an index was made where",
        ),
        (
            "an index from which another platform is removed",
            here(vec![
                first(20, 30),
                second(40, 50),
                composed((60, 70), remove("linux/arm64"), (Some("i2"), "i3"), &["v1"], None),
            ]),
            "the index lists",
        ),
        (
            "an index that lists something for another platform",
            here(vec![event(
                20,
                30,
                compose(Edit::Create { source: A.to_owned(), platform: "linux/arm64".to_owned() }),
                first(20, 30).outcome,
            )]),
            "which is not for linux/arm64",
        ),
        ("an edit of another name", here(vec![event(20, 30, compose(create(A)), done(other))]), "nobody asked for"),
        (
            "the history of an image that the index does not list",
            here(vec![first(20, 30), told(40, 50, "text of w1")]),
            "no order",
        ),
        (
            "an index that is removed instead of what it lists",
            [listing(20, 30), vec![by_digest(40, 50, "sha256:m", "i1")]].concat(),
            "and something else was removed",
        ),
        (
            "an index that is removed by what it does not list",
            [listing(20, 30), vec![by_digest(40, 50, "sha256:n", "i1")]].concat(),
            "nobody asked for",
        ),
        ("an index that is lost", here(vec![first(20, 30), saw(40, 50, JOINED, None)]), "no order"),
        (
            "an index that is changed after it was removed",
            here(vec![first(20, 30), untag(32, 38, "i1"), second(40, 50)]),
            "no order",
        ),
        (
            "an index that was made by a process that was killed, and that comes and goes",
            here(vec![
                event(20, 30, compose(create(A)), Outcome::Killed),
                saw(40, 50, JOINED, Some("i1")),
                saw(60, 70, JOINED, None),
            ]),
            "no order",
        ),
        (
            "an index that nobody made",
            here(vec![event(20, 30, compose(create(A)), failed("conflict")), saw(40, 50, JOINED, Some("i1"))]),
            "no order",
        ),
        (
            "an index that is not made because of a name that nobody ever gave",
            here(vec![refused(create(A), "in-use", "an image has this name")]),
            "no outcome",
        ),
        (
            "an index that somebody was faster with, and nobody was there",
            here(vec![first(20, 30), refused(add(B), "conflict", "the records changed 16 times")]),
            "no outcome",
        ),
        (
            "an index that is said to be one image",
            here(vec![first(20, 30), refused(add(B), "invalid", "it is one image, and no index")]),
            "no order",
        ),
        (
            "an index that is not found where it is",
            here(vec![first(20, 30), refused(add(B), "not-found", &absent(JOINED))]),
            "no order",
        ),
        (
            "a source that is not found where it is",
            here(vec![first(20, 30), refused(add(B), "not-found", &absent(B))]),
            "no order",
        ),
        (
            "an index of which something is gone, and nobody has touched it",
            here(vec![first(20, 30), refused(add(B), "lost", "`w1` is gone")]),
            "no outcome",
        ),
    ]
}

pub(super) fn good() -> Vec<(&'static str, Vec<Event>)> {
    let here = |events: Vec<Event>| [vec![wrote(0, 10, A, "v1"), wrote(0, 10, B, "w1")], events].concat();
    let absent = format!("cannot change the index `x/{JOINED}`: no image here is called `x/{JOINED}`");
    vec![
        (
            "an index that is made, and grows, and lets go of a part",
            here(vec![
                first(20, 30),
                told(35, 38, "text of v1"),
                second(40, 50),
                told(52, 54, "text of w1"),
                told(55, 58, "text of v1"),
                composed((60, 70), remove("linux/amd64"), (Some("i2"), "i3"), &["w1"], None),
                told(80, 90, "text of w1"),
            ]),
        ),
        (
            "an index of what its source was while it was made",
            here(vec![first(90, 130), wrote(110, 120, A, "v2"), saw(140, 150, JOINED, Some("i1"))]),
        ),
        (
            "two who add to one index, of which one begins again",
            here(vec![
                first(20, 30),
                second(40, 60),
                composed((42, 55), add(A), (Some("i2"), "i3"), &["v1", "w1"], Some("v1")),
                saw(70, 80, JOINED, Some("i3")),
            ]),
        ),
        (
            "an index that was made by a process that was killed, and that another one adds to",
            here(vec![
                event(20, 60, compose(create(A)), Outcome::Killed),
                saw(25, 28, JOINED, None),
                composed((30, 50), add(B), (Some("i1"), "i2"), &["v1", "w1"], Some("w1")),
                told(70, 80, "text of v1"),
            ]),
        ),
        (
            "an index that is removed by what it lists, and nothing else is",
            [
                listing(20, 30),
                vec![
                    wrote(32, 38, KEPT, "v1"),
                    by_digest(40, 50, "sha256:m", "i1"),
                    composed((60, 70), create(KEPT), (None, "i2"), &["v1"], Some("v1")),
                ],
            ]
            .concat(),
        ),
        (
            "an index that goes because of what it lists, by a process that was killed",
            [
                listing(20, 30),
                vec![
                    event(40, 50, by_digest(40, 50, "sha256:m", "i1").operation, Outcome::Killed),
                    saw(60, 70, JOINED, None),
                ],
            ]
            .concat(),
        ),
        (
            "an index that was not made by a process that was killed",
            here(vec![event(20, 30, compose(create(A)), Outcome::Killed), saw(40, 50, JOINED, None)]),
        ),
        (
            "an index that others were always faster with",
            here(vec![
                first(20, 30),
                composed((55, 65), add(B), (Some("i1"), "i2"), &["v1", "w1"], Some("w1")),
                refused(add(B), "conflict", "the records changed 16 times"),
            ]),
        ),
        (
            "an index that is not made because it is here, and one that is not found because it is not",
            here(vec![
                refused(add(B), "not-found", &absent),
                first(75, 80),
                event(85, 90, compose(create(B)), failed("in-use")),
            ]),
        ),
        (
            "one image, to which nothing can be added",
            here(vec![wrote(0, 10, JOINED, "v1"), refused(add(B), "invalid", "it is one image, and no index")]),
        ),
        (
            "an index for another platform than the only one that it lists",
            here(vec![first(20, 30), refused(remove("linux/arm64"), "lost", "nothing in it is `linux/arm64`")]),
        ),
    ]
}
