//! Recipes: the archive of a layer comes back byte by byte, of every archive that these tests know, or there is no recipe.

use super::apply::archives;
use super::apply::peers;
use super::apply::write::{directory, file, layer, link, sparse, symlink};
use super::archive::build::{self, Header, padded};
use super::shelf::Shelf;
use crate::support::require;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::{Error, Layer, unpack};

/// How many archives Python and GNU tar write.
const WRITTEN: usize = 40;

/// Bytes that do not compress, the same every time.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(length)
    .collect()
}

fn unpacked(shelf: &Shelf, archive: &[u8]) -> Result<Layer, Error> {
    let unpacked = unpack(&shelf.layers, archive, &Budget::default(), &AtomicBool::new(false))?;
    unpacked.publish(&Digest::of(Algorithm::Sha256, archive))
}

fn described(shelf: &Shelf, layer: &Layer, archive: &[u8]) -> Result<u64, Error> {
    shelf.layers.describe(layer, archive, u64::MAX, &AtomicBool::new(false))
}

fn rebuilt(layer: &Layer) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut archive = layer.archive().map_err(|error| error.to_string())?;
    archive.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Extracts an archive, writes its recipe and rebuilds it. Returns the sizes of the archive and of the recipe.
fn check(shelf: &Shelf, what: &str, archive: &[u8]) -> (u64, u64) {
    let layer = unpacked(shelf, archive).unwrap_or_else(|error| panic!("{what}: {error}"));
    let size = described(shelf, &layer, archive).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(layer.recipe().expect("a look"), Some(size), "{what}");
    assert!(rebuilt(&layer).as_deref() == Ok(archive), "{what}: the archive is another one");
    assert!(shelf.names("extract").is_empty(), "{what}");
    (archive.len() as u64, size)
}

#[test]
fn every_nasty_layer_is_rebuilt_exactly() {
    let shelf = Shelf::new();
    for (what, archive) in peers::layers() {
        check(&shelf, what, &archive);
    }
}

#[test]
fn archives_of_other_projects_are_rebuilt_exactly() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/breakout_archives.json"));
    let table: serde_json::Value = serde_json::from_str(&text.expect("the table exists")).expect("it is JSON");
    let shelf = Shelf::new();
    let (mut rebuilt, mut refused) = (0, 0);
    for case in table["vectors"].as_array().expect("a list") {
        let (_, bytes) = archives::archive(case);
        match unpacked(&shelf, &bytes) {
            Err(_) => refused += 1,
            Ok(_) => {
                check(&shelf, case["id"].as_str().expect("a name"), &bytes);
                rebuilt += 1;
            }
        }
    }
    // As many as `apply::archives` counts as applied, or as refused when they are stacked, and one that it lists.
    assert_eq!((rebuilt, refused), (103, 34));
}

#[test]
fn what_python_and_gnu_tar_write_is_rebuilt_exactly() {
    let (python, _) = (require("python3"), require("tar"));
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(python);
    command.arg("-c").arg(include_str!("archive/peers.py")).arg(place.path()).args(["4", &WRITTEN.to_string()]);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shelf = Shelf::new();
    let mut count = 0;
    for line in String::from_utf8(output.stdout).expect("it is JSON").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let path = line["archive"].as_str().expect("a path");
        let bytes = fs::read(path).expect("it was written");
        if unpacked(&shelf, &bytes).is_ok() {
            check(&shelf, path, &bytes);
            count += 1;
        }
    }
    assert!(count > WRITTEN / 2, "{count} of {WRITTEN} can be extracted");
}

/// What the tree has is not in the recipe, and what it has not is.
#[test]
fn a_recipe_has_what_stands_in_no_file_and_nothing_else() {
    let large = noise(300_000, 1);
    let other = noise(300_000, 2);
    let half = [&large[..150_000], &other[..150_000]].concat();
    let pieces: &[(u64, &[u8])] = &[(4_096, &large[..100_000]), (1 << 20, &large[100_000..200_000])];
    let rows: Vec<(&str, Vec<u8>, u64)> = vec![
        ("a file", layer(&[file("a", &large)]), 0),
        ("through a link", layer(&[directory("d"), symlink("l", "/d"), file("l/a", &large)]), 0),
        ("with a second name", layer(&[file("a", &large), link("b", "a")]), 0),
        ("with holes", layer(&[sparse("a", 2 << 20, pieces)]), 0),
        ("twice the same", layer(&[file("a", &large), file("a", &large)]), 0),
        ("replaced by another one", layer(&[file("a", &large), file("a", &other)]), 300_000),
        ("replaced from the middle on", layer(&[file("a", &large), file("a", &half)]), 150_000),
        ("replaced by a link to itself", layer(&[file("a", &large), symlink("a", "a")]), 300_000),
        ("a whiteout with content", layer(&[file(".wh.a", &large)]), 300_000),
        (
            "padding that is not zeros",
            build::tar(&[[Header::new(b'0', b"a", 1).done(), [b"a", &large[..511]].concat()].concat()]),
            511,
        ),
        ("long padding", [layer(&[file("a", &large)]), vec![0; 1 << 20]].concat(), 0),
        ("nothing", Vec::new(), 0),
        ("no end", Header::new(b'0', b"a", 300_000).content(&large), 0),
        ("in pieces", build::tar(&[build::entry(b'0', b"a", &large), padded(b"")]), 0),
    ];
    let shelf = Shelf::new();
    for (what, archive, literal) in rows {
        let (_, size) = check(&shelf, what, &archive);
        assert!(size >= literal, "{what}: {size} bytes");
        assert!(size < literal + 3_000, "{what}: {size} bytes, and {literal} of them are needed");
    }
}

