//! Several runs at the same time on one directory, without any lock of the system.

use super::{check_layout, check_tidy, json, open_registry, portable};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::wharf::TIMEOUT;
use std::collections::BTreeSet;
use wharf::demo::image::Image;

/// The digests of everything that images consist of.
fn parts(images: &[Image]) -> BTreeSet<String> {
    let of = |image: &Image| {
        let documents = image.documents.iter().map(|document| document.digest.clone());
        documents.chain(image.blobs.keys().cloned()).collect::<Vec<_>>()
    };
    images.iter().flat_map(of).collect()
}

#[test]
fn two_runs_that_pull_the_same_image_end_with_one() {
    let registry = open_registry();
    let image = large(51, 4, 2 << 20);
    registry.push("app", "1", &image);
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = portable();
    let reference = format!("{}/app:1", proxy.address());
    // Slow enough that they meet.
    proxy.slow_down(4 << 20);
    let runs = [(); 2].map(|()| wharf.spawn(&["pull", "-q", &reference]));
    for run in runs {
        assert_eq!(run.wait(TIMEOUT).success(), format!("{reference}\n"));
    }
    assert_eq!(check_layout(&wharf.images()), parts(&[image]));
    check_tidy(&wharf.images());
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);
}

/// All of them begin in an empty directory, and end at about the same time.
#[test]
fn runs_that_pull_different_images_end_with_all_of_them() {
    const RUNS: u64 = 4;
    let registry = open_registry();
    let images: Vec<_> = (0..RUNS).map(|number| large(60 + number, 2, 256 << 10)).collect();
    for (number, image) in images.iter().enumerate() {
        registry.push("app", &number.to_string(), image);
    }
    let (_directory, wharf) = portable();
    let name = |number: u64| format!("{}/app:{number}", registry.address());
    for round in 0..3 {
        let runs: Vec<_> = (0..RUNS).map(|number| wharf.spawn(&["pull", "-q", &name(number)])).collect();
        for run in runs {
            run.wait(TIMEOUT).success();
        }
        let listed = json(&wharf.run(&["images", "--format", "json"]).success());
        let listed = listed.as_array().expect("a list").iter();
        let listed: BTreeSet<_> = listed.map(|image| image["name"].as_str().expect("a text").to_owned()).collect();
        assert_eq!(listed, (0..RUNS).map(name).collect(), "round {round}");
        assert_eq!(check_layout(&wharf.images()), parts(&images));
        check_tidy(&wharf.images());
        // Again, with everything there and no name.
        let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
        std::fs::write(wharf.images().join("index.json"), empty).expect("it can be written");
    }
}
