//! Which manifests of an index are wanted.
//!
//! The order among platforms is containerd's, see [`Matcher`]. An entry without
//! a platform is kept, and taken if no entry with one matches: its platform is
//! in its config then, and is checked when the config is here. Attestations
//! (platform `unknown/unknown`) describe other entries; they come along when
//! all is wanted and are never an answer to a platform.

use super::{
    contract::Wanted,
    documents::{Documents, Held},
    failing::{fail, invalid, try_this},
    listen::Board,
};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::{Document, INDEX_DEPTH_MAX, INDEX_ENTRIES_MAX, Index},
        media_type::Kind,
        platform::{Matcher, Platform, best},
        problem::ErrorCode,
    },
    registry::Failure,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// How many platforms can be asked for at once.
const WISHES_MAX: usize = 64;
/// How many manifests are fetched at once.
const AT_ONCE: usize = 4;
/// How many platforms a message lists.
const LISTED_MAX: usize = 20;

/// One platform that is wanted.
#[derive(Debug)]
pub(super) struct Wish {
    text: String,
    matcher: Matcher,
}

/// The platforms that are wanted.
#[derive(Debug)]
pub(super) struct Wishes {
    mode: Mode,
    /// None if all is wanted.
    wishes: Vec<Wish>,
    /// The caller's.
    machine: Platform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The best for the machine. An image for another one is worth a warning.
    Machine,
    /// Each wish, or it is a failure.
    These,
    /// Whatever there is.
    All,
}

/// A manifest that was chosen.
pub(super) struct Selected<B> {
    pub(super) held: Rc<Held<B>>,
    /// What the index says that it runs on.
    pub(super) platform: Option<Platform>,
    /// Which wishes it has to meet if the index does not say.
    pub(super) wishes: Vec<usize>,
}

/// What was chosen.
pub(super) struct Choice<B> {
    /// The indexes that were read, the target first.
    pub(super) indexes: Vec<Rc<Held<B>>>,
    /// In the order of the wishes, or of the index. No manifest twice.
    pub(super) selected: Vec<Selected<B>>,
}

impl Wish {
    /// Reads a platform; what it leaves out is the machine's.
    pub(super) fn parse(text: &str, machine: &Platform) -> Result<Self, Failure> {
        let platform = Platform::parse(text, machine)
            .map_err(|error| invalid(format!("`{}` is no platform: {error}", text.escape_debug())))?;
        Ok(Self { text: platform.format_all(), matcher: Matcher::only(&platform) })
    }

    /// The best for a machine.
    pub(super) fn of(machine: &Platform) -> Self {
        Self { text: machine.format_all(), matcher: Matcher::only(machine) }
    }

    pub(super) fn matcher(&self) -> &Matcher {
        &self.matcher
    }
}

/// Reads platforms; none if everything is wanted.
pub(super) fn wishes(texts: &[String], machine: &Platform) -> Result<Vec<Wish>, Failure> {
    if texts.len() > WISHES_MAX {
        return Err(invalid(format!("{} platforms are wanted; the limit is {WISHES_MAX}", texts.len())));
    }
    texts.iter().map(|text| Wish::parse(text, machine)).collect()
}

/// Reads the caller's machine.
pub(super) fn machine(text: &str) -> Result<Platform, Failure> {
    Platform::parse(text, &Platform::default())
        .map_err(|error| invalid(format!("the machine `{}` is no platform: {error}", text.escape_debug())))
}

impl Wishes {
    pub(super) fn parse(wanted: &Wanted, machine: &Platform) -> Result<Self, Failure> {
        let (mode, wishes) = match wanted {
            Wanted::Machine => (Mode::Machine, vec![Wish::of(machine)]),
            Wanted::These(texts) if texts.is_empty() => return Err(invalid("no platform is wanted")),
            Wanted::These(texts) => (Mode::These, self::wishes(texts, machine)?),
            Wanted::All => (Mode::All, Vec::new()),
        };
        Ok(Self { mode, wishes, machine: machine.clone() })
    }

