//! skopeo, umoci and podman on the directory that wharf works in, both ways.

use super::{check_layout, index, json, open_registry, portable};
use crate::support::docker_registry::DockerRegistry;
use crate::support::portable::Portable;
use crate::support::push::large;
use crate::support::require;
use serde_json::{Value, json as object};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use wharf::demo::image::{self, File, Image, Layer, Variant, demo};

/// Runs a program in a directory, without the machine's own logins and settings. Returns what it wrote, and whether it
/// succeeded.
fn ask(directory: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(require(program));
    command.current_dir(directory).args(arguments).env("HOME", directory).env_remove("XDG_RUNTIME_DIR");
    let output = command.output().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The same, and it has to succeed.
#[track_caller]
fn tell(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let (success, text) = ask(directory, program, arguments);
    assert!(success, "{program} {arguments:?}: {text}");
    text
}

/// podman with a storage of its own.
fn podman(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let storage = ["--root", "podman/storage", "--runroot", "podman/run", "--storage-driver", "vfs"];
    ask(directory, "podman", &[&storage, arguments].concat())
}

/// One layer with one file, for one platform.
fn single() -> Image {
    let layer = Layer::new("COPY name /", &[File { path: "name", mode: 0o644, bytes: b"harbour\n" }]);
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: vec![layer] })
}

