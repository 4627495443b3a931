//! `ctr` with snapshots: images that are pulled and mounted, trees that are written to, what changes in them, and a
//! container that does it. Needs root and `runc`.

use super::Door;
use super::peer::{Mounted, Peer};
use crate::layers::stacks::{NOW, comparable};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::push::large;
use crate::support::require;
use crate::support::tree::{self, Node, Tree};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use wharf::demo::image::{File, Image, Layer, Variant};

/// Files that are changed, replaced and removed by the layers above.
fn varied() -> Image {
    let file = |path, bytes| File { path, mode: 0o644, bytes };
    let layers = vec![
        Layer::new("COPY a", &[file("etc/a", b"1"), file("etc/b", b"2"), file("srv/deep/c", b"3")]),
        Layer::new("RUN rm", &[file("etc/.wh.b", b""), file("etc/a", b"changed")]),
        Layer::new("RUN replace", &[file("srv/.wh..wh..opq", b""), file("srv/new", b"4")]),
    ];
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers })
}

/// A registry with two images, and an empty store that is served.
fn served() -> (DockerRegistry, TempDir, Door) {
    let registry = DockerRegistry::start(Access::Open);
    registry.push("app", "1", &large(9, 3, 100_000));
    registry.push("varied", "1", &varied());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    (registry, directory, door)
}

/// The fields of the line that begins with `first`.
#[track_caller]
fn row<'t>(table: &'t str, first: &str) -> Vec<&'t str> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("`{first}` is not in:\n{table}")).split_whitespace().collect()
}

/// Mounts as `ctr` tells it.
#[track_caller]
fn mount(door: &Door, key: &str) -> Mounted {
    // As in: mount -t overlay overlay /at -o a=b,c=d
    let told = door.ctr_tells(&["snapshots", "mounts", "/at", key]);
    let words: Vec<_> = told.split_whitespace().collect();
    let ["mount", "-t", kind, source, "/at", "-o", options] = words[..] else { panic!("{told}") };
    Mounted::new(kind, source, &options.split(',').map(str::to_owned).collect::<Vec<_>>())
}

/// A tree as somebody sees it who has mounted it.
pub(super) fn seen(at: &Path) -> Tree {
    let mut tree = comparable(tree::read(at));
    tree.values_mut().for_each(|node| node.xattrs.retain(|name, _| !name.starts_with(b"trusted.overlay.")));
    tree
}

#[test]
fn an_image_is_pulled_checked_mounted_and_the_same_as_in_containerd() {
    let (registry, _directory, door) = served();
    let peer = Peer::start();
    for repository in ["app", "varied"] {
        let name = format!("{}/{repository}:1", registry.address());
        door.ctr_tells(&["images", "pull", "--plain-http", &name]);
        peer.ctr(&["images", "pull", "--plain-http", &name]);
        let checked = door.ctr_tells(&["images", "check"]);
        let line = row(&checked, &name);
        assert!(line.contains(&"complete") && line.last() == Some(&"true"), "{checked}");
        assert!(door.wharf(&["images", "--format", "json"]).contains(&name));
        let [ours, theirs] = [0, 1].map(|_| tempfile::tempdir().expect("a temporary directory"));
        let text = |at: &TempDir| at.path().to_str().expect("a text").to_owned();
        door.ctr_tells(&["images", "mount", &name, &text(&ours)]);
        peer.ctr(&["images", "mount", &name, &text(&theirs)]);
        let trees = [seen(ours.path()), seen(theirs.path())];
        door.ctr_tells(&["images", "unmount", "--rm", &text(&ours)]);
        peer.ctr(&["images", "unmount", "--rm", &text(&theirs)]);
        assert!(trees[0].len() > 3, "{repository}");
        let differences = tree::differences(&trees[0], &trees[1], |_, ours, theirs| {
            // What no entry names has the time of the extraction there.
            let is_younger = theirs.kind == 'd' && theirs.mtime.0 > NOW;
            is_younger && Node { mtime: theirs.mtime, ..ours.clone() } == *theirs
        });
        assert!(differences.is_empty(), "{repository}: {}", differences.join("\n"));
    }
    door.wharf(&["fsck"]);
    let listed = |table: String| table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let [ours, theirs] =
        [door.ctr_tells(&["snapshots", "ls"]), peer.ctr(&["snapshots", "ls"])].map(listed).map(|mut lines| {
            lines.iter_mut().for_each(|line| *line = line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.sort();
            lines
        });
    assert_eq!(ours.len(), 6, "{ours:?}");
    assert_eq!(ours, theirs, "keys are ChainIDs on both sides");
    for name in ["app", "varied"] {
        door.ctr_tells(&["images", "rm", "--sync", &format!("{}/{name}:1", registry.address())]);
    }
    assert_eq!(door.ctr_tells(&["snapshots", "ls"]).lines().count(), 1, "nothing is left");
}

#[test]
fn what_wharf_has_pulled_is_unpacked_already() {
    let (registry, _directory, door) = served();
    let name = format!("{}/app:1", registry.address());
    door.wharf(&["pull", "-q", &name]);
    let checked = door.ctr_tells(&["images", "check"]);
    assert_eq!(row(&checked, &name).last(), Some(&"true"), "{checked}");
    let digest = row(&door.ctr_tells(&["images", "ls"]), &name)[2].to_owned();
    door.ctr_tells(&["snapshots", "unpack", &digest]);
    let tree = door.ctr_tells(&["snapshots", "tree"]);
    assert_eq!(tree.lines().filter(|line| line.contains("sha256:")).count(), 3, "{tree}");
    let at = tempfile::tempdir().expect("a temporary directory");
    let at_text = at.path().to_str().expect("a text");
    door.ctr_tells(&["images", "mount", &name, at_text]);
    let files = fs::read_dir(at.path().join("srv")).expect("a directory").count();
    let refused = door.wharf(&["rm", &name]);
    assert!(at.path().join("srv/0").exists(), "what is mounted stays: {refused}");
    door.ctr_tells(&["images", "unmount", "--rm", at_text]);
    assert_eq!(files, 3);
}

#[test]
fn what_ctr_has_pulled_clients_of_docker_and_wharf_have_under_one_id() {
    let (registry, directory, door) = served();
    let name = format!("{}/app:1", registry.address());
    door.ctr_tells(&["images", "pull", "--plain-http", &name]);
    let listed = door.docker().get("/images/json").json(200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["RepoTags"], json!([name]));
    let id = listed[0]["Id"].as_str().expect("a text");
    assert_eq!(door.wharf(&["images", "-q", "--no-trunc"]), format!("{id}\n"));
    let shown = door.docker().docker_tells(directory.path(), &["images", "-q", "--no-trunc"]);
    assert_eq!(shown, format!("{id}\n"));
    // It is the same image by its digest too.
    let target = row(&door.ctr_tells(&["images", "ls"]), &name)[2].to_owned();
    let repository = name.strip_suffix(":1").expect("a tag");
    assert_eq!(listed[0]["RepoDigests"], json!([format!("{repository}@{target}")]));
    // What one takes away, nobody has.
    door.docker().docker_tells(directory.path(), &["rmi", &name]);
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]), "");
}

