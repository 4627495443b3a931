//! `load`: archives become images, those of wharf, of other programs and hostile ones. What
//! real tools write is in `tests/stories`.

use super::{Ear, Recipe, World, caller, layer, options};
use serde_json::{Value, json};
use wharf_component::{
    host::{Blob, Host},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Form, LoadOptions, Loaded, LoadedImage, SaveOptions},
        save::Piece,
    },
};
use wharf_sim::memory::content::digest_of;

fn file(path: &str, bytes: &[u8]) -> Vec<u8> {
    entry(tar::EntryType::Regular, path, "", bytes)
}

fn link(path: &str, target: &str) -> Vec<u8> {
    entry(tar::EntryType::Symlink, path, target, b"")
}

/// One entry, also with paths that no writer would write.
fn entry(kind: tar::EntryType, path: &str, target: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let all = header.as_mut_bytes();
    all[..path.len()].copy_from_slice(path.as_bytes());
    all[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let padding = bytes.len().next_multiple_of(512) - bytes.len();
    [header.as_bytes(), bytes, &vec![0; padding]].concat()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    file(&format!("blobs/sha256/{}", digest_of(bytes).encoded()), bytes)
}

fn bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).unwrap()
}

fn options_of(names: &[&str]) -> LoadOptions {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    LoadOptions { names, platforms: Vec::new(), unpack: true, retention: None }
}

/// A config of these layers.
fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest_of(layer)).collect();
    bytes(&json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}))
}

/// What docker wrote before version 25.
fn docker(layers: &[&[u8]], tags: Value) -> Vec<Vec<u8>> {
    let config = config(layers);
    let name = format!("{}.json", digest_of(&config).encoded());
    let paths: Vec<String> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let mut entries: Vec<Vec<u8>> = paths.iter().zip(layers).map(|(path, bytes)| file(path, bytes)).collect();
    entries.push(file("0/VERSION", b"1.0"));
    entries.push(file(&name, &config));
    entries.push(file("manifest.json", &bytes(&json!([{"Config": name, "RepoTags": tags, "Layers": paths}]))));
    entries
}

impl World {
    fn load(&self, archive: Vec<u8>, options: &LoadOptions) -> Result<Loaded, Problem> {
        self.load_to(archive, options, &Ear::default())
    }

    fn load_to(&self, archive: Vec<u8>, options: &LoadOptions, ear: &Ear) -> Result<Loaded, Problem> {
        let stream = self.memory.stream(archive);
        self.memory.run(verbs::load(&self.memory, &caller(), stream, options, ear))
    }

    fn saved(&self, references: &[&str], form: Form) -> Vec<u8> {
        let references: Vec<String> = references.iter().map(|&text| text.to_owned()).collect();
        let options = SaveOptions { form, platforms: Vec::new(), complete: None };
        self.memory.run(async {
            let (_, pieces) = verbs::save(&self.memory, &caller(), &references, &options).await.unwrap();
            let mut bytes = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Bytes(some) => bytes.extend(some),
                    Piece::Blob(blob, size) => bytes.extend(blob.read(0, size).await.unwrap()),
                }
            }
            bytes
        })
    }

    /// That nothing is here: no blob, no ingest, no tree and no record.
    fn is_empty(&self) -> bool {
        let snapshot = self.memory.snapshot();
        let no_trees = self.memory.run(async {
            let (layers, snapshots) =
                (Host::layers(&self.memory, None, 10).await, Host::snapshots(&self.memory, None, 10).await);
            layers.unwrap().is_empty() && snapshots.unwrap().is_empty()
        });
        snapshot.disk.blobs.is_empty() && snapshot.disk.ingests.is_empty() && snapshot.rows.is_empty() && no_trees
    }
}

