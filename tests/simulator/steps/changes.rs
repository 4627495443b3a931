//! The verbs that change what is here without a registry, and those that say what
//! is: what is noted before, and what is acknowledged after.

use super::{Ear, caller};
use crate::{
    chronicle::{Acknowledged, COMPOSED, Scope},
    hub::{self, AUTHORITY, FILE_WORDS, PLATFORMS},
    invariants::Promise,
    memory::Memory,
    run::World,
};
use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Mutex, PoisonError},
    thread,
};
use wharf_component::{
    host::Host,
    nouns::{digest::Digest, problem::Problem},
    verbs::{
        self, change,
        contract::{
            Access, Change, Changed, Collecting, Composed, Edit, ImportOptions, LoadOptions, LoadedImage, Removal,
            Retention,
        },
    },
};

/// What a change may mean, as it is noted.
fn scope(change: &Change) -> Option<Scope> {
    match change {
        Change::Tag(_) | Change::Retain(_) => None,
        Change::Remove(Removal { references, .. }) if references.iter().all(|text| text.starts_with(AUTHORITY)) => {
            Some(Scope::Names(references.clone()))
        }
        Change::Remove(_) | Change::Prune(_) | Change::Collect(_) => Some(Scope::All),
    }
}

/// Carries a change out.
pub(super) async fn perform(
    world: &Rc<World>,
    process: &Memory,
    change: &Change,
    leave: Option<usize>,
) -> Result<(), Problem> {
    let ear = Ear { leave, ..Ear::default() };
    noted(world, process, change, change::perform(process, &caller(), change, &ear)).await
}

/// Says what is kept of names that come, or asks for it.
pub(super) async fn retain_by_default(
    world: &Rc<World>,
    process: &Memory,
    retention: Option<Retention>,
) -> Result<(), Problem> {
    // Whether or not anybody is told that it was said.
    if retention == Some(Retention::Compressed) {
        world.chronicle.trees_may_go();
    }
    let told = verbs::retain_by_default(process, &caller(), retention).await?;
    if retention.is_some_and(|retention| retention != told) {
        world.broken(Promise::Served, format!("{retention:?} is to be kept of what comes, and it is {told:?}"));
    }
    Ok(())
}

/// Makes a plan, and carries it out after a while.
pub(super) async fn apply(world: &Rc<World>, process: &Memory, change: &Change, wait_ms: u64) -> Result<(), Problem> {
    let plan = change::plan_change(process, &caller(), change).await?;
    process.clock().sleep(wait_ms).await;
    world.verbs.borrow_mut().insert("apply");
    noted(world, process, change, change::apply(process, &caller(), &plan.document, &Ear::default())).await
}

/// Does what changes names, and notes what came of it.
async fn noted(
    world: &Rc<World>,
    process: &Memory,
    change: &Change,
    work: impl Future<Output = Result<Changed, Problem>>,
) -> Result<(), Problem> {
    let now_ms = process.clock().now_ms();
    let (names, source) = match change {
        Change::Tag(tagging) => (&tagging.names[..], Some(tagging.source.as_str())),
        _ => (&[][..], None),
    };
    let writes: Vec<_> = names.iter().map(|name| (name, world.chronicle.write(name, now_ms, source))).collect();
    if matches!(change, Change::Retain(retaining) if retaining.retention == Retention::Compressed) {
        world.chronicle.trees_may_go();
    }
    let removal = scope(change).map(|scope| world.chronicle.remove(scope));
    let changed = work.await;
    world.note_records();
    let changed = changed?;
    for (name, write) in &writes {
        let found = changed.names.iter().find(|change| change.name == **name);
        match found.and_then(|change| change.after.clone()) {
            Some(target) => {
                let what = Acknowledged { target, manifests: Vec::new(), unpacked: Vec::new() };
                world.chronicle.acknowledge(write, what);
            }
            None => world.chronicle.left_alone(write),
        }
    }
    if let Some(removal) = removal {
        let names = changed.names.iter().map(|change| (change.name.clone(), change.after.is_none()));
        world.chronicle.removed(&removal, names.collect::<BTreeMap<_, _>>());
    }
    Ok(())
}

