//! Archives that others have written, and images that come back from others: what they are here.

use super::importing;
use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::dockerd::Dockerd;
use crate::support::push::large;
use crate::support::require;
use crate::support::wharf::Wharf;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use wharf::demo::image::digest;

/// Runs a program of the machine in a directory, and returns what it wrote.
#[track_caller]
pub(super) fn tell(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(require(program));
    command.current_dir(directory).args(arguments).env("HOME", directory).env_remove("XDG_RUNTIME_DIR");
    let output = command.output().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// An image of two layers in a registry and in a store, and its name.
fn with_app() -> (DockerRegistry, TempDir, Wharf, String) {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 2, 100_000));
    let name = format!("{}/app:1", registry.address());
    let (directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &name]).success();
    (registry, directory, wharf, name)
}

/// What an image is, however its layers are compressed: its ID and its DiffIDs.
fn identity(wharf: &Wharf, name: &str) -> (String, Value) {
    let inspected = json(&wharf.run(&["inspect", name]).success());
    let id = inspected[0]["Id"].as_str().expect("an ID").to_owned();
    (id, inspected[0]["RootFS"]["Layers"].clone())
}

/// Loads an archive into an empty store, and returns the names. Everything in there is whole.
#[track_caller]
fn load(path: &Path, options: &[&str]) -> (TempDir, Wharf, Vec<String>) {
    let (directory, wharf) = wharf();
    let input = path.to_string_lossy();
    let names = wharf.run(&[&["load", "-q", "-i", &input], options].concat()).success();
    wharf.run(&["fsck"]).success();
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    for name in &names {
        let listed = wharf.run(&["ls", name, "/"]).success();
        assert!(listed.lines().count() > 1, "{name} is extracted: {listed}");
    }
    (directory, wharf, names)
}

#[test]
fn what_other_tools_write_is_loaded() {
    let (_registry, directory, wharf, name) = with_app();
    let at = directory.path();
    let path = |name: &str| at.join(name);
    let save = |format: &str, to: &str| {
        wharf.run(&["save", "-q", "--format", format, &name, "-o", &path(to).to_string_lossy()]).success();
    };
    save("docker-archive", "wharf.tar");
    save("oci-archive", "wharf-oci.tar");
    save("oci-dir", "wharf-dir");
    let storage = ["--root", "podman/storage", "--runroot", "podman/run", "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| tell(at, "podman", &[&storage, arguments].concat());
    podman(&["load", "-i", "wharf.tar"]);
    podman(&["save", "--format", "docker-archive", &name, "-o", "podman.tar"]);
    podman(&["save", "--format", "oci-archive", &name, "-o", "podman-oci.tar"]);
    podman(&["save", "--format", "oci-dir", &name, "-o", "podman-dir"]);
    tell(at, "skopeo", &["copy", "-q", "oci-archive:wharf-oci.tar", &format!("docker-archive:skopeo.tar:{name}")]);
    tell(at, "skopeo", &["copy", "-q", "oci-archive:wharf-oci.tar", &format!("oci-archive:skopeo-oci.tar:{name}")]);
    tell(at, "skopeo", &["copy", "-q", "oci-archive:wharf-oci.tar", "oci:umoci:1"]);
    tell(at, "umoci", &["config", "--image", "umoci:1", "--tag", "2", "--config.user", "1000"]);
    let expected = identity(&wharf, &name);
    for file in [
        "wharf.tar",
        "wharf-oci.tar",
        "wharf-dir",
        "podman.tar",
        "podman-oci.tar",
        "podman-dir",
        "skopeo.tar",
        "skopeo-oci.tar",
    ] {
        // podman writes names into a layout only in a file.
        let options: &[&str] = if file == "podman-dir" { &["--tag", &name] } else { &[] };
        let (_directory, other, names) = load(&path(file), options);
        assert_eq!((names, identity(&other, &name)), (vec![name.clone()], expected.clone()), "{file}");
    }
    let (_directory, other, names) = load(&path("umoci"), &[]);
    assert_eq!(names.len(), 2, "one and the other tag, both without a repository: {names:?}");
    let users = names.iter().map(|name| json(&other.run(&["inspect", name]).success())[0]["Config"]["User"].clone());
    assert!(users.clone().any(|user| user == "1000"), "{:?}", users.collect::<Vec<_>>());
    // And back: what was loaded is what it was.
    let (other_directory, other, _) = load(&path("podman-oci.tar"), &[]);
    let back = other_directory.path().join("back.tar");
    other.run(&["save", "-q", &name, "-o", &back.to_string_lossy()]).success();
    podman(&["load", "-i", &back.to_string_lossy()]);
    assert!(podman(&["images", "--no-trunc", "-q"]).contains(&expected.0));
}

#[test]
fn an_image_goes_to_docker_and_comes_back_as_the_same() {
    let (_registry, directory, wharf, name) = with_app();
    let at = directory.path();
    let Some(docker) = Dockerd::start(at) else { return };
    wharf.run(&["save", "-q", &name, "-o", &at.join("there.tar").to_string_lossy()]).success();
    let loaded = docker.tell(&["load", "-i", "there.tar"]);
    assert!(loaded.contains(&name), "{loaded}");
    let expected = identity(&wharf, &name);
    assert_eq!(docker.tell(&["image", "inspect", "--format", "{{.Id}}", &name]).trim(), expected.0);
    docker.tell(&["tag", &name, "other:2"]);
    docker.tell(&["save", &name, "other:2", "-o", "back.tar"]);
    let (_other, back, names) = load(&at.join("back.tar"), &[]);
    assert_eq!(names.len(), 2, "{names:?}");
    for name in [&name, "docker.io/library/other:2"] {
        assert_eq!(identity(&back, name), expected);
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).and_then(|()| out.finish()).expect("memory can be written")
}

/// Writes an archive of these files.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, &**bytes).expect("memory can be written");
    }
    tar.into_inner().expect("memory can be written")
}

