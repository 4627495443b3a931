//! What `wit/layers.wit` says about recipes, kept by every host that has layers. Which archives come back is tested
//! beside this, on real files.

use super::layers::Archives;
use super::subject::{Real, Simulated, put, sha256};
use super::suite;
use wharf_component::host::{Host, Layer as _};
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;

suite! {
    [simulated: Simulated, real: Real];
    a_layer_has_a_recipe_once_it_was_described,
    a_recipe_that_is_right_stays,
    a_recipe_and_its_layer_are_durable,
    a_recipe_goes_with_its_layer,
    bytes_that_are_another_layer_make_no_recipe,
    a_recipe_that_would_be_larger_than_the_blob_is_refused,
}

/// Archives that a recipe is worth something for, and those for which it is not.
trait Described: Archives {
    /// The blob of a layer whose tree has most of it, and its DiffID.
    fn lasting(name: &str) -> (Vec<u8>, Digest);
    /// One whose tree has next to nothing of it.
    fn fleeting() -> (Vec<u8>, Digest);
}

impl Described for Simulated {
    fn lasting(name: &str) -> (Vec<u8>, Digest) {
        Self::archive(name)
    }

    fn fleeting() -> (Vec<u8>, Digest) {
        Self::archive("odd")
    }
}

impl Described for Real {
    fn lasting(name: &str) -> (Vec<u8>, Digest) {
        let seed = name.bytes().map(u64::from).sum();
        tar(&[(name, wharf::demo::image::noise(seed, 20_000))])
    }

    /// The second file replaces the first, so that a recipe has everything, and compresses it no better than this.
    fn fleeting() -> (Vec<u8>, Digest) {
        let (tar, diff_id) = tar(&[("file", wharf::demo::image::noise(1, 20_000)), ("file", Vec::new())]);
        (zstd::encode_all(&tar[..], 19).expect("memory takes it"), diff_id)
    }
}

fn tar(files: &[(&str, Vec<u8>)]) -> (Vec<u8>, Digest) {
    let files: Vec<_> =
        files.iter().map(|(path, bytes)| wharf::demo::image::File { path, mode: 0o644, bytes }).collect();
    let tar = wharf::demo::image::Layer::new("", &files).bytes.to_vec();
    let diff_id = sha256(&tar);
    (tar, diff_id)
}

/// Brings a layer with its blob.
async fn bring<H: Host>(host: &H, (archive, diff_id): &(Vec<u8>, Digest)) -> (H::Blob, H::Layer) {
    let blob = put(host, archive).await;
    let layer = host.unpack(&blob, diff_id).await.expect("a layer");
    (blob, layer)
}

fn a_layer_has_a_recipe_once_it_was_described<S: Described>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let archive = S::lasting("file");
    subject.run(async {
        let (blob, layer) = bring(host, &archive).await;
        assert_eq!(layer.recipe().await, Ok(None));
        assert_eq!(layer.rebuild().await.map_err(|refusal| refusal.code), Err(ErrorCode::NotFound));
        let size = host.describe(&layer, &blob).await.expect("a recipe");
        assert!(size <= archive.0.len() as u64, "{size} bytes are more than the blob has");
        assert_eq!(layer.recipe().await, Ok(Some(size)));
        assert_eq!(layer.rebuild().await, Ok(()));
        let theirs = other.layer(&archive.1).await.expect("the layer");
        assert_eq!((theirs.recipe().await, theirs.rebuild().await), (Ok(Some(size)), Ok(())));
    });
}

fn a_recipe_that_is_right_stays<S: Described>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let archive = S::lasting("file");
    subject.run(async {
        let (blob, layer) = bring(host, &archive).await;
        let size = host.describe(&layer, &blob).await.expect("a recipe");
        let theirs = other.layer(&archive.1).await.expect("the layer");
        let their_blob = other.open(&sha256(&archive.0)).await.expect("the blob");
        assert_eq!(other.describe(&theirs, &their_blob).await, Ok(size));
        assert_eq!(layer.rebuild().await, Ok(()));
    });
}

/// Nobody has called `layers.sync`.
fn a_recipe_and_its_layer_are_durable<S: Described>() {
    let subject = S::new();
    let (kept, lost) = (S::lasting("kept"), S::lasting("lost"));
    let size = subject.run(async {
        let (blob, layer) = bring(subject.host(), &kept).await;
        subject.host().describe(&layer, &blob).await.expect("a recipe")
    });
    subject.run(async { drop(bring(subject.host(), &lost).await) });
    let subject = subject.restart();
    subject.run(async {
        let host = subject.host();
        host.remove(&sha256(&kept.0)).await.expect("nobody holds it");
        let layer = host.layer(&kept.1).await.expect("it is durable");
        assert_eq!((layer.recipe().await, layer.rebuild().await), (Ok(Some(size)), Ok(())));
        assert_eq!(host.layer(&lost.1).await.err(), Some(ErrorCode::NotFound), "nobody has said so of this one");
    });
}

fn a_recipe_goes_with_its_layer<S: Described>() {
    let subject = S::new();
    let host = subject.host();
    let archive = S::lasting("file");
    subject.run(async {
        let (blob, layer) = bring(host, &archive).await;
        host.describe(&layer, &blob).await.expect("a recipe");
        drop(layer);
        assert_eq!(host.remove_layer(&archive.1).await, Ok(()));
        assert_eq!(host.layer(&archive.1).await.err(), Some(ErrorCode::NotFound));
        let layer = host.unpack(&blob, &archive.1).await.expect("it can come back");
        assert_eq!(layer.recipe().await, Ok(None));
    });
}

fn bytes_that_are_another_layer_make_no_recipe<S: Described>() {
    let subject = S::new();
    let host = subject.host();
    let (one, two) = (S::lasting("one"), S::lasting("two"));
    subject.run(async {
        let (_, layer) = bring(host, &one).await;
        let other = put(host, &two.0).await;
        let refusal = host.describe(&layer, &other).await.expect_err("it is another one");
        assert!(matches!(refusal.code, ErrorCode::DigestMismatch(_) | ErrorCode::TooLarge(_)), "{refusal:?}");
        assert_eq!(layer.recipe().await, Ok(None), "a failure leaves nothing behind");
    });
}

fn a_recipe_that_would_be_larger_than_the_blob_is_refused<S: Described>() {
    let subject = S::new();
    let host = subject.host();
    let archive = S::fleeting();
    subject.run(async {
        let (blob, layer) = bring(host, &archive).await;
        let described = host.describe(&layer, &blob).await;
        assert_eq!(described.map_err(|refusal| refusal.code), Err(ErrorCode::TooLarge(archive.0.len() as u64)));
        assert_eq!(layer.recipe().await, Ok(None));
    });
}
