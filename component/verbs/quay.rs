//! Quay: the repository that images are brought to, by a push or a copy. It knows what is
//! there by now, brings a blob or a manifest, and says how each came to be there. Of a
//! plan it says what would become of each, and changes nothing.
//!
//! It does not know what belongs to an image, and in which order that has to come.

use super::{
    contract::{PushedPart, Way},
    listen::Board,
};
use crate::{
    host::Host,
    nouns::{descriptor::Descriptor, digest::Digest, manifest::Document},
    registry::{self, Bytes, Delivered, Failure, Phase, Repository, Watch},
};
use std::{cell::RefCell, collections::BTreeSet};

/// See the [module](self).
pub(super) struct Quay<'h, H: Host> {
    pub(super) board: &'h Board,
    pub(super) repository: Repository<'h, H>,
    /// How many blobs are on their way at once.
    pub(super) at_once: usize,
    /// Whether nothing is to be changed.
    is_plan: bool,
    /// What the registry has by now, or would have.
    there: RefCell<BTreeSet<Digest>>,
}

impl<'h, H: Host> Quay<'h, H> {
    pub(super) fn new(board: &'h Board, repository: Repository<'h, H>, at_once: usize, is_plan: bool) -> Self {
        let repository = repository.with_voice(|text| board.warn(text));
        Self { board, repository, at_once, is_plan, there: RefCell::default() }
    }

    /// Tells that these are to come.
    pub(super) fn announce<'d>(&self, parts: impl Iterator<Item = &'d Descriptor>) {
        parts.for_each(|part| self.board.about(part).announce(Phase::Waiting, 0));
    }

    /// Says how a blob came to be there if nothing has to be brought: because it is known
    /// to be there, or because this is a plan.
    pub(super) async fn settled(&self, what: &Descriptor, sources: &[String]) -> Result<Option<PushedPart>, Failure> {
        if self.there.borrow().contains(&what.digest) {
            self.board.about(what).progress(Phase::There, what.size);
            return Ok(Some(part(what, Way::There, 0)));
        }
        if !self.is_plan {
            return Ok(None);
        }
        let is_there = self.repository.has_blob(what).await?;
        self.there.borrow_mut().insert(what.digest.clone());
        Ok(Some(match sources.first() {
            _ if is_there => part(what, Way::There, 0),
            Some(source) => part(what, Way::Mounted(source.clone()), 0),
            None => part(what, Way::Sent, what.size),
        }))
    }

    /// Brings a blob there, or mounts it from the first of the `sources`. What is
    /// [settled](Self::settled) is not brought.
    pub(super) async fn bring(
        &self,
        what: &Descriptor,
        bytes: Bytes<'_, 'h, H>,
        sources: &[String],
    ) -> Result<PushedPart, Failure> {
        let watch = self.board.about(what);
        let Delivered { way, sent_bytes, .. } = self.repository.upload(what, bytes, sources, &watch).await?;
        self.there.borrow_mut().insert(what.digest.clone());
        let way = match way {
            registry::Way::There => Way::There,
            registry::Way::Mounted(from) => Way::Mounted(from),
            registry::Way::Sent => Way::Sent,
        };
        Ok(part(what, way, sent_bytes))
    }

    /// Leaves a manifest or an index there, under a tag or its digest.
    pub(super) async fn leave(
        &self,
        which: &str,
        what: &Descriptor,
        bytes: &[u8],
        document: &Document,
    ) -> Result<PushedPart, Failure> {
        if self.is_plan {
            let is_there = self.repository.has_manifest(which, what).await?;
            return Ok(if is_there { part(what, Way::There, 0) } else { part(what, Way::Sent, what.size) });
        }
        let published = self.repository.publish(which, what, bytes, document).await?;
        if let (Some(tag), Some(subject)) = (published.tag, document.subject()) {
            let subject = &subject.digest;
            self.board.note(format!(
                "the registry keeps no lists of referrers; those of `{subject}` are under the tag `{tag}`"
            ));
        }
        let phase = if published.was_there { Phase::There } else { Phase::Uploaded };
        self.board.about(what).progress(phase, what.size);
        Ok(if published.was_there { part(what, Way::There, 0) } else { part(what, Way::Sent, what.size) })
    }
}

/// Type, digest and size of what came there so.
pub(super) fn part(what: &Descriptor, way: Way, sent_bytes: u64) -> PushedPart {
    PushedPart { part: Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size), way, sent_bytes }
}

/// The largest first, and always in one order.
pub(super) fn sort(parts: &mut [PushedPart]) {
    parts.sort_by(|one, other| other.part.size.cmp(&one.part.size).then(one.part.digest.cmp(&other.part.digest)));
}
