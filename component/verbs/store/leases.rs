//! The records of leases, and what happens to them. Whether one still holds is for whoever asks.

use super::Records;
use crate::{
    host::{Host, Transaction},
    nouns::record::{self, Action, LEASE_PREFIX, LeaseRecord},
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

    /// Writes a lease, and that it was made.
    pub(in super::super) fn put_lease<H: Host>(&self, host: &H, id: &str, lease: &LeaseRecord) {
        self.write(&key(id), lease.encode());
        self.tell_lease(host, Action::Lease, id, Some(lease));
    }

    /// Takes a lease away, and writes why: `there` is what was read of it.
    pub(in super::super) fn delete_lease<H: Host>(
        &self,
        host: &H,
        id: &str,
        there: Option<&LeaseRecord>,
        action: Action,
    ) {
        self.transaction.delete(&self.namespace, &key(id));
        self.tell_lease(host, action, id, there);
    }

    /// Writes what happens to a lease.
    pub(in super::super) fn tell_lease<H: Host>(
        &self,
        host: &H,
        action: Action,
        id: &str,
        lease: Option<&LeaseRecord>,
    ) {
        let target = match lease.map(|lease| lease.holds.as_slice()) {
            Some([one]) => Some(one),
            _ => None,
        };
        self.tell(host, action, id, target);
    }
}

fn key(id: &str) -> String {
    format!("{LEASE_PREFIX}{id}")
}
