//! One transaction: reads from a snapshot, remembers what it read, buffers what
//! it writes.

use super::{Error, KEY_BYTES_MAX, Shared, VALUE_BYTES_MAX};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A consistent view and its writes. Dropping it forgets the writes.
#[derive(Debug)]
pub struct Transaction {
    shared: Arc<Shared>,
    /// Taken by drop only.
    connection: Option<Connection>,
    /// The value of the clock in the snapshot, once something was read.
    snapshot: Option<i64>,
    reads: Vec<Read>,
    writes: Writes,
}

/// A key and its value.
type Row = (String, Vec<u8>);

/// What a namespace gets under a key; nothing if the record goes.
type Writes = BTreeMap<(String, String), Option<Vec<u8>>>;

/// A range that was read. With the snapshot's clock this is enough to tell
/// whether it has changed since, see [`is_unchanged`].
#[derive(Debug)]
struct Read {
    namespace: String,
    /// The first key of the range, included.
    first: Vec<u8>,
    /// The end of the range, excluded.
    end: Vec<u8>,
    /// How many records it had.
    count: usize,
}

/// The key that comes right after `key`.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// The first byte string that comes after everything that starts with `prefix`.
/// Keys are UTF-8, which never has the byte 0xff.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    match prefix.split_last() {
        Some((last, head)) => [head, &[last + 1]].concat(),
        None => vec![0xff],
    }
}

const SELECT_RANGE: &str = "SELECT key, value FROM record \
     WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4";
const SELECT_NEWEST: &str = "SELECT count(*), max(version) FROM record WHERE namespace = ?1 AND key >= ?2 AND key < ?3";

impl Transaction {
    pub(super) fn new(shared: Arc<Shared>, connection: Connection) -> Self {
        Self { shared, connection: Some(connection), snapshot: None, reads: Vec::new(), writes: BTreeMap::new() }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("only drop takes the connection")
    }

    /// Pins the snapshot at the first read.
    fn pin(&mut self) -> Result<(), Error> {
        if self.snapshot.is_none() {
            self.connection().execute_batch("BEGIN DEFERRED")?;
            self.snapshot = Some(clock(self.connection())?);
        }
        Ok(())
    }

    /// Returns the value at `key`.
    pub fn get(&mut self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(written) = self.writes.get(&(namespace.to_owned(), key.to_owned())) {
            return Ok(written.clone());
        }
        let (first, end) = (key.as_bytes().to_vec(), after(key.as_bytes()));
        let found = self.select(namespace, first, end, 1)?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    /// Returns up to `limit` records whose key starts with `prefix` and comes
    /// after `later_than`, in order of key.
    pub fn scan(
        &mut self,
        namespace: &str,
        prefix: &str,
        later_than: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let end = end_of(prefix.as_bytes());
        let first = match later_than {
            Some(key) => after(key.as_bytes()).max(prefix.as_bytes().to_vec()),
            None => prefix.as_bytes().to_vec(),
        };
        if first >= end || limit == 0 {
            return Ok(Vec::new());
        }
        let written: Vec<_> = self
            .writes
            .range((namespace.to_owned(), prefix.to_owned())..)
            .take_while(|((place, key), _)| place == namespace && key.starts_with(prefix))
            .filter(|((_, key), _)| later_than.is_none_or(|bound| key.as_str() > bound))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        // A record of the store may be hidden by a write, so that many more are asked for.
        let limit = limit as usize;
        let found = self.select(namespace, first, end, limit + written.len())?;
        if written.is_empty() {
            return Ok(found);
        }
        let mut merged: BTreeMap<_, _> = found.into_iter().map(|(key, value)| (key, Some(value))).collect();
        merged.extend(written);
        Ok(merged.into_iter().filter_map(|(key, value)| Some((key, value?))).take(limit).collect())
    }

    /// Reads a range of the snapshot and remembers it.
    fn select(&mut self, namespace: &str, first: Vec<u8>, mut end: Vec<u8>, limit: usize) -> Result<Vec<Row>, Error> {
        self.pin()?;
        let mut found = Vec::new();
        {
            let mut statement = self.connection().prepare_cached(SELECT_RANGE)?;
            let bound = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![namespace, first, end, bound])?;
            while let Some(row) = rows.next()? {
                let key =
                    String::from_utf8(row.get(0)?).map_err(|_| Error::Damaged("a key is not UTF-8".to_owned()))?;
                found.push((key, row.get(1)?));
            }
        }
        // What comes after the last one was not looked at.
        if let (true, Some((last, _))) = (found.len() == limit, found.last()) {
            end = after(last.as_bytes());
        }
        self.reads.push(Read { namespace: namespace.to_owned(), first, end, count: found.len() });
        Ok(found)
    }

