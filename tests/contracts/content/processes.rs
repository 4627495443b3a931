//! Several processes on one store: one that is killed, one that waits, and one that lets everybody look. A test
//! that needs another process starts itself again. Full disks are in `space`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use super::{MIB, Store, again, assigned, check_error, open, pattern, put, say, sha256, tree, wait_for};

/// How long a test waits for another process before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_ingest_continues_after_its_writer_was_killed() {
    const CHUNK: usize = 70_001;
    if let Some(store) = assigned() {
        let ingest = open(&store).ingest("default/killed").expect("an ingest");
        // Slow from 2 MiB on, so that it is killed in the middle; and bounded, should the parent be killed first.
        for chunk in pattern(64 * MIB).chunks(CHUNK) {
            ingest.append(chunk).expect("space");
            if ingest.offset() > 2 * MIB as u64 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        return;
    }
    let store = Store::new();
    let mut child =
        again(module_path!(), "an_ingest_continues_after_its_writer_was_killed", store.directory.path(), &[])
            .spawn()
            .expect("a child");
    let began = Instant::now();
    while fs::metadata(store.data_path("default/killed")).map_or(0, |data| data.len()) < 3 * MIB as u64 {
        assert!(began.elapsed() < PATIENCE, "the child does not write");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("the child runs");
    child.wait().expect("the child is dead");

    let ingest = store.content.try_ingest("default/killed").expect("no failure").expect("the dead hold nothing");
    let offset = usize::try_from(ingest.offset()).expect("a small offset");
    assert!((3 * MIB..64 * MIB).contains(&offset), "{offset}");
    let bytes = pattern(64 * MIB);
    ingest.append(&bytes[offset..]).expect("space");
    let blob = ingest.commit(&sha256(&bytes), bytes.len() as u64).expect("the bytes are those of both writers");
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", blob.digest().encoded())]);
}

#[test]
fn of_two_processes_one_waits_and_then_finds_the_blob() {
    let bytes = pattern(MIB);
    let digest = sha256(&bytes);
    if let Some(store) = assigned() {
        let ingest = open(&store).ingest("shared").expect("an ingest");
        say("holding");
        std::io::stdin().read_exact(&mut [0]).expect("a word from the parent");
        ingest.append(&bytes).expect("space");
        ingest.commit(&digest, bytes.len() as u64).expect("a blob");
        return;
    }
    let store = Store::new();
    let mut child =
        again(module_path!(), "of_two_processes_one_waits_and_then_finds_the_blob", store.directory.path(), &[])
            .spawn()
            .expect("a child");
    wait_for(&mut child, "holding");
    assert!(store.content.try_ingest("shared").expect("no failure").is_none());
    check_error(store.content.blob(&digest), "NotFound");

    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let ingest = store.content.ingest("shared").expect("an ingest");
            (ingest.offset(), store.content.blob(&digest).expect("the other one's blob").size())
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!waiter.is_finished(), "it did not wait");
        child.stdin.as_mut().expect("a pipe").write_all(b".").expect("the child listens");
        assert_eq!(waiter.join().expect("no panic"), (0, MIB as u64));
    });
    assert!(child.wait().expect("the child ends").success());
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())]);
}

#[test]
fn nobody_else_may_look_into_the_store() {
    if let Some(store) = assigned() {
        let content = open(&store);
        put(&content, b"blob");
        content.ingest("x").expect("an ingest").append(b"bytes").expect("space");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Made by an earlier version, or by hand.
    fs::create_dir_all(directory.path().join("blobs/sha256")).expect("a directory");
    fs::set_permissions(directory.path().join("blobs"), fs::Permissions::from_mode(0o777)).expect("permissions");
    let shell = ["sh", "-c", r#"umask 0 && exec "$@""#, "sh"];
    let output = again(module_path!(), "nobody_else_may_look_into_the_store", directory.path(), &shell)
        .output()
        .expect("a child");
    assert!(output.status.success(), "{output:?}");
    let (blob, key) = (sha256(b"blob").encoded(), sha256(b"x").encoded());
    let expected = [
        "040700 blobs".to_string(),
        "040700 blobs/sha256".to_string(),
        format!("100400 blobs/sha256/{blob}"),
        "040700 blobs/sha512".to_string(),
        "040700 ingest".to_string(),
        format!("040700 ingest/{key}"),
        format!("100600 ingest/{key}/data"),
        format!("100600 ingest/{key}/name"),
    ];
    assert_eq!(tree(directory.path()), expected);
}
