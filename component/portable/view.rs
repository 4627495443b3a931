//! The records of a layout as they were at one moment: `index.json` as it was read,
//! and of the other records those that were asked for. It writes nothing.
//!
//! ```text
//! schema               always the current one: records are made when they are read
//! image/<name>         made of the entry and its documents; see `picture`
//! any other key        .wharf/records/<SHA-256 of the key>: the key, a line break, the value
//! ```

use super::{
    Shared,
    index::{self, INDEX, Index},
    names::{self, Slot},
    picture::{self, Sizes},
};
use crate::{
    host::Result,
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
        record::{IMAGE_PREFIX, RECORD_BYTES_MAX, SCHEMA_KEY, Schema, unusable},
    },
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Where records are that are not about images.
pub(super) const ASIDE: &str = ".wharf/records";
/// The longest key, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 1_024;

/// One moment.
pub(super) struct View {
    store: Rc<Shared>,
    /// `index.json`, as it was read.
    pub(super) bytes: Vec<u8>,
    pub(super) index: Index,
    names: BTreeMap<String, Slot>,
    sizes: Sizes,
    /// Each file is read once, so that it does not change under a transaction.
    asides: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
    listed: RefCell<Option<BTreeSet<String>>>,
}

/// Returns the file of such a record.
pub(super) fn aside_path(key: &str) -> String {
    format!("{ASIDE}/{}", Digest::of(Algorithm::Sha256, key.as_bytes()).encoded())
}

/// Returns what is in it.
pub(super) fn aside_file(key: &str, value: &[u8]) -> Vec<u8> {
    [key.as_bytes(), b"\n", value].concat()
}

/// Returns key and value of a file; none if it is no such file.
fn aside_parts(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(KEY_BYTES_MAX + 1).position(|&byte| byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

impl View {
    /// Reads what is there now.
    pub(super) fn load(store: &Rc<Shared>) -> Result<Self> {
        let bytes = index::read(&store.disk)?;
        let bytes = bytes.ok_or_else(|| ErrorCode::Other(format!("`{INDEX}` has been removed")))?;
        let index = Index::parse(&bytes).map_err(|error| ErrorCode::Other(format!("`{INDEX}` is damaged: {error}")))?;
        Ok(Self {
            store: Rc::clone(store),
            names: names::names(&index),
            bytes,
            index,
            sizes: Sizes::default(),
            asides: RefCell::default(),
            listed: RefCell::default(),
        })
    }

    /// Returns the value at a key.
    pub(super) fn value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if key == SCHEMA_KEY {
            return Ok(Some(Schema::current()));
        }
        let Some(name) = key.strip_prefix(IMAGE_PREFIX) else { return self.aside(key) };
        let Some(slot) = self.names.get(name) else { return Ok(None) };
        let record = match slot {
            Slot::Image(at) => {
                let entry = names::reading(&self.index.entries[*at]);
                let record = picture::record(&self.store, &self.sizes, &entry);
                record.and_then(|record| record.encode().map_err(|error| error.to_string()))
            }
            Slot::Unusable(_, why) => Err(why.clone()),
        };
        Ok(Some(record.unwrap_or_else(|why| unusable(&why))))
    }

    /// Returns what changes whenever somebody writes the record at a key. Blobs
    /// may come and go without that.
    pub(super) fn mark(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match key.strip_prefix(IMAGE_PREFIX) {
            Some(name) => Ok(self.names.get(name).map(|slot| self.index.entries[slot.at()].get().as_bytes().to_vec())),
            None => self.value(key),
        }
    }

    /// Returns the keys that begin with `prefix`, come after `after` and not after
    /// `through`, in order.
    pub(super) fn keys(&self, prefix: &str, after: Option<&str>, through: Option<&str>) -> Result<BTreeSet<String>> {
        let mut keys: BTreeSet<String> = self.names.keys().map(|name| format!("{IMAGE_PREFIX}{name}")).collect();
        keys.insert(SCHEMA_KEY.to_owned());
        // They are in many files.
        if !prefix.starts_with(IMAGE_PREFIX) {
            keys.extend(self.listed()?);
        }
        keys.retain(|key| {
            key.starts_with(prefix)
                && after.is_none_or(|after| key.as_str() > after)
                && through.is_none_or(|through| key.as_str() <= through)
        });
        Ok(keys)
    }

    fn aside(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if let Some(known) = self.asides.borrow().get(key) {
            return Ok(known.clone());
        }
        let bytes = self.store.disk.read(&aside_path(key), RECORD_BYTES_MAX + KEY_BYTES_MAX + 1)?;
        let value = bytes.as_deref().and_then(aside_parts).filter(|(found, _)| *found == key);
        let value = value.map(|(_, value)| value.to_vec());
        self.asides.borrow_mut().insert(key.to_owned(), value.clone());
        Ok(value)
    }

    fn listed(&self) -> Result<BTreeSet<String>> {
        if let Some(listed) = &*self.listed.borrow() {
            return Ok(listed.clone());
        }
        let mut listed = BTreeSet::new();
        for name in self.store.disk.names(ASIDE)? {
            let bytes = self.store.disk.read(&format!("{ASIDE}/{name}"), RECORD_BYTES_MAX + KEY_BYTES_MAX + 1)?;
            let key = bytes.as_deref().and_then(aside_parts).map(|(key, _)| key.to_owned());
            if let Some(key) = key.filter(|key| *key != SCHEMA_KEY && !key.starts_with(IMAGE_PREFIX))
                && self.aside(&key)?.is_some()
            {
                listed.insert(key);
            }
        }
        *self.listed.borrow_mut() = Some(listed.clone());
        Ok(listed)
    }
}
