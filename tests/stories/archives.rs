//! Images, and the files of one, in one file: what other tools read of it, and that a file is there as a whole or not at
//! all.

use super::trees::{image, pushed};
use super::{json, open_registry, wharf};
use crate::layers::apply::write::{self, directory, file};
use crate::support::docker_registry::DockerRegistry;
use crate::support::push::large;
use crate::support::require;
use crate::support::wharf::Wharf;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use wharf::demo::image::demo;

/// A store with one platform of `app:1`, and all of `app:2`.
fn with_apps() -> (DockerRegistry, TempDir, Wharf, [String; 2]) {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    registry.push("app", "2", &large(3, 2, 100_000));
    let names = ["1", "2"].map(|tag| format!("{}/app:{tag}", registry.address()));
    let (directory, wharf) = wharf();
    wharf.run(&["pull", "-q", "--platform", "linux/amd64", &names[0]]).success();
    wharf.run(&["pull", "-q", "--no-unpack", &names[1]]).success();
    (registry, directory, wharf, names)
}

/// Runs a program of the machine in a directory, and returns what it wrote.
#[track_caller]
fn tell(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(require(program));
    command.current_dir(directory).args(arguments).env("HOME", directory).env_remove("XDG_RUNTIME_DIR");
    let output = command.output().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// The names in a directory but for the store's and the home's.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "store" && name != "home").collect();
    names.sort();
    names
}

/// The digest of the config, as wharf knows it.
fn id(wharf: &Wharf, name: &str) -> String {
    let images = json(&wharf.run(&["images", "--format", "json", name]).success());
    images[0]["id"].as_str().expect("an ID").to_owned()
}

#[test]
fn other_tools_read_what_was_saved() {
    let (_registry, directory, wharf, [one, two]) = with_apps();
    let at = directory.path();
    let path = |name: &str| at.join(name).to_string_lossy().into_owned();
    let output = wharf.run(&["save", &one, &two, "-o", &path("both.tar")]);
    assert_eq!(output.stdout, "");
    let (notes, summary) = output.stderr.trim_end().rsplit_once('\n').expect("two lines");
    assert!(notes.starts_with(&format!("`{one}` has 1 of the ")), "{notes}");
    assert!(summary.starts_with("saved ") && summary.contains(&two), "{summary}");
    output.success();
    for name in [&one, &two] {
        let config = tell(at, "skopeo", &["inspect", "--raw", "--config", &format!("docker-archive:both.tar:{name}")]);
        let digest = wharf::demo::image::digest(config.as_bytes());
        assert_eq!(digest, id(&wharf, name), "skopeo reads the same config of {name}");
    }
    let storage = ["--root", "podman/storage", "--runroot", "podman/run", "--storage-driver", "vfs"];
    let loaded = tell(at, "podman", &[&storage, &["load", "-i", "both.tar"][..]].concat());
    assert!(loaded.contains(&one) && loaded.contains(&two), "{loaded}");
    let ids = tell(at, "podman", &[&storage, &["images", "--no-trunc", "-q"][..]].concat());
    for name in [&one, &two] {
        assert!(ids.contains(&id(&wharf, name)), "{ids}");
    }

    wharf.run(&["save", "-q", "--format", "oci-archive", &two, "-o", &path("two.tar")]).success();
    tell(at, "skopeo", &["copy", "-q", "oci-archive:two.tar", "dir:copied"]);
    wharf.run(&["save", "-q", "--format", "oci-dir", &two, "-o", &path("layout")]).success();
    let listed = json(&tell(at, "umoci", &["stat", "--image", "layout:2", "--json"]));
    assert_eq!(listed["history"].as_array().expect("steps").len(), 2);
    let again = wharf.run(&["save", "--format", "oci-dir", &two, "-o", &path("layout")]).failure();
    assert!(again.contains("not empty"), "{again}");
    assert_eq!(files(at), ["both.tar", "copied", "layout", "podman", "two.tar"], "nothing else was left");
}

#[test]
fn the_same_images_make_the_same_bytes_in_another_store() {
    let (registry, directory, first, [one, two]) = with_apps();
    let (other, second) = wharf();
    // In another order, and with more beside them.
    registry.push("more", "1", &large(4, 1, 1_000));
    second.run(&["pull", "-q", &two]).success();
    second.run(&["pull", "-q", &format!("{}/more:1", registry.address())]).success();
    second.run(&["pull", "-q", "--platform", "linux/amd64", &one]).success();
    let archives = [(&first, directory.path(), [&one, &two]), (&second, other.path(), [&two, &one])];
    let archives = archives.map(|(wharf, at, names)| {
        let path = at.join("archive.tar");
        wharf.run(&["save", "-q", names[0], names[1], "-o", &path.to_string_lossy()]).success();
        fs::read(path).expect("the archive")
    });
    assert!(archives[0] == archives[1]);
}

