//! `commit`: what was written to a snapshot becomes one more layer. What a tree has in it is text here.

use super::{Built, Ear, Recipe, World, caller, chain, options, unpacking};
use serde_json::{Value, json};
use wharf_component::{
    nouns::{
        chain::chain_ids,
        digest::Digest,
        media_type::OCI_LAYER_GZIP,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{CommitOptions, Imported},
        records::snapshots,
    },
};
use wharf_sim::memory::content::digest_of;

const BASE: &str = "containerd.io/gc.ref.content.base";
const ROOT: &str = "containerd.io/gc.root";

impl World {
    /// Makes a snapshot, and writes a text to it.
    fn written(&self, parent: Option<&Digest>, labels: &[(&str, &str)], text: &str) {
        let labels: Vec<_> = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let (caller, parent) = (caller(), parent.map(Digest::as_str));
        let prepare = snapshots::prepare(&self.memory, &caller, "work", parent, true, &labels, None);
        self.memory.run(prepare).unwrap();
        let tree = self.memory.run(snapshots::stat(&self.memory, &caller, "work")).unwrap().tree;
        self.memory.layers().write_top(tree.as_str(), text);
    }

    fn commit(&self, key: &str, options: &CommitOptions) -> Result<Imported, Problem> {
        self.memory.run(verbs::commit(&self.memory, &caller(), key, options, &Ear::default()))
    }

    fn blobs(&self) -> Vec<String> {
        self.memory.snapshot().disk.blobs.into_keys().collect()
    }
}

/// A machine with an image that is extracted, and its uppermost ChainID.
fn with_app() -> (World, Built, Digest) {
    let world = World::new();
    let recipe = Recipe {
        labels: r#"{"of":"app"}"#,
        history: r#"[{"created_by":"a"},{"created_by":"b"}]"#,
        ..Recipe::default()
    };
    let app = world.image("library/app", Some("1"), recipe);
    world.pull("app:1", &unpacking()).unwrap();
    let top = chain(&["base", "top"]).1.pop().unwrap();
    (world, app, top)
}

fn named(name: &str) -> CommitOptions {
    CommitOptions { name: Some(name.to_owned()), ..CommitOptions::default() }
}

#[test]
fn what_was_written_is_one_more_layer_of_the_image_below() {
    let (world, app, top) = with_app();
    world.written(Some(&top), &[(BASE, app.manifest.as_str()), (ROOT, "yes")], "hello");
    let options = CommitOptions {
        changes: vec!["CMD hello".to_owned(), "LABEL more=1".to_owned()],
        message: Some("a word".to_owned()),
        author: Some("Ada".to_owned()),
        created: Some("2024-05-01".to_owned()),
        ..named("made:1")
    };
    let made = world.commit("work", &options).unwrap();
    assert_eq!((made.name.as_str(), made.platform.as_str()), ("docker.io/library/made:1", "linux/amd64"));
    assert_eq!((&made.diff_id, made.layer.media_type.as_str()), (&digest_of(b"hello"), OCI_LAYER_GZIP));
    let (old, new) = (world.document(&app.config), world.document(&made.id));
    assert_eq!((&new["created"], &new["author"]), (&json!("2024-05-01T00:00:00Z"), &json!("Ada")));
    assert_eq!(new["config"]["Cmd"], json!(["/bin/sh", "-c", "hello"]));
    assert_eq!(new["config"]["Labels"], json!({"of": "app", "more": "1"}));
    let step = json!({"created": "2024-05-01T00:00:00Z", "author": "Ada", "comment": "a word"});
    let with = |list: &Value, one: Value| [list.as_array().unwrap().as_slice(), &[one]].concat();
    assert_eq!(new["history"], json!(with(&old["history"], step)));
    assert_eq!(new["rootfs"]["diff_ids"], json!(with(&old["rootfs"]["diff_ids"], json!(made.diff_id))));
    let (below, above) = (world.document(&app.manifest), world.document(&made.target.digest));
    assert_eq!(above["layers"], json!(with(&below["layers"], json!(made.layer))));

    // It is extracted, and the snapshot is as it was.
    let diff_ids = [chain(&["base", "top"]).0, vec![made.diff_id.clone()]].concat();
    let tree = chain_ids(&diff_ids).pop().unwrap();
    assert!(world.memory.layers().visible().snapshots.contains_key(&tree));
    assert_eq!(world.commit("work", &options).unwrap().id, made.id, "the same makes the same");
    let tree = world.memory.run(snapshots::stat(&world.memory, &caller(), "work")).unwrap().tree;
    world.memory.layers().write_top(tree.as_str(), " again");
    assert_eq!(world.commit("work", &named("made:2")).unwrap().diff_id, digest_of(b"hello again"));
}

