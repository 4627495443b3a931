//! Leases as clients make them.

use super::*;
use wharf_component::{
    nouns::record::EXPIRY_LABEL,
    verbs::{
        self,
        contract::records::{Hold, Resource},
    },
};

impl World {
    fn lease(&self, id: Option<&str>, pairs: &[(&str, &str)]) -> Result<Hold, Problem> {
        self.memory.run(records::leases::create(&self.memory, &caller(), id, &labels(pairs)))
    }

    fn lease_ids(&self, filters: &[&str]) -> Vec<String> {
        let leases = self.memory.run(records::leases::list(&self.memory, &caller(), &texts(filters))).unwrap();
        leases.into_iter().map(|lease| lease.id).collect()
    }

    fn add(&self, lease: &str, kind: &str, id: &str) -> Result<(), Problem> {
        self.memory.run(records::leases::add_resource(&self.memory, &caller(), lease, &resource(kind, id)))
    }

    fn take(&self, lease: &str, kind: &str, id: &str) -> Result<(), Problem> {
        self.memory.run(records::leases::delete_resource(&self.memory, &caller(), lease, &resource(kind, id)))
    }

    fn resources(&self, lease: &str) -> Result<Vec<Resource>, Problem> {
        self.memory.run(records::leases::list_resources(&self.memory, &caller(), lease))
    }

    fn end(&self, id: &str, sync: bool) -> Result<(), Problem> {
        self.memory.run(records::leases::delete(&self.memory, &caller(), id, sync))
    }
}

fn resource(kind: &str, id: &str) -> Resource {
    Resource { kind: kind.to_owned(), id: id.to_owned() }
}

#[test]
fn a_lease_is_made_listed_and_ended() {
    let world = World::new();
    let lease = world.lease(Some("build"), &[("team", "web"), ("none", "")]).unwrap();
    assert_eq!((lease.id.as_str(), &lease.labels), ("build", &labels(&[("team", "web")])));
    assert_eq!(code(world.lease(Some("build"), &[])), ErrorCode::InUse);
    // IDs that clients draw have separators in any order.
    world.lease(Some("4711--_a/x"), &[]).unwrap();
    let drawn = world.lease(None, &[]).unwrap().id;
    assert_eq!(world.lease_ids(&[]).len(), 3);
    assert_eq!(world.lease_ids(&["id==build", "id~=^4"]), ["4711--_a/x", "build"]);
    assert_eq!(world.lease_ids(&["labels.team==web"]), ["build"]);
    for id in ["", "a\nb", &"x".repeat(256)] {
        assert_eq!(code(world.lease(Some(id), &[])), ErrorCode::Invalid, "{id}");
    }
    assert_eq!(code(world.lease(Some("x"), &[(EXPIRY_LABEL, "soon")])), ErrorCode::Invalid);
    assert_eq!(code(world.end("nobody", false)), ErrorCode::NotFound);
    for id in ["build", "4711--_a/x", &drawn] {
        world.end(id, false).unwrap();
    }
    assert_eq!(world.lease_ids(&[]), [] as [String; 0]);
    assert_eq!(world.told()[..2], ["lease build", "lease 4711--_a/x"]);
}

#[test]
fn what_a_lease_holds_is_listed_in_order_and_none_of_it_twice() {
    let world = World::new();
    world.lease(Some("a"), &[]).unwrap();
    world.lease(Some("a/b"), &[]).unwrap();
    let digest = digest_of(b"not here");
    let all = [("snapshots/overlayfs", "x"), ("content", digest.as_str()), ("ingests", "layer/1")];
    for (kind, id) in all.iter().chain(&all) {
        world.add("a", kind, id).unwrap();
    }
    world.add("a/b", "ingests", "other").unwrap();
    let expected =
        [resource("content", digest.as_str()), resource("ingests", "layer/1"), resource("snapshots/overlayfs", "x")];
    assert_eq!(world.resources("a").unwrap(), expected);
    for (kind, id) in [("content", "x"), ("ingests", ""), ("snapshots", "x"), ("snapshots/", "x"), ("images", "x")] {
        assert_eq!(code(world.add("a", kind, id)), ErrorCode::Invalid, "{kind}");
        assert_eq!(code(world.take("a", kind, id)), ErrorCode::Invalid, "{kind}");
    }
    for (kind, id) in [("content", digest.as_str()), ("ingests", "layer/1"), ("ingests", "never")] {
        world.take("a", kind, id).unwrap();
    }
    assert_eq!(world.resources("a").unwrap(), expected[2..]);
    for outcome in [world.add("nobody", "ingests", "x"), world.take("nobody", "ingests", "x")] {
        assert_eq!(code(outcome), ErrorCode::NotFound);
    }
    assert_eq!(code(world.resources("nobody")), ErrorCode::NotFound);
    world.end("a", false).unwrap();
    world.lease(Some("a"), &[]).unwrap();
    assert_eq!(world.resources("a").unwrap(), [], "what it held went with it");
    assert_eq!(world.resources("a/b").unwrap().len(), 1);
}

