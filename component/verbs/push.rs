//! Push: an image that is here becomes one of a registry, byte for byte.
//!
//! ```text
//! reference ─► cargo ────────────► blobs, at most N ─► manifests ─► indexes ─► the name
//!              what is here of it  there, mounted or sent             ▲
//!                                                     a name points to what is whole
//! ```
//!
//! Nothing here changes but the record of what has happened.
//!
//! - `cargo`: what goes with one name, and where else the registry may have it.
//! - `recompress`: the same with other layers, if somebody asks for it.

mod cargo;
mod recompress;

use super::{
    brought::Brought,
    contract::{Caller, Event, PushOptions, Pushed, PushedPart, Way},
    documents::Held,
    failing::{because, fail, invalid, problem, try_this},
    library::{Library, Meant},
    listen::{Board, Listener, accompany},
    resolve, store,
};
use crate::{
    host::Host,
    nouns::{
        compressor,
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        problem::{ErrorCode, Problem},
        record::Action,
        reference::Reference,
    },
    planted::{Bug, has},
    registry::{self, Bytes, Delivered, Failure, Phase, Repository, Watch},
};
use cargo::Cargo;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use recompress::Recompression;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// More blobs than this are never on their way at once, whatever is asked for.
pub(super) const CONCURRENT_UPLOADS_MAX: u32 = 64;
/// How many manifests a message lists.
const LISTED_MAX: usize = 20;

/// Brings the image that `reference` names to the registry that it names: one entry
/// a name. See `images.push`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn push<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    options: &PushOptions,
    listener: &impl Listener,
) -> Result<Vec<Pushed>, Problem> {
    let (board, brought) = (Board::default(), Brought::default());
    let (reference, _) = resolve::expand(reference, &options.access.aliases);
    let work = async {
        let call = Call::new(host, caller, &reference, options, &board, &brought).await?;
        call.each(async |cargo| {
            let pushed = call.carry(cargo).await?;
            call.note(cargo).await;
            Ok(pushed)
        })
        .await
    };
    let stopped = || {
        let failure = fail(ErrorCode::Cancelled, "the caller stopped the push; what the registry has by now it keeps");
        try_this(failure, "the same command goes on where it stopped")
    };
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    // What was compressed costs space and nothing else, and a collection finds it as well.
    let _ = brought.tidy(host, caller).await;
    outcome.map_err(problem(title(&reference)))
}

/// Returns what [`push`] would do: one entry a name. See `images.plan-push`.
pub async fn plan_push<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    options: &PushOptions,
) -> Result<Vec<Pushed>, Problem> {
    let (board, brought) = (Board::deaf(), Brought::default());
    let (reference, _) = resolve::expand(reference, &options.access.aliases);
    let plan = async {
        let call = Call::new(host, caller, &reference, options, &board, &brought).await?;
        call.each(async |cargo| call.plan(cargo).await).await
    };
    let outcome = plan.await;
    let _ = brought.tidy(host, caller).await;
    outcome.map_err(problem(title(&reference)))
}

fn title(reference: &str) -> String {
    match Reference::parse_docker(reference) {
        Ok(name) => format!("cannot push `{name}`"),
        Err(_) => format!("cannot push `{}`", reference.escape_debug()),
    }
}

/// One call with its arguments read.
struct Call<'h, H: Host> {
    host: &'h H,
    caller: &'h Caller,
    board: &'h Board,
    library: Library,
    names: Vec<Reference>,
    platform: Option<&'h str>,
    at_once: usize,
    repository: Repository<'h, H>,
    /// What is done to layers on the way.
    recompression: Option<Recompression<'h, H>>,
    /// Where else the registry should have a blob.
    sources: BTreeMap<Digest, Vec<String>>,
    /// What the registry has by now.
    there: RefCell<BTreeSet<Digest>>,
}

