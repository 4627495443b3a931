//! The records of leases. Whether one still holds is for whoever asks.

use super::Records;
use crate::{
    host::Transaction,
    nouns::record::{self, LEASE_PREFIX, LeaseRecord},
    registry::Failure,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns a lease, if there is one that is called so.
    pub(in super::super) async fn lease(
        &self,
        id: &str,
    ) -> Result<Option<Result<LeaseRecord, record::Error>>, Failure> {
        let value = self.transaction.get(&self.namespace, &key(id)).await?;
        Ok(value.map(|value| LeaseRecord::decode(&value)))
    }

    /// Shows every lease to `visit`, in order of ID, those included that hold no
    /// more.
    pub(in super::super) async fn walk_leases(
        &self,
        mut visit: impl FnMut(&str, Result<LeaseRecord, record::Error>),
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(LEASE_PREFIX).unwrap_or(key), LeaseRecord::decode(value));
            ControlFlow::Continue(())
        };
        self.each(LEASE_PREFIX, None, look).await
    }

    /// Writes a lease.
    pub(in super::super) fn put_lease(&self, id: &str, lease: &LeaseRecord) {
        self.write(&key(id), lease.encode());
    }

    /// Takes a lease away.
    pub(in super::super) fn delete_lease(&self, id: &str) {
        self.transaction.delete(&self.namespace, &key(id));
    }
}

fn key(id: &str) -> String {
    format!("{LEASE_PREFIX}{id}")
}
