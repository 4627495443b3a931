//! Ingests: who may write what, and what becomes of it.

use super::*;
use std::rc::Rc;
use wharf_component::{
    nouns::record::{CONTENT_PREFIX, ContentRecord, WRITING_PREFIX},
    verbs::contract::records::{Admission, Resource, Space, Writing},
};
use wharf_sim::memory::Call;

impl World {
    fn admit(
        &self,
        caller: &Caller,
        name: &str,
        expected: Option<&Digest>,
        total: i64,
        lease: Option<&str>,
    ) -> Result<Admission, Problem> {
        let expected = expected.map(Digest::as_str);
        self.memory.run(records::writings::admit(&self.memory, caller, name, expected, total, lease, false))
    }

    fn wrote(&self, caller: &Caller, name: &str, digest: &Digest, lease: Option<&str>) -> Result<Content, Problem> {
        let labels = Labels::new();
        self.memory.run(records::writings::wrote(&self.memory, caller, name, digest.as_str(), &labels, lease))
    }

    fn list_writings(&self, filters: &[&str]) -> Vec<Writing> {
        self.memory.run(records::writings::list(&self.memory, &caller(), &texts(filters))).unwrap()
    }

    fn begin_lease(&self, id: &str) {
        self.memory.run(records::leases::create(&self.memory, &caller(), Some(id), &Labels::new())).unwrap();
    }

    fn leased(&self, id: &str) -> Vec<Resource> {
        self.memory.run(records::leases::list_resources(&self.memory, &caller(), id)).unwrap()
    }
}

fn proceeded(admission: Result<Admission, Problem>) -> Writing {
    match admission.unwrap() {
        Admission::Proceed(writing) => writing,
        Admission::Share(content) => panic!("{content:?} is here"),
    }
}

#[test]
fn what_was_promised_is_kept_until_it_is_written() {
    let world = World::new();
    let digest = digest_of(b"bytes");
    let writing = proceeded(world.admit(&caller(), "layer-1", None, 0, None));
    assert_eq!((writing.name.as_str(), writing.ingest.as_str()), ("layer-1", "containerd/default/layer-1"));
    assert_eq!((writing.total, &writing.expected), (0, &None));
    world.memory.clock().pass(1_000);
    let again = proceeded(world.admit(&caller(), "layer-1", Some(&digest), 5, None));
    let expected = Writing { total: 5, expected: Some(digest.clone()), ..writing };
    assert_eq!(again, expected);
    assert_eq!(proceeded(world.admit(&caller(), "layer-1", None, 0, None)), expected, "it goes on");
    assert_eq!(code(world.admit(&caller(), "layer-1", Some(&digest_of(b"other")), 5, None)), ErrorCode::Invalid);
    assert_eq!(code(world.admit(&caller(), "layer-1", None, 6, None)), ErrorCode::Invalid);
    let get = |name: &str| world.memory.run(records::writings::get(&world.memory, &caller(), name));
    assert_eq!(get("layer-1").unwrap(), expected);
    assert_eq!(code(get("layer-2")), ErrorCode::NotFound);
    assert_eq!(code(world.admit(&caller(), "", None, 0, None)), ErrorCode::Invalid);
    assert_eq!(code(world.admit(&caller(), &"x".repeat(1_024), None, 0, None)), ErrorCode::Invalid);
    assert_eq!(code(world.admit(&caller(), "x", None, -1, None)), ErrorCode::Invalid);
    assert_eq!(code(world.admit(&caller(), "x", None, 0, Some("nobody"))), ErrorCode::NotFound);

    assert_eq!(world.list_writings(&[]), [], "no byte of it has come");
    let held = world.begin_ingest("layer-1");
    let other = world.begin_ingest("other");
    assert_eq!(world.list_writings(&[]), std::slice::from_ref(&expected), "the other one nobody has promised");
    assert_eq!(world.list_writings(&["ref==layer-1"]).len(), 1);
    assert_eq!(world.list_writings(&["ref~=2$"]).len(), 0);
    drop((held, other));
}

