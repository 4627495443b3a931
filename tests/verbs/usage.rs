//! `disk-usage`: how much space everything takes. That the parts add up for
//! whatever is needed by whomever is tested in the component.

use super::{Recipe, World, caller, chain, layer, options, unpacking};
use wharf_component::{
    nouns::{
        problem::ErrorCode,
        record::{LeaseRecord, Schema},
    },
    verbs::{
        self,
        contract::{Change, Pruning, Share, Sum, Usage},
    },
};

const APP: &str = "docker.io/library/app:1";
const OTHER: &str = "docker.io/library/other:1";

/// Two images that share their lowest layer, extracted.
fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: &["base", "app"], ..Recipe::default() });
    world.image("library/other", Some("1"), Recipe { layers: &["base", "other-"], ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    world.pull("other:1", &unpacking()).unwrap();
    world
}

impl World {
    fn usage(&self) -> Usage {
        self.memory.run(verbs::usage::disk_usage(&self.memory, &caller())).unwrap()
    }

    /// What all blobs and all layers have, in bytes.
    fn disk(&self) -> (u64, u64) {
        let disk = self.memory.snapshot().disk;
        let layers = self.memory.layers().visible().sizes;
        (disk.blobs.values().map(|bytes| bytes.len() as u64).sum(), layers.values().sum())
    }
}

fn prune() -> Change {
    Change::Prune(Pruning { all: true, filters: Vec::new(), keep_bytes: None, who: "a test".to_owned() })
}

fn all(sum: Sum) -> u64 {
    sum.unique + sum.shared + sum.others + sum.unneeded
}

/// Checks that the parts are all there is, and that a prune frees what it was said to.
fn check(world: &World) -> Usage {
    let (usage, before) = (world.usage(), world.disk());
    assert_eq!((all(usage.content), all(usage.unpacked)), before);
    let unique = |which: fn(&Share) -> u64, of: fn(&verbs::contract::ImageUsage) -> Share| {
        usage.images.iter().map(|image| which(&of(image))).sum::<u64>()
    };
    assert_eq!(unique(|share| share.unique, |image| image.content), usage.content.unique);
    assert_eq!(unique(|share| share.unique, |image| image.unpacked), usage.unpacked.unique);
    let changed = world.perform(&prune()).unwrap();
    let freed = |things: &[(_, u64)]| things.iter().map(|(_, size)| size).sum::<u64>();
    assert_eq!(freed(&changed.removed.blobs), usage.content.reclaimable, "{changed:?}");
    assert_eq!(freed(&changed.removed.layers), usage.unpacked.reclaimable, "{changed:?}");
    let after = world.disk();
    assert_eq!((before.0 - after.0, before.1 - after.1), (usage.content.reclaimable, usage.unpacked.reclaimable));
    usage
}

#[test]
fn what_two_images_need_is_counted_once() {
    let world = world();
    world.tag("app:1", &["app:2"]).unwrap();
    let usage = check(&world);
    let (base, app, other) = (layer("base").len() as u64, layer("app").len() as u64, layer("other-").len() as u64);
    assert_eq!(usage.content.shared, base);
    assert_eq!(
        usage.unpacked,
        Sum { unique: app + other, shared: base, reclaimable: base + app + other, ..Sum::default() }
    );
    assert_eq!(usage.images.len(), 2, "two names of one target are one image");
    let [first, second] = &usage.images[..] else { unreachable!() };
    assert_eq!(first.names, [OTHER], "the largest first");
    assert_eq!(second.names, [APP, "docker.io/library/app:2"]);
    assert_eq!(second.unpacked, Share { shared: base, unique: app });
    assert_eq!((second.mounted, second.leased, first.used), (false, false, first.created));
    assert!(second.used > second.created, "a tag is a use");
    assert_eq!(usage.content.reclaimable, all(usage.content));
    assert_eq!((usage.written, usage.ingests, usage.notes.len()), ((0, 0), (0, 0), 0));
}

#[test]
fn what_is_in_use_cannot_be_reclaimed() {
    let world = world();
    let (_, chain_ids) = chain(&["base", "app"]);
    world.memory.layers().mount(&chain_ids[1]);
    let usage = check(&world);
    let flags = |usage: &Usage| {
        usage.images.iter().map(|image| (image.names[0].clone(), image.mounted, image.leased)).collect::<Vec<_>>()
    };
    assert_eq!(flags(&usage), [(OTHER.to_owned(), false, false), (APP.to_owned(), true, false)]);
    assert_eq!(usage.unpacked.reclaimable, layer("other-").len() as u64, "what the mounted one shares stays");
    world.memory.layers().unmount(&chain_ids[1]);
    let holds = vec![world.record(APP).unwrap().platforms[0].manifest.digest.clone()];
    let lease = LeaseRecord { created: 0, expires: None, labels: Default::default(), holds };
    world.memory.write_row("default", "lease/a", &lease.encode());
    let usage = check(&world);
    assert_eq!(flags(&usage), [(APP.to_owned(), false, true)]);
    assert_eq!((usage.content.reclaimable, usage.unpacked.reclaimable), (0, 0));
}

/// It is nobody's but who writes it, and no prune frees it.
#[test]
fn what_is_written_is_counted_apart() {
    let world = world();
    let before = world.usage();
    let tree = |key: &str, writable| {
        let (labels, caller) = (Default::default(), caller());
        let prepare = verbs::records::snapshots::prepare(&world.memory, &caller, key, None, writable, &labels, None);
        world.memory.run(prepare).unwrap()
    };
    let (active, _) = (tree("active", true), tree("view", false));
    world.memory.layers().write_top(active.as_str(), "1234567");
    assert_eq!(world.usage(), Usage { written: (2, 7), ..before });
}

#[test]
fn what_another_namespace_needs_is_shared_with_it_and_what_only_it_needs_is_its_own() {
    let world = world();
    let record = world.record(APP).unwrap().encode().unwrap();
    world.memory.write_row("theirs", "schema", &Schema::current());
    world.memory.write_row("theirs", &format!("image/{APP}"), &record);
    let before = world.usage();
    let app = before.images.iter().find(|image| image.names == [APP]).unwrap();
    assert_eq!((app.content.unique, app.unpacked.unique), (0, 0));
    assert_eq!(before.content.others, 0);
    let usage = check(&world);
    assert_eq!(usage, before);
    let usage = check(&world);
    assert_eq!((usage.images.len(), usage.content.others, usage.content.unneeded), (0, all(usage.content), 0));
    assert_eq!((usage.content.reclaimable, usage.unpacked.others), (0, all(usage.unpacked)));
}

#[test]
fn what_nothing_needs_is_told_apart() {
    let world = world();
    let old = layer("app").len() as u64;
    world.image("library/app", Some("1"), Recipe { layers: &["base", "newer"], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let usage = world.usage();
    assert!(usage.content.unneeded > old);
    assert_eq!(usage.unpacked.unneeded, old);
    check(&world);
}

#[test]
fn while_a_record_cannot_be_read_nothing_can_be_freed() {
    let world = world();
    world.memory.write_row("default", "image/docker.io/library/lost:1", b"\xff");
    let usage = world.usage();
    assert_eq!((usage.content.reclaimable, usage.unpacked.reclaimable), (0, 0));
    assert_eq!((all(usage.content), all(usage.unpacked)), world.disk());
    assert_eq!(usage.notes.len(), 1, "{:?}", usage.notes);
    assert!(usage.notes[0].starts_with("nothing can be freed: `docker.io/library/lost:1`"), "{:?}", usage.notes);
    world.memory.write_row("default", "schema", b"2");
    let problem = world.memory.run(verbs::usage::disk_usage(&world.memory, &caller())).unwrap_err();
    assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::Unsupported, "cannot tell how much space is used"));
}
