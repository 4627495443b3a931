//! The verbs as a run calls them: what is noted before, what is acknowledged
//! after, and which errors nobody may answer with when nothing has gone wrong.

mod changes;
mod leases;
mod records;
mod snapshots;
mod strays;
mod uploads;

use crate::{
    chronicle::{Acknowledged, NAMESPACE},
    hub::{AUTHORITY, PLATFORMS},
    invariants::Promise,
    memory::Memory,
    run::World,
    scenario::Step,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};
use wharf_component::{
    host::Blob as _,
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self, change,
        contract::{
            Access, Caller, Change, Event, FlawKind, Form, PullOptions, Pulled, Retention, SaveOptions, SearchOptions,
            Wanted,
        },
        ingests, label,
        leases::leases as list_leases,
        listen::Listener,
        save::Piece,
        usage::disk_usage,
    },
};

pub(crate) use changes::{all_imported, collect, remove};
pub(crate) use leases::release_all;
pub(crate) use records::forget_all;
pub(crate) use snapshots::all_committed;

/// Who asks.
fn caller() -> Caller {
    Caller { namespace: NAMESPACE.to_owned(), machine: "linux/amd64".to_owned() }
}

/// Manifests by platform.
type Platforms = Vec<(String, Digest)>;

/// Somebody who hears events, and leaves after so many.
#[derive(Debug, Default)]
struct Ear {
    leave: Option<usize>,
    heard: Cell<usize>,
    /// By name, what was chosen of it: each platform with its manifest.
    chosen: RefCell<Vec<(String, Platforms)>>,
}

impl Listener for Ear {
    async fn hear(&self, events: Vec<Event>) -> bool {
        self.heard.set(self.heard.get() + events.len());
        for event in events {
            let mut chosen = self.chosen.borrow_mut();
            match event {
                Event::Resolved(name, _) => chosen.push((name, Vec::new())),
                Event::Selected(platform, manifest) => {
                    let (_, chosen) = chosen.last_mut().expect("a name is resolved before something is chosen of it");
                    chosen.push((platform, manifest.digest));
                }
                _ => {}
            }
        }
        self.leave.is_none_or(|leave| self.heard.get() < leave)
    }
}

/// Carries out one step of one process.
pub(crate) async fn perform(world: &Rc<World>, process: &Memory, step: Step, is_calm: bool) {
    let who = format!("process {}", process.id());
    world.tell(&who, || format!("== {step}"));
    world.verbs.borrow_mut().insert(step.verb());
    let begun_ms = process.clock().now_ms();
    let outcome = ask(world, process, &step).await;
    world.tell(&who, || match &outcome {
        Ok(()) => format!("== {}: ok", step.verb()),
        Err(problem) => format!("== {}: {}: {}", step.verb(), problem.code, problem.why.join(": ")),
    });
    if let Err(problem) = outcome
        && is_calm
        && !is_expected(world, &step, &problem.code, begun_ms)
    {
        let why = problem.why.join(": ");
        world.broken(Promise::Served, format!("`{step}` fails, and nothing was wrong: {}: {why}", problem.code));
    }
}

