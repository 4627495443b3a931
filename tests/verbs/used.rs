//! When an image was last used: what `unpack` leaves behind.

use super::{Recipe, World, options};
use wharf_component::{nouns::problem::ErrorCode, verbs::contract::Form};
use wharf_sim::memory::Call;

const HOUR_MS: u64 = 3_600_000;

fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world
}

/// When the name was last used, beside its record.
fn used(world: &World) -> Option<String> {
    let rows = world.memory.snapshot().rows;
    let value = rows.get(&("default".to_owned(), "used/docker.io/library/app:1".to_owned()))?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn a_use_is_written_once_an_hour() {
    let world = world();
    world.unpack("app:1", None).unwrap();
    assert_eq!(used(&world), None, "it has just been pulled");
    world.memory.clock().pass(HOUR_MS + 1_000);
    let before = world.record("docker.io/library/app:1");
    world.unpack("app:1", None).unwrap();
    let first = used(&world);
    assert!(first.is_some());
    assert_eq!(world.record("docker.io/library/app:1"), before, "the record is not touched");
    world.memory.clock().pass(HOUR_MS / 2);
    world.unpack("app:1", None).unwrap();
    assert_eq!(used(&world), first);
    world.memory.clock().pass(HOUR_MS);
    world.unpack("app:1", None).unwrap();
    assert!(used(&world) > first);
}

#[test]
fn saving_is_a_use() {
    let world = world();
    world.memory.clock().pass(HOUR_MS + 1_000);
    assert!(world.save(&["app:1"], Form::OciArchive, &["linux/s390x"]).is_err());
    assert_eq!(used(&world), None, "nothing was saved");
    assert!(world.save(&["app:1"], Form::OciArchive, &[]).is_ok());
    assert!(used(&world).is_some());
}

#[test]
fn a_use_that_cannot_be_written_is_no_failure() {
    let world = world();
    world.memory.clock().pass(2 * HOUR_MS);
    world.memory.interfere(Call::Commit, |_| Err(ErrorCode::NoSpace));
    world.unpack("app:1", None).unwrap();
    assert_eq!(used(&world), None);
    assert_eq!(world.unpack("other", None).unwrap_err().code, ErrorCode::NotFound);
}
