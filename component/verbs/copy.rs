//! Copy: an image of one registry becomes one of another, byte for byte, without being
//! kept here: what a registry hands out goes on to the other one as it comes.
//!
//! ```text
//! source ─► manifests ─► blobs, at most N ─► manifests ─► indexes ─► the name
//!           all of them  there, mounted or passed on
//! ```
//!
//! Nothing is read here but manifests. Who holds a blob to its digest is the registry
//! that takes it. A plan goes the same way, and looks where a copy would send.

use super::{
    attached::Train,
    choose::{self, Wish},
    contract::{Caller, Event, PushOptions, Pushed, PushedPart, Way},
    failing::{because, fail, invalid, problem, try_this},
    listen::{Board, Listener, accompany},
    push::CONCURRENT_UPLOADS_MAX,
    quay::{Quay, part, sort},
    resolve,
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        manifest::{Document, INDEX_DEPTH_MAX},
        media_type::Kind,
        platform::{Platform, best},
        problem::{ErrorCode, Problem},
        reference::Reference,
    },
    registry::{Bytes, Failure, Fetched, Repository},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// What the documents of one name may weigh together.
const TOGETHER_BYTES_MAX: usize = 16 << 20;

/// Copies the image that `source` names to where `destination` names: one entry a name.
/// See `images.copy`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn copy<H: Host>(
    host: &H,
    caller: &Caller,
    source: &str,
    destination: &str,
    options: &PushOptions,
    listener: &impl Listener,
) -> Result<Vec<Pushed>, Problem> {
    let board = Board::default();
    let (source, _) = resolve::expand(source, &options.access.aliases);
    let (destination, _) = resolve::expand(destination, &options.access.aliases);
    let work = async { Call::new(host, caller, &source, &destination, options, &board, false)?.each().await };
    let stopped = || {
        let failure = fail(ErrorCode::Cancelled, "the caller stopped the copy; what the registry has by now it keeps");
        try_this(failure, "the same command goes on where it stopped")
    };
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem(title(&source, &destination)))
}

/// Returns what [`copy`] would do: one entry a name. See `images.plan-copy`.
pub async fn plan_copy<H: Host>(
    host: &H,
    caller: &Caller,
    source: &str,
    destination: &str,
    options: &PushOptions,
) -> Result<Vec<Pushed>, Problem> {
    let board = Board::deaf();
    let (source, _) = resolve::expand(source, &options.access.aliases);
    let (destination, _) = resolve::expand(destination, &options.access.aliases);
    let plan = async { Call::new(host, caller, &source, &destination, options, &board, true)?.each().await };
    plan.await.map_err(problem(title(&source, &destination)))
}

fn title(source: &str, destination: &str) -> String {
    format!("cannot copy `{}` to `{}`", source.escape_debug(), destination.escape_debug())
}

/// One call with its arguments read.
struct Call<'h, H: Host> {
    host: &'h H,
    board: &'h Board,
    machine: Platform,
    platform: Option<&'h str>,
    all_tags: bool,
    from: Reference,
    to: Reference,
    source: Repository<'h, H>,
    /// The same without its mirrors, if what refers to the image goes with it.
    lists: Option<Repository<'h, H>>,
    quay: Quay<'h, H>,
    /// The repository to mount from, where it is one registry.
    beside: Vec<String>,
}

impl<'h, H: Host> Call<'h, H> {
    fn new(
        host: &'h H,
        caller: &'h Caller,
        source: &str,
        destination: &str,
        options: &'h PushOptions,
        board: &'h Board,
        is_plan: bool,
    ) -> Result<Self, Failure> {
        if options.concurrent_uploads == 0 {
            return Err(invalid("at least 1 blob has to be on its way at once"));
        }
        if options.compress.is_some() || options.force_compress {
            let failure = invalid("a copy passes layers on as they are");
            return Err(try_this(failure, "pull it, and `wharf push --compress`"));
        }
        if options.destination.is_some() {
            return Err(invalid("a copy has one destination, and two are said"));
        }
        let (from, to) = match options.all_tags {
            true => (
                resolve::repository(source, "wharf copy --all-tags")?,
                resolve::repository(destination, "wharf copy --all-tags")?,
            ),
            false => {
                let from = resolve::name(source, board)?;
                let to = Reference::parse(destination).map_err(invalid)?;
                (from, to)
            }
        };
        let is_beside = from.domain() == to.domain() && from.path() != to.path();
        let beside: BTreeSet<String> = is_beside.then(|| from.path().to_owned()).into_iter().collect();
        let at_once = options.concurrent_uploads.min(CONCURRENT_UPLOADS_MAX) as usize;
        let open = || Repository::open(host, &from, &options.access);
        let target = Repository::open_home(host, &to, &options.access, &beside)?;
        Ok(Self {
            host,
            board,
            machine: choose::machine(&caller.machine)?,
            platform: options.platform.as_deref(),
            all_tags: options.all_tags,
            source: open()?.with_voice(|text| board.warn(text)),
            lists: options.referrers.then(open).transpose()?.map(Repository::without_mirrors),
            quay: Quay::new(board, target, at_once, is_plan),
            beside: beside.into_iter().collect(),
            from,
            to,
        })
    }

