//! The store when everybody has gone: whether it keeps its promises as it lies there, whether what was damaged is found,
//! and whether it is whole after a pull of everything.

use super::history::{Event, Fact, Operation, Outcome};
use super::native::Native;
use super::registry::Registry;
use super::worker::{caller, options, services};
use super::world::{self, TAGS, VICTIM};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wharf::images::{Failure, Findings, Wharf};
use wharf_component::nouns::digest::Digest;
use wharf_sim::invariants::{self, Expectation, Expected};

/// Looks at the store, heals it, and looks again. Returns what is wrong.
pub(crate) fn look(runtime: &Runtime, store: &Path, registry: &Registry, events: &[Event]) -> Vec<String> {
    let mut found = Vec::new();
    let services = services(store);
    let address = registry.address().to_string();
    let native = Native::new(&services, std::slice::from_ref(&address));
    let expectation = expectation(registry, events);
    let wrong = runtime.block_on(invariants::check(&native, &expectation));
    found.extend(wrong.into_iter().map(|violation| format!("when everybody has gone: {violation}")));

    let wharf = Wharf::new(services.clone()).expect("the embedded component loads");
    let healed = runtime.block_on(heal(&wharf, &address));
    match healed {
        Err(failure) => found.push(format!("the store cannot be healed: {failure}")),
        Ok(Findings { flaws, .. }) => {
            found.extend(flaws.into_iter().map(|flaw| format!("after everything was pulled: {flaw:?}")));
        }
    }
    // Tags have moved meanwhile, and now nothing is harmed.
    let healed = Expectation { harmed: BTreeSet::new(), ..self::expectation(registry, events) };
    let wrong = runtime.block_on(invariants::check(&native, &healed));
    found.extend(wrong.into_iter().map(|violation| format!("after everything was pulled: {violation}")));
    found
}

/// Repairs what is damaged, pulls every name, and looks at everything.
async fn heal(wharf: &Wharf, address: &str) -> Result<Findings, Failure> {
    let (caller, stop) = (caller(), CancellationToken::new());
    let (options, registries) = (options(true, false), [format!("{address}/")]);
    wharf.fsck(&caller, &[], Some((&options.access, &registries)), false, &stop, &mut |_| {}).await?;
    for name in world::names().into_iter().chain([format!("{VICTIM}:{}", TAGS[0])]) {
        wharf.pull(&caller, &format!("{address}/{name}"), &options, &stop, &mut |_| {}).await?;
    }
    wharf.fsck(&caller, &[], None, false, &stop, &mut |_| {}).await
}

/// What may be there: of each name any image that it ever pointed to, and nothing only if nobody has pulled it.
fn expectation(registry: &Registry, events: &[Event]) -> Expectation {
    let (address, log) = (registry.address(), registry.log());
    let acknowledged: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match &event.outcome {
            Outcome::Done(facts) => Some(facts),
            _ => None,
        })
        .flatten()
        .filter_map(|fact| match fact {
            Fact::Wrote { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut names: BTreeMap<String, Expected> = BTreeMap::new();
    for moved in &log.moves {
        let expected = names.entry(format!("{address}/{}", moved.name)).or_default();
        expected.targets.insert(digest(&moved.digest));
        expected.absent = !acknowledged.contains(moved.name.as_str());
    }
    let harmed = events.iter().filter_map(|event| match &event.operation {
        Operation::Damage { blob } => Some(digest(blob)),
        _ => None,
    });
    Expectation { namespace: "default".to_owned(), harmed: harmed.collect(), names }
}

fn digest(text: &str) -> Digest {
    text.parse().expect("the registry has digests")
}
