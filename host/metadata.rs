//! The metadata store: opaque records under (namespace, key), changed together
//! or not at all, on SQLite in WAL mode.
//!
//! It does not know what a record means: the schema lives in the component.
//!
//! ```text
//! metadata.sqlite        record(namespace, key, value, version), clock(version)
//! metadata.sqlite-wal    what is committed and not yet moved into the file
//! metadata.sqlite-shm    shared memory of the processes that have it open
//! ```
//!
//! Invariant: every commit that writes raises `clock.version` by one and stamps
//! its records with it. A record that was deleted and written again therefore
//! never looks unchanged.
//!
//! Invariant: no write lock is held between calls. A transaction reads from a
//! snapshot and buffers its writes; `commit` takes the write lock, compares what
//! was read with what is there now, and applies or fails with [`Error::Conflict`].
//!
//! Invariant: a commit that failed is never seen later. SQLite may have written all of
//! it into the log before the sync failed, and whoever reads the log anew, as the first
//! process after all have gone, would take it for committed. So the log is written over
//! at once. Where the disk refuses that as well, it is tried again before anything is
//! removed on the word of these records, see [`Metadata::settle`].
//!
//! From its first read to its end a transaction does hold its snapshot, which is
//! SQLite's: nobody waits for it, but what is committed meanwhile stays in the
//! log, which grows until the last of these transactions has gone. Nothing here
//! ends one that is held for long; whoever runs components of others has to.

mod transaction;

pub use transaction::Transaction;

use crate::planted::{self, Bug};
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4 << 20;
/// The longest key and the longest namespace, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;
/// The most that a transaction buffers of what it writes, in bytes: namespaces,
/// keys, values, and [`ENTRY_BYTES`] for each record.
pub const WRITES_BYTES_MAX: usize = 64 << 20;
/// The most that a transaction remembers of which records it read, counted in the
/// same way.
pub const READS_BYTES_MAX: usize = 64 << 20;
/// What one record costs to remember, besides its bytes.
pub const ENTRY_BYTES: usize = 64;
/// The most records in the answer of one scan.
pub const SCAN_RECORDS_MAX: u32 = 1_000;
/// The most namespaces in one answer.
pub const NAMESPACES_MAX: u32 = 1_000;
/// The most bytes of keys and values in the answer of one scan. The largest
/// record has room.
pub const SCAN_BYTES_MAX: usize = 8 << 20;

/// The name of the file in the store.
pub const FILE: &str = "metadata.sqlite";
/// Marks the file as wharf's: `whrf`.
const APPLICATION_ID: i32 = 0x7768_7266;
/// The version of the tables. What is in the values has a version of its own.
const TABLES_VERSION: i32 = 1;
/// How long a commit waits for the commits of others.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// How often opening looks again whether another process has let go of the file.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Idle connections that are kept for the next transaction.
const IDLE_MAX: usize = 4;
/// The pages in the log after which a commit moves them into the file. Every
/// process reads the log when it is the only one, so that a long one costs each
/// start some milliseconds; moving costs a sync or two, once in some ten commits.
const LOG_PAGES: u32 = 64;
/// How large the memory is that the processes share, as long as the log is short.
const SHARED_BYTES: u64 = 32 << 10;
/// What the log's file keeps of its size once it has been moved, in bytes. It
/// grows beyond that under transactions that are held for long.
const LOG_BYTES_KEPT: u32 = 1 << 20;
/// How much room the log's file has at least, in bytes: as much again as what is
/// in it when it is moved. On a full disk, where it cannot be moved, that is left
/// for the removals that make room.
const LOG_BYTES_RESERVED: u64 = 512 << 10;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the transaction read has changed since.
    #[error("a record changed in the meantime")]
    Conflict,
    /// A name, a value, or what a transaction reads or writes altogether is over
    /// its limit, which is this many bytes.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The disk is full. Nothing was written.
    #[error("no space left for the metadata")]
    NoSpace,
    /// The file is not what wharf wrote.
    #[error("`{FILE}` is damaged or not wharf's: {0}")]
    Damaged(String),
    /// A newer wharf has written the file.
    #[error("`{FILE}` has tables of version {0}, and this wharf knows version {TABLES_VERSION}")]
    Version(i32),
    /// Anything else.
    #[error("cannot use `{FILE}`: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

