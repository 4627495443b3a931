//! Breaks pulls, and verbs that change what is here, on real files, and looks at what is left: `SIGKILL`, an errno and a
//! power cut at every system call that changes the store, full disks, and damage to every file of a store.
//!
//! ```text
//! cargo test --release --test crash                          # a share of everything, for every run of the tests
//! cargo test --release --test crash -- --whole               # everything
//! cargo test --release --test crash -- --kind power --scenario moved --point 117
//! cargo test --release --test crash -- --planted             # shows that it finds faults of the host
//! ```
//!
//! After each it looks whether all that wharf promises is true (`check`), and whether the same verb heals the store (`heal`). It takes
//! root: it mounts disks and overlays, where nobody else sees them.

#![allow(clippy::disallowed_methods, reason = "a test takes the authority that it needs")]

mod bench;
mod calls;
mod check;
mod corrupt;
mod full;
mod heal;
mod images;
mod machine;
#[path = "../native.rs"]
mod native;
mod order;
mod planted;
mod points;
mod scenario;
mod shots;
mod tracer;
#[path = "../support/tree.rs"]
mod tree;

use bench::Bench;
use clap::Parser;
use nix::errno::Errno;
use points::Kind;
use scenario::Scenario;
use std::path::PathBuf;
use std::process::ExitCode;
use tracer::{Blow, Strike};

/// What `cargo test` expects of a test that failed.
const FAILED: u8 = 101;

/// Breaks pulls and other verbs on real files, and looks at what is left.
#[derive(Clone, Debug, Parser)]
#[command(name = "crash")]
struct Arguments {
    /// Run everything, not a share.
    #[arg(long)]
    whole: bool,
    /// What happens; without it, everything.
    #[arg(long)]
    kind: Option<Kind>,
    /// What is broken off, and what was there before.
    #[arg(long)]
    scenario: Option<Scenario>,
    /// At which call, which room or which damage, from 1 on.
    #[arg(long)]
    point: Option<usize>,
    /// Kill after the call, not before it.
    #[arg(long)]
    after: bool,
    /// Which errno, as in `EIO`; `SHORT` for a write of half the bytes.
    #[arg(long)]
    errno: Option<String>,
    /// Show that faults that are planted into the host are found, or that one of them is.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    planted: Option<String>,
    /// Another program than the one that was built.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_wharf"))]
    program: PathBuf,
    /// Run only if this has the word; `cargo test` says so to every test.
    words: Vec<String>,
    /// Say what there is, and run nothing.
    #[arg(long)]
    list: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
}

impl Arguments {
    /// The one strike that was asked for.
    fn strike(&self) -> Option<Strike> {
        let blow = match self.errno.as_deref() {
            None if self.after => Blow::KillAfter,
            None => Blow::Kill,
            Some("SHORT") => Blow::Short,
            Some(name) => {
                let known = [Errno::EIO, Errno::ENOSPC, Errno::EROFS, Errno::EDQUOT, Errno::EMFILE];
                let found = known.into_iter().find(|errno| format!("{errno:?}") == name);
                Blow::Fail(found.unwrap_or_else(|| panic!("`{name}` is none of {known:?}, SHORT")))
            }
        };
        Some(Strike { point: self.point?, blow })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("crash: test");
        return ExitCode::SUCCESS;
    }
    let is_asked = arguments.words.is_empty() || arguments.words.iter().any(|word| "crash".contains(&**word));
    if !is_asked || arguments.ignored || arguments.skip.iter().any(|word| "crash".contains(&**word)) {
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("error: `crash` mounts disks and overlays, and that takes root: run `tests/run` as root");
        return ExitCode::from(FAILED);
    }
    let failed = match &arguments.planted {
        Some(name) => planted::run(&arguments, name),
        None => Bench::with(&arguments, |bench| bench.run()),
    };
    if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}