#[test]
fn a_recipe_that_would_be_too_large_is_not_written() {
    let shelf = Shelf::new();
    let archive = layer(&[file("a", &noise(400_000, 1)), file("a", b"other")]);
    let one = unpacked(&shelf, &archive).expect("a layer");
    let refused = shelf.layers.describe(&one, archive.as_slice(), 300_000, &AtomicBool::new(false));
    assert!(matches!(refused, Err(Error::TooLarge { limit: 300_000, .. })), "{refused:?}");
    assert_eq!(one.recipe().expect("a look"), None);
    assert!(matches!(one.archive(), Err(Error::NotFound)));
    assert!(shelf.names("extract").is_empty());
    let size = described(&shelf, &one, &archive).expect("it may be as large as it has to be");
    assert!(shelf.layers.describe(&one, archive.as_slice(), size, &AtomicBool::new(false)).is_ok());
}

#[test]
fn another_archive_makes_no_recipe() {
    let shelf = Shelf::new();
    let archive = layer(&[file("a", b"one")]);
    let one = unpacked(&shelf, &archive).expect("a layer");
    let other = described(&shelf, &one, &layer(&[file("a", b"two")]));
    assert!(matches!(other, Err(Error::DigestMismatch { .. })), "{other:?}");
    let broken = described(&shelf, &one, &archive[..600]);
    assert!(matches!(broken, Err(Error::Archive(_))), "{broken:?}");
    let stopped = shelf.layers.describe(&one, archive.as_slice(), u64::MAX, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    assert_eq!(one.recipe().expect("a look"), None);
    assert!(shelf.names("extract").is_empty());
}

/// A layer with a recipe survives a power cut: what has a recipe was made durable before.
#[test]
fn a_described_layer_is_durable() {
    let shelf = Shelf::new();
    let archive = layer(&[file("a", b"one")]);
    let one = unpacked(&shelf, &archive).expect("a layer");
    described(&shelf, &one, &archive).expect("a recipe");
    let after = shelf.again("the next boot").layer(one.diff_id()).expect("it was made durable");
    assert_eq!(rebuilt(&after), Ok(archive));
}

#[test]
fn a_tree_that_has_changed_is_noticed() {
    type Act = fn(PathBuf);
    let rows: [(&str, Act, &str); 5] = [
        ("a byte", |path| fs::write(path, noise(300_000, 2)).expect("other bytes"), "the uncompressed bytes hash to"),
        ("cut", |path| fs::write(path, &noise(300_000, 1)[..9]).expect("fewer bytes"), "`a` is shorter than it was"),
        ("gone", |path| fs::remove_file(path).expect("gone"), "`a` is no file that can be read any more"),
        (
            "a pipe",
            |path| {
                fs::remove_file(&path).expect("gone");
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                    .expect("a pipe");
            },
            "`a` is no file that can be read any more",
        ),
        (
            "the whole tree",
            |path| fs::remove_dir_all(path.parent().expect("the tree")).expect("gone"),
            "a part of it is missing",
        ),
    ];
    for (what, act, expected) in rows {
        let shelf = Shelf::new();
        let archive = layer(&[file("a", &noise(300_000, 1))]);
        let one = unpacked(&shelf, &archive).expect("a layer");
        described(&shelf, &one, &archive).expect("a recipe");
        one.rebuild(&AtomicBool::new(false)).expect("nothing has changed");
        act(shelf.path(&format!("layers/{}/tree/a", one.diff_id().encoded())));
        let why = one.rebuild(&AtomicBool::new(false)).expect_err(what).to_string();
        assert!(why.contains(expected), "{what}: {why}");
    }
}

/// A recipe is short, so every cut and every bit can be tried.
#[test]
fn a_damaged_recipe_is_noticed_and_written_again() {
    let shelf = Shelf::new();
    let archive = layer(&[file("a", &noise(3_000, 1)), file("b", b"two"), file("b", b"three")]);
    let one = unpacked(&shelf, &archive).expect("a layer");
    described(&shelf, &one, &archive).expect("a recipe");
    let path = shelf.path(&format!("layers/{}/recipe", one.diff_id().encoded()));
    let whole = fs::read(&path).expect("the recipe");
    let notice = |bytes: &[u8], what: String| {
        fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("other bytes");
        match one.rebuild(&AtomicBool::new(false)) {
            Err(Error::Changed(_) | Error::DigestMismatch { .. }) => {}
            // A bit of what a decoder does not look at.
            Ok(()) => assert_eq!(bytes.len(), whole.len(), "{what}"),
            Err(other) => panic!("{what}: {other}"),
        }
    };
    for length in 0..whole.len() {
        notice(&whole[..length], format!("{length} bytes"));
    }
    for bit in 0..8 * whole.len() {
        let mut other = whole.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        notice(&other, format!("bit {bit}"));
    }
    notice(b"", "nothing".to_owned());
    assert_eq!(described(&shelf, &one, &archive).expect("a new recipe"), whole.len() as u64);
    assert_eq!(rebuilt(&one), Ok(archive));
}