/// The metadata of one store. Cheap to clone; several processes may have the
/// same one open.
#[derive(Clone, Debug)]
pub struct Metadata {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// How many commits failed that may still be in the log, and come back.
    unsettled: AtomicU64,
}

impl Metadata {
    /// Opens the metadata below `root`, and makes them if there are none.
    ///
    /// `path` is where `root` is: SQLite opens files by path.
    pub fn open(root: &Dir, path: &Path) -> Result<Self, Error> {
        create_private(root)?;
        for part in ["", "-wal", "-shm"] {
            if root.symlink_metadata(format!("{FILE}{part}")).is_ok_and(|file| !file.is_file()) {
                return Err(Error::Damaged(format!("`{FILE}{part}` is no file")));
            }
        }
        if !has_room(root)? {
            return Err(Error::NoSpace);
        }
        let shared = Shared { path: path.join(FILE), idle: Mutex::default(), unsettled: AtomicU64::new(0) };
        let metadata = Self { shared: Arc::new(shared) };
        match metadata.connect().and_then(|connection| set_up(&connection).map(|()| connection)) {
            Ok(connection) => metadata.shared.release(connection),
            // SQLite says of a full disk also that it cannot open a file.
            Err(Error::Sqlite(_)) if !has_room(root)? => return Err(Error::NoSpace),
            Err(error) => return Err(error),
        }
        reserve(root);
        Ok(metadata)
    }

    /// Reads everything, and says whether it is what was written.
    ///
    /// Fails with [`Error::Damaged`] if it is not.
    pub fn check(&self) -> Result<(), Error> {
        let connection = self.connect()?;
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        self.shared.release(connection);
        if found == "ok" { Ok(()) } else { Err(Error::Damaged(found)) }
    }