#[test]
fn what_was_saved_is_loaded_as_it_was() {
    for form in [Form::DockerArchive, Form::OciArchive] {
        let world = World::new();
        let one = world.image("library/one", Some("1"), Recipe::default());
        let (index, built) = world.alpine();
        world.pull("one:1", &options()).unwrap();
        world.pull("alpine:3.20", &super::everything()).unwrap();
        let saved = world.saved(&["one:1", "alpine:3.20"], form);
        let other = World::new();
        let loaded = other.load(saved.clone(), &options_of(&[])).unwrap();
        assert_eq!(loaded.notes, [""; 0]);
        let alpine = loaded.images.iter().find(|image| image.target.digest == index).unwrap();
        assert_eq!((&*alpine.names, &alpine.id), (&["docker.io/library/alpine:3.20".to_owned()][..], &built[0].config));
        for name in ["docker.io/library/one:1", "docker.io/library/alpine:3.20"] {
            let (here, there) = (other.record(name).unwrap(), world.record(name).unwrap());
            assert_eq!((here.target, here.size, here.platforms), (there.target, there.size, there.platforms), "{name}");
        }
        assert!(other.has(&one.layers[1]));
        assert_eq!(other.saved(&["one:1", "alpine:3.20"], form), saved);
        let (_, chain) = super::chain(&["amd64"]);
        assert!(other.memory.run(Host::snapshot(&other.memory, &chain[0])).is_ok(), "it is unpacked");
    }
}

#[test]
fn an_archive_of_an_older_docker_gets_the_same_manifest_everywhere() {
    let (base, top) = (layer("base"), layer("top"));
    let entries = docker(&[&base, &top], json!(["app:1", "registry.test/mine:2"]));
    let mut backwards = entries.clone();
    backwards.reverse();
    let mut targets = Vec::new();
    for entries in [entries, backwards] {
        let world = World::new();
        let loaded = world.load(archive(&entries), &options_of(&[])).unwrap();
        let [LoadedImage { names, target, id, platforms, moved }] = &*loaded.images else { panic!("{loaded:?}") };
        assert_eq!(*names, ["docker.io/library/app:1", "registry.test/mine:2"]);
        assert_eq!((id, &**platforms), (&digest_of(&config(&[&base, &top])), &["linux/amd64".to_owned()][..]));
        assert!(moved.is_empty() && world.has(&digest_of(&base)));
        assert_eq!(world.memory.snapshot().disk.blobs.len(), 4, "manifest, config and two layers");
        targets.push(target.clone());
    }
    assert_eq!(targets[0], targets[1]);
}

#[test]
fn layers_may_be_links_to_others() {
    let base = layer("base");
    let hex = digest_of(&base).encoded().to_owned();
    let config = config(&[&base, &base]);
    let document = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]);
    let entries = [
        link("1/layer.tar", "../0/layer.tar"),
        link("0/layer.tar", &format!("../{hex}.tar")),
        file(&format!("{hex}.tar"), &base),
        file("c.json", &config),
        file("manifest.json", &bytes(&document)),
    ];
    let world = World::new();
    world.load(archive(&entries), &options_of(&[])).unwrap();
    assert_eq!(world.record("docker.io/library/app:1").unwrap().platforms[0].layers, 2);
}

#[test]
fn chains_of_the_first_format_become_images() {
    let (base, top) = (layer("base"), layer("top"));
    let said = |id: &str, parent: Option<&str>| {
        let command = json!({"Cmd": ["/bin/sh", "-c", id]});
        bytes(&json!({"id": id, "parent": parent, "os": "linux", "architecture": "amd64",
            "created": "2014-01-02T03:04:05Z", "container_config": command, "config": {"Env": ["A=b"]}}))
    };
    let entries = [
        file("repositories", &bytes(&json!({"app": {"1": "aa"}}))),
        file("aa/json", &said("aa", Some("bb"))),
        file("aa/VERSION", b"1.0"),
        file("aa/layer.tar", &top),
        file("bb/json", &said("bb", None)),
        file("bb/layer.tar", &base),
    ];
    let world = World::new();
    let loaded = world.load(archive(&entries), &options_of(&[])).unwrap();
    let config = world.memory.snapshot().disk.blobs[loaded.images[0].id.as_str()].clone();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest_of(&base), digest_of(&top)]));
    assert_eq!(config["history"][1], json!({"created": "2014-01-02T03:04:05Z", "created_by": "/bin/sh -c aa"}));
    assert_eq!((config.get("id"), config.get("parent"), &config["config"]["Env"][0]), (None, None, &json!("A=b")));
    let endless = [
        file("repositories", &bytes(&json!({"app": {"1": "aa"}}))),
        file("aa/json", &said("aa", Some("aa"))),
        file("aa/layer.tar", &top),
    ];
    let world = World::new();
    let problem = world.load(archive(&endless), &options_of(&[])).unwrap_err();
    assert_eq!((problem.code, world.is_empty()), (ErrorCode::TooLarge(500), true));
}

