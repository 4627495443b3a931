//! The native program and the component for stock runtimes, verb by verb: the same output, and the same blobs.
//!
//! What must differ is named here, with the reason; anything else that differs is a fault of one of them.

use super::{check_layout, json, open_registry, portable};
use crate::support::portable::Portable;
use crate::support::push::large;
use crate::support::wharf::{Output, Wharf};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use wharf::demo::image::demo;

/// Members of objects that differ between any two runs: when something happened, and how long it took. Which connection
/// a registry closes, and so how many requests a blob takes, is not up to wharf either.
const OF_THE_RUN: &[&str] = &["updated", "duration_ms", "durationMs", "attempts", "LastTagTime", "pulledAt"];

/// Lists of blobs, in the order in which they arrived.
const UNORDERED: &[&str] = &["transfers", "Provenance"];

/// Takes away what differs between any two runs, and sorts what arrives in any order.
fn timeless(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if OF_THE_RUN.contains(&name.as_str()) {
                    *member = Value::Null;
                }
                timeless(member);
                if UNORDERED.contains(&name.as_str())
                    && let Some(transfers) = member.as_array_mut()
                {
                    transfers.sort_by_key(|transfer| transfer["digest"].to_string());
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(timeless),
        _ => {}
    }
}

/// Both programs, in directories of their own.
struct Both {
    native: Wharf,
    portable: Portable,
}

impl Both {
    /// Runs both. They end alike.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> [Output; 2] {
        let outputs = [self.native.run(arguments), self.portable.run(arguments)];
        let [native, portable] = &outputs;
        assert_eq!(native.status.success(), portable.status.success(), "{arguments:?}: {native:?} {portable:?}");
        outputs
    }

    /// They write the same text.
    #[track_caller]
    fn same(&self, arguments: &[&str]) {
        let [native, portable] = self.run(arguments);
        assert_eq!(portable.stdout, native.stdout, "{arguments:?}");
    }

    /// They write the same JSON, but for what is of the run.
    #[track_caller]
    fn same_json(&self, arguments: &[&str]) {
        let [mut native, mut portable] = self.run(arguments).map(|output| json(&output.success()));
        timeless(&mut native);
        timeless(&mut portable);
        assert_eq!(portable, native, "{arguments:?}");
    }

    /// They fail for the same reason.
    #[track_caller]
    fn same_failure(&self, arguments: &[&str]) {
        let [native, portable] = self.run(arguments).map(Output::failure);
        assert_eq!(portable, native, "{arguments:?}");
    }
}

/// The digests of the blobs of the native store.
fn stored(store: &Path) -> BTreeSet<String> {
    let of = |algorithm: &str| {
        let names = super::names(&store.join("blobs").join(algorithm)).into_iter();
        names.map(|name| format!("{algorithm}:{name}")).collect::<Vec<_>>()
    };
    [of("sha256"), of("sha512")].concat().into_iter().collect()
}

