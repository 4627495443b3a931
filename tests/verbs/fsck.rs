//! `fsck`: what a disk has changed is found, with the images that need it and
//! what helps, and made right again only if somebody asks for it.

use super::{Ear, Recipe, World, caller, chain, options, unpacking};
use std::rc::Rc;
use wharf_component::{
    host::Host,
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Access, Findings, Flaw, FlawKind},
    },
};
use wharf_sim::memory::{Call, content::digest_of, layers::Kind, metadata::Rows};

const BASE: &str = "docker.io/library/base:1";
const APP: &str = "docker.io/library/app:1";
const LAYERS: &[&str] = &["shared", "own"];

/// Two images that share their lowest layer, and their trees.
fn world() -> (World, super::Built, super::Built) {
    let world = World::new();
    let base = world.image("library/base", Some("1"), Recipe { layers: &LAYERS[..1], ..Recipe::default() });
    let app = world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("base:1", &unpacking()).unwrap();
    world.pull("app:1", &unpacking()).unwrap();
    world.requests();
    (world, base, app)
}

impl World {
    fn fsck(&self, references: &[&str]) -> Result<Findings, Problem> {
        self.look(references, None, false)
    }

    fn repair(&self, references: &[&str]) -> Findings {
        self.look(references, Some(&Access::default()), false).unwrap()
    }

    fn look(&self, references: &[&str], repair: Option<&Access>, rebuild: bool) -> Result<Findings, Problem> {
        let references: Vec<String> = references.iter().map(|reference| (*reference).to_owned()).collect();
        let ear = Ear::default();
        self.memory.run(verbs::fsck(&self.memory, &caller(), &references, repair, rebuild, &ear))
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) {
        self.memory.import([(digest.to_string(), Rc::from(bytes))].into());
    }

    fn bytes(&self, digest: &Digest) -> Rc<[u8]> {
        self.memory.snapshot().disk.blobs[digest.as_str()].clone()
    }

    /// Checks that nothing is wrong.
    fn is_well(&self) {
        assert_eq!(self.fsck(&[]).unwrap().flaws, []);
    }
}

/// What it is, and whether and how it was repaired.
fn told(findings: &Findings) -> Vec<(FlawKind, &str, Option<&str>)> {
    findings.flaws.iter().map(|flaw| (flaw.kind, &*flaw.subject, flaw.repaired.as_deref())).collect()
}

#[test]
fn a_whole_store_is_looked_at_once_and_nobody_is_asked() {
    let (world, _, _) = world();
    let stray = digest_of(b"stray");
    world.put(&stray, b"stray");
    let before = world.memory.snapshot();
    world.memory.calls();
    let found = world.fsck(&[]).unwrap();
    // Two manifests, two configs, two layers, and the blob of no image; two layers and two snapshots.
    let bytes = before.disk.blobs.values().map(|bytes| bytes.len() as u64).sum();
    let expected = Findings { images: 2, blobs: 7, bytes, trees: 4, flaws: Vec::new(), notes: Vec::new() };
    assert_eq!(found, expected);
    let calls = world.memory.calls();
    assert_eq!((calls["content.blob.verify"], calls["layers.layer.verify"]), (7, 2), "each once");
    assert_eq!(world.requests(), [""; 0]);
    assert_eq!(world.memory.snapshot(), before);
}

/// Who runs `fsck` beside `gc` is not told of blobs that nobody needs and that are not here.
#[test]
fn what_nobody_needs_may_be_collected_meanwhile() {
    let (world, _, _) = world();
    world.put(&digest_of(b"stray"), b"stray");
    world.memory.interfere(Call::Blobs, |memory| {
        memory.interfere(Call::Open, |memory| memory.content().remove(&digest_of(b"stray")));
        Ok(())
    });
    let found = world.fsck(&[]).unwrap();
    assert_eq!((found.blobs, told(&found)), (6, Vec::new()));
    assert!(!world.has(&digest_of(b"stray")), "it was removed in time");
}

