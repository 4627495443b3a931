//! `save`: what is in an archive, byte for byte, and that nothing is written that is
//! not here. What other tools read of it is in `tests/stories`.

use super::{Recipe, World, caller, options, platforms};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, copy},
};
use wharf_component::{
    host::Blob,
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Access, Form, SaveOptions, Saved},
        save::Piece,
    },
};
use wharf_sim::memory::registry::Trouble;

/// An archive, read.
pub(super) struct Opened {
    saved: Saved,
    bytes: Vec<u8>,
    /// By path, without directories.
    files: BTreeMap<String, Vec<u8>>,
    /// In the order in which they stand there.
    paths: Vec<String>,
}

impl Opened {
    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.files[path]).expect("JSON")
    }

    /// The archive without the blobs that are called so.
    pub(super) fn without(&self, encoded: &[String]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for path in self.paths.iter().filter(|path| !encoded.iter().any(|encoded| path.ends_with(encoded))) {
            let mut header = tar::Header::new_ustar();
            header.set_size(self.files[path].len() as u64);
            archive.append_data(&mut header, path, &*self.files[path]).expect("memory can be written");
        }
        archive.into_inner().expect("memory can be written")
    }

    fn has(&self, digest: &Digest) -> bool {
        self.files.contains_key(&format!("blobs/sha256/{}", digest.encoded()))
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

impl World {
    pub(super) fn save(&self, references: &[&str], form: Form, platforms: &[&str]) -> Result<Opened, Problem> {
        self.save_by(references, &SaveOptions { form, platforms: texts(platforms), complete: None })
    }

    /// Fetches what is not here before.
    fn save_all(&self, reference: &str, platforms: &[&str]) -> Result<Opened, Problem> {
        let complete = Some(Access { retries: 0, ..Access::default() });
        self.save_by(&[reference], &SaveOptions { form: Form::OciArchive, platforms: texts(platforms), complete })
    }

    fn save_by(&self, references: &[&str], options: &SaveOptions) -> Result<Opened, Problem> {
        let references = texts(references);
        let (saved, bytes) = self.memory.run(async {
            let (saved, pieces) = verbs::save(&self.memory, &caller(), &references, options).await?;
            let mut bytes = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Bytes(some) => bytes.extend(some),
                    Piece::Blob(blob, size) => bytes.extend(blob.read(0, size).await.expect("it is held")),
                }
            }
            Ok((saved, bytes))
        })?;
        let (mut files, mut paths) = (BTreeMap::new(), Vec::new());
        for entry in tar::Archive::new(&*bytes).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let header = entry.header().clone();
            assert_eq!(
                (header.mtime().unwrap(), header.uid().unwrap(), header.mode().unwrap()),
                (0, 0, 0o644),
                "{path}"
            );
            let mut content = Vec::new();
            copy(&mut entry.by_ref(), &mut content).expect("memory");
            if let Some(encoded) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(Digest::of(wharf_component::nouns::digest::Algorithm::Sha256, &content).encoded(), encoded);
            }
            paths.push(path.clone());
            assert_eq!(files.insert(path, content), None, "each file once");
        }
        assert_eq!(saved.size, bytes.len() as u64);
        Ok(Opened { saved, bytes, files, paths })
    }
}