#[test]
fn a_name_that_moves_is_told_and_no_other_name_moves() {
    let world = World::new();
    let old = world.image("library/app", Some("1"), Recipe::default());
    world.image("library/other", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.pull("other:1", &options()).unwrap();
    let other = world.record("docker.io/library/other:1");
    let loaded = world.load(archive(&docker(&[&layer("new")], json!(["app:1"]))), &options_of(&[])).unwrap();
    assert_eq!(loaded.images[0].moved, [("docker.io/library/app:1".to_owned(), old.manifest.clone())]);
    assert_eq!(
        loaded.notes,
        [format!("`app:1` pointed to `{}`; what no other name reaches of that stays until `wharf gc`", old.manifest)]
    );
    assert_eq!(world.record("docker.io/library/other:1"), other);
    assert!(world.has(&old.manifest));
    let again = world.load(archive(&docker(&[&layer("new")], json!(["app:1"]))), &options_of(&[])).unwrap();
    assert_eq!((again.images[0].moved.len(), again.notes.len()), (0, 0));
}

#[test]
fn tag_names_the_one_image_and_what_has_no_name_gets_one() {
    let world = World::new();
    let one = docker(&[&layer("one")], json!(["app:1"]));
    let loaded = world.load(archive(&one), &options_of(&["mine:2", "mine:3"])).unwrap();
    assert_eq!(loaded.images[0].names, ["docker.io/library/mine:2", "docker.io/library/mine:3"]);
    assert_eq!(world.record("docker.io/library/app:1"), None);
    let loaded = world.load(archive(&docker(&[&layer("two")], Value::Null)), &options_of(&[])).unwrap();
    assert_eq!(loaded.images[0].names, [format!("localhost/loaded@{}", loaded.images[0].target.digest)]);
    let problem = world.load(archive(&one), &options_of(&["a@sha256:1"])).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
}

/// The manifests of platforms that nobody has pulled are not in what `docker save` writes.
#[test]
fn what_an_index_lists_and_the_archive_has_not_is_told() {
    let base = layer("base");
    let config = config(&[&base]);
    let sized = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest_of(bytes), "size": bytes.len()});
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "config": sized("application/vnd.oci.image.config.v1+json", &config),
        "layers": [sized("application/vnd.oci.image.layer.v1.tar", &base)],
    }));
    let mut other = sized("application/vnd.oci.image.manifest.v1+json", b"nowhere");
    other["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let index = bytes(&json!({
        "schemaVersion": 2,
        "manifests": [sized("application/vnd.oci.image.manifest.v1+json", &manifest), other],
    }));
    let top = |target: Value| bytes(&json!({"schemaVersion": 2, "manifests": [target]}));
    let mut named = sized("application/vnd.oci.image.index.v1+json", &index);
    named["annotations"] = json!({"org.opencontainers.image.ref.name": "3.20"});
    let blobs = [blob(&index), blob(&manifest), blob(&config), blob(&base)];
    let (world, ear) = (World::new(), Ear::default());
    let entries = [&[file("index.json", &top(named))][..], &blobs].concat();
    let loaded = world.load_to(archive(&entries), &options_of(&["app:1"]), &ear).unwrap();
    assert_eq!(loaded.images[0].target.digest, digest_of(&index));
    let missing =
        format!("`{}`, for linux/arm64, is not whole in the archive, and is passed over", digest_of(b"nowhere"));
    assert_eq!(ear.notes(), std::slice::from_ref(&missing));
    let ear = Ear::default();
    let loaded = world.load_to(archive(&entries), &options_of(&[]), &ear).unwrap();
    assert_eq!(loaded.images[0].names, [format!("localhost/loaded@{}", digest_of(&index))]);
    let nameless = format!("`{}` has the tag `3.20` and no repository; `--tag` gives it a name", digest_of(&index));
    assert_eq!(ear.notes(), [missing, nameless]);
    // What is not in an archive may be here.
    let alone = file("index.json", &top(sized("application/vnd.oci.image.manifest.v1+json", &manifest)));
    assert!(world.load(archive(std::slice::from_ref(&alone)), &options_of(&["app:2"])).is_ok());
    let empty = World::new();
    let problem = empty.load(archive(&[alone]), &options_of(&["app:2"])).unwrap_err();
    assert_eq!((problem.code, empty.is_empty()), (ErrorCode::NotFound, true));
}