impl<'h, H: Host> Call<'h, H> {
    async fn new(
        host: &'h H,
        caller: &'h Caller,
        reference: &str,
        options: &'h PushOptions,
        board: &'h Board,
        brought: &'h Brought,
    ) -> Result<Self, Failure> {
        if options.concurrent_uploads == 0 {
            return Err(invalid("at least 1 blob has to be on its way at once"));
        }
        let recompression = match (&options.compress, options.force_compress) {
            (Some(text), is_forced) => Some(Recompression {
                host,
                board,
                brought,
                how: text.parse().map_err(|error: compressor::Error| invalid(error))?,
                is_forced,
                done: RefCell::default(),
            }),
            (None, true) => return Err(invalid("nobody says how the layers are to be compressed")),
            (None, false) => None,
        };
        let library = Library::load(host, caller).await?;
        let names = match options.all_tags {
            true => all_tags(&library, reference)?,
            false => vec![name(&library, reference)?],
        };
        let platform = options.platform.as_deref();
        let mut wanted = BTreeSet::new();
        for name in &names {
            let cargo = Cargo::<H>::load(host, &library, name.clone(), found(&library, name)?, platform).await?;
            wanted.extend(cargo.blobs.into_iter().map(|(what, _)| what.digest));
        }
        let first = names.first().expect("a push is about a name");
        let sources = cargo::sources(host, &library, first, &wanted).await;
        let repositories = sources.values().filter_map(|paths| paths.first().cloned()).collect();
        let repository = Repository::open_home(host, first, &options.access, &repositories)?;
        Ok(Self {
            host,
            caller,
            board,
            library,
            names,
            platform,
            at_once: options.concurrent_uploads.min(CONCURRENT_UPLOADS_MAX) as usize,
            repository: repository.with_voice(|text| board.warn(text)),
            recompression,
            sources,
            there: RefCell::default(),
        })
    }

    /// Does this with each name. The first failure ends it.
    async fn each(&self, act: impl AsyncFn(&Cargo<H>) -> Result<Pushed, Failure>) -> Result<Vec<Pushed>, Failure> {
        let mut done = Vec::new();
        for name in &self.names {
            let one = async {
                let meant = found(&self.library, name)?;
                let mut cargo = Cargo::load(self.host, &self.library, name.clone(), meant, self.platform).await?;
                if let Some(recompression) = &self.recompression {
                    recompression.change(&mut cargo, self.at_once).await?;
                }
                act(&cargo).await
            };
            match one.await {
                Ok(pushed) => done.push(pushed),
                Err(failure) if self.names.len() == 1 => return Err(failure),
                Err(failure) => {
                    let (tag, before, all) = (name.tag().unwrap_or_default(), done.len(), self.names.len());
                    return Err(because(format!("`{tag}` failed, after {before} of {all} tags"))(failure));
                }
            }
        }
        Ok(done)
    }

    /// Brings everything to the registry, and the name last.
    async fn carry(&self, cargo: &Cargo<H>) -> Result<Pushed, Failure> {
        let board = self.board;
        board.tell(Event::Resolved(cargo.name.to_string(), cargo.target.clone()));
        cargo.notes().into_iter().for_each(|note| board.note(note));
        let documents = cargo.manifests.iter().map(|held| &held.descriptor);
        for part in cargo.blobs.iter().map(|(what, _)| what).chain(documents) {
            board.about(part).announce(Phase::Waiting, 0);
        }
        self.check_absent(cargo).await?;
        let (mut parts, mut manifests) = (Vec::new(), Vec::new());
        if has(Bug::ManifestEarly) {
            manifests = self.publish(cargo).await?;
        }
        let uploads = stream::iter(&cargo.blobs).map(|(what, blob)| self.deliver(what, blob));
        let mut uploads = std::pin::pin!(uploads.buffer_unordered(self.at_once));
        while let Some(part) = uploads.try_next().await? {
            parts.push(part);
        }
        if !has(Bug::ManifestEarly) {
            manifests = self.publish(cargo).await?;
        }
        Ok(self.pushed(cargo, parts, manifests))
    }

