//! Which names are in `index.json`, and what each of them stands for. It changes
//! nothing, and reads no blob.
//!
//! | annotation of an entry | means | rank |
//! | --- | --- | --- |
//! | `org.opencontainers.image.ref.name: docker.io/library/alpine:3.20` | itself: this is what wharf writes | 1 |
//! | `io.containerd.image.name: docker.io/library/alpine:3.20` | itself, if the other one is absent or only its tag, as containerd and docker have it | 2 |
//! | `org.opencontainers.image.ref.name: alpine:3.20`, `latest` | what it means to who types it: `docker.io/library/latest:latest` | 3 |
//!
//! Of several entries with one name the one of the best rank is meant, the first
//! among equals. An entry of wharf's that has lost its `ref.name` has no name. What is not meant, what has no name, and
//! what is no descriptor is listed apart, under what can be said of it.

use super::{edit::CREATED, index::Index};
use crate::nouns::{
    descriptor::{self, Descriptor},
    digest::Digest,
    json::excerpt,
    reference::Reference,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a manifest in a layout. OCI image-spec, annotations.md.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The name under which containerd imports an image.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// How surely an entry has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Exact,
    Containerd,
    Typed,
}

/// One entry, as it is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// The canonical name, or the text that is none, if there is one.
    pub(super) name: Result<(String, Rank), Option<String>>,
    pub(super) descriptor: Result<Descriptor, descriptor::Error>,
}

/// What a name stands for: the place of an entry in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Image(usize),
    /// And why it cannot be used.
    Unusable(usize, String),
}

impl Slot {
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Image(at) | Self::Unusable(at, _) => *at,
        }
    }
}

/// As much of an entry as can be read in any entry.
#[derive(Default, Deserialize)]
struct Loose {
    annotations: Option<BTreeMap<String, Value>>,
}

/// Reads one entry.
pub(super) fn reading(entry: &RawValue) -> Reading {
    let Loose { annotations } = serde_json::from_str(entry.get()).unwrap_or_default();
    let annotations = annotations.unwrap_or_default();
    let said = |key: &str| annotations.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let written = said(REF_NAME);
    // containerd and docker write the tag beside it. What says something else was given a new name by a tool that copies
    // annotations, as umoci does. And what has wharf's mark and this name alone has lost the other one to another
    // image: containers/image takes it away when it writes the name anew.
    let containerd = said(CONTAINERD_NAME).filter(|name| match written {
        Some(written) => {
            name.strip_suffix(written).is_some_and(|rest| rest.is_empty() || rest.ends_with([':', '@', '/']))
        }
        None => said(CREATED).is_none(),
    });
    let exact = |text: &&str| canonical(text).is_some_and(|canonical| canonical == **text);
    let name = if let Some(text) = written.filter(exact) {
        Ok((text.to_owned(), Rank::Exact))
    } else if let Some(text) = containerd.filter(exact) {
        Ok((text.to_owned(), Rank::Containerd))
    } else {
        let text = written.or(containerd);
        text.and_then(canonical).map(|name| (name, Rank::Typed)).ok_or(text.map(str::to_owned))
    };
    Reading { name, descriptor: Descriptor::parse(entry.get().as_bytes()) }
}

/// Completes what a person typed.
fn canonical(text: &str) -> Option<String> {
    Reference::parse_docker(text).ok().map(|name| name.to_string())
}

fn digest_of(reading: &Reading) -> Option<&Digest> {
    reading.descriptor.as_ref().ok().map(|descriptor| &descriptor.digest)
}

