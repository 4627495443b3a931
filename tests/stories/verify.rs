//! `wharf verify` on a real store: bytes that a disk has changed are found, and
//! brought again when they were removed.

use super::{json, open_registry, wharf};
use serde_json::json as object;
use std::fs;
use wharf::demo::image::{Image, Layer, Variant, digest};

#[test]
fn a_flipped_bit_is_found_removed_and_brought_again() {
    let registry = open_registry();
    let bytes = vec![7; 100_000];
    let layer = Layer { bytes: bytes.clone().into(), created_by: "COPY . /".to_owned() };
    let image = Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: vec![layer] });
    registry.push("app", "1", &image);
    let name = format!("{}/app:1", registry.address());
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", "--no-unpack", &name]).success();

    let output = wharf.run(&["verify"]);
    assert_eq!(output.clone().success(), "");
    assert!(output.stderr.starts_with("3 blobs, "), "{}", output.stderr);
    assert!(output.stderr.ends_with(": all are what their names say\n"), "{}", output.stderr);

    let layer = digest(&bytes);
    let path = wharf.store().join("blobs/sha256").join(&layer["sha256:".len()..]);
    let mut spoilt = bytes.clone();
    spoilt[54_321] ^= 4;
    fs::write(&path, &spoilt).expect("root may write what is read-only");
    let output = wharf.run(&["verify", "--format", "json", &name]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let why = format!("its bytes hash to `{}`", digest(&spoilt));
    let flaw = object!({ "digest": layer, "why": why, "images": [name], "harm": "damaged" });
    assert_eq!(json(&output.stdout)["flaws"], object!([flaw]));
    assert!(output.stderr.contains("wharf verify --remove"), "{}", output.stderr);

    let output = wharf.run(&["verify", "--remove"]);
    assert_eq!(output.stdout, format!("{layer}: {why}; removed; needed by {name}\n"));
    assert!(!path.exists());
    wharf.run(&["pull", "-q", "--no-unpack", &name]).success();
    assert_eq!(fs::read(&path).expect("it is here again"), bytes);
    wharf.run(&["verify"]).success();
}
