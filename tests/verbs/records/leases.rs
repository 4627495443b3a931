//! Leases as clients make them.

use super::*;
use futures::FutureExt as _;
use wharf_component::{
    nouns::record::EXPIRY_LABEL,
    verbs::{
        self,
        contract::records::{Hold, Resource},
    },
};
use wharf_sim::memory::Call;

impl World {
    fn make_lease(&self, id: Option<&str>, pairs: &[(&str, &str)]) -> Result<Hold, Problem> {
        self.memory.clock().pass(1);
        self.memory.run(records::leases::create(&self.memory, &caller(), id, &labels(pairs)))
    }

    fn list_leases(&self, filters: &[&str]) -> Vec<String> {
        let leases = self.memory.run(records::leases::list(&self.memory, &caller(), &texts(filters))).unwrap();
        leases.into_iter().map(|lease| lease.id).collect()
    }

    fn add_resource(&self, lease: &str, kind: &str, id: &str) -> Result<(), Problem> {
        self.memory.run(records::leases::add_resource(&self.memory, &caller(), lease, &resource(kind, id)))
    }

    fn delete_resource(&self, lease: &str, kind: &str, id: &str) -> Result<(), Problem> {
        self.memory.run(records::leases::delete_resource(&self.memory, &caller(), lease, &resource(kind, id)))
    }

    fn list_resources(&self, lease: &str) -> Result<Vec<Resource>, Problem> {
        self.memory.run(records::leases::list_resources(&self.memory, &caller(), lease))
    }

    fn delete_lease(&self, id: &str, sync: bool) -> Result<(), Problem> {
        self.memory.run(records::leases::delete(&self.memory, &caller(), id, sync))
    }
}

fn resource(kind: &str, id: &str) -> Resource {
    Resource { kind: kind.to_owned(), id: id.to_owned() }
}

#[test]
fn a_lease_is_made_listed_and_ended() {
    let world = World::new();
    let lease = world.make_lease(Some("build"), &[("team", "web"), ("none", "")]).unwrap();
    assert_eq!((lease.id.as_str(), &lease.labels), ("build", &labels(&[("team", "web")])));
    assert_eq!(code(world.make_lease(Some("build"), &[])), ErrorCode::InUse);
    // IDs that clients draw have separators in any order.
    world.make_lease(Some("4711--_a/x"), &[]).unwrap();
    let drawn = world.make_lease(None, &[]).unwrap().id;
    assert_eq!(world.list_leases(&[]).len(), 3);
    assert_eq!(world.list_leases(&["id==build", "id~=^4"]), ["4711--_a/x", "build"]);
    assert_eq!(world.list_leases(&["labels.team==web"]), ["build"]);
    for id in ["", "a\nb", &"x".repeat(256)] {
        assert_eq!(code(world.make_lease(Some(id), &[])), ErrorCode::Invalid, "{id}");
    }
    assert_eq!(code(world.make_lease(Some("x"), &[(EXPIRY_LABEL, "soon")])), ErrorCode::Invalid);
    assert_eq!(code(world.delete_lease("nobody", false)), ErrorCode::NotFound);
    for id in ["build", "4711--_a/x", &drawn] {
        world.delete_lease(id, false).unwrap();
    }
    assert_eq!(world.list_leases(&[]), [] as [String; 0]);
    assert_eq!(world.happened()[..2], ["lease build".to_owned(), "lease 4711--_a/x".to_owned()]);
}

#[test]
fn what_a_lease_holds_is_listed_in_order_and_none_of_it_twice() {
    let world = World::new();
    world.make_lease(Some("a"), &[]).unwrap();
    world.make_lease(Some("a/b"), &[]).unwrap();
    let digest = digest_of(b"not here");
    let all = [("snapshots/overlayfs", "x"), ("content", digest.as_str()), ("ingests", "layer/1")];
    for (kind, id) in all.iter().chain(&all) {
        world.add_resource("a", kind, id).unwrap();
    }
    world.add_resource("a/b", "ingests", "other").unwrap();
    let expected =
        [resource("content", digest.as_str()), resource("ingests", "layer/1"), resource("snapshots/overlayfs", "x")];
    assert_eq!(world.list_resources("a").unwrap(), expected);
    for (kind, id) in [("content", "x"), ("ingests", ""), ("snapshots", "x"), ("snapshots/", "x"), ("image", "x")] {
        assert_eq!(code(world.add_resource("a", kind, id)), ErrorCode::Invalid, "{kind}");
        assert_eq!(code(world.delete_resource("a", kind, id)), ErrorCode::Invalid, "{kind}");
    }
    for (kind, id) in [("content", digest.as_str()), ("ingests", "layer/1"), ("ingests", "never")] {
        world.delete_resource("a", kind, id).unwrap();
    }
    assert_eq!(world.list_resources("a").unwrap(), expected[2..]);
    for outcome in [world.add_resource("nobody", "ingests", "x"), world.delete_resource("nobody", "ingests", "x")] {
        assert_eq!(code(outcome), ErrorCode::NotFound);
    }
    assert_eq!(code(world.list_resources("nobody")), ErrorCode::NotFound);
    world.delete_lease("a", false).unwrap();
    world.make_lease(Some("a"), &[]).unwrap();
    assert_eq!(world.list_resources("a").unwrap(), [], "what it held went with it");
    assert_eq!(world.list_resources("a/b").unwrap().len(), 1);
}

