//! What the layer store keeps beside its trees: the records of layers and snapshots, what could not be set, and the
//! journal. The first byte says which file the rest is, and whether it is sealed as a record: with the version and a sum
//! that no fuzzer would guess. It works on files, below the directory for temporary ones.

use super::choice;
use crate::hash::{Algorithm, Digest};
use crate::layers::{Layers, Rights, Settings};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs;
use std::path::Path;
use twox_hash::XxHash3_64;

const NAME: &str = "stack";
/// From here on the first byte says that the rest is the file as it is.
const BARE: u8 = 0x80;
/// The total of a tree: how many files, their sum, and none of what is kept aside.
const TOTAL: [u8; 3] = [3, 7, 0];

fn open(root: &Path) -> Layers {
    let directory = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("a directory");
    let settings = Settings { rights: Rights::User, boot: "this".to_owned(), proc: directory(Path::new("/proc")) };
    Layers::open(&directory(root), settings).expect("a layer store")
}

pub(super) fn records(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let sealed = [&[2][..], &XxHash3_64::oneshot(bytes).to_le_bytes(), bytes].concat();
    let bytes = if which < usize::from(BARE) { &sealed[..] } else { bytes };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    let layers = open(root);
    let id = Digest::of(Algorithm::Sha256, b"layer");
    let other = Digest::of(Algorithm::Sha256, b"other");
    // One layer and one snapshot that are whole, and beside them what the bytes are.
    let whole = layers.begin().expect("a private directory").publish(&other, Default::default()).expect("a layer");
    drop(layers.stack("whole", None, &whole).expect("a snapshot"));
    let layer = format!("layers/{}", id.encoded());
    let snapshot = format!("snapshots/{}", Digest::of(Algorithm::Sha256, NAME.as_bytes()).encoded());
    let write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("it is writable");
        fs::write(path, bytes).expect("it is writable");
    };
    fs::create_dir_all(root.join(&layer).join("tree")).expect("it is writable");
    match which % 4 {
        0 => write(&format!("{layer}/layer"), bytes),
        1 => write(&format!("{snapshot}/snapshot"), bytes),
        2 => write("durable", bytes),
        _ => write(&format!("layers/{}/aside", other.encoded()), bytes),
    }
    let layers = open(root);
    let found = layers.layer(&id);
    let mut accepted = found.is_ok();
    if let Ok(layer) = found {
        assert_eq!(layer.diff_id(), &id);
        // What it implies about the layers below is applied, and must not lead out.
        _ = layers.stack("on", None, &layer);
    }
    if let Ok(stack) = layers.snapshot(NAME) {
        assert_eq!(stack.name(), NAME);
        accepted = true;
    }
    if which % 4 == 3 {
        let below = layers.snapshot("whole").ok();
        _ = layers.stack("again", below.as_ref(), &whole);
    }
    if let Ok(names) = layers.entries(None, 10) {
        assert!(names.len() <= 10 && names.is_sorted());
        // A store of one damaged record keeps its others.
        assert!(names.iter().any(|name| name == "whole"), "{names:?}");
    }
    _ = layers.sync();
    _ = layers.remove(NAME);
    assert!(layers.layer(&other).is_ok(), "another layer is not concerned");
    accepted
}

pub(super) fn record_seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let origin = [text("this"), text("id")].concat();
    // Postcard: numbers as varints, lists and texts with their length, options with a byte before.
    let layer = [&origin[..], &[1, 5, 2, 1], &text("a/b"), &[0, 0, 0, 1], &text("a warning"), &TOTAL].concat();
    let link = [&text("c")[..], &text("../d"), &[0xa4, 3, 0, 0, 0, 0, 0]].concat();
    let linked = [&origin[..], &[1, 5, 2, 0, 1, 1, 1], &link, &[0], &TOTAL].concat();
    let digest = format!("sha256:{}", Digest::of(Algorithm::Sha256, b"other").encoded());
    let snapshot = [&origin[..], &text(NAME), &[0], &text(&digest), &[0, 1, 5, 2, 0]].concat();
    let journal = [&[1, 1][..], &text("x"), &text("id")].concat();
    let aside = [&[1][..], &text("a"), &[0, 0, 0xa4, 3, 0, 0]].concat();
    let kinds = [(0, layer), (0, linked), (1, snapshot), (2, journal), (3, aside), (BARE, vec![2]), (1, Vec::new())];
    kinds.into_iter().map(|(which, record)| [&[which][..], &record].concat()).collect()
}