/// Who runs `fsck` beside `prune` is not told of an image that is gone by then, nor of what it needed.
#[test]
fn an_image_may_be_removed_meanwhile() {
    for is_removed in [true, false] {
        let (world, _, app) = world();
        let own = app.layers[1].clone();
        world.memory.interfere(Call::Open, move |memory| {
            if is_removed {
                memory.remove_row("default", "image/docker.io/library/app:1");
            }
            memory.content().remove(&own)
        });
        let found = world.fsck(&["app:1"]).unwrap();
        assert_eq!(found.flaws.is_empty(), is_removed, "{:?}", found.flaws);
    }
}

#[test]
fn what_is_damaged_or_missing_is_told_and_repaired() {
    let (world, base, app) = world();
    let (shared, own) = (&app.layers[0], &app.layers[1]);
    assert_eq!(shared, &base.layers[0]);
    let whole = world.bytes(shared);
    world.put(shared, b"other bytes");
    world.memory.content().remove(own).unwrap();
    let found = world.fsck(&[]).unwrap();
    let expected = Flaw {
        kind: FlawKind::DamagedBlob,
        subject: shared.to_string(),
        why: format!("its bytes hash to `{}`", digest_of(b"other bytes")),
        images: vec![APP.to_owned(), BASE.to_owned()],
        consequence: format!("`{APP}` and `{BASE}` cannot be extracted again"),
        cure: "wharf fsck --repair".to_owned(),
        repaired: None,
    };
    assert!(found.flaws.contains(&expected), "{found:?}");
    let missing = found.flaws.iter().find(|flaw| flaw.kind == FlawKind::MissingBlob).expect("one is missing");
    assert_eq!((&*missing.subject, &*missing.why), (own.as_str(), "it is not here"));
    assert!(world.has(shared) && found.flaws.len() == 2, "nothing is changed without being asked for");
    assert_eq!(world.requests(), [""; 0]);

    let only_base = world.fsck(&["base:1"]).unwrap();
    assert_eq!((only_base.blobs, told(&only_base).len()), (3, 1));
    assert_eq!(only_base.flaws[0].images, [BASE], "who else needs it was not asked");

    let repaired = world.repair(&[]);
    assert!(repaired.flaws.iter().all(|flaw| flaw.repaired.as_deref() == Some("fetched again")), "{repaired:?}");
    assert_eq!(world.bytes(shared), whole);
    assert_eq!(world.requests().len(), 2, "and nothing else is fetched");
    world.is_well();
}

#[test]
fn a_document_that_comes_again_tells_what_else_is_missing() {
    let (world, _, app) = world();
    world.put(&app.manifest, b"{}");
    world.memory.content().remove(&app.layers[1]).unwrap();
    let found = world.fsck(&["app:1"]).unwrap();
    assert_eq!(told(&found), [(FlawKind::DamagedBlob, app.manifest.as_str(), None)]);
    assert_eq!(found.blobs, 2, "the manifest and the config: which layers there are, nobody knows");
    let repaired = world.repair(&["app:1"]);
    let again = Some("fetched again");
    let expected =
        [(FlawKind::DamagedBlob, app.manifest.as_str(), again), (FlawKind::MissingBlob, app.layers[1].as_str(), again)];
    assert_eq!(told(&repaired), expected);
    world.is_well();
}

#[test]
fn what_somebody_holds_stays_and_the_rest_is_repaired() {
    let (world, base, app) = world();
    for blob in [&app.layers[1], &base.config] {
        world.put(blob, b"damage");
    }
    let held = world.memory.run(world.memory.open(&app.layers[1])).unwrap();
    let found = world.repair(&[]);
    let (kept, done) = found.flaws.split_at(found.flaws.iter().position(|flaw| flaw.repaired.is_some()).unwrap_or(0));
    let all: Vec<_> = kept.iter().chain(done).collect();
    let kept = all.iter().find(|flaw| flaw.subject == app.layers[1].as_str()).expect("it is damaged");
    assert!(kept.repaired.is_none() && kept.why.ends_with("somebody uses it"), "{kept:?}");
    assert!(all.iter().any(|flaw| flaw.subject == base.config.as_str() && flaw.repaired.is_some()));
    drop(held);
    world.repair(&[]);
    world.is_well();
}