/// Returns every name, and a name of a kind for what has none.
pub(super) fn names(index: &Index) -> BTreeMap<String, Slot> {
    let readings: Vec<Reading> = index.entries.iter().map(|entry| reading(entry)).collect();
    let mut meant: BTreeMap<&str, (bool, Rank, usize)> = BTreeMap::new();
    for (at, reading) in readings.iter().enumerate() {
        if let Ok((name, rank)) = &reading.name {
            let claim = (reading.descriptor.is_err(), *rank, at);
            let best = meant.entry(name).or_insert(claim);
            *best = claim.min(*best);
        }
    }
    let known: BTreeSet<&Digest> = meant.values().filter_map(|(.., at)| digest_of(&readings[*at])).collect();
    let mut names = BTreeMap::new();
    for (at, reading) in readings.iter().enumerate() {
        let apart = || digest_of(reading).map_or_else(|| format!("index.json, entry {}", at + 1), Digest::to_string);
        let (key, slot) = match (&reading.name, &reading.descriptor) {
            (Ok((name, _)), found) if meant[name.as_str()].2 == at => match found {
                Ok(_) => (name.clone(), Slot::Image(at)),
                Err(error) => {
                    (name.clone(), Slot::Unusable(at, format!("its entry in `index.json` is damaged: {error}")))
                }
            },
            (Ok((name, _)), found) => {
                let other = readings[meant[name.as_str()].2].descriptor.as_ref();
                // The same under another spelling is no news.
                if let (Ok(other), Ok(found)) = (other, found)
                    && other.digest == found.digest
                {
                    continue;
                }
                (apart(), Slot::Unusable(at, format!("another entry of `index.json` stands for `{name}`")))
            }
            (Err(_), Err(error)) => (apart(), Slot::Unusable(at, format!("the entry is damaged: {error}"))),
            // The image has a name in another entry.
            (Err(None), Ok(found)) if known.contains(&found.digest) => continue,
            (Err(None), Ok(_)) => (apart(), Slot::Unusable(at, "it has no name in `index.json`".to_owned())),
            (Err(Some(text)), Ok(_)) => (
                apart(),
                Slot::Unusable(at, format!("its name in `index.json`, `{}`, is no name of an image", excerpt(text))),
            ),
        };
        names.entry(key).or_insert(slot);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;

    fn entry(content: &str, annotations: &[(&str, &str)]) -> String {
        let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
        let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1,"annotations":{}}}"#,
            serde_json::to_string(&annotations).unwrap()
        )
    }

    fn check(entries: &[String], expected: &[(&str, Slot)]) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        let found = names(&Index::parse(text.as_bytes()).unwrap());
        let expected = expected.iter().map(|(name, slot)| ((*name).to_owned(), slot.clone())).collect();
        assert_eq!(found, expected);
    }

    const ALPINE: &str = "docker.io/library/alpine:3.20";

    #[test]
    fn names_of_other_tools_are_read_as_a_person_types_them() {
        let rows = [
            ("alpine:3.20", ALPINE),
            ("library/alpine:3.20", ALPINE),
            ("index.docker.io/library/alpine:3.20", ALPINE),
            (ALPINE, ALPINE),
            ("latest", "docker.io/library/latest:latest"),
            ("3.20", "docker.io/library/3.20:latest"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            ("localhost:5000/a:1", "localhost:5000/a:1"),
        ];
        for (written, meant) in rows {
            check(&[entry("a", &[(REF_NAME, written)])], &[(meant, Slot::Image(0))]);
        }
    }

    #[test]
    fn containerds_name_wins_over_a_tag_alone() {
        let both = entry("a", &[(REF_NAME, "3.20"), (CONTAINERD_NAME, ALPINE)]);
        check(&[both], &[(ALPINE, Slot::Image(0))]);
    }

    /// `umoci tag` copies the entry with everything else that it says.
    #[test]
    fn a_new_name_beside_that_of_containerd_is_the_name() {
        let given = entry("a", &[(REF_NAME, "second"), (CONTAINERD_NAME, ALPINE), (CREATED, "2024-03-01T00:00:00Z")]);
        check(&[given], &[("docker.io/library/second:latest", Slot::Image(0))]);
        let given = entry("a", &[(REF_NAME, "20"), (CONTAINERD_NAME, ALPINE)]);
        check(&[given], &[("docker.io/library/20:latest", Slot::Image(0))]);
    }

    /// As skopeo leaves an entry of wharf's whose name it has written anew.
    #[test]
    fn an_entry_that_lost_its_name_to_another_tool_has_none() {
        let lost = entry("a", &[(CONTAINERD_NAME, ALPINE), (CREATED, "2024-03-01T00:00:00Z")]);
        let (digest, why) = (Digest::of(Algorithm::Sha256, b"a"), "it has no name in `index.json`");
        check(std::slice::from_ref(&lost), &[(digest.as_str(), Slot::Unusable(0, why.to_owned()))]);
        let same = entry("a", &[(REF_NAME, ALPINE)]);
        check(&[lost, same], &[(ALPINE, Slot::Image(1))]);
    }

    #[test]
    fn an_exact_name_wins_over_one_that_only_means_the_same() {
        let (short, exact) = (entry("a", &[(REF_NAME, "alpine:3.20")]), entry("b", &[(REF_NAME, ALPINE)]));
        let shadowed = Digest::of(Algorithm::Sha256, b"a");
        let why = format!("another entry of `index.json` stands for `{ALPINE}`");
        check(&[short, exact.clone()], &[(ALPINE, Slot::Image(1)), (shadowed.as_str(), Slot::Unusable(0, why))]);
        let same = entry("b", &[(REF_NAME, "alpine:3.20")]);
        check(&[same, exact], &[(ALPINE, Slot::Image(1))]);
    }

    #[test]
    fn whoever_has_no_usable_name_is_listed_as_what_it_is() {
        let digest = Digest::of(Algorithm::Sha256, b"a");
        let slot = |why: &str| Slot::Unusable(0, why.to_owned());
        check(&[entry("a", &[])], &[(digest.as_str(), slot("it has no name in `index.json`"))]);
        let bad = entry("a", &[(REF_NAME, "A B")]);
        check(&[bad], &[(digest.as_str(), slot("its name in `index.json`, `A B`, is no name of an image"))]);
    }

    #[test]
    fn a_damaged_entry_costs_itself_only() {
        let damaged = format!(r#"{{"annotations":{{"{REF_NAME}":"{ALPINE}"}}}}"#);
        let why = "its entry in `index.json` is damaged: `mediaType` is missing";
        check(std::slice::from_ref(&damaged), &[(ALPINE, Slot::Unusable(0, why.to_owned()))]);
        let good = entry("a", &[(REF_NAME, "alpine:3.20")]);
        let other = Slot::Unusable(0, format!("another entry of `index.json` stands for `{ALPINE}`"));
        check(&[damaged, good], &[(ALPINE, Slot::Image(1)), ("index.json, entry 1", other)]);
        let number = "7".to_owned();
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{number},{}]}}"#, entry("a", &[(REF_NAME, "b")]));
        let found = names(&Index::parse(text.as_bytes()).unwrap());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["docker.io/library/b:latest", "index.json, entry 1"]);
    }
}