#[test]
fn of_an_archive_with_several_platforms_one_can_be_taken() {
    let world = World::new();
    let (index, built) = world.alpine();
    let one = world.image("library/one", Some("1"), Recipe::default());
    world.pull("alpine:3.20", &super::everything()).unwrap();
    world.pull("one:1", &options()).unwrap();
    let wanted = |platforms: &[&str]| {
        let platforms = platforms.iter().map(|&text| text.to_owned()).collect();
        LoadOptions { platforms, ..options_of(&[]) }
    };
    for form in [Form::DockerArchive, Form::OciArchive] {
        let saved = world.saved(&["alpine:3.20"], form);
        let (here, ear) = (World::new(), Ear::default());
        let loaded = here.load_to(saved.clone(), &wanted(&["linux/arm64"]), &ear).unwrap();
        let [image] = &loaded.images[..] else { panic!("{loaded:?}") };
        assert_eq!((&image.target.digest, &image.id), (&index, &built[1].config));
        assert_eq!((&image.platforms[..], ear.notes()), (&["linux/arm64/v8".to_owned()][..], Vec::new()));
        let record = here.record("docker.io/library/alpine:3.20").unwrap();
        assert_eq!(record.platforms.len(), 1);
        // Nothing of the others stays, and it is unpacked though another one runs here.
        assert!(here.has(&built[1].layers[0]) && !here.has(&built[0].layers[0]) && !here.has(&built[2].config));
        let (_, chain) = super::chain(&["arm64"]);
        assert!(here.memory.run(Host::snapshot(&here.memory, &chain[0])).is_ok());
        // What is here of the same image stays.
        let loaded = here.load(saved.clone(), &wanted(&["linux/amd64", "linux/amd64/v2"])).unwrap();
        assert_eq!(loaded.images[0].platforms, ["linux/amd64"]);
        assert_eq!(here.record("docker.io/library/alpine:3.20").unwrap().platforms.len(), 2);

        let here = World::new();
        let problem = here.load(saved, &wanted(&["linux/amd64", "linux/s390x"])).unwrap_err();
        let because = [
            "`alpine:3.20` has not every platform that is wanted",
            "no manifest matches linux/s390x",
            "the archive has linux/amd64, linux/arm64/v8",
        ];
        assert_eq!((problem.code, &problem.why[..]), (ErrorCode::NotFound, &because.map(str::to_owned)[..]));
        assert!(here.is_empty());
        let alone = world.saved(&["one:1"], form);
        let loaded = here.load(alone.clone(), &wanted(&["linux/amd64"])).unwrap();
        assert_eq!(loaded.images[0].id, one.config);
        assert_eq!(here.load(alone.clone(), &wanted(&["linux/arm64"])).unwrap_err().code, ErrorCode::NotFound);
        assert_eq!(here.load(alone, &wanted(&["nonsense/"])).unwrap_err().code, ErrorCode::Invalid);
    }
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let base = layer("base");
    let good = docker(&[&base], json!(["app:1"]));
    let with = |entry: Vec<u8>| archive(&[&[entry], &good[..]].concat());
    let without_end = |bytes: Vec<u8>, cut: usize| bytes[..bytes.len() - cut].to_vec();
    let manifest = |config: &str, layer: &str, tag: &str| {
        let document = json!([{"Config": config, "RepoTags": [tag], "Layers": [layer]}]);
        archive(&[file("c.json", &config_of(&base)), file("l.tar", &base), file("manifest.json", &bytes(&document))])
    };
    let mut damaged = archive(&good);
    damaged[0] ^= 1;
    let rows = [
        ("a path out of the archive", with(file("../x", b"x"))),
        ("an absolute path", with(file("/etc/passwd", b"x"))),
        ("a link out of the archive", with(link("a/layer.tar", "../../x"))),
        ("a link in place of a document", with(link("index.json", "x"))),
        ("a link in place of a blob", with(link(&format!("blobs/sha256/{}", digest_of(b"x").encoded()), "x"))),
        ("a device", with(entry(tar::EntryType::Char, "a", "", b""))),
        ("a file that is there twice", with(good[0].clone())),
        ("a document that is too large", with(file("index.json", &vec![b' '; (4 << 20) + 1]))),
        ("a blob with other bytes", with(file(&format!("blobs/sha256/{}", digest_of(b"x").encoded()), b"y"))),
        ("a blob that is called by no digest", with(file("blobs/sha256/../x", b"y"))),
        ("a blob that is called otherwise", with(file("blobs/md5/abc", b"y"))),
        ("a wrong checksum", damaged),
        ("an archive that was cut in a file", without_end(archive(&good), 1024 + 512 + 100)),
        ("an archive that was cut between files", good.concat()),
        ("a config that leads out", manifest("../c.json", "l.tar", "app:1")),
        ("a layer that leads out", manifest("c.json", "/etc/passwd", "app:1")),
        ("a layer that is no layer", manifest("c.json", "c.json", "app:1")),
        ("a name that is none", manifest("c.json", "l.tar", "../../etc:1")),
        ("a name with a digest", manifest("c.json", "l.tar", &format!("app@{}", digest_of(b"x")))),
        ("no archive", b"PK\x03\x04".repeat(300)),
        ("a compressed one", [&[0x1f, 0x8b][..], &[0; 600]].concat()),
        ("nothing", Vec::new()),
        ("an archive of something else", archive(&[file("README", b"hello")])),
    ];
    for (what, bytes) in rows {
        let world = World::new();
        let problem = world.load(bytes, &options_of(&[])).expect_err(what);
        assert!(!problem.why.is_empty() && problem.what == "cannot load the archive", "{what}: {problem:?}");
        assert!(world.is_empty(), "{what}: {:?}", world.memory.snapshot());
    }
    assert!(World::new().load(manifest("c.json", "./l.tar", "app:1"), &options_of(&[])).is_ok());
}

