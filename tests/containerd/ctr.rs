//! `ctr`, containerd's own program, with wharf behind the socket. What one door makes, the others see.

use super::{Door, TIMEOUT};
use crate::support::docker_registry::DockerRegistry;
use crate::support::engine_api::exchange;
use crate::support::push::large;
use crate::support::require;
use crate::support::skopeo::skopeo;
use crate::support::wharf::Wharf;
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wharf::demo::image::digest as sum_of;

/// A registry with an image of two layers, and an empty store that is served.
fn served() -> (DockerRegistry, TempDir, Door, String) {
    let registry = DockerRegistry::start(crate::support::docker_registry::Access::Open);
    registry.push("app", "1", &large(7, 2, 100_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let name = format!("{}/app:1", registry.address());
    (registry, directory, door, name)
}

/// The fields of the line that begins with `first`.
#[track_caller]
fn row<'t>(table: &'t str, first: &str) -> Vec<&'t str> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("`{first}` is not in:\n{table}")).split_whitespace().collect()
}

#[test]
fn it_says_who_it_is_and_what_it_has() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let version = door.ctr_tells(&["version"]);
    assert!(version.contains(concat!("Version:  wharf ", env!("CARGO_PKG_VERSION"))), "{version}");
    // It compares the UUID with that of its first request, and warns if they differ.
    assert!(version.contains("UUID: ") && !version.contains("WARNING: server"), "{version}");
    let plugins = door.ctr_tells(&["plugins", "ls"]);
    for service in ["content", "images", "leases", "namespaces", "version", "introspection"] {
        let is_there = plugins.lines().any(|line| line.contains("io.containerd.grpc.v1") && line.contains(service));
        assert!(is_there, "{service}: {plugins}");
    }
    assert_eq!(door.ctr_tells(&["containers", "ls", "-q"]), "", "wharf runs none");
    assert!(door.ctr_fails(&["containers", "info", "web"]).contains("not found"));
}

#[test]
fn its_owner_and_the_group_may_speak_to_it_whatever_the_umask_is() {
    for mask in ["0", "022", "077"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let shell = ["sh", "-c", r#"umask "$0" && exec "$@""#, mask];
        let wharf = Wharf::new(directory.path());
        let door = Door::open_by(wharf.under(shell), directory.path(), &["--no-gc"]);
        // It has its mode before anybody is answered.
        door.ctr_tells(&["version"]);
        for socket in [door.socket(), door.docker().socket()] {
            let mode = fs::metadata(socket).expect("it is there").permissions().mode();
            assert_eq!(format!("{:o}", mode & 0o7777), "660", "umask {mask}: {}", socket.display());
        }
    }
}

#[test]
fn namespaces_come_and_go_and_keep_their_images_apart() {
    let (_registry, _directory, door, name) = served();
    door.ctr_tells(&["namespaces", "create", "team", "owner=web"]);
    assert_eq!(row(&door.ctr_tells(&["namespaces", "ls"]), "team"), ["team", "owner=web"]);
    let refused = door.ctr_fails(&["namespaces", "create", "team"]);
    assert!(refused.contains("already exists"), "{refused}");
    door.ctr_tells(&["namespaces", "label", "team", "owner=", "stage=test"]);
    assert_eq!(row(&door.ctr_tells(&["namespaces", "ls"]), "team"), ["team", "stage=test"]);
    door.ctr_tells(&["-n", "team", "content", "fetch", "--plain-http", &name]);
    assert_eq!(door.ctr_tells(&["-n", "team", "images", "ls", "-q"]).trim(), name);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]), "");
    let refused = door.ctr_fails(&["namespaces", "rm", "team"]);
    assert!(refused.contains("images"), "{refused}");
    door.ctr_tells(&["-n", "team", "images", "rm", "--sync", &name]);
    door.ctr_tells(&["namespaces", "rm", "team"]);
    assert!(!door.ctr_tells(&["namespaces", "ls", "-q"]).contains("team"));
}

