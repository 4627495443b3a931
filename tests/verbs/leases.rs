//! `leases`, `hold` and `release`: what holds images and blobs without a name.

use super::{Built, Recipe, World, caller, chain, everything, options, unpacking};
use std::collections::BTreeMap;
use wharf_component::{
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::LeaseRecord,
    },
    verbs::{
        self,
        contract::{Change, Changed, Collecting, Lease},
    },
};
use wharf_sim::memory::{Call, clock::DAWN, layers::Kind};

const LAYERS: &[&str] = &["base", "top"];

fn world() -> (World, Built) {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    (world, built)
}

impl World {
    fn hold(&self, id: Option<&str>, references: &[&str], seconds: Option<u64>) -> Result<Lease, Problem> {
        let references: Vec<String> = references.iter().map(|&text| text.to_owned()).collect();
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        self.memory.run(verbs::leases::hold(&self.memory, &caller(), id, &references, seconds, labels))
    }

    fn leases(&self) -> Result<Vec<Lease>, Problem> {
        self.memory.run(verbs::leases::leases(&self.memory, &caller()))
    }

    fn release(&self, ids: &[&str]) -> Result<(), Problem> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        self.memory.run(verbs::leases::release(&self.memory, &caller(), &ids))
    }
}

#[test]
fn what_a_lease_holds_stays_when_its_name_goes_and_goes_when_the_lease_has_ended() {
    let (world, built) = world();
    let created = DAWN + i64::try_from(world.memory.clock().now_ms() / 1000).unwrap();
    let lease = world.hold(Some("build-1"), &["app:1"], Some(3_600)).unwrap();
    let expected = Lease {
        id: "build-1".to_owned(),
        created,
        expires: Some(created + 3_600),
        labels: vec![("team".to_owned(), "web".to_owned())],
        holds: vec![built.manifest.clone()],
    };
    assert_eq!(lease, expected);
    assert_eq!(world.leases().unwrap(), [expected]);

    world.remove("app:1").unwrap();
    assert_eq!(world.record("docker.io/library/app:1"), None);
    world.collect().unwrap();
    let is_here = |world: &World| {
        let trees = world.memory.layers().visible();
        let blobs = built.layers.iter().chain([&built.manifest, &built.config]).filter(|blob| world.has(blob)).count();
        (blobs, trees.layers.len(), trees.snapshots.len())
    };
    assert_eq!(is_here(&world), (4, 2, 2));
    world.memory.clock().pass(3_600_000);
    assert_eq!(world.leases().unwrap().len(), 1, "one that holds no more is listed");
    world.collect().unwrap();
    assert_eq!(is_here(&world), (0, 0, 0));
}

#[test]
fn a_platform_that_came_in_part_stays_with_the_lease_and_stops_no_collection() {
    let world = World::new();
    let (index, built) = world.alpine();
    let (amd64, arm64) = (&built[0], &built[1]);
    world.pull("alpine:3.20", &everything()).unwrap();
    world.hold(Some("build-1"), &[index.as_str()], None).unwrap();
    world.perform(&super::change::rm_platform("alpine:3.20", "linux/arm64/v8")).unwrap();
    world.memory.content().remove(&arm64.config).unwrap();
    world.collect().unwrap();
    assert!(world.has(&amd64.config) && world.has(&arm64.manifest) && world.has(&arm64.layers[0]));

    // What a record needs is another matter.
    world.memory.content().remove(&amd64.config).unwrap();
    let problem = world.collect().unwrap_err();
    assert!(problem.why[0].contains(amd64.config.as_str()), "{problem:?}");
}

#[test]
fn a_name_holds_its_target_and_a_digest_what_it_says() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let amd64 = &built[0];
    let rows: [(&str, &Digest); 6] = [
        ("alpine:3.20", &index),
        (index.as_str(), &index),
        (amd64.manifest.as_str(), &amd64.manifest),
        (amd64.config.as_str(), &amd64.manifest),
        (&amd64.config.encoded()[..12], &amd64.manifest),
        (amd64.layers[0].as_str(), &amd64.layers[0]),
    ];
    for (text, expected) in rows {
        assert_eq!(world.hold(None, &[text], None).unwrap().holds, std::slice::from_ref(expected), "{text}");
    }
    let both = world.hold(None, &["alpine:3.20", index.as_str(), amd64.layers[0].as_str()], None).unwrap();
    assert_eq!(both.holds.len(), 2, "each once");
    let ids: Vec<String> = world.leases().unwrap().into_iter().map(|lease| lease.id).collect();
    assert_eq!(ids.len(), 7, "each has an ID of its own");
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 16));

    for text in ["other", built[1].layers[0].as_str(), "beef"] {
        let problem = world.hold(None, &["alpine:3.20", text], None).unwrap_err();
        assert_eq!(problem.code, ErrorCode::NotFound, "{text}");
    }
    assert_eq!(world.leases().unwrap().len(), 7);
}