#[test]
fn what_the_registry_does_not_have_any_more_says_so_and_the_rest_goes_on() {
    let (world, _, app) = world();
    let stray = digest_of(b"stray");
    world.put(&stray, b"damaged, and nobody needs it");
    let mut record = world.record(APP).unwrap();
    record.platforms[0].config = digest_of(b"a config that no registry has");
    world.memory.write_row("default", &format!("image/{APP}"), &record.encode().unwrap());
    world.put(&app.layers[1], b"damage");
    let found = world.repair(&[]);
    let lost = found.flaws.iter().find(|flaw| flaw.kind == FlawKind::MissingBlob).expect("a config is missing");
    assert!(lost.repaired.is_none() && lost.why.contains("it cannot be repaired now"), "{lost:?}");
    for (subject, done) in [(&app.layers[1], "fetched again"), (&stray, "removed")] {
        let flaw = found.flaws.iter().find(|flaw| flaw.subject == subject.as_str()).expect("it is damaged");
        assert_eq!(flaw.repaired.as_deref(), Some(done), "{flaw:?}");
    }
}

/// Runs of the simulator found it: between the look at a damaged blob and its
/// removal a pull had brought the right one, and that was removed.
#[test]
fn what_somebody_has_made_good_meanwhile_stays() {
    let (world, _, app) = world();
    let own = app.layers[1].clone();
    let whole = world.bytes(&own);
    world.put(&own, b"other bytes");
    let healed = (own.clone(), whole.clone());
    world.memory.interfere(Call::Ingest, move |memory| {
        memory.import([(healed.0.to_string(), healed.1)].into());
        Ok(())
    });
    world.repair(&[]);
    assert_eq!(world.bytes(&own), whole);
    assert_eq!(world.requests(), [""; 0], "nothing has to be fetched");
}

/// The size in a manifest is a claim of whoever wrote it.
#[test]
fn a_blob_that_only_a_manifest_has_wrong_is_told_and_stays() {
    let (world, _, app) = world();
    let record = world.record(APP).unwrap();
    let mut other = record.clone();
    other.target.size += 1;
    world.memory.write_row("default", &format!("image/{APP}"), &other.encode().unwrap());
    let found = world.repair(&["app:1"]);
    assert_eq!(told(&found), [(FlawKind::DisputedSize, app.manifest.as_str(), None)]);
    let size = record.target.size;
    assert_eq!(found.flaws[0].why, format!("it has {size} bytes, and a manifest says {}", size + 1));
    assert!(world.has(&app.manifest));
}

#[test]
fn trees_that_have_changed_or_are_gone_are_made_again_from_the_blobs() {
    let (diff_ids, chain_ids) = chain(LAYERS);
    type Harm<'h> = (&'h str, &'h dyn Fn(&World), &'h [FlawKind]);
    use FlawKind::{DamagedLayer, DamagedSnapshot};
    let layers = |world: &World| world.memory.layers().damage(Kind::Layer, &diff_ids[1]);
    let base = |world: &World| world.memory.layers().damage(Kind::Layer, &diff_ids[0]);
    let top = |world: &World| world.memory.layers().damage(Kind::Snapshot, &chain_ids[1]);
    let lost_layer = |world: &World| world.memory.layers().lose(Kind::Layer, &diff_ids[1]);
    let lost_top = |world: &World| world.memory.layers().lose(Kind::Snapshot, &chain_ids[1]);
    let lost_base = |world: &World| world.memory.layers().lose(Kind::Snapshot, &chain_ids[0]);
    let rows: &[Harm<'_>] = &[
        ("a layer has changed", &layers, &[DamagedLayer]),
        ("a layer of two images has changed", &base, &[DamagedLayer]),
        ("a snapshot has changed", &top, &[DamagedSnapshot]),
        ("a layer is gone", &lost_layer, &[DamagedSnapshot]),
        ("the snapshot of an image is gone", &lost_top, &[]),
        ("a snapshot below is gone", &lost_base, &[DamagedSnapshot]),
    ];
    for (what, harm, expected) in rows {
        let (world, _, _) = world();
        let before = world.memory.layers().visible();
        harm(&world);
        let found = world.fsck(&[]).unwrap();
        assert_eq!(found.flaws.iter().map(|flaw| flaw.kind).collect::<Vec<_>>(), *expected, "{what}: {found:?}");
        assert!(found.flaws.iter().all(|flaw| flaw.images.contains(&APP.to_owned())), "{what}: {found:?}");
        let repaired = world.repair(&[]);
        assert!(repaired.flaws.iter().all(|flaw| flaw.repaired.is_some()), "{what}: {repaired:?}");
        assert_eq!(world.memory.layers().visible(), before, "{what}");
        assert_eq!(world.requests(), [""; 0], "{what}: the blobs are here");
        world.is_well();
    }
}

