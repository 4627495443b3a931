//! What a power cut, a process that died or a careless hand leaves in the store's directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::{Store, everything, sha256};

/// A power cut on a file system that promises little, or a careless hand, leaves anything under the name of a blob.
#[test]
fn a_damaged_blob_is_replaced_by_a_commit_and_can_be_removed() {
    type Damage = fn(&Path);
    let damages: [(&str, bool, Damage); 5] = [
        ("an empty file", true, |path| fs::write(path, b"").expect("a file")),
        ("a longer file", true, |path| fs::write(path, b"whole, and then some").expect("a file")),
        ("a directory", false, |path| fs::create_dir_all(path.join("below")).expect("a directory")),
        ("a symbolic link", false, |path| symlink("/etc/passwd", path).expect("a link")),
        ("a socket", false, |path| drop(std::os::unix::net::UnixListener::bind(path).expect("a socket"))),
    ];
    for (what, visible, damage) in damages {
        let digest = sha256(b"whole");
        let store = Store::new();
        // A socket's path has to be short, so it is made beside and moved.
        let place = |path: &Path| {
            damage(&store.path("damage"));
            fs::rename(store.path("damage"), path).expect("a move");
        };
        place(&store.blob_path(&digest));
        assert_eq!(store.content.blob(&digest).is_ok(), visible, "{what}");
        assert_eq!(store.content.entries(None, 10).expect("a listing").len(), usize::from(visible), "{what}");
        let blob = store.put(b"whole");
        assert_eq!(everything(&blob), b"whole", "{what}");
        assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())], "{what}");

        drop(blob);
        store.remove(&digest);
        place(&store.blob_path(&digest));
        store.remove(&digest);
        assert_eq!(store.tree(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_damaged_ingest_begins_again_and_harms_nobody() {
    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 5] = [
        ("its data is a directory", |data, _| {
            fs::remove_file(data).expect("the data");
            fs::create_dir_all(data.join("below")).expect("a directory");
        }),
        ("its data is a symbolic link", |data, victim| {
            fs::remove_file(data).expect("the data");
            symlink(victim, data).expect("a link");
        }),
        ("its data is somebody's file", |data, victim| {
            fs::remove_file(data).expect("the data");
            fs::hard_link(victim, data).expect("a link");
        }),
        ("its name is a directory", |data, _| {
            fs::remove_file(data).expect("the data");
            fs::remove_file(data.with_file_name("name")).expect("the name");
            fs::create_dir(data.with_file_name("name")).expect("a directory");
        }),
        ("it is a file", |data, victim| {
            let ingest = data.parent().expect("a parent");
            fs::remove_dir_all(ingest).expect("the ingest");
            fs::copy(victim, ingest).expect("a file");
        }),
    ];
    for (what, damage) in damages {
        let store = Store::new();
        let victim = store.path("victim");
        fs::write(&victim, b"untouched").expect("a file");
        store.content.ingest("x").expect("an ingest").append(b"bytes").expect("space");
        damage(&store.data_path("x"), &victim);

        let ingest = store.content.ingest("x").expect(what);
        assert_eq!(ingest.offset(), 0, "{what}");
        ingest.append(b"again").expect("space");
        let blob = ingest.commit(&sha256(b"again"), 5).expect(what);
        assert_eq!(everything(&blob), b"again", "{what}");
        assert_eq!(fs::read(&victim).expect("the victim"), b"untouched", "{what}");
        assert_eq!(store.tree().len(), 2, "{what}: {:?}", store.tree());
    }
}

/// A commit takes the permission to write away before it renames. One that died in between must not lock its
/// successor out.
#[test]
fn an_ingest_continues_after_a_commit_that_died() {
    let store = Store::new();
    store.content.ingest("x").expect("an ingest").append(b"complete").expect("space");
    let data = store.data_path("x");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o400)).expect("permissions");
    let ingest = store.content.ingest("x").expect("the ingest");
    assert_eq!(fs::metadata(&data).expect("the data").mode() & 0o7777, 0o600);
    assert_eq!(everything(&ingest.commit(&sha256(b"complete"), 8).expect("a blob")), b"complete");
}
