//! A command in the tree of an image, run by a user without rights who has ids to give to others, and by one who has not.
//! What the machine's own `/etc/subuid` says has no part in it. It takes root to begin with.

use super::trees::{image, pushed};
use super::{open_registry, wharf};
use crate::layers::apply::write::{Entry, directory, file, link, symlink};
use crate::support::require;
use crate::support::wharf::Wharf;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

fn base() -> Vec<Entry> {
    vec![
        directory("etc"),
        file("etc/hosts", b"hosts\n"),
        file("etc/shadow", b"secret\n").mode(0o640).owner(0, 42),
        file("etc/far", b"far\n").owner(70_000, 0),
        directory("srv"),
        directory("srv/www").mode(0o2750).owner(33, 33),
        file("srv/www/index", b"index\n").mode(0o600).owner(33, 33).xattr("user.kept", b"1"),
        // The last entry of a file decides what it looks like, whatever its name.
        link("srv/www/second", "srv/www/index").mode(0o600).owner(33, 33),
        symlink("srv/link", "www").owner(33, 34),
        file("srv/www/gone", b"gone\n").owner(33, 33),
    ]
}

/// Hides a file of [`base`], and takes another one back for root.
fn top() -> Vec<Entry> {
    vec![directory("srv"), file("srv/www/.wh.gone", b""), file("etc/hosts", b"new hosts\n").owner(0, 7)]
}

/// wharf as a user without rights, where `/etc/subuid` and `/etc/subgid` are `table`.
fn with_ids(root: &Path, wharf: Wharf, table: &str) -> Wharf {
    require("newuidmap");
    let path = root.join("subordinate");
    fs::write(&path, table).expect("a temporary directory");
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec \"$@\"";
    let before =
        ["unshare".as_ref(), "--mount".as_ref(), "sh".as_ref(), "-c".as_ref(), script.as_ref(), path.as_os_str()];
    wharf.run_by_nobody().with("PATH", PATH).under(before)
}

#[test]
fn a_user_with_ids_for_others_sees_the_owners_of_the_image_and_becomes_others() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base(), top()]));
    let (directory, wharf) = wharf();
    let wharf = with_ids(directory.path(), wharf, "somebody:100000:65536\nnobody:200000:1000\nnobody:300000:64536\n");
    wharf.run(&["pull", "-q", &reference]).success();
    let run = |script: &str| wharf.run(&["mount", &*reference, "--", "sh", "-c", script]);

    let output =
        run("stat -c '%A %u:%g %h %n' . etc etc/* srv srv/* srv/www/*; stat -c %Y srv srv/www etc/shadow | uniq");
    let expected = [
        "drwxr-xr-x 0:0 1 .",
        "drwxr-xr-x 0:0 1 etc",
        "-rw-r--r-- 0:0 1 etc/far",
        "-rw-r--r-- 0:7 1 etc/hosts",
        "-rw-r----- 0:42 1 etc/shadow",
        "drwxr-xr-x 0:0 1 srv",
        "lrwxrwxrwx 33:34 1 srv/link",
        "drwxr-s--- 33:33 1 srv/www",
        "-rw------- 33:33 2 srv/www/index",
        "-rw------- 33:33 2 srv/www/second",
        "1000000000",
    ];
    assert_eq!(output.stdout.lines().collect::<Vec<_>>(), expected, "{}", output.stderr);
    assert!(output.stderr.contains("1 files are shown as root's"), "{}", output.stderr);

    let become_other = "setpriv --reuid 33 --regid 33 --clear-groups";
    let output = run(&format!("{become_other} sh -c 'id -u; id -g; cat srv/www/index etc/hosts; cat etc/shadow'"));
    assert_eq!(output.stdout, "33\n33\nindex\nnew hosts\n", "{}", output.stderr);
    assert!(output.stderr.contains("etc/shadow: Permission denied"), "{}", output.stderr);
    let output = run("cat etc/shadow srv/www/second; echo more > srv/www/index");
    assert_eq!(output.stdout, "secret\nindex\n");
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    let output = run("exit 7");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(wharf.run(&["mount", &reference, "--", "no-such-command"]).status.code(), Some(127));
}

#[test]
fn a_user_without_ids_for_others_is_alone_in_the_namespace() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base()]));
    let (directory, wharf) = wharf();
    let wharf = with_ids(directory.path(), wharf, "somebody:100000:65536\n");
    wharf.run(&["pull", "-q", &reference]).success();
    let run = |script: &str| wharf.run(&["mount", &*reference, "--", "sh", "-c", script]);
    let output = run("stat -c '%u:%g' etc/shadow srv/www; cat /proc/self/uid_map | tr -s ' '");
    assert_eq!((&*output.stdout, &*output.stderr), ("0:0\n0:0\n 0 65534 1\n", ""));
    assert!(!run("setpriv --reuid 33 true").status.success());
}

#[test]
fn a_map_that_is_refused_leaves_the_user_alone_with_a_warning() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base()]));
    let (directory, wharf) = wharf();
    let wharf = with_ids(directory.path(), wharf, "nobody:200000:65536\n");
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).expect("a temporary directory");
    wharf.run(&["pull", "-q", &reference]).success();
    let wharf = wharf.with("PATH", format!("{}:{PATH}", programs.display()));
    // First the groups are mapped and the users are not, then neither.
    for program in ["newuidmap", "newgidmap"] {
        let path = programs.join(program);
        fs::write(&path, "#!/bin/sh\necho no ids today >&2\nexit 1\n").expect("a temporary directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        let output = wharf.run(&["mount", &reference, "--", "stat", "-c", "%u:%g", "etc/shadow"]);
        assert_eq!(output.stdout, "0:0\n", "{program}: {}", output.stderr);
        assert!(output.stderr.contains("no ids today"), "{program}: {}", output.stderr);
    }
}
