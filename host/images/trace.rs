//! What the log says of a pull, besides what people are told. The targets and
//! the fields do not change; everything is at the level `info`.
//!
//! | target | when | fields |
//! | --- | --- | --- |
//! | `wharf::resolve` | a name points to a manifest or index | `name`, `digest`, `media_type`, `size` |
//! | `wharf::transfer` | a blob is here | `digest`, `media_type`, `size`, `endpoint`, `attempts`, `resumed_from`, `fetched_bytes`, `duration_ms`, `cached` |
//!
//! Sizes are in bytes. `endpoint` is as in `https://mirror.lan`, and absent where
//! `cached` is true: the blob was here. `wharf --log warn,wharf::transfer=info pull alpine`
//! shows the second ones alone.

use super::{Event, Transfer};
use tracing::info;

/// Logs an event, if it is one of those above.
pub(super) fn event(event: &Event) {
    match event {
        Event::Resolved((name, target)) => {
            let (digest, media_type, size) = (&*target.digest, &*target.media_type, target.size);
            info!(target: "wharf::resolve", name, digest, media_type, size, "resolved");
        }
        Event::Transferred(Transfer { blob, endpoint, attempts, resumed_from, fetched_bytes, duration_ms }) => {
            let (digest, media_type, size) = (&*blob.digest, &*blob.media_type, blob.size);
            let (endpoint, cached) = (endpoint.as_deref(), endpoint.is_none());
            info!(
                target: "wharf::transfer",
                digest, media_type, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, cached,
                "transferred"
            );
        }
        Event::Selected(_) | Event::Progress(_) | Event::Warning(_) | Event::Note(_) | Event::Happened(_) => {}
    }
}