/// What a header says that follows is not waited for.
#[test]
fn an_archive_that_would_be_larger_than_any_image_is_refused_before_it_arrives() {
    let base = layer("base");
    let claiming = |name: &str, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let limit = 1 << 40;
    for (what, bytes, is_refused) in [
        ("one file", claiming("a", limit + 1), true),
        ("two files", [file("a", &base), claiming("b", limit - base.len() as u64 + 1)].concat(), true),
        (
            "all that there may be, cut off",
            [file("a", &base), claiming("b", limit - base.len() as u64)].concat(),
            false,
        ),
    ] {
        let world = World::new();
        let problem = world.load(bytes, &options_of(&[])).expect_err(what);
        assert_eq!(problem.code == ErrorCode::TooLarge(limit), is_refused, "{what}: {problem:?}");
        assert!(world.is_empty(), "{what}");
    }
}

fn config_of(layer: &[u8]) -> Vec<u8> {
    config(&[layer])
}

#[test]
fn whoever_stops_it_has_nothing_left() {
    let world = World::new();
    let ear = Ear { leave: Some(|event| matches!(event, verbs::contract::Event::Progress(_))), ..Ear::default() };
    let archive = archive(&docker(&[&layer("base"), &layer("top")], json!(["app:1"])));
    let problem = world.load_to(archive, &options_of(&[]), &ear).unwrap_err();
    assert_eq!((problem.code, world.is_empty()), (ErrorCode::Cancelled, true));
}
