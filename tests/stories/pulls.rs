//! Pulling, and what can be seen afterwards.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::push::large;
use crate::support::skopeo::skopeo;
use crate::support::wharf::Wharf;
use serde_json::{Value, json as object};
use std::fs;
use std::time::{Duration, Instant};
use wharf::demo::image::{File, Image, Layer, Variant, demo};
use wharf::hash::Digest;

/// Every file below `blobs` hashes to its name, and nothing is left in `ingest`.
fn check_store(wharf: &Wharf) -> usize {
    let mut blobs = 0;
    for algorithm in ["sha256", "sha512"] {
        for entry in fs::read_dir(wharf.store().join("blobs").join(algorithm)).expect("the store has this directory") {
            let entry = entry.expect("the directory can be read");
            let name = format!("{algorithm}:{}", entry.file_name().to_string_lossy());
            let bytes = fs::read(entry.path()).expect("a blob can be read");
            let expected: Digest = name.parse().expect("a blob is named by its digest");
            assert_eq!(Digest::of(expected.algorithm(), &bytes), expected);
            blobs += 1;
        }
    }
    assert_eq!(fs::read_dir(wharf.store().join("ingest")).expect("the store has this directory").count(), 0);
    blobs
}

fn inspect(wharf: &Wharf, arguments: &[&str]) -> Value {
    let all: Vec<&str> = [&["inspect"], arguments].concat();
    let mut objects = json(&wharf.run(&all).success());
    objects.as_array_mut().expect("inspect prints an array").remove(0)
}

#[test]
fn an_image_is_pulled_listed_inspected_and_agrees_with_skopeo() {
    let registry = open_registry();
    registry.push("library/demo", "1.0", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/library/demo:1.0", registry.address());

    let pulled = wharf.run(&["pull", "--platform", "linux/arm64", &reference]);
    assert_eq!(pulled.clone().success(), format!("{reference}\n"));
    assert!(pulled.stderr.contains("Status: downloaded newer image for"), "{}", pulled.stderr);
    check_store(&wharf);

    let (done, text) = skopeo(&["inspect", "--override-arch=arm64", &format!("docker://{reference}")], None);
    assert!(done, "{text}");
    let theirs = json(&text);
    let ours = inspect(&wharf, &[&reference]);
    assert_eq!(ours["Descriptor"]["digest"], theirs["Digest"]);
    assert_eq!(ours["Architecture"], theirs["Architecture"]);
    assert_eq!(ours["Os"], theirs["Os"]);
    assert_eq!(ours["Created"], theirs["Created"]);
    assert_eq!(ours["RootFS"]["Layers"], theirs["Layers"], "the demo's layers are plain, so digests are DiffIDs");

    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images.as_array().map(Vec::len), Some(1));
    assert_eq!(images[0]["name"], object!(reference));
    assert_eq!(images[0]["target"]["digest"], theirs["Digest"]);
    assert_eq!(images[0]["platforms"], object!(["linux/arm64/v8"]));
    assert_eq!(images[0]["id"], ours["Id"]);

    let steps = json(&wharf.run(&["history", "--format", "json", &reference]).success());
    let layers: Vec<&Value> = steps.as_array().expect("an array").iter().map(|step| &step["layer"]).rev().collect();
    assert_eq!(Value::from_iter(layers.into_iter().cloned()), theirs["Layers"], "newest first");
}

#[test]
fn a_second_pull_is_one_request_and_changes_nothing() {
    let registry = open_registry();
    registry.push("demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/demo", registry.address());
    wharf.run(&["pull", &reference]).success();
    let images = wharf.run(&["images", "--format", "json"]).success();

    let before = registry.accesses("wharf/");
    let again = wharf.run(&["pull", &reference]);
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    again.success();
    let after = registry.accesses("wharf/");
    assert_eq!(after.len(), before.len() + 1, "{:#?}", &after[before.len()..]);
    assert!(after[before.len()].contains("\"HEAD /v2/demo/manifests/latest "), "{}", after[before.len()]);
    assert_eq!(wharf.run(&["images", "--format", "json"]).success(), images);
}

#[test]
fn another_platform_joins_the_image_and_does_not_take_its_name() {
    let registry = open_registry();
    registry.push("demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/demo", registry.address());
    wharf.run(&["pull", "--platform", "linux/amd64", &reference]).success();
    let first = inspect(&wharf, &[&reference]);
    wharf.run(&["pull", "--platform", "linux/arm/v7", &reference]).success();
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images.as_array().map(Vec::len), Some(1));
    assert_eq!(images[0]["platforms"], object!(["linux/amd64", "linux/arm/v7"]));
    assert_eq!(images[0]["target"]["digest"], first["Descriptor"]["digest"]);

    let manifests = inspect(&wharf, &["--manifests", "--platform", "linux/arm", &reference]);
    assert_eq!(manifests["Architecture"], "arm");
    let available: Vec<(&str, bool)> = manifests["Manifests"]
        .as_array()
        .expect("the index has manifests")
        .iter()
        .map(|entry| {
            let platform = entry["Descriptor"]["platform"]["architecture"].as_str().expect("the index says it");
            (platform, entry["Available"].as_bool().expect("a flag"))
        })
        .collect();
    assert_eq!(available, [("amd64", true), ("arm64", false), ("arm", true)]);

    let all = wharf.run(&["pull", "--all-platforms", &reference]);
    all.success();
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images[0]["platforms"], object!(["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]));
    check_store(&wharf);
}

#[test]
fn a_pull_by_digest_takes_exactly_that_and_every_tag_can_be_pulled_at_once() {
    let registry = open_registry();
    let (old, new) = (small("old"), small("new"));
    registry.push("app", "1", &old);
    registry.push("app", "2", &new);
    registry.push("app", "latest", &new);
    let (_directory, wharf) = wharf();
    let name = format!("{}/app", registry.address());

    let by_digest = format!("{name}@{}", old.root().digest);
    assert_eq!(wharf.run(&["pull", "-q", &by_digest]).success(), format!("{by_digest}\n"));
    let mut expected = vec![format!("{name}:1"), format!("{name}:2"), format!("{name}:latest")];
    let mut printed: Vec<String> =
        wharf.run(&["pull", "-q", "--all-tags", &name]).success().lines().map(str::to_owned).collect();
    printed.sort();
    assert_eq!(printed, expected);

    expected.push(by_digest);
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    let mut names: Vec<&str> =
        images.as_array().expect("an array").iter().filter_map(|image| image["name"].as_str()).collect();
    names.sort_unstable();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let filtered = json(&wharf.run(&["images", "--format", "json", &format!("{name}:[12]")]).success());
    assert_eq!(filtered.as_array().map(Vec::len), Some(2));
}

fn small(what: &str) -> Image {
    let layer = Layer::new("COPY what /", &[File { path: "what", mode: 0o644, bytes: what.as_bytes() }]);
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: vec![layer] })
}

