//! The words about what registries have that nobody named, field by field.

use super::each;
use crate::verbs::contract;
use wharf_vocabulary::discovery as wit;

impl From<wit::SearchOptions> for contract::SearchOptions {
    fn from(wit::SearchOptions { limit, filters }: wit::SearchOptions) -> Self {
        Self { limit, filters }
    }
}

impl From<contract::Found> for wit::Found {
    fn from(contract::Found { repositories, notes }: contract::Found) -> Self {
        Self { repositories: each(repositories), notes }
    }
}

impl From<contract::FoundRepository> for wit::FoundRepository {
    fn from(one: contract::FoundRepository) -> Self {
        let contract::FoundRepository { name, description, stars, official, automated } = one;
        Self { name, description, stars, official, automated }
    }
}

impl From<contract::Referral> for wit::Referral {
    fn from(contract::Referral { repository, subject, referrers, notes }: contract::Referral) -> Self {
        Self { repository, subject: subject.into(), referrers: each(referrers), notes }
    }
}

impl From<contract::Referrer> for wit::Referrer {
    fn from(contract::Referrer { target, artifact_type, annotations }: contract::Referrer) -> Self {
        Self { target: target.into(), artifact_type, annotations }
    }
}
