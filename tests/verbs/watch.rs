//! `watch`: what has happened, and what happens.

use super::{Ear, Recipe, World, caller, options};
use futures::future::join;
use std::{cell::Cell, collections::BTreeMap};
use wharf_component::{
    host::Host,
    nouns::{
        problem::{ErrorCode, Problem},
        record::EVENT_PREFIX,
    },
    verbs::{
        self,
        contract::{Action, Change, Event, Happening, Removal},
        listen::Listener,
    },
};
use wharf_sim::memory::clock::DAWN;

const APP: &str = "docker.io/library/app:1";

fn image(world: &World, layer: &str) {
    world.image("library/app", Some("1"), Recipe { layers: &[layer], ..Recipe::default() });
}

fn happened(ear: &Ear) -> Vec<(Action, String)> {
    let told = |event: &Event| match event {
        Event::Happened(Happening { action, subject, .. }) => Some((*action, subject.clone())),
        _ => None,
    };
    ear.heard.borrow().iter().filter_map(told).collect()
}

impl World {
    fn past(&self, since: &str, until: &str, filters: &[&str]) -> Result<Vec<(Action, String)>, Problem> {
        let filters: Vec<String> = filters.iter().map(|&text| text.to_owned()).collect();
        let ear = Ear::default();
        let (caller, since, until) = (caller(), Some(since), Some(until));
        let watch = verbs::watch::watch(&self.memory, &caller, since, until, &filters, &ear);
        self.memory.run(watch).map(|()| happened(&ear))
    }

    /// Records that a name was tagged at a moment, in seconds since [`DAWN`].
    fn write(&self, at: i64, name: &str) {
        let happening = Happening { time: (DAWN + at, 0), action: Action::Tag, subject: name.to_owned(), target: None };
        self.memory.write_row("default", &happening.key(at.unsigned_abs()), &happening.encode());
    }

    fn keys(&self) -> Vec<String> {
        let rows = self.memory.snapshot().rows;
        rows.into_keys().filter(|(_, key)| key.starts_with(EVENT_PREFIX)).map(|(_, key)| key).collect()
    }
}

#[test]
fn what_was_changed_is_told_in_order() {
    let world = World::new();
    image(&world, "old");
    world.pull("app:1", &options()).unwrap();
    world.pull("app:1", &options()).unwrap();
    image(&world, "new");
    world.pull("app:1", &options()).unwrap();
    world.memory.clock().pass(1_000);
    world.tag("app:1", &["app:2"]).unwrap();
    world.memory.clock().pass(1_000);
    let references = vec!["app:1".to_owned(), "app:2".to_owned()];
    world.perform(&Change::Remove(Removal { references, ..Removal::default() })).unwrap();
    let (two, target) = ("docker.io/library/app:2".to_owned(), world.past("1h", "0s", &["event=delete"]).unwrap());
    let expected = [
        (Action::Pull, APP.to_owned()),
        (Action::Pull, APP.to_owned()),
        (Action::Tag, two.clone()),
        (Action::Untag, APP.to_owned()),
        (Action::Untag, two.clone()),
        target[0].clone(),
    ];
    assert_eq!(world.past("1h", "0s", &[]).unwrap(), expected, "a pull of what is here already is none");
    assert_eq!(world.past("1h", "0s", &["image=app:2"]).unwrap(), [(Action::Tag, two.clone()), (Action::Untag, two)]);
    assert_eq!(world.past("1h", "0s", &["event=pull", "event=tag", "image=app"]).unwrap().len(), 3);
    assert_eq!(world.past("1h", "30m", &[]).unwrap(), []);
    assert_eq!(world.past("2024-03-01", "2024-03-02", &[]).unwrap(), expected);
}

#[test]
fn what_happens_to_a_lease_is_told() {
    let world = World::new();
    image(&world, "a");
    world.pull("app:1", &options()).unwrap();
    let hold = |id: &str, seconds: Option<u64>| {
        let (id, references, labels) = (Some(id), ["app:1".to_owned()], BTreeMap::new());
        world.memory.clock().pass(1_000);
        world.memory.run(verbs::leases::hold(&world.memory, &caller(), id, &references, seconds, labels)).unwrap()
    };
    let target = hold("build-1", Some(60)).holds.remove(0);
    hold("build-2", None);
    world.memory.clock().pass(1_000);
    world.memory.run(verbs::leases::release(&world.memory, &caller(), &["build-2".to_owned()])).unwrap();
    world.memory.clock().pass(60_000);
    let told = |filters: &[&str]| {
        let all = ["event=lease", "event=release", "event=expire"];
        world.past("1h", "0s", &[&all, filters].concat()).unwrap()
    };
    let row = |action, id: &str| (action, id.to_owned());
    let mut expected =
        vec![row(Action::Lease, "build-1"), row(Action::Lease, "build-2"), row(Action::Release, "build-2")];
    assert_eq!(told(&[]), expected, "that its time is over is noticed by nobody yet");
    // One of the same ID takes its place, and then a collection comes.
    hold("build-1", Some(60));
    world.memory.clock().pass(60_000);
    world.collect().unwrap();
    expected.extend([Action::Expire, Action::Lease, Action::Expire].map(|action| row(action, "build-1")));
    assert_eq!(told(&[]), expected);
    assert_eq!(told(&["image=build-2"]), expected[1..3], "it is found by its ID");
    assert_eq!(told(&[&format!("image={target}")]), expected, "and by what it holds, which is one thing");
}