async fn ask(world: &Rc<World>, process: &Memory, step: &Step) -> Result<(), Problem> {
    let (caller, access) = (caller(), Access::default());
    match step {
        Step::Pull(reference, options, leave) => pull(world, process, reference, options, *leave).await.map(drop),
        Step::PullPlanned(reference, options, wait_ms) => {
            let plans = verbs::plan_pull(process, &caller, reference, options).await?;
            process.clock().sleep(*wait_ms).await;
            world.verbs.borrow_mut().insert("pull-planned");
            let ear = Ear::default();
            let work = verbs::pull_planned(process, &caller, &plans.document, &access, &ear);
            let pulled = noted(world, process, reference, options, (work, &ear)).await?;
            let differs =
                plans.names.iter().zip(&pulled).any(|(plan, pulled)| plan.target.digest != pulled.image.target.digest);
            if differs || plans.names.len() != pulled.len() {
                world.broken(Promise::Served, format!("`{step}` pulls something else than was planned"));
            }
            Ok(())
        }
        Step::PlanPull(reference, options) => verbs::plan_pull(process, &caller, reference, options).await.map(drop),
        Step::Entries(filters) => verbs::entries(process, &caller, filters).await.map(drop),
        Step::Inspect(reference) => verbs::inspect(process, &caller, reference, None, true, true).await.map(drop),
        Step::Unpack(reference, platform) => {
            let began = world.chronicle.now();
            let tree = verbs::unpack(process, &caller, reference, platform.as_deref(), &Ear::default()).await?;
            // Who has pulled another target meanwhile may have had the tree collected.
            world.note_records();
            world.chronicle.unpacked(&tree.manifest, began);
            Ok(())
        }
        Step::Save(reference) => save(world, process, reference).await.map(drop),
        Step::Load(source, names, wait_ms, leave) => {
            // What cannot be saved is told of a step that only saves.
            let Ok(Some(archive)) = save(world, process, source).await else { return Ok(()) };
            process.clock().sleep(*wait_ms).await;
            Box::pin(changes::load(world, process, (source, archive), names, *leave)).await
        }
        Step::Import(name, words, is_there, leave) => {
            Box::pin(changes::import(world, process, name, (*words, *is_there), *leave)).await
        }
        Step::Compose(name, edit) => Box::pin(changes::compose(world, process, name, edit)).await,
        Step::Manifest(reference) => verbs::manifest(process, &caller, reference, &access).await.map(drop),
        Step::Push(reference, pushing, leave) => uploads::push(world, process, reference, pushing, *leave).await,
        Step::Copy(reference) => uploads::copy(world, process, reference).await,
        Step::PlanCopy(reference) => uploads::plan_copy(world, process, reference).await,
        Step::PlanPush(reference) => uploads::plan(process, reference).await,
        Step::History(reference) => verbs::history(process, &caller, reference, None).await.map(drop),
        Step::Explain(reference) => verbs::explain(&caller, reference, &Wanted::Machine, &access).map(drop),
        Step::CheckLogin => verbs::check_login(process, AUTHORITY, &access).await.map(drop),
        Step::Tags(repository) => verbs::tags(process, repository, &access).await.map(drop),
        Step::Catalog => verbs::catalog(process, AUTHORITY, &access).await.map(drop),
        Step::Search(term) => search(world, process, term, &access).await,
        Step::Referrers(reference) => referrers(world, process, reference, &access).await,
        Step::Fsck(references, repair, rebuild) => {
            let repair = repair.then_some(&access);
            Box::pin(strays::fsck(world, process, references, repair, *rebuild)).await
        }
        Step::Perform(change, leave) => changes::perform(world, process, change, *leave).await,
        Step::PlanChange(change) => change::plan_change(process, &caller, change).await.map(drop),
        Step::Apply(change, wait_ms) => changes::apply(world, process, change, *wait_ms).await,
        Step::RetainByDefault(retention) => changes::retain_by_default(world, process, *retention).await,
        Step::DiskUsage => disk_usage(process, &caller).await.map(drop),
        Step::Leases => list_leases(process, &caller).await.map(drop),
        Step::Hold(id, reference, seconds) => leases::hold(world, process, id, reference, *seconds).await,
        Step::Release(ids) => leases::release(world, process, ids).await,
        Step::Ingests => ingests::ingests(process).await.map(drop),
        Step::Discard(which) => ingests::discard(process, which).await.map(drop),
        Step::Label(reference, labels) => label::label(process, &caller, reference, labels).await.map(drop),
        Step::Watch(leave) => leases::follow(process, *leave).await,
        Step::Record(request) => Box::pin(records::ask(world, process, request)).await,
        Step::Snapshot(act) => Box::pin(snapshots::ask(world, process, act)).await,
    }
}

/// What is to be saved is here until it is written. Returns the archive, unless a blob is damaged, or not everything is
/// in it.
async fn save(world: &Rc<World>, process: &Memory, reference: &str) -> Result<Option<Vec<u8>>, Problem> {
    let options = SaveOptions { form: Form::OciArchive, platforms: Vec::new(), complete: None };
    let (saved, pieces) = verbs::save(process, &caller(), &[reference.to_owned()], &options).await?;
    let (mut archive, mut is_whole) = (Vec::new(), saved.images.iter().all(|image| image.reduced_from.is_none()));
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => archive.extend(bytes),
            Piece::Blob(blob, size) => match blob.read(0, size).await {
                Ok(bytes) => {
                    is_whole &= bytes.len() as u64 == size && blob.verify().await.is_ok();
                    archive.extend(bytes);
                }
                Err(ErrorCode::NotFound) => {
                    world.broken(Promise::Apart, format!("a blob of `{reference}` went while it was saved"));
                    is_whole = false;
                }
                Err(_) => is_whole = false,
            },
        }
    }
    Ok(is_whole.then_some(archive))
}

async fn pull(
    world: &Rc<World>,
    process: &Memory,
    reference: &str,
    options: &PullOptions,
    leave: Option<usize>,
) -> Result<Vec<Pulled>, Problem> {
    let ear = Ear { leave, ..Ear::default() };
    let caller = caller();
    let work = verbs::pull(process, &caller, reference, options, &ear);
    noted(world, process, reference, options, (work, &ear)).await
}

