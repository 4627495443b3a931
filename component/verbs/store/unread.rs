//! Records that cannot be read, of every kind that holds something and is no image's.

use super::Records;
use crate::{
    host::Transaction,
    nouns::record::{
        CONTENT_PREFIX, ContentRecord, Error, FOREIGN_PREFIX, LEASE_PREFIX, LEASED_PREFIX, LeaseRecord, LeasedRecord,
        SNAPSHOT_PREFIX, SnapshotRecord, View,
    },
    registry::Failure,
};
use std::ops::ControlFlow;

/// Says why the bytes of a record are none.
type Read = fn(&[u8]) -> Option<Error>;

const KINDS: [(&str, Read); 5] = [
    (FOREIGN_PREFIX, |value| View::decode(value).err()),
    (CONTENT_PREFIX, |value| ContentRecord::decode(value).err()),
    (LEASE_PREFIX, |value| LeaseRecord::decode(value).err()),
    (LEASED_PREFIX, |value| LeasedRecord::decode(value).err()),
    (SNAPSHOT_PREFIX, |value| SnapshotRecord::decode(value).err()),
];

impl<T: Transaction> Records<'_, T> {
    /// Returns their keys, and why each cannot be read.
    pub(in super::super) async fn unread(&self) -> Result<Vec<(String, Error)>, Failure> {
        let mut unread = Vec::new();
        for (prefix, read) in KINDS {
            let look = |key: &str, value: &[u8]| {
                unread.extend(read(value).map(|error| (key.to_owned(), error)));
                ControlFlow::Continue(())
            };
            self.each(prefix, None, look).await?;
        }
        Ok(unread)
    }

    /// Takes one of them away.
    pub(in super::super) fn delete_unread(&self, key: &str) {
        self.transaction.delete(&self.namespace, key);
    }
}
