//! What goes to a registry, from a stock runtime.

use super::{json, open_registry, portable};
use crate::support::push::large;
use crate::support::skopeo::skopeo;
use crate::support::wharf::Wharf;
use serde_json::Value;
use std::fs;
use wharf::demo::image::demo;

/// The same index as by the native program, and what it needs.
#[test]
fn an_index_is_made_and_pushed() {
    let (source, target) = (open_registry(), open_registry());
    source.push("app", "1", &demo());
    let (directory, portable) = portable();
    let native = Wharf::new(directory.path());
    let name = format!("{}/app:1", source.address());
    let made = format!("{}/made:1", target.address());
    let both = ["linux/amd64", "linux/arm64"];
    let pull = ["pull", "-q", "--no-unpack", "--platform", "linux/amd64,linux/arm64", &name];
    let digests = [true, false].map(|is_portable| {
        let run = |arguments: &[&str]| match is_portable {
            true => portable.run(arguments).success(),
            false => native.run(arguments).success(),
        };
        run(&pull);
        run(&["manifest", "create", &made, &name]);
        let annotated = ["manifest", "annotate", &made, both[1], "--annotation", "a=b"];
        run(&annotated)
    });
    assert_eq!(digests[0], digests[1]);
    portable.run(&["manifest", "push", "-q", &made]).success();
    let (is_there, raw) = skopeo(&["inspect", "--raw", &format!("docker://{made}")], None);
    assert!(is_there, "{raw}");
    assert_eq!(portable.run(&["manifest", "inspect", "--raw", &made]).success(), raw);
    assert_eq!(json(&raw)["manifests"].as_array().map(Vec::len), Some(2));
}

#[test]
fn both_hosts_leave_the_same_in_a_registry() {
    let (source, target) = (open_registry(), open_registry());
    source.push("app", "1", &demo());
    source.push("big", "1", &large(9, 1, 5 << 20));
    let (directory, portable) = portable();
    let native = Wharf::new(directory.path());
    for (path, platforms) in [("app", "linux/amd64,linux/arm64"), ("big", "linux/amd64")] {
        let name = format!("{}/{path}:1", source.address());
        portable.run(&["pull", "-q", "--platform", platforms, &name]).success();
        native.run(&["pull", "-q", "--no-unpack", "--platform", platforms, &name]).success();
        let told = ["one", "two"].map(|tag| {
            let other = format!("{}/{path}:{tag}", target.address());
            let push = ["push", "--format", "json", "--platform", "linux/amd64", &other];
            let printed = if tag == "one" {
                portable.run(&["tag", &name, &other]).success();
                portable.run(&push).success()
            } else {
                native.run(&["tag", &name, &other]).success();
                native.run(&push).success()
            };
            let (is_there, digest) =
                skopeo(&["inspect", "--format", "{{.Digest}}", &format!("docker://{other}")], None);
            assert!(is_there, "{digest}");
            let pushed = json(&printed)[0].clone();
            assert_eq!(pushed["target"]["digest"], Value::from(digest.trim()));
            pushed
        });
        assert_eq!(told[0]["target"], told[1]["target"]);
        assert!(told[0]["sent_bytes"].as_u64() > told[1]["sent_bytes"].as_u64(), "the second finds the blobs there");
    }
    // What the directory has changed does not get there.
    let blobs = fs::read_dir(portable.images().join("blobs/sha256")).expect("blobs");
    let largest =
        blobs.map(|blob| blob.expect("a blob").path()).max_by_key(|path| fs::metadata(path).expect("a file").len());
    let largest = largest.expect("a blob");
    let mut bytes = fs::read(&largest).expect("a blob");
    bytes[1_000] ^= 1;
    fs::write(&largest, bytes).expect("a blob");
    let third = open_registry();
    let other = format!("{}/big:1", third.address());
    portable.run(&["tag", &format!("{}/big:1", source.address()), &other]).success();
    let refused = portable.run(&["push", &other]).failure();
    assert!(refused.contains("is damaged"), "{refused}");
}
