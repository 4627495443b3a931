//! `import`: archives of files become images of one layer. What extraction refuses, and real
//! compression, are in `tests/stories`.

use super::{Ear, Recipe, World, caller, layer, options};
use serde_json::{Value, json};
use wharf_component::{
    host::Host,
    nouns::{
        digest::Digest,
        media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD},
        problem::{ErrorCode, Problem},
        record::Action,
    },
    verbs::{
        self,
        contract::{Access, Event, ImportOptions, Imported},
    },
};
use wharf_sim::memory::content::digest_of;

impl World {
    fn import(&self, archive: &[u8], options: &ImportOptions) -> Result<Imported, Problem> {
        self.import_to(archive, options, &Ear::default())
    }

    fn import_to(&self, archive: &[u8], options: &ImportOptions, ear: &Ear) -> Result<Imported, Problem> {
        let stream = self.memory.stream(archive.to_vec());
        self.memory.run(verbs::import(&self.memory, &caller(), stream, options, ear))
    }

    pub(super) fn document(&self, digest: &Digest) -> Value {
        serde_json::from_slice(&self.memory.snapshot().disk.blobs[digest.as_str()]).unwrap()
    }

    /// That nothing is here: no blob, no ingest, no tree and no record.
    fn is_untouched(&self) -> bool {
        let snapshot = self.memory.snapshot();
        let trees = self.memory.run(async {
            let layers = Host::layers(&self.memory, None, 10).await.unwrap().len();
            layers + Host::snapshots(&self.memory, None, 10).await.unwrap().len()
        });
        snapshot.disk.blobs.is_empty() && snapshot.disk.ingests.is_empty() && snapshot.rows.is_empty() && trees == 0
    }
}

fn named(name: &str) -> ImportOptions {
    ImportOptions { name: Some(name.to_owned()), ..ImportOptions::default() }
}

fn changed(changes: &[&str]) -> ImportOptions {
    ImportOptions { changes: changes.iter().map(|&change| change.to_owned()).collect(), ..named("app:1") }
}

#[test]
fn an_archive_becomes_an_image_of_one_layer() {
    let world = World::new();
    let archive = layer("root");
    let imported = world.import(&archive, &named("app:1")).unwrap();
    let diff_id = digest_of(&archive);
    let Imported { name, target, id, layer, platform, moved, notes, .. } = &imported;
    assert_eq!((name.as_str(), platform.as_str()), ("docker.io/library/app:1", "linux/amd64"));
    assert_eq!((&layer.digest, layer.media_type.as_str(), &imported.diff_id), (&diff_id, OCI_LAYER, &diff_id));
    assert_eq!((moved, notes.len()), (&None, 0));
    let config = world.document(id);
    let created = config["created"].clone();
    assert!(created.is_string());
    let expected = json!({
        "architecture": "amd64", "os": "linux", "config": {}, "created": created,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": "Imported from -"}],
    });
    assert_eq!(config, expected);
    let manifest = world.document(&target.digest);
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!((&manifest["layers"][0]["digest"], &manifest["config"]["digest"]), (&json!(diff_id), &json!(id)));
    let record = world.record(name).unwrap();
    assert_eq!((&record.target.digest, record.platforms[0].layers), (&target.digest, 1));
    assert!(world.memory.run(Host::snapshot(&world.memory, &diff_id)).is_ok(), "it is extracted");
    let shown = world.memory.run(verbs::inspect(&world.memory, &caller(), "app:1", None, false, false)).unwrap();
    assert!(shown.contains("\"Comment\": \"Imported from -\"") || shown.contains("\"Comment\":\"Imported from -\""));
}

#[test]
fn a_layer_stays_compressed_as_it_came() {
    for (magic, expected) in [(&b"\x1f\x8b"[..], OCI_LAYER_GZIP), (b"\x28\xb5\x2f\xfd", OCI_LAYER_ZSTD)] {
        let world = World::new();
        let archive = [magic, &layer("root")].concat();
        let imported = world.import(&archive, &named("app:1")).unwrap();
        assert_eq!((imported.layer.media_type.as_str(), imported.layer.digest), (expected, digest_of(&archive)));
    }
    // What a layer may not be compressed with becomes another blob, and the first one goes.
    let world = World::new();
    let archive = [&b"BZh91AY&SY"[..], &layer("root")].concat();
    let imported = world.import(&archive, &named("app:1")).unwrap();
    assert_eq!((imported.layer.media_type.as_str(), &imported.layer.digest), (OCI_LAYER, &imported.diff_id));
    assert_eq!(world.memory.snapshot().disk.blobs.len(), 3, "manifest, config and layer");
}

#[test]
fn the_config_is_what_the_changes_say() {
    let world = World::new();
    let options = ImportOptions {
        message: Some("by hand".to_owned()),
        platform: Some("linux/arm64/v8".to_owned()),
        ..changed(&["ENV A=b PATH=/bin\nENV C=$A", "CMD [\"/bin/sh\"]", "EXPOSE 80"])
    };
    let imported = world.import(&layer("root"), &options).unwrap();
    let config = world.document(&imported.id);
    let expected = json!({"Env": ["A=b", "PATH=/bin", "C=b"], "Cmd": ["/bin/sh"], "ExposedPorts": {"80/tcp": {}}});
    assert_eq!((&config["config"], &config["history"][0]["comment"]), (&expected, &json!("by hand")));
    assert_eq!((&config["architecture"], imported.platform.as_str()), (&json!("arm64"), "linux/arm64/v8"));
}

