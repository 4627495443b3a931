//! Trees that are written to, as the component's code reaches them when it runs natively. An archive of one is in memory.

use super::{Blob, Body, code, layers::Snapshot, refusal, told};
use std::sync::atomic::AtomicBool;
use wharf::layers::apply::Budget;
use wharf::layers::top::Changes;
use wharf::layers::view::ArchiveError;
use wharf::layers::{self, Error};
use wharf_component::host::{self, Diff, Made, Result};
use wharf_component::nouns::digest::Digest;

/// See `writable.top`.
#[derive(Debug)]
pub(crate) struct Top(pub(super) layers::Top);

impl host::Top for Top {
    type Stream = Body;
    type Blob = Blob;
    type Snapshot = Snapshot;

    async fn usage(&self) -> Result<(u64, u64)> {
        self.0.usage().map_err(code)
    }

    async fn shows(&self) -> Made<Option<Digest>> {
        self.0.shows().map(|layer| layer.as_ref().map(told)).map_err(refusal)
    }

    async fn apply(&self, blob: &Blob) -> Made<(Digest, u64)> {
        let (limits, never) = (Budget::default(), AtomicBool::new(false));
        let written = match self.0.adopt_archive(blob.0.reader(0), &limits, &never) {
            Err(Error::InUse | Error::Conflict) => self.0.apply(blob.0.reader(0), &limits, &never),
            adopted => adopted,
        };
        written.map(|written| (told(&written.diff_id), written.bytes)).map_err(refusal)
    }

    fn diff(&self) -> Diff<Body> {
        changes(|out| self.0.diff(out))
    }

    async fn commit(self, name: &str) -> Made<Snapshot> {
        self.0.commit(name).map(Snapshot).map_err(refusal)
    }
}

/// What `write` writes, and why it ended.
pub(super) fn changes(write: impl FnOnce(&mut Vec<u8>) -> std::result::Result<Changes, ArchiveError>) -> Diff<Body> {
    let mut bytes = Vec::new();
    let end = match write(&mut bytes) {
        Ok(changes) => Ok(told(&changes.diff_id)),
        Err(ArchiveError::View(error)) => Err(refusal(error)),
        Err(ArchiveError::Write(error)) => panic!("memory takes what is written: {error}"),
    };
    (Body::of(bytes), Box::pin(std::future::ready(end)))
}
