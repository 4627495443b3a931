//! Carries out what a client of containerd asks for of snapshots. Nothing of it is promised to stay, because no lease holds
//! it: what has to hold is that what is committed can be found.

use super::{Ear, caller};
use crate::{
    chronicle::Acknowledged,
    hub::AUTHORITY,
    invariants::Promise,
    memory::{Memory, content::digest_of},
    run::World,
    scenario::snapshots::{Act, LAYERS},
};
use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Mutex, PoisonError},
    thread,
};
use wharf_component::{
    host::{Host as _, Ingest as _},
    nouns::{
        digest::Digest,
        media_type::OCI_LAYER,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{
            CommitOptions, Imported,
            records::{Admission, Labels, Pointed},
        },
        records::{snapshots, writings},
    },
};

pub(super) async fn ask(world: &Rc<World>, process: &Memory, act: &Act) -> Result<(), Problem> {
    let caller = caller();
    let labels: Labels = vec![("a".to_owned(), "b".to_owned())];
    match act {
        Act::Stat(key) => snapshots::stat(process, &caller, key).await.map(drop),
        Act::List => snapshots::list(process, &caller, &[], None, 1_000).await.map(drop),
        Act::Update(key) => snapshots::update(process, &caller, key, &labels, &["labels.a".to_owned()]).await.map(drop),
        Act::Prepare(key, parent, writable) => {
            let prepared = snapshots::prepare(process, &caller, key, parent.as_deref(), *writable, &labels, None).await;
            prepared.map(drop)
        }
        Act::Tree(key) => snapshots::tree(process, &caller, key).await.map(drop),
        Act::Commit(name, key) => snapshots::commit(process, &caller, name, key, &labels, None).await,
        Act::Remove(key) => snapshots::remove(process, &caller, key).await,
        Act::Usage(key) => snapshots::usage(process, &caller, key).await.map(drop),
        Act::Clean => snapshots::clean(process, &caller).await,
        Act::Apply(key, number) => {
            let layer = layer(process, *number).await?;
            let trees = [snapshots::tree(process, &caller, key).await?.to_string()];
            world.verbs.borrow_mut().insert(act.verb());
            snapshots::apply(process, &caller, &layer, &trees).await.map(drop)
        }
        Act::Diff(key) => {
            let trees = [snapshots::tree(process, &caller, key).await?.to_string()];
            world.verbs.borrow_mut().insert(act.verb());
            snapshots::diff(process, &caller, None, &trees, OCI_LAYER, &labels, None).await.map(drop)
        }
        Act::Image(name, number) => image(world, process, name, *number).await,
    }
}

/// Makes an image of what is written on nothing, which is the same one everywhere.
async fn image(world: &Rc<World>, process: &Memory, name: &str, number: usize) -> Result<(), Problem> {
    let expected = committed(number);
    let source = format!("{AUTHORITY}/files@{expected}");
    let write = world.chronicle.write(name, process.clock().now_ms(), Some(&source));
    let key = format!("image-{:x}", process.random());
    let committed = commit(process, &key, number, Some(name)).await;
    world.note_records();
    let target = committed?.target.digest;
    if target != expected {
        world.broken(Promise::Served, format!("`{name}` is committed as `{target}`, and should be `{expected}`"));
    }
    world.chronicle.acknowledge(&write, Acknowledged { target, manifests: Vec::new(), unpacked: Vec::new() });
    snapshots::remove(process, &caller(), &key).await
}

async fn commit(process: &Memory, key: &str, number: usize, name: Option<&str>) -> Result<Imported, Problem> {
    let caller = caller();
    snapshots::prepare(process, &caller, key, None, true, &Labels::new(), None).await?;
    let tree = snapshots::stat(process, &caller, key).await?.tree;
    // Through a mount, and not from a blob, which may be damaged. A collection may have taken it: no lease holds it.
    if process.layers().visible().tops.contains_key(tree.as_str()) {
        process.layers().write_top(tree.as_str(), &format!("written by a client: {number}"));
    }
    let options = CommitOptions {
        name: name.map(str::to_owned),
        created: Some("0".to_owned()),
        message: Some("a layer".to_owned()),
        ..CommitOptions::default()
    };
    verbs::commit(process, &caller, key, &options, &Ear::default()).await
}

/// What all of these are.
pub(crate) fn all_committed() -> impl Iterator<Item = Digest> {
    (0..LAYERS).map(committed)
}

/// What that is, as on a machine where nothing fails.
fn committed(number: usize) -> Digest {
    static TARGETS: Mutex<BTreeMap<usize, Digest>> = Mutex::new(BTreeMap::new());
    let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        // A machine of its own in another one would be deep in the stack.
        let machine = thread::spawn(move || {
            let calm = Memory::default();
            calm.run(commit(&calm, "work", number, None)).expect("nothing fails there").target.digest
        });
        machine.join().expect("the machine ends")
    };
    targets.entry(number).or_insert_with(make).clone()
}

/// Writes a layer as a client does, unless it is here.
async fn layer(process: &Memory, number: usize) -> Result<Pointed, Problem> {
    let (caller, name, text) = (caller(), format!("layer-{number}"), format!("a layer of a client: {number}"));
    let (digest, size) = (digest_of(text.as_bytes()), text.len());
    let refused =
        |code: ErrorCode| Problem { what: "the host".to_owned(), why: vec![code.to_string()], fix: None, code };
    let total = i64::try_from(size).expect("it is short");
    let pointed =
        Pointed { media_type: OCI_LAYER.to_owned(), digest: digest.to_string(), size: total, annotations: vec![] };
    let _blob = match writings::admit(process, &caller, &name, Some(digest.as_str()), total, None, false).await {
        Err(problem) if problem.code == ErrorCode::InUse => return Ok(pointed),
        Err(problem) => return Err(problem),
        Ok(Admission::Share(_)) => process.open(&digest).await.map_err(refused)?,
        Ok(Admission::Proceed(writing)) => {
            let ingest = process.ingest(&writing.ingest).await.map_err(refused)?;
            if ingest.offset() > 0 {
                ingest.restart().await.map_err(refused)?;
            }
            ingest.append(process.stream(text.into_bytes()), size as u64).await.map_err(refused)?;
            ingest.commit(&digest, size as u64).await.map_err(refused)?
        }
    };
    match writings::wrote(process, &caller, &name, digest.as_str(), &Labels::new(), None).await {
        Err(problem) if problem.code != ErrorCode::InUse => Err(problem),
        _ => Ok(pointed),
    }
}
