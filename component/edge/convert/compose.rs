//! The words about indexes that are made here, field by field.

use super::each;
use crate::verbs::contract;
use wharf_vocabulary::changes as wit;

impl From<wit::Edit> for contract::Edit {
    fn from(edit: wit::Edit) -> Self {
        match edit {
            wit::Edit::Create(members) => Self::Create(each(members)),
            wit::Edit::Amend(members) => Self::Amend(each(members)),
            wit::Edit::Add(member) => Self::Add(member.into()),
            wit::Edit::Remove(which) => Self::Remove(which),
            wit::Edit::Annotate((which, wording)) => Self::Annotate(which, wording.into()),
            wit::Edit::AnnotateIndex(wording) => Self::AnnotateIndex(wording.into()),
        }
    }
}

impl From<wit::Member> for contract::Member {
    fn from(wit::Member { reference, platform, wording }: wit::Member) -> Self {
        Self { reference, platform, wording: wording.into() }
    }
}

impl From<wit::Wording> for contract::Wording {
    fn from(wording: wit::Wording) -> Self {
        let wit::Wording { os, architecture, variant, os_version, os_features, annotations } = wording;
        Self { os, architecture, variant, os_version, os_features, annotations }
    }
}

impl From<contract::Composed> for wit::Composed {
    fn from(contract::Composed { name, target, entries, before }: contract::Composed) -> Self {
        let before = before.map(|digest| digest.to_string());
        Self { name, target: target.into(), entries: each(entries), before }
    }
}

impl From<contract::Entry> for wit::IndexEntry {
    fn from(contract::Entry { manifest, platform, annotations, is_here }: contract::Entry) -> Self {
        Self { manifest: manifest.into(), platform, annotations, here: is_here }
    }
}
