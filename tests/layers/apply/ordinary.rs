//! Layers of an ordinary user: everything that can be set is, and the rest is told. The thread of each test gives its
//! rights away, and ends.

use super::apply_to;
use super::write::{Entry, block, character, directory, fifo, file, layer, link, symlink};
use crate::support::tree::{self, Tree};
use std::path::Path;
use std::{fs, io, thread};
use wharf::layers::Rights;
use wharf::layers::apply::{Applied, Aside, Budget};

/// The user that nobody is.
const NOBODY: libc::uid_t = 65_534;

/// Applies a layer as an ordinary user, who then reads the tree and removes it.
fn applied(entries: &[Entry]) -> (Applied, Tree) {
    let archive = layer(entries);
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().to_owned();
    std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).expect("this test needs root");
    let user = thread::spawn(move || {
        // SAFETY: plain numbers. The calls of the kernel, unlike those of the C library, are about this thread alone.
        let failed = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) != 0
                || libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) != 0
                || libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) != 0
        };
        assert!(!failed, "this test needs root: {}", io::Error::last_os_error());
        let applied = apply_to(&path, &archive, Rights::User, &Budget::default())
            .unwrap_or_else(|error| panic!("the layer applies: {error}"));
        let tree = tree::read(&path);
        for entry in fs::read_dir(&path).expect("the user can read the tree") {
            let entry = entry.expect("and each entry");
            let is_directory = entry.file_type().expect("which has a type").is_dir();
            let removed = if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.expect("the user can remove the tree");
        }
        (applied, tree)
    });
    user.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn aside(path: &str, owner: (u32, u32), mode: u32) -> Aside {
    Aside { path: path.into(), owner, mode, device: None, xattrs: Vec::new() }
}

#[test]
fn root_s_files_belong_to_the_user_and_need_no_notes() {
    let (applied, tree) = applied(&[
        directory("./"),
        file("f", b"x").mode(0o4755).xattr("user.a", b"b"),
        directory("d").mode(0o1777),
        symlink("l", "f").mtime("5"),
        link("h", "f").mode(0o4755),
        fifo("p"),
        file("d/.wh.gone", b""),
        file("d/.wh..wh..opq", b""),
    ]);
    assert_eq!(applied.aside, []);
    assert_eq!(applied.warnings, [""; 0]);
    let node = |path: &str| &tree[Path::new(path)];
    assert_eq!((node("f").mode, node("f").xattrs.len(), node("f").owner), (0o4755, 1, (NOBODY, NOBODY)));
    assert_eq!((node("d").mode, node("d/gone").kind, node("h").first.is_some()), (0o1777, 'w', true));
    assert_eq!(node("d").xattrs, [(b"user.overlay.opaque".to_vec(), b"y".to_vec())].into());
}

#[test]
fn what_the_user_may_not_set_is_kept_aside() {
    let (applied, tree) = applied(&[
        directory("./").owner(0, 1),
        file("owned", b"x").owner(1, 2).mode(0o6755),
        character("null", 1, 3).mode(0o666),
        link("null-too", "null").mode(0o666),
        block("loop", 7, 0).owner(0, 6),
        file("capable", b"x").xattr("security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        directory("shut").mode(0o50),
        file("shut/none", b"x").mode(0),
        symlink("link", "x").owner(9, 9),
        file("twice", b"").owner(5, 5),
        file("twice", b""),
    ]);
    let device = |aside: Aside, kind, major, minor| Aside { device: Some((kind, major, minor)), ..aside };
    let capability = (b"security.capability".to_vec(), b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
    assert_eq!(
        applied.aside,
        [
            aside("", (0, 1), 0o755),
            Aside { xattrs: vec![capability], ..aside("capable", (0, 0), 0o644) },
            aside("link", (9, 9), 0o777),
            device(aside("loop", (0, 6), 0o660), 'b', 7, 0),
            device(aside("null", (0, 0), 0o666), 'c', 1, 3),
            device(aside("null-too", (0, 0), 0o666), 'c', 1, 3),
            aside("owned", (1, 2), 0o6755),
            aside("shut", (0, 0), 0o50),
            aside("shut/none", (0, 0), 0),
        ]
    );
    let node = |path: &str| (tree[Path::new(path)].kind, tree[Path::new(path)].mode);
    assert_eq!((node("owned"), node("null"), node("null-too")), (('-', 0o755), ('-', 0o666), ('-', 0o666)));
    assert_eq!((node("shut"), node("shut/none")), (('d', 0o750), ('-', 0o400)));
}
