//! What is kept of a name that comes and says nothing.

use super::Records;
use crate::{
    host::Transaction,
    nouns::{
        record::ImageRecord,
        retention::{RETENTION_KEY, Retention},
    },
    registry::Failure,
};

impl<T: Transaction> Records<'_, T> {
    /// Returns what is kept of names that come.
    pub(in super::super) async fn usual_retention(&self) -> Result<Retention, Failure> {
        let value = self.transaction.get(&self.namespace, RETENTION_KEY).await?;
        Ok(Retention::read(value.as_deref().and_then(|value| std::str::from_utf8(value).ok())))
    }

    /// Writes it. What is usual anywhere needs no record.
    pub(in super::super) fn put_usual_retention(&self, retention: Retention) {
        match retention {
            Retention::Both => self.transaction.delete(&self.namespace, RETENTION_KEY),
            other => self.write(RETENTION_KEY, other.word().into()),
        }
    }

    /// Returns what is to be kept of a name: what was asked for, or else what its
    /// record says, or, of a new one, what is usual.
    pub(in super::super) async fn retention_of(
        &self,
        asked: Option<Retention>,
        record: Option<&ImageRecord>,
    ) -> Result<Retention, Failure> {
        match (asked, record) {
            (Some(asked), _) => Ok(asked),
            (None, Some(record)) => Ok(Retention::of(&record.labels)),
            (None, None) => self.usual_retention().await,
        }
    }
}
