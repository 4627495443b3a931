//! What is recorded of a namespace itself, and how all of it goes.

use super::Records;
use crate::{
    host::Transaction,
    nouns::record::{self, NAMESPACE_KEY, NamespaceRecord},
    registry::Failure,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns what is recorded of the namespace. None if nobody has made it.
    pub(in super::super) async fn own(&self) -> Result<Option<Result<NamespaceRecord, record::Error>>, Failure> {
        let value = self.transaction.get(&self.namespace, NAMESPACE_KEY).await?;
        Ok(value.map(|value| NamespaceRecord::decode(&value)))
    }

    /// Writes it.
    pub(in super::super) fn put_own(&self, record: &NamespaceRecord) {
        self.write(NAMESPACE_KEY, record.encode());
    }

    /// Whether there is any record whose key begins so.
    pub(in super::super) async fn has_any(&self, prefix: &str) -> Result<bool, Failure> {
        Ok(!self.transaction.scan(&self.namespace, prefix, None, 1).await?.is_empty())
    }

    /// Takes away every record of the namespace.
    pub(in super::super) async fn delete_all(&self) -> Result<(), Failure> {
        let mut keys = Vec::new();
        let look = |key: &str, _: &[u8]| {
            keys.push(key.to_owned());
            ControlFlow::Continue(())
        };
        self.each("", None, look).await?;
        keys.iter().for_each(|key| self.transaction.delete(&self.namespace, key));
        Ok(())
    }
}