    /// Takes a damaged file out of the way, with what belongs to it, and returns its new name. Nobody else may use the
    /// store meanwhile.
    pub fn set_aside(root: &Dir) -> std::io::Result<String> {
        let mut serial = 1;
        while root.symlink_metadata(format!("{FILE}.damaged-{serial}")).is_ok() {
            serial += 1;
        }
        let aside = format!("{FILE}.damaged-{serial}");
        root.rename(FILE, root, &aside)?;
        for part in ["-wal", "-shm"] {
            match root.rename(format!("{FILE}{part}"), root, format!("{aside}{part}")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(aside)
    }

    /// Begins a transaction. Never waits for another one.
    pub fn begin(&self) -> Result<Transaction, Error> {
        match self.begin_ready() {
            Some(transaction) => Ok(transaction),
            None => Ok(Transaction::new(self.shared.clone(), self.connect()?)),
        }
    }

    /// The same, if that takes no file to be opened.
    pub(crate) fn begin_ready(&self) -> Option<Transaction> {
        let connection = self.shared.idle().pop()?;
        Some(Transaction::new(self.shared.clone(), connection))
    }

    /// Sees to it that no commit of this process that failed comes back. Whoever removes what no record needs asks for this
    /// first. It costs nothing unless a commit has failed, and could not be written over.
    pub fn settle(&self) -> Result<(), Error> {
        if self.shared.unsettled.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let connection = self.connect()?;
        self.shared.write_over(&connection)?;
        self.shared.release(connection);
        Ok(())
    }

    fn connect(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.shared.path, flags)?;
        connection.busy_timeout(BUSY_MAX)?;
        // A commit that returned survives a power cut.
        let synchronous = if planted::has(Bug::CommitUnsynced) { "OFF" } else { "FULL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // What is in the file was perhaps not written by us.
        connection.pragma_update(None, "trusted_schema", false)?;
        // What is bound to a statement, as the number of rows, is no reason to plan it anew each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // Closing moves nothing: the log is moved when it has grown, by whoever commits.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        Ok(connection)
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Pushing to and popping from the list cannot leave it half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes over what commits that failed have left at the end of the log: another commit takes their place there, after
    /// which the rest of them is no part of the log.
    fn write_over(&self, connection: &Connection) -> Result<(), Error> {
        let seen = self.unsettled.load(Ordering::Acquire);
        connection.execute_batch("BEGIN IMMEDIATE; UPDATE clock SET version = version + 1; COMMIT")?;
        // One that failed meanwhile is not among them.
        let _ = self.unsettled.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }

    fn release(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

/// Makes the file, readable by its owner alone: SQLite gives its other files
/// the same mode.
fn create_private(root: &Dir) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match root.open_with(FILE, &options) {
        // A `Dir` cannot be synced itself: its descriptor is only a path.
        Ok(file) => file.sync_all().and_then(|()| root.open(".")?.sync_all()).map_err(unusable),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unusable(error)),
    }
}

/// Whether there is room for the memory that the processes share. SQLite maps that file, and where the disk has blocks
/// smaller than a page, one that it has no room for ends the process. What is free and not available counts for nobody:
/// some of that ext4 keeps for itself, whoever asks.
fn has_room(root: &Dir) -> Result<bool, Error> {
    let shared = root.symlink_metadata(format!("{FILE}-shm")).map_or(0, |file| file.blocks() * 512);
    if shared >= SHARED_BYTES {
        return Ok(true);
    }
    let disk = rustix::fs::fstatvfs(root).map_err(|error| unusable(error.into()))?;
    // Some file systems count no files.
    let has_files = disk.f_files == 0 || disk.f_ffree > 1;
    Ok(has_files && disk.f_bavail.saturating_mul(disk.f_frsize) >= 2 * SHARED_BYTES)
}

/// Takes room for the log, beyond what is in it, as long as there is some. A name goes by a record that is written, so that
/// nothing could be removed from a disk that is full to the last byte.
fn reserve(root: &Dir) {
    let path = format!("{FILE}-wal");
    if root.symlink_metadata(&path).is_ok_and(|log| log.blocks() * 512 >= LOG_BYTES_RESERVED) {
        return;
    }
    let Ok(log) = root.open_with(&path, OpenOptions::new().write(true)) else { return };
    // Without it everything works but that, and some file systems cannot. SQLite locks the other two files, so that
    // closing this one lets go of nothing.
    let _ = rustix::fs::fallocate(&log, rustix::fs::FallocateFlags::KEEP_SIZE, 0, LOG_BYTES_RESERVED);
}

fn unusable(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoSpace,
        _ => Error::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
    }
}

/// Makes the tables, or checks that they are the ones that this code knows.
fn set_up(connection: &Connection) -> Result<(), Error> {
    let version = |connection: &Connection| -> rusqlite::Result<(i32, i32)> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((pragma("application_id")?, pragma("user_version")?))
    };
    if version(connection)? == (0, 0) {
        let mode = enter_wal_mode(connection)?;
        if mode != "wal" {
            return Err(Error::Damaged(format!("the journal mode is `{mode}`, and `wal` cannot be set here")));
        }
        // Another process may do the same at the same time: whoever comes second finds it done.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        if version(connection)? == (0, 0) {
            connection.execute_batch(
                "CREATE TABLE record (
                   namespace TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,
                   PRIMARY KEY (namespace, key)) STRICT, WITHOUT ROWID;
                 CREATE TABLE clock (version INTEGER NOT NULL) STRICT;
                 INSERT INTO clock VALUES (0);",
            )?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", TABLES_VERSION)?;
        }
        connection.execute_batch("COMMIT")?;
    }
    match version(connection)? {
        (APPLICATION_ID, TABLES_VERSION) => Ok(()),
        (APPLICATION_ID, other) => Err(Error::Version(other)),
        (other, _) => Err(Error::Damaged(format!("its application id is {other:#x}"))),
    }
}

/// Sets the journal mode, and returns which one it is then.
///
/// This is the one statement that does not wait for other processes by itself: of
/// several that set up a new store at the same time, some are told that the file
/// is busy.
fn enter_wal_mode(connection: &Connection) -> Result<String, Error> {
    let began = Instant::now();
    loop {
        match ask_for_wal_mode(connection) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < BUSY_MAX => {
                std::thread::sleep(BUSY_WAIT);
            }
            answer => return Ok(answer?),
        }
    }
}

/// The answer comes before the file is changed. Whether that failed is known only at the end of the statement.
fn ask_for_wal_mode(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}
