//! `verify`: what a disk has changed is found, with the images that need it, and
//! removed only if somebody asks for it and nobody holds it.

use super::{Ear, Recipe, World, caller, options};
use std::rc::Rc;
use wharf_component::{
    host::Host,
    nouns::{digest::Digest, problem::ErrorCode, problem::Problem},
    verbs::{
        self,
        contract::{Flaw, Harm, Verification},
    },
};
use wharf_sim::memory::Call;

const BASE: &str = "docker.io/library/base:1";
const APP: &str = "docker.io/library/app:1";

/// Two images that share their lowest layer, and a blob of none.
fn world() -> (World, super::Built, super::Built) {
    let world = World::new();
    let base = world.image("library/base", Some("1"), Recipe { layers: &["shared"], ..Recipe::default() });
    let app = world.image("library/app", Some("1"), Recipe { layers: &["shared", "own"], ..Recipe::default() });
    world.pull("base:1", &options()).unwrap();
    world.pull("app:1", &options()).unwrap();
    (world, base, app)
}

impl World {
    fn verify(&self, references: &[&str], remove: bool) -> Result<Verification, Problem> {
        let references: Vec<String> = references.iter().map(|reference| (*reference).to_owned()).collect();
        let ear = Ear::default();
        self.memory.run(verbs::verify(&self.memory, &caller(), &references, remove, &ear))
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) {
        self.memory.import([(digest.to_string(), Rc::from(bytes))].into());
    }
}

fn flaw(blob: &Digest, harm: Harm, why: &str, images: &[&str]) -> Flaw {
    let images = images.iter().map(|image| (*image).to_owned()).collect();
    Flaw { blob: blob.clone(), why: why.to_owned(), images, harm }
}

#[test]
fn a_whole_store_is_hashed_once_and_nobody_is_asked() {
    let (world, _, _) = world();
    let stray = wharf_sim::memory::content::digest_of(b"stray");
    world.put(&stray, b"stray");
    world.requests();
    world.memory.calls();
    let found = world.verify(&[], false).unwrap();
    let disk = world.memory.snapshot().disk;
    // Two manifests, two configs, two layers, and the blob of no image.
    assert_eq!((found.blobs, found.flaws.as_slice(), found.damaged.as_slice()), (7, &[][..], &[][..]));
    assert_eq!(found.bytes, disk.blobs.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert_eq!(world.memory.calls()["content.blob.verify"], 7, "each blob once");
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn what_is_damaged_or_missing_is_told_with_the_images_that_need_it() {
    let (world, base, app) = world();
    let (shared, own) = (&app.layers[0], &app.layers[1]);
    assert_eq!(shared, &base.layers[0]);
    world.put(shared, b"other bytes");
    world.memory.content().remove(own).unwrap();
    let actual = wharf_sim::memory::content::digest_of(b"other bytes");
    let mut expected = vec![
        flaw(shared, Harm::Damaged, &format!("its bytes hash to `{actual}`"), &[APP, BASE]),
        flaw(own, Harm::Missing, "it is not here", &[APP]),
    ];
    expected.sort_by(|one, other| one.blob.cmp(&other.blob));
    assert_eq!(world.verify(&[], false).unwrap().flaws, expected);
    assert!(world.has(shared), "nothing is removed without being asked for");

    let only_base = world.verify(&["base:1"], false).unwrap();
    assert_eq!((only_base.blobs, only_base.flaws.len()), (3, 1));
    assert_eq!(only_base.flaws[0].images, [BASE], "who else needs it was not asked");
}

#[test]
fn a_manifest_that_is_damaged_hides_nothing_else() {
    let (world, _, app) = world();
    world.put(&app.manifest, b"{}");
    let found = world.verify(&["app:1"], false).unwrap();
    let blobs: Vec<_> = found.flaws.iter().map(|flaw| &flaw.blob).collect();
    assert_eq!(blobs, [&app.manifest]);
    assert_eq!(found.blobs, 2, "the manifest and the config: which layers there are, nobody knows");
}

#[test]
fn what_is_damaged_goes_if_that_is_asked_for_and_a_pull_brings_it_again() {
    let (world, _, app) = world();
    let own = &app.layers[1];
    let whole = world.memory.snapshot().disk.blobs[own.as_str()].clone();
    let mut bytes = whole.to_vec();
    bytes[9] ^= 1;
    world.put(own, &bytes);
    let held = world.memory.run(world.memory.open(own)).unwrap();
    let kept = world.verify(&[], true).unwrap().flaws.remove(0);
    assert!(kept.harm == Harm::Damaged && kept.why.ends_with("it is in use and stays"), "{kept:?}");
    drop(held);
    let gone = world.verify(&[], true).unwrap().flaws.remove(0);
    assert!(gone.harm == Harm::Removed && !world.has(own), "{gone:?}");
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.verify(&[], false).unwrap().flaws, []);
    assert_eq!(world.memory.snapshot().disk.blobs[own.as_str()], whole);
}

/// Runs of the simulator found it: between the look at a damaged blob and its
/// removal a pull had brought the right one, and that was removed.
#[test]
fn what_somebody_has_made_good_meanwhile_stays() {
    let (world, _, app) = world();
    let own = app.layers[1].clone();
    let whole = world.memory.snapshot().disk.blobs[own.as_str()].clone();
    world.put(&own, b"other bytes");
    let healed = (own.clone(), whole.clone());
    world.memory.interfere(Call::Ingest, move |memory| {
        memory.import([(healed.0.to_string(), healed.1)].into());
        Ok(())
    });
    world.verify(&[], true).unwrap();
    assert_eq!(world.memory.snapshot().disk.blobs.get(own.as_str()), Some(&whole));
}

/// The size in a manifest is a claim of whoever wrote it.
#[test]
fn a_blob_that_only_a_manifest_has_wrong_is_told_and_stays() {
    let (world, _, app) = world();
    let record = world.record(APP).unwrap();
    let mut other = record.clone();
    other.target.size += 1;
    world.memory.write_row("default", &format!("image/{APP}"), &other.encode().unwrap());
    let found = world.verify(&["app:1"], true).unwrap();
    let size = record.target.size;
    let why = format!("it has {size} bytes, and a manifest says {}", size + 1);
    assert_eq!(found.flaws, [flaw(&app.manifest, Harm::Disputed, &why, &[APP])]);
    assert!(world.has(&app.manifest));
}

#[test]
fn a_name_that_is_not_here_and_a_damaged_record_are_told() {
    let (world, _, _) = world();
    let problem = world.verify(&["none:1"], false).unwrap_err();
    assert_eq!((problem.code, &*problem.what), (ErrorCode::NotFound, "cannot verify `none:1`"));
    world.memory.write_row("default", "image/docker.io/library/odd:1", b"no record");
    let found = world.verify(&[], false).unwrap();
    assert!(matches!(&found.damaged[..], [one] if one.contains("docker.io/library/odd:1")), "{found:?}");
    assert_eq!(world.verify(&["app:1"], false).unwrap().damaged, [""; 0]);
}