#[test]
fn what_a_lease_holds_stays_until_it_ends_or_its_time_is_over() {
    let (world, built) = world();
    world.lease(Some("a"), &[]).unwrap();
    world.add("a", "content", built.manifest.as_str()).unwrap();
    world.delete(APP, None, true).unwrap();
    assert_eq!(world.counts().0, 4, "the manifest with all that it needs");
    world.end("a", true).unwrap();
    assert_eq!(world.counts().0, 0);

    let digest = world.write(&caller(), b"bytes", &[]).unwrap().digest;
    let until = wharf_component::nouns::time::format(world.memory.now() + 60);
    let lease = world.lease(Some("b"), &[(EXPIRY_LABEL, &until)]).unwrap();
    assert_eq!(lease.labels, labels(&[(EXPIRY_LABEL, &until)]));
    world.add("b", "content", digest.as_str()).unwrap();
    world.add("b", "ingests", "x").unwrap();
    world.collect().unwrap();
    assert!(world.has(&digest));
    world.memory.clock().pass(61_000);
    assert_eq!(code(world.add("b", "ingests", "y")), ErrorCode::NotFound);
    world.lease(Some("b"), &[]).unwrap();
    assert_eq!(world.resources("b").unwrap(), [], "the ID is free, and what it held is forgotten");
    world.collect().unwrap();
    assert!(!world.has(&digest));
}

#[test]
fn a_flat_lease_holds_what_it_names_and_no_more() {
    let (world, built) = world();
    world.lease(Some("flat"), &[("containerd.io/gc.flat", "yes")]).unwrap();
    world.add("flat", "content", built.manifest.as_str()).unwrap();
    world.delete(APP, None, true).unwrap();
    assert!(world.has(&built.manifest));
    assert_eq!(world.counts().0, 1);
}

#[test]
fn leases_of_both_doors_are_the_same() {
    let (world, built) = world();
    let work =
        verbs::leases::hold(&world.memory, &caller(), Some("own"), &texts(&["app:1"]), Some(60), BTreeMap::new());
    let own = world.memory.run(work).unwrap();
    let listed = world.memory.run(records::leases::list(&world.memory, &caller(), &[])).unwrap();
    let until = wharf_component::nouns::time::format(own.expires.unwrap());
    assert_eq!(listed[0].labels, labels(&[(EXPIRY_LABEL, &until)]));
    assert_eq!(world.resources("own").unwrap(), [resource("content", built.manifest.as_str())]);
    world.lease(Some("theirs--"), &[]).unwrap();
    assert_eq!(world.memory.run(verbs::leases::leases(&world.memory, &caller())).unwrap().len(), 2);
    world.memory.run(verbs::leases::release(&world.memory, &caller(), &texts(&["theirs--", "own"]))).unwrap();
    assert_eq!(world.lease_ids(&[]), [] as [String; 0]);
}

#[test]
fn an_ingest_that_a_lease_holds_is_not_given_up() {
    let world = World::new();
    world.lease(Some("l"), &[]).unwrap();
    world.add("l", "ingests", "held").unwrap();
    for name in ["held", "other"] {
        drop(world.memory.run(world.memory.ingest(&format!("containerd/default/{name}"))).unwrap());
    }
    world.memory.clock().pass(10_000_000_000);
    world.collect().unwrap();
    assert_eq!(world.memory.snapshot().disk.ingests.into_keys().collect::<Vec<_>>(), ["containerd/default/held"]);
    world.end("l", false).unwrap();
    world.collect().unwrap();
    assert_eq!(world.memory.snapshot().disk.ingests.len(), 0);
}