/// Loads an archive of what `source` was under other names.
pub(super) async fn load(
    world: &Rc<World>,
    process: &Memory,
    (source, archive): (&str, Vec<u8>),
    names: &[String],
    leave: Option<usize>,
) -> Result<(), Problem> {
    let now_ms = process.clock().now_ms();
    let writes: Vec<_> = names.iter().map(|name| world.chronicle.write(name, now_ms, Some(source))).collect();
    let options = LoadOptions { names: names.to_vec(), platforms: Vec::new(), unpack: true, retention: None };
    let ear = Ear { leave, ..Ear::default() };
    let loaded = verbs::load(process, &caller(), process.stream(archive), &options, &ear).await;
    world.note_records();
    let LoadedImage { target, platforms, .. } = loaded?.images.remove(0);
    let target = target.digest;
    let manifests = world.hub.version_of(&target).map(|version| version.manifests).unwrap_or_default();
    // What runs on the machine is extracted.
    let is_extracted = |platform: &str| platform == PLATFORMS[0] && platforms.iter().any(|one| one == platform);
    let unpacked = manifests.into_iter().filter(|(platform, _)| is_extracted(platform));
    let unpacked: Vec<_> = unpacked.map(|(_, manifest)| manifest).collect();
    for write in &writes {
        let what = Acknowledged { target: target.clone(), manifests: Vec::new(), unpacked: unpacked.clone() };
        world.chronicle.acknowledge(write, what);
    }
    Ok(())
}

fn import_options(name: Option<&str>) -> ImportOptions {
    ImportOptions {
        name: name.map(str::to_owned),
        created: Some("0".to_owned()),
        message: Some("a file".to_owned()),
        ..ImportOptions::default()
    }
}

/// What all files become.
pub(crate) fn all_imported() -> [Digest; FILE_WORDS.len()] {
    FILE_WORDS.map(imported)
}

/// What a file becomes: the same image everywhere, as on a machine where nothing fails.
fn imported(words: usize) -> Digest {
    static TARGETS: Mutex<BTreeMap<usize, Digest>> = Mutex::new(BTreeMap::new());
    let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
    let import = || {
        let options = import_options(None);
        // A machine of its own in another one would be deep in the stack.
        let machine = thread::spawn(move || {
            let (calm, deaf, caller) = (Memory::default(), Ear::default(), caller());
            let work = verbs::import(&calm, &caller, calm.stream(hub::file(words)), &options, &deaf);
            calm.run(work).expect("nothing fails there").target.digest
        });
        machine.join().expect("the machine ends")
    };
    targets.entry(words).or_insert_with(import).clone()
}

/// Imports a file of so many words, from a stream or from its address.
pub(super) async fn import(
    world: &Rc<World>,
    process: &Memory,
    name: &str,
    (words, is_there): (usize, bool),
    leave: Option<usize>,
) -> Result<(), Problem> {
    let options = import_options(Some(name));
    let (caller, expected) = (caller(), imported(words));
    let source = format!("{AUTHORITY}/files@{expected}");
    let write = world.chronicle.write(name, process.clock().now_ms(), Some(&source));
    let ear = Ear { leave, ..Ear::default() };
    let imported = match is_there {
        true => {
            let (url, access) = (hub::address(words), Access::default());
            verbs::import_from(process, &caller, &url, &options, &access, &ear).await
        }
        false => verbs::import(process, &caller, process.stream(hub::file(words)), &options, &ear).await,
    };
    world.note_records();
    let target = imported?.target.digest;
    if target != expected {
        world.broken(Promise::Served, format!("`{name}` is imported as `{target}`, and should be `{expected}`"));
    }
    let what = Acknowledged { target, manifests: Vec::new(), unpacked: Vec::new() };
    world.chronicle.acknowledge(&write, what);
    Ok(())
}

/// Makes or changes an index.
pub(super) async fn compose(world: &Rc<World>, process: &Memory, name: &str, edit: &Edit) -> Result<(), Problem> {
    let write = world.chronicle.write(name, process.clock().now_ms(), Some(COMPOSED));
    let composed = verbs::compose(process, &caller(), name, edit).await;
    world.note_records();
    let Composed { target, entries, .. } = composed?;
    if entries.iter().all(|entry| !entry.is_here) {
        world.broken(Promise::Served, format!("`{name}` is composed, and nothing of it is here"));
    }
    world.chronicle.composed(target.digest.clone());
    let what = Acknowledged { target: target.digest, manifests: Vec::new(), unpacked: Vec::new() };
    world.chronicle.acknowledge(&write, what);
    Ok(())
}

/// Removes names that somebody has made, all that are there.
pub(crate) async fn remove(world: &Rc<World>, process: &Memory, references: Vec<String>) -> Result<(), String> {
    let told = references.join(" ");
    world.tell("healing", || format!("remove {told}"));
    let change = Change::Remove(Removal { references, force: true, ..Removal::default() });
    let removed = perform(world, process, &change, None).await;
    removed.map_err(|problem| format!("`{told}` cannot be removed: {}", problem.why.join(": ")))
}

/// Collects everything that nothing needs.
pub(crate) async fn collect(world: &Rc<World>, process: &Memory) -> Result<(), String> {
    world.tell("healing", || "collect".to_owned());
    let collected = perform(world, process, &Change::Collect(Collecting { ingest_age_s: 0 }), None).await;
    collected.map_err(|problem| format!("nothing can be collected: {}", problem.why.join(": ")))
}
