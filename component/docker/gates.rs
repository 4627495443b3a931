//! A test alone: which version of the API has which field and which parameter. The
//! rows are those of the documentation of docker's image module, of API 1.43 and
//! later, and of docker's own history of its API where that says nothing.

use super::{
    Context, Settings, Station, Version, change, events, info, inspect, list, pull, push, query::Query, usage,
};
use crate::{nouns::access::Access, registry::script::Script, verbs::contract::Caller};
use serde_json::{Value, json};

/// One thing that a version has or has not.
struct Gate {
    what: &'static str,
    has: fn(Version) -> bool,
    /// The first version that has it, and the first that has it no longer.
    from: u32,
    until: u32,
}

/// Nothing takes it away.
const EVER: u32 = u32::MAX;
/// Docker's from the beginning, as far as it is spoken here.
const FIRST: u32 = 24;

const fn gate(what: &'static str, has: fn(Version) -> bool, from: u32, until: u32) -> Gate {
    Gate { what, has, from, until }
}

const GATES: &[Gate] = &[
    // GET /images/json
    gate("the list's shared-size", |version| asked_of_list(version).shared_size, 42, EVER),
    gate("the list's manifests", |version| asked_of_list(version).manifests, 47, EVER),
    gate("the list's VirtualSize", |version| has(&listed(version), "/VirtualSize"), FIRST, 44),
    gate("the list's Descriptor", |version| has(&listed(version), "/Descriptor"), 48, EVER),
    gate("the list's count of Containers", |version| listed(version)["Containers"] == 0, 51, EVER),
    // GET /images/{name}/json
    gate("inspect's platform", |version| asked_of_image("platform=linux/arm64", version).platform.is_some(), 49, EVER),
    gate("inspect's manifests", |version| asked_of_image("manifests=1", version).manifests, 48, EVER),
    gate("inspect's VirtualSize", |version| has(&inspected(version), "/VirtualSize"), FIRST, 44),
    gate("inspect's Created of nothing", |version| has(&inspected(version), "/Created"), FIRST, 44),
    gate("inspect's Container", |version| has(&inspected(version), "/Container"), FIRST, 45),
    gate("inspect's ContainerConfig", |version| has(&inspected(version), "/ContainerConfig"), FIRST, 45),
    gate("inspect's Descriptor", |version| has(&inspected(version), "/Descriptor"), 48, EVER),
    gate("inspect's Hostname", |version| has(&inspected(version), "/Config/Hostname"), FIRST, 50),
    gate("inspect's Image", |version| has(&inspected(version), "/Config/Image"), FIRST, 50),
    gate("inspect's Volumes of nothing", |version| has(&inspected(version), "/Config/Volumes"), FIRST, 52),
    gate("inspect's WorkingDir of nothing", |version| has(&inspected(version), "/Config/WorkingDir"), FIRST, 52),
    gate("inspect's Parent", |version| has(&inspected(version), "/Parent"), FIRST, 52),
    gate("inspect's DockerVersion of nothing", |version| has(&inspected(version), "/DockerVersion"), FIRST, 52),
    gate("inspect's Comment of nothing", |version| has(&inspected(version), "/Comment"), FIRST, 52),
    gate("inspect's Author of nothing", |version| has(&inspected(version), "/Author"), FIRST, 52),
    gate("inspect's GraphDriver", |version| has(&inspected(version), "/GraphDriver/Name"), FIRST, EVER),
    gate("inspect's LastTagTime", |version| has(&inspected(version), "/Metadata/LastTagTime"), FIRST, EVER),
    // Platforms elsewhere.
    gate("a pull's platform", |version| has_platform(pull::PLATFORM_SINCE, version), 32, EVER),
    gate("a push's platform", |version| has_platform(push::PLATFORM_SINCE, version), 46, EVER),
    gate("an archive's platform", |version| of_archive("platform=linux/arm64", version) == Ok(1), 48, EVER),
    gate("an archive's platforms", |version| of_archive("platform=a&platform=b", version) == Ok(2), 52, EVER),
    // POST /images/prune
    gate("a prune", |version| pruned(version) != 400, 25, EVER),
    // GET /info
    gate("info's KernelMemory", |version| has(&told(version), "/KernelMemory"), FIRST, 42),
    gate("info's Expected", |version| has(&told(version), "/RuncCommit/Expected"), FIRST, 49),
    gate("info's BridgeNfIptables", |version| has(&told(version), "/BridgeNfIptables"), FIRST, 50),
    // GET /system/df
    gate("the usage's BuilderSize", |version| has(&used(version), "/BuilderSize"), FIRST, 42),
    gate("the usage's VirtualSize", |version| has(&used(version), "/Images/0/VirtualSize"), FIRST, 44),
    gate("the usage's ImageUsage", |version| has(&used(version), "/ImageUsage"), 52, EVER),
    gate("the usage's Images", |version| has(&used(version), "/Images"), FIRST, EVER),
    // GET /events
    gate("the events' status", |version| events::tests::pulled(version).contains(r#""status":"#), FIRST, 52),
];

fn has(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).is_some()
}

fn asked_of_list(version: Version) -> list::Asked {
    list::Asked::read(&Query::read("shared-size=1&manifests=1"), version).unwrap()
}

fn listed(version: Version) -> Value {
    let details = list::Details { containers: list::containers(version), ..list::Details::default() };
    serde_json::to_value(list::tests::summary(version, "app", &details)).unwrap()
}

fn asked_of_image(query: &str, version: Version) -> inspect::Asked {
    inspect::Asked::read(&Query::read(query), version).unwrap()
}

fn inspected(version: Version) -> Value {
    inspect::tests::inspection(version, &json!({"config": {"Env": ["A=b"]}}))
}

fn has_platform(minor: u32, version: Version) -> bool {
    Query::read("platform=linux/arm64").platform_since(minor, version).unwrap().is_some()
}

fn of_archive(query: &str, version: Version) -> Result<usize, u16> {
    let platforms = Query::read(query).platforms_of_archive(version);
    platforms.map(|platforms| platforms.len()).map_err(|refusal| refusal.status)
}

fn used(version: Version) -> Value {
    usage::tests::ask(version, "").unwrap()
}

/// Does something in the context of a request that has no query.
fn within<T>(version: Version, work: impl AsyncFnOnce(&Context<'_, Script>) -> T) -> T {
    let host = Script::new([]);
    let settings = Settings {
        caller: Caller { namespace: "default".to_owned(), machine: "linux/amd64".to_owned() },
        access: Access::default(),
        unpack: false,
        concurrent_transfers: 1,
        station: Station::default(),
        note: drop,
    };
    let context = Context { host: &host, settings: &settings, version, query: Query::default(), accept: "" };
    host.run(work(&context))
}

fn told(version: Version) -> Value {
    within(version, async |context| serde_json::to_value(info::told(context, 0)).unwrap())
}

/// The status of a prune in a store that cannot be read.
fn pruned(version: Version) -> u16 {
    within(version, async |context| change::prune(context).await.unwrap_err().status)
}

#[test]
fn a_version_has_what_its_documentation_says() {
    for Gate { what, has, from, until } in GATES {
        for minor in FIRST..=52 {
            let expected = (*from..*until).contains(&minor);
            assert_eq!(has(Version::of(minor)), expected, "{what} in 1.{minor}");
        }
    }
}
