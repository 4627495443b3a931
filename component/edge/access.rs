//! Between the generated types and those of [`nouns::access`], and what an
//! explanation makes of them, field by field.
//!
//! [`nouns::access`]: crate::nouns::access

use super::convert::each;
use crate::nouns::access::{Access, AskedFor, Capabilities, Endpoint, Origin, Rule};
use crate::verbs::contract::{Candidate, Explanation};
use wharf_vocabulary::{types, vocabulary as wit};

impl From<wit::Access> for Access {
    fn from(wit::Access { plain_http, rules, aliases, retries, silence_ms }: wit::Access) -> Self {
        Self { plain_http, rules: each(rules), aliases, retries, silence_ms }
    }
}

impl From<wit::Rule> for Rule {
    fn from(wit::Rule { prefix, blocked, endpoints }: wit::Rule) -> Self {
        Self { prefix, blocked, endpoints: each(endpoints) }
    }
}

impl From<wit::Endpoint> for Endpoint {
    fn from(endpoint: wit::Endpoint) -> Self {
        let wit::Endpoint { origin, base, path, capabilities, asked_for, mirror, names_registry } = endpoint;
        Self {
            origin: origin.into(),
            base,
            path,
            capabilities: capabilities.into(),
            asked_for: asked_for.into(),
            mirror,
            names_registry,
        }
    }
}

impl From<types::Origin> for Origin {
    fn from(types::Origin { secure, authority }: types::Origin) -> Self {
        Self { secure, authority }
    }
}

impl From<Origin> for types::Origin {
    fn from(Origin { secure, authority }: Origin) -> Self {
        Self { secure, authority }
    }
}

impl From<wit::Capabilities> for Capabilities {
    fn from(capabilities: wit::Capabilities) -> Self {
        Self {
            resolve: capabilities.contains(wit::Capabilities::RESOLVE),
            pull: capabilities.contains(wit::Capabilities::PULL),
            push: capabilities.contains(wit::Capabilities::PUSH),
        }
    }
}

impl From<Capabilities> for wit::Capabilities {
    fn from(Capabilities { resolve, pull, push }: Capabilities) -> Self {
        [(resolve, Self::RESOLVE), (pull, Self::PULL), (push, Self::PUSH)]
            .into_iter()
            .filter_map(|(has, flag)| has.then_some(flag))
            .fold(Self::empty(), |all, flag| all | flag)
    }
}

impl From<wit::AskedFor> for AskedFor {
    fn from(asked_for: wit::AskedFor) -> Self {
        match asked_for {
            wit::AskedFor::All => Self::All,
            wit::AskedFor::Digests => Self::Digests,
            wit::AskedFor::Tags => Self::Tags,
        }
    }
}

impl From<AskedFor> for wit::AskedFor {
    fn from(asked_for: AskedFor) -> Self {
        match asked_for {
            AskedFor::All => Self::All,
            AskedFor::Digests => Self::Digests,
            AskedFor::Tags => Self::Tags,
        }
    }
}

impl From<Explanation> for wit::Explanation {
    fn from(Explanation { name, alias, rule, blocked, endpoints, platforms }: Explanation) -> Self {
        Self { name, alias: alias.map(index), rule: rule.map(index), blocked, endpoints: each(endpoints), platforms }
    }
}

impl From<Candidate> for wit::Candidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { origin, path, repository, capabilities, asked_for, mirror, skipped } = candidate;
        Self {
            origin: origin.into(),
            path,
            repository,
            capabilities: capabilities.into(),
            asked_for: asked_for.into(),
            mirror,
            skipped,
        }
    }
}

/// Indexes into lists that came over the boundary, which has no longer ones.
fn index(place: usize) -> u32 {
    u32::try_from(place).expect("a list in a 32-bit memory has fewer entries")
}
