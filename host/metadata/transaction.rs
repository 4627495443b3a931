//! One transaction: reads from a snapshot, remembers what it read, buffers what
//! it writes.

mod namespaces;

use super::{
    ENTRY_BYTES, Error, KEY_BYTES_MAX, READS_BYTES_MAX, SCAN_BYTES_MAX, SCAN_RECORDS_MAX, Shared, VALUE_BYTES_MAX,
    WRITES_BYTES_MAX,
};
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering as AtomicOrdering;

/// A consistent view and its writes. Dropping it forgets the writes.
#[derive(Debug)]
pub struct Transaction {
    shared: Arc<Shared>,
    /// Taken by drop only.
    connection: Option<Connection>,
    /// The value of the clock in the snapshot, once something was read.
    snapshot: Option<i64>,
    reads: Vec<Read>,
    writes: BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>,
    /// What `reads` costs, see [`READS_BYTES_MAX`].
    reads_bytes: usize,
    /// What `writes` costs, see [`WRITES_BYTES_MAX`].
    writes_bytes: usize,
    /// The limit that a write has broken. Nothing can be committed then.
    refused: Option<Error>,
}

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

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// The records of an answer.
#[derive(Default)]
struct Page {
    rows: Vec<Row>,
    bytes: usize,
}

impl Page {
    /// Whether a record of so many bytes has room. The first one always has.
    fn fits(&self, bytes: usize) -> bool {
        self.rows.is_empty() || self.bytes + bytes <= SCAN_BYTES_MAX
    }

    /// Adds a record if it has room, and says whether it had.
    fn add(&mut self, row: Row) -> bool {
        let bytes = row.0.len() + row.1.len();
        let fits = self.fits(bytes);
        if fits {
            self.bytes += bytes;
            self.rows.push(row);
        }
        fits
    }
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
        Self {
            shared,
            connection: Some(connection),
            snapshot: None,
            reads: Vec::new(),
            writes: BTreeMap::new(),
            reads_bytes: 0,
            writes_bytes: 0,
            refused: None,
        }
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
    ///
    /// Fails with [`Error::TooLarge`] if a name is longer than any, or if the
    /// transaction has read too much.
    pub fn get(&mut self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        limit(namespace.len().max(key.len()), KEY_BYTES_MAX)?;
        if let Some(written) = self.writes.get(&(namespace.to_owned(), key.as_bytes().to_vec())) {
            return Ok(written.clone());
        }
        let (first, end) = (key.as_bytes().to_vec(), after(key.as_bytes()));
        let (found, _) = self.select(namespace, first, end, 1)?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    /// Returns up to `count` records whose key starts with `prefix` and comes
    /// after `later_than`, in order of key: fewer if they have more bytes than
    /// [`SCAN_BYTES_MAX`] or `count` is over [`SCAN_RECORDS_MAX`], and at least
    /// one if there is any. So only an empty answer ends a walk.
    ///
    /// Fails as [`Self::get`] does.
    pub fn scan(
        &mut self,
        namespace: &str,
        prefix: &str,
        later_than: Option<&str>,
        count: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        limit(namespace.len().max(prefix.len()).max(later_than.map_or(0, str::len)), KEY_BYTES_MAX)?;
        let count = count.min(SCAN_RECORDS_MAX) as usize;
        let end = end_of(prefix.as_bytes());
        let mut first = match later_than {
            Some(key) => after(key.as_bytes()).max(prefix.as_bytes().to_vec()),
            None => prefix.as_bytes().to_vec(),
        };
        while first < end && count > 0 {
            let (found, reached) = self.select(namespace, first.clone(), end.clone(), count)?;
            let page =
                if self.writes.is_empty() { found } else { self.merge(namespace, first, &reached, found, count) };
            if !page.is_empty() {
                let text = |key| String::from_utf8(key).map_err(|_| Error::Damaged("a key is not UTF-8".to_owned()));
                return page.into_iter().map(|(key, value)| Ok((text(key)?, value))).collect();
            }
            // Everything in this part of the range is removed by this transaction.
            first = reached;
        }
        Ok(Vec::new())
    }

    /// Puts the writes between `first` and `end` over what was found there, and
    /// returns as much of it as an answer may have.
    fn merge(&self, namespace: &str, first: Vec<u8>, end: &[u8], found: Vec<Row>, count: usize) -> Vec<Row> {
        let range = (namespace.to_owned(), first)..(namespace.to_owned(), end.to_vec());
        let mut written = self.writes.range(range).map(|((_, key), value)| (key, value)).peekable();
        let mut found = found.into_iter().peekable();
        let mut page = Page::default();
        loop {
            let order = match (found.peek(), written.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((found, _)), Some((written, _))) => found.cmp(written),
            };
            let fits = match order {
                Ordering::Less => found.next().is_some_and(|row| page.add(row)),
                Ordering::Equal | Ordering::Greater => {
                    if order == Ordering::Equal {
                        found.next();
                    }
                    match written.next() {
                        Some((key, Some(value))) => {
                            page.fits(key.len() + value.len()) && page.add((key.clone(), value.clone()))
                        }
                        _ => true,
                    }
                }
            };
            if !fits || page.rows.len() == count {
                break;
            }
        }
        page.rows
    }

