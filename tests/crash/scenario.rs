//! What is broken off: a pull, or a verb that changes what is here. With each the store that it begins with, and what the
//! names are before it and after it. There is nothing between: names change together.
//!
//! `save` and `push` as it is usual are not among them: they change no more than the record of when a name was used, or of
//! what has happened, in one commit as each of these has. `copy` opens no store.

use crate::calls::{Call, Deed};
use crate::images::{self, BYSTANDER, KEPT, NAME, NEW_NAME, Version, target};
use crate::machine::{Machine, copy};
use crate::tracer::{self, Blow, Strike};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The snapshot that it is about.
pub(crate) const SHOT: &str = "work";
/// A snapshot that nothing is done to.
const OTHER: &str = "other";
/// What somebody writes into a snapshot: files, links, and what goes of the image.
const WRITE: &str = "umask 022; mkdir -p kept/deep; echo one > kept/one; ln kept/one kept/same; ln -s one kept/link; \
                     head -c 70000 /dev/zero > kept/deep/large; chmod 4711 kept/deep/large; chown 7:8 kept/one; \
                     for old in usr/bin var; do if [ -e $old ]; then rm -r $old; fi; done; \
                     if [ -e etc ]; then echo more >> etc/os-release; fi; mkdir var; echo new > var/gone";
/// When the image that is made was made.
const MOMENT: &str = "1700000000";

/// What names point to.
pub(crate) type Names = BTreeMap<&'static str, String>;

/// What was there before, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// A pull into nothing, not even a store.
    Fresh,
    /// A pull, with the old version under the name, and another image.
    Moved,
    /// A pull, with what one left that was killed, and another image.
    Resumed,
    /// `tag` of a name that is new, and of one that pointed to the old version, which nothing needs then.
    Tagged,
    /// `rm` of the last name of an image that shares layers with another one.
    Removed,
    /// `prune --all`, with an image that a lease holds, which shares layers with one of those that go.
    Pruned,
    /// `gc`, with what an image left whose name went, and what a pull left that was killed.
    Collected,
    /// `load` of a file, with the old version under the name, and another image.
    Loaded,
    /// `retain unpacked` of a name that shares a layer with another one, of which everything is kept.
    Retained,
    /// `push --compress`, which makes layers and takes them away again; as a plan, which does the same here.
    Compressed,
    /// `snapshot prepare` on an image, next to a snapshot that somebody has written to.
    Prepared,
    /// `snapshot commit` of what somebody has written to a snapshot, under a new name.
    Committed,
    /// `snapshot rm` of one that somebody has written to, next to another one.
    Discarded,
}

impl Scenario {
    pub(crate) const ALL: [Self; 13] = [
        Self::Fresh,
        Self::Moved,
        Self::Resumed,
        Self::Tagged,
        Self::Removed,
        Self::Pruned,
        Self::Collected,
        Self::Loaded,
        Self::Retained,
        Self::Compressed,
        Self::Prepared,
        Self::Committed,
        Self::Discarded,
    ];

    pub(crate) fn is_pull(self) -> bool {
        matches!(self, Self::Fresh | Self::Moved | Self::Resumed)
    }

    /// Whether it brings an image.
    pub(crate) fn brings(self) -> bool {
        self.is_pull() || self == Self::Loaded
    }

    /// Whether people do it to have more room: then a full disk is no reason to fail.
    pub(crate) fn frees(self) -> bool {
        matches!(self, Self::Removed | Self::Pruned | Self::Collected | Self::Discarded)
    }

