//! Push: an image that is here becomes one of a registry, byte for byte.
//!
//! ```text
//! reference ─► cargo ────────────► blobs, at most N ─► manifests ─► indexes ─► the name
//!              what is here of it  there, mounted or sent             ▲
//!                                                     a name points to what is whole
//! ```
//!
//! Nothing here changes but the record of what has happened. A plan goes the same way, and
//! looks where a push would send.
//!
//! - `cargo`: what goes with one name, and where else the registry may have it.
//! - `recompress`: the same with other layers, if somebody asks for it.

mod cargo;
mod recompress;

use super::{
    attached::Train,
    brought::Brought,
    contract::{Access, Caller, Event, PushOptions, Pushed, PushedPart, Way},
    documents::{self, Held},
    failing::{because, fail, invalid, problem, try_this},
    library::Library,
    listen::{Board, Listener, accompany},
    quay::{Quay, part, sort},
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
    registry::{Bytes, Failure, Repository},
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
/// How many repositories are asked for what refers to an image.
const ORIGINS_MAX: usize = 8;

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
        let call = Call::new(host, caller, &reference, options, &board, &brought, false).await?;
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
    outcome.map_err(problem(title(&reference, options)))
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
        let call = Call::new(host, caller, &reference, options, &board, &brought, true).await?;
        call.each(async |cargo| call.carry(cargo).await).await
    };
    let outcome = plan.await;
    let _ = brought.tidy(host, caller).await;
    outcome.map_err(problem(title(&reference, options)))
}

fn title(reference: &str, options: &PushOptions) -> String {
    let name = match Reference::parse_docker(reference) {
        Ok(name) => name.to_string(),
        Err(_) => reference.escape_debug().to_string(),
    };
    match &options.destination {
        Some(destination) => format!("cannot push `{name}` as `{}`", destination.escape_debug()),
        None => format!("cannot push `{name}`"),
    }
}

/// One image that is pushed.
struct Name {
    /// What it is found by here.
    here: String,
    there: Reference,
}

impl Name {
    fn same(name: Reference) -> Self {
        Self { here: name.to_string(), there: name }
    }
}

/// A repository that an image that is pushed may have come from.
struct Origin<'h, H: Host> {
    name: String,
    source: Repository<'h, H>,
    /// The same without its mirrors.
    lists: Repository<'h, H>,
}

/// One call with its arguments read.
struct Call<'h, H: Host> {
    host: &'h H,
    caller: &'h Caller,
    board: &'h Board,
    library: Library,
    names: Vec<Name>,
    platform: Option<&'h str>,
    /// How the registries are spoken to that may have what refers to the images, if that is
    /// to go with them.
    referrers: Option<&'h Access>,
    quay: Quay<'h, H>,
    /// What is done to layers on the way.
    recompression: Option<Recompression<'h, H>>,
    /// Where else the registry should have a blob.
    sources: BTreeMap<Digest, Vec<String>>,
}

