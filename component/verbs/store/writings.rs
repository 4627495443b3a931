//! The records of ingests that programs write by names of their own.

use super::{KEY_BYTES_MAX, Records};
use crate::{
    host::Transaction,
    nouns::record::{self, WRITING_PREFIX, WritingRecord},
    registry::Failure,
    verbs::failing::invalid,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns what is recorded of an ingest.
    pub(in super::super) async fn writing(
        &self,
        name: &str,
    ) -> Result<Option<Result<WritingRecord, record::Error>>, Failure> {
        let value = self.transaction.get(&self.namespace, &key(name)?).await?;
        Ok(value.map(|value| WritingRecord::decode(&value)))
    }

    /// Shows every one to `visit`, in order of name.
    pub(in super::super) async fn walk_writings(
        &self,
        mut visit: impl FnMut(&str, Result<WritingRecord, record::Error>),
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(WRITING_PREFIX).unwrap_or(key), WritingRecord::decode(value));
            ControlFlow::Continue(())
        };
        self.each(WRITING_PREFIX, None, look).await
    }

    /// Writes what is recorded of an ingest.
    pub(in super::super) fn put_writing(&self, name: &str, record: &WritingRecord) -> Result<(), Failure> {
        self.write(&key(name)?, record.encode());
        Ok(())
    }

    /// Takes it away.
    pub(in super::super) fn delete_writing(&self, name: &str) -> Result<(), Failure> {
        self.transaction.delete(&self.namespace, &key(name)?);
        Ok(())
    }
}

fn key(name: &str) -> Result<String, Failure> {
    let key = format!("{WRITING_PREFIX}{name}");
    match key.len() > KEY_BYTES_MAX {
        true => Err(invalid(format!("the name of the ingest has {} bytes, which is too long", name.len()))),
        false => Ok(key),
    }
}