#[test]
fn what_wharf_has_pulled_is_listed_read_and_exported() {
    let (_registry, directory, door, name) = served();
    door.wharf(&["pull", "-q", &name]);
    let table = door.ctr_tells(&["images", "ls"]);
    let digest = row(&table, &name)[2].to_owned();
    let inspected: Value = serde_json::from_str(&door.wharf(&["inspect", &name])).expect("it is JSON");
    let target = inspected[0]["Descriptor"]["digest"].as_str().or(inspected["Descriptor"]["digest"].as_str());
    assert_eq!(Some(digest.as_str()), target, "{inspected}");
    let manifest = door.ctr_tells(&["content", "get", &digest]);
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
    assert_eq!(value(&manifest), value(&door.wharf(&["manifest", "inspect", &name])));
    // Config, manifest and two layers.
    assert_eq!(door.ctr_tells(&["content", "ls", "-q"]).lines().count(), 4);
    let exported = directory.path().join("exported.tar");
    let exported = exported.to_str().expect("a text");
    door.ctr_tells(&["images", "export", exported, &name]);
    let listed = skopeo(&["inspect", "--raw", &format!("oci-archive:{exported}")], None);
    assert!(listed.0 && listed.1.contains("layers"), "{}", listed.1);
    door.wharf(&["rm", &name]);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]), "");
    door.ctr_tells(&["images", "import", "--no-unpack", exported]);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]).trim(), name);
    door.wharf(&["fsck"]);
    assert!(!door.wharf(&["ls", &name]).trim().is_empty(), "its layers can be extracted");
}

#[test]
fn what_it_fetches_tags_and_labels_wharf_has() {
    let (registry, _directory, door, name) = served();
    door.ctr_tells(&["content", "fetch", "--plain-http", &name]);
    assert!(door.wharf(&["images", "--format", "json"]).contains(&name));
    door.wharf(&["fsck"]);
    let second = format!("{}/copy:2", registry.address());
    door.ctr_tells(&["images", "tag", &name, &second]);
    let refused = door.ctr_fails(&["images", "tag", &name, &second]);
    assert!(refused.contains("already exists"), "{refused}");
    assert!(door.wharf(&["images", "--format", "json"]).contains(&second));
    door.ctr_tells(&["images", "label", &second, "team=web"]);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q", "labels.team==web"]).trim(), second);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q", &format!("name=={name}")]).trim(), name);
    let refused = door.ctr_fails(&["images", "ls", "name=="]);
    assert!(!refused.is_empty());
    door.ctr_tells(&["images", "push", "--plain-http", &second]);
    assert_eq!(door.wharf(&["tags", &format!("{}/copy", registry.address())]).trim(), "2");
    // One blob, to where nobody has pushed anything.
    let target = row(&door.ctr_tells(&["images", "ls"]), &name)[2].to_owned();
    let manifest: Value = serde_json::from_str(&door.ctr_tells(&["content", "get", &target])).expect("it is JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (layer, kind) = (text(&manifest["layers"][0]["digest"]), text(&manifest["layers"][0]["mediaType"]));
    let blob = || {
        let stream = TcpStream::connect(registry.address()).expect("the registry listens");
        exchange(stream, "GET", &format!("/v2/parts/blobs/{layer}"), &[], b"")
    };
    assert_eq!(blob().status, 404, "the registry has it elsewhere alone");
    let parts = format!("{}/parts:1", registry.address());
    let pushed = door.ctr_tells(&["content", "push-object", "--plain-http", &parts, &layer, &kind]);
    assert_eq!(pushed, format!("Pushed {layer} {kind}\n"));
    let blob = blob();
    assert_eq!((blob.status, sum_of(&blob.body)), (200, layer));
    let absent = sum_of(b"nobody has this");
    let refused = door.ctr_fails(&["content", "push-object", "--plain-http", &parts, &absent, &kind]);
    assert!(refused.contains("not found"), "{refused}");
    // A name that no registry could have is for clients of containerd alone.
    door.ctr_tells(&["images", "tag", &name, "just a text"]);
    assert!(door.ctr_tells(&["images", "ls", "-q"]).contains("just a text"));
    door.wharf(&["rm", &name, &second]);
    door.wharf(&["gc"]);
    assert_eq!(door.ctr_tells(&["content", "ls", "-q"]).lines().count(), 4, "the other name holds them");
    door.ctr_tells(&["images", "rm", "--sync", "just a text"]);
    assert_eq!(door.ctr_tells(&["content", "ls", "-q"]), "");
    let blobs = fs::read_dir(door.store().join("blobs/sha256")).expect("the store has blobs");
    assert_eq!(blobs.count(), 0, "nothing is left on the disk when the command ends");
    // It takes that for a warning.
    let (is_done, said) = door.ctr_says(&["images", "rm", &name]);
    assert!(is_done && said.contains("not found"), "{said}");
}

