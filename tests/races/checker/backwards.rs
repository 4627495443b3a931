//! Names that moved backwards: “a slow pull must not move a name backwards” (`component/verbs/resolve.rs`). It is more
//! than a register promises, whose writers may come late.

use super::super::history::{Event, Fact, Outcome};
use super::Registry;
use super::touched::Touched;
use std::collections::BTreeMap;

/// A name that was seen at an image after it had been seen at a later one, and nobody gave or took it meanwhile.
pub(super) fn backwards(events: &[Event], registry: &Registry, touched: &Touched<'_>) -> Vec<String> {
    let mut versions: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (at, moved) in registry.moves.iter().enumerate() {
        versions.insert((&moved.name, &moved.digest), at);
    }
    let mut seen: BTreeMap<&str, Vec<(usize, &Event)>> = BTreeMap::new();
    for event in events {
        let Outcome::Done(facts) = &event.outcome else { continue };
        for fact in facts {
            let (name, digests) = match fact {
                Fact::Read { name, digest: Some(digest) } | Fact::Wrote { name, digest } => (name, vec![digest]),
                Fact::Told { name, text } | Fact::Tree { name, text, .. } => {
                    (name, registry.targets.get(text).into_iter().flatten().collect())
                }
                _ => continue,
            };
            // At most one of those that have the same text is one that the registry had by this name.
            let version = digests.into_iter().find_map(|digest| versions.get(&(name.as_str(), digest.as_str())));
            if let Some(version) = version {
                seen.entry(name).or_default().push((*version, event));
            }
        }
    }
    let mut found = Vec::new();
    for (name, mut sights) in seen {
        sights.sort_by_key(|(_, event)| event.began);
        for (at, (version, event)) in sights.iter().enumerate() {
            let before = sights[..at].iter().filter(|(other, before)| before.ended < event.began && other > version);
            let wrong = before
                .map(|(_, before)| before)
                .find(|before| !touched.is_given_or_taken(name, before.began, event.ended));
            found.extend(wrong.map(|before| format!("`{name}` moved backwards between {before:?} and {event:?}")));
        }
    }
    found
}
