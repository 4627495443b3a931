//! `push --compress`: other layers, manifests and digests there, the same DiffIDs, and nothing of it here. Real
//! compression is in `tests/stories/pushes.rs`.

use super::{Ear, Recipe, World, caller, everything, options};
use serde_json::Value;
use wharf_component::{
    host::Host,
    nouns::{
        digest::Digest,
        media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST},
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Event, PushOptions, Pushed},
    },
};
use wharf_sim::memory::{Snapshot, content::digest_of, uploads::Dock};

fn compressing(how: &str, force_compress: bool) -> PushOptions {
    PushOptions { compress: Some(how.to_owned()), force_compress, concurrent_uploads: 3, ..PushOptions::default() }
}

/// A world with an image of this recipe, called `dock.test/app:1`, and a registry that takes it.
fn world(recipe: Recipe<'_>) -> (World, Dock) {
    let world = World::new();
    world.image("library/app", Some("1"), recipe);
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let dock = Dock::start(&world.memory, "dock.test");
    (world, dock)
}

impl World {
    fn compress(&self, reference: &str, options: &PushOptions) -> Result<Pushed, Problem> {
        self.compress_to(reference, options, &Ear::default())
    }

    fn compress_to(&self, reference: &str, options: &PushOptions, ear: &Ear) -> Result<Pushed, Problem> {
        let before = self.memory.snapshot();
        let pushed = self.memory.run(verbs::push(&self.memory, &caller(), reference, options, ear));
        let after = self.memory.snapshot();
        assert_eq!(before.disk.blobs.keys().collect::<Vec<_>>(), after.disk.blobs.keys().collect::<Vec<_>>());
        assert_eq!(after.disk.ingests.len(), 0);
        let images = |rows: Snapshot| rows.rows.into_iter().filter(|((_, key), _)| key.starts_with("image/"));
        assert!(images(before).eq(images(after)), "what is here stays as it is");
        pushed.map(|mut pushed| pushed.remove(0))
    }

    /// What somebody else finds there: the documents, by the digests of all blobs.
    fn elsewhere(self, reference: &str) -> World {
        let other = World { memory: self.memory.with_disk(Snapshot::default()), ..self };
        other.pull(reference, &super::PullOptions { unpack: true, ..everything() }).unwrap();
        other
    }

    fn parsed(&self, digest: &Digest) -> Value {
        serde_json::from_slice(&self.memory.snapshot().disk.blobs[digest.as_str()]).unwrap()
    }
}

#[test]
fn layers_are_compressed_on_the_way_and_stay_what_they_are() {
    let (world, dock) = world(Recipe { layers: &["gzip|base", "gzip|top"], ..Recipe::default() });
    let here = world.record("dock.test/app:1").unwrap();
    let ear = Ear::default();
    let pushed = world.compress_to("dock.test/app:1", &compressing("zstd:7", false), &ear).unwrap();
    assert_eq!((pushed.reduced_from.as_ref(), dock.flaws()), (Some(&here.target.digest), vec![]));
    assert_eq!(dock.tags()["app:1"], pushed.target.digest);
    assert!(pushed.notes[0].contains("2 of its layers are compressed by zstd:7 there"), "{:?}", pushed.notes);
    assert_eq!(ear.notes().iter().filter(|note| note.starts_with("compressing ")).count(), 2, "{:?}", ear.notes());

    let other = world.elsewhere("dock.test/app:1");
    let there = other.record("dock.test/app:1").unwrap();
    assert_eq!(there.platforms[0].config, here.platforms[0].config, "it is the same image");
    let manifest = other.parsed(&there.target.digest);
    for (at, text) in ["base", "top"].into_iter().enumerate() {
        let plain = super::layer(text);
        let packed = [b"zstd:7|", &plain[..]].concat();
        let layer = &manifest["layers"][at];
        assert_eq!(layer["digest"], digest_of(&packed).to_string());
        assert_eq!((&layer["mediaType"], &layer["size"]), (&OCI_LAYER_ZSTD.into(), &packed.len().into()));
        assert_eq!(layer["annotations"]["containerd.io/uncompressed"], digest_of(&plain).to_string());
    }
    assert_eq!((&manifest["mediaType"], &manifest["config"]["mediaType"]), (&OCI_MANIFEST.into(), &OCI_CONFIG.into()));
}