#[test]
fn a_lease_keeps_names_whose_time_is_over() {
    let (world, _) = world();
    let until = wharf_component::nouns::time::format(world.memory.now() + 60);
    world.make_lease(Some("a"), &[]).unwrap();
    for name in ["foo", "docker.io/library/kept:1", "bar", "docker.io/library/over:1"] {
        let image = Named { labels: labels(&[(EXPIRY_LABEL, &until)]), ..world.app_as(name) };
        world.create_image(&image).unwrap();
    }
    world.add_resource("a", "images", "foo").unwrap();
    world.add_resource("a", "images", "docker.io/library/kept:1").unwrap();
    world.delete_image(APP, None, true).unwrap();
    world.memory.clock().pass(61_000);
    world.collect().unwrap();
    assert_eq!(world.list_images(&[]), texts(&["docker.io/library/kept:1", "foo"]));
    world.delete_image("docker.io/library/kept:1", None, true).unwrap();
    assert_eq!(world.counts().0, 4, "`foo` has all that the image has");
    world.delete_lease("a", true).unwrap();
    assert_eq!((world.list_images(&[]).len(), world.counts().0), (0, 0));
}

#[test]
fn what_a_lease_holds_stays_until_it_ends_or_its_time_is_over() {
    let (world, built) = world();
    world.make_lease(Some("a"), &[]).unwrap();
    world.add_resource("a", "content", built.manifest.as_str()).unwrap();
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.counts().0, 4, "the manifest with all that it needs");
    world.delete_lease("a", true).unwrap();
    assert_eq!(world.counts().0, 0);

    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    let until = wharf_component::nouns::time::format(world.memory.now() + 60);
    let lease = world.make_lease(Some("b"), &[(EXPIRY_LABEL, &until)]).unwrap();
    assert_eq!(lease.labels, labels(&[(EXPIRY_LABEL, &until)]));
    world.add_resource("b", "content", digest.as_str()).unwrap();
    world.add_resource("b", "ingests", "x").unwrap();
    world.collect().unwrap();
    assert!(world.has(&digest));
    world.memory.clock().pass(61_000);
    assert_eq!(code(world.add_resource("b", "ingests", "y")), ErrorCode::NotFound);
    world.make_lease(Some("b"), &[]).unwrap();
    assert_eq!(world.list_resources("b").unwrap(), [], "the ID is free, and what it held is forgotten");
    world.collect().unwrap();
    assert!(!world.has(&digest));
}

/// A collection that has looked at the records before the lease came may not take what it holds.
#[test]
fn what_is_added_during_a_collection_is_gone_before_or_stays() {
    let world = World::new();
    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    world.make_lease(Some("l"), &[]).unwrap();
    let what = digest.clone();
    world.memory.interfere(Call::RemoveClaimed, move |memory| {
        // Whoever wants to hold it waits until it is gone.
        let add =
            records::leases::add_resource(memory, &caller(), "l", &resource("content", what.as_str())).now_or_never();
        assert!(add.is_none(), "{add:?}");
        Ok(())
    });
    world.collect().unwrap();
    assert!(!world.has(&digest));
    world.write_blob(&caller(), b"bytes", &[]).unwrap();
    world.add_resource("l", "content", digest.as_str()).unwrap();
    world.collect().unwrap();
    assert!(world.has(&digest));
}

#[test]
fn a_flat_lease_holds_what_it_names_and_no_more() {
    let (world, built) = world();
    world.make_lease(Some("flat"), &[("containerd.io/gc.flat", "yes")]).unwrap();
    world.add_resource("flat", "content", built.manifest.as_str()).unwrap();
    world.delete_image(APP, None, true).unwrap();
    assert!(world.has(&built.manifest));
    assert_eq!(world.counts().0, 1);
}

#[test]
fn leases_of_both_doors_are_the_same() {
    let (world, built) = world();
    let (caller, app) = (caller(), texts(&["app:1"]));
    let work = verbs::leases::hold(&world.memory, &caller, Some("own"), &app, Some(60), BTreeMap::new());
    let own = world.memory.run(work).unwrap();
    let listed = world.memory.run(records::leases::list(&world.memory, &caller, &[])).unwrap();
    let until = wharf_component::nouns::time::format(own.expires.unwrap());
    assert_eq!(listed[0].labels, labels(&[(EXPIRY_LABEL, &until)]));
    assert_eq!(world.list_resources("own").unwrap(), [resource("content", built.manifest.as_str())]);
    world.make_lease(Some("theirs--"), &[]).unwrap();
    assert_eq!(world.memory.run(verbs::leases::leases(&world.memory, &caller)).unwrap().len(), 2);
    world.memory.run(verbs::leases::release(&world.memory, &caller, &texts(&["theirs--", "own"]))).unwrap();
    assert_eq!(world.list_leases(&[]), [] as [String; 0]);
}

#[test]
fn an_ingest_that_a_lease_holds_is_not_given_up() {
    let world = World::new();
    world.make_lease(Some("l"), &[]).unwrap();
    world.add_resource("l", "ingests", "held").unwrap();
    for name in ["held", "other"] {
        drop(world.begin_ingest(name));
    }
    world.memory.clock().pass(10_000_000_000);
    world.collect().unwrap();
    assert_eq!(world.memory.snapshot().disk.ingests.into_keys().collect::<Vec<_>>(), ["containerd/default/held"]);
    world.delete_lease("l", false).unwrap();
    world.collect().unwrap();
    assert_eq!(world.memory.snapshot().disk.ingests.len(), 0);
}
