//! `pull`: others who pull the same name meanwhile.

use super::{Built, Recipe, World, options, platforms};
use wharf_component::nouns::{problem::ErrorCode, record::ImageRecord};
use wharf_sim::memory::Call;

const APP: &str = "docker.io/library/app:1";

fn image(world: &World, layer: &str) -> Built {
    world.image("library/app", Some("1"), Recipe { layers: &[layer], ..Recipe::default() })
}

/// A world whose `app:1` is about to move from the first image to the second,
/// and the record that somebody writes who pulls it after that.
fn moving() -> (World, [Built; 2], ImageRecord) {
    let rival = World::new();
    let built = [image(&rival, "old"), image(&rival, "new")];
    rival.pull("app:1", &options()).unwrap();
    let world = World::new();
    image(&world, "old");
    (world, built, rival.record(APP).unwrap())
}

/// While the layers arrive: `record` is written, and the tag is moved if `moves`.
fn meanwhile(world: &World, reference: &str, record: &ImageRecord, moves: bool) {
    let (record, registry) = (record.encode().unwrap(), world.registry.clone());
    let key = format!("image/{reference}");
    world.memory.interfere(Call::CommitIngest, move |memory| {
        memory.write_row("default", &key, &record);
        if moves {
            image(&World { memory: memory.clone(), registry }, "new");
        }
        Ok(())
    });
}

#[test]
fn a_slow_pull_does_not_move_a_name_backwards() {
    let (world, [_, new], theirs) = moving();
    meanwhile(&world, APP, &theirs, true);
    let problem = world.pull("app:1", &options()).unwrap_err();
    let why = format!("`app:1` was pulled by somebody else meanwhile and points to `{}`; pull again", new.manifest);
    assert_eq!((problem.code, problem.why), (ErrorCode::Conflict, vec![why]));
    assert_eq!(world.record(APP), Some(theirs));
    assert_eq!(world.requests().last().map(String::as_str), Some("HEAD 1"));
    assert_eq!(world.pull("app:1", &options()).unwrap()[0].image.target.digest, new.manifest);
}

#[test]
fn a_name_that_the_registry_confirms_is_recorded_whatever_others_wrote() {
    let (world, [old, _], theirs) = moving();
    meanwhile(&world, APP, &theirs, false);
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.record(APP).unwrap().target.digest, old.manifest);
    assert_eq!(world.requests().iter().filter(|request| request.as_str() == "HEAD 1").count(), 1);
}

#[test]
fn a_name_that_nobody_else_moved_is_not_asked_for_again() {
    let (world, [_, new], theirs) = moving();
    world.memory.write_row("default", &format!("image/{APP}"), &theirs.encode().unwrap());
    image(&world, "new");
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.record(APP).unwrap().target.digest, new.manifest);
    let asked = world.requests().into_iter().filter(|request| request.ends_with(" 1")).collect::<Vec<_>>();
    assert_eq!(asked, ["HEAD 1", "GET 1"]);
}

#[test]
fn a_digest_always_points_where_it_points() {
    let (world, [old, _], theirs) = moving();
    let name = format!("docker.io/library/app@{}", old.manifest);
    meanwhile(&world, &name, &theirs, true);
    world.pull(&format!("app@{}", old.manifest), &options()).unwrap();
    assert_eq!(world.record(&name).unwrap().target.digest, old.manifest);
}

#[test]
fn what_a_rival_recorded_is_durable_before_it_is_recorded_again() {
    let world = World::new();
    world.alpine();
    let rival = World::new();
    rival.alpine();
    rival.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let name = "docker.io/library/alpine:3.20";
    let (record, blobs) = (rival.record(name).unwrap().encode().unwrap(), rival.memory.snapshot().disk.blobs);
    world.memory.interfere(Call::Commit, move |memory| {
        memory.import(blobs);
        memory.write_row("default", &format!("image/{name}"), &record);
        Ok(())
    });
    world.memory.interfere(Call::Commit, |_| Err(ErrorCode::Conflict));
    world.pull("alpine:3.20", &options()).unwrap();
    assert_eq!(world.record(name).unwrap().platforms.len(), 2);
    let calls = world.memory.calls();
    let expected = (2, 3);
    assert_eq!((calls["content.sync"], calls["metadata.transaction.commit"]), expected, "not one for each attempt");
}