    /// Returns the platforms that are taken, the best of each wish first, none
    /// twice. None are listed if all is wanted.
    pub(super) fn accepted(&self) -> Vec<String> {
        let mut accepted = Vec::new();
        for platform in self.wishes.iter().flat_map(|wish| wish.matcher.accepted()).map(Platform::format_all) {
            if !accepted.contains(&platform) {
                accepted.push(platform);
            }
        }
        accepted
    }

    /// Returns what an image runs on by its config.
    pub(super) fn platform(&self, config: &Config) -> Platform {
        config.platform().completed_on(&self.machine)
    }

    /// Returns which of the manifests that were chosen is extracted, by what the
    /// index says that each runs on: all, unless all that there is was chosen.
    /// Then it is the best one for the machine, or one that nobody says anything
    /// about.
    pub(super) fn extracts(&self, platforms: &[Option<&Platform>]) -> Vec<usize> {
        if self.mode != Mode::All {
            return (0..platforms.len()).collect();
        }
        let marked = platforms.iter().enumerate().filter_map(|(at, platform)| Some(((*platform)?, at)));
        let unmarked = platforms.iter().position(Option::is_none);
        best(Wish::of(&self.machine).matcher(), marked).or(unmarked).into_iter().collect()
    }

    /// Holds the platform that a config says against the wishes that the
    /// manifest was chosen for.
    pub(super) fn check(&self, platform: &Platform, wishes: &[usize], board: &Board) -> Result<(), Failure> {
        for wish in wishes.iter().map(|&at| &self.wishes[at]) {
            match self.mode {
                _ if wish.matcher.matches(platform) => {}
                Mode::These => return Err(none_matches(wish, "the image is for", [platform])),
                Mode::Machine | Mode::All => {
                    board.warn(format!(
                        "the image is for {}, and this machine runs {}",
                        platform.format_all(),
                        wish.text
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Chooses among what the target offers, and brings the manifests.
pub(super) async fn choose<H: Host>(
    documents: &Documents<'_, '_, H>,
    target: Rc<Held<H::Blob>>,
    wishes: &Wishes,
    board: &Board,
) -> Result<Choice<H::Blob>, Failure> {
    if let Document::Manifest(_) = target.document {
        let every = (0..wishes.wishes.len()).collect();
        let selected = vec![Selected { held: target, platform: None, wishes: every }];
        return Ok(Choice { indexes: Vec::new(), selected });
    }
    let (indexes, entries) = flatten(documents, target, wishes, board).await?;
    let mut chosen = match wishes.mode {
        Mode::All if entries.is_empty() => return Err(fail(ErrorCode::NotFound, "the index offers no manifest")),
        Mode::All => entries.iter().map(|entry| (entry, Vec::new())).collect(),
        Mode::Machine | Mode::These => match_all(&entries, &wishes.wishes)?,
    };
    let mut seen = BTreeMap::new();
    chosen.retain(|(entry, _)| seen.insert(entry.digest.clone(), ()).is_none());
    let selected = stream::iter(chosen)
        .map(async |(entry, wishes)| {
            let held = documents.get(entry).await?;
            Ok::<_, Failure>(Selected { held, platform: stated(entry).cloned(), wishes })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Choice { indexes, selected })
}

/// Collects the manifests of an index and of the indexes in it, level by level.
async fn flatten<H: Host>(
    documents: &Documents<'_, '_, H>,
    target: Rc<Held<H::Blob>>,
    wishes: &Wishes,
    board: &Board,
) -> Result<(Vec<Rc<Held<H::Blob>>>, Vec<Descriptor>), Failure> {
    let mut seen: BTreeSet<Digest> = BTreeSet::from([target.descriptor.digest.clone()]);
    let (mut indexes, mut entries) = (Vec::new(), Vec::new());
    let mut level = vec![target];
    for _ in 0..INDEX_DEPTH_MAX {
        let mut nested = Vec::new();
        for entry in level.iter().flat_map(|held| index(held)).flat_map(|index| &index.manifests) {
            match entry.kind() {
                // An index that stands in itself, or twice in another, is read once.
                Kind::Index if is_worth_reading(entry, wishes) && seen.insert(entry.digest.clone()) => {
                    nested.push(entry.clone())
                }
                Kind::Index => {}
                Kind::Manifest => entries.push(entry.clone()),
                _ => board.warn(format!("an entry of the index is skipped: `{}` is no manifest", entry.media_type)),
            }
        }
        if entries.len() + seen.len() > INDEX_ENTRIES_MAX {
            let why = format!("the indexes offer more than {INDEX_ENTRIES_MAX} manifests together");
            return Err(fail(ErrorCode::TooLarge(INDEX_ENTRIES_MAX as u64), why));
        }
        let read = stream::iter(&nested).map(|entry| documents.get(entry)).buffered(AT_ONCE).try_collect().await?;
        indexes.extend(std::mem::replace(&mut level, read));
        if level.is_empty() {
            return Ok((indexes, entries));
        }
    }
    Err(invalid(format!("there are indexes in indexes deeper than {INDEX_DEPTH_MAX} levels")))
}

fn index<B>(held: &Held<B>) -> Option<&Index> {
    match &held.document {
        Document::Index(index) => Some(index),
        Document::Manifest(_) => None,
    }
}

fn is_worth_reading(entry: &Descriptor, wishes: &Wishes) -> bool {
    let fits = |platform| wishes.wishes.iter().any(|wish| wish.matcher.matches(platform));
    wishes.mode == Mode::All || stated(entry).is_none_or(fits)
}

/// Finds the best entry for each wish.
fn match_all<'e>(entries: &'e [Descriptor], wishes: &[Wish]) -> Result<Vec<(&'e Descriptor, Vec<usize>)>, Failure> {
    let marked =
        || entries.iter().filter_map(|entry| Some((stated(entry)?, entry))).filter(|(_, entry)| !is_attestation(entry));
    // What says of itself that it is no image is no answer among images.
    let unmarked = entries
        .iter()
        .filter(|entry| stated(entry).is_none())
        .find(|entry| entry.artifact_type.is_none() || marked().next().is_none());
    let mut chosen: Vec<(&Descriptor, Vec<usize>)> = Vec::new();
    for (at, wish) in wishes.iter().enumerate() {
        let found = best(&wish.matcher, marked()).or(unmarked);
        let entry =
            found.ok_or_else(|| none_matches(wish, "the index offers", marked().map(|(platform, _)| platform)))?;
        match chosen.iter_mut().find(|(other, _)| other.digest == entry.digest) {
            Some((_, wishes)) => wishes.push(at),
            None => chosen.push((entry, vec![at])),
        }
    }
    Ok(chosen)
}

/// What an entry says that it runs on. An empty platform says nothing.
pub(super) fn stated(entry: &Descriptor) -> Option<&Platform> {
    entry.platform.as_ref().filter(|platform| !platform.os.is_empty())
}

/// Whether an entry describes another one, as build tools mark it.
pub(super) fn is_attestation(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown" && platform.architecture == "unknown")
        || entry.annotations.contains_key("vnd.docker.reference.type")
}

/// Says what was wanted and what there is.
pub(super) fn none_matches<'p>(wish: &Wish, offer: &str, platforms: impl IntoIterator<Item = &'p Platform>) -> Failure {
    let offered: BTreeSet<String> = platforms.into_iter().map(Platform::format_all).collect();
    let mut failure = fail(ErrorCode::NotFound, format!("no manifest matches {}", wish.text));
    let Some(first) = offered.first() else {
        failure.why.push(format!("{offer} no image that has a platform"));
        return failure;
    };
    let mut listed = offered.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    if offered.len() > LISTED_MAX {
        listed.push_str(&format!(" and {} more", offered.len() - LISTED_MAX));
    }
    failure.why.push(format!("{offer} {listed}"));
    try_this(failure, format!("choose one with `--platform {first}`"))
}
