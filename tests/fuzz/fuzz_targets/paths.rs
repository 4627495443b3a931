//! Whiteouts, links and paths: layers that are always well-formed, of entries whose names are made of few words, so that
//! they meet each other, and what is outside.

#![no_main]

use libfuzzer_sys::fuzz_target;

const KINDS: &[u8] = b"00055512221346";

const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "/",
    "/",
    "/",
    ".",
    "..",
    "../",
    ".wh.",
    ".wh.a",
    ".wh..wh..opq",
    ".wh..wh.plnk",
    "victim",
    "hello",
    "etc/passwd",
    "layer",
    "layer-evil",
    "proc/self/root",
    "\u{e4}",
    "link",
    "dev/null",
    "a/b",
    "\\",
];

fuzz_target!(|bytes: &[u8]| {
    let mut archive = Vec::new();
    // A byte for the kind, and one word a byte for the name and for the target, each up to 255.
    let mut words = bytes.iter().copied();
    while let Some(kind) = words.next() {
        let mut name = || -> Vec<u8> {
            let chosen = words.by_ref().take_while(|&byte| byte != 255).take(24);
            chosen.flat_map(|byte| WORDS[usize::from(byte) % WORDS.len()].bytes()).collect()
        };
        let (path, target) = (name(), name());
        entry(&mut archive, kind, &path, &target);
    }
    archive.extend([0; 1024]);
    wharf_fuzz::cage::check(&archive);
});

fn entry(archive: &mut Vec<u8>, kind: u8, path: &[u8], target: &[u8]) {
    let mode = [&b"0000644\0"[..], b"0004755\0", b"0000000\0"][usize::from(kind) % 3];
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    for (long, name) in [(b'L', path), (b'K', target)] {
        if name.len() > 100 {
            block(archive, long, b"long", b"", mode, name.len());
            archive.extend(name);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
    }
    let size = if kind == b'0' { target.len() } else { 0 };
    block(archive, kind, &path[..path.len().min(100)], &target[..target.len().min(100)], mode, size);
    if size > 0 {
        archive.extend(target);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
}

fn block(archive: &mut Vec<u8>, kind: u8, name: &[u8], target: &[u8], mode: &[u8], size: usize) {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(mode);
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = kind;
    block[157..157 + target.len()].copy_from_slice(target);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[336] = 1;
    block[337..344].copy_from_slice(b"0000003");
    wharf_fuzz::sum(&mut block);
    archive.extend(block);
}
