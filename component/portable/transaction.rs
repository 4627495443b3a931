//! `metadata.transaction` on a layout: one namespace, whose image records are made
//! of `index.json` when they are read, and become entries of it when they are
//! written. It keeps no lock while it is open.
//!
//! A commit makes the new `index.json` first, with everything that has to be
//! synced, and holds the lock only to see that the old one is still the one that
//! the new one was made from, and to rename. If it is not, it begins again with
//! what is there now, unless something that the transaction read is different:
//! that is a conflict.
//!
//! Two things differ from `metadata.wit`. A record that was changed and changed back
//! has not changed. And a record that is not an image's is as it was when the transaction
//! first asked for it, which may be later than its first read.

use super::{
    Shared, edit,
    index::{self, INDEX, Index},
    lock::Lock,
    view::{ASIDE, KEY_BYTES_MAX, View, aside_file, aside_path},
};
use crate::{
    host::{self, Result},
    nouns::{
        json::DOCUMENT_BYTES_MAX,
        problem::ErrorCode,
        record::{IMAGE_PREFIX, ImageRecord, RECORD_BYTES_MAX, SCHEMA_KEY, Schema},
        reference::Reference,
    },
};
use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

/// The one set of names that a layout has.
const NAMESPACE: &str = "default";
/// How many records one answer has.
const SCAN_RECORDS_MAX: usize = 1_000;
/// How large one answer is, in bytes.
const SCAN_BYTES_MAX: usize = 8 << 20;
/// How large the writes of one transaction are together, in bytes.
const WRITES_BYTES_MAX: usize = 64 << 20;
/// What a write counts beside its names and its value, in bytes.
const WRITE_BYTES: usize = 64;
/// How often a commit begins again because others were faster.
const ROUNDS_MAX: usize = 64;

/// A view, and writes that become visible at once or never.
pub struct Transaction {
    store: Rc<Shared>,
    view: OnceCell<View>,
    read: RefCell<Read>,
    writes: RefCell<Writes>,
}

/// What was looked at.
#[derive(Default)]
struct Read {
    keys: BTreeSet<String>,
    /// Prefix, after, and through; none is to the end.
    ranges: Vec<(String, Option<String>, Option<String>)>,
}

#[derive(Default)]
struct Writes {
    records: BTreeMap<String, Option<Vec<u8>>>,
    bytes: usize,
    /// Why the commit will fail.
    fault: Option<ErrorCode>,
}

/// What a commit does, in the terms of a layout.
#[derive(Default)]
struct Changes {
    names: Vec<(String, Option<(Reference, ImageRecord)>)>,
    asides: Vec<(String, Option<Vec<u8>>)>,
}

impl Transaction {
    pub(super) fn new(store: Rc<Shared>) -> Self {
        Self { store, view: OnceCell::new(), read: RefCell::default(), writes: RefCell::default() }
    }