    /// Copies each name. The first failure ends it.
    async fn each(&self) -> Result<Vec<Pushed>, Failure> {
        let mut copied = Vec::new();
        let names = self.names().await?;
        for (from, to) in &names {
            let one = self.carry(from, to).await;
            copied.push(one.map_err(|failure| match names.len() {
                1 => failure,
                all => {
                    let tag = to.tag().unwrap_or_default();
                    because(format!("`{tag}` failed, after {} of {all} tags", copied.len()))(failure)
                }
            })?);
        }
        Ok(copied)
    }

    /// What is copied to where. A destination without a tag gets that of the source.
    async fn names(&self) -> Result<Vec<(Reference, Reference)>, Failure> {
        let tagged = |name: &Reference, tag: &str| name.clone().with_tag(tag).map_err(invalid);
        if !self.all_tags {
            let to = match (self.to.tag(), self.to.digest(), self.from.tag()) {
                (None, None, Some(tag)) => tagged(&self.to, tag)?,
                _ => self.to.clone().with_default_tag(),
            };
            return Ok(vec![(self.from.clone(), to)]);
        }
        let mut tags = self.source.tags().await?;
        if tags.is_empty() {
            return Err(fail(ErrorCode::NotFound, format!("`{}` has no tags", self.from.familiar_name())));
        }
        tags.sort();
        tags.iter().map(|tag| Ok((tagged(&self.from, tag)?, tagged(&self.to, tag)?))).collect()
    }

    /// Copies one name.
    async fn carry(&self, from: &Reference, to: &Reference) -> Result<Pushed, Failure> {
        let board = self.board;
        let named = self.source.manifest(which(from)).await?;
        let whole = named.descriptor.digest.clone();
        let chosen = match (self.platform, &named.document) {
            (Some(platform), Document::Index(_)) => self.choose(platform, &named).await?,
            _ => named,
        };
        let target = chosen.descriptor.clone();
        if let Some(digest) = to.digest().filter(|digest| **digest != target.digest) {
            return Err(invalid(format!("the destination is `{digest}`, and the source is `{}`", target.digest)));
        }
        board.tell(Event::Resolved(to.to_string(), target.clone()));
        let manifests = self.gather(chosen).await?;
        let (mut blobs, mut foreign) = (BTreeMap::new(), BTreeMap::new());
        for fetched in &manifests {
            let Document::Manifest(manifest) = &fetched.document else { continue };
            for what in std::iter::once(&manifest.config).chain(&manifest.layers) {
                let kind =
                    if matches!(what.kind(), Kind::Layer { foreign: true, .. }) { &mut foreign } else { &mut blobs };
                kind.insert(what.digest.clone(), what.clone());
            }
        }
        let mut blobs: Vec<Descriptor> = blobs.into_values().collect();
        blobs.sort_by_key(|what| std::cmp::Reverse(what.size));
        let mut train = Train::new(manifests.iter().map(|fetched| fetched.descriptor.digest.clone()));
        if let Some(lists) = &self.lists {
            train.add_from(&self.source, lists, self.quay.at_once).await?;
        }
        self.quay.announce(blobs.iter().chain(train.descriptors()));
        self.quay.announce(manifests.iter().map(|fetched| &fetched.descriptor));
        let uploads = stream::iter(&blobs).map(|what| self.deliver(what));
        let mut parts: Vec<PushedPart> = uploads.buffer_unordered(self.quay.at_once).try_collect().await?;
        sort(&mut parts);
        parts.extend(foreign.values().map(|what| part(what, Way::Elsewhere, 0)));
        parts.extend(train.bring(self.host, &self.quay, &self.beside, &parts).await?);
        for (at, fetched) in manifests.iter().enumerate() {
            let is_last = at + 1 == manifests.len();
            let which = if is_last { which(to) } else { fetched.descriptor.digest.as_str() };
            parts.push(self.leave(which, fetched).await?);
        }
        let reduced_from = (whole != target.digest).then_some(whole);
        let notes = reduced_from.iter().map(|whole| {
            format!(
                "`{}` is the index `{whole}` there, and one manifest of it, `{}`, here",
                from.familiar(),
                target.digest
            )
        });
        let notes: Vec<String> = notes.chain(train.notes.iter().cloned()).collect();
        notes.iter().for_each(|note| board.note(note.clone()));
        Ok(Pushed {
            name: to.to_string(),
            target,
            sent_bytes: parts.iter().map(|part| part.sent_bytes).sum(),
            up_to_date: parts.iter().all(|part| matches!(part.way, Way::There | Way::Elsewhere)),
            reduced_from,
            parts,
            referrers: train.referrers(),
            notes,
        })
    }

