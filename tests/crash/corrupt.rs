//! Damage to one file of a store, of every kind: what has nothing to do with it goes on to work, a look at the store
//! finds it, and what wharf is told to repair is whole again.

use crate::check::{Expected, said, succeeds};
use crate::images::{BYSTANDER, NAME, Version};
use crate::machine::{Machine, clear, copy};
use crate::points::{Case, Outcome};
use crate::scenario::Scenario;
use crate::tracer;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Emptied,
    Halved,
    LastByteLost,
    FirstByteFlipped,
    MiddleByteFlipped,
    LastByteFlipped,
    BecameDirectory,
    BecameLink,
    NobodyMayRead,
    Gone,
}

const DAMAGES: [Damage; 10] = [
    Damage::Emptied,
    Damage::Halved,
    Damage::LastByteLost,
    Damage::FirstByteFlipped,
    Damage::MiddleByteFlipped,
    Damage::LastByteFlipped,
    Damage::BecameDirectory,
    Damage::BecameLink,
    Damage::NobodyMayRead,
    Damage::Gone,
];

/// A store, and what is in it.
#[derive(Debug)]
pub(crate) struct Sound {
    pub(crate) scenario: Scenario,
    store: PathBuf,
    /// Every file, in order.
    files: Vec<PathBuf>,
    /// Files of the other image.
    others: BTreeSet<PathBuf>,
    /// Files of both images.
    needed: BTreeSet<PathBuf>,
}

impl Sound {
    /// Takes the store of a scenario, after the pull unless that is what is to be resumed.
    pub(crate) fn make(machine: &Machine, scenario: Scenario, from: &Path, at: &Path) -> Self {
        let store = at.join(format!("{scenario:?}.sound"));
        let alone = machine.place("alone");
        succeed(machine, &alone, BYSTANDER);
        if from.exists() {
            copy(from, &store);
        }
        if scenario != Scenario::Resumed {
            succeed(machine, &store, NAME);
        }
        let others = files(&alone).into_iter().collect();
        succeed(machine, &alone, NAME);
        let needed = files(&alone).into_iter().collect();
        Self { scenario, files: files(&store), others, needed, store }
    }

    /// How many cases there are.
    pub(crate) fn cases(&self) -> usize {
        self.files.len() * DAMAGES.len()
    }

    /// Damages one file in one way.
    pub(crate) fn run(&self, machine: &Machine, expected: &Expected, case: Case) -> Outcome {
        let (file, damage) = ((case.strike.point - 1) / DAMAGES.len(), (case.strike.point - 1) % DAMAGES.len());
        let (file, damage) = (&self.files[file], DAMAGES[damage]);
        let store = machine.place("work");
        copy(&self.store, &store);
        let struck = damage.strike(&store.join(file));
        let mut outcome = Outcome { struck, victim: format!("{damage:?}: {}", file.display()), ..Outcome::default() };
        if !struck {
            return outcome;
        }
        let is_common = file.components().count() == 1;
        let is_other = self.others.contains(file) && !is_common;
        let has_name = self.scenario != Scenario::Resumed;
        let unrelated = if !is_other { Some(BYSTANDER) } else { has_name.then_some(NAME) };
        if let Some(name) = unrelated.filter(|_| !is_common) {
            for verb in [&["images"][..], &["mounts"], &["inspect", name], &["ls", name]] {
                outcome.wrong.extend(succeeds(machine, &store, verb).err());
            }
        }
        let is_tree = file.components().any(|part| part.as_os_str() == "tree");
        let is_seen = is_tree || file.starts_with("blobs") && damage != Damage::NobodyMayRead;
        // What is left of a pull that was broken off is needed by no image yet.
        let needed = if has_name { &self.needed } else { &self.others };
        if is_seen && needed.contains(file) && machine.run(machine.look(&store)).status.success() {
            outcome.wrong.push("nobody finds it".to_owned());
        }
        outcome.wrong.extend(self.repaired(machine, expected, &store));
        outcome
    }

    /// Repairs, pulls, and returns what is wrong then.
    fn repaired(&self, machine: &Machine, expected: &Expected, store: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        let repair = machine.run(machine.repair(store, Version::New));
        if repair.status.code().is_none_or(|code| code > 1) {
            wrong.push(format!("the repair crashed: {}", said(&repair)));
        }
        for name in [BYSTANDER, NAME] {
            let run = tracer::run(machine.pull(store, name, Version::New), store, None);
            if run.code != Some(0) {
                wrong.push(format!("a pull of `{name}` does not heal: {}", run.stderr));
            }
        }
        wrong.extend(expected.healed(machine, store, Scenario::Moved.after()));
        wrong
    }
}

fn succeed(machine: &Machine, store: &Path, name: &str) {
    let output = machine.run(machine.pull(store, name, Version::New));
    assert!(output.status.success(), "{}", said(&output));
}

/// Every file below a directory, in order. Names of the kernel's own are none.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut left) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(root.join(&directory)).expect("a store can be read") {
            let path = directory.join(entry.expect("a store can be read").file_name());
            let kind = fs::symlink_metadata(root.join(&path)).expect("it is there").file_type();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

impl Damage {
    /// Does it, and returns whether there was anything to do.
    fn strike(self, path: &Path) -> bool {
        let length = fs::metadata(path).expect("it is there").len();
        let cut = |to| open(path).set_len(to).expect("root may");
        let flip = |at: u64| {
            let (file, mut byte) = (open(path), [0]);
            file.read_exact_at(&mut byte, at).and_then(|()| file.write_all_at(&[!byte[0]], at)).expect("root may");
        };
        let is_empty = length == 0;
        match self {
            Self::Emptied | Self::Halved | Self::LastByteLost if is_empty => return false,
            Self::FirstByteFlipped | Self::MiddleByteFlipped | Self::LastByteFlipped if is_empty => return false,
            Self::Emptied => cut(0),
            Self::Halved => cut(length / 2),
            Self::LastByteLost => cut(length - 1),
            Self::FirstByteFlipped => flip(0),
            Self::MiddleByteFlipped => flip(length / 2),
            Self::LastByteFlipped => flip(length - 1),
            Self::BecameDirectory => {
                clear(path);
                fs::create_dir(path).expect("root may");
            }
            Self::BecameLink => {
                clear(path);
                std::os::unix::fs::symlink("/etc/hostname", path).expect("root may");
            }
            Self::NobodyMayRead => fs::set_permissions(path, fs::Permissions::from_mode(0o0)).expect("root may"),
            Self::Gone => clear(path),
        }
        true
    }
}

fn open(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(path).expect("root may open any file")
}
