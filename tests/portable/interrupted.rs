//! Runs that are killed, and connections that break: the directory stays a layout, and nothing comes twice.

use super::{check_layout, check_tidy, index, json, names, open_registry, portable};
use crate::support::fault_registry::{At, FaultRegistry, How, Object, Options, REPOSITORY, SINGLE, Stock, What, once};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use std::path::Path;
use std::time::{Duration, SystemTime};
use wharf::demo::image::{File, Image, Layer, Variant, noise};

const WAIT: Duration = Duration::from_secs(60);

/// What a killed run leaves is a layout, or what becomes one, and has no name yet.
#[track_caller]
fn check_killed(images: &Path) {
    if images.join("oci-layout").exists() {
        check_layout(images);
        assert!(index(images)["manifests"].as_array().is_some_and(Vec::is_empty), "no name before everything is there");
    }
}

/// Lets hours pass for what a killed run has left without a name: until then somebody could be writing it.
fn grow_old(directory: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(7_200);
    for name in names(directory) {
        let file = std::fs::File::options().write(true).open(directory.join(name)).expect("nobody removes it");
        file.set_modified(long_ago).expect("it is the test's");
    }
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_stopped() {
    const LAYER_BYTES: u64 = 24 << 20;
    /// How much comes before each kill.
    const STEP_BYTES: u64 = 6 << 20;
    let registry = open_registry();
    let image = large(41, 1, usize::try_from(LAYER_BYTES).expect("it is small"));
    registry.push("app", "1", &image);
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = portable();
    let reference = format!("{}/app:1", proxy.address());

    proxy.slow_down(24 << 20);
    for _ in 0..3 {
        let before = proxy.sent_bytes();
        let running = wharf.spawn(&["pull", &reference]);
        proxy.wait_for(before + STEP_BYTES, WAIT);
        running.kill();
        check_killed(&wharf.images());
    }
    proxy.speed_up();
    let before = proxy.sent_bytes();
    let pulled = json(&wharf.run(&["pull", "--format", "json", &reference]).success());
    let sent = proxy.sent_bytes() - before;
    let transfers = pulled[0]["transfers"].as_array().expect("each pull tells its transfers");
    let layer = transfers.iter().find(|transfer| transfer["size"].as_u64() > Some(LAYER_BYTES)).expect("the layer");
    // Of what was on its way when a run was killed some never reached it.
    let resumed = layer["resumed_from"].as_u64().expect("it was resumed");
    assert!((STEP_BYTES * 3 / 2..LAYER_BYTES).contains(&resumed), "{layer}");
    let rest = LAYER_BYTES - resumed;
    assert!((rest..rest + (64 << 10)).contains(&sent), "{sent} bytes were sent for {rest}");
    check_layout(&wharf.images());
    check_tidy(&wharf.images());
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);
}

/// Many small blobs, so that kills also strike between two of them.
#[test]
fn whenever_a_run_is_killed_the_directory_is_a_layout() {
    const LAYERS: u64 = 24;
    const LAYER_BYTES: usize = 64 << 10;
    let registry = open_registry();
    let layers = (0..LAYERS).map(|number| {
        let bytes = noise(number << 8, LAYER_BYTES);
        Layer::new("COPY a /", &[File { path: &format!("{number}"), mode: 0o644, bytes: &bytes }])
    });
    let image = Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: layers.collect() });
    registry.push("app", "1", &image);
    let proxy = Proxy::start(registry.address());
    let reference = format!("{}/app:1", proxy.address());
    let (_directory, wharf) = portable();
    wharf.spawn(&["pull", &reference]).kill();
    check_killed(&wharf.images());

    proxy.slow_down(8 << 20);
    // From the first document on, over blobs that are there, to the last one.
    for more in [1, 4 << 10, 100 << 10, 200 << 10, 300 << 10, 400 << 10] {
        let before = proxy.sent_bytes();
        let running = wharf.spawn(&["pull", &reference]);
        proxy.wait_for(before + more, WAIT);
        running.kill();
        check_killed(&wharf.images());
    }
    proxy.speed_up();
    grow_old(&wharf.images().join(".wharf/tmp"));
    wharf.run(&["pull", "-q", &reference]).success();
    let digests = check_layout(&wharf.images());
    assert_eq!(digests.len(), image.blobs.len() + 1, "each blob, and the manifest");
    check_tidy(&wharf.images());
    let (whole, sent) = (LAYERS * LAYER_BYTES as u64, proxy.sent_bytes());
    assert!(sent < 2 * whole, "{sent} bytes were sent for {whole}");
}

/// A stop of the registry instead of wharf's own: the same run goes on.
#[test]
fn a_connection_that_breaks_is_continued_and_counted() {
    let faults = vec![once(Object::Layer, What::Cut(At::Middle, How::Reset)), once(Object::Layer, What::Status(503))];
    let registry = FaultRegistry::start(Options::default(), faults);
    let (_directory, wharf) = portable();
    let reference = format!("{}/{REPOSITORY}:{SINGLE}", registry.authority());
    wharf.run(&["pull", "-q", &reference]).success();
    assert_eq!(registry.fired(), [1, 1]);
    let size = Stock::usual().size(Object::Layer);
    // A reset may take with it what was on its way.
    assert!((size..size * 3 / 2).contains(&registry.sent(Object::Layer)), "{}", registry.sent(Object::Layer));
    check_layout(&wharf.images());
}

#[test]
fn a_run_that_is_killed_at_a_silent_registry_keeps_what_came() {
    let registry = FaultRegistry::start(Options::default(), vec![once(Object::Layer, What::Stall(At::Middle))]);
    let (_directory, wharf) = portable();
    let reference = format!("{}/{REPOSITORY}:{SINGLE}", registry.authority());
    let size = Stock::usual().size(Object::Layer);
    let running = wharf.spawn(&["pull", &reference]);
    let began = std::time::Instant::now();
    // Until everything that will come is in the file.
    let arrived = || {
        let files = names(&wharf.images().join(".wharf/ingest")).into_iter();
        let size =
            |name: String| wharf.images().join(".wharf/ingest").join(name).metadata().map_or(0, |file| file.len());
        files.map(size).max().unwrap_or_default()
    };
    while arrived() < size / 2 {
        assert!(began.elapsed() < WAIT, "{} bytes arrived", arrived());
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill();
    check_killed(&wharf.images());
    registry.heal();
    wharf.run(&["pull", "-q", &reference]).success();
    assert_eq!(registry.sent(Object::Layer), size, "no byte came twice");
    check_layout(&wharf.images());
    check_tidy(&wharf.images());
}