#[test]
fn what_cannot_be_read_is_told_with_what_could() {
    let world = World::new();
    for (since, until, filters, fix) in [
        ("soon", "0s", &[][..], None),
        ("1h", "later", &[], None),
        ("1h", "0s", &["colour=red"], Some("the filters are `event` and `image`, as in `--filter event=tag`")),
        ("1h", "0s", &["event=copy"], None),
    ] {
        let problem = world.past(since, until, filters).unwrap_err();
        assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::Invalid, fix), "{since} {until} {filters:?}");
    }
}

/// Hears so many happenings, and goes.
struct Few<'e>(&'e Ear, usize);

impl Listener for Few<'_> {
    async fn hear(&self, events: Vec<Event>) -> bool {
        self.0.hear(events).await;
        happened(self.0).len() < self.1
    }
}

/// A commit ends after one that began later, and its happening has the earlier time.
#[test]
fn what_is_committed_late_is_told_too_and_nothing_twice() {
    let world = World::new();
    world.memory.clock().pass(100_000);
    world.write(99, "before");
    let ear = Ear::default();
    let watch = async {
        let listener = Few(&ear, 4);
        verbs::watch::watch(&world.memory, &caller(), None, None, &[], &listener).await
    };
    let others = async {
        for (wait_ms, at, name) in
            [(5_000, 105, "one"), (2_000, 107, "three"), (4_000, 106, "two, late"), (20_000, 131, "four")]
        {
            world.memory.sleep(wait_ms).await;
            world.write(at, name);
        }
    };
    world.memory.run(join(watch, others)).0.unwrap();
    let told: Vec<String> = happened(&ear).into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(told, ["one", "three", "two, late", "four"]);
    assert_eq!(world.memory.process().handles(), 0);
}

#[test]
fn a_watch_with_an_end_in_the_future_follows_until_then() {
    let world = World::new();
    let (ear, ended) = (Ear::default(), Cell::new(0));
    let watch = async {
        let until = Some("2024-03-01T00:00:10Z");
        verbs::watch::watch(&world.memory, &caller(), None, until, &[], &ear).await.unwrap();
        ended.set(world.memory.clock().now_ms());
    };
    let others = async {
        for at in [5, 10, 11] {
            world.memory.sleep(at * 1_000 - world.memory.clock().now_ms()).await;
            world.write(i64::try_from(at).unwrap(), &at.to_string());
        }
    };
    world.memory.run(join(watch, others));
    let told: Vec<String> = happened(&ear).into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(told, ["5", "10"]);
    assert!((10_000..15_000).contains(&ended.get()), "{} ms", ended.get());
}

#[test]
fn a_day_later_it_is_forgotten() {
    let world = World::new();
    image(&world, "a");
    world.pull("app:1", &options()).unwrap();
    (0..700).for_each(|at| world.write(at, "old"));
    // A day after what was the 600th.
    world.memory.clock().pass(87_000_000 - world.memory.clock().now_ms());
    let labels = |at: usize| [("a".to_owned(), Some(at.to_string()))];
    let mut left = world.keys().len();
    for at in 0..200 {
        world.memory.run(verbs::label::label(&world.memory, &caller(), "app:1", &labels(at))).unwrap();
        let now = world.keys().len();
        assert!(left - now.min(left) <= 500, "a change has to forget at most 500");
        left = now;
    }
    // Those of the last day, and the labels.
    let first = Happening { time: (DAWN + 600, 0), action: Action::Tag, subject: String::new(), target: None };
    assert!(world.keys().iter().all(|key| *key >= Happening::key_of(first.time)), "{:?}", world.keys().first());
    assert_eq!(world.keys().len(), 300, "100 of the old ones are no day old");
}
