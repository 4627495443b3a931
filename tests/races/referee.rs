//! The store when everybody has gone: whether it keeps its promises as it lies there, whether what was damaged is found,
//! and whether it is whole after a pull of everything, and still after a collection.

use super::history::{Event, Fact, Operation, Outcome};
use super::native::Native;
use super::registry::Registry;
use super::worker::{caller, options, services};
use super::world::{self, TAGS, VICTIM};
use super::{checker, clock};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wharf::images::{Change, Collecting, Failure, Findings, SnapshotKind, Wharf};
use wharf_component::nouns::digest::Digest;
use wharf_sim::invariants::{self, Expectation, Expected};

/// Reads all names when everybody has gone, as the last event of a history.
pub(crate) fn last(runtime: &Runtime, store: &Path, registry: &Registry) -> Event {
    let wharf = Wharf::new(services(store)).expect("the embedded component loads");
    let began = clock();
    let outcome = match runtime.block_on(wharf.entries(&caller(), &[])) {
        Err(failure) => Outcome::Failed { code: "other".to_owned(), why: format!("{failure:?}") },
        Ok(listing) => {
            let address = registry.address();
            let read = |name: String| {
                let found = listing.images.iter().find(|image| image.name == format!("{address}/{name}"));
                Fact::Read { digest: found.map(|image| image.target.digest.clone()), name }
            };
            Outcome::Done(world::all_names().into_iter().map(read).collect())
        }
    };
    Event { worker: usize::MAX, began, ended: clock(), operation: Operation::Images, outcome }
}

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
    // What was mounted by processes that were killed.
    for mounted in services.layers.mounts().into_iter().flatten() {
        found.extend(services.layers.unmount(&mounted.at).err().map(|error| format!("a mount stays: {error}")));
    }
    let healed = runtime.block_on(heal(&wharf, &address));
    match healed {
        Err(failure) => found.push(format!("the store cannot be healed: {failure}")),
        Ok(Findings { flaws, .. }) => {
            found.extend(flaws.into_iter().map(|flaw| format!("after everything was pulled: {flaw:?}")));
            match runtime.block_on(tidy(&wharf)) {
                Ok(rest) => found.extend(rest),
                Err(failure) => found.push(format!("nobody can tell what is here: {failure}")),
            }
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
    let (options, registries) = (options(true, false, false), [format!("{address}/")]);
    wharf.fsck(&caller, &[], Some((&options.access, &registries)), false, &stop, &mut |_| {}).await?;
    for name in world::names().into_iter().chain([format!("{VICTIM}:{}", TAGS[0])]) {
        wharf.pull(&caller, &format!("{address}/{name}"), &options, &stop, &mut |_| {}).await?;
    }
    // What a process that was killed has held for a while.
    let leases: Vec<String> = wharf.leases(&caller).await?.into_iter().map(|lease| lease.id).collect();
    wharf.release(&caller, &leases).await?;
    for record in wharf.list_snapshots(&caller, &[]).await? {
        if record.kind == SnapshotKind::Active {
            wharf.remove_snapshot(&caller, &record.name).await?;
        }
    }
    let collect = Change::Collect(Collecting { ingest_age_s: 0 });
    wharf.perform(&caller, &collect, &stop, &mut |_| {}).await?;
    wharf.fsck(&caller, &[], None, false, &stop, &mut |_| {}).await
}

/// After a collection nothing is here that nothing needs.
async fn tidy(wharf: &Wharf) -> Result<Option<String>, Failure> {
    let usage = wharf.disk_usage(&caller()).await?;
    let rest = (usage.content.unneeded, usage.unpacked.unneeded, usage.ingests);
    Ok((rest != (0, 0, (0, 0))).then(|| format!("after a collection there is still what nothing needs: {rest:?}")))
}

/// What may be there: of each name any image that there ever was. Whether it is the right one is judged by the history.
fn expectation(registry: &Registry, events: &[Event]) -> Expectation {
    let (address, known) = (registry.address(), checker::known(events, &registry.log()));
    let all: BTreeSet<Digest> = known.targets.values().flatten().map(|target| digest(target)).collect();
    let names = world::all_names().into_iter().chain([Operation::VICTIM.to_owned()]);
    let expected = Expected { targets: all, absent: true, ..Expected::default() };
    let names: BTreeMap<String, Expected> = names.map(|name| (format!("{address}/{name}"), expected.clone())).collect();
    let harmed = events.iter().filter_map(|event| match &event.operation {
        Operation::Damage { blob } => Some(digest(blob)),
        _ => None,
    });
    Expectation { namespace: "default".to_owned(), harmed: harmed.collect(), names }
}

fn digest(text: &str) -> Digest {
    text.parse().expect("the registry has digests")
}