    /// Reads a range of the snapshot as far as an answer may go, and remembers it.
    /// Returns the end of what was read too, which is excluded.
    fn select(
        &mut self,
        namespace: &str,
        first: Vec<u8>,
        mut end: Vec<u8>,
        count: usize,
    ) -> Result<(Vec<Row>, Vec<u8>), Error> {
        self.pin()?;
        let mut page = Page::default();
        let mut is_whole = true;
        {
            let mut statement = self.connection().prepare_cached(SELECT_RANGE)?;
            let bound = i64::try_from(count).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![namespace, first, end, bound])?;
            while let Some(row) = rows.next()? {
                if !page.add((row.get(0)?, row.get(1)?)) {
                    is_whole = false;
                    break;
                }
            }
        }
        // What comes after the last one was not looked at.
        if let (true, Some((last, _))) = (!is_whole || page.rows.len() == count, page.rows.last()) {
            end = after(last);
        }
        self.reads_bytes += namespace.len() + first.len() + end.len() + ENTRY_BYTES;
        limit(self.reads_bytes, READS_BYTES_MAX)?;
        self.reads.push(Read { namespace: namespace.to_owned(), first, end: end.clone(), count: page.rows.len() });
        Ok((page.rows, end))
    }

    /// Writes the record at `key`.
    ///
    /// A write that is over a limit is not buffered, and [`Self::commit`] says so.
    pub fn put(&mut self, namespace: &str, key: &str, value: Vec<u8>) {
        self.write(namespace, key, Some(value));
    }

    /// Removes the record at `key`. Does nothing if it is absent.
    pub fn delete(&mut self, namespace: &str, key: &str) {
        self.write(namespace, key, None);
    }

    fn write(&mut self, namespace: &str, key: &str, value: Option<Vec<u8>>) {
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        let bytes = namespace.len() + key.len() + value_bytes + ENTRY_BYTES;
        let fits = limit(namespace.len().max(key.len()), KEY_BYTES_MAX)
            .and(limit(value_bytes, VALUE_BYTES_MAX))
            .and(limit(self.writes_bytes + bytes, WRITES_BYTES_MAX));
        if let Err(error) = fits {
            self.refused.get_or_insert(error);
            return;
        }
        self.writes_bytes += bytes;
        if let Some(replaced) = self.writes.insert((namespace.to_owned(), key.as_bytes().to_vec()), value) {
            self.writes_bytes -= bytes - value_bytes + replaced.map_or(0, |value| value.len());
        }
    }

    /// Makes every write durable, then visible.
    ///
    /// Fails with [`Error::Conflict`] if anything that was read has changed, and
    /// with [`Error::TooLarge`] if a write was over a limit.
    /// After a failure nothing is written, and the transaction is spent. A disk that fails again, at once, may bring the
    /// writes back when every process has gone.
    pub fn commit(&mut self) -> Result<(), Error> {
        let writes = std::mem::take(&mut self.writes);
        let reads = std::mem::take(&mut self.reads);
        if let Some(error) = self.refused.take() {
            return Err(error);
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
                    self.shared.unsettled.fetch_add(1, AtomicOrdering::AcqRel);
                    if let Err(other) = self.shared.write_over(self.connection()) {
                        self.roll_back();
                        tracing::warn!(%error, %other, "a commit failed, and cannot be taken out of the log yet");
                    }
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
fn apply(
    connection: &Connection,
    snapshot: Option<i64>,
    reads: &[Read],
    writes: &BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>,
) -> Result<(), Error> {
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
            Some(value) => put.execute(params![namespace, key, value, version])?,
            None => delete.execute(params![namespace, key])?,
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
