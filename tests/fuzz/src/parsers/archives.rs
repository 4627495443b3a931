//! Headers of archives of images that somebody else has written: what is read lies inside the archive, and the crate `tar`,
//! which reads the same bytes by itself, finds no other names and no other bytes in what is accepted.

use std::io::{Cursor, Read};
use wharf_component::nouns::tar::{BLOCK_BYTES, Entry, Headers, Kind, Step, padding};

/// More bytes than this are not held for one file.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// The files of an archive, with where their bytes are.
fn read(bytes: &[u8]) -> Option<Vec<(Entry, Vec<u8>)>> {
    let (mut headers, mut entries, mut rest) = (Headers::default(), Vec::new(), bytes);
    loop {
        let (block, after) = rest.split_first_chunk::<{ BLOCK_BYTES as usize }>()?;
        rest = after;
        let step = headers.read(block).ok()?;
        let size = match &step {
            Step::Entry(entry) => entry.size,
            Step::Extension(size) => *size,
            Step::Zeros => continue,
            Step::End => return Some(entries),
        };
        let length = usize::try_from(size).ok().filter(|length| *length <= rest.len())?;
        let (content, after) = rest.split_at(length);
        rest = after.get(padding(size)..)?;
        match step {
            Step::Entry(entry) => entries.push((entry, content.to_vec())),
            _ => headers.extend(content).ok()?,
        }
    }
}

pub(super) fn headers(bytes: &[u8]) -> bool {
    let Some(entries) = read(bytes) else { return false };
    for (entry, _) in &entries {
        let target = if let Kind::Link(target) = &entry.kind { target } else { "" };
        for path in [&entry.path, target] {
            let is_inside = path.is_empty() || path.split('/').all(|part| !["", ".", ".."].contains(&part));
            assert!(is_inside && !path.contains('\0'), "{path:?} leads out of the archive");
        }
    }
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let others = archive.entries().expect("memory can be read").map(|entry| {
        let mut entry = entry.expect("what is accepted here is an archive to others");
        let mut path = entry.path_bytes().into_owned();
        path.truncate(path.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        let path = parts.collect::<Vec<_>>().join(&b'/');
        let mut content = Vec::new();
        entry.by_ref().take(CONTENT_BYTES_MAX).read_to_end(&mut content).expect("memory can be read");
        (path, content)
    });
    let mine = entries.iter().map(|(entry, content)| {
        let length = content.len().min(CONTENT_BYTES_MAX as usize);
        (entry.path.clone().into_bytes(), content[..length].to_vec())
    });
    let (mine, others): (Vec<_>, Vec<_>) = (mine.collect(), others.collect());
    assert_eq!(mine, others, "two readers find other files in one archive");
    true
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let file = |path: &str, kind: tar::EntryType, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        [header.as_bytes(), bytes, &vec![0; padding(bytes.len() as u64)]].concat()
    };
    let archive = |entries: &[Vec<u8>]| [entries.concat(), vec![0; 1024]].concat();
    let index = file("index.json", tar::EntryType::Regular, b"{}");
    let long = file("././@LongLink", tar::EntryType::GNULongName, b"blobs/sha256/abc\0");
    let pax = file("pax", tar::EntryType::XHeader, b"18 path=long/name\n10 size=2\n");
    vec![
        archive(&[]),
        archive(std::slice::from_ref(&index)),
        archive(&[file("./blobs/", tar::EntryType::Directory, b""), long.clone(), index.clone()]),
        archive(&[pax.clone(), index.clone()]),
        archive(&[long, pax, index.clone()]),
        archive(&[file("../x", tar::EntryType::Regular, b"x")]),
        archive(&[file("a", tar::EntryType::Symlink, b"")]),
        index,
    ]
}
