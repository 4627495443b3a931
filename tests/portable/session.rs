//! What a person does with it, verb by verb.

use super::{check_layout, check_tidy, index, json, open_registry, portable};
use serde_json::json as object;
use std::fs;
use wharf::demo::image::demo;

/// The transcript that the documentation promises, from the component as it is built.
#[test]
fn an_image_is_pulled_listed_inspected_and_explained() {
    let registry = open_registry();
    registry.push("bench/hello", "latest", &demo());
    let (_directory, wharf) = portable();
    let reference = format!("{}/bench/hello", registry.address());
    let name = format!("{reference}:latest");

    let pulled = wharf.run_uncompiled(&["pull", &reference]);
    assert!(pulled.stderr.contains("Status: downloaded newer image for"), "{}", pulled.stderr);
    assert_eq!(pulled.success(), format!("{name}\n"));
    check_layout(&wharf.images());
    check_tidy(&wharf.images());

    let table = wharf.run(&["images"]).success();
    let row: Vec<_> = table.lines().nth(1).expect("a row below the heading").split_ascii_whitespace().collect();
    assert_eq!((row[0], row[1]), (&*reference, "latest"), "{table}");
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images.as_array().map(Vec::len), Some(1));
    assert_eq!((&images[0]["name"], &images[0]["platforms"]), (&object!(name), &object!(["linux/amd64"])));
    assert_eq!(images[0]["target"]["digest"], object!(demo().root().digest));

    let inspected = json(&wharf.run(&["inspect", &reference]).success());
    assert_eq!(inspected[0]["Architecture"], "amd64");
    assert_eq!(inspected[0]["Descriptor"]["digest"], object!(demo().root().digest));
    let provenance = json(&wharf.run(&["inspect", "--provenance", &reference]).success());
    assert!(provenance.to_string().contains(&format!("http://{}", registry.address())), "{provenance}");
    let steps = json(&wharf.run(&["history", "--format", "json", &reference]).success());
    assert_eq!(steps[0]["created_by"], "COPY greeting /etc/greeting");
    assert_eq!(steps.as_array().map(Vec::len), Some(2));
    let explained = wharf.run(&["explain", &reference]).success();
    assert!(explained.contains(&format!("http://{}/v2/bench/hello", registry.address())), "{explained}");
}

#[test]
fn another_platform_joins_and_a_second_pull_is_one_request() {
    let registry = open_registry();
    registry.push("hello", "1", &demo());
    let (_directory, wharf) = portable();
    let reference = format!("{}/hello:1", registry.address());
    wharf.run(&["pull", &reference]).success();
    wharf.run(&["pull", "--platform", "linux/arm/v7", &reference]).success();
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images[0]["platforms"], object!(["linux/amd64", "linux/arm/v7"]));
    assert_eq!(index(&wharf.images())["manifests"].as_array().map(Vec::len), Some(1));

    let before = registry.accesses("wharf/").len();
    let again = wharf.run(&["pull", &reference]);
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    let after = registry.accesses("wharf/");
    assert_eq!(after.len(), before + 1, "{:#?}", &after[before..]);
    assert!(after[before].contains("\"HEAD /v2/hello/manifests/1 "), "{}", after[before]);

    // The processor is not told to the sandbox.
    let arm = wharf.clone().with("WHARF_MACHINE", "linux/arm64");
    arm.run(&["pull", "-q", &reference]).success();
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(images[0]["platforms"].as_array().map(Vec::len), Some(3), "{images}");
    check_layout(&wharf.images());
}

