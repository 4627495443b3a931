//! Python's tarfile reads the entries of an archive as the header pass does, in archives that it and GNU tar write.

use crate::support::require;
use serde::Deserialize;
use std::io::{BufReader, Read};
use std::process::Command;
use wharf::hash::{Algorithm, Hasher};
use wharf::layers::archive::{Archive, Entry, Kind, Time};

/// How many archives are compared.
const COUNT: usize = 300;

/// How much of the two ends of a file is compared.
const END_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line {
    archive: String,
    entries: Vec<Row>,
}

/// An entry, as `peers.py` tells it.
#[derive(Debug, Deserialize, PartialEq)]
struct Row {
    path: String,
    kind: String,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: f64,
    link: String,
    device: [u32; 2],
    content: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fractions that the archives have are exact in binary, as long as the seconds are not many.
fn seconds(time: Time) -> f64 {
    time.seconds as f64 + f64::from(time.nanoseconds) / 1e9
}

/// Writes what a file has between two offsets, holes included.
fn write(hasher: &mut Hasher, data: &[u8], map: &[(u64, u64)], from: u64, to: u64) {
    let mut bytes = vec![0; usize::try_from(to - from).expect("it is an end of a file")];
    let mut stored = 0;
    for &(offset, length) in map {
        for at in offset.max(from)..(offset + length).min(to) {
            bytes[(at - from) as usize] = data[(stored + at - offset) as usize];
        }
        stored += length;
    }
    hasher.update(&bytes);
}

fn row(entry: &Entry, data: &[u8]) -> Row {
    let mut path = &entry.path[..];
    let (mut size, mut link, mut device, mut content) = (0, String::new(), [0, 0], String::new());
    let kind = match &entry.kind {
        Kind::File { size: whole, map } => {
            size = *whole;
            let everything = [(0, size)];
            let map = map.as_deref().unwrap_or(&everything);
            let mut hasher = Hasher::new(Algorithm::Sha256);
            write(&mut hasher, data, map, 0, size.min(END_BYTES));
            if size > END_BYTES {
                write(&mut hasher, data, map, size - END_BYTES, size);
            }
            content = hasher.finish().to_string().trim_start_matches("sha256:").to_owned();
            "0"
        }
        Kind::Directory => {
            // Python takes them away.
            while let Some(shorter) = path.strip_suffix(b"/") {
                path = shorter;
            }
            "5"
        }
        Kind::Symlink(target) => {
            link = hex(target);
            "2"
        }
        Kind::Link(target) => {
            link = hex(target);
            "1"
        }
        Kind::Character(major, minor) => {
            device = [*major, *minor];
            "3"
        }
        Kind::Block(major, minor) => {
            device = [*major, *minor];
            "4"
        }
        Kind::Fifo => "6",
    };
    let Entry { mode, uid, gid, mtime, .. } = *entry;
    let (path, kind, mtime) = (hex(path), kind.to_owned(), seconds(mtime));
    Row { path, kind, size, mode, uid, gid, mtime, link, device, content }
}

/// Expectations: Python's tarfile. Half of the archives are written by GNU tar.
#[test]
fn python_reads_the_same_entries() {
    let (python, _) = (require("python3"), require("tar"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(python);
    command.arg("-c").arg(include_str!("peers.py")).arg(directory.path()).args(["4", &COUNT.to_string()]);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("it is JSON");
    let (mut archives, mut entries) = (0, 0);
    for line in lines.lines() {
        let line: Line = serde_json::from_str(line).expect("it is JSON");
        let file = std::fs::File::open(&line.archive).expect("it was written");
        let mut archive = Archive::new(BufReader::new(file));
        let mut rows = Vec::new();
        while let Some(entry) = archive.next().unwrap_or_else(|error| panic!("{}: {error}", line.archive)) {
            let mut data = Vec::new();
            archive.read_to_end(&mut data).expect("the content is whole");
            rows.push(row(&entry, &data));
        }
        archive.finish(10_240).expect("a record of zeros follows");
        for (ours, theirs) in rows.iter().zip(&line.entries) {
            assert_eq!(ours, theirs, "{}", line.archive);
        }
        assert_eq!(rows.len(), line.entries.len(), "{}", line.archive);
        (archives, entries) = (archives + 1, entries + rows.len());
    }
    assert_eq!(archives, COUNT);
    assert!(entries > 5 * COUNT, "{entries} entries");
}
