//! Images, namespaces and leases as records, over gRPC by containerd's own client, against wharf and against
//! containerd, side by side (`suite`): what is made, changed, found, refused and collected.

mod client;

use super::suite::{Case, Difference, compare};
use client::{Client, Pointer};
use wharf::demo::image::noise;

const CASES: &[Case<Client>] = &[
    ("Images", images),
    ("ImageRefusals", image_refusals),
    ("ImageMasks", image_masks),
    ("ImageAnnotations", image_annotations),
    ("ImageFilters", image_filters),
    ("ImageDeleteSync", image_delete_sync),
    ("Namespaces", namespaces),
    ("Leases", leases),
    ("LeaseFilters", lease_filters),
    ("LeaseResources", lease_resources),
    ("LeaseExpiry", lease_expiry),
];

/// Where wharf answers something else: the case, the line here, the line there, and why.
const DIFFERENCES: &[Difference] = &[
    ("ImageRefusals", "get : InvalidArgument", "get : NotFound", NAMELESS),
    ("ImageRefusals", "delete : InvalidArgument", "delete : NotFound", NAMELESS),
    ("ImageFilters", "list name~=[: InvalidArgument", "list name~=[: ", PATTERN),
    ("Namespaces", "get namespace nobody: NotFound", "get namespace nobody: nobody []", ABSENT),
    ("LeaseFilters", "leases id~=[: InvalidArgument", "leases id~=[: ", PATTERN),
    (
        "LeaseResources",
        "hold some containers/x: InvalidArgument",
        "hold some containers/x: Unimplemented",
        "it says of a kind that it does not know that it will know it later",
    ),
    ("LeaseExpiry", "lease never: InvalidArgument", "lease never: never [containerd.io/gc.expire=never]", TIME),
];
const NAMELESS: &str = "an empty name is a mistake here; there it is one that nothing has";
const PATTERN: &str = "an expression that is none finds nothing there, and nobody is told";
const ABSENT: &str = "it has no labels for a namespace that is not there, and does not say that";
const TIME: &str = "it takes any text for a time, and passes over it when it collects";

#[test]
fn records_are_what_they_are_in_containerd() {
    compare(CASES, Client::new, DIFFERENCES);
}

fn images(client: &mut Client) {
    let (one, other) = (Pointer::to(1), Pointer::to(2));
    client.list(&[]);
    client.get("registry.test/app:1");
    client.create("registry.test/app:1", &one, &[("team", "web"), ("empty", "")]);
    client.get("registry.test/app:1");
    client.create("registry.test/app:1", &other, &[]);
    client.create("registry.test/app:2", &one, &[]);
    // A name is a text.
    client.create("just a text", &other, &[]);
    client.get("just a text");
    client.list(&[]);
    client.update("registry.test/app:1", &other, &[("stage", "test")], &[]);
    client.get("registry.test/app:1");
    client.get("registry.test/app:2");
    for name in ["registry.test/app:1", "registry.test/app:1", "just a text", "nothing"] {
        client.delete(name, false);
        client.get(name);
    }
    client.list(&[]);
}

fn image_refusals(client: &mut Client) {
    let good = Pointer::to(10);
    client.create("there", &good, &[]);
    client.create("", &good, &[]);
    client.update("", &good, &[], &[]);
    client.get("");
    client.delete("", false);
    client.update("nothing", &good, &[], &[]);
    let wrong = [
        Pointer { digest: "sha256:0".to_owned(), ..good.clone() },
        Pointer { digest: String::new(), ..good.clone() },
        Pointer { size: 0, ..good.clone() },
        Pointer { size: -1, ..good.clone() },
        Pointer { media_type: String::new(), ..good.clone() },
    ];
    for target in &wrong {
        client.create("wrong", target, &[]);
        client.update("there", target, &[], &["target"]);
        client.update("there", target, &[], &[]);
    }
    let long = "x".repeat(5_000);
    client.create("long", &good, &[("long", &long)]);
    client.update("there", &good, &[("long", &long)], &["labels.long"]);
    client.create_nothing();
    client.list(&[]);
}

fn image_masks(client: &mut Client) {
    let (one, other) = (Pointer::to(20), Pointer::to(21));
    client.create("app", &one, &[("k1", "v1"), ("k2", "v2")]);
    client.update("app", &other, &[("k1", "new"), ("k3", "v3")], &["labels.k1"]);
    client.update("app", &other, &[("k3", "v3")], &["labels.k3", "labels.k2"]);
    client.update("app", &other, &[("k4", "v4")], &["labels"]);
    client.update("app", &other, &[("k5", "v5")], &["target"]);
    client.update("app", &one, &[("k6", "v6")], &["target", "labels.k6"]);
    client.update("app", &one, &[("k7", "v7")], &[]);
    client.update("app", &one, &[], &["labels"]);
    for field in ["name", "created_at", "updated_at", "target.digest", "unknown", ""] {
        client.update("app", &other, &[("k8", "v8")], &[field]);
    }
    client.get("app");
}

fn image_annotations(client: &mut Client) {
    let target = |pairs: &[(&str, &str)]| Pointer::to(30).with(pairs);
    client.create("app", &target(&[("a1", "v1"), ("a2", "v2")]), &[("team", "web")]);
    client.get("app");
    client.update("app", &target(&[("a1", "new"), ("a3", "v3")]), &[], &["annotations.a1"]);
    client.update("app", &target(&[("a4", "v4")]), &[], &["annotations"]);
    client.update("app", &target(&[("a5", "v5")]), &[], &["target"]);
    client.list(&["annotations.a5==v5"]);
    client.list(&["labels.a5"]);
    client.get("app");
}