#[test]
fn an_archive_has_what_docker_and_others_look_for() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["registry.test/mine:2"]).unwrap();
    let archive = world.save(&["registry.test/mine:2", "app:1"], Form::DockerArchive, &[]).unwrap();
    assert_eq!(archive.paths[..4], ["oci-layout", "index.json", "manifest.json", "repositories"]);
    assert_eq!(archive.json("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.encoded());
    let entry = |name: &str, tag: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": built.manifest.to_string(),
            "size": archive.files[&blob(&built.manifest)].len(),
            "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag},
        })
    };
    let entries = [entry("docker.io/library/app:1", "1"), entry("registry.test/mine:2", "2")];
    assert_eq!(archive.json("index.json")["manifests"], json!(entries));
    assert_eq!(
        archive.json("manifest.json"),
        json!([{
            "Config": blob(&built.config),
            "RepoTags": ["app:1", "registry.test/mine:2"],
            "Layers": built.layers.iter().map(blob).collect::<Vec<_>>(),
        }])
    );
    let top = built.layers[1].encoded();
    assert_eq!(archive.json("repositories"), json!({"app": {"1": top}, "registry.test/mine": {"2": top}}));
    assert_eq!(archive.files.len(), 4 + 4, "{:?}", archive.paths);
    let image = &archive.saved.images[0];
    assert_eq!((image.names.len(), &image.target.digest, &image.reduced_from), (2, &built.manifest, &None));
    assert_eq!((&*image.platforms, archive.saved.notes.len()), (&["linux/amd64".to_owned()][..], 0));

    let layout = world.save(&["app:1"], Form::OciArchive, &[]).unwrap();
    assert_eq!((layout.paths.len(), layout.files.contains_key("manifest.json")), (2 + 4, false));
}

#[test]
fn documents_stand_before_layers_and_the_same_images_make_the_same_bytes() {
    let archives = [&["one:1", "two:1"], &["two:1", "one:1"]].map(|order| {
        let world = World::new();
        let one = world.image("library/one", Some("1"), Recipe::default());
        let two = world.image("library/two", Some("1"), Recipe { layers: &["base", "other"], ..Recipe::default() });
        order.iter().for_each(|name| drop(world.pull(name, &options()).unwrap()));
        let archive = world.save(order, Form::DockerArchive, &[]).unwrap();
        let at = |digest: &Digest| archive.paths.iter().position(|path| path.ends_with(digest.encoded())).unwrap();
        let documents = [&one.manifest, &one.config, &two.manifest, &two.config].map(at);
        let layers = one.layers.iter().chain(&two.layers).map(at);
        assert!(documents.iter().max() < layers.min().as_ref());
        archive.bytes
    });
    assert!(archives[0] == archives[1]);
}

#[test]
fn an_image_without_a_name_has_none() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    for text in [&built.config.encoded()[..12], &*format!("app@{}", built.manifest)] {
        let archive = world.save(&[text], Form::DockerArchive, &[]).unwrap();
        assert_eq!(archive.json("manifest.json")[0]["RepoTags"], Value::Null);
        assert_eq!(archive.json("index.json")["manifests"][0].get("annotations"), None);
        assert_eq!(archive.json("repositories"), json!({}));
        assert!(archive.saved.images[0].names.is_empty());
    }
}

#[test]
fn what_is_not_here_of_an_index_is_not_in_the_archive_and_that_is_told() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    let archive = world.save(&["alpine:3.20"], Form::OciArchive, &[]).unwrap();
    let image = &archive.saved.images[0];
    assert_eq!((&image.target.digest, image.reduced_from.as_ref()), (&built[0].manifest, Some(&index)));
    let expected = format!(
        "`alpine:3.20` has 1 of the 3 manifests that its index lists, so that it is `{}` in the archive",
        built[0].manifest
    );
    assert_eq!(archive.saved.notes, [expected]);
    assert_eq!(archive.json("index.json")["manifests"][0]["platform"], json!({"os": "linux", "architecture": "amd64"}));
    assert!(!archive.has(&index));

    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let archive = world.save(&["alpine:3.20"], Form::OciArchive, &[]).unwrap();
    let image = &archive.saved.images[0];
    assert!(image.reduced_from.as_ref() == Some(&index) && archive.has(&image.target.digest));
    let made = archive.json(&format!("blobs/sha256/{}", image.target.digest.encoded()));
    let digests: Vec<&str> =
        made["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [built[1].manifest.to_string(), built[0].manifest.to_string()], "in the order of the index");

    // Only what is asked for, although more is here.
    let archive = world.save(&["alpine:3.20"], Form::DockerArchive, &["linux/arm64"]).unwrap();
    assert_eq!(archive.saved.images[0].target.digest, built[1].manifest);
    assert_eq!((archive.has(&built[1].layers[0]), archive.has(&built[0].layers[0])), (true, false));
    let problem = world.save(&["alpine:3.20"], Form::DockerArchive, &["linux/s390x"]).err().unwrap();
    assert_eq!(
        (problem.code, problem.fix.as_deref()),
        (ErrorCode::NotFound, Some("wharf pull --platform linux/s390x alpine:3.20"))
    );
}

