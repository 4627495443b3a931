//! What was acknowledged survives a power cut, also where somebody else had done
//! the work and died before it was durable. Runs of the simulator found these.

use super::{Recipe, World, chain, options, unpacking};
use wharf_component::nouns::problem::ErrorCode;
use wharf_sim::memory::Call;

const LAYERS: &[&str] = &["1", "2"];

/// A world with an image whose layers are extracted, and not durable.
fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    world.memory.interfere(Call::SyncLayers, |_| Err(ErrorCode::NoSpace));
    world.pull("app:1", &unpacking()).unwrap_err();
    assert_eq!(world.memory.snapshot().trees.layers.len(), 0, "nothing is durable yet");
    world
}

fn has_tree(world: World) -> bool {
    let (_, chain_ids) = chain(LAYERS);
    world.restart().memory.layers().visible().snapshots.contains_key(&chain_ids[1])
}

#[test]
fn a_pull_that_finds_everything_makes_the_tree_durable() {
    let world = world();
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    assert!(has_tree(world));
}

#[test]
fn unpack_makes_a_tree_durable_that_is_there() {
    let world = world();
    assert_eq!(world.unpack("app:1", None).unwrap().unpacked, 0);
    assert!(has_tree(world));
}
