//! The words about what takes space, what holds it, and what has happened to it,
//! field by field.

use super::each;
use crate::host::Unfinished;
use crate::nouns::digest::Digest;
use crate::verbs::contract;
use wharf_vocabulary::changes as wit;

impl From<contract::Share> for wit::Share {
    fn from(contract::Share { shared, unique }: contract::Share) -> Self {
        Self { shared, unique }
    }
}

impl From<contract::Sum> for wit::Sum {
    fn from(contract::Sum { unique, shared, others, unneeded, reclaimable }: contract::Sum) -> Self {
        Self { unique, shared, others, unneeded, reclaimable }
    }
}

impl From<contract::ImageUsage> for wit::ImageUsage {
    fn from(image: contract::ImageUsage) -> Self {
        let contract::ImageUsage { names, target, created, used, content, unpacked, mounted, leased } = image;
        Self {
            names,
            target: target.into(),
            created,
            used,
            content: content.into(),
            unpacked: unpacked.into(),
            mounted,
            leased,
        }
    }
}

impl From<contract::Usage> for wit::Usage {
    fn from(usage: contract::Usage) -> Self {
        let contract::Usage { images, content, unpacked, written, ingests, notes } = usage;
        Self { images: each(images), content: content.into(), unpacked: unpacked.into(), written, ingests, notes }
    }
}

impl From<contract::Lease> for wit::Lease {
    fn from(contract::Lease { id, created, expires, labels, holds }: contract::Lease) -> Self {
        Self { id, created, expires, labels, holds: holds.into_iter().map(Digest::into).collect() }
    }
}

impl From<Unfinished> for wit::IngestInfo {
    fn from(Unfinished { key, name, size, age_s, held }: Unfinished) -> Self {
        Self { key, name, size, age_s, held }
    }
}

impl From<contract::Action> for wit::Action {
    fn from(action: contract::Action) -> Self {
        match action {
            contract::Action::Pull => Self::Pull,
            contract::Action::Tag => Self::Tag,
            contract::Action::Untag => Self::Untag,
            contract::Action::Delete => Self::Delete,
            contract::Action::Prune => Self::Prune,
            contract::Action::Label => Self::Label,
            contract::Action::Push => Self::Push,
            contract::Action::Load => Self::Load,
            contract::Action::Lease => Self::Lease,
            contract::Action::Release => Self::Release,
            contract::Action::Expire => Self::Expire,
            contract::Action::Import => Self::Import,
        }
    }
}

impl From<contract::Happening> for wit::Happening {
    fn from(contract::Happening { time, action, subject, target }: contract::Happening) -> Self {
        Self { time, action: action.into(), subject, target: target.map(Into::into) }
    }
}
