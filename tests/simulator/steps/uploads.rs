//! Pushes as a run makes them: to a registry beside the one that everything comes
//! from, which believes what it is told.

use super::{Ear, caller};
use crate::{
    hub::{AUTHORITY, DOCK},
    invariants::Promise,
    memory::Memory,
    run::World,
    scenario::Pushing,
};
use std::rc::Rc;
use wharf_component::{
    nouns::{
        access::{AskedFor, Capabilities, Endpoint, Origin, Rule},
        problem::Problem,
    },
    verbs::{
        self,
        contract::{Access, PushOptions},
    },
};

/// Configuration by which everything goes to the dock.
fn options(pushing: &Pushing) -> PushOptions {
    let Pushing { platform, all_tags, compress, referrers } = pushing.clone();
    let endpoint = Endpoint {
        origin: Origin { secure: true, authority: DOCK.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: false,
        names_registry: false,
    };
    let rule = Rule { prefix: AUTHORITY.to_owned(), blocked: false, endpoints: vec![endpoint] };
    PushOptions {
        destination: None,
        platform,
        all_tags,
        compress: compress.map(str::to_owned),
        force_compress: false,
        referrers,
        concurrent_uploads: 2,
        access: Access { rules: vec![rule], ..Access::default() },
    }
}

/// Pushes, and has the registry have what was acknowledged.
pub(super) async fn push(
    world: &Rc<World>,
    process: &Memory,
    reference: &str,
    pushing: &Pushing,
    leave: Option<usize>,
) -> Result<(), Problem> {
    let ear = Ear { leave, ..Ear::default() };
    let outcome = verbs::push(process, &caller(), reference, &options(pushing), &ear).await;
    // Whatever came of it: a tag points to what is whole.
    for flaw in world.hub.dock().flaws() {
        world.broken(Promise::Whole, flaw);
    }
    for pushed in outcome? {
        let tag = pushed.name[AUTHORITY.len() + 1..].to_owned();
        if !world.hub.dock().tags().contains_key(&tag) {
            world.broken(Promise::Kept, format!("`{tag}` was pushed, and the registry has no such tag"));
        }
    }
    Ok(())
}

/// Plans one.
pub(super) async fn plan(process: &Memory, reference: &str) -> Result<(), Problem> {
    verbs::plan_push(process, &caller(), reference, &options(&Pushing::default())).await.map(drop)
}

/// Plans a copy of a name to the dock, which has as much afterwards as before.
pub(super) async fn plan_copy(world: &Rc<World>, process: &Memory, reference: &str) -> Result<(), Problem> {
    let to = format!("{DOCK}/planned{}", &reference[AUTHORITY.len()..]);
    let options = PushOptions { access: Access::default(), ..options(&Pushing::default()) };
    let outcome = verbs::plan_copy(process, &caller(), reference, &to, &options).await;
    let tag = to[DOCK.len() + 1..].to_owned();
    if world.hub.dock().tags().contains_key(&tag) {
        world.broken(Promise::Kept, format!("a copy of `{tag}` was planned, and the registry has it"));
    }
    outcome.map(drop)
}

/// Copies a name to the dock.
pub(super) async fn copy(world: &Rc<World>, process: &Memory, reference: &str) -> Result<(), Problem> {
    let to = format!("{DOCK}/copied{}", &reference[AUTHORITY.len()..]);
    let options = PushOptions { access: Access::default(), ..options(&Pushing::default()) };
    let outcome = verbs::copy(process, &caller(), reference, &to, &options, &Ear::default()).await;
    for flaw in world.hub.dock().flaws() {
        world.broken(Promise::Whole, flaw);
    }
    let tag = to[DOCK.len() + 1..].to_owned();
    match outcome?.into_iter().next() {
        Some(copied) if world.hub.dock().tags().get(&tag) == Some(&copied.target.digest) => {}
        _ => world.broken(Promise::Kept, format!("`{tag}` was copied, and the registry has something else")),
    }
    Ok(())
}
