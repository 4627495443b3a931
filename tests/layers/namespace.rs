//! The store of an ordinary user, and commands that see a snapshot in namespaces of their own. The tests run as root
//! and start themselves again as somebody else.

use super::shelf::{self, id, named, whiteout};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use wharf::layers::apply::{Applied, Aside};
use wharf::layers::view::Kind;
use wharf::layers::{Entrance, Error, Layers, Rights, Snapshot, Subordinate, View};

/// Where the store of the other user is.
pub(super) const DIRECTORY: &str = "WHARF_TEST_DIRECTORY";
/// A user and a group that own nothing.
const NOBODY: u32 = 65_534;

/// Runs the test `name` again as an ordinary user, with a directory of its own.
pub(super) fn as_a_user(name: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let own = directory.path().join("own");
    shelf::directory(own.clone(), 0o700, (NOBODY, NOBODY));
    // The file itself may be executed by anybody; the directories that lead to it need not be open to them.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", name, "--nocapture"]).env(DIRECTORY, own).uid(NOBODY).gid(NOBODY).current_dir("/");
    let output = command.output().expect("the test starts again");
    assert!(output.status.success(), "{}", text(&output));
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A shell that sees the snapshot.
fn shell(entrance: Entrance, script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    // SAFETY: `enter` makes only calls that are safe between `fork` and `exec`.
    unsafe { command.pre_exec(move || entrance.enter()) };
    command
}

/// A stack of two layers: the upper one hides a file and has one that the user does not own.
fn stack(layers: &Layers) -> Snapshot {
    let base = shelf::layer(layers, "base", named(), |tree| {
        fs::write(tree.join("gone"), "").expect("a file");
        fs::write(tree.join("below"), "below").expect("a file");
        fs::create_dir(tree.join("hidden")).expect("a directory");
        fs::write(tree.join("hidden/old"), "").expect("a file");
    });
    let base = layers.stack("base", None, &base).expect("a snapshot");
    let aside = [
        Aside { path: b"shadow".to_vec(), owner: (0, 42), mode: 0o4640, device: None, xattrs: Vec::new() },
        Aside {
            path: b"null".to_vec(),
            owner: (0, 0),
            mode: 0o666,
            device: Some(('c', 1, 3)),
            xattrs: vec![(b"security.capability".to_vec(), b"1".to_vec())],
        },
    ];
    let is_user = layers.rights() == Rights::User;
    let aside = if is_user { aside.to_vec() } else { Vec::new() };
    let top = shelf::layer(layers, "top", Applied { aside, ..named() }, |tree| {
        whiteout(&tree.join("gone"));
        fs::write(tree.join("shadow"), "secret").expect("a file");
        fs::write(tree.join("null"), "").expect("a file");
        fs::create_dir(tree.join("hidden")).expect("a directory");
        let mark = if is_user { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
        rustix::fs::lsetxattr(tree.join("hidden"), mark, b"y", rustix::fs::XattrFlags::empty()).expect("the mark");
    });
    layers.stack("top", Some(&base), &top).expect("a snapshot")
}

fn sees_everything(layers: &Layers, directory: &Path) {
    let snapshot = stack(layers);
    let at = directory.join("at");
    fs::create_dir(&at).expect("a directory");
    let entrance = layers.entrance(&snapshot, &at).expect("an entrance");
    let script = "id -u; pwd; cat below shadow; ls hidden; ls gone 2>/dev/null; touch new 2>/dev/null || echo refused";
    let output = shell(entrance, script).output().expect("a shell");
    assert_eq!(text(&output), format!("0\n{}\nbelowsecretrefused\n", at.display()));
    assert_eq!(fs::read_dir(&at).expect("the directory").count(), 0, "nobody else sees it");
    assert!(layers.mounts().expect("mounts").is_empty());
}

#[test]
fn a_command_of_root_sees_the_snapshot_and_nobody_else_does() {
    if std::env::var_os(DIRECTORY).is_none() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = directory.path().join("store");
        fs::create_dir(&store).expect("a directory");
        sees_everything(&shelf::open(&store, "this boot"), directory.path());
    }
}

#[test]
fn a_command_of_a_user_sees_the_snapshot_and_nobody_else_does() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return as_a_user("layers::namespace::a_command_of_a_user_sees_the_snapshot_and_nobody_else_does");
    };
    let store = Path::new(&directory).join("store");
    fs::create_dir(&store).expect("a directory");
    sees_everything(&shelf::open(&store, "this boot"), Path::new(&directory));
}

#[test]
fn a_snapshot_that_a_command_sees_is_in_use() {
    if shelf::runs_elsewhere() {
        return;
    }
    if std::env::var_os(DIRECTORY).is_some() {
        return;
    }
    let shelf = shelf::Shelf::new();
    let snapshot = stack(&shelf.layers);
    let at = tempfile::tempdir().expect("a temporary directory");
    let entrance = shelf.layers.entrance(&snapshot, at.path()).expect("an entrance");
    drop(snapshot);
    let mut command = shell(entrance, "read line");
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("a shell");
    assert!(matches!(shelf.layers.remove("top"), Err(Error::InUse)), "the entrance pins it");
    // The handle is gone; what is left is a mount in another namespace.
    drop(command);
    assert!(matches!(shelf.layers.remove("top"), Err(Error::InUse)));
    drop(child.stdin.take());
    child.wait().expect("it ends");
    shelf.layers.remove("top").expect("nobody uses it");
}