#[test]
fn both_hosts_say_the_same_and_store_the_same() {
    let registry = open_registry();
    registry.push("library/demo", "1.0", &demo());
    registry.push("library/demo", "2.0", &large(81, 3, 100_000));
    let address = registry.address();
    let (directory, portable) = portable();
    let native = Wharf::new(directory.path());
    // A sandbox is not told the processor, so both are told the same one.
    let both = Both { native: native.clone(), portable: portable.clone() };
    let demo = format!("{address}/library/demo:1.0");
    let large = format!("{address}/library/demo:2.0");
    let platform = ["--platform", "linux/amd64"];
    let pull = |more: &[&'static str]| [&["pull", "--no-unpack"][..], more].concat();

    both.same_json(&[&pull(&["--dry-run", "--format", "json"])[..], &platform, &[&demo]].concat());
    both.same(&[&pull(&["--dry-run"])[..], &platform, &[&demo]].concat());
    both.same(&[&pull(&["--plan", "-"])[..], &platform, &[&demo]].concat());
    both.same_json(&[&pull(&["--format", "json"])[..], &platform, &[&demo]].concat());
    both.same(&[&pull(&["-q"])[..], &platform, &[&large]].concat());
    both.same(&[&pull(&["-q", "--all-platforms"])[..], &[&demo]].concat());
    both.same_json(&[&pull(&["--format", "json", "--all-platforms"])[..], &[&demo]].concat());
    assert_eq!(check_layout(&portable.images()), stored(&native.store()));

    for arguments in [
        &["images"][..],
        &["images", "--digests", "--no-trunc"],
        &["images", "-q"],
        &["images", "-q", "--filter", "reference=*/library/demo:1*"],
        &["history", &demo, "--platform", "linux/amd64"],
        &["history", "--no-trunc", &large, "--platform", "linux/amd64"],
        &["history", "-q", &demo, "--platform", "linux/arm64"],
        &["explain", &demo, "--platform", "linux/arm64"],
        // The native program also reads what the machine has configured, as for short names.
        &["explain", "registry.test/harbour/app", "--platform", "linux/amd64"],
        &["tags", &format!("{address}/library/demo")],
        &["catalog", &address.to_string()],
        &["search", &format!("{address}/demo")],
        &["referrers", &demo],
        &["fsck", "-q"],
        &["completion", "zsh"],
        &["man"],
        &["--version"],
    ] {
        both.same(arguments);
    }
    for arguments in [
        &["images", "--format", "json"][..],
        &["inspect", "--platform", "linux/amd64", &demo],
        &["inspect", "--platform", "linux/arm64", "--manifests", &demo],
        &["inspect", "--platform", "linux/amd64", "--provenance", &large],
        &["history", "--format", "json", "--platform", "linux/arm/v7", &demo],
        &["explain", "--format", "json", "--platform", "linux/amd64", &demo],
        &["tags", "--format", "json", &format!("{address}/library/demo")],
        &["catalog", "--format", "json", &address.to_string()],
        &["search", "--format", "json", "--limit", "1", &format!("{address}/DEMO")],
    ] {
        both.same_json(arguments);
    }
    for arguments in [
        &["tag", &demo, "kept:1", "kept:2"][..],
        &["rm", "--dry-run", "kept:1"],
        &["rm", "kept:1"],
        &["label", "kept:2", "team=web", "why=x"],
        &["label", "kept:2", "why-"],
        &["lease", "create", "--id", "held", &large],
        &["lease", "ls", "-q"],
        &["ingest", "ls"],
        &["df"],
        &["gc", "--dry-run"],
        &["prune", "--dry-run"],
        &["prune", "--all", "--dry-run"],
        &["prune", "--all", "--filter", "reference=kept"],
        &["prune", "--all", "--filter", "label=no-such-label"],
        &["lease", "rm", "held"],
        &["gc"],
    ] {
        both.same(arguments);
    }
    for arguments in [
        &["inspect", "nothing"][..],
        &["history", "--platform", "linux/s390x", &demo],
        &["images", "--filter", "colour=red"],
        &["pull", "-q", &format!("{address}/library/demo:3.0")],
        &["pull", "-q", "--platform", "linux/s390x", &demo],
        &["pull", "-q", "Upper/Case"],
        &["tags", &format!("{address}/none")],
        &["explain", "Upper/Case"],
        &["tag", "nothing", "kept:3"],
        &["tag", &demo, "Upper/Case"],
        &["rm", "nothing"],
        &["save", "nothing"],
        &["save", "--platform", "linux/s390x", &demo],
        &["prune", "--filter", "colour=red"],
        &["lease", "rm", "nothing"],
        &["ingest", "rm", "nothing"],
        &["label", "nothing", "team=web"],
        &["events", "--since", "yesterday"],
    ] {
        both.same_failure(arguments);
    }
}