    /// Writes the record at `key`. The sizes are checked by [`Self::commit`].
    pub fn put(&mut self, namespace: &str, key: &str, value: Vec<u8>) {
        self.writes.insert((namespace.to_owned(), key.to_owned()), Some(value));
    }

    /// Removes the record at `key`. Does nothing if it is absent.
    pub fn delete(&mut self, namespace: &str, key: &str) {
        self.writes.insert((namespace.to_owned(), key.to_owned()), None);
    }

    /// Makes every write durable, then visible.
    ///
    /// Fails with [`Error::Conflict`] if anything that was read has changed.
    /// After a failure nothing is written, and the transaction is spent.
    pub fn commit(&mut self) -> Result<(), Error> {
        let writes = std::mem::take(&mut self.writes);
        let reads = std::mem::take(&mut self.reads);
        for ((namespace, key), value) in &writes {
            limit(namespace.len(), KEY_BYTES_MAX)?;
            limit(key.len(), KEY_BYTES_MAX)?;
            limit(value.as_ref().map_or(0, Vec::len), VALUE_BYTES_MAX)?;
        }
        let snapshot = self.snapshot.take();
        if snapshot.is_some() {
            self.connection().execute_batch("ROLLBACK")?;
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.connection().execute_batch("BEGIN IMMEDIATE")?;
        let applied = apply(self.connection(), snapshot, &reads, &writes);
        match applied {
            Ok(()) => {
                if let Err(error) = self.connection().execute_batch("COMMIT") {
                    self.roll_back();
                    return Err(error.into());
                }
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Ends whatever SQLite transaction is open.
    fn roll_back(&self) {
        if !self.connection().is_autocommit() {
            // It fails only when SQLite has rolled back by itself.
            let _ = self.connection().execute_batch("ROLLBACK");
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.roll_back();
        if let Some(connection) = self.connection.take()
            && connection.is_autocommit()
        {
            self.shared.release(connection);
        }
    }
}

fn limit(bytes: usize, bytes_max: usize) -> Result<(), Error> {
    if bytes > bytes_max { Err(Error::TooLarge { limit: bytes_max as u64 }) } else { Ok(()) }
}

fn clock(connection: &Connection) -> Result<i64, Error> {
    connection
        .prepare_cached("SELECT version FROM clock")?
        .query_row([], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Error::Damaged("the clock is missing".to_owned()))
}

/// Compares and writes, under the write lock.
fn apply(connection: &Connection, snapshot: Option<i64>, reads: &[Read], writes: &Writes) -> Result<(), Error> {
    let now = clock(connection)?;
    // Nothing at all was committed since: then nothing that was read has changed.
    if let Some(snapshot) = snapshot.filter(|snapshot| *snapshot != now) {
        for read in reads {
            if !is_unchanged(connection, read, snapshot)? {
                return Err(Error::Conflict);
            }
        }
    }
    let version = now + 1;
    connection.prepare_cached("UPDATE clock SET version = ?1")?.execute([version])?;
    let mut put = connection.prepare_cached(
        "INSERT INTO record VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, version = excluded.version",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM record WHERE namespace = ?1 AND key = ?2")?;
    for ((namespace, key), value) in writes {
        match value {
            Some(value) => put.execute(params![namespace, key.as_bytes(), value, version])?,
            None => delete.execute(params![namespace, key.as_bytes()])?,
        };
    }
    Ok(())
}

/// Whether a range is as it was in the snapshot. A record that is not newer
/// than the snapshot was in it, as it is now. So nothing is new or written again
/// if no record is newer, and nothing is gone if there are as many as then.
fn is_unchanged(connection: &Connection, read: &Read, snapshot: i64) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(SELECT_NEWEST)?;
    let (count, newest): (i64, Option<i64>) =
        statement.query_row(params![read.namespace, read.first, read.end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(usize::try_from(count) == Ok(read.count) && newest.is_none_or(|newest| newest <= snapshot))
}