#[test]
fn a_dry_run_says_what_would_come_and_changes_nothing() {
    let registry = open_registry();
    registry.push("hello", "1", &demo());
    let (_directory, wharf) = portable();
    let reference = format!("{}/hello:1", registry.address());
    let planned = json(&wharf.run(&["pull", "--dry-run", "--format", "json", &reference]).success());
    assert_eq!(planned[0]["target"]["digest"], object!(demo().root().digest), "{planned}");
    assert!(index(&wharf.images())["manifests"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(check_layout(&wharf.images()).len(), 0);
    let text = wharf.run(&["pull", "--dry-run", &reference]).success();
    assert!(text.contains("to download"), "{text}");
}

#[test]
fn a_flipped_bit_is_found_and_repaired() {
    let registry = open_registry();
    registry.push("hello", "1", &demo());
    let (_directory, wharf) = portable();
    let name = format!("{}/hello:1", registry.address());
    wharf.run(&["pull", "-q", &name]).success();
    let whole = wharf.run(&["fsck"]);
    assert!(whole.stderr.ends_with(": all is as it should be\n"), "{}", whole.stderr);
    assert_eq!(whole.success(), "");

    let layer = check_layout(&wharf.images())
        .into_iter()
        .map(|digest| wharf.images().join("blobs").join(digest.replace(':', "/")))
        .max_by_key(|path| fs::metadata(path).expect("a blob is a file").len())
        .expect("there are blobs");
    let bytes = fs::read(&layer).expect("a blob can be read");
    let mut spoilt = bytes.clone();
    spoilt[bytes.len() / 2] ^= 4;
    fs::write(&layer, &spoilt).expect("root may write what is read-only");
    let found = wharf.run(&["fsck", "--format", "json", &name]);
    assert_eq!(found.status.code(), Some(1), "{}", found.stderr);
    let flaws = json(&found.stdout)["flaws"].clone();
    assert_eq!((&flaws[0]["images"], &flaws[0]["kind"]), (&object!([name]), &object!("damaged-blob")), "{flaws}");
    let repaired = wharf.run(&["fsck", "--repair", "--format", "json", &name]).success();
    assert_eq!(json(&repaired)["flaws"][0]["repaired"], "fetched again", "{repaired}");
    assert_eq!(fs::read(&layer).expect("it is here again"), bytes);
    check_layout(&wharf.images());
}

#[test]
fn every_tag_is_pulled_and_tags_and_repositories_are_listed() {
    let registry = open_registry();
    for (repository, tag) in [("a/one", "1"), ("a/one", "2"), ("b", "latest")] {
        registry.push(repository, tag, &demo());
    }
    let (_directory, wharf) = portable();
    let address = registry.address();
    assert_eq!(wharf.run(&["tags", &format!("{address}/a/one")]).success(), "1\n2\n");
    assert_eq!(wharf.run(&["catalog", &address.to_string()]).success(), "a/one\nb\n");
    let found = wharf.run(&["search", "--format", "json", &format!("{address}/one")]);
    assert!(found.stderr.contains("has no search"), "{}", found.stderr);
    assert_eq!(json(&found.success())[0]["name"], object!(format!("{address}/a/one")));
    let listed = wharf.run(&["referrers", &format!("{address}/a/one:1")]);
    assert!(listed.stderr.contains("keeps no list of referrers"), "{}", listed.stderr);
    assert_eq!(listed.success().lines().count(), 1, "the heading alone");
    let pulled = wharf.run(&["pull", "-a", &format!("{address}/a/one")]).success();
    assert_eq!(pulled, format!("{address}/a/one:1\n{address}/a/one:2\n"));
    assert_eq!(wharf.run(&["images", "-q", "--no-trunc"]).success().lines().count(), 2);
}

#[test]
fn completions_and_the_manual_are_printed() {
    let (_directory, wharf) = portable();
    assert!(wharf.run(&["completion", "bash"]).success().contains("_wharf()"));
    assert!(wharf.run(&["man"]).success().starts_with(".ie"));
    let pages = tempfile::tempdir().expect("a temporary directory");
    wharf.clone().give_directory(pages.path(), "pages").run(&["man", "pages"]).success();
    assert!(pages.path().join("wharf-pull.1").is_file());
}
