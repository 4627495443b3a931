//! Reading layers before anything is extracted: the header pass, and decompression. What is accepted is accepted whole,
//! what is refused is refused by its name, and Python and GNU tar see the same entries.

mod accepted;
pub(crate) mod build;
mod compressed;
mod peers;
mod refused;
mod sparse;

use std::io::{BufRead, BufReader, Read};
use wharf::layers::archive::{Archive, Entry, Error};

/// Zeros that may follow an archive.
const PADDING_BYTES_MAX: u64 = 1 << 20;

/// Reads a whole archive: each entry with its content.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let whole = read_from(bytes);
    // Pieces that fit to no boundary make no difference.
    let pieces = read_from(BufReader::with_capacity(7, bytes));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    whole
}

fn read_from(reader: impl BufRead) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut archive = Archive::new(reader);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        let mut content = Vec::new();
        archive.read_to_end(&mut content)?;
        entries.push((entry, content));
    }
    archive.finish(PADDING_BYTES_MAX)?;
    Ok(entries)
}

/// Reads the headers of an archive and no content.
fn skim(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let mut archive = Archive::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        entries.push(entry);
    }
    archive.finish(PADDING_BYTES_MAX)?;
    Ok(entries)
}

/// Reads an archive that has one entry.
fn only(bytes: &[u8]) -> Entry {
    let entries = read(bytes).expect("the archive is accepted");
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.into_iter().next().expect("there is one").0
}
