//! What becomes of a component that attacks its host: `tests/hostile` in the place of wharf's own, on a real store, with
//! the limits of every call. Whatever it tries ends in a trap or an error with a type; the host goes on, and has no more
//! memory or descriptors than before.
//!
//! | file | attempts |
//! | --- | --- |
//! | `hoards` | too much time, memory, stack, handles, words for the log |
//! | `forgeries` | handles, texts and cases that are none |
//! | `escapes` | names that are paths, addresses that nobody gave, logins |
//! | `deaths` | traps in the middle of things, and random calls by a seed |
//! | `remains` | what is left in memory for whoever gets it next |
//! | `answers` | the same input twice, and a component that is another's |
//!
//! Tests here run one at a time: they look at the memory and the descriptors of the process.

#![allow(clippy::disallowed_methods, reason = "tests take the authority that they hand to the code under test")]
#![allow(missing_docs, reason = "a test's name says what it is about")]

mod answers;
mod deaths;
mod escapes;
mod forgeries;
mod hoards;
mod remains;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wharf::credentials::{self, Credentials, Document};
use wharf::engine::{Crossings, Limits, Services, Stranger};
use wharf::layers::{self, Rights};
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_hostile::COMPONENT;

static ALONE: Mutex<()> = Mutex::new(());
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the machine gives threads"));
static STRANGER: LazyLock<Stranger> = LazyLock::new(|| {
    // SAFETY: the build script of `wharf-hostile` made it with the engine's configuration.
    unsafe { Stranger::load(COMPONENT) }.expect("a component with wharf's imports is linked")
});

/// A store, and the services on it.
struct Host {
    services: Services,
    directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What came of an attack.
#[derive(Debug)]
struct Outcome {
    /// What it returned, or why it was stopped.
    said: Result<Vec<String>, String>,
    /// What it did before.
    crossings: Crossings,
}

impl Outcome {
    /// Why it was stopped.
    fn trap(&self) -> &str {
        self.said.as_ref().expect_err("the attack is stopped")
    }

    fn words(&self) -> &[String] {
        self.said.as_deref().expect("the attack comes to its end")
    }
}

impl Host {
    fn new() -> Self {
        Self::with(credentials::Settings::default())
    }

    /// A host whose user has this login for `registry`.
    fn with_login(registry: &str, login: &str) -> Self {
        let bytes = format!(r#"{{"auths":{{"{registry}":{{"auth":"{login}"}}}}}}"#).into_bytes();
        let documents = vec![Document { label: "config.json".to_owned(), bytes }];
        let host = Self::with(credentials::Settings { documents, ..Default::default() });
        let credentials = host.services.credentials.named(&[registry.to_owned()]);
        Self { services: Services { credentials, ..host.services.clone() }, ..host }
    }

    fn with(settings: credentials::Settings) -> Self {
        // A test that failed has harmed nothing that another uses.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("it is there");
        let rights = if rustix::process::geteuid().is_root() { Rights::Root } else { Rights::User };
        let layer = layers::Settings { rights, boot: "this".to_owned(), proc: open(Path::new("/proc")) };
        let root = directory.path().join("store");
        std::fs::create_dir(&root).expect("the directory is writable");
        let Store { content, layers, metadata } = Store::open(&open(&root), &root, layer).expect("an empty directory");
        let network = Network::new(network::Settings::default()).expect("nothing is wrong with the defaults");
        let credentials = Credentials::new(settings, network.clone()).expect("there are no realms");
        let services = Services { content, layers, metadata, credentials, network };
        Self { services, directory, _alone: alone }
    }

    fn attack(&self, name: &str, words: &[&str], count: u64) -> Outcome {
        self.attack_within(&Limits::default(), name, words, count)
    }

    fn attack_within(&self, limits: &Limits, name: &str, words: &[&str], count: u64) -> Outcome {
        RUNTIME.block_on(attack(&self.services, limits, name, words, count))
    }

    /// Asserts that the host does what it is for.
    fn assert_works(&self) {
        let digest = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        assert_eq!(self.attack("honest", &[], 0).words(), [digest]);
    }
}

/// Runs one attack in a store of its own.
async fn attack(services: &Services, limits: &Limits, name: &str, words: &[&str], count: u64) -> Outcome {
    let arguments = (name.to_owned(), words.iter().map(|&word| word.to_owned()).collect(), count);
    let (mut store, instance) = STRANGER.instantiate(services, limits).await.expect("it is linked");
    let attack = instance
        .get_typed_func::<(String, Vec<String>, u64), (Vec<String>,)>(&mut store, "attack")
        .expect("the world has this export");
    let run = store.run_concurrent(async |accessor| attack.call_concurrent(accessor, arguments).await);
    // What waits for itself waits for ever, as a good component's mistake would; whoever called it can go away.
    let said = match tokio::time::timeout(Duration::from_secs(60), run).await {
        Ok(outcome) => outcome.flatten().map(|(words,)| words).map_err(|error| format!("{error:#}")),
        Err(_) => Err("it waits".to_owned()),
    };
    Outcome { said, crossings: store.data().crossings().clone() }
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("it is mounted").count()
}

/// Memory of this process that is not on disk, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("it is mounted");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kib << 10
}

/// Does something four times, and says by how many descriptors and bytes the process grew from one time to the next, in
/// the round that left least: allocators keep what they may need again, and what is leaked is leaked in every round.
fn growth(mut once: impl FnMut()) -> (i64, i64) {
    let mut rounds = Vec::new();
    for _ in 0..4 {
        once();
        settle();
        rounds.push((descriptors() as i64, resident() as i64));
    }
    let grown = rounds.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1));
    grown.fold((i64::MAX, i64::MAX), |(files, bytes), (more, larger)| (files.min(more), bytes.min(larger)))
}

/// Waits until what a dropped store had on other threads has ended, as far as descriptors tell.
fn settle() {
    let (mut known, mut same) = (descriptors(), 0);
    while same < 5 {
        std::thread::sleep(Duration::from_millis(20));
        let now = descriptors();
        same = if now == known { same + 1 } else { 0 };
        known = now;
    }
}