/// [`single`] with the media types of docker.
fn docker() -> Image {
    let types = [
        (image::MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"),
        (image::CONFIG, "application/vnd.docker.container.image.v1+json"),
        (image::LAYER, "application/vnd.docker.image.rootfs.diff.tar"),
    ];
    let mut image = single();
    let document = &mut image.documents[0];
    let text = String::from_utf8(document.bytes.to_vec()).expect("it is JSON");
    let text = types.iter().fold(text, |text, (from, to)| text.replace(&format!("\"{from}\""), &format!("\"{to}\"")));
    document.media_type = types[0].1;
    document.digest = image::digest(text.as_bytes());
    document.bytes = text.into();
    image
}

/// A directory in which wharf has pulled three images, and the names that they have there.
struct Pulled {
    registry: DockerRegistry,
    directory: TempDir,
    wharf: Portable,
    names: [String; 3],
}

fn pulled() -> Pulled {
    let registry = open_registry();
    let (directory, wharf) = portable();
    let images = [("one", single()), ("many", demo()), ("docker", docker())];
    let names = images.map(|(repository, image)| {
        registry.push(repository, "1", &image);
        let name = format!("{}/{repository}:1", registry.address());
        wharf.run(&["pull", "-q", &name]).success();
        name
    });
    Pulled { registry, directory, wharf, names }
}

/// Names are written in full, and asked for in full. Nobody is told a platform: the machine's is here.
#[test]
fn skopeo_umoci_and_podman_read_what_wharf_wrote() {
    let Pulled { directory, names: [one, many, docker], .. } = pulled();
    let here = directory.path();
    let of = |name: &str| format!("oci:images:{name}");

    // The whole of it arrives, and not another image.
    tell(here, "skopeo", &["copy", "--preserve-digests", &of(&one), "dir:one"]);
    let copied = fs::read(here.join("one/manifest.json")).expect("skopeo has copied it");
    assert_eq!(image::digest(&copied), single().root().digest);
    // Of an index, what is for this machine.
    tell(here, "skopeo", &["copy", "--override-arch=amd64", &of(&many), "dir:many"]);
    let copied = fs::read(here.join("many/manifest.json")).expect("skopeo has copied it");
    assert_eq!(image::digest(&copied), demo().documents[0].digest);

    assert_eq!(tell(here, "umoci", &["ls", "--layout", "images"]).lines().count(), 3);
    tell(here, "umoci", &["unpack", "--rootless", "--image", &format!("images:{one}"), "bundle"]);
    let file = fs::read_to_string(here.join("bundle/rootfs/name"));
    assert_eq!(file.expect("umoci has extracted it"), "harbour\n");

    for name in [&one, &many] {
        let (success, text) = podman(here, &["pull", "--quiet", "--arch=amd64", &of(name)]);
        assert!(success, "{text}");
        let config = json(&podman(here, &["image", "inspect", text.trim()]).1);
        assert_eq!(config[0]["Architecture"], "amd64");
    }

    // What they do not do, whoever wrote the layout.
    let unpack = ["unpack", "--rootless", "--image"];
    let index = format!("images:{many}");
    let schema = format!("images:{docker}");
    let rows: &[(&str, &[&str], &str)] = &[
        ("umoci", &[&unpack[..], &[&index, "other"]].concat(), "tag is ambiguous"),
        ("umoci", &[&unpack[..], &[&schema, "other"]].concat(), "not implemented: application/vnd.docker"),
        ("skopeo", &["copy", &of(&docker), "dir:docker"], "no descriptor found for reference"),
        ("podman", &["pull", &of(&docker)], "no descriptor found for reference"),
        // Some platforms of it are not here.
        ("skopeo", &["copy", "--all", &of(&many), "dir:all"], "no such file or directory"),
    ];
    for (program, arguments, expected) in rows {
        let (success, text) =
            if *program == "podman" { podman(here, arguments) } else { ask(here, program, arguments) };
        assert!(!success && text.contains(expected), "{program} {arguments:?}: {text}");
    }
}

#[test]
fn every_platform_of_an_image_can_be_copied_where_every_one_was_pulled() {
    let Pulled { directory, wharf, names: [_, many, _], registry: _registry } = pulled();
    wharf.run(&["pull", "-q", "--all-platforms", &many]).success();
    let from = format!("oci:images:{many}");
    tell(directory.path(), "skopeo", &["copy", "--all", "--preserve-digests", &from, "oci:copy:1"]);
    let copied = check_layout(&directory.path().join("copy"));
    assert!(copied.is_subset(&check_layout(&wharf.images())), "nothing was made anew");
    assert_eq!(copied.len(), demo().blobs.len() + demo().documents.len());
}

/// Entries in `index.json`, as text.
fn entries(images: &Path) -> Vec<Value> {
    index(images)["manifests"].as_array().expect("it is a list").clone()
}

#[test]
fn wharf_reads_what_skopeo_and_umoci_wrote() {
    let registry = open_registry();
    registry.push("app", "1", &single());
    let (directory, wharf) = portable();
    let here = directory.path();
    let source = format!("docker://{}/app:1", registry.address());
    let rows = [
        ("latest", "docker.io/library/latest:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("quay.io/org/app:1", "quay.io/org/app:1"),
    ];
    for (written, _) in rows {
        let copy = ["copy", "--preserve-digests", "--src-tls-verify=false", &source, &format!("oci:images:{written}")];
        tell(here, "skopeo", &copy);
    }
    tell(here, "umoci", &["tag", "--image", "images:latest", "other"]);
    tell(here, "umoci", &["new", "--image", "images:empty"]);
    let before = index(&wharf.images());

    let copies = rows.iter().map(|(_, name)| *name).chain(["docker.io/library/other:latest"]);
    let mut expected: Vec<_> = copies.clone().chain(["docker.io/library/empty:latest"]).collect();
    expected.sort_unstable();
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    let mut found: Vec<_> =
        images.as_array().expect("a list").iter().map(|image| image["name"].as_str().expect("a text")).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    for name in copies {
        let inspected = json(&wharf.run(&["inspect", name]).success());
        assert_eq!(inspected[0]["Descriptor"]["digest"], object!(single().root().digest), "{name}");
    }
    assert_eq!(wharf.run(&["history", "-q", "latest"]).success().lines().count(), 1);
    assert_eq!(index(&wharf.images()), before, "looking changes nothing");
}

/// What others wrote stands in the file as they wrote it, also after wharf has written there.
#[test]
fn entries_of_others_are_kept_byte_for_byte() {
    let registry = open_registry();
    registry.push("app", "1", &single());
    registry.push("app", "2", &large(31, 1, 4_000));
    let (directory, wharf) = portable();
    let here = directory.path();
    let name = |tag: u32| format!("{}/app:{tag}", registry.address());
    let copy = ["copy", "--src-tls-verify=false", &format!("docker://{}", name(1)), "oci:images:latest"];
    tell(here, "skopeo", &copy);
    // Something that nobody knows, in a form that nobody writes.
    let strange =
        r#"{"mediaType" :"application/x","digest":"sha256:00","size":1.0e0,"annotations":{"b":"\u0041","a": 7}}"#;
    let file = wharf.images().join("index.json");
    let text = fs::read_to_string(&file).expect("skopeo has written it");
    let (start, end) = text.rsplit_once("}]").expect("a list of objects");
    fs::write(&file, format!("{start}}},{strange}],\"x-of-others\": [ 1 ]{end}")).expect("it can be written");
    let theirs = start.split_once("\"manifests\":[").expect("there are manifests").1.to_owned() + "}";

    wharf.run(&["pull", "-q", &name(1)]).success();
    wharf.run(&["pull", "-q", &name(2)]).success();
    let text = fs::read_to_string(&file).expect("it is there");
    for kept in [&theirs, strange, "\"x-of-others\":[ 1 ]"] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    // It is told and stops nobody.
    let images = wharf.run(&["images", "-q"]);
    assert!(images.stderr.contains("warning:"), "{}", images.stderr);
    assert_eq!(images.success().lines().count(), 3);
}

/// umoci copies the annotations of the entry that it tags, wharf's own among them.
#[test]
fn a_name_that_another_tool_gave_to_an_image_of_wharf_is_seen() {
    let Pulled { directory, wharf, names: [one, ..], registry: _registry } = pulled();
    let here = directory.path();
    tell(here, "umoci", &["tag", "--image", &format!("images:{one}"), "second"]);
    tell(here, "skopeo", &["copy", &format!("oci:images:{one}"), "oci:images:third:1"]);
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    let names: Vec<_> = images.as_array().expect("a list").iter().filter_map(|image| image["name"].as_str()).collect();
    for name in [&*one, "docker.io/library/second:latest", "docker.io/library/third:1"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert_eq!(entries(&wharf.images()).len(), 5);

    // Pulled again, each of them stays what it is.
    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(json(&wharf.run(&["images", "--format", "json"]).success()), images);
    check_layout(&wharf.images());
}