impl<'h, H: Host> Call<'h, H> {
    async fn new(
        host: &'h H,
        caller: &'h Caller,
        reference: &str,
        options: &'h PushOptions,
        board: &'h Board,
        brought: &'h Brought,
        is_plan: bool,
    ) -> Result<Self, Failure> {
        if options.concurrent_uploads == 0 {
            return Err(invalid("at least 1 blob has to be on its way at once"));
        }
        if options.referrers && options.compress.is_some() {
            return Err(invalid("what refers to an image names its digest, and with other layers it has another one"));
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
        let names = match (&options.destination, options.all_tags) {
            (Some(_), true) => return Err(invalid("every tag has its own name there: a destination is for one image")),
            (Some(text), false) => vec![renamed(&library, reference, text, &options.access)?],
            (None, true) => all_tags(&library, reference)?.into_iter().map(Name::same).collect(),
            (None, false) => vec![Name::same(name(&library, reference)?)],
        };
        let platform = options.platform.as_deref();
        let mut wanted = BTreeSet::new();
        for name in &names {
            let meant = library.find(&name.here)?;
            let cargo = Cargo::<H>::load(host, &library, name.there.clone(), meant, platform).await?;
            wanted.extend(cargo.blobs.into_iter().map(|(what, _)| what.digest));
        }
        let first = &names.first().expect("a push is about a name").there;
        let sources = cargo::sources(host, &library, first, &wanted).await;
        let repositories = sources.values().filter_map(|paths| paths.first().cloned()).collect();
        let repository = Repository::open_home(host, first, &options.access, &repositories)?;
        let at_once = options.concurrent_uploads.min(CONCURRENT_UPLOADS_MAX) as usize;
        Ok(Self {
            host,
            caller,
            board,
            library,
            names,
            platform,
            referrers: options.referrers.then_some(&options.access),
            quay: Quay::new(board, repository, at_once, is_plan),
            recompression,
            sources,
        })
    }

    /// Does this with each name. The first failure ends it.
    async fn each(&self, act: impl AsyncFn(&Cargo<H>) -> Result<Pushed, Failure>) -> Result<Vec<Pushed>, Failure> {
        let mut done = Vec::new();
        for name in &self.names {
            let one = async {
                let (meant, there) = (self.library.find(&name.here)?, name.there.clone());
                let mut cargo = Cargo::load(self.host, &self.library, there, meant, self.platform).await?;
                if let Some(recompression) = &self.recompression {
                    recompression.change(&mut cargo, self.quay.at_once).await?;
                }
                act(&cargo).await
            };
            match one.await {
                Ok(pushed) => done.push(pushed),
                Err(failure) if self.names.len() == 1 => return Err(failure),
                Err(failure) => {
                    let (tag, before, all) = (name.there.tag().unwrap_or_default(), done.len(), self.names.len());
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
        self.quay.announce(cargo.blobs.iter().map(|(what, _)| what).chain(documents));
        self.check_absent(cargo).await?;
        let origins = self.origins(cargo)?;
        let train = self.train(cargo, &origins).await?;
        self.quay.announce(train.descriptors());
        train.notes.iter().for_each(|note| board.note(note.clone()));
        let (mut parts, mut manifests) = (Vec::new(), Vec::new());
        if has(Bug::ManifestEarly) {
            manifests = self.publish(cargo).await?;
        }
        let uploads = stream::iter(&cargo.blobs).map(|(what, blob)| self.deliver(what, blob.as_ref()));
        let mut uploads = std::pin::pin!(uploads.buffer_unordered(self.quay.at_once));
        while let Some(part) = uploads.try_next().await? {
            parts.push(part);
        }
        sort(&mut parts);
        parts.extend(cargo.foreign.iter().map(|what| part(what, Way::Elsewhere, 0)));
        parts.extend(train.bring(self.host, &self.quay, &[], &parts).await?);
        if !has(Bug::ManifestEarly) {
            manifests = self.publish(cargo).await?;
        }
        parts.extend(manifests);
        Ok(self.pushed(cargo, parts, &train))
    }

    async fn deliver(&self, what: &Descriptor, blob: Option<&H::Blob>) -> Result<PushedPart, Failure> {
        let sources = self.sources.get(&what.digest).map_or(&[][..], Vec::as_slice);
        if let Some(settled) = self.quay.settled(what, sources).await? {
            return Ok(settled);
        }
        let opened;
        let blob = match blob {
            Some(blob) => blob,
            None => {
                opened = documents::find(self.host, what).await?.ok_or_else(|| cargo::gone(what))?;
                &opened
            }
        };
        self.quay.bring(what, Bytes::Here(blob), sources).await
    }

    /// The repositories by whose names the image is known here, too, and the same without
    /// their mirrors.
    fn origins(&self, cargo: &Cargo<H>) -> Result<Vec<Origin<'h, H>>, Failure> {
        let Some(access) = self.referrers else { return Ok(Vec::new()) };
        let targets = [Some(&cargo.target.digest), cargo.reduced_from.as_ref()];
        let is_same = |name: &Reference| (name.domain(), name.path()) == (cargo.name.domain(), cargo.name.path());
        let mut origins: Vec<Origin<'h, H>> = Vec::new();
        for entry in &self.library.entries {
            let name = entry.name.familiar_name();
            let is_known = origins.iter().any(|origin| origin.name == name);
            if is_known || is_same(&entry.name) || !targets.contains(&Some(&entry.record.target.digest)) {
                continue;
            }
            if origins.len() == ORIGINS_MAX {
                break;
            }
            let open = || Repository::open(self.host, &entry.name, access);
            origins.push(Origin { name, source: open()?, lists: open()?.without_mirrors() });
        }
        Ok(origins)
    }

    /// Finds out what refers to the image and goes with it.
    async fn train<'s>(&self, cargo: &Cargo<H>, origins: &'s [Origin<'h, H>]) -> Result<Train<'s, 'h, H>, Failure> {
        let mut train = Train::new(cargo.manifests.iter().map(|held| held.descriptor.digest.clone()));
        if self.referrers.is_none() {
            return Ok(train);
        }
        train.add_here(self.host, &self.library).await?;
        for Origin { name, source, lists } in origins {
            if let Err(failure) = train.add_from(source, lists, self.quay.at_once).await {
                // A name that was only ever given here is no registry's.
                let why = failure.why.join(": ");
                train.notes.push(format!("what refers to it in `{name}` is not known, and is not pushed: {why}"));
            }
        }
        Ok(train)
    }

    /// Leaves the manifests there, each after what it lists, and the target under its
    /// name.
    async fn publish(&self, cargo: &Cargo<H>) -> Result<Vec<PushedPart>, Failure> {
        let (target, listed) = cargo.manifests.split_last().expect("a target has a document");
        let (indexes, leaves): (Vec<_>, Vec<_>) =
            listed.iter().partition(|held| matches!(held.document, Document::Index(_)));
        let leaves = stream::iter(leaves).map(|held| self.leave(held.descriptor.digest.as_str(), held));
        let mut parts: Vec<PushedPart> = leaves.buffered(self.quay.at_once).try_collect().await?;
        for index in indexes {
            parts.push(self.leave(index.descriptor.digest.as_str(), index).await?);
        }
        parts.push(self.leave(cargo.which(), target).await?);
        Ok(parts)
    }

    async fn leave(&self, which: &str, held: &Held<H::Blob>) -> Result<PushedPart, Failure> {
        self.quay.leave(which, &held.descriptor, &held.bytes, &held.document).await
    }

    /// Refuses what would leave a hole in an index. What is not here may be there.
    async fn check_absent(&self, cargo: &Cargo<H>) -> Result<(), Failure> {
        let looks = stream::iter(&cargo.absent).map(async |what| {
            let is_there = self.quay.repository.has_manifest(what.digest.as_str(), what).await?;
            Ok::<_, Failure>((!is_there).then_some(what))
        });
        let missing: Vec<_> = looks.buffered(self.quay.at_once).try_collect().await?;
        let missing: Vec<&Descriptor> = missing.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (name, total) = (cargo.here.familiar(), listed(cargo));
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

    fn pushed(&self, cargo: &Cargo<H>, parts: Vec<PushedPart>, train: &Train<'_, 'h, H>) -> Pushed {
        let mut notes = cargo.notes();
        notes.extend(train.notes.iter().cloned());
        Pushed {
            name: cargo.name.to_string(),
            target: cargo.target.clone(),
            reduced_from: cargo.reduced_from.clone(),
            sent_bytes: parts.iter().map(|part| part.sent_bytes).sum(),
            up_to_date: parts.iter().all(|part| matches!(part.way, Way::There | Way::Elsewhere)),
            parts,
            referrers: train.referrers(),
            notes,
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
        store::touch(self.host, self.caller, &cargo.here, cargo.updated).await;
    }
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

/// Reads which image goes under which other name.
fn renamed(library: &Library, text: &str, destination: &str, access: &Access) -> Result<Name, Failure> {
    let meant = library.find(text)?;
    let (destination, _) = resolve::expand(destination, &access.aliases);
    let there = Reference::parse(&destination).map_err(invalid)?;
    if there.digest().is_some() {
        return Err(invalid(format!("`{there}` has a digest, which the registry makes of what it gets")));
    }
    let there = match (there.tag(), meant.entry.name.tag()) {
        (None, Some(tag)) => there.with_tag(tag).map_err(invalid)?,
        _ => there.with_default_tag(),
    };
    Ok(Name { here: text.to_owned(), there })
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