#[test]
fn a_layer_whose_blob_is_damaged_as_well_is_made_of_what_comes_again() {
    let (world, _, app) = world();
    let (diff_ids, _) = chain(LAYERS);
    world.memory.layers().damage(Kind::Layer, &diff_ids[1]);
    world.put(&app.layers[1], b"damage");
    let found = world.repair(&[]);
    assert_eq!(found.flaws.iter().filter(|flaw| flaw.repaired.is_some()).count(), 2, "{found:?}");
    world.is_well();
}

#[test]
fn a_tree_whose_blobs_do_not_come_back_stays() {
    let (world, _, app) = world();
    let (diff_ids, _) = chain(LAYERS);
    world.memory.layers().damage(Kind::Layer, &diff_ids[1]);
    let mut record = world.record(APP).unwrap();
    record.target.digest = digest_of(b"an index that no registry has");
    world.memory.write_row("default", &format!("image/{APP}"), &record.encode().unwrap());
    world.put(&app.layers[1], b"damage");
    let found = world.repair(&[]);
    let tree = found.flaws.iter().find(|flaw| flaw.kind == FlawKind::DamagedLayer).expect("it is damaged");
    assert!(tree.repaired.is_none() && tree.why.contains("it stays"), "{tree:?}");
    assert!(world.memory.layers().visible().layers.contains(&diff_ids[1]), "half of it is better than nothing");
}

#[test]
fn a_tree_that_somebody_holds_stays() {
    let (world, _, _) = world();
    let (diff_ids, chain_ids) = chain(LAYERS);
    world.memory.layers().damage(Kind::Layer, &diff_ids[1]);
    let held = world.memory.run(Host::snapshot(&world.memory, &chain_ids[1])).unwrap();
    let found = world.repair(&[]);
    let flaw = &found.flaws[0];
    assert!(flaw.repaired.is_none() && flaw.why.contains("somebody uses it"), "{flaw:?}");
    assert!(flaw.cure.contains("wharf mounts"), "{flaw:?}");
    drop(held);
    world.repair(&[]);
    world.is_well();
}

#[test]
fn an_image_that_was_never_extracted_lacks_nothing() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    world.is_well();
}

/// Races found it: a process was killed, or not yet done, when it had extracted all layers of an image and not made its
/// tree, and that was taken for damage.
#[test]
fn a_tree_of_which_only_the_layers_are_here_is_no_flaw() {
    let (world, _, _) = world();
    let (_, chain_ids) = chain(LAYERS);
    let before = world.memory.layers().visible();
    world.memory.layers().lose(Kind::Snapshot, &chain_ids[1]);
    let found = world.fsck(&[]).unwrap();
    let note = "1 tree is not made yet of layers that are here; `wharf fsck --repair` does";
    assert_eq!((found.flaws, found.notes), (Vec::new(), vec![note.to_owned()]));
    let repaired = world.repair(&[]);
    let note = "1 tree is made of layers that were here";
    assert_eq!((repaired.flaws, repaired.notes), (Vec::new(), vec![note.to_owned()]));
    assert_eq!(world.memory.layers().visible(), before);
}