#[test]
fn a_damaged_blob_ends_the_command_and_the_old_file_stays() {
    let (_registry, directory, wharf, [_, two]) = with_apps();
    let (target, link) = (directory.path().join("archive.tar"), directory.path().join("link.tar"));
    fs::write(&target, "old").expect("a file");
    symlink("archive.tar", &link).expect("a link");
    let inspected = json(&wharf.run(&["inspect", "--manifests", &two]).success());
    let manifest = fs::read_to_string(
        wharf
            .store()
            .join("blobs/sha256")
            .join(inspected[0]["Descriptor"]["digest"].as_str().expect("a digest").trim_start_matches("sha256:")),
    );
    let manifest = json(&manifest.expect("the manifest"));
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    let blob = wharf.store().join("blobs/sha256").join(layer);
    let mut bytes = fs::read(&blob).expect("the layer");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(&blob).expect("the layer");
    fs::write(&blob, &bytes).expect("the layer");
    let error = wharf.run(&["save", &two, "-o", &link.to_string_lossy()]).failure();
    assert!(error.contains("a blob is damaged: its bytes hash to") && error.contains("hint: wharf fsck"), "{error}");
    assert_eq!(fs::read_to_string(&target).expect("the old file"), "old");
    assert_eq!(files(directory.path()), ["archive.tar", "link.tar"]);

    bytes[last] ^= 1;
    fs::write(&blob, &bytes).expect("the layer");
    wharf.run(&["save", "-q", &two, "-o", &link.to_string_lossy()]).success();
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::metadata(&target).expect("the new file").len() > 200_000);
}

#[test]
fn what_cannot_be_written_is_told() {
    let (_registry, directory, wharf, [_, two]) = with_apps();
    let at = directory.path().to_string_lossy().into_owned();
    let rows = [
        (vec!["-o", at.as_str()], "it is a directory"),
        (vec!["-o", "/dev/full"], "No space left on device"),
        (vec!["-o", "/nowhere/archive.tar"], "No such file or directory"),
        (vec!["--format", "oci-dir"], "a directory needs a place"),
        (vec!["--platform", "linux/s390x", "-o", "/dev/null"], "no platform that is here matches `linux/s390x`"),
    ];
    for (options, expected) in rows {
        let error = wharf.run(&[&["save", &two], &options[..]].concat()).failure();
        assert!(error.contains(expected), "{error}");
    }
    wharf.run(&["save", "-q", &two, "-o", "/dev/null"]).success();
}

/// By root and by a user without rights, whose store has the owners beside the trees.
#[test]
fn an_image_is_exported_as_it_is_mounted() {
    let registry = open_registry();
    let layers = [
        vec![
            directory("./"),
            directory("etc"),
            file("etc/shadow", b"secret\n").mode(0o640).owner(0, 42),
            file("etc/old", b"old\n"),
            write::link("etc/again", "etc/shadow").mode(0o640).owner(0, 42),
            file("tool", b"#!\n").mode(0o4755).owner(1000, 70_000).xattr("user.kept", b"1"),
            write::character("null", 1, 3).mode(0o666),
            write::symlink("link", "etc/shadow").owner(33, 34).mtime("7.25"),
        ],
        // What a layer does not name of the root has the time of its extraction.
        vec![
            directory("./"),
            directory("etc").mode(0o711),
            file("etc/.wh.old", b""),
            file("etc/new", b"new\n").mode(0o600),
        ],
    ];
    let reference = pushed(&registry, "1", &image(&layers));
    let (directory, wharf) = wharf();
    let path = directory.path().join("root.tar");
    wharf.run(&["pull", "-q", "--no-unpack", &reference]).success();
    let said = wharf.run(&["export", &reference, "-o", &path.to_string_lossy()]);
    assert!(said.stderr.contains(&format!("in {}: 8 entries, ", path.display())), "{}", said.stderr);
    said.success();
    let exported = fs::read(&path).expect("the archive");
    let shell = "\"$0\" --root \"$1\" export -q \"$2\" | cmp - \"$3\"";
    let store = wharf.store().to_string_lossy().into_owned();
    let program = env!("CARGO_BIN_EXE_wharf");
    tell(directory.path(), "sh", &["-c", shell, program, &store, &reference, &path.to_string_lossy()]);

    let names = tell(directory.path(), "tar", &["-tvf", "root.tar", "--numeric-owner", "--utc", "--full-time"]);
    let rows: Vec<_> = names.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "drwx--x--x 0/0 0 2001-09-09 01:46:40 etc/",
        "hrw-r----- 0/42 0 2001-09-09 01:46:40 etc/shadow link to etc/again",
        "lrwxrwxrwx 33/34 0 1970-01-01 00:00:07.25 link -> etc/shadow",
        "crw-rw-rw- 0/0 1,3 2001-09-09 01:46:40 null",
        "-rwsr-xr-x 1000/70000 3 2001-09-09 01:46:40 tool",
    ];
    for row in expected {
        assert!(rows.iter().any(|listed| listed == row), "{row} in {rows:#?}");
    }
    assert!(rows[0].ends_with(" ./") && !names.contains("old"), "{names}");

    let (other, wharf) = super::wharf();
    let wharf = wharf.run_by_nobody();
    wharf.run(&["pull", "-q", &reference]).success();
    let path = other.path().join("home/user.tar");
    wharf.run(&["export", "-q", &reference, "-o", &path.to_string_lossy()]).success();
    let user = fs::read(path).expect("the archive");
    assert!(user == exported, "the archive of a user is another one");
}