#[test]
fn what_is_no_lease_is_refused() {
    let (world, _) = world();
    let rows: [(Option<&str>, &[&str], Option<u64>); 5] = [
        (Some(""), &["app:1"], None),
        (Some("a/b"), &["app:1"], None),
        (Some("-a"), &["app:1"], None),
        (None, &[], None),
        (None, &["app:1"], Some(0)),
    ];
    for (id, references, seconds) in rows {
        let problem = world.hold(id, references, seconds).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Invalid, "{id:?} {references:?} {seconds:?}");
    }
    let (caller, labels) = (caller(), BTreeMap::from([("a".to_owned(), "x".repeat(4_096))]));
    let references = ["app:1".to_owned()];
    let held = verbs::leases::hold(&world.memory, &caller, None, &references, None, labels);
    assert_eq!(world.memory.run(held).unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(world.leases().unwrap(), []);
}

#[test]
fn an_id_is_taken_until_its_lease_has_expired() {
    let (world, _) = world();
    world.hold(Some("a"), &["app:1"], Some(60)).unwrap();
    let problem = world.hold(Some("a"), &["app:1"], None).unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::InUse, vec!["there is a lease `a`".to_owned()]));
    world.memory.clock().pass(60_000);
    assert_eq!(world.hold(Some("a"), &["app:1"], None).unwrap().expires, None);

    let theirs = LeaseRecord { created: 1, expires: None, labels: BTreeMap::new(), holds: Vec::new() };
    let row = theirs.encode();
    world.memory.interfere(Call::Commit, move |memory| {
        memory.write_row("default", "lease/b", &row);
        Ok(())
    });
    assert_eq!(world.hold(Some("b"), &["app:1"], None).unwrap_err().code, ErrorCode::InUse, "somebody was faster");
    assert_eq!(world.leases().unwrap()[1].created, 1);
}

#[test]
fn a_collection_ends_leases_whose_time_is_over_and_no_others() {
    let (world, _) = world();
    world.hold(Some("long"), &["app:1"], Some(120)).unwrap();
    world.hold(Some("short"), &["app:1"], Some(60)).unwrap();
    world.hold(Some("always"), &["app:1"], None).unwrap();
    assert_eq!(world.collect().unwrap(), Changed::default(), "all of them hold");
    world.memory.clock().pass(60_000);
    let plan = world.plan_change(&Change::Collect(Collecting { ingest_age_s: 0 })).unwrap();
    assert_eq!((plan.leases, world.leases().unwrap().len()), (vec!["short".to_owned()], 3), "a plan ends nothing");
    assert_eq!(world.collect().unwrap().leases, ["short"]);
    let ids: Vec<String> = world.leases().unwrap().into_iter().map(|lease| lease.id).collect();
    assert_eq!(ids, ["always", "long"]);

    // Somebody takes the ID again before the plan is carried out.
    world.memory.clock().pass(60_000);
    let document = world.plan_change(&Change::Collect(Collecting { ingest_age_s: 0 })).unwrap().document;
    world.hold(Some("long"), &["app:1"], None).unwrap();
    let problem = world.apply(&document).unwrap_err();
    assert_eq!((problem.code, &*problem.why[0]), (ErrorCode::Conflict, "the lease `long` is another one"));
}

#[test]
fn nothing_can_be_collected_until_the_lease_is_recorded() {
    let (world, built) = world();
    let (_, chain_ids) = chain(LAYERS);
    let blobs: Vec<Digest> = built.layers.iter().chain([&built.manifest, &built.config]).cloned().collect();
    let names = chain_ids.clone();
    world.memory.interfere(Call::Commit, move |memory| {
        assert!(blobs.iter().all(|blob| !memory.content().is_free(blob.as_str())));
        let top = names.last().unwrap();
        assert_eq!(memory.layers().remove(top), Err(ErrorCode::InUse));
        Ok(())
    });
    world.hold(None, &["app:1"], None).unwrap();
    assert!(built.layers.iter().all(|blob| world.memory.content().is_free(blob.as_str())), "the record holds it now");
    assert_eq!(world.memory.process().handles(), 0);
}

#[test]
fn an_image_that_is_not_whole_is_not_held() {
    let (world, built) = world();
    world.memory.layers().lose(Kind::Snapshot, chain(LAYERS).1.last().unwrap());
    world.hold(None, &["app:1"], None).expect("a tree can be made again");
    world.memory.content().remove(&built.layers[1]).unwrap();
    let problem = world.hold(None, &["app:1"], None).unwrap_err();
    let why = ["the image is not whole".to_owned(), format!("`{}`, which it needs, is gone", built.layers[1])];
    assert_eq!((problem.code, problem.why), (ErrorCode::NotFound, why.to_vec()));
    assert_eq!(problem.fix.as_deref(), Some("wharf pull app:1"));
    world.hold(None, &[built.layers[0].as_str()], None).expect("a blob alone can be held");
}

#[test]
fn leases_end_together_or_not_at_all() {
    let (world, _) = world();
    world.hold(Some("a"), &["app:1"], None).unwrap();
    world.hold(Some("b"), &["app:1"], None).unwrap();
    let problem = world.release(&["a", "c"]).unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::NotFound, Some("wharf lease ls")));
    assert_eq!(world.leases().unwrap().len(), 2);
    assert_eq!(world.release(&["../a"]).unwrap_err().code, ErrorCode::NotFound);
    world.memory.write_row("default", "lease/c", b"\xff");
    let problem = world.leases().unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::Invalid, Some("wharf lease rm c")));
    world.release(&["a", "c"]).unwrap();
    assert_eq!(world.leases().unwrap().len(), 1);
}
