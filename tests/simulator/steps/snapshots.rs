//! Carries out what a client of containerd asks for of snapshots. Nothing of it is promised to stay, because no lease holds
//! it: what has to hold is that what is committed can be found.

use super::caller;
use crate::{
    memory::{Memory, content::digest_of},
    run::World,
    scenario::snapshots::Act,
};
use std::rc::Rc;
use wharf_component::{
    host::{Host as _, Ingest as _},
    nouns::{
        media_type::OCI_LAYER,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        contract::records::{Admission, Labels, Pointed},
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
        Act::Mounts(key) => snapshots::mounts(process, &caller, key).await.map(drop),
        Act::Commit(name, key) => snapshots::commit(process, &caller, name, key, &labels, None).await,
        Act::Remove(key) => snapshots::remove(process, &caller, key).await,
        Act::Usage(key) => snapshots::usage(process, &caller, key).await.map(drop),
        Act::Clean => snapshots::clean(process, &caller).await,
        Act::Apply(key, number) => {
            let layer = layer(process, *number).await?;
            let mounts = snapshots::mounts(process, &caller, key).await?;
            world.verbs.borrow_mut().insert(act.verb());
            snapshots::apply(process, &caller, &layer, &mounts).await.map(drop)
        }
        Act::Diff(key) => {
            let mounts = snapshots::mounts(process, &caller, key).await?;
            world.verbs.borrow_mut().insert(act.verb());
            snapshots::diff(process, &caller, &[], &mounts, OCI_LAYER, &labels, None).await.map(drop)
        }
    }
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
    let _blob = match writings::admit(process, &caller, &name, Some(digest.as_str()), total, None).await {
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