#[test]
fn what_cannot_be_exported_is_told() {
    let (_registry, directory, wharf, [_, two]) = with_apps();
    let at = directory.path().to_string_lossy().into_owned();
    for (output, expected) in [
        (at.as_str(), "it is a directory"),
        ("/dev/full", "No space left on device"),
        ("/nowhere/root.tar", "No such file or directory"),
    ] {
        let error = wharf.run(&["export", &two, "-o", output]).failure();
        assert!(error.contains(expected), "{error}");
    }
    let error = wharf.run(&["export", "nothing", "-o", "/dev/null"]).failure();
    assert!(error.contains("cannot export `nothing`"), "{error}");
    assert_eq!(files(directory.path()), [""; 0], "nothing was left");
}

/// A registry that is away is the usual failure: nothing is written then, and what was there stays.
#[test]
fn what_is_not_here_is_fetched_before_it_is_saved() {
    let (mut registry, directory, wharf, [one, _]) = with_apps();
    let at = directory.path();
    let all = at.join("all.tar").to_string_lossy().into_owned();
    fs::write(&all, "what was there").expect("the directory can be written");
    let save = ["save", "--complete", "--retries", "0", "-o", &all, &one];
    registry.stop();
    let told = wharf.run(&save).failure();
    assert!(told.contains(&format!("what is not here of `{one}` cannot be fetched")), "{told}");
    assert_eq!(fs::read(&all).expect("it is there"), b"what was there");
    assert_eq!(files(at), ["all.tar"]);
    registry.start_again();
    let told = wharf.run(&save);
    assert!(!told.stderr.contains("manifests that its index lists"), "{}", told.stderr);
    told.success();
    let (_other, second) = super::wharf();
    second.run(&["load", "-q", "--no-unpack", "-i", &all]).success();
    let digest = |wharf: &Wharf| {
        let images = json(&wharf.run(&["images", "--format", "json", &one]).success());
        (images[0]["target"]["digest"].clone(), images[0]["platforms"].as_array().map(Vec::len))
    };
    assert_eq!(digest(&second), digest(&wharf));
    assert_eq!(digest(&second).0, *demo().root().digest);
}

/// GNU tar says nothing of an archive without an end. An archive of images has one, and what comes without it was cut; the
/// files of an image may be so, as for docker.
#[test]
fn an_archive_without_its_end_is_no_archive_of_images() {
    let (_registry, directory, wharf, [one, _]) = with_apps();
    let at = directory.path();
    let path = |name: &str| at.join(name).to_string_lossy().into_owned();
    let cut = |name: &str| {
        let bytes = fs::read(path(name)).expect("it was written");
        let (rest, end) = bytes.split_at(bytes.len() - 1024);
        assert!(end.iter().all(|byte| *byte == 0) && rest.iter().any(|byte| *byte != 0));
        fs::write(path("cut.tar"), rest).expect("the directory can be written");
        tell(at, "tar", &["-tf", "cut.tar"]);
    };
    wharf.run(&["save", "-q", "--platform", "linux/amd64", "-o", &path("image.tar"), &one]).success();
    cut("image.tar");
    let told = wharf.run(&["load", "-i", &path("cut.tar")]).failure();
    assert!(told.contains("it was cut off"), "{told}");
    tell(at, "sh", &["-c", "mkdir root && echo hello >root/greeting && tar -C root -b 1 -cf root.tar ."]);
    cut("root.tar");
    wharf.run(&["import", "-q", &path("cut.tar"), "cut:1"]).success();
    assert_eq!(wharf.run(&["cat", "cut:1", "/greeting"]).success(), "hello\n");
}
