//! A prune beside four pulls, again and again, each in a process of its own: every image that was pulled is whole. This is
//! what makes other stores lose blobs of an image that is on its way.
//!
//! Tags move all the time, so that each pull brings something, and leaves something that nothing needs. Now and then a
//! name is removed before it is pulled again, or pulled once more by its digest, without a tag: then it is pruned.

use super::registry::Registry;
use super::worker::{caller, options, services};
use super::world::{Dice, REPOSITORIES, TAGS};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wharf::images::{Change, Collecting, ErrorCode, Failure, Pruning, Removal, Wharf};

/// What belongs into every run of the tests, in seconds.
pub(crate) const SHARE_S: u64 = 5;
/// What `--whole` does, in seconds.
pub(crate) const WHOLE_S: u64 = 300;
/// Which process prunes; the others pull, each a name of its own.
const PRUNER: usize = REPOSITORIES.len();

/// One of the processes.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) store: String,
    pub(crate) registry: String,
    pub(crate) number: usize,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
}

/// What was done, and what was wrong.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Count {
    pulls: usize,
    prunes: usize,
    /// Blobs and layers that were removed because nothing needed them.
    freed: usize,
    /// How many images were looked at after their pull.
    checked: usize,
    pub(crate) violations: Vec<String>,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.pulls += other.pulls;
        self.prunes += other.prunes;
        self.freed += other.freed;
        self.checked += other.checked;
        self.violations.extend(other.violations);
    }

    /// As it is printed.
    pub(crate) fn text(&self, seconds: u64) -> String {
        let Self { pulls, prunes, freed, checked, violations } = self;
        format!(
            "races: prunes beside pulls: {seconds} s, {pulls} pulls, {prunes} prunes that took {freed} blobs and layers, \
             {checked} images looked at, {} violations",
            violations.len()
        )
    }
}

/// Lets all of them run for so long, and returns what they did.
pub(crate) fn run(directory: &Path, dice: &mut Dice, seconds: u64, clock: fn() -> u64) -> Count {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("the machine gives a runtime");
    let registry = runtime.block_on(Registry::start(dice.below(u64::MAX), clock)).expect("the machine gives a port");
    let store = directory.join("store");
    std::fs::create_dir(&store).expect("a directory");
    let start = |number: usize, seed: u64| {
        Command::new(std::env::current_exe().expect("the path of this program"))
            .arg("--beside")
            .arg(&store)
            .args([registry.address().to_string(), number.to_string(), seed.to_string(), seconds.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again")
    };
    let processes: Vec<_> = (0..=PRUNER).map(|number| start(number, dice.below(u64::MAX))).collect();
    let mut all = Count::default();
    for process in processes {
        let output = process.wait_with_output().expect("it is a child");
        match serde_json::from_slice(&output.stdout) {
            Ok(count) if output.status.success() => all.add(count),
            _ => all.violations.push(format!("a process ended with {}", output.status)),
        }
    }
    all.violations.extend(last(&runtime, &store));
    if all.pulls == 0 || all.prunes == 0 || all.freed == 0 {
        all.violations.push("there was nothing to pull, or nothing to prune".to_owned());
    }
    all
}

/// Looks at everything when all are done.
fn last(runtime: &Runtime, store: &Path) -> Vec<String> {
    let wharf = Wharf::new(services(store)).expect("the embedded component loads");
    let stop = CancellationToken::new();
    match runtime.block_on(wharf.fsck(&caller(), &[], None, false, &stop, &mut |_| {})) {
        Ok(found) => found.flaws.into_iter().map(|flaw| format!("in the end: {flaw:?}")).collect(),
        Err(failure) => vec![format!("in the end: {failure:?}")],
    }
}

/// One process.
pub(crate) async fn work(part: &Part) -> Count {
    let wharf = Wharf::new(services(Path::new(&part.store))).expect("the embedded component loads");
    let (mut count, mut dice, began) = (Count::default(), Dice::new(part.seed), Instant::now());
    while began.elapsed() < Duration::from_secs(part.seconds) {
        let done = match part.number {
            PRUNER => prune(&wharf, &mut count).await,
            number => {
                let name = format!("{}/{}:{}", part.registry, REPOSITORIES[number], TAGS[0]);
                pull(&wharf, &name, &mut dice, &mut count).await
            }
        };
        if let Err(failure) = done {
            count.violations.push(format!("process {}: {failure:?}", part.number));
        }
    }
    count
}

/// Removes what has no tag, and what nothing needs.
async fn prune(wharf: &Wharf, count: &mut Count) -> Result<(), Failure> {
    let who = "the process that prunes".to_owned();
    let prune = Change::Prune(Pruning { all: false, filters: Vec::new(), keep_bytes: None, who });
    for change in [prune, Change::Collect(Collecting { ingest_age_s: 0 })] {
        let changed = wharf.perform(&caller(), &change, &CancellationToken::new(), &mut |_| {}).await?;
        count.freed += changed.removed.blobs.len() + changed.removed.layers.len();
        count.prunes += 1;
    }
    Ok(())
}

/// Pulls a name that nobody else pulls or removes, and looks at it.
async fn pull(wharf: &Wharf, name: &str, dice: &mut Dice, count: &mut Count) -> Result<(), Failure> {
    let (caller, stop) = (caller(), CancellationToken::new());
    if dice.below(3) == 0 {
        let change = Change::Remove(Removal {
            references: vec![name.to_owned()],
            force: false,
            no_prune: dice.below(2) == 0,
            platforms: Vec::new(),
        });
        match wharf.perform(&caller, &change, &stop, &mut |_| {}).await {
            // The first time it is not here.
            Err(Failure::Problem(problem)) if matches!(problem.code, ErrorCode::NotFound) && count.pulls == 0 => {}
            other => drop(other?),
        }
    }
    let options = options(dice.below(2) == 0, false, dice.below(4) == 0);
    let pulled = wharf.pull(&caller, name, &options, &stop, &mut |_| {}).await?;
    count.pulls += pulled.len();
    let found = wharf.fsck(&caller, &[name.to_owned()], None, false, &stop, &mut |_| {}).await?;
    count.checked += 1;
    count.violations.extend(found.flaws.into_iter().map(|flaw| format!("`{name}` was pulled, and {flaw:?}")));
    if dice.below(4) == 0 {
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        for pulled in pulled {
            let untagged = format!("{repository}@{}", pulled.image.target.digest);
            count.pulls += wharf.pull(&caller, &untagged, &options, &stop, &mut |_| {}).await?.len();
        }
    }
    Ok(())
}