    /// The snapshots that somebody has written to, before.
    pub(crate) fn shots_before(self) -> &'static [&'static str] {
        match self {
            Self::Prepared => &[OTHER],
            Self::Committed | Self::Discarded => &[OTHER, SHOT],
            _ => &[],
        }
    }

    /// Those that can be written to once it is done.
    pub(crate) fn shots_after(self) -> &'static [&'static str] {
        match self {
            Self::Prepared | Self::Committed => &[OTHER, SHOT],
            Self::Discarded => &[OTHER],
            _ => &[],
        }
    }

    /// What the names point to before.
    pub(crate) fn before(self) -> Names {
        let (old, new, other) = (target(Version::Old), target(Version::New), images::bystander());
        match self {
            Self::Fresh => Names::new(),
            Self::Moved | Self::Loaded => [(NAME, old), (BYSTANDER, other)].into(),
            Self::Resumed | Self::Collected => [(BYSTANDER, other)].into(),
            Self::Tagged | Self::Removed | Self::Pruned | Self::Retained | Self::Compressed => {
                [(NAME, new), (KEPT, old), (BYSTANDER, other)].into()
            }
            Self::Prepared | Self::Committed | Self::Discarded => [(NAME, new), (BYSTANDER, other)].into(),
        }
    }

    /// What the names point to once it is done, but for an image that is made: what that hashes to, `Base` finds out.
    pub(crate) fn after(self) -> Names {
        let mut names = self.before();
        match self {
            Self::Fresh | Self::Moved | Self::Resumed | Self::Loaded => {
                drop(names.insert(NAME, target(Version::New)));
            }
            Self::Tagged => names.extend([(NEW_NAME, target(Version::New)), (KEPT, target(Version::New))]),
            Self::Removed => drop(names.remove(NAME)),
            Self::Pruned => names.retain(|name, _| *name == KEPT),
            Self::Collected
            | Self::Retained
            | Self::Compressed
            | Self::Prepared
            | Self::Committed
            | Self::Discarded => {}
        }
        names
    }

    /// What is broken off.
    pub(crate) fn command(self, machine: &Machine, store: &Path) -> Command {
        match self {
            Self::Fresh | Self::Moved | Self::Resumed => machine.pull(store, NAME, Version::New),
            Self::Tagged => machine.command(store, &["tag", NAME, NEW_NAME, KEPT]),
            Self::Removed => machine.command(store, &["rm", NAME]),
            Self::Pruned => machine.command(store, &["prune", "--all"]),
            Self::Collected => machine.collect(store),
            Self::Loaded => machine.load(store),
            Self::Retained => machine.command(store, &["retain", "unpacked", NAME]),
            Self::Compressed => machine.compress(store, NAME, Version::New),
            Self::Prepared => machine.command(store, &["snapshot", "prepare", SHOT, NAME]),
            Self::Committed => {
                machine.command(store, &["snapshot", "commit", "--quiet", "--created", MOMENT, SHOT, NEW_NAME])
            }
            Self::Discarded => machine.command(store, &["snapshot", "rm", SHOT]),
        }
    }

    /// What is done next, and is broken off as well.
    pub(crate) fn next(self, machine: &Machine, store: &Path) -> Command {
        if self.is_pull() { self.command(machine, store) } else { machine.collect(store) }
    }

    /// Makes the store that it begins with.
    pub(crate) fn prepare(self, machine: &Machine, store: &Path) {
        let run = |command| {
            let output = machine.run(command);
            assert!(output.status.success(), "{}", crate::check::said(&output));
        };
        let pull = |name, version| run(machine.pull(store, name, version));
        let wharf = |arguments: &[&str]| run(machine.command(store, arguments));
        let write = |shot, name| {
            wharf(&["snapshot", "prepare", shot, name]);
            wharf(&["snapshot", "mount", shot, "--", "sh", "-ec", WRITE]);
        };
        match self {
            Self::Fresh => {}
            Self::Moved | Self::Loaded => {
                pull(BYSTANDER, Version::Old);
                pull(NAME, Version::Old);
            }
            Self::Resumed => {
                pull(BYSTANDER, Version::Old);
                break_off(machine, store);
            }
            Self::Tagged | Self::Removed | Self::Pruned | Self::Retained | Self::Compressed => {
                pull(BYSTANDER, Version::Old);
                pull(NAME, Version::Old);
                wharf(&["tag", NAME, KEPT]);
                pull(NAME, Version::New);
                if self == Self::Pruned {
                    wharf(&["lease", "create", KEPT]);
                }
            }
            Self::Collected => {
                pull(BYSTANDER, Version::Old);
                pull(NAME, Version::Old);
                wharf(&["rm", "--no-prune", NAME]);
                break_off(machine, store);
            }
            Self::Prepared | Self::Committed | Self::Discarded => {
                pull(BYSTANDER, Version::Old);
                pull(NAME, Version::New);
                write(OTHER, BYSTANDER);
                if self != Self::Prepared {
                    write(SHOT, NAME);
                }
            }
        }
    }
}

/// Leaves a pull that was killed at the last write of the download of its largest layer.
fn break_off(machine: &Machine, store: &Path) {
    let command = || machine.pull(store, NAME, Version::New);
    let template = machine.place("template");
    copy(store, &template);
    let whole = tracer::run(command(), store, None);
    let data = |call: &Call| call.deed == Deed::Write && call.path.ends_with("data");
    let points: Vec<_> = (1..).zip(&whole.calls).filter(|(_, call)| data(call)).map(|(at, _)| at).collect();
    let point = points[points.len() - 1];
    copy(&template, store);
    let run = tracer::run(command(), store, Some(Strike { point, blow: Blow::Kill }));
    assert!(run.struck.is_some(), "the pull that is to be broken off was not killed");
}