#[test]
fn what_is_written_is_content_of_the_namespace() {
    let world = World::new();
    let digest = digest_of(b"bytes");
    world.begin_lease("l");
    proceeded(world.admit(&caller(), "x", Some(&digest), 5, Some("l")));
    assert_eq!(world.leased("l"), [Resource { kind: "ingests".to_owned(), id: "x".to_owned() }]);
    assert_eq!(code(world.wrote(&caller(), "x", &digest, None)), ErrorCode::NotFound, "it is not here");
    world.write_blob(&caller(), b"bytes", &[]).unwrap();
    assert_eq!(world.leased("l"), [], "the name is forgotten");
    assert_eq!(world.memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with(WRITING_PREFIX)).count(), 0);

    assert_eq!(code(world.admit(&caller(), "y", Some(&digest), 5, None)), ErrorCode::InUse);
    // Who did not say what comes learns it at the end, and the lease holds it all the same.
    proceeded(world.admit(&caller(), "y", None, 0, Some("l")));
    assert_eq!(code(world.wrote(&caller(), "y", &digest, Some("l"))), ErrorCode::InUse);
    assert_eq!(world.leased("l"), [Resource { kind: "content".to_owned(), id: digest.to_string() }]);
    assert_eq!(code(world.wrote(&caller(), "z", &digest, Some("nobody"))), ErrorCode::NotFound);
}

#[test]
fn what_another_namespace_has_need_not_be_written_again() {
    let world = World::new();
    let digest = world.write_blob(&other(), b"bytes", &[("secret", "1")]).unwrap().digest;
    assert_eq!(code(world.admit(&caller(), "x", Some(&digest), 5, Some("nobody"))), ErrorCode::NotFound);
    match world.admit(&caller(), "x", Some(&digest), 5, None).unwrap() {
        Admission::Share(content) => assert_eq!((content.size, content.labels.len()), (5, 0)),
        Admission::Proceed(writing) => panic!("{writing:?} has to be written"),
    }
    assert_eq!(code(world.get_content(&caller(), &digest)), ErrorCode::NotFound, "it is not recorded yet");
    world.wrote(&caller(), "x", &digest, None).unwrap();
    assert_eq!(world.get_content(&caller(), &digest).unwrap().labels, []);
    assert_eq!(world.get_content(&other(), &digest).unwrap().labels, labels(&[("secret", "1")]));
}

/// What has come of it by then would be taken for the beginning of the next blob of that name.
#[test]
fn what_arrives_elsewhere_meanwhile_leaves_no_half_of_it_behind() {
    let ingests = |world: &World| world.memory.snapshot().disk.ingests.len();
    for is_own in [false, true] {
        let world = World::new();
        let digest = digest_of(b"bytes");
        proceeded(world.admit(&caller(), "half", Some(&digest), 5, None));
        drop(world.begin_ingest("half"));
        assert_eq!(ingests(&world), 1);
        let who = if is_own { caller() } else { other() };
        world.write_blob(&who, b"bytes", &[]).unwrap();
        match world.admit(&caller(), "half", Some(&digest), 5, None) {
            Ok(Admission::Share(_)) => assert!(!is_own),
            Err(problem) => assert_eq!((is_own, problem.code), (true, ErrorCode::InUse)),
            Ok(Admission::Proceed(writing)) => panic!("{writing:?} has to be written"),
        }
        assert_eq!((ingests(&world), world.list_writings(&[]).len()), (0, 0));
        let next = proceeded(world.admit(&caller(), "half", Some(&digest_of(b"other")), 7, None));
        assert_eq!((next.total, next.expected), (7, Some(digest_of(b"other"))));
    }
}

