//! The answers of `wharf ls`, `diff`, `export`, `mounts` and `unpack`: what is in the tree of an image, and where trees are.
//!
//! It reads no tree. Names in an image are bytes that anybody chose: what is no text, or cannot be seen, is escaped.

use super::{age, escape, json, names, size, table};
use crate::layers::Mounted;
use crate::layers::view::{Change, Entry, Kind};
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use wharf_vocabulary::vocabulary::Tree;

#[derive(Serialize)]
struct EntryObject {
    path: String,
    r#type: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    size: Option<u64>,
    modified: Option<String>,
    target: Option<String>,
    device: Option<DeviceObject>,
    xattrs: Vec<String>,
}

#[derive(Serialize)]
struct DeviceObject {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
struct ChangeObject {
    change: &'static str,
    path: String,
}

#[derive(Serialize)]
struct MountObject {
    snapshot: Option<String>,
    directory: String,
}

#[derive(Serialize)]
struct TreeObject<'a> {
    name: &'a str,
    manifest: &'a str,
    platform: &'a str,
    snapshot: Option<&'a str>,
    unpacked: u32,
}

/// Returns a table of paths and what is there.
pub fn entries(entries: &[(Vec<u8>, Entry)]) -> String {
    let row = |(path, entry): &(Vec<u8>, Entry)| {
        let size = match entry.device {
            Some((major, minor)) => format!("{major}, {minor}"),
            None if entry.kind == Kind::File => entry.size.to_string(),
            None => "-".to_owned(),
        };
        let target = entry.link.as_deref().map(|target| format!(" -> {}", shown(target))).unwrap_or_default();
        [
            permissions(entry),
            format!("{}:{}", entry.owner.0, entry.owner.1),
            size,
            age::timestamp(entry.mtime.seconds).unwrap_or_else(|| "-".to_owned()),
            shown(path) + &target,
        ]
    };
    table::table(&["MODE", "OWNER", "SIZE", "MODIFIED", "PATH"], entries.iter().map(row))
}

/// Returns a JSON array, one object for each path.
pub fn entries_json(entries: &[(Vec<u8>, Entry)]) -> String {
    let object = |(path, entry): &(Vec<u8>, Entry)| EntryObject {
        path: text(path),
        r#type: word(entry.kind),
        mode: format!("{:04o}", entry.mode),
        uid: entry.owner.0,
        gid: entry.owner.1,
        size: (entry.kind == Kind::File).then_some(entry.size),
        modified: age::timestamp(entry.mtime.seconds),
        target: entry.link.as_deref().map(text),
        device: entry.device.map(|(major, minor)| DeviceObject { major, minor }),
        xattrs: entry.attributes.iter().map(|name| text(name)).collect(),
    };
    json::pretty(&entries.iter().map(object).collect::<Vec<_>>())
}

/// Returns a line for each path that differs.
pub fn changes(changes: &[(Change, Vec<u8>)]) -> String {
    let line = |(change, path): &(Change, Vec<u8>)| {
        let letter = match change {
            Change::Added => 'A',
            Change::Changed => 'C',
            Change::Deleted => 'D',
        };
        format!("{letter} {}\n", shown(path))
    };
    changes.iter().map(line).collect()
}

/// Returns a JSON array, one object for each path that differs.
pub fn changes_json(changes: &[(Change, Vec<u8>)]) -> String {
    let object = |(change, path): &(Change, Vec<u8>)| ChangeObject {
        change: match change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Deleted => "deleted",
        },
        path: text(path),
    };
    json::pretty(&changes.iter().map(object).collect::<Vec<_>>())
}

/// Returns a table of where snapshots are mounted.
pub fn mounts(mounts: &[Mounted]) -> String {
    let row = |mounted: &Mounted| {
        let snapshot =
            mounted.snapshot.as_deref().map_or_else(|| names::NONE.to_owned(), |name| names::short(name).into_owned());
        [snapshot, shown(mounted.at.as_os_str().as_bytes())]
    };
    table::table(&["SNAPSHOT", "DIRECTORY"], mounts.iter().map(row))
}

/// Returns a JSON array, one object for each mount.
pub fn mounts_json(mounts: &[Mounted]) -> String {
    let object = |mounted: &Mounted| MountObject {
        snapshot: mounted.snapshot.clone(),
        directory: text(mounted.at.as_os_str().as_bytes()),
    };
    json::pretty(&mounts.iter().map(object).collect::<Vec<_>>())
}

