//! Layers into snapshots, and out of them.

use super::*;
use wharf_component::nouns::media_type::{DOCKER_LAYER_GZIP, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};

impl World {
    /// A blob of the namespace, and what points to it.
    fn layer_blob(&self, text: &str) -> Pointed {
        let digest = self.write_blob(&ME, text.as_bytes(), &[(ROOT, "yes")]).unwrap().digest.to_string();
        let media_type = OCI_LAYER_GZIP.to_owned();
        Pointed { media_type, digest, size: text.len().try_into().unwrap(), annotations: vec![] }
    }

    fn apply_layer(&self, layer: &Pointed, trees: &[&Digest]) -> Result<Pointed, Problem> {
        self.memory.run(records::snapshots::apply(&self.memory, &ME, layer, &names(trees)))
    }

    fn diff_layer(&self, left: Option<&[&Digest]>, right: &[&Digest], media_type: &str) -> Result<Pointed, Problem> {
        let labels = labels(&[("team", "web")]);
        let (memory, caller) = (&self.memory, &ME);
        let (left, right) = (left.map(names), names(right));
        let (left, right) = (left.as_deref(), right.as_slice());
        self.memory.run(records::snapshots::diff(memory, caller, left, right, media_type, &labels, None))
    }

    /// Extracts layers as a client does, each committed under its ChainID.
    fn unpack_as_client(&self, texts: &[&str]) -> Vec<String> {
        let diff_ids: Vec<Digest> = texts.iter().map(|text| digest_of(text.as_bytes())).collect();
        let chains: Vec<String> =
            wharf_component::nouns::chain::chain_ids(&diff_ids).iter().map(Digest::to_string).collect();
        for (at, text) in texts.iter().enumerate() {
            let below = at.checked_sub(1).map(|below| chains[below].as_str());
            let tree = self.prepare("extract", below).unwrap();
            let applied = self.apply_layer(&self.layer_blob(&format!("gzip|{text}")), &[&tree]).unwrap();
            assert_eq!(applied.digest, diff_ids[at].to_string());
            self.commit_snapshot(&chains[at], "extract", &[]).unwrap();
        }
        chains
    }
}

