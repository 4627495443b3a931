//! Indexes that are made here: what other tools find of them in a registry, and what they would have made themselves.

use super::loading::tell;
use super::{json, open_registry, wharf};
use crate::layers::apply::write::{self, file};
use crate::support::push::large;
use crate::support::skopeo::skopeo;
use crate::support::wharf::Wharf;
use serde_json::json;
use std::fs;
use wharf::demo::image::{demo, digest};

/// Imports an image for a platform, so that there is one.
fn imported(wharf: &Wharf, platform: &str, name: &str) {
    let path = wharf.home().join("root.tar");
    fs::write(&path, write::layer(&[file(platform, platform.as_bytes())])).expect("a file");
    wharf.run(&["import", "-q", "--platform", platform, &path.to_string_lossy(), name]).success();
}

#[test]
fn an_index_is_made_changed_and_pushed() {
    let registry = open_registry();
    let (directory, wharf) = wharf();
    imported(&wharf, "linux/amd64", "one:1");
    imported(&wharf, "linux/arm64/v8", "two:1");
    imported(&wharf, "linux/riscv64", "three:1");
    let name = format!("{}/both:1", registry.address());
    wharf.run(&["manifest", "create", &name, "one:1", "two:1"]).success();
    let added = wharf.run(&["manifest", "add", "--format", "json", &name, "three:1", "--variant", "rva22"]).success();
    let added = json(&added);
    assert_eq!(added["manifests"].as_array().map(Vec::len), Some(3), "{added}");
    assert_eq!(added["manifests"][2]["platform"], "linux/riscv64/rva22");
    let annotate = ["manifest", "annotate", &name, "linux/arm64", "--annotation", "a=b"];
    wharf.run(&annotate).success();
    let made = wharf.run(&["manifest", "remove", &name, "linux/riscv64"]).success();
    let raw = wharf.run(&["manifest", "inspect", "--raw", &name]).success();
    assert_eq!(made.trim_end(), digest(raw.as_bytes()));
    let shown = json(&wharf.run(&["manifest", "inspect", &name]).success());
    let expected = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    assert_eq!(
        (&shown["manifests"][1]["platform"], &shown["manifests"][1]["annotations"]["a"]),
        (&expected, &json!("b"))
    );
    wharf.run(&["fsck"]).success();

    wharf.run(&["manifest", "push", "-q", &name]).success();
    let (is_there, theirs) = skopeo(&["inspect", "--raw", &format!("docker://{name}")], None);
    assert!(is_there, "{theirs}");
    assert_eq!(theirs, raw);
    // Another machine takes its platform of it, and podman all of them.
    let (_other, second) = super::wharf();
    second.run(&["pull", "-q", "--platform", "linux/arm64", &name]).success();
    assert_eq!(second.run(&["cat", "--platform", "linux/arm64", &name, "/linux/arm64/v8"]).success(), "linux/arm64/v8");
    let layout = format!("oci:{}:1", directory.path().join("layout").display());
    let (is_copied, text) = skopeo(&["copy", "-q", "--all", &format!("docker://{name}"), &layout], None);
    assert!(is_copied, "{text}");
    // What is nowhere here is shown from the registry, and nothing is kept.
    let (_third, third) = super::wharf();
    assert_eq!(third.run(&["manifest", "inspect", "--raw", &name]).success(), raw);
    assert_eq!(json(&third.run(&["images", "--format", "json"]).success()), json!([]));
}

/// podman's index of the same images has the same manifests, under the same platforms.
#[test]
fn podman_lists_the_same() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    registry.push("big", "1", &large(5, 1, 1_000));
    let (directory, wharf) = wharf();
    let (app, big) = (format!("{}/app:1", registry.address()), format!("{}/big:1", registry.address()));
    wharf.run(&["pull", "-q", "--no-unpack", "--platform", "linux/amd64", &app]).success();
    wharf.run(&["pull", "-q", "--no-unpack", &big]).success();
    wharf.run(&["manifest", "create", "mine:1", &app, &big]).success();
    let ours = json(&wharf.run(&["manifest", "inspect", "mine:1"]).success());
    let at = directory.path();
    let storage = ["--root", "podman/storage", "--runroot", "podman/run", "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| tell(at, "podman", &[&storage, arguments].concat());
    podman(&["manifest", "create", "mine:1"]);
    let source = |name: &str| format!("docker://{name}");
    podman(&["manifest", "add", "--tls-verify=false", "mine:1", &source(&app)]);
    podman(&["manifest", "add", "--tls-verify=false", "mine:1", &source(&big)]);
    let theirs = json(&podman(&["manifest", "inspect", "mine:1"]));
    for at in 0..2 {
        let (ours, theirs) = (&ours["manifests"][at], &theirs["manifests"][at]);
        assert_eq!((&ours["digest"], &ours["size"]), (&theirs["digest"], &theirs["size"]), "{ours} {theirs}");
        for key in ["os", "architecture"] {
            assert_eq!(ours["platform"][key], theirs["platform"][key], "{ours} {theirs}");
        }
    }
}

#[test]
fn what_cannot_be_made_is_told() {
    let (_directory, wharf) = wharf();
    imported(&wharf, "linux/amd64", "one:1");
    wharf.run(&["manifest", "create", "made:1", "one:1"]).success();
    for (arguments, expected) in [
        (&["create", "made:1", "one:1"][..], "hint: wharf manifest create --amend made:1 REF"),
        (&["create", "new:1", "nowhere:1"], "hint: wharf pull nowhere:1"),
        (&["add", "one:1", "one:1"], "it is one image, and no index"),
        (&["remove", "made:1", "linux/amd64"], "an index lists at least one manifest"),
        (&["annotate", "made:1", "linux/s390x"], "nothing in it is `linux/s390x`"),
    ] {
        let error = wharf.run(&[&["manifest"], arguments].concat()).failure();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
