//! The records of leases, and what happens to them. Whether one still holds is for whoever asks.

use super::Records;
use crate::{
    host::{Host, Transaction},
    nouns::record::{self, Action, LEASE_PREFIX, LEASED_PREFIX, LeaseRecord, LeasedRecord},
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

    /// Shows everything to `visit` that leases hold and that is no content, with the ID of the lease: what one of them
    /// holds, or what all do.
    pub(in super::super) async fn walk_leased(
        &self,
        lease: Option<&str>,
        mut visit: impl FnMut(&str, Result<LeasedRecord, record::Error>),
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            let found = LeasedRecord::lease_of(key).unwrap_or(key);
            if lease.is_none_or(|lease| lease == found) {
                visit(found, LeasedRecord::decode(value));
            }
            ControlFlow::Continue(())
        };
        let prefix = lease.map_or_else(|| LEASED_PREFIX.to_owned(), LeasedRecord::keys_of);
        self.each(&prefix, None, look).await
    }

    /// Writes that a lease holds something that is no content.
    pub(in super::super) fn put_leased(&self, lease: &str, held: &LeasedRecord) {
        self.write(&held.key(lease), held.encode());
    }

    /// Takes that away.
    pub(in super::super) fn delete_leased(&self, lease: &str, held: &LeasedRecord) {
        self.transaction.delete(&self.namespace, &held.key(lease));
    }

    /// Takes away all that a lease holds and that is no content. It goes with the lease, or before another one of its ID.
    pub(in super::super) async fn forget_leased(&self, lease: &str) -> Result<(), Failure> {
        let mut keys = Vec::new();
        let look = |key: &str, _: &[u8]| {
            keys.extend(Some(key.to_owned()).filter(|key| LeasedRecord::lease_of(key) == Some(lease)));
            ControlFlow::Continue(())
        };
        self.each(&LeasedRecord::keys_of(lease), None, look).await?;
        keys.iter().for_each(|key| self.transaction.delete(&self.namespace, key));
        Ok(())
    }

    /// Writes a lease again, which is no event.
    pub(in super::super) fn change_lease(&self, id: &str, lease: &LeaseRecord) {
        self.write(&key(id), lease.encode());
    }

    /// Writes a lease, and that it was made.
    pub(in super::super) fn put_lease<H: Host>(&self, host: &H, id: &str, lease: &LeaseRecord) {
        self.write(&key(id), lease.encode());
        self.tell_lease(host, Action::Lease, id, Some(lease));
    }

    /// Takes a lease away with all that it holds, and writes why: `there` is what was read of it.
    pub(in super::super) async fn delete_lease<H: Host>(
        &self,
        host: &H,
        id: &str,
        there: Option<&LeaseRecord>,
        action: Action,
    ) -> Result<(), Failure> {
        self.forget_leased(id).await?;
        self.transaction.delete(&self.namespace, &key(id));
        self.tell_lease(host, action, id, there);
        Ok(())
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
