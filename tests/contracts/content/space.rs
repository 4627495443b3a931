//! Disks that are full. The limit on the size of a file works for everybody and everywhere; a small file system and a
//! quota are tried where the kernel lets this user mount.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use wharf::content::{Error, Ingest};

use super::{MIB, STORE, again, assigned, everything, open, pattern, put, say, sha256};

/// Appends until there is no space, and returns how much there was.
fn fill(ingest: &Ingest) -> u64 {
    for _ in 0..1000 {
        let before = ingest.offset();
        match ingest.append(&pattern(100_000)) {
            Ok(()) => assert_eq!(ingest.offset(), before + 100_000),
            Err(Error::NoSpace) => return before,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("there is always more space")
}

#[test]
fn a_full_disk_gives_its_space_back() {
    if let Some(directory) = assigned() {
        let content = open(&directory);
        let free = || {
            let space = rustix::fs::statvfs(&directory).expect("the space of the file system");
            space.f_bfree * space.f_frsize
        };
        let before = free();
        let held = content.ingest("too large").expect("an ingest");
        let filled = fill(&held);
        assert!(filled >= MIB as u64, "only {filled} bytes went in");
        assert_eq!(held.offset(), 0, "the ingest is empty again");
        let data = directory.join("ingest").join(sha256(b"too large").encoded()).join("data");
        assert_eq!(fs::metadata(data).map(|data| (data.len(), data.blocks())).expect("the data"), (0, 0));

        // It works again at once, with the same handle, with resumed bytes, and for others.
        assert_eq!(fill(&held), filled, "all the space is there again");
        held.append(&pattern(MIB)).expect("space");
        drop(held);
        let resumed = content.ingest("too large").expect("the ingest");
        assert_eq!(resumed.offset(), MIB as u64);
        fill(&resumed);
        assert_eq!(resumed.offset(), 0);
        drop(resumed);
        let blob = put(&content, &pattern(MIB));
        assert_eq!(everything(&blob), pattern(MIB));
        let digest = *blob.digest();
        drop(blob);
        content.remove(&digest).expect("nobody holds it");
        // Only a file system of its own is as empty as before; on a shared one others are at work.
        if std::env::var_os("WHARF_TEST_ALONE").is_some() {
            assert!(before - free() <= 64 << 10, "{} bytes are lost", before - free());
        }
        say("gave it back");
        return;
    }
    let limited = r#"trap '' XFSZ && ulimit -f 8192 && exec "$@""#;
    let small = r#"mount -t tmpfs -o size=6m,mode=700 none "$WHARF_TEST_STORE" && WHARF_TEST_ALONE=1 exec "$@""#;
    let quota = r#"mount -t tmpfs -o size=64m,mode=700,usrquota,usrquota_block_hardlimit=6m none "$WHARF_TEST_STORE" && exec "$@""#;
    let shell = |script: &'static str| ["sh", "-c", script, "sh"];
    let private = if rustix::process::geteuid().is_root() {
        vec!["unshare", "--mount"]
    } else {
        vec!["unshare", "--user", "--map-root-user", "--mount"]
    };
    for (what, everywhere, prefix) in [
        ("a limit on the size of files", true, shell(limited).to_vec()),
        ("a full file system", false, [&private[..], &shell(small)].concat()),
        ("a full quota", false, [&private[..], &shell(quota)].concat()),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Whether this user may mount at all is not the store's doing, so it is asked with a program that cannot fail.
        let probe = [&prefix[..], &["true"]].concat();
        let mut probe_command = Command::new(probe[0]);
        probe_command.args(&probe[1..]).env(STORE, directory.path()).stderr(Stdio::null());
        if !everywhere && !probe_command.status().is_ok_and(|status| status.success()) {
            println!("{what}: not tried, because this user cannot mount it");
            continue;
        }
        let output = again(module_path!(), "a_full_disk_gives_its_space_back", directory.path(), &prefix)
            .output()
            .expect("a child");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("gave it back"), "{what}: {output:?}");
        println!("{what}: tried");
    }
}
