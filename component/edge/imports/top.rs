//! Trees that are written to, over the import `writable`.

use super::super::guest::wharf::images::{content, layers, writable};
use super::digest;
use crate::host::{Diff, Made, Result, Top};
use crate::nouns::digest::Digest;
use wit_bindgen::{FutureReader, StreamReader};

impl Top for writable::Top {
    type Stream = StreamReader<u8>;
    type Blob = content::Blob;
    type Snapshot = layers::Snapshot;

    async fn usage(&self) -> Result<(u64, u64)> {
        Ok(self.usage().await?)
    }

    async fn shows(&self) -> Made<Option<Digest>> {
        Ok(self.shows().await?.map(digest).transpose()?)
    }

    async fn apply(&self, blob: &Self::Blob) -> Made<(Digest, u64)> {
        let (diff_id, size) = self.apply(blob).await?;
        Ok((digest(diff_id)?, size))
    }

    fn diff(&self) -> Diff<Self::Stream> {
        told(self.diff())
    }

    async fn commit(self, name: &str) -> Made<Self::Snapshot> {
        Ok(writable::Top::commit(self, name.to_owned()).await?)
    }
}

/// What the host says about the archive of a tree.
pub(super) fn told(
    (stream, end): (StreamReader<u8>, FutureReader<std::result::Result<String, layers::Refusal>>),
) -> Diff<StreamReader<u8>> {
    (stream, Box::pin(async move { Ok(digest(end.await?)?) }))
}