    async fn deliver(&self, what: &Descriptor, blob: &H::Blob) -> Result<PushedPart, Failure> {
        let watch = self.board.about(what);
        if self.there.borrow().contains(&what.digest) {
            watch.progress(Phase::There, what.size);
            return Ok(part(what, Way::There, 0));
        }
        let sources = self.sources.get(&what.digest).map_or(&[][..], Vec::as_slice);
        let Delivered { way, sent_bytes, .. } =
            self.repository.upload(what, Bytes::Here(blob), sources, &watch).await?;
        self.there.borrow_mut().insert(what.digest.clone());
        let way = match way {
            registry::Way::There => Way::There,
            registry::Way::Mounted(from) => Way::Mounted(from),
            registry::Way::Sent => Way::Sent,
        };
        Ok(part(what, way, sent_bytes))
    }

    /// Leaves the manifests there, each after what it lists, and the target under its
    /// name.
    async fn publish(&self, cargo: &Cargo<H>) -> Result<Vec<PushedPart>, Failure> {
        let (target, listed) = cargo.manifests.split_last().expect("a target has a document");
        let (indexes, leaves): (Vec<_>, Vec<_>) =
            listed.iter().partition(|held| matches!(held.document, Document::Index(_)));
        let leaves = stream::iter(leaves).map(|held| self.leave(held.descriptor.digest.as_str(), held));
        let mut parts: Vec<PushedPart> = leaves.buffered(self.at_once).try_collect().await?;
        for index in indexes {
            parts.push(self.leave(index.descriptor.digest.as_str(), index).await?);
        }
        parts.push(self.leave(cargo.which(), target).await?);
        Ok(parts)
    }

    async fn leave(&self, which: &str, held: &Held<H::Blob>) -> Result<PushedPart, Failure> {
        let what = &held.descriptor;
        let watch = self.board.about(what);
        let was_there = self.repository.publish(which, what, &held.bytes).await?.was_there;
        watch.progress(if was_there { Phase::There } else { Phase::Uploaded }, what.size);
        Ok(if was_there { part(what, Way::There, 0) } else { part(what, Way::Sent, what.size) })
    }

    /// Refuses what would leave a hole in an index. What is not here may be there.
    async fn check_absent(&self, cargo: &Cargo<H>) -> Result<(), Failure> {
        let looks = stream::iter(&cargo.absent).map(async |what| {
            let is_there = self.repository.has_manifest(what.digest.as_str(), what).await?;
            Ok::<_, Failure>((!is_there).then_some(what))
        });
        let missing: Vec<_> = looks.buffered(self.at_once).try_collect().await?;
        let missing: Vec<&Descriptor> = missing.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (name, total) = (cargo.name.familiar(), listed(cargo));
        let mut why = vec![format!(
            "of the {total} manifests that its index lists {} are neither here nor in the registry",
            missing.len()
        )];
        why.push(format!("missing: {}", list(&missing)));
        let fix = format!(
            "bring them with `wharf pull --all-platforms {name}`, or push one platform with `wharf push --platform \
             PLATFORM {name}`"
        );
        Err(Failure { code: ErrorCode::NotFound, why, fix: Some(fix) })
    }

    /// Says what [`Self::carry`] would do.
    async fn plan(&self, cargo: &Cargo<H>) -> Result<Pushed, Failure> {
        self.check_absent(cargo).await?;
        let looks = stream::iter(&cargo.blobs).map(async |(what, _)| {
            if self.there.borrow().contains(&what.digest) || self.repository.has_blob(what).await? {
                return Ok(part(what, Way::There, 0));
            }
            let source = self.sources.get(&what.digest).and_then(|paths| paths.first());
            Ok::<_, Failure>(match source {
                Some(source) => part(what, Way::Mounted(source.clone()), 0),
                None => part(what, Way::Sent, what.size),
            })
        });
        let parts: Vec<PushedPart> = looks.buffered(self.at_once).try_collect().await?;
        self.there.borrow_mut().extend(parts.iter().map(|part| part.part.digest.clone()));
        let last = cargo.manifests.len() - 1;
        let looks = stream::iter(cargo.manifests.iter().enumerate()).map(async |(at, held)| {
            let what = &held.descriptor;
            let which = if at == last { cargo.which() } else { what.digest.as_str() };
            let is_there = self.repository.has_manifest(which, what).await?;
            Ok::<_, Failure>(if is_there { part(what, Way::There, 0) } else { part(what, Way::Sent, what.size) })
        });
        let manifests = looks.buffered(self.at_once).try_collect().await?;
        Ok(self.pushed(cargo, parts, manifests))
    }

