//! Sparse files: GNU tar's four ways to write a map of where the data is. What
//! is between is a hole. Strict: the map is in order, does not overlap, ends
//! within the file, and its data is exactly what the archive stores.
//!
//! | form | the map is in | the name and the size in |
//! | --- | --- | --- |
//! | old GNU | the header block, and blocks after it | the header block |
//! | PAX 0.0 | records `GNU.sparse.offset` and `numbytes` in turn | `GNU.sparse.size` |
//! | PAX 0.1 | a record `GNU.sparse.map` | `GNU.sparse.name` and `size` |
//! | PAX 1.0 | the beginning of the content, in lines of decimal | `GNU.sparse.name` and `realsize` |
//!
//! GNU tar manual, “Storing Sparse Files”.

use super::header::{BLOCK_BYTES, Block, number};
use super::source::Source;
use super::{Error, pax::decimal, pax::decimal_digit};
use std::io::{BufRead, Read};

/// How many pieces of data a file has at most. In memory they take 4 MiB; Go's reader takes as many in form 1.0.
const PIECES_MAX: usize = 1 << 18;

/// Where there is data: offset and length, in order.
pub(super) type Map = Vec<(u64, u64)>;

/// What PAX records say about a map.
#[derive(Debug, Default)]
pub(super) struct Pax {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    real_size: Option<u64>,
    blocks: Option<u64>,
    map: Option<Map>,
    /// The offsets and lengths of form 0.0.
    pairs: Vec<u64>,
}

/// How the map of a file is to be had.
pub(super) enum Form {
    /// Here it is, with the size of the file.
    Known(Map, u64),
    /// At the beginning of the content, for a file of this size.
    Content(u64),
}

impl Pax {
    /// Takes a record whose key is about sparse files; any other is nobody's.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        let number = || decimal(value).ok_or(Error::Sparse);
        match key {
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"name" if value.contains(&0) || value.is_empty() => return Err(Error::Sparse),
            b"name" => self.name = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"realsize" => self.real_size = Some(number()?),
            b"numblocks" => self.blocks = Some(number()?),
            b"offset" if self.pairs.len().is_multiple_of(2) => self.push(number()?)?,
            b"numbytes" if !self.pairs.len().is_multiple_of(2) => self.push(number()?)?,
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(|part| decimal(part).ok_or(Error::Sparse));
                let numbers: Vec<u64> = numbers.take(2 * PIECES_MAX + 1).collect::<Result<_, _>>()?;
                self.map = Some(pairs(&numbers)?);
            }
            _ => return Err(Error::Sparse),
        }
        Ok(())
    }

    fn push(&mut self, number: u64) -> Result<(), Error> {
        if self.pairs.len() >= 2 * PIECES_MAX {
            return Err(Error::Sparse);
        }
        self.pairs.push(number);
        Ok(())
    }

    /// Says how the map is to be had, if the file is sparse.
    pub(super) fn form(self) -> Result<Option<Form>, Error> {
        let both = self.size.is_some() && self.real_size.is_some();
        let map = match (self.major, self.minor) {
            // One reader takes the first, another the second.
            _ if both => return Err(Error::Sparse),
            (None, None) if self.map.is_none() && self.pairs.is_empty() => {
                let nothing = self.name.is_none() && self.size.is_none() && self.real_size.is_none();
                return if nothing && self.blocks.is_none() { Ok(None) } else { Err(Error::Sparse) };
            }
            (Some(1), Some(0)) if self.map.is_none() && self.pairs.is_empty() && self.name.is_some() => {
                return Ok(Some(Form::Content(self.real_size.ok_or(Error::Sparse)?)));
            }
            (None, None) | (Some(0), Some(0)) if self.map.is_none() => pairs(&self.pairs)?,
            (None, None) | (Some(0), Some(1)) if self.pairs.is_empty() => self.map.ok_or(Error::Sparse)?,
            _ => return Err(Error::Sparse),
        };
        if self.blocks.is_some_and(|blocks| blocks != map.len() as u64) {
            return Err(Error::Sparse);
        }
        Ok(Some(Form::Known(map, self.size.ok_or(Error::Sparse)?)))
    }
}

/// Reads the entries of the old form that one block has; `more` blocks may follow if it is full.
///
/// An unused entry ends the map. GNU's reader knows it by its length and Go's by its offset, so it has neither.
pub(super) fn old(entries: &[u8], more: bool, map: &mut Map) -> Result<(), Error> {
    let part = |field: &[u8]| number(field).and_then(|number| u64::try_from(number).ok()).ok_or(Error::Sparse);
    let mut entries = entries.chunks_exact(24);
    for entry in entries.by_ref() {
        let (offset, length) = entry.split_at(12);
        match (offset[0], length[0]) {
            (0, 0) if more => return Err(Error::Sparse),
            (0, 0) => break,
            (0, _) | (_, 0) => return Err(Error::Sparse),
            _ if map.len() == PIECES_MAX => return Err(Error::Sparse),
            _ => map.push((part(offset)?, part(length)?)),
        }
    }
    if entries.all(|entry| entry[0] == 0 && entry[12] == 0) { Ok(()) } else { Err(Error::Sparse) }
}

/// The entries in a block that continues a map of the old form, and whether
/// another one follows.
pub(super) fn continued(block: &Block) -> (&[u8], bool) {
    (&block[..504], block[504] != 0)
}

/// Reads the map of form 1.0 from the beginning of the content, in whole blocks.
pub(super) fn content<R: BufRead>(source: &mut Source<R>) -> Result<Map, Error> {
    let mut lines = Lines { source, block: [0; BLOCK_BYTES], at: BLOCK_BYTES };
    let count = lines.next()?;
    if count > PIECES_MAX as u64 {
        return Err(Error::Sparse);
    }
    let mut map = Vec::new();
    for _ in 0..count {
        map.push((lines.next()?, lines.next()?));
    }
    Ok(map)
}

struct Lines<'s, R> {
    source: &'s mut Source<R>,
    block: Block,
    at: usize,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<u64, Error> {
        let mut value = None;
        loop {
            if self.at == BLOCK_BYTES {
                if self.source.content() < BLOCK_BYTES as u64 {
                    return Err(Error::Sparse);
                }
                self.source.read_exact(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            value = match byte {
                b'\n' => return value.ok_or(Error::Sparse),
                digit => Some(decimal_digit(value.unwrap_or(0), digit).ok_or(Error::Sparse)?),
            };
        }
    }
}

/// Checks a map against the size of the file and the bytes that are stored for
/// it.
pub(super) fn check(map: &Map, size: u64, stored: u64) -> Result<(), Error> {
    let (mut end, mut sum) = (0u64, 0u64);
    for &(offset, length) in map {
        if offset < end {
            return Err(Error::Sparse);
        }
        end = offset.checked_add(length).filter(|&end| end <= size).ok_or(Error::Sparse)?;
        sum = sum.checked_add(length).ok_or(Error::Sparse)?;
    }
    if sum == stored && i64::try_from(size).is_ok() { Ok(()) } else { Err(Error::Sparse) }
}

fn pairs(numbers: &[u64]) -> Result<Map, Error> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > PIECES_MAX {
        return Err(Error::Sparse);
    }
    Ok(pairs.iter().map(|&[offset, length]| (offset, length)).collect())
}