    fn view(&self) -> Result<&View> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = View::load(&self.store)?;
        Ok(self.view.get_or_init(|| view))
    }

    fn write(&self, namespace: &str, key: &str, value: Option<Vec<u8>>) {
        let length = value.as_ref().map_or(0, Vec::len);
        let mut writes = self.writes.borrow_mut();
        writes.bytes = writes.bytes.saturating_add(namespace.len() + key.len() + length + WRITE_BYTES);
        let fault = if let Err(code) = check(namespace, key) {
            Some(code)
        } else if length > RECORD_BYTES_MAX {
            Some(ErrorCode::TooLarge(RECORD_BYTES_MAX as u64))
        } else if writes.bytes > WRITES_BYTES_MAX {
            Some(ErrorCode::TooLarge(WRITES_BYTES_MAX as u64))
        } else {
            None
        };
        match fault {
            Some(fault) => drop(writes.fault.get_or_insert(fault)),
            None => drop(writes.records.insert(key.to_owned(), value)),
        }
    }

    /// Whether everything that was read is the same in another view.
    fn is_unchanged(&self, now: &View) -> Result<bool> {
        let Some(then) = self.view.get() else { return Ok(true) };
        let read = self.read.borrow();
        let is_same = |key: &String| Ok::<_, ErrorCode>(then.mark(key)? == now.mark(key)?);
        for key in &read.keys {
            if !is_same(key)? {
                return Ok(false);
            }
        }
        for (prefix, after, through) in &read.ranges {
            let keys = then.keys(prefix, after.as_deref(), through.as_deref())?;
            if keys != now.keys(prefix, after.as_deref(), through.as_deref())? {
                return Ok(false);
            }
            for key in &keys {
                if !is_same(key)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Makes one attempt. Returns whether it succeeded; if not, `index.json` is
    /// another one by now, or somebody has taken the lock.
    async fn attempt(&self, changes: &Changes) -> Result<bool> {
        let (store, disk) = (&self.store, &self.store.disk);
        let before = View::load(store)?;
        if !self.is_unchanged(&before)? {
            return Err(ErrorCode::Conflict);
        }
        let new = changes.apply(before.index.clone()).write();
        if new.len() > DOCUMENT_BYTES_MAX {
            return Err(ErrorCode::TooLarge(DOCUMENT_BYTES_MAX as u64));
        }
        // One that is only written in another way is left alone.
        let new = (new != before.index.write()).then(|| disk.draft(&store.id(), &new)).transpose()?;
        let mut asides = Vec::new();
        for (key, value) in &changes.asides {
            let draft = value.as_ref().map(|value| disk.draft(&store.id(), &aside_file(key, value)));
            asides.push((aside_path(key), draft.transpose()?));
        }
        if !asides.is_empty() {
            disk.directory(ASIDE)?;
        }
        if new.is_none() && asides.is_empty() {
            return Ok(true);
        }
        {
            let lock = Lock::acquire(store).await?;
            let is_same = index::read(disk)?.is_some_and(|now| now == before.bytes);
            // Other records are not in `index.json`, so what was read of them is looked at again.
            if !is_same || !self.is_unchanged(&View::load(store)?)? || !lock.is_own()? {
                return Ok(false);
            }
            for (below, draft) in asides {
                match draft {
                    Some(draft) => disk.place(draft, &below)?,
                    None => disk.remove(&below)?,
                }
            }
            if let Some(new) = new {
                if !lock.is_own()? {
                    return Ok(false);
                }
                disk.place(new, INDEX)?;
            }
        }
        if !changes.asides.is_empty() {
            disk.sync(ASIDE)?;
        }
        disk.sync("")?;
        Ok(true)
    }
}

impl Changes {
    /// Translates what was written.
    fn of(writes: &Writes) -> Result<Self> {
        let mut changes = Self::default();
        for (key, value) in &writes.records {
            if let Some(name) = key.strip_prefix(IMAGE_PREFIX) {
                let new = match value {
                    Some(value) => {
                        let name = Reference::parse_canonical(name).map_err(|_| ErrorCode::Invalid)?;
                        Some((name, ImageRecord::decode(value).map_err(|_| ErrorCode::Invalid)?))
                    }
                    None => None,
                };
                changes.names.push((name.to_owned(), new));
            } else if key != SCHEMA_KEY {
                changes.asides.push((key.clone(), value.clone()));
            } else if value.as_ref().is_some_and(|value| *value != Schema::current()) {
                // There is nowhere to put it.
                return Err(ErrorCode::Unsupported);
            }
        }
        Ok(changes)
    }

    fn apply(&self, mut index: Index) -> Index {
        for (name, new) in &self.names {
            match new {
                Some((name, record)) => edit::put(&mut index, name, record),
                None => edit::delete(&mut index, name),
            }
        }
        index
    }
}

fn check(namespace: &str, key: &str) -> Result<()> {
    if namespace.len().max(key.len()) > KEY_BYTES_MAX {
        Err(ErrorCode::TooLarge(KEY_BYTES_MAX as u64))
    } else if namespace != NAMESPACE {
        Err(ErrorCode::Unsupported)
    } else {
        Ok(())
    }
}

impl host::Transaction for Transaction {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        check(namespace, key)?;
        if let Some(written) = self.writes.borrow().records.get(key) {
            return Ok(written.clone());
        }
        self.read.borrow_mut().keys.insert(key.to_owned());
        self.view()?.value(key)
    }

    async fn scan(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        check(namespace, prefix)?;
        let limit = SCAN_RECORDS_MAX.min(usize::try_from(limit).unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(Vec::new());
        }
        let view = self.view()?;
        let writes = self.writes.borrow();
        let mut keys = view.keys(prefix, after, None)?;
        let is_asked = |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        keys.extend(writes.records.keys().filter(is_asked).cloned());
        let (mut answer, mut bytes) = (Vec::new(), 0);
        let mut through = None;
        for key in keys {
            let value = match writes.records.get(&key) {
                Some(written) => written.clone(),
                None => view.value(&key)?,
            };
            let Some(value) = value else { continue };
            bytes += key.len() + value.len();
            if bytes > SCAN_BYTES_MAX && !answer.is_empty() {
                through = answer.last().map(|(last, _): &(String, _)| last.clone());
                break;
            }
            answer.push((key, value));
            if answer.len() == limit {
                through = answer.last().map(|(last, _)| last.clone());
                break;
            }
        }
        self.read.borrow_mut().ranges.push((prefix.to_owned(), after.map(str::to_owned), through));
        Ok(answer)
    }

    async fn namespaces(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let is_asked = limit > 0 && after.is_none_or(|after| NAMESPACE > after);
        Ok(if is_asked { vec![NAMESPACE.to_owned()] } else { Vec::new() })
    }

    fn put(&self, namespace: &str, key: &str, value: Vec<u8>) {
        self.write(namespace, key, Some(value));
    }

    fn delete(&self, namespace: &str, key: &str) {
        self.write(namespace, key, None);
    }

    async fn commit(self) -> Result<()> {
        let changes = {
            let mut writes = self.writes.borrow_mut();
            match writes.fault.take() {
                Some(fault) => return Err(fault),
                None => Changes::of(&writes)?,
            }
        };
        if changes.names.is_empty() && changes.asides.is_empty() {
            return Ok(());
        }
        for _ in 0..ROUNDS_MAX {
            if self.attempt(&changes).await? {
                // What killed processes left is no matter of this commit.
                let now = self.store.disk.now(&self.store.id());
                let _ = now.and_then(|now| self.store.disk.tidy(now));
                return Ok(());
            }
        }
        Err(ErrorCode::Conflict)
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
