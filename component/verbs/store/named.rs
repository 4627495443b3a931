//! The image records of whatever name: those of references, which all doors see, and those of other texts.

use super::{KEY_BYTES_MAX, Records};
use crate::{
    host::Transaction,
    nouns::record::{self, FOREIGN_PREFIX, ImageRecord, Name, View},
    registry::Failure,
    verbs::failing::invalid,
};
use std::ops::ControlFlow;

impl<T: Transaction> Records<'_, T> {
    /// Returns the record of a name.
    pub(in super::super) async fn named(
        &self,
        name: &Name,
    ) -> Result<Option<Result<ImageRecord, record::Error>>, Failure> {
        Ok(self.named_value(name).await?.map(|value| ImageRecord::decode(&value)))
    }

    /// Returns the record of a name as it is written.
    pub(in super::super) async fn named_value(&self, name: &Name) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.transaction.get(&self.namespace, &key(name)?).await?)
    }

    /// Writes the record of a name.
    pub(in super::super) fn put_named(&self, name: &Name, record: &ImageRecord) -> Result<(), Failure> {
        self.write(&key(name)?, record.encode().map_err(invalid)?);
        Ok(())
    }

    /// Takes a name away, with all that is recorded of it.
    pub(in super::super) fn delete_named(&self, name: &Name) -> Result<(), Failure> {
        match name {
            Name::Reference(reference) => self.delete(reference),
            Name::Foreign(_) => {
                self.transaction.delete(&self.namespace, &key(name)?);
                Ok(())
            }
        }
    }

    /// Shows every image record to `visit` whose name is no reference, as it is written, in order of name.
    pub(in super::super) async fn walk_foreign_values(
        &self,
        mut visit: impl FnMut(&str, &[u8]),
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(FOREIGN_PREFIX).unwrap_or(key), value);
            ControlFlow::Continue(())
        };
        self.each(FOREIGN_PREFIX, None, look).await
    }

    /// Shows every image record to `visit`, whatever it is called.
    pub(in super::super) async fn walk_named(
        &self,
        mut visit: impl FnMut(&str, Result<View<'_>, record::Error>),
    ) -> Result<(), Failure> {
        self.walk(&mut visit).await?;
        self.walk_foreign_values(|name, value| visit(name, View::decode(value))).await
    }
}

/// Where a name is recorded.
fn key(name: &Name) -> Result<String, Failure> {
    let key = name.key();
    match key.len() > KEY_BYTES_MAX {
        true => Err(invalid(format!("the name has {} bytes, which is too long", key.len()))),
        false => Ok(key),
    }
}