#[test]
fn a_dry_run_says_what_would_come_and_changes_nothing() {
    let registry = open_registry();
    let image = large(1, 3, 200_000);
    registry.push("app", "latest", &image);
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app:latest", registry.address());
    let arguments = ["pull", "--dry-run", "--format", "json", &reference];

    let plan = json(&wharf.run(&arguments).success());
    let documents: usize = image.documents.iter().map(|document| document.bytes.len()).sum();
    let blobs: usize = image.blobs.values().map(|blob| blob.len()).sum();
    assert_eq!(plan[0]["name"], object!(reference));
    assert_eq!(plan[0]["fetch_bytes"], object!(documents + blobs));
    assert_eq!(plan[0]["up_to_date"], object!(false));
    assert_eq!(wharf.run(&["images", "-q"]).success(), "");
    assert_eq!(check_store(&wharf), 0);

    wharf.run(&["pull", &reference]).success();
    let plan = json(&wharf.run(&arguments).success());
    assert_eq!((&plan[0]["fetch_bytes"], &plan[0]["up_to_date"]), (&object!(0), &object!(true)));
}

#[test]
fn two_processes_that_pull_the_same_image_fetch_each_blob_once() {
    let registry = open_registry();
    let image = large(2, 4, 4 << 20);
    registry.push("app", "latest", &image);
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app:latest", registry.address());
    let running = [wharf.spawn(&["pull", &reference]), wharf.spawn(&["pull", &reference])];
    for running in running {
        running.wait(Duration::from_secs(60)).success();
    }
    let fetched = registry.accesses("\"GET /v2/app/blobs/");
    assert_eq!(fetched.len(), image.blobs.len(), "{fetched:#?}");
    check_store(&wharf);
}

#[test]
fn what_the_registry_has_not_is_said_with_what_to_do() {
    let registry = open_registry();
    registry.push("demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let address = registry.address();

    let error = wharf.run(&["pull", "-q", &format!("{address}/demo:2.0")]).failure();
    assert!(error.starts_with(&format!("error: cannot pull `{address}/demo:2.0`\n  because: ")), "{error}");
    assert!(error.contains("manifest unknown"), "{error}");

    let error = wharf.run(&["pull", "-q", "--platform", "linux/riscv64", &format!("{address}/demo")]).failure();
    for part in ["linux/riscv64", "linux/amd64", "linux/arm64/v8", "linux/arm/v7", "\nhint: ", "--platform"] {
        assert!(error.contains(part), "`{part}` is not in {error}");
    }
    assert_eq!(wharf.run(&["images", "-q"]).success(), "");

    let gone = "127.0.0.1:1";
    let begin = Instant::now();
    let error = wharf.run(&["pull", "-q", &format!("{gone}/demo")]).failure();
    assert!(error.contains(gone) && error.contains("refuse"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(45), "a refused connection is not tried for long");
}

/// Private addresses are reached only where the person named them, and without
/// TLS only what is on this machine or listed.
#[test]
fn a_registry_elsewhere_is_not_spoken_to_without_tls() {
    let (_directory, wharf) = wharf();
    let error = wharf.run(&["pull", "-q", "192.0.2.1:5000/demo", "--plain-http", "registry.lan:5000"]).failure();
    assert!(error.contains("192.0.2.1:5000"), "{error}");
}

#[test]
fn several_registries_keep_their_images_apart_and_share_their_bytes() {
    let (one, two): (DockerRegistry, DockerRegistry) = (open_registry(), open_registry());
    for registry in [&one, &two] {
        registry.push("demo", "latest", &demo());
    }
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", &format!("{}/demo", one.address())]).success();
    let blobs = check_store(&wharf);
    wharf.run(&["pull", &format!("{}/demo", two.address())]).success();
    assert_eq!(check_store(&wharf), blobs);
    assert_eq!(two.accesses("\"GET /v2/demo/blobs/").len(), 0, "every blob was here already");
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 2);
    let elsewhere = wharf.run(&["--namespace", "other", "images", "-q"]);
    assert_eq!(elsewhere.success(), "", "a namespace does not see the names of another");
}