/// From their published formats: go-containerregistry's `pkg/v1/tarball`, which kaniko writes with, and the exporter
/// `docker` of buildkit.
#[test]
fn what_kaniko_and_buildkit_write_is_loaded_from_a_pipe_compressed_or_not() {
    let layer = archive(&[("hello".to_owned(), b"world".to_vec())]);
    let packed = gzipped(&layer);
    let config = json!({"os": "linux", "architecture": "amd64", "config": {}, "history": [],
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
    let config = serde_json::to_vec(&config).expect("JSON");
    let written = |document: Value| serde_json::to_vec(&document).expect("JSON");
    let hex = |bytes: &[u8]| digest(bytes).trim_start_matches("sha256:").to_owned();
    let layer_path = format!("{}.tar.gz", hex(&packed));
    let kaniko = archive(&[
        (digest(&config), config.clone()),
        (layer_path.clone(), packed.clone()),
        (
            "manifest.json".to_owned(),
            written(json!([{"Config": digest(&config), "RepoTags": ["app:1"], "Layers": [layer_path]}])),
        ),
    ]);
    let sized = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let manifest =
        written(json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": sized("application/vnd.docker.container.image.v1+json", &config),
        "layers": [sized("application/vnd.docker.image.rootfs.diff.tar.gzip", &packed)]}));
    let mut entry = sized("application/vnd.docker.distribution.manifest.v2+json", &manifest);
    entry["annotations"] =
        json!({"io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1"});
    let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", hex(bytes)), bytes.to_vec());
    let buildkit = archive(&[
        blob(&config),
        blob(&packed),
        blob(&manifest),
        ("index.json".to_owned(), written(json!({"schemaVersion": 2, "manifests": [entry]}))),
        (
            "manifest.json".to_owned(),
            written(json!([{"Config": blob(&config).0, "RepoTags": ["app:1"], "Layers": [blob(&packed).0]}])),
        ),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
    ]);
    for (what, bytes) in [("kaniko", &kaniko), ("buildkit", &buildkit)] {
        let zstd = zstd::encode_all(&**bytes, 1).expect("memory can be written");
        let forms = [("plain", bytes.clone()), ("gzip", gzipped(bytes)), ("zstd", zstd)];
        let others = ["bzip2", "xz"].map(|program| (program, importing::packed(program, bytes)));
        for (form, bytes) in forms.into_iter().chain(others) {
            let (directory, wharf) = wharf();
            let path = directory.path().join("archive");
            fs::write(&path, bytes).expect("a file");
            let piped = format!("cat {} | exec \"$@\"", path.display());
            let wharf = wharf.under(["sh", "-c", &piped, "sh"]);
            assert_eq!(wharf.run(&["load", "-q"]).success(), "docker.io/library/app:1\n", "{what}, {form}");
            assert_eq!(identity(&wharf, "app:1").0, digest(&config), "{what}, {form}");
        }
    }
}