#[test]
fn an_archive_is_unpacked_when_it_is_imported() {
    let (registry, directory, door) = served();
    let name = format!("{}/varied:1", registry.address());
    door.wharf(&["pull", "-q", &name]);
    let archive = directory.path().join("varied.tar");
    let archive = archive.to_str().expect("a text");
    door.ctr_tells(&["images", "export", archive, &name]);
    // A store that has nothing of it.
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(elsewhere.path());
    door.ctr_tells(&["images", "import", "--no-unpack", archive]);
    let checked = door.ctr_tells(&["images", "check"]);
    let line = row(&checked, &name);
    assert!(line.contains(&"complete") && line.last() == Some(&"false"), "{checked}");
    door.ctr_tells(&["images", "import", archive]);
    let checked = door.ctr_tells(&["images", "check"]);
    let line = row(&checked, &name);
    assert!(line.contains(&"complete") && line.last() == Some(&"true"), "{checked}");
    assert_eq!(door.ctr_tells(&["snapshots", "ls"]).lines().count(), 4, "a head, and a line for each layer");
    let at = tempfile::tempdir().expect("a temporary directory");
    let at_text = at.path().to_str().expect("a text");
    door.ctr_tells(&["images", "mount", &name, at_text]);
    let text = |path: &str| fs::read_to_string(at.path().join(path)).ok();
    let found = ["etc/a", "etc/b", "srv/deep/c", "srv/new"].map(text);
    door.ctr_tells(&["images", "unmount", "--rm", at_text]);
    assert_eq!(found, [Some("changed".to_owned()), None, None, Some("4".to_owned())]);
    door.wharf(&["fsck"]);
}

