//! Layers for tests: entries with every property that an archive can give them.

use crate::layers::archive::build::{Header, padded, record, tar};

/// An entry that is being written. It belongs to root, was changed in 2001, and has the mode that fits its kind.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    device: (u32, u32),
    mtime: String,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    fn new(kind: u8, name: impl AsRef<[u8]>, mode: u32) -> Self {
        Self {
            kind,
            name: name.as_ref().to_vec(),
            link: Vec::new(),
            content: Vec::new(),
            mode,
            owner: (0, 0),
            device: (0, 0),
            mtime: "1000000000".to_owned(),
            records: Vec::new(),
        }
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    /// As PAX writes it: seconds with a fraction.
    pub(crate) fn mtime(self, mtime: &str) -> Self {
        Self { mtime: mtime.to_owned(), ..self }
    }

    pub(crate) fn xattr(self, name: &str, value: &[u8]) -> Self {
        self.record(format!("SCHILY.xattr.{name}").as_bytes(), value)
    }

    pub(crate) fn record(mut self, key: &[u8], value: &[u8]) -> Self {
        self.records.push((key.to_vec(), value.to_vec()));
        self
    }

    /// Returns the blocks. Everything that a header block might not hold stands in an extended one.
    pub(crate) fn done(&self) -> Vec<u8> {
        let mut records = self.records.clone();
        let mut say = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
        say(b"path", &self.name);
        if !self.link.is_empty() {
            say(b"linkpath", &self.link);
        }
        say(b"uid", self.owner.0.to_string().as_bytes());
        say(b"gid", self.owner.1.to_string().as_bytes());
        say(b"mtime", self.mtime.as_bytes());
        let records: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let header = Header::new(self.kind, b"see the extended header", self.content.len() as u64)
            .with(100, format!("{:07o}\0", self.mode).as_bytes())
            .with(329, format!("{:07o}\0", self.device.0).as_bytes())
            .with(337, format!("{:07o}\0", self.device.1).as_bytes());
        let extended = Header::new(b'x', b"PaxHeaders/x", records.len() as u64).content(&records);
        [extended, header.done(), padded(&self.content)].concat()
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, content: &[u8]) -> Entry {
    Entry { content: content.to_vec(), ..Entry::new(b'0', name, 0o644) }
}

pub(crate) fn directory(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'5', name, 0o755)
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { link: target.as_ref().to_vec(), ..Entry::new(b'2', name, 0o777) }
}

pub(crate) fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { link: target.as_ref().to_vec(), ..Entry::new(b'1', name, 0o644) }
}

pub(crate) fn character(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Entry {
    Entry { device: (major, minor), ..Entry::new(b'3', name, 0o620) }
}

pub(crate) fn block(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Entry {
    Entry { device: (major, minor), ..Entry::new(b'4', name, 0o660) }
}

pub(crate) fn fifo(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'6', name, 0o600)
}

/// A sparse file in GNU tar's form 0.1: the data goes to these offsets.
pub(crate) fn sparse(name: impl AsRef<[u8]>, size: u64, pieces: &[(u64, &[u8])]) -> Entry {
    let map: Vec<String> = pieces.iter().map(|(offset, data)| format!("{offset},{}", data.len())).collect();
    let content: Vec<u8> = pieces.iter().flat_map(|(_, data)| data.iter().copied()).collect();
    file(name, &content)
        .record(b"GNU.sparse.size", size.to_string().as_bytes())
        .record(b"GNU.sparse.numblocks", pieces.len().to_string().as_bytes())
        .record(b"GNU.sparse.map", map.join(",").as_bytes())
}

/// An archive of these entries.
pub(crate) fn layer(entries: &[Entry]) -> Vec<u8> {
    tar(&entries.iter().map(Entry::done).collect::<Vec<_>>())
}

/// A header for all entries that follow.
pub(crate) fn global(key: &str, value: &str) -> Vec<u8> {
    let record = record(key.as_bytes(), value.as_bytes());
    Header::new(b'g', b"pax_global_header", record.len() as u64).content(&record)
}