#[test]
fn the_same_archive_of_one_time_is_the_same_image_everywhere() {
    let import = |created: &str| {
        let world = World::new();
        world.import(&layer("root"), &ImportOptions { created: Some(created.to_owned()), ..named("app:1") })
    };
    let (one, other) = (import("2024-05-01").unwrap(), import("1714521600").unwrap());
    assert_eq!((one.target, one.id), (other.target, other.id));
    for created in ["yesterday", "", "99999999999999999"] {
        assert_eq!(import(created).unwrap_err().code, ErrorCode::Invalid, "{created}");
    }
}

#[test]
fn a_name_that_moves_is_told_and_what_has_no_name_gets_one() {
    let world = World::new();
    let old = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let imported = world.import(&layer("root"), &named("app:1")).unwrap();
    assert_eq!(imported.moved, Some(old.manifest.clone()));
    assert_eq!(imported.notes.len(), 1, "{:?}", imported.notes);
    assert!(world.has(&old.manifest));
    let nameless = world.import(&layer("other"), &ImportOptions::default()).unwrap();
    assert_eq!(nameless.name, format!("localhost/imported@{}", nameless.target.digest));
    assert!(world.record(&nameless.name).is_some());
    let (told, caller) = (Ear::default(), caller());
    let watching = verbs::watch::watch(&world.memory, &caller, Some("1h"), Some("0s"), &[], &told);
    world.memory.run(watching).unwrap();
    let is_import = |event: &Event| matches!(event, Event::Happened(happening) if happening.action == Action::Import);
    assert_eq!(told.heard.borrow().iter().filter(|event| is_import(event)).count(), 2);
}

#[test]
fn what_is_not_understood_is_refused_before_anything_is_read() {
    let rows = [
        (changed(&["RUN make"]), ErrorCode::Invalid),
        (changed(&["ENV"]), ErrorCode::Invalid),
        (named("a/../b"), ErrorCode::Invalid),
        (named(&format!("app@{}", digest_of(b"x"))), ErrorCode::Invalid),
        (ImportOptions { platform: Some("windows/amd64".to_owned()), ..named("app:1") }, ErrorCode::Unsupported),
        (ImportOptions { platform: Some("!".to_owned()), ..named("app:1") }, ErrorCode::Invalid),
        (ImportOptions { message: Some("a".repeat(100_000)), ..named("app:1") }, ErrorCode::Invalid),
        (changed(&["USER a"; 1_001]), ErrorCode::Invalid),
    ];
    for (options, expected) in rows {
        let world = World::new();
        let problem = world.import(&layer("root"), &options).unwrap_err();
        assert_eq!((&problem.code, problem.what.as_str()), (&expected, "cannot import the archive"), "{problem:?}");
        assert!(world.is_untouched(), "{options:?}");
    }
    let world = World::new();
    let problem = world.import(b"", &named("app:1")).unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::Invalid, vec!["it is empty".to_owned()]));
    assert!(world.is_untouched());
}

#[test]
fn whoever_stops_it_has_nothing_left() {
    let world = World::new();
    let ear = Ear { leave: Some(|event| matches!(event, Event::Progress(_))), ..Ear::default() };
    let problem = world.import_to(&layer("root"), &named("app:1"), &ear).unwrap_err();
    assert_eq!((problem.code, world.is_untouched()), (ErrorCode::Cancelled, true));
}

#[test]
fn an_archive_comes_from_an_address() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let url = format!("https://registry-1.docker.io/v2/library/app/blobs/{}?key=secret", built.layers[0]);
    let ear = Ear::default();
    let from = |url: &str, ear: &Ear| {
        let (caller, options) = (caller(), named("mine:1"));
        world.memory.run(verbs::import_from(&world.memory, &caller, url, &options, &Access::default(), ear))
    };
    let imported = from(&url, &ear).unwrap();
    assert_eq!(imported.layer.digest, built.layers[0]);
    let shown = url.split('?').next().unwrap();
    let comment = world.document(&imported.id)["history"][0]["comment"].clone();
    assert_eq!(comment, json!(format!("Imported from {shown}")));
    assert!(!ear.phases(&digest_of(shown.as_bytes())).is_empty(), "progress is told under the address");
    let problem = from("https://registry-1.docker.io/nothing", &Ear::default()).unwrap_err();
    assert_eq!(problem.what, "cannot import `https://registry-1.docker.io/nothing`");
    let problem = from("ftp://registry-1.docker.io/nothing", &Ear::default()).unwrap_err();
    assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::Invalid, "cannot import from there"));
    assert_eq!(world.record("docker.io/library/mine:1").unwrap().target.digest, imported.target.digest);
}