#[test]
fn an_isolated_namespace_gets_by_its_bytes_what_others_do_not_share() {
    let world = World::new();
    let digest = world.write_blob(&other(), b"bytes", &[]).unwrap().digest;
    let me = caller();
    let admit =
        || world.memory.run(records::writings::admit(&world.memory, &me, "x", Some(digest.as_str()), 5, None, true));
    let label = |value: &str| {
        let labels = labels(&[("containerd.io/namespace.shareable", value)]);
        let space = Space { name: other().namespace, labels };
        world.memory.run(records::namespaces::update(&world.memory, &caller(), &space, &[])).unwrap();
    };
    proceeded(admit());
    label("false");
    proceeded(admit());
    assert_eq!(code(world.get_content(&caller(), &digest)), ErrorCode::NotFound);
    // Whoever has written the bytes has it, and there is one of it.
    world.wrote(&caller(), "x", &digest, None).unwrap();
    assert_eq!(world.get_content(&caller(), &digest).unwrap().size, 5);
    assert_eq!(world.memory.snapshot().disk.blobs.len(), 1);
    world.memory.run(records::contents::delete(&world.memory, &caller(), digest.as_str())).unwrap();
    label("true");
    assert!(matches!(admit(), Ok(Admission::Share(_))));
    // One that says so shares what it has, and not what others have.
    let own = world.write_blob(&caller(), b"own", &[]).unwrap().digest;
    let third = Caller { namespace: "third".to_owned(), ..caller() };
    let work = records::writings::admit(&world.memory, &third, "y", Some(own.as_str()), 3, None, true);
    proceeded(world.memory.run(work));
}

#[test]
fn an_ingest_is_given_up_with_its_bytes_unless_somebody_writes() {
    let world = World::new();
    let abort = |name: &str| world.memory.run(records::writings::abort(&world.memory, &caller(), name));
    assert_eq!(code(abort("x")), ErrorCode::NotFound);
    world.begin_lease("l");
    proceeded(world.admit(&caller(), "x", None, 0, Some("l")));
    let held = world.begin_ingest("x");
    let problem = abort("x").unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::InUse, texts(&["somebody is writing it"])));
    drop(held);
    abort("x").unwrap();
    assert_eq!((world.memory.snapshot().disk.ingests.len(), world.leased("l").len()), (0, 0));
    assert_eq!(code(abort("x")), ErrorCode::NotFound);
    proceeded(world.admit(&caller(), "x", None, 0, None));
    abort("x").unwrap();
}

#[test]
fn a_collection_forgets_what_was_promised_long_ago() {
    let world = World::new();
    proceeded(world.admit(&caller(), "x", None, 0, None));
    proceeded(world.admit(&caller(), "y", None, 0, None));
    drop(world.begin_ingest("y"));
    world.collect().unwrap();
    let count =
        |world: &World| world.memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with(WRITING_PREFIX)).count();
    assert_eq!(count(&world), 2, "the first byte may be on its way");
    world.memory.clock().pass(90_000_000);
    drop(world.begin_ingest("y"));
    world.collect().unwrap();
    assert_eq!(count(&world), world.memory.snapshot().disk.ingests.len());
}

/// The record stands for nothing, and would be taken for what is about to be written.
#[test]
fn a_record_whose_blob_is_gone_does_not_stop_anybody() {
    let world = World::new();
    let digest = world.write_blob(&caller(), b"bytes", &[("old", "1")]).unwrap().digest;
    world.memory.content().remove(&digest).unwrap();
    proceeded(world.admit(&caller(), "x", Some(&digest), 5, None));
    assert_eq!(world.write_blob(&caller(), b"bytes", &[]).unwrap().labels, []);
}

#[test]
fn what_somebody_else_has_recorded_meanwhile_stays() {
    let (world, digest) = (World::new(), digest_of(b"bytes"));
    let labels = BTreeMap::from([("containerd.io/gc.root".to_owned(), "yes".to_owned())]);
    let record = ContentRecord { created: (1, 0), updated: (1, 0), labels };
    let (key, row) = (format!("{CONTENT_PREFIX}{digest}"), record.encode());
    let blobs = BTreeMap::from([(digest.to_string(), Rc::from(&b"bytes"[..]))]);
    world.memory.interfere(Call::Commit, move |memory| {
        memory.import(blobs);
        memory.write_row("default", &key, &row);
        Ok(())
    });
    assert_eq!(code(world.admit(&caller(), "x", Some(&digest), 5, None)), ErrorCode::InUse);
    let found = world.memory.run(records::contents::get(&world.memory, &caller(), digest.as_str())).unwrap();
    assert_eq!(found.labels, [("containerd.io/gc.root".to_owned(), "yes".to_owned())]);
}