/// Returns the name of the snapshot on a line, if there is one.
pub fn snapshot(tree: &Tree) -> String {
    tree.snapshot.as_deref().map(|name| format!("{}\n", escape::text(name))).unwrap_or_default()
}

/// Returns a JSON object.
pub fn snapshot_json(tree: &Tree) -> String {
    json::pretty(&TreeObject {
        name: &tree.name,
        manifest: &tree.manifest,
        platform: &tree.platform,
        snapshot: tree.snapshot.as_deref(),
        unpacked: tree.unpacked,
    })
}

/// As in `drwxr-xr-x`.
fn permissions(entry: &Entry) -> String {
    let mut out = String::with_capacity(10);
    out.push(match entry.kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::Character => 'c',
        Kind::Block => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (bits & 1 != 0, entry.mode & special != 0) {
            (false, false) => '-',
            (true, false) => 'x',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    out
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Character => "character-device",
        Kind::Block => "block-device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}

/// Returns a name for a terminal.
fn shown(name: &[u8]) -> String {
    let piece =
        |piece: std::str::Utf8Chunk<'_>| escape::text(piece.valid()).into_owned() + &hexadecimal(piece.invalid());
    name.utf8_chunks().map(piece).collect()
}

/// Returns a name for JSON, which escapes what has to be.
fn text(name: &[u8]) -> String {
    name.utf8_chunks().map(|piece| piece.valid().to_owned() + &hexadecimal(piece.invalid())).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// Returns `exported alpine:3.20 in root.tar: 519 entries, 8.4MB`. `place` is where the archive is; none for standard
/// output.
pub fn exported(reference: &str, place: Option<&str>, entries: u64, bytes: u64) -> String {
    let place = place.map(|place| format!(" in {}", escape::line(place))).unwrap_or_default();
    let plural = if entries == 1 { "entry" } else { "entries" };
    format!("exported {}{place}: {entries} {plural}, {}\n", escape::line(reference), size::si(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::archive::Time;

    fn entry(kind: Kind, mode: u32) -> Entry {
        Entry {
            kind,
            mode,
            owner: (0, 1000),
            size: 12,
            mtime: Time { seconds: 0, nanoseconds: 5 },
            link: None,
            device: None,
            attributes: Vec::new(),
            id: (1, 2),
        }
    }

    #[test]
    fn a_table_shows_what_ls_would() {
        let link = Entry { link: Some(b"/bin/\xffsh".to_vec()), ..entry(Kind::Symlink, 0o777) };
        let device = Entry { device: Some((1, 3)), ..entry(Kind::Character, 0o666) };
        let listed = [
            (b"/tmp".to_vec(), entry(Kind::Directory, 0o1777)),
            (b"/a\x1b[31m".to_vec(), entry(Kind::File, 0o4755)),
            (b"/s".to_vec(), entry(Kind::File, 0o6644)),
            (b"/sh".to_vec(), link),
            (b"/null".to_vec(), device),
        ];
        assert_eq!(
            entries(&listed),
            r"MODE         OWNER    SIZE   MODIFIED               PATH
drwxrwxrwt   0:1000   -      1970-01-01T00:00:00Z   /tmp
-rwsr-xr-x   0:1000   12     1970-01-01T00:00:00Z   /a\u{1b}[31m
-rwSr-Sr--   0:1000   12     1970-01-01T00:00:00Z   /s
lrwxrwxrwx   0:1000   -      1970-01-01T00:00:00Z   /sh -> /bin/\xffsh
crw-rw-rw-   0:1000   1, 3   1970-01-01T00:00:00Z   /null
"
        );
    }

    #[test]
    fn json_has_the_name_as_it_is() {
        let listed =
            [(b"/a\x1b\xff".to_vec(), Entry { attributes: vec![b"user.x".to_vec()], ..entry(Kind::File, 0o644) })];
        let object: serde_json::Value = serde_json::from_str(&entries_json(&listed)).expect("it is JSON");
        let expected = serde_json::json!([{
            "path": "/a\u{1b}\\xff", "type": "file", "mode": "0644", "uid": 0, "gid": 1000, "size": 12,
            "modified": "1970-01-01T00:00:00Z", "target": null, "device": null, "xattrs": ["user.x"],
        }]);
        assert_eq!(object, expected);
    }
}
