//! Somebody moves directories and links about while a layer is applied.

use super::apply_to;
use super::write::{character, directory, file, layer, link, symlink};
use crate::support::tree;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink as make_symlink;
use std::sync::atomic::{AtomicU64, Ordering};
use wharf::layers::Rights;
use wharf::layers::apply::Budget;

/// How often a directory is exchanged for a link.
const SWAPS: u64 = 100_000;

#[test]
fn nothing_gets_out_while_directories_become_links_and_back() {
    let place = tempfile::tempdir().expect("there is room for temporary files");
    let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
    for path in ["inside/a/b", "inside/c", "inside/d/b", "outside/b/sub", "outside/sub"] {
        fs::create_dir_all(place.path().join(path)).expect("a directory can be made");
    }
    fs::write(outside.join("b/kept"), "kept").expect("a file can be written");
    let before = tree::read(&outside);
    // A directory each, and a link out of the tree: one that is relative, one that is not.
    let pairs = [(inside.join("a"), inside.join(".a")), (inside.join("d/b"), inside.join("c/b"))];
    make_symlink("../outside", &pairs[0].1).expect("a link can be made");
    make_symlink(outside.join("b"), &pairs[1].1).expect("a link can be made");
    let (swaps, mut layers, mut whole) = (AtomicU64::new(0), 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while swaps.load(Ordering::Relaxed) < SWAPS {
                for (one, other) in &pairs {
                    // One may be gone for a moment: a layer removes links that are in its way.
                    if renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                    } else if !other.exists() {
                        let _ = make_symlink(outside.join("b"), other);
                    }
                }
            }
        });
        while swaps.load(Ordering::Relaxed) < SWAPS {
            layers += 1;
            let entries: Vec<_> = (0..20)
                .flat_map(|number| {
                    let d = if number % 2 == 0 { "a" } else { "d" };
                    [
                        file(format!("{d}/b/{layers}-{number}"), b"x").mode(0o4755).owner(1, 1),
                        directory(format!("{d}/b/sub/{number}")).mode(0o2777),
                        file(format!("{d}/b/kept"), b"overwritten"),
                        file(format!("{d}/.wh.kept"), b""),
                        symlink(format!("{d}/l{number}"), "/x"),
                        link(format!("{d}/b/h{number}"), format!("{d}/b/kept")).mode(0o777),
                        character(format!("{d}/b/sub/null"), 1, 3).mode(0o777),
                        directory(format!("{d}/b")).mode(0o777).xattr("user.swapped", b"x"),
                    ]
                })
                .collect();
            // Half of them end early, because what was there a moment ago is gone. That is no matter here.
            whole += u32::from(apply_to(&inside, &layer(&entries), Rights::Root, &Budget::default()).is_ok());
        }
    });
    println!("{} swaps during {layers} layers, of which {whole} were applied whole", swaps.load(Ordering::Relaxed));
    let differences = tree::differences(&before, &tree::read(&outside), |_, _, _| false);
    assert!(differences.is_empty(), "{} of them, as in {}", differences.len(), differences[0]);
}