/// Does what pulls, and notes what came of it, as the ear has heard it.
async fn noted(
    world: &Rc<World>,
    process: &Memory,
    reference: &str,
    options: &PullOptions,
    (work, ear): (impl Future<Output = Result<Vec<Pulled>, Problem>>, &Ear),
) -> Result<Vec<Pulled>, Problem> {
    let since_ms = process.clock().now_ms();
    if options.retention == Some(Retention::Compressed) {
        world.chronicle.trees_may_go();
    }
    let writes = names(world, reference, options).into_iter();
    let writes: Vec<_> = writes.map(|name| (world.chronicle.write(&name, since_ms, None), name)).collect();
    let pulled = work.await?;
    world.note_records();
    for (Pulled { image, .. }, (name, chosen)) in pulled.iter().zip(ear.chosen.take()) {
        assert_eq!(image.name, name, "names are resolved in the order in which they are returned");
        let is_extracted = |platform: &str| match options.wanted {
            Wanted::All => chosen.len() == 1 || platform.starts_with(PLATFORMS[0]),
            _ => true,
        };
        let parts = chosen.iter().flat_map(|(_, manifest)| world.hub.parts(manifest));
        for digest in parts.chain([image.target.digest.clone()]).filter(|digest| world.is_whole(digest)) {
            world.chronicle.heal(&digest);
        }
        let unpacked = chosen.iter().filter(|(platform, _)| options.unpack && is_extracted(platform));
        let Some((write, _)) = writes.iter().find(|(_, name)| *name == image.name) else {
            world.broken(Promise::Apart, format!("`{}` was pulled, and nobody asked for it", image.name));
            continue;
        };
        world.chronicle.acknowledge(
            write,
            Acknowledged {
                target: image.target.digest.clone(),
                manifests: chosen.iter().map(|(_, manifest)| manifest.clone()).collect(),
                unpacked: unpacked.map(|(_, manifest)| manifest.clone()).collect(),
            },
        );
    }
    Ok(pulled)
}

/// The names that a pull may record.
fn names(world: &World, reference: &str, options: &PullOptions) -> Vec<String> {
    if !options.all_tags {
        return vec![reference.to_owned()];
    }
    let tags = world.hub.tags().into_iter().map(|tag| format!("{AUTHORITY}/{tag}"));
    tags.filter(|name| name.rsplit_once(':').is_some_and(|(repository, _)| repository == reference)).collect()
}

/// Searches. The registry has no search and lists nothing, so that what is found
/// is the repository of that very name.
async fn search(world: &World, process: &Memory, term: &str, access: &Access) -> Result<(), Problem> {
    let options = SearchOptions { limit: 25, filters: Vec::new() };
    let found = verbs::search(process, term, &options, access).await?;
    let names: Vec<_> = found.repositories.iter().map(|one| one.name.as_str()).collect();
    if names != [term] {
        world.broken(Promise::Served, format!("a search for `{term}` finds {names:?}"));
    }
    Ok(())
}

/// Lists what refers to an image: nothing does, and the subject is what the tag
/// pointed to meanwhile.
async fn referrers(world: &World, process: &Memory, reference: &str, access: &Access) -> Result<(), Problem> {
    let begun_ms = process.clock().now_ms();
    let listed = verbs::referrers(process, reference, None, access).await?;
    if !listed.referrers.is_empty()
        || !world.hub.since(&reference[AUTHORITY.len() + 1..], begun_ms).contains(&listed.subject)
    {
        world.broken(Promise::Served, format!("what refers to `{reference}` is {listed:?}"));
    }
    Ok(())
}