/// containerd, docs/garbage-collection.md: a deletion is the cause of a collection, whoever removed what.
#[test]
fn what_nothing_needs_any_more_is_collected_by_the_server() {
    let registry = DockerRegistry::start(crate::support::docker_registry::Access::Open);
    registry.push("app", "1", &large(5, 2, 1_000));
    let name = format!("{}/app:1", registry.address());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open_with(directory.path(), &[]);
    let left = || fs::read_dir(door.store().join("blobs/sha256")).expect("the store has blobs").count();
    let wait = || {
        let begin = Instant::now();
        while left() > 0 {
            assert!(begin.elapsed() < TIMEOUT, "{} blobs are left", left());
            sleep(Duration::from_millis(20));
        }
    };
    for namespace in ["default", "team"] {
        door.ctr_tells(&["-n", namespace, "content", "fetch", "--plain-http", &name]);
        assert_eq!(left(), 4, "what an image needs stays");
        door.ctr_tells(&["-n", namespace, "images", "rm", &name]);
        wait();
    }
}

#[test]
fn content_is_written_labelled_and_removed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let text = "some bytes\n";
    let file = directory.path().join("some");
    fs::write(&file, text).expect("the directory is writable");
    let sum = wharf::hash::Digest::of(wharf::hash::Algorithm::Sha256, text.as_bytes()).to_string();
    let ingest = format!("ctr -a \"$0\" content ingest --expected-digest {sum} one < \"$1\"");
    door.shell(&ingest, &file);
    assert_eq!(door.ctr_tells(&["content", "get", &sum]), text);
    let table = door.ctr_tells(&["content", "ls"]);
    assert_eq!(row(&table, &sum)[1], "11B", "{table}");
    door.ctr_tells(&["content", "label", &sum, "containerd.io/gc.root=yes"]);
    door.wharf(&["gc"]);
    assert_eq!(door.ctr_tells(&["content", "ls", "-q"]).trim(), sum, "its label holds it");
    assert_eq!(door.ctr_tells(&["content", "active"]).lines().count(), 1, "a head and nothing else");
    door.ctr_tells(&["content", "rm", &sum]);
    let refused = door.ctr_fails(&["content", "get", &sum]);
    assert!(refused.contains("not found"), "{refused}");
    door.wharf(&["gc"]);
    assert!(!door.store().join("blobs/sha256").join(&sum[7..]).exists());
}

#[test]
fn leases_hold_until_they_are_removed() {
    let (_registry, _directory, door, name) = served();
    door.ctr_tells(&["leases", "create", "--id", "mine", "team=web"]);
    let table = door.ctr_tells(&["leases", "ls"]);
    assert!(row(&table, "mine").last().is_some_and(|labels| labels.contains("team=web")), "{table}");
    assert!(door.wharf(&["lease", "ls", "--format", "json"]).contains("mine"));
    let refused = door.ctr_fails(&["leases", "create", "--id", "mine"]);
    assert!(refused.contains("already exists"), "{refused}");
    door.ctr_tells(&["content", "fetch", "--plain-http", &name]);
    door.ctr_tells(&["leases", "rm", "--sync", "mine"]);
    assert!(!door.wharf(&["lease", "ls", "--format", "json"]).contains("mine"));
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]).trim(), name);
    assert!(require("ctr").is_absolute());
}