fn image_filters(client: &mut Client) {
    for (seed, name, labels) in [
        (40, "registry.test/web:1", &[("team", "web"), ("a.b/c", "d")][..]),
        (41, "registry.test/web:2", &[("team", "web")][..]),
        (42, "registry.test/db:1", &[("team", "db")][..]),
    ] {
        client.create(name, &Pointer::to(seed), labels);
    }
    let by_digest = format!("target.digest=={}", Pointer::to(42).digest);
    for filters in [
        &["name==registry.test/web:1"][..],
        &["name~=^registry.test/web"],
        &["name~=/web:/,labels.team==web"],
        &["labels.team==web", "name==registry.test/db:1"],
        &["labels.team!=web"],
        &["labels.team"],
        &["labels.\"a.b/c\"==d"],
        &[&by_digest],
        &["target.mediatype~=manifest"],
        &["target.size==42"],
        &["unknown==a"],
        &[""],
        &["name=="],
        &["name="],
        &["name==a,"],
        &["name~=["],
    ] {
        client.list(filters);
    }
}

/// What only the image held is gone when the answer comes.
fn image_delete_sync(client: &mut Client) {
    let target = client.write("one", &noise(50, 300));
    let other = client.write("two", &noise(51, 300));
    client.create("app", &target, &[]);
    client.create("same", &target, &[]);
    client.release("suite", "content", &target.digest);
    client.release("suite", "content", &other.digest);
    client.info(&target);
    client.delete("app", true);
    client.info(&target);
    client.info(&other);
    client.delete("same", true);
    client.info(&target);
    client.delete("same", true);
}

fn namespaces(client: &mut Client) {
    let name = "team-space";
    client.get_namespace("nobody");
    client.create_namespace(name, &[("owner", "web"), ("empty", "x")]);
    client.create_namespace(name, &[]);
    client.get_namespace(name);
    client.is_listed(name);
    client.update_namespace(name, &[("owner", "db"), ("stage", "test")], &["labels.owner"]);
    client.get_namespace(name);
    client.update_namespace(name, &[], &["labels.empty"]);
    client.get_namespace(name);
    client.update_namespace(name, &[("only", "this")], &[]);
    client.get_namespace(name);
    client.update_namespace(name, &[], &["name"]);
    for wrong in ["", "a..b", "-a", "a b", "ä", &"a".repeat(77)] {
        client.create_namespace(wrong, &[]);
    }
    client.create_namespace("long-label", &[("long", &"x".repeat(5_000))]);
    client.within(name, |client| client.create("app", &Pointer::to(60), &[]));
    client.delete_namespace(name);
    client.within(name, |client| client.delete("app", true));
    client.delete_namespace(name);
    client.is_listed(name);
    client.delete_namespace(name);
    client.delete_namespace("nobody");
}

fn leases(client: &mut Client) {
    client.leases(&[]);
    client.lease("mine", &[("team", "web")]);
    client.lease("mine", &[]);
    client.lease("Other_1-2.3", &[]);
    client.leases(&[]);
    client.resources("mine");
    client.end("mine", false);
    client.end("mine", false);
    client.end("nothing", true);
    client.leases(&[]);
}

fn lease_filters(client: &mut Client) {
    client.lease("one", &[("team", "web")]);
    client.lease("two", &[("team", "db"), ("a.b/c", "d")]);
    for filters in [
        &["id==one"][..],
        &["id~=^t"],
        &["labels.team==web", "id==two"],
        &["labels.team"],
        &["labels.\"a.b/c\"==d"],
        &["unknown==a"],
        &["id=="],
        &["id~=["],
    ] {
        client.leases(filters);
    }
}

fn lease_resources(client: &mut Client) {
    let target = client.write("held", &noise(70, 300));
    client.lease("some", &[]);
    client.hold("some", "content", &target.digest);
    client.hold("some", "content", &target.digest);
    client.hold("some", "ingests", "half");
    client.hold("some", "snapshots/overlayfs", "tree");
    client.resources("some");
    client.hold("some", "content", "sha256:0");
    client.hold("some", "content/x", &target.digest);
    client.hold("some", "snapshots", "tree");
    client.hold("some", "containers/x", "web");
    client.hold("nothing", "content", &target.digest);
    client.release("nothing", "content", &target.digest);
    client.resources("nothing");
    client.release("some", "ingests", "half");
    client.release("some", "ingests", "half");
    client.release("some", "snapshots/overlayfs", "tree");
    client.resources("some");
    // It is held by this lease alone then, and by none after that.
    client.release("suite", "content", &target.digest);
    client.lease("empty", &[]);
    client.end("empty", true);
    client.info(&target);
    client.end("some", true);
    client.info(&target);
}

/// A lease whose time is not over holds what it has.
fn lease_expiry(client: &mut Client) {
    let target = client.write("held", &noise(80, 300));
    client.lease("long", &[("containerd.io/gc.expire", "2100-01-01T00:00:00Z")]);
    client.lease("over", &[("containerd.io/gc.expire", "2001-01-01T00:00:00Z")]);
    client.lease("never", &[("containerd.io/gc.expire", "never")]);
    client.hold("long", "content", &target.digest);
    client.release("suite", "content", &target.digest);
    client.lease("empty", &[]);
    client.end("empty", true);
    client.info(&target);
    client.leases(&["id==long"]);
    client.end("long", true);
    client.info(&target);
}
