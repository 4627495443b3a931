//! The records of blobs that belong to the namespace.

use super::Records;
use crate::{
    host::Transaction,
    nouns::{
        digest::Digest,
        record::{self, CONTENT_PREFIX, ContentRecord},
    },
    registry::Failure,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns the record of a blob.
    pub(in super::super) async fn content(
        &self,
        digest: &Digest,
    ) -> Result<Option<Result<ContentRecord, record::Error>>, Failure> {
        let value = self.transaction.get(&self.namespace, &key(digest)).await?;
        Ok(value.map(|value| ContentRecord::decode(&value)))
    }

    /// Shows the records of blobs to `visit` that come after `after`, in order of digest, until it has seen enough.
    pub(in super::super) async fn walk_contents(
        &self,
        after: Option<&Digest>,
        mut visit: impl FnMut(&str, Result<ContentRecord, record::Error>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(CONTENT_PREFIX).unwrap_or(key), ContentRecord::decode(value))
        };
        self.each(CONTENT_PREFIX, after.map(key).as_deref(), look).await
    }

    /// Writes the record of a blob.
    pub(in super::super) fn put_content(&self, digest: &Digest, record: &ContentRecord) {
        self.write(&key(digest), record.encode());
    }

    /// Takes the record of a blob away.
    pub(in super::super) fn delete_content(&self, digest: &Digest) {
        self.transaction.delete(&self.namespace, &key(digest));
    }
}

fn key(digest: &Digest) -> String {
    format!("{CONTENT_PREFIX}{digest}")
}