#[test]
fn what_is_not_here_is_fetched_before_if_that_is_asked_for() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    // The tag is somebody else's by now; what it is here stays.
    world.image("library/alpine", Some("3.20"), Recipe { layers: &["newer"], ..Recipe::default() });
    world.requests();
    let archive = world.save_all("alpine:3.20", &["linux/arm64"]).unwrap();
    assert_eq!(archive.saved.images[0].target.digest, built[1].manifest);
    assert_eq!((archive.has(&built[1].layers[0]), world.has(&built[2].layers[0])), (true, false), "as was asked for");
    let archive = world.save_all("alpine:3.20", &[]).unwrap();
    let image = &archive.saved.images[0];
    assert_eq!((&image.target.digest, &image.reduced_from, &*archive.saved.notes), (&index, &None, &[][..]));
    assert!(built.iter().all(|built| archive.has(&built.manifest) && archive.has(&built.layers[0])));
    let record = world.record("docker.io/library/alpine:3.20").unwrap();
    assert_eq!((record.target.digest, record.platforms.len()), (index, 3));
    let requests = world.requests();
    assert!(!requests.iter().any(|request| request.ends_with("3.20")), "the tag is not asked for: {requests:?}");
    world.save_all("alpine:3.20", &[]).unwrap();
    assert_eq!(world.requests(), Vec::<String>::new(), "nobody is asked if everything is here");
}

#[test]
fn what_cannot_be_fetched_makes_no_archive_and_changes_no_name() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    let before = world.record("docker.io/library/alpine:3.20");
    world.registry.trouble(built[1].layers[0].to_string(), Trouble::Status(500));
    let problem = world.save_all("alpine:3.20", &[]).err().unwrap();
    assert_eq!((problem.code, &*problem.what), (ErrorCode::Unavailable, "cannot save `alpine:3.20`"));
    assert_eq!(problem.why[0], "what is not here of `alpine:3.20` cannot be fetched");
    assert_eq!(world.record("docker.io/library/alpine:3.20"), before);
    assert!(world.save_all("alpine:3.20", &[]).is_ok(), "the next attempt goes on");
    let problem = world.save_all("nothing:1", &[]).err().unwrap();
    assert_eq!(problem.code, ErrorCode::NotFound);
}

#[test]
fn an_index_of_which_everything_is_here_stays_as_it_is() {
    let world = World::new();
    let (index, _) = world.alpine();
    world.pull("alpine:3.20", &super::PullOptions { wanted: super::Wanted::All, ..options() }).unwrap();
    let archive = world.save(&["alpine:3.20"], Form::DockerArchive, &[]).unwrap();
    let image = &archive.saved.images[0];
    assert_eq!((&image.target.digest, &image.reduced_from, archive.has(&index)), (&index, &None, true));
    assert_eq!(archive.saved.notes, [""; 0]);
    let config = archive.json("manifest.json")[0]["Config"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_slice::<Value>(&archive.files[&config]).unwrap()["architecture"], "amd64");
}

#[test]
fn what_is_gone_or_nobody_has_is_told_with_its_cure() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let problem = world.save(&["app:1", "none:1"], Form::DockerArchive, &[]).err().unwrap();
    assert_eq!((problem.code, &*problem.why[0]), (ErrorCode::NotFound, "`none:1` cannot be saved"));
    world.memory.content().remove(&built.layers[0]).unwrap();
    let problem = world.save(&["app:1"], Form::DockerArchive, &[]).err().unwrap();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::NotFound, Some("wharf fsck --repair")));
    assert_eq!(problem.what, "cannot save `app:1`");
}