#[test]
fn trees_are_written_to_committed_and_removed() {
    let (_registry, _directory, door) = served();
    let prepared = door.ctr_tells(&["snapshots", "prepare", "--mounts", "one"]);
    let mounts: Value = serde_json::from_str(&prepared).expect("it is JSON");
    assert_eq!((mounts[0]["Type"].as_str(), mounts.as_array().map(Vec::len)), (Some("overlay"), Some(1)), "{mounts}");
    let refused = door.ctr_fails(&["snapshots", "prepare", "one"]);
    assert!(refused.contains("already exists"), "{refused}");
    let client = mount(&door, "one");
    fs::write(client.path().join("file"), "written").expect("it can be written to");
    fs::create_dir(client.path().join("directory")).expect("it can be written to");
    drop(client);
    door.ctr_tells(&["snapshots", "commit", "base", "one"]);
    let refused = door.ctr_fails(&["snapshots", "mounts", "/at", "base"]);
    assert!(refused.contains("failed precondition"), "{refused}");
    let refused = door.ctr_fails(&["snapshots", "prepare", "two", "nothing"]);
    assert!(refused.contains("not found"), "{refused}");
    door.ctr_tells(&["snapshots", "prepare", "two", "base"]);
    door.ctr_tells(&["snapshots", "view", "look", "base"]);
    let view = mount(&door, "look");
    assert_eq!(fs::read_to_string(view.path().join("file")).expect("a file"), "written");
    assert!(fs::write(view.path().join("other"), "").is_err(), "it is read-only");
    drop(view);
    let listed = door.ctr_tells(&["snapshots", "ls"]);
    assert_eq!(row(&listed, "base"), ["base", "Committed"]);
    assert_eq!(row(&listed, "two"), ["two", "base", "Active"]);
    assert_eq!(row(&listed, "look"), ["look", "base", "View"]);
    let tree = door.ctr_tells(&["snapshots", "tree"]);
    assert!(tree.lines().any(|line| line.trim_start().starts_with("base")), "{tree}");
    let info: Value = serde_json::from_str(&door.ctr_tells(&["snapshots", "info", "two"])).expect("it is JSON");
    assert_eq!((&info["Kind"], &info["Name"], &info["Parent"]), (&json!("Active"), &json!("two"), &json!("base")));
    door.ctr_tells(&["snapshots", "label", "two", "team=web"]);
    let info: Value = serde_json::from_str(&door.ctr_tells(&["snapshots", "info", "two"])).expect("it is JSON");
    assert_eq!(info["Labels"]["team"], "web", "{info}");
    let used = door.ctr_tells(&["snapshots", "usage", "base"]);
    // The root, a file and a directory.
    assert_eq!(row(&used, "base").last(), Some(&"3"), "{used}");
    let refused = door.ctr_fails(&["snapshots", "rm", "base"]);
    assert!(refused.contains("failed precondition"), "{refused}");
    door.ctr_tells(&["snapshots", "rm", "two"]);
    door.ctr_tells(&["snapshots", "rm", "look"]);
    door.ctr_tells(&["snapshots", "rm", "base"]);
    let refused = door.ctr_fails(&["snapshots", "info", "base"]);
    assert!(refused.contains("not found"), "{refused}");
    let refused = door.ctr_fails(&["snapshots", "--snapshotter", "native", "ls"]);
    assert!(refused.contains("snapshotter not loaded: native"), "{refused}");
    door.wharf(&["fsck"]);
}

#[test]
fn what_a_container_writes_is_a_layer_and_a_snapshot() {
    let (_registry, directory, door) = served();
    door.ctr_tells(&["snapshots", "prepare", "system"]);
    let client = mount(&door, "system");
    let script = r#"cd "$0" && for file in /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*'); do
        mkdir -p ".$(dirname "$file")" && cp -L "$file" ".$file"; done && mkdir proc && echo gone > gone"#;
    let made = Command::new("sh").arg("-c").arg(script).arg(client.path()).status().expect("a shell");
    assert!(made.success());
    drop(client);
    door.ctr_tells(&["snapshots", "commit", "base", "system"]);
    door.ctr_tells(&["snapshots", "prepare", "container", "base"]);
    let client = mount(&door, "container");
    let bundle = directory.path().join("bundle");
    fs::create_dir(&bundle).expect("a directory");
    let config = json!({
        "ociVersion": "1.0.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", "echo written > /made && : > /gone"],
            "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": client.path()},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    });
    fs::write(bundle.join("config.json"), config.to_string()).expect("a file");
    let id = format!("wharf-{}", std::process::id());
    let mut runc = Command::new(require("runc"));
    runc.arg("--root").arg(directory.path().join("runc")).args(["run", "--bundle"]).arg(&bundle).arg(&id);
    let ran = runc.output().expect("runc starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    drop(client);
    let layer = directory.path().join("layer.tar.gz");
    door.shell("ctr -a \"$0\" snapshots diff container > \"$1\"", &layer);
    let listed = Command::new("tar").arg("tzf").arg(&layer).output().expect("tar starts");
    let listed = String::from_utf8(listed.stdout).expect("it is text");
    // What is in `dev` is made by runc.
    let names: Vec<_> = listed.lines().filter(|name| !name.ends_with('/') && !name.starts_with("dev/")).collect();
    assert_eq!(names, ["gone", "made"], "{listed}");
    door.ctr_tells(&["snapshots", "commit", "after", "container"]);
    door.ctr_tells(&["snapshots", "view", "look", "after"]);
    let view = mount(&door, "look");
    assert_eq!(fs::read_to_string(view.path().join("made")).expect("a file"), "written\n");
    assert_eq!(fs::read_to_string(view.path().join("gone")).expect("a file"), "");
    drop(view);
    // The views that `ctr` needs for a diff are gone with it.
    let listed = door.ctr_tells(&["snapshots", "ls"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    door.wharf(&["fsck"]);
}