#[test]
fn an_archive_of_four_hundred_images_is_loaded() {
    let layer = archive(&[("hello".to_owned(), b"world".to_vec())]);
    let config = |number: u32| {
        let config = json!({"os": "linux", "architecture": "amd64", "history": [],
            "config": {"Labels": {"number": number.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
        serde_json::to_vec(&config).expect("JSON")
    };
    let named = |number: u32| format!("{number}.json");
    let mut files: Vec<_> = (0..400).map(|number| (named(number), config(number))).collect();
    let list = (0..400)
        .map(|number| json!({"Config": named(number), "RepoTags": [format!("app:{number}")], "Layers": ["layer.tar"]}));
    files.push(("manifest.json".to_owned(), serde_json::to_vec(&list.collect::<Vec<_>>()).expect("JSON")));
    files.push(("layer.tar".to_owned(), layer.clone()));
    let (directory, wharf) = wharf();
    let path = directory.path().join("archive");
    fs::write(&path, archive(&files)).expect("a file");
    let names = wharf.run(&["load", "-q", "-i", &path.to_string_lossy()]).success();
    assert_eq!(names.lines().count(), 400);
    assert_eq!(wharf.run(&["cat", "app:399", "hello"]).success(), "world");
}

#[test]
fn what_cannot_be_loaded_leaves_nothing_and_says_why() {
    let (_registry, directory, wharf, name) = with_app();
    let path = directory.path().join("app.tar");
    wharf.run(&["save", "-q", &name, "-o", &path.to_string_lossy()]).success();
    let whole = fs::read(&path).expect("the archive");
    let mut changed = whole.clone();
    let middle = whole.len() * 2 / 3;
    changed[middle] ^= 1;
    let packed = gzipped(&whole);
    let rows = [
        (whole[..middle].to_vec(), "it was cut off"),
        (changed, "its bytes hash to"),
        (packed[..packed.len() - 9].to_vec(), "its compressed bytes are damaged, or end too early"),
        ([&packed[..], b"more"].concat(), "its compressed bytes are damaged"),
        (b"\xfd7zXZ\0 and so on".repeat(60), "its compressed bytes are damaged, or end too early"),
        (b"no archive".repeat(60), "it is no tar archive"),
        (Vec::new(), "it is empty"),
    ];
    for (bytes, expected) in rows {
        let (other_directory, other) = super::wharf();
        let path = other_directory.path().join("archive");
        fs::write(&path, bytes).expect("a file");
        let error = other.run(&["load", "-i", &path.to_string_lossy()]).failure();
        assert!(error.contains(expected), "{expected}: {error}");
        for part in ["blobs/sha256", "ingest", "layers"] {
            let left = fs::read_dir(other.store().join(part)).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{expected}: {part}");
        }
        assert_eq!(json(&other.run(&["images", "--format", "json"]).success()), json!([]));
    }
    let error = wharf.run(&["load", "-i", &directory.path().to_string_lossy()]).failure();
    assert!(error.contains("it is no OCI image layout"), "{error}");
    let error = wharf.run(&["load", "-i", "/nowhere/archive.tar"]).failure();
    assert!(error.contains("No such file or directory"), "{error}");
}

#[test]
fn a_load_is_stopped_while_nothing_more_comes_and_leaves_nothing() {
    let (directory, wharf) = wharf();
    let downloads = || wharf.run(&["ingest", "ls", "--format", "json"]).success();
    let before = downloads();
    tell(directory.path(), "mkfifo", &["pipe"]);
    let path = directory.path().join("pipe");
    // It has a reader as well, so that nobody waits for the other end.
    let mut pipe = File::options().read(true).write(true).open(&path).expect("a pipe");
    let load = wharf.spawn(&["load", "--progress", "none", "-i", &path.to_string_lossy()]);
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("blobs/sha256/{}", "4b".repeat(32))).expect("a path");
    header.set_size(10 << 20);
    header.set_cksum();
    // More than a pipe holds: afterwards somebody has read, and listens to Ctrl-C.
    pipe.write_all(&[header.as_bytes(), &[0; 256 << 10][..]].concat()).expect("somebody reads");
    load.interrupt();
    let output = load.wait(Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
    assert!(output.stderr.contains("nothing is left of it"), "{}", output.stderr);
    assert_eq!(downloads(), before);
}
