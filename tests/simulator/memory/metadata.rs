//! Records in memory, with the optimistic transactions of `wit/metadata.wit`.
//!
//! A transaction sees the rows as they were at its first read. At the commit
//! nothing may have been written since to any key or range that it read,
//! missing rows and gaps included; writing the same value again is a change.

use super::{Call, Memory};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use wharf_component::{
    host::{self, Result},
    nouns::problem::ErrorCode,
};

/// The limit of a key and of a namespace, in bytes.
const KEY_SIZE_BYTES_MAX: usize = 1024;
/// The limit of a value, in bytes.
const VALUE_SIZE_BYTES_MAX: usize = 4 << 20;
/// How many records an answer has at most, and how large it is.
const SCAN_RECORDS_MAX: usize = 1_000;
const SCAN_SIZE_BYTES_MAX: usize = 8 << 20;
/// How many namespaces an answer has at most.
const NAMESPACES_MAX: usize = 1_000;
/// So many transactions of one caller are open at once.
const TRANSACTIONS_MAX: usize = 16;

/// Namespace and key.
type Place = (String, String);

/// What is recorded.
pub type Rows = BTreeMap<Place, Vec<u8>>;

/// All rows, and when each place was last written.
#[derive(Debug, Default)]
pub struct Table {
    rows: Rc<Rows>,
    /// Deletions count as writes.
    writes: BTreeMap<Place, u64>,
    serial: u64,
}

impl Table {
    pub(super) fn new(rows: Rows) -> Self {
        Self { rows: Rc::new(rows), ..Self::default() }
    }

    pub(super) fn written(&self) -> u64 {
        self.serial
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(super) fn write(&mut self, place: Place, value: Option<Vec<u8>>) {
        self.serial += 1;
        self.writes.insert(place.clone(), self.serial);
        let rows = Rc::make_mut(&mut self.rows);
        match value {
            Some(value) => rows.insert(place, value),
            None => rows.remove(&place),
        };
    }
}

/// See `metadata.transaction`.
#[derive(Debug)]
pub struct Transaction {
    memory: Memory,
    view: RefCell<Option<View>>,
    writes: RefCell<BTreeMap<Place, Option<Vec<u8>>>>,
    gets: RefCell<BTreeSet<Place>>,
    scans: RefCell<Vec<Scan>>,
    /// Why the commit will fail.
    fault: Cell<Option<usize>>,
}

/// Refuses a name that is longer than any.
fn check(namespace: &str, key: &str) -> Result<()> {
    match namespace.len().max(key.len()) > KEY_SIZE_BYTES_MAX {
        true => Err(ErrorCode::TooLarge(KEY_SIZE_BYTES_MAX as u64)),
        false => Ok(()),
    }
}

/// The rows at the first read, and when that was.
#[derive(Clone, Debug)]
struct View {
    rows: Rc<Rows>,
    serial: u64,
}

/// A range that was read.
#[derive(Debug)]
struct Scan {
    namespace: String,
    prefix: String,
    after: Option<String>,
    /// The last key that was seen, or `None` if the range was read to its end.
    last: Option<String>,
}

impl Transaction {
    pub(super) fn new(memory: &Memory) -> Result<Self> {
        let open = &memory.process.transactions;
        if open.get() == TRANSACTIONS_MAX {
            return Err(ErrorCode::NoSpace);
        }
        open.set(open.get() + 1);
        Ok(Self {
            memory: memory.clone(),
            view: RefCell::default(),
            writes: RefCell::default(),
            gets: RefCell::default(),
            scans: RefCell::default(),
            fault: Cell::default(),
        })
    }

    /// Keeps a write, or the limit that it is over.
    fn keep(&self, namespace: &str, key: &str, value: Option<Vec<u8>>) {
        if check(namespace, key).is_err() {
            self.fault.set(self.fault.get().or(Some(KEY_SIZE_BYTES_MAX)));
        } else if value.as_ref().is_some_and(|value| value.len() > VALUE_SIZE_BYTES_MAX) {
            self.fault.set(self.fault.get().or(Some(VALUE_SIZE_BYTES_MAX)));
        } else {
            self.writes.borrow_mut().insert((namespace.to_owned(), key.to_owned()), value);
        }
    }

    fn view(&self) -> View {
        let now = || {
            let table = self.memory.inner.table.borrow();
            View { rows: table.rows.clone(), serial: table.serial }
        };
        self.view.borrow_mut().get_or_insert_with(now).clone()
    }

