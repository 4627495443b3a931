//! The records of snapshots that clients call by keys of their own.

use super::{KEY_BYTES_MAX, Records};
use crate::{
    host::Transaction,
    nouns::record::{self, SNAPSHOT_PREFIX, SnapshotRecord},
    registry::Failure,
    verbs::failing::invalid,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns the record of a snapshot.
    pub(in super::super) async fn snapshot(
        &self,
        name: &str,
    ) -> Result<Option<Result<SnapshotRecord, record::Error>>, Failure> {
        let value = self.transaction.get(&self.namespace, &key(name)?).await?;
        Ok(value.map(|value| SnapshotRecord::decode(&value)))
    }

    /// Shows the records of snapshots to `visit` that come after `after`, in order of key, until it has seen enough.
    pub(in super::super) async fn walk_snapshots(
        &self,
        after: Option<&str>,
        mut visit: impl FnMut(&str, Result<SnapshotRecord, record::Error>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(SNAPSHOT_PREFIX).unwrap_or(key), SnapshotRecord::decode(value))
        };
        self.each(SNAPSHOT_PREFIX, after.map(key).transpose()?.as_deref(), look).await
    }

    /// Writes the record of a snapshot.
    pub(in super::super) fn put_snapshot(&self, name: &str, record: &SnapshotRecord) -> Result<(), Failure> {
        self.write(&key(name)?, record.encode());
        Ok(())
    }

    /// Takes it away.
    pub(in super::super) fn delete_snapshot(&self, name: &str) -> Result<(), Failure> {
        self.transaction.delete(&self.namespace, &key(name)?);
        Ok(())
    }
}

fn key(name: &str) -> Result<String, Failure> {
    let key = format!("{SNAPSHOT_PREFIX}{name}");
    match key.len() > KEY_BYTES_MAX {
        true => Err(invalid(format!("the key of the snapshot has {} bytes, which is too long", name.len()))),
        false => Ok(key),
    }
}