fn names(trees: &[&Digest]) -> Vec<String> {
    trees.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_client_extracts_is_what_wharf_itself_makes() {
    let world = World::new();
    let chains = world.unpack_as_client(&["one", "two"]);
    for chain in &chains {
        assert_eq!(world.stat(chain).unwrap().tree.as_str(), chain);
    }
    assert_eq!(world.trees(), (0, 2));
    // It is there for everybody.
    world.prepare_as(&other(), "a", Some(&chains[1]), &[]).unwrap();
    // And after a restart: it was durable when it was committed.
    let world = World { memory: world.memory.restart(), ..World::new() };
    assert_eq!(world.stat(&chains[1]).unwrap().parent.as_ref(), Some(&chains[0]));
    world.view("v", Some(&chains[1])).unwrap();
}

#[test]
fn an_answer_to_apply_is_the_layer_without_its_compression() {
    let world = World::new();
    let tree = world.prepare("a", None).unwrap();
    let applied = world.apply_layer(&world.layer_blob("gzip|text"), &[&tree]).unwrap();
    let digest = digest_of(b"text").to_string();
    assert_eq!(applied, Pointed { media_type: OCI_LAYER.to_owned(), digest, size: 4, annotations: vec![] });
}

#[test]
fn what_cannot_be_applied_is_refused_and_changes_nothing() {
    let world = World::new();
    world.committed("base", None);
    let (tree, layer) = (world.prepare("a", Some("base")).unwrap(), world.layer_blob("gzip|text"));
    let view = world.view("v", Some("base")).unwrap();
    let foreign = world.prepare_as(&other(), "a", None, &[]).unwrap();
    let committed = world.stat("base").unwrap().tree;
    let rows: [&[&Digest]; 5] = [&[], &[&view], &[&foreign], &[&committed], &[&foreign, &view]];
    for wrong in rows {
        assert_eq!(code(world.apply_layer(&layer, wrong)), ErrorCode::Invalid, "{wrong:?}");
    }
    let rows = [
        (Pointed { size: 8, ..layer.clone() }, ErrorCode::Invalid),
        (Pointed { size: -1, ..layer.clone() }, ErrorCode::Invalid),
        (Pointed { media_type: OCI_CONFIG.to_owned(), ..layer.clone() }, ErrorCode::Invalid),
        (Pointed { media_type: format!("{OCI_LAYER_GZIP}+encrypted"), ..layer.clone() }, ErrorCode::Invalid),
        (Pointed { digest: "x".to_owned(), ..layer.clone() }, ErrorCode::Invalid),
        (Pointed { digest: digest_of(b"absent").to_string(), ..layer.clone() }, ErrorCode::NotFound),
        (world.layer_blob("gzip|broken"), ErrorCode::Invalid),
    ];
    for (layer, expected) in rows {
        assert_eq!(code(world.apply_layer(&layer, &[&tree])), expected, "{layer:?}");
    }
    let elsewhere = world.write_blob(&other(), b"gzip|more", &[(ROOT, "yes")]).unwrap().digest.to_string();
    assert_eq!(
        code(world.apply_layer(&Pointed { digest: elsewhere, size: 9, ..layer.clone() }, &[&tree])),
        ErrorCode::NotFound
    );
    assert_eq!(world.weigh("a").unwrap(), (0, 0));
    world.apply_layer(&Pointed { media_type: DOCKER_LAYER_GZIP.to_owned(), ..layer }, &[&foreign, &tree]).unwrap();
}

#[test]
fn a_layer_on_something_that_was_written_is_no_stack() {
    let world = World::new();
    world.committed("base", None);
    let tree = world.prepare("a", Some("base")).unwrap();
    world.apply_layer(&world.layer_blob("gzip|text"), &[&tree]).unwrap();
    world.commit_snapshot("b", "a", &[]).unwrap();
    assert_eq!(world.stat("b").unwrap().tree, tree);
}

/// The name of a ChainID in the layer store is given by layers alone: whoever commits something else under it has a record
/// that leads elsewhere, and others never see that.
#[test]
fn nobody_gives_something_else_the_name_of_a_chain() {
    let world = World::new();
    let (_, chains) = chain(&["base", "top"]);
    world.prepare("a", None).unwrap();
    world.scribble("a", "evil");
    world.commit_snapshot(chains[0].as_str(), "a", &[(ROOT, "yes")]).unwrap();
    assert_eq!(code(world.stat_as(&other(), chains[0].as_str())), ErrorCode::NotFound);
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    assert_eq!(world.stat_as(&other(), chains[0].as_str()).unwrap().tree, chains[0]);
    assert_ne!(world.stat(chains[0].as_str()).unwrap().tree, chains[0]);
    // Once it is there the name is taken, unless that is what it is.
    world.prepare("b", None).unwrap();
    world.scribble("b", "evil");
    assert_eq!(code(world.commit_snapshot(chains[1].as_str(), "b", &[])), ErrorCode::InUse);
    assert_eq!(world.stat("b").unwrap().kind, SnapshotKind::Active);
}

#[test]
fn a_diff_is_a_blob_of_the_namespace() {
    let world = World::new();
    world.committed("base", None);
    let (right, left) = (world.prepare("a", Some("base")).unwrap(), world.view("v", Some("base")).unwrap());
    world.scribble("a", "changed");
    let rows = [
        ("", OCI_LAYER_GZIP, "gzip:6|changed"),
        (OCI_LAYER_GZIP, OCI_LAYER_GZIP, "gzip:6|changed"),
        (DOCKER_LAYER_GZIP, DOCKER_LAYER_GZIP, "gzip:6|changed"),
        (OCI_LAYER_ZSTD, OCI_LAYER_ZSTD, "zstd:3|changed"),
        (OCI_LAYER, OCI_LAYER, "changed"),
    ];
    for (asked, media_type, bytes) in rows {
        let layer = world.diff_layer(Some(&[&left]), &[&right], asked).unwrap();
        let (digest, size) = (digest_of(bytes.as_bytes()), bytes.len().try_into().unwrap());
        let expected =
            Pointed { media_type: media_type.to_owned(), digest: digest.to_string(), size, annotations: vec![] };
        assert_eq!(layer, expected);
        let labels = world.get_content(&ME, &digest).unwrap().labels;
        let uncompressed = digest_of(b"changed").to_string();
        let expected = BTreeMap::from([("containerd.io/uncompressed", uncompressed.as_str()), ("team", "web")]);
        assert_eq!(map(&labels), expected);
    }
    assert_eq!(code(world.diff_layer(Some(&[&left]), &[&right], OCI_CONFIG)), ErrorCode::Invalid);
    assert_eq!(world.memory.snapshot().disk.ingests.len(), 0);
}

#[test]
fn a_diff_is_about_a_snapshot_and_its_parent() {
    let world = World::new();
    world.committed("base", None);
    world.committed("upper", Some("base"));
    let base = world.view("base-view", Some("base")).unwrap();
    let upper = world.view("upper-view", Some("upper")).unwrap();
    let nothing = world.view("nothing", None).unwrap();
    let active = world.prepare("active", Some("upper")).unwrap();
    let alone = world.prepare("alone", None).unwrap();
    let rows: [(Option<&Digest>, &Digest, bool); 14] = [
        (Some(&base), &upper, true),
        (Some(&nothing), &base, true),
        (None, &base, true),
        (Some(&upper), &active, true),
        (None, &alone, true),
        (Some(&nothing), &alone, true),
        (Some(&nothing), &upper, false),
        (None, &upper, false),
        (Some(&upper), &base, false),
        (Some(&base), &active, false),
        (Some(&active), &active, false),
        (Some(&alone), &base, false),
        (Some(&base), &alone, false),
        (Some(&base), &nothing, false),
    ];
    for (at, (left, right, expected)) in rows.into_iter().enumerate() {
        let left = left.map(|left| [left]);
        let diff = world.diff_layer(left.as_ref().map(<[_; 1]>::as_slice), &[right], "");
        assert_eq!(diff.as_ref().map(drop).map_err(|problem| problem.code.clone()).is_ok(), expected, "{at}: {diff:?}");
        if !expected {
            assert_eq!(code(diff), ErrorCode::Invalid, "{at}");
        }
    }
    // What is mounted alike may be any of these.
    let foreign = world.prepare_as(&other(), "a", None, &[]).unwrap();
    world.diff_layer(Some(&[&foreign, &base]), &[&world.stat("upper").unwrap().tree, &upper], "").unwrap();
    assert_eq!(code(world.diff_layer(Some(&[]), &[&alone], "")), ErrorCode::Invalid);
    assert_eq!(code(world.diff_layer(Some(&[&base]), &[], "")), ErrorCode::Invalid);
}

#[test]
fn a_diff_that_fails_leaves_no_blob_and_no_ingest() {
    let world = World::new();
    let right = world.prepare("a", None).unwrap();
    world.scribble("a", "changed");
    for call in [Call::Ingest, Call::Append, Call::Digest, Call::CommitIngest, Call::Begin] {
        world.memory.interfere(call, |_| Err(ErrorCode::Other("input/output error".to_owned())));
        assert!(world.diff_layer(None, &[&right], "").is_err(), "{call:?}");
        let disk = world.memory.snapshot().disk;
        assert_eq!((disk.blobs.len(), disk.ingests.len()), (0, 0), "{call:?}");
    }
}