#[test]
fn a_record_that_cannot_be_read_is_pulled_again_or_stays() {
    let (world, _, _) = world();
    let record = world.record(APP).unwrap();
    world.memory.write_row("default", &format!("image/{APP}"), b"no record");
    world.memory.write_row("default", "image/docker.io/library/odd:1", b"no record");
    let found = world.fsck(&[]).unwrap();
    let (app, odd) = (APP, "docker.io/library/odd:1");
    let kind = FlawKind::UnreadableRecord;
    assert_eq!(told(&found), [(kind, app, None), (kind, odd, None)]);
    assert_eq!(found.flaws[0].cure, format!("wharf pull {APP}"));
    assert_eq!(world.fsck(&["base:1"]).unwrap().flaws, []);
    let repaired = world.repair(&[]);
    assert_eq!(told(&repaired), [(kind, app, Some("pulled again")), (kind, odd, None)]);
    assert!(repaired.flaws[1].why.contains("it stays"), "{repaired:?}");
    assert_eq!(world.record(APP).map(|record| record.target), Some(record.target));
    let problem = world.fsck(&["none:1"]).unwrap_err();
    assert_eq!((problem.code, &*problem.what), (ErrorCode::NotFound, "cannot check `none:1`"));
}

#[test]
fn a_record_that_is_no_images_and_cannot_be_read_stops_collections_until_it_is_taken_away() {
    let (world, _, _) = world();
    let keys = ["foreign/x", "content/x", "lease/x", "leased/x/y", "snapshot/x"];
    keys.iter().for_each(|key| world.memory.write_row("default", key, b""));
    let found = world.fsck(&[]).unwrap();
    assert_eq!(told(&found), keys.map(|key| (FlawKind::UnreadableRecord, key, None)));
    assert_eq!(world.fsck(&["base:1"]).unwrap().flaws, [], "no image is hurt");
    let done = "taken away; what it alone held can go";
    assert_eq!(told(&world.repair(&[])), keys.map(|key| (FlawKind::UnreadableRecord, key, Some(done))));
    world.is_well();
}

/// What no record names is what a collection takes, and one may run at this moment.
#[test]
fn what_gets_a_record_is_held_until_it_has_one() {
    let world = World::new();
    let app = world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let mut lost = world.memory.snapshot();
    lost.rows = Rows::default();
    let world = World { memory: world.memory.with_disk(lost), ..world };
    let needed = [app.manifest.clone(), app.config.clone(), app.layers[0].clone(), app.layers[1].clone()];
    let wanted = needed.clone();
    world.memory.interfere(Call::Sync, move |memory| {
        for blob in &wanted {
            assert_eq!(memory.content().remove(blob), Err(ErrorCode::InUse), "{blob}");
        }
        Ok(())
    });
    assert_eq!(world.look(&[], None, true).unwrap().notes.len(), 1);
    assert!(world.record(&format!("localhost/recovered@{}", app.manifest)).is_some());
    assert_eq!(world.memory.content().remove(&needed[2]), Ok(()), "nobody holds it any more");
}

#[test]
fn images_whose_records_are_lost_get_one_again() {
    let world = World::new();
    let (index, built) = world.alpine();
    let app = world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("alpine:3.20", &options()).unwrap();
    world.pull("app:1", &unpacking()).unwrap();
    let mut lost = world.memory.snapshot();
    lost.rows = Rows::default();
    world.requests();
    let world = World { memory: world.memory.with_disk(lost), ..world };

    let found = world.fsck(&[]).unwrap();
    assert_eq!((found.images, found.flaws.len()), (0, 0), "{found:?}");
    let told = ["2 images are here that no name reaches; `wharf fsck --rebuild` gives them one"];
    assert_eq!(found.notes, told);
    assert_eq!(world.repair(&[]).notes, told, "they may be somebody else's");
    assert_eq!(world.memory.snapshot().rows.len(), 0);
    let found = world.look(&[], None, true).unwrap();
    assert_eq!(found.notes.len(), 2, "{found:?}");
    for (target, id) in [(&index, &built[0].config), (&app.manifest, &app.config)] {
        let record = world.record(&format!("localhost/recovered@{target}")).expect("it has a record");
        assert_eq!((&record.target.digest, record.platforms.len()), (target, 1));
        assert_eq!(record.platforms[0].config, *id);
    }
    assert_eq!(world.requests(), [""; 0]);
    assert_eq!(world.fsck(&[]).unwrap().notes, [""; 0], "a name reaches them now");
    assert_eq!(world.unpack(app.manifest.as_str(), None).unwrap().unpacked, 0);
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    assert!(pulled.transfers.iter().all(|transfer| transfer.fetched_bytes < 2_000), "documents alone: {pulled:?}");
}