    /// Writes everything, unless something that was read has changed.
    fn write(&self) -> Result<()> {
        if self.writes.borrow().is_empty() {
            return Ok(());
        }
        let mut table = self.memory.inner.table.borrow_mut();
        let seen = self.view.borrow().as_ref().map_or(u64::MAX, |view| view.serial);
        if table.writes.iter().any(|(place, &serial)| serial > seen && self.has_read(place)) {
            return Err(ErrorCode::Conflict);
        }
        for (place, value) in self.writes.take() {
            table.write(place, value);
        }
        Ok(())
    }

    /// The rows as this transaction sees them.
    fn merged(&self) -> Rows {
        let mut merged = Rows::clone(&self.view().rows);
        for (place, value) in self.writes.borrow().iter() {
            match value {
                Some(value) => merged.insert(place.clone(), value.clone()),
                None => merged.remove(place),
            };
        }
        merged
    }

    fn has_read(&self, place: &Place) -> bool {
        self.gets.borrow().contains(place) || self.scans.borrow().iter().any(|scan| scan.covers(place))
    }
}

impl Scan {
    fn covers(&self, (namespace, key): &Place) -> bool {
        *namespace == self.namespace
            && key.starts_with(&self.prefix)
            && self.after.as_ref().is_none_or(|after| key > after)
            && self.last.as_ref().is_none_or(|last| key <= last)
    }
}

fn in_range<'a>(
    rows: &'a Rows,
    namespace: &'a str,
    prefix: &'a str,
    after: Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    rows.range((namespace.to_owned(), prefix.to_owned())..)
        .take_while(move |((space, key), _)| space == namespace && key.starts_with(prefix))
        .filter(move |((_, key), _)| after.is_none_or(|after| key.as_str() > after))
        .map(|((_, key), value)| (key.as_str(), value.as_slice()))
}

impl host::Transaction for Transaction {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.memory.inner.tally.note("metadata.transaction.get");
        self.memory.step(Call::Get, key).await?;
        check(namespace, key)?;
        let place = (namespace.to_owned(), key.to_owned());
        if let Some(written) = self.writes.borrow().get(&place) {
            return Ok(written.clone());
        }
        let value = self.view().rows.get(&place).cloned();
        self.gets.borrow_mut().insert(place);
        Ok(value)
    }

    async fn scan(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        self.memory.step(Call::Scan, prefix).await?;
        check(namespace, prefix)?;
        let limit = SCAN_RECORDS_MAX.min(limit as usize);
        let merged = self.merged();
        let (mut found, mut size, mut is_cut) = (Vec::new(), 0, false);
        for (key, value) in in_range(&merged, namespace, prefix, after).take(limit) {
            size += key.len() + value.len();
            is_cut = size > SCAN_SIZE_BYTES_MAX && !found.is_empty();
            if is_cut {
                break;
            }
            found.push((key.to_owned(), value.to_vec()));
        }
        self.scans.borrow_mut().push(Scan {
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            last: found.last().filter(|_| is_cut || found.len() == limit).map(|(key, _)| key.clone()),
        });
        Ok(found)
    }

    async fn namespaces(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.memory.inner.tally.note("metadata.transaction.namespaces");
        self.memory.step(Call::Namespaces, after.unwrap_or_default()).await?;
        let merged = self.merged();
        let all: BTreeSet<&String> = merged.keys().map(|(namespace, _)| namespace).collect();
        let later = all.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
        Ok(later.take(NAMESPACES_MAX.min(limit as usize)).cloned().collect())
    }

    fn put(&self, namespace: &str, key: &str, value: Vec<u8>) {
        self.keep(namespace, key, Some(value));
    }

    fn delete(&self, namespace: &str, key: &str) {
        self.keep(namespace, key, None);
    }

    async fn commit(self) -> Result<()> {
        self.memory.inner.tally.note("metadata.transaction.commit");
        if let Some(limit) = self.fault.get() {
            return Err(ErrorCode::TooLarge(limit as u64));
        }
        let keys: Vec<_> = self.writes.borrow().keys().map(|(_, key)| key.clone()).collect();
        let about = keys.last().map_or("", String::as_str);
        let commit = async {
            self.write()?;
            self.memory.step(Call::Committed, about).await
        };
        self.memory.call(Call::Commit, about, commit).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let open = &self.memory.process.transactions;
        open.set(open.get() - 1);
    }
}
