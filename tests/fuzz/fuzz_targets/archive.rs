//! The header pass, on any bytes: it ends, and an archive that it accepts keeps what `Entry` promises, in whichever
//! pieces it arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use wharf_fuzz::layers::archive::{Archive, Entry, Kind};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    wharf_fuzz::sum(&mut bytes);
    let (whole, pieces) = (read(&bytes[..]), read(BufReader::with_capacity(7, &bytes[..])));
    assert_eq!(whole, pieces);
});

fn read(reader: impl BufRead) -> Result<Vec<(Entry, Vec<u8>)>, String> {
    let mut archive = Archive::new(reader);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next().map_err(|error| error.to_string())? {
        let mut content = Vec::new();
        // Every second one is skipped.
        let is_read = entries.len() % 2 == 0;
        if is_read {
            archive.read_to_end(&mut content).map_err(|error| error.to_string())?;
        }
        check(&entry, is_read.then_some(content.len() as u64));
        entries.push((entry, content));
    }
    archive.finish(1 << 20).map_err(|error| error.to_string())?;
    Ok(entries)
}

fn check(entry: &Entry, content: Option<u64>) {
    let is_name = |name: &[u8]| (1..=4_096).contains(&name.len()) && !name.contains(&0);
    assert!(is_name(&entry.path));
    assert!(entry.mode <= 0o7777 && entry.uid != u32::MAX && entry.gid != u32::MAX);
    assert!(entry.mtime.nanoseconds < 1_000_000_000);
    let names: BTreeSet<_> = entry.xattrs.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), entry.xattrs.len());
    match &entry.kind {
        Kind::File { size, map } => {
            assert!(i64::try_from(*size).is_ok() && !entry.path.ends_with(b"/"));
            let (mut end, mut sum) = (0, 0);
            for &(offset, length) in map.iter().flatten() {
                assert!(offset >= end);
                end = offset + length;
                sum += length;
            }
            assert!(end <= *size);
            let stored = if map.is_some() { sum } else { *size };
            assert!(content.is_none_or(|content| content == stored));
        }
        Kind::Symlink(target) | Kind::Link(target) => assert!(is_name(target)),
        Kind::Directory | Kind::Character(..) | Kind::Block(..) | Kind::Fifo => {
            assert!(content.is_none_or(|content| content == 0));
        }
    }
}
