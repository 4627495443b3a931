//! Layers that are refused: what a person reads, that nothing of them is left, and that the image can be kept as it is.

use super::trees::{base, image, kept, of_bytes, pushed, refusal};
use super::{json, open_registry, wharf};
use crate::layers::apply::write;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write as _;
use wharf::demo::image::{Document, Image, digest};

/// The image with a config that says another DiffID of the only layer.
fn with_diff_id(mut image: Image, diff_id: &str) -> Image {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is text");
    let document = image.documents.pop().expect("an image has a manifest");
    let manifest = json(&text(&document.bytes));
    let name = |descriptor: &Value| descriptor["digest"].as_str().expect("a descriptor has a digest").to_owned();
    let (config, layer) = (name(&manifest["config"]), name(&manifest["layers"][0]));
    let changed = text(&image.blobs.remove(&config).expect("the config is there")).replace(&layer, diff_id);
    let manifest = text(&document.bytes).replace(&config, &digest(changed.as_bytes()));
    image.blobs.insert(digest(changed.as_bytes()), changed.into());
    image.documents.push(Document { digest: digest(manifest.as_bytes()), bytes: manifest.into(), ..document });
    image
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn a_layer_that_cannot_be_extracted_fails_the_pull_and_leaves_nothing() {
    let registry = open_registry();
    let wrong = digest(b"another layer");
    let archive = write::layer(&base());
    let text = b"this is no archive\n".repeat(100);
    let cut = archive[..archive.len() - 2048].to_vec();
    let trailing = [gzip(&archive), b"more than a header".to_vec()].concat();
    // RFC 8878, 3.1.1: a frame that asks for 2 GiB, and one empty block.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let bomb = gzip(&write::layer(&[write::sparse("holes", 1 << 40, &[(0, b"x")])]));
    let mismatch = format!("the uncompressed bytes hash to `{}`, and the config says `{wrong}`\n", digest(&archive));
    let rows = [
        ("text", digest(&text), of_bytes(vec![text]), ""),
        ("cut", digest(&cut), of_bytes(vec![cut]), ""),
        (
            "trailing",
            digest(&trailing),
            of_bytes(vec![trailing]),
            "the layer does not decompress: the gzip stream is damaged",
        ),
        (
            "window",
            digest(&window),
            of_bytes(vec![window]),
            "the layer does not decompress: the zstd stream needs a window",
        ),
        ("bomb", digest(&bomb), of_bytes(vec![bomb]), "the layer has more than 68719476736 bytes\n"),
        ("wrong", digest(&archive), with_diff_id(image(&[base()]), &wrong), &*mismatch),
    ];
    for (tag, layer, image, reason) in rows {
        let reference = pushed(&registry, tag, &image);
        let (_directory, wharf) = wharf();
        let error = refusal(wharf.run(&["pull", "-q", &reference]));
        let expected = format!(
            "error: cannot pull `{reference}`\n  because: layer 1 of 1, `{layer}`, cannot be extracted\n  because: {reason}"
        );
        assert!(error.starts_with(&expected), "{error}");
        let hint = format!("\nhint: to keep it without extracting it: `wharf pull --no-unpack {reference}`\n");
        assert!(error.trim_end().ends_with(hint.trim_end()), "{error}");
        assert_eq!(wharf.run(&["images", "-q"]).success(), "");
        assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (0, 0), "{tag}");

        wharf.run(&["pull", "-q", "--no-unpack", &reference]).success();
        assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1, "{tag}");
        refusal(wharf.run(&["ls", &reference]));
        assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (0, 0), "{tag}");
    }
}