/// Whether a call may fail so although nothing is wrong.
fn is_expected(world: &World, step: &Step, code: &ErrorCode, begun_ms: u64) -> bool {
    let (reference, options, leave) = match step {
        Step::Pull(reference, options, leave) => (reference, options, *leave),
        Step::PlanPull(reference, options) => (reference, options, None),
        Step::PullPlanned(..) if *code == ErrorCode::Conflict => return true,
        Step::PullPlanned(reference, options, _) => (reference, options, None),
        Step::Perform(change, leave) => {
            return is_expected_of(change, code) || *code == ErrorCode::Cancelled && leave.is_some();
        }
        Step::Load(.., leave) | Step::Import(.., leave) => return *code == ErrorCode::Cancelled && leave.is_some(),
        Step::PlanChange(change) => return is_expected_of(change, code),
        Step::Apply(change, _) => return is_expected_of(change, code) || *code == ErrorCode::Conflict,
        // The name or the lease may not be here, the ID may be taken, and the ingest in use.
        Step::Hold(..) | Step::Release(_) | Step::Discard(_) => {
            return matches!(code, ErrorCode::NotFound | ErrorCode::InUse);
        }
        // It may not be here or be there already, and everybody else may be faster.
        Step::Record(_) => {
            return matches!(code, ErrorCode::NotFound | ErrorCode::InUse | ErrorCode::Conflict);
        }
        Step::Snapshot(_) => {
            let codes = [ErrorCode::NotFound, ErrorCode::InUse, ErrorCode::Conflict, ErrorCode::Invalid];
            return codes.contains(code);
        }
        Step::Label(..) | Step::PlanPush(_) => return *code == ErrorCode::NotFound,
        // The image may not be here, or not as a whole, and a blob may go meanwhile.
        Step::Push(_, _, leave) => {
            return *code == ErrorCode::NotFound || *code == ErrorCode::Cancelled && leave.is_some();
        }
        // What passes through is not looked at: a source that is wrong, or says nothing more, is
        // noticed by the registry that takes it, or late, and not asked again.
        Step::Copy(_) | Step::PlanCopy(_) => return matches!(code, ErrorCode::Unavailable | ErrorCode::Invalid),
        // What it is to be made of may not be here, the name may be taken or no index's, and everybody else may be faster.
        Step::Compose(..) => {
            let codes = [ErrorCode::NotFound, ErrorCode::Invalid, ErrorCode::InUse, ErrorCode::Conflict];
            return codes.contains(code);
        }
        // The image may not be here, or not for this platform.
        Step::Inspect(_) | Step::History(_) | Step::Save(_) | Step::Unpack(..) | Step::Fsck(..) => {
            return *code == ErrorCode::NotFound;
        }
        _ => return false,
    };
    let names = names(world, reference, options);
    let targets = |name: &String| match name.split_once('@') {
        Some((_, digest)) => vec![digest.parse().expect("runs pull what there is")],
        None => world.hub.since(&name[AUTHORITY.len() + 1..], begun_ms),
    };
    match code {
        ErrorCode::Cancelled => leave.is_some(),
        // The tag has moved while two pulled it.
        ErrorCode::Conflict => names.iter().any(|name| targets(name).len() > 1),
        ErrorCode::NotFound => match &options.wanted {
            Wanted::These(wanted) => names.iter().flat_map(targets).any(|target| {
                let version = world.hub.version_of(&target);
                version.is_some_and(|version| {
                    wanted.iter().any(|platform| !version.manifests.iter().any(|(has, _)| has == platform))
                })
            }),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a change may fail so although nothing is wrong.
fn is_expected_of(change: &Change, code: &ErrorCode) -> bool {
    match change {
        // The source may not be here, or go meanwhile.
        Change::Tag(_) => matches!(code, ErrorCode::NotFound | ErrorCode::Conflict),
        // It may not be here, or have names in several repositories.
        Change::Remove(_) => matches!(code, ErrorCode::NotFound | ErrorCode::InUse),
        // Another one prunes.
        Change::Prune(_) => *code == ErrorCode::InUse,
        Change::Collect(_) => false,
        // It may not be here, or go meanwhile.
        Change::Retain(_) => matches!(code, ErrorCode::NotFound | ErrorCode::Conflict),
    }
}

/// Has `fsck` find and repair what is damaged. Returns the blobs that it tells.
pub(crate) async fn damage(process: &Memory) -> BTreeSet<Digest> {
    let told = verbs::fsck(process, &caller(), &[], Some(&Access::default()), false, &Ear::default()).await;
    let flaws = told.map(|told| told.flaws).unwrap_or_default();
    let damaged = flaws.into_iter().filter(|flaw| flaw.kind == FlawKind::DamagedBlob);
    damaged.filter_map(|flaw| flaw.subject.parse().ok()).collect()
}

/// Pulls a name with everything that it has. `again` says that there can be
/// nothing to do.
pub(crate) async fn bring(world: &Rc<World>, process: &Memory, name: &str, again: bool) -> Result<(), String> {
    let options = PullOptions {
        wanted: Wanted::All,
        all_tags: false,
        concurrent_downloads: 3,
        unpack: true,
        retention: None,
        access: Access::default(),
    };
    world.tell("healing", || format!("pull {name}"));
    let pulled = pull(world, process, name, &options, None).await;
    let pulled = pulled.map_err(|problem| format!("`{name}` cannot be pulled any more: {}", problem.why.join(": ")))?;
    match &pulled[..] {
        [one] if again && !one.up_to_date => Err(format!("`{name}` is not up to date right after a pull")),
        _ => Ok(()),
    }
}

/// The blobs of everything that is recorded.
pub(crate) fn needed(world: &World) -> BTreeSet<String> {
    let targets = world.chronicle.names().into_iter().filter_map(|name| match name.split_once('@') {
        Some((_, digest)) => digest.parse().ok(),
        None => world.hub.since(&name[AUTHORITY.len() + 1..], u64::MAX).pop(),
    });
    let versions = targets.filter_map(|target: Digest| world.hub.version_of(&target));
    versions.flat_map(|version| version.blobs).map(|digest| digest.to_string()).collect()
}
