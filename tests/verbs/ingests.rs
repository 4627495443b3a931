//! `ingests` and `discard`: what was begun and never finished.

use super::World;
use wharf_component::{
    host::{Host, Unfinished},
    nouns::problem::{ErrorCode, Problem},
    verbs,
};

/// A machine that has begun these.
fn world(names: &[&str]) -> World {
    let World { memory, registry } = World::new();
    let mut disk = memory.snapshot();
    disk.disk.ingests = names.iter().map(|&name| (name.to_owned(), name.as_bytes().to_vec())).collect();
    World { memory: memory.with_disk(disk), registry }
}

impl World {
    fn ingests(&self) -> Vec<Unfinished> {
        self.memory.run(verbs::ingests::ingests(&self.memory)).unwrap()
    }

    fn discard(&self, which: &[&str]) -> Result<Vec<Unfinished>, Problem> {
        let which: Vec<String> = which.iter().map(|&text| text.to_owned()).collect();
        self.memory.run(verbs::ingests::discard(&self.memory, &which))
    }
}

#[test]
fn what_was_begun_is_listed_with_its_age() {
    let world = world(&["a", "bc"]);
    world.memory.clock().pass(90_000);
    let mut found = world.ingests();
    assert!(found.is_sorted_by(|one, other| one.key < other.key));
    found.sort_by_key(|ingest| ingest.size);
    let told: Vec<_> = found.iter().map(|it| (it.name.as_deref(), it.size, it.age_s, it.held)).collect();
    assert_eq!(told, [(Some("a"), 1, 90, false), (Some("bc"), 2, 90, false)]);
}

#[test]
fn more_than_a_page_is_listed() {
    let names: Vec<String> = (0..2_500).map(|at| format!("name {at}")).collect();
    assert_eq!(world(&names.iter().map(String::as_str).collect::<Vec<_>>()).ingests().len(), 2_500);
}

#[test]
fn ingests_go_by_key_by_its_beginning_and_by_name() {
    let world = world(&["a", "b", "c", "d"]);
    let key = |world: &World, name: &str| {
        let of = |ingest: &&Unfinished| ingest.name.as_deref() == Some(name);
        world.ingests().iter().find(of).expect("it is there").key.clone()
    };
    let (a, b) = (key(&world, "a"), key(&world, "b"));
    let gone = world.discard(&[&a, &a, &b[..8], "c"]).unwrap();
    assert_eq!(gone.len(), 3, "each once");
    assert_eq!(world.memory.snapshot().disk.ingests.into_keys().collect::<Vec<_>>(), ["d"]);
    let problem = world.discard(&["d", &a]).unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::NotFound, Some("wharf ingest ls")));
    assert_eq!(world.ingests().len(), 1, "nothing goes if one is not there");
    assert_eq!(world.discard(&[]).unwrap(), []);
}

#[test]
fn one_that_is_on_its_way_stays() {
    let world = world(&["a", "b"]);
    let held = world.memory.run(world.memory.ingest("a")).unwrap();
    let problem = world.discard(&["a"]).unwrap_err();
    assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::InUse, "cannot remove the ingest `a`"));
    let gone = world.discard(&["a", "b"]).unwrap();
    assert_eq!(gone.iter().map(|ingest| ingest.name.as_deref()).collect::<Vec<_>>(), [Some("b")]);
    drop(held);
    assert_eq!(world.discard(&["a"]).unwrap().len(), 1);
}