#[test]
fn what_a_config_says_that_wharf_does_not_know_stays() {
    let (world, app, top) = with_app();
    let mut config = world.document(&app.config);
    config["org.example.more"] = json!({"a": 1});
    config["config"]["Unknown"] = json!(true);
    config["container"] = json!("old");
    let bytes = serde_json::to_vec(&config).unwrap();
    let mut manifest = world.document(&app.manifest);
    manifest["config"]["digest"] = json!(digest_of(&bytes));
    manifest["config"]["size"] = json!(bytes.len());
    let document = serde_json::to_vec(&manifest).unwrap();
    let base = digest_of(&document);
    let blobs = [(digest_of(&bytes), bytes), (base.clone(), document)];
    world.memory.import(blobs.into_iter().map(|(digest, bytes)| (digest.to_string(), bytes.into())).collect());
    world.written(Some(&top), &[(BASE, base.as_str())], "hello");
    let made = world.document(&world.commit("work", &named("made:1")).unwrap().id);
    assert_eq!((&made["org.example.more"], &made["config"]["Unknown"]), (&json!({"a": 1}), &json!(true)));
    assert_eq!(made.get("container"), None, "that one is not of this image");
}

#[test]
fn an_image_of_the_namespace_is_found_by_its_layers() {
    let (world, _, top) = with_app();
    world.written(Some(&top), &[], "hello");
    let made = world.commit("work", &named("made:1")).unwrap();
    assert_eq!(world.document(&made.id)["config"]["Labels"], json!({"of": "app"}));
}

#[test]
fn what_stands_on_nothing_is_an_image_of_one_layer() {
    let world = World::new();
    world.written(None, &[], "alone");
    let made = world.commit("work", &CommitOptions::default()).unwrap();
    assert_eq!(made.name, format!("localhost/committed@{}", made.target.digest));
    let config = world.document(&made.id);
    assert_eq!((&config["architecture"], &config["os"]), (&json!("amd64"), &json!("linux")));
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest_of(b"alone")]));
}

#[test]
fn what_cannot_be_committed_leaves_nothing() {
    let (world, app, top) = with_app();
    let other = world.image("library/other", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    world.pull("other:1", &options()).unwrap();
    world.written(Some(&top), &[(BASE, other.manifest.as_str())], "hello");
    let (caller, none) = (caller(), Vec::new());
    let view = snapshots::prepare(&world.memory, &caller, "look", Some(top.as_str()), false, &none, None);
    world.memory.run(view).unwrap();
    let before = world.blobs();
    let code = |key: &str, options: CommitOptions| world.commit(key, &options).unwrap_err().code;
    assert_eq!(code("nobody", named("made:1")), ErrorCode::NotFound);
    assert_eq!(code("look", named("made:1")), ErrorCode::Invalid);
    assert_eq!(code("work", named("made@x")), ErrorCode::Invalid);
    let changes = |change: &str| CommitOptions { changes: vec![change.to_owned()], ..named("made:1") };
    assert_eq!(code("work", changes("FROM x")), ErrorCode::Invalid);
    assert_eq!(code("work", CommitOptions { created: Some("soon".to_owned()), ..named("made:1") }), ErrorCode::Invalid);
    assert_eq!(world.blobs(), before);
    // The image is another one's, and then nobody knows it any more.
    assert_eq!(
        world.document(&world.commit("work", &named("made:1")).unwrap().id)["config"]["Labels"],
        json!({"of": "app"})
    );
    for name in ["docker.io/library/app:1", "docker.io/library/made:1"] {
        world.memory.remove_row("default", &format!("image/{name}"));
    }
    let problem = world.commit("work", &named("made:2")).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid, "{:?}", problem.why);
    assert!(world.has(&app.manifest) && world.record("docker.io/library/made:2").is_none());
}
