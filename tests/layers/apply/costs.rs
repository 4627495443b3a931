//! Layers that cost more than they may: they are refused before it is spent, soon, and in little memory. Each runs in a
//! process of its own, whose memory is its own.

use super::write::{Entry, directory, file, link, sparse};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};
use wharf::layers::Rights;
use wharf::layers::apply::{self, Budget};
use wharf::layers::archive::Archive;
use wharf::layers::inflate::Inflate;

/// Which bomb the process is for, in its environment.
const VARIABLE: &str = "WHARF_TEST_BOMB";
/// What may be used on top of what a process has anyway, in KiB.
const MEMORY_KIB_MAX: u64 = 64 << 10;
const AFTER_THE_BUDGET: Duration = Duration::from_secs(1);

/// A bomb: its name, what it is refused for, and what it is.
type Bomb = (&'static str, &'static str, fn() -> Box<dyn BufRead>);

const BOMBS: [Bomb; 9] = [
    ("a sparse file of 1 TiB", "more than 68719476736 bytes", || {
        archive([sparse("holes", 1 << 40, &[(0, b"x")])].into_iter())
    }),
    ("a whiteout with content", "more than 68719476736 bytes", || {
        archive([sparse(".wh.x", 1 << 40, &[(0, b"x")])].into_iter())
    }),
    ("many sparse files", "more than 68719476736 bytes", || {
        archive((0..100).map(|number| sparse(number.to_string(), 1 << 30, &[(5, b"x")])))
    }),
    ("a gzip bomb of one file", "more than 68719476736 bytes", || {
        Box::new(BufReader::new(Inflate::new(std::io::Cursor::new(gzip_bomb())).expect("it is gzip")))
    }),
    ("a zstd bomb of one file", "more than 68719476736 bytes", || {
        Box::new(BufReader::new(Inflate::new(std::io::Cursor::new(zstd_bomb())).expect("it is zstd")))
    }),
    ("more than a million entries", "more than 1000000 entries", || repeated(&directory("./").done())),
    ("directories below each other", "more than 1024 directories below each other", || {
        archive([file("d/".repeat(2_000) + "f", b"")].into_iter())
    }),
    ("links to be remembered", "bytes of directory names, links and attributes", || {
        archive((0..30_000).map(|number| link(number.to_string(), vec!["t".repeat(200); 10].join("/"))))
    }),
    ("directories to be remembered", "bytes of directory names, links and attributes", || {
        let deep = |number: u32| format!("{}/{number}", vec!["d".repeat(200); 19].join("/"));
        archive((0..30_000).map(move |number| directory(deep(number))))
    }),
];

fn archive(entries: impl Iterator<Item = Entry> + 'static) -> Box<dyn BufRead> {
    let blocks = entries.map(|entry| entry.done());
    Box::new(BufReader::new(Blocks { blocks: Box::new(blocks), current: Vec::new(), at: 0 }))
}

fn repeated(entry: &[u8]) -> Box<dyn BufRead> {
    let entries = entry.repeat(256);
    let blocks = std::iter::repeat_with(move || entries.clone());
    Box::new(BufReader::with_capacity(256 << 10, Blocks { blocks: Box::new(blocks), current: Vec::new(), at: 0 }))
}

/// An archive that is made while it is read.
struct Blocks {
    blocks: Box<dyn Iterator<Item = Vec<u8>>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.current.len() {
            (self.current, self.at) = (self.blocks.next().unwrap_or_default(), 0);
        }
        let length = (&self.current[self.at..]).read(buffer)?;
        self.at += length;
        Ok(length)
    }
}

/// The header of a file that is larger than any may be, and many of its zeros.
fn huge() -> Vec<u8> {
    let mut entry = file("huge", b"").record(b"size", (65u64 << 30).to_string().as_bytes()).done();
    entry.resize(entry.len() + (64 << 20), 0);
    entry
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&huge()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

fn zstd_bomb() -> Vec<u8> {
    zstd::stream::encode_all(huge().as_slice(), 1).expect("memory can be written")
}

/// A number of `/proc/self/status`, in KiB.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find(|line| line.starts_with(key)).expect("Linux says so");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_bomb_ends_soon_after_its_budget_in_little_memory() {
    if let Ok(name) = std::env::var(VARIABLE) {
        return explode(&name);
    }
    for (name, ..) in BOMBS {
        let program = std::env::current_exe().expect("a process has a program");
        let this = "layers::apply::costs::a_bomb_ends_soon_after_its_budget_in_little_memory";
        let output = Command::new(program).args(["--exact", this, "--nocapture"]).env(VARIABLE, name).output();
        let output = output.expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{name}: {said}");
        said.lines().filter(|line| line.contains(" KiB ")).for_each(|line| println!("{line}"));
    }
}

/// Applies one bomb, in the process that is for it.
fn explode(name: &str) {
    let (_, expected, bomb) = BOMBS.iter().find(|(other, ..)| *other == name).expect("a bomb has this name");
    let place = tempfile::tempdir().expect("there is room for temporary files");
    let directory = std::fs::File::open(place.path()).expect("it was made");
    let mut archive = Archive::new(bomb());
    // From here on, so that making the bomb does not count.
    std::fs::write("/proc/self/clear_refs", "5").expect("the high-water mark can be put back");
    let (before, begin) = (status("VmRSS:"), Instant::now());
    // Everything that is within the budget may take its time. The last thing that is begun is not.
    let last = Cell::new(begin);
    let stop = || {
        last.set(Instant::now());
        false
    };
    let outcome = apply::apply(&mut archive, directory.as_fd(), Rights::Root, &Budget::default(), &stop);
    let (after, took) = (last.get().elapsed(), begin.elapsed());
    let more = status("VmHWM:").saturating_sub(before);
    let refusal = outcome.expect_err("a bomb is refused").to_string();
    println!("{name}: {took:?}, {after:?} past the budget, {more} KiB more");
    assert!(refusal.contains(expected), "{refusal}");
    assert!(after < AFTER_THE_BUDGET, "{after:?}");
    assert!(more < MEMORY_KIB_MAX, "{more} KiB");
    let blocks: u64 =
        walk(place.path()).iter().map(|path| std::fs::symlink_metadata(path).expect("it is there").blocks()).sum();
    assert!(blocks * 512 < 1 << 28, "{blocks} blocks were written");
}

fn walk(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut all, mut left) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = left.pop() {
        if std::fs::symlink_metadata(&path).expect("it is there").is_dir() {
            left.extend(
                std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("and each entry").path()),
            );
        }
        all.push(path);
    }
    all
}