#[test]
fn a_user_without_the_right_to_mount_is_told_what_to_do() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return as_a_user("layers::namespace::a_user_without_the_right_to_mount_is_told_what_to_do");
    };
    let layers = shelf::open(Path::new(&directory), "this boot");
    let snapshot = stack(&layers);
    let at = fs::File::open(&directory).expect("a directory");
    let refused = layers.mount(&snapshot, std::os::fd::AsFd::as_fd(&at)).expect_err("it takes root");
    assert!(refused.to_string().contains("`wharf mount REF -- COMMAND`"), "{refused}");
}

#[test]
fn the_store_of_a_user_tells_what_could_not_be_set_and_is_removed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return as_a_user("layers::namespace::the_store_of_a_user_tells_what_could_not_be_set_and_is_removed");
    };
    let layers = shelf::open(Path::new(&directory), "this boot");
    let snapshot = stack(&layers);
    let view = View::new(&layers, &snapshot).expect("a view");
    let shadow = view.entry(b"shadow").expect("an entry");
    assert_eq!((shadow.kind, shadow.mode, shadow.owner, shadow.size), (Kind::File, 0o4640, (0, 42), 6));
    let null = view.entry(b"null").expect("an entry");
    assert_eq!((null.kind, null.device, null.owner), (Kind::Character, Some((1, 3)), (0, 0)));
    assert_eq!(null.attributes, [b"security.capability".to_vec()]);
    let names: Vec<_> = view.walk().map(|step| String::from_utf8(step.expect("a step").0).expect("UTF-8")).collect();
    assert_eq!(names, ["", "below", "hidden", "null", "shadow"]);
    drop((view, snapshot));

    let odd = shelf::layer(&layers, "odd", named(), |tree| {
        fs::create_dir_all(tree.join("a/b")).expect("directories");
        fs::write(tree.join("a/b/f"), "").expect("a file");
        for path in ["a/b/f", "a/b", "a", ""] {
            fs::set_permissions(tree.join(path), fs::Permissions::from_mode(0o0)).expect("a mode");
        }
    });
    drop(layers.stack("odd", None, &odd).expect("a snapshot"));
    drop(odd);
    for name in ["odd", "top", "base"] {
        layers.remove(name).expect("nobody uses it");
    }
    for name in ["layers", "extract"] {
        assert_eq!(fs::read_dir(Path::new(&directory).join(name)).expect("a directory").count(), 0, "{name}");
    }
    assert!(matches!(layers.layer(&id("odd")), Err(Error::NotFound)));
}

#[test]
fn what_is_settled_for_a_user_keeps_what_could_not_be_set() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return as_a_user("layers::namespace::what_is_settled_for_a_user_keeps_what_could_not_be_set");
    };
    let layers = shelf::open(Path::new(&directory), "this boot");
    let aside = Aside { path: b"d".to_vec(), owner: (9, 9), mode: 0o2700, device: None, xattrs: Vec::new() };
    let make = |tree: &Path| {
        fs::create_dir(tree.join("d")).expect("a directory");
        fs::set_permissions(tree.join("d"), fs::Permissions::from_mode(0o755)).expect("a mode");
    };
    let base = shelf::layer(&layers, "base", Applied { aside: vec![aside], ..named() }, make);
    let base = layers.stack("base", None, &base).expect("a snapshot");
    let top = shelf::layer(&layers, "top", Applied { implied: vec![b"d".to_vec()], ..named() }, make);
    let top = layers.stack("top", Some(&base), &top).expect("a snapshot");
    let entry = View::new(&layers, &top).expect("a view").entry(b"d").expect("an entry");
    assert_eq!((entry.owner, entry.mode), ((9, 9), 0o2700));
}

#[test]
fn owners_that_cannot_be_shown_are_told() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return as_a_user("layers::namespace::owners_that_cannot_be_shown_are_told");
    };
    let layers = shelf::open(Path::new(&directory), "this boot");
    let at = Path::new(&directory).join("at");
    fs::create_dir(&at).expect("a directory");
    let owned = |path: &str, owner: u32| {
        let path = path.as_bytes().to_vec();
        Aside { path, owner: (owner, 0), mode: 0o644, device: None, xattrs: Vec::new() }
    };
    let warnings = |name: &str, aside: Vec<Aside>, size: u64| {
        let layer = shelf::layer(&layers, name, Applied { aside, ..named() }, |tree| {
            for file in ["one", "two"] {
                fs::File::create(tree.join(file)).and_then(|file| file.set_len(size)).expect("a file with a hole");
            }
        });
        let snapshot = layers.stack(name, None, &layer).expect("a snapshot");
        let subordinate = Subordinate::new(NOBODY, &[(200_000, 1_000)], NOBODY, &[(200_000, 1_000)]);
        layers.entrance_with(&snapshot, &at, subordinate).expect("an entrance").2
    };
    assert_eq!(warnings("plain", Vec::new(), 1 << 40), [""; 0]);
    assert_eq!(warnings("small", vec![owned("one", 33), owned("two", 1_000)], 1), [""; 0]);
    let [outside] = &warnings("outside", vec![owned("one", 33), owned("two", 1_001)], 1)[..] else { panic!("one") };
    assert!(outside.starts_with("1 files are shown as root's"), "{outside}");
    let [large] = &warnings("large", vec![owned("one", 33), owned("two", 33)], 200 << 20)[..] else { panic!("one") };
    assert!(large.contains("419430400 bytes"), "{large}");
}
