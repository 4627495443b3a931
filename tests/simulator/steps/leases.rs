//! The verbs about leases: what an acknowledged lease holds has to stay.

use super::{Ear, caller};
use crate::{memory::Memory, run::World};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use wharf_component::{
    host::Host as _,
    nouns::{digest::Digest, problem::Problem},
    verbs::{leases, watch},
};

/// How long somebody hears what happens, in seconds.
const WATCH_S: i64 = 3;

/// Holds what a reference names. What is whole before and after is promised.
pub(super) async fn hold(
    world: &Rc<World>,
    process: &Memory,
    id: &str,
    reference: &str,
    seconds: Option<u64>,
) -> Result<(), Problem> {
    let before: BTreeSet<String> = process.content().visible().blobs.into_keys().collect();
    let (references, began) = ([reference.to_owned()], world.chronicle.leases().now());
    let lease = leases::hold(process, &caller(), Some(id), &references, seconds, BTreeMap::new()).await?;
    let is_here = |digest: &Digest| before.contains(digest.as_str()) && world.is_whole(digest);
    let mut blobs = BTreeSet::new();
    // What a document does not say is not held.
    for held in lease.holds.into_iter().filter(is_here) {
        let version = world.hub.version_of(&held);
        let manifests = version.map_or_else(
            || vec![held.clone()],
            |version| version.manifests.into_iter().map(|(_, manifest)| manifest).collect(),
        );
        blobs.extend(manifests.iter().filter(|one| is_here(one)).flat_map(|manifest| world.hub.parts(manifest)));
        blobs.insert(held);
    }
    blobs.retain(is_here);
    world.chronicle.leases().hold(id, lease.expires, blobs, began);
    Ok(())
}

/// Ends leases.
pub(super) async fn release(world: &Rc<World>, process: &Memory, ids: &[String]) -> Result<(), Problem> {
    world.chronicle.leases().release(ids);
    leases::release(process, &caller(), ids).await
}

/// Ends all leases, also those of which nobody was told.
pub(crate) async fn release_all(world: &Rc<World>, process: &Memory) -> Result<(), String> {
    let ended = async {
        let ids: Vec<_> = leases::leases(process, &caller()).await?.into_iter().map(|lease| lease.id).collect();
        match ids.is_empty() {
            true => Ok(()),
            false => release(world, process, &ids).await,
        }
    };
    ended.await.map_err(|problem: Problem| format!("the leases cannot be ended: {}", problem.why.join(": ")))
}

/// Hears what has happened and what happens for a while.
pub(super) async fn follow(process: &Memory, leave: Option<usize>) -> Result<(), Problem> {
    let until = (process.now() + WATCH_S).to_string();
    let ear = Ear { leave, ..Ear::default() };
    watch::watch(process, &caller(), Some("0"), Some(&until), &[], &ear).await
}