#[test]
fn an_index_follows_its_manifests() {
    let world = World::new();
    let amd64 = world.image("library/app", None, Recipe { layers: &["gzip|amd64"], ..Recipe::default() });
    let arm64 = Recipe { platform: "linux/arm64/v8", layers: &["gzip|arm64"], ..Recipe::default() };
    let arm64 = world.image("library/app", None, arm64);
    let proof = Recipe { platform: "unknown/unknown", layers: &[], ..Recipe::default() };
    let proof = world.image("library/app", None, proof);
    let about = format!(
        r#"{},"annotations":{{"vnd.docker.reference.digest":"{}"}}}}"#,
        &proof.entry[..proof.entry.len() - 1],
        amd64.manifest
    );
    world.index("library/app", Some("1"), &[&amd64.entry, &arm64.entry, &about]);
    world.pull("app:1", &everything()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let dock = Dock::start(&world.memory, "dock.test");
    let pushed = world.compress("dock.test/app:1", &compressing("zstd", false)).unwrap();
    assert_eq!((dock.tags()["app:1"].clone(), dock.flaws()), (pushed.target.digest.clone(), vec![]));

    let other = world.elsewhere("dock.test/app:1");
    let index = other.parsed(&pushed.target.digest);
    assert_eq!(index["mediaType"], OCI_INDEX);
    let entry = |at: usize| index["manifests"][at]["digest"].as_str().unwrap().to_owned();
    assert_eq!(entry(2), proof.manifest.to_string(), "it has no layer");
    assert_eq!(index["manifests"][2]["annotations"]["vnd.docker.reference.digest"], entry(0));
    for (at, (built, config)) in [(&amd64, &amd64.config), (&arm64, &arm64.config)].into_iter().enumerate() {
        assert_ne!(entry(at), built.manifest.to_string());
        let manifest = other.parsed(&entry(at).parse().unwrap());
        assert_eq!((&manifest["config"]["digest"], other.has(config)), (&config.to_string().into(), true));
        assert_eq!(index["manifests"][at]["platform"]["os"], "linux", "an entry keeps everything else");
    }
}

#[test]
fn what_is_compressed_like_that_is_compressed_again_only_by_force() {
    let (world, dock) = world(Recipe { layers: &["gzip:9|base"], ..Recipe::default() });
    let digest = world.record("dock.test/app:1").unwrap().target.digest;
    let ear = Ear::default();
    let pushed = world.compress_to("dock.test/app:1", &compressing("gzip:1", false), &ear).unwrap();
    assert_eq!((&pushed.target.digest, pushed.reduced_from.as_ref()), (&digest, None));
    assert!(ear.notes().iter().any(|note| note.contains("`--force-compress` does it anew")), "{:?}", ear.notes());
    let forced = world.compress("dock.test/app:1", &compressing("gzip:1", true)).unwrap();
    assert_eq!((forced.reduced_from, dock.flaws().len()), (Some(digest), 0));
    let layer = digest_of(&[b"gzip:1|", &super::layer("base")[..]].concat());
    assert!(forced.parts.iter().any(|part| part.part.digest == layer && part.part.media_type == OCI_LAYER_GZIP));
}

#[test]
fn what_cannot_be_compressed_is_refused_before_anything_is_sent() {
    let (world, dock) = world(Recipe { layers: &["gzip|base"], ..Recipe::default() });
    let cases = [
        (compressing("xz", false), "`xz` is no compression"),
        (compressing("zstd:20", false), "`20` is no level of zstd"),
        (PushOptions { compress: None, ..compressing("", true) }, "nobody says how"),
    ];
    for (options, expected) in cases {
        let problem = world.compress("dock.test/app:1", &options).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Invalid);
        assert!(problem.why[0].contains(expected), "{problem:?}");
    }
    let digest = world.record("dock.test/app:1").unwrap().target.digest;
    let name = format!("dock.test/app@{digest}");
    world.tag("app:1", &["dock.test/app:2"]).unwrap();
    let problem = world.compress(&name, &compressing("zstd", false)).unwrap_err();
    assert!(problem.why[0].contains("another digest than its name says"), "{problem:?}");

    // The config lies about what the layer is.
    let lying = World::new();
    lying.image("library/lie", Some("1"), Recipe { layers: &["odd|base"], diff_ids: Some(1), ..Recipe::default() });
    lying.pull("lie:1", &options()).unwrap();
    lying.tag("lie:1", &["dock.test/lie:1"]).unwrap();
    let other = Dock::start(&lying.memory, "dock.test");
    let blob = lying.record("docker.io/library/lie:1").unwrap().platforms[0].manifest.digest.clone();
    let manifest = lying.parsed(&blob);
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    lying.memory.content().harm(layer, &super::layer("odd|lies"));
    let problem = lying.compress("dock.test/lie:1", &compressing("zstd", false)).unwrap_err();
    assert!(matches!(problem.code, ErrorCode::DigestMismatch(_)), "{problem:?}");
    assert_eq!((dock.tags().len(), other.tags().len()), (0, 0));
}

#[test]
fn whoever_stops_it_has_nothing_left() {
    let (world, dock) = world(Recipe { layers: &["gzip|base", "gzip|top"], ..Recipe::default() });
    let leave: fn(&Event) -> bool = |event| matches!(event, Event::Note(text) if text.starts_with("compressed "));
    let ear = Ear { leave: Some(leave), ..Ear::default() };
    let problem = world.compress_to("dock.test/app:1", &compressing("zstd", false), &ear).unwrap_err();
    assert_eq!((problem.code, dock.tags().len()), (ErrorCode::Cancelled, 0));
    let layers = world.memory.run(Host::layers(&world.memory, None, 10)).unwrap();
    assert!(layers.is_empty());
}
