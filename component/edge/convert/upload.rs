//! The words about images that go to a registry, field by field.

use super::each;
use crate::verbs::contract;
use wharf_vocabulary::uploads as wit;

impl From<wit::PushOptions> for contract::PushOptions {
    fn from(options: wit::PushOptions) -> Self {
        let wit::PushOptions { destination, platform, all_tags, compress, force_compress, .. } = options;
        let wit::PushOptions { referrers, concurrent_uploads, access, .. } = options;
        let access = access.into();
        Self { destination, platform, all_tags, compress, force_compress, referrers, concurrent_uploads, access }
    }
}

impl From<contract::Pushed> for wit::Pushed {
    fn from(pushed: contract::Pushed) -> Self {
        let contract::Pushed { name, target, reduced_from, parts, referrers, sent_bytes, up_to_date, notes } = pushed;
        let reduced_from = reduced_from.map(|digest| digest.to_string());
        let (parts, referrers) = (each(parts), each(referrers));
        Self { name, target: target.into(), reduced_from, parts, referrers, sent_bytes, up_to_date, notes }
    }
}

impl From<contract::PushedPart> for wit::PushedPart {
    fn from(contract::PushedPart { part, way, sent_bytes }: contract::PushedPart) -> Self {
        let way = match way {
            contract::Way::There => wit::Way::There,
            contract::Way::Mounted(from) => wit::Way::Mounted(from),
            contract::Way::Sent => wit::Way::Sent,
            contract::Way::Elsewhere => wit::Way::Elsewhere,
        };
        Self { part: part.into(), way, sent_bytes }
    }
}