    fn pushed(&self, cargo: &Cargo<H>, mut parts: Vec<PushedPart>, manifests: Vec<PushedPart>) -> Pushed {
        let up_to_date = parts.iter().chain(&manifests).all(|part| part.way == Way::There);
        parts.sort_by(|one, other| other.part.size.cmp(&one.part.size).then(one.part.digest.cmp(&other.part.digest)));
        parts.extend(cargo.foreign.iter().map(|what| part(what, Way::Elsewhere, 0)));
        parts.extend(manifests);
        Pushed {
            name: cargo.name.to_string(),
            target: cargo.target.clone(),
            reduced_from: cargo.reduced_from.clone(),
            sent_bytes: parts.iter().map(|part| part.sent_bytes).sum(),
            parts,
            up_to_date,
            notes: cargo.notes(),
        }
    }

    /// Records that it was pushed, and used. The registry has it, whatever comes of
    /// that.
    async fn note(&self, cargo: &Cargo<H>) {
        let told = store::change(self.host, self.caller, async |records| {
            records.tell(self.host, Action::Push, cargo.name.to_string(), Some(&cargo.target.digest));
            Ok(())
        });
        if let Err(failure) = told.await {
            self.board.warn(format!("that it was pushed could not be recorded: {}", failure.why.join(": ")));
        }
        store::forget(self.host, self.caller).await;
        store::touch(self.host, self.caller, &cargo.name, cargo.updated).await;
    }
}

pub(super) fn part(what: &Descriptor, way: Way, sent_bytes: u64) -> PushedPart {
    PushedPart { part: Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size), way, sent_bytes }
}

/// How many manifests the indexes list that go with a name.
fn listed<H: Host>(cargo: &Cargo<H>) -> usize {
    let parts = cargo.manifests.iter().filter(|held| matches!(held.document, Document::Index(_)));
    parts.map(|held| held.document.parts().count()).sum()
}

fn list(missing: &[&Descriptor]) -> String {
    let one = |what: &&Descriptor| match &what.platform {
        Some(platform) => format!("`{}`", platform.format_all()),
        None => format!("`{}`", what.digest),
    };
    let mut listed = missing.iter().take(LISTED_MAX).map(one).collect::<Vec<_>>().join(", ");
    if missing.len() > LISTED_MAX {
        listed.push_str(&format!(" and {} more", missing.len() - LISTED_MAX));
    }
    listed
}

/// Reads the one name that is pushed.
fn name(library: &Library, text: &str) -> Result<Reference, Failure> {
    let meant = library.find(text)?;
    let name = Reference::parse_docker(text).map_err(invalid);
    match name {
        Ok(name) if library.entries.iter().any(|entry| entry.name.repository() == name.repository()) => Ok(name),
        _ => {
            let why = format!("`{}` says no repository to push to", text.escape_debug());
            let familiar = meant.entry.name.familiar();
            Err(try_this(invalid(why), format!("push by a name: wharf push {familiar}")))
        }
    }
}

/// Returns every name of a repository that has a tag.
fn all_tags(library: &Library, text: &str) -> Result<Vec<Reference>, Failure> {
    let repository = resolve::repository(text, "wharf push --all-tags")?.repository();
    let names = library.entries.iter().map(|entry| &entry.name);
    let names: Vec<Reference> =
        names.filter(|name| name.tag().is_some() && name.repository() == repository).cloned().collect();
    if names.is_empty() {
        let why = format!("no image here is called `{}` with a tag", repository.familiar_name());
        return Err(try_this(fail(ErrorCode::NotFound, why), "see what is here with `wharf images`"));
    }
    Ok(names)
}

fn found<'l>(library: &'l Library, name: &Reference) -> Result<Meant<'l>, Failure> {
    library.find(&name.to_string())
}