    /// Returns the manifest of an index that is for a platform.
    async fn choose(&self, platform: &str, index: &Fetched) -> Result<Fetched, Failure> {
        let wish = Wish::parse(platform, &self.machine)?;
        let Document::Index(document) = &index.document else { unreachable!("an index is chosen from") };
        let candidates = document.manifests.iter().filter_map(|entry| Some((entry.platform.as_ref()?, entry)));
        let Some(entry) = best(wish.matcher(), candidates) else {
            let offers: Vec<String> = document
                .manifests
                .iter()
                .filter_map(|entry| Some(format!("`{}`", entry.platform.as_ref()?.format_all())))
                .collect();
            let mut failure = fail(ErrorCode::NotFound, format!("no manifest matches `{platform}`"));
            failure.why.push(format!("the index offers {}", offers.join(", ")));
            return Err(failure);
        };
        self.fetch(entry).await
    }

    async fn fetch(&self, what: &Descriptor) -> Result<Fetched, Failure> {
        let fetched = self.source.manifest(what.digest.as_str()).await?;
        if fetched.descriptor.size != what.size {
            let (found, promised) = (fetched.descriptor.size, what.size);
            let why = format!("`{}` has {found} bytes, and {promised} were promised", what.digest);
            return Err(fail(ErrorCode::SizeMismatch(found), why));
        }
        Ok(fetched)
    }

    /// Fetches everything that a target lists. Returns each once, and after everything
    /// that it lists.
    async fn gather(&self, target: Fetched) -> Result<Vec<Fetched>, Failure> {
        let (mut found, mut weight) = (Vec::new(), target.bytes.len());
        let mut level = vec![target];
        for _ in 0..=INDEX_DEPTH_MAX {
            let listed = level.iter().flat_map(|fetched| match &fetched.document {
                Document::Index(index) => index.manifests.clone(),
                Document::Manifest(_) => Vec::new(),
            });
            let listed: Vec<Descriptor> = listed.collect();
            found.append(&mut level);
            if listed.is_empty() {
                let mut seen = BTreeSet::new();
                let mut ordered: Vec<Fetched> =
                    found.into_iter().rev().filter(|fetched| seen.insert(fetched.descriptor.digest.clone())).collect();
                // Manifests in an index come back to front.
                let last = ordered.len() - 1;
                ordered[..last].sort_by_key(|fetched| matches!(fetched.document, Document::Index(_)));
                return Ok(ordered);
            }
            let fetches = stream::iter(&listed).map(|what| self.fetch(what));
            let mut fetches = std::pin::pin!(fetches.buffered(self.quay.at_once));
            while let Some(fetched) = fetches.try_next().await? {
                weight += fetched.bytes.len();
                if weight > TOGETHER_BYTES_MAX {
                    let why = format!("its manifests have more than {TOGETHER_BYTES_MAX} bytes together");
                    return Err(fail(ErrorCode::TooLarge(TOGETHER_BYTES_MAX as u64), why));
                }
                level.push(fetched);
            }
        }
        Err(fail(ErrorCode::Invalid, "its indexes stand too deep in indexes"))
    }

    async fn deliver(&self, what: &Descriptor) -> Result<PushedPart, Failure> {
        match self.quay.settled(what, &self.beside).await? {
            Some(settled) => Ok(settled),
            None => self.quay.bring(what, Bytes::At(&self.source), &self.beside).await,
        }
    }

    async fn leave(&self, which: &str, fetched: &Fetched) -> Result<PushedPart, Failure> {
        self.quay.leave(which, &fetched.descriptor, &fetched.bytes, &fetched.document).await
    }
}

/// The tag or the digest of a name.
fn which(name: &Reference) -> &str {
    match (name.digest(), name.tag()) {
        (Some(digest), _) => digest.as_str(),
        (None, tag) => tag.unwrap_or("latest"),
    }
}
