//! One of the processes: it opens the store as the program does, does what its dice say, and writes down what it saw.
//! It judges what it can see alone; the rest is for `checker`. A map:
//!
//! - `draws`: what comes next.
//! - `images`: the verbs that look at images. `changes`: those that change what is here. `held`: leases, ingests, labels.
//! - `passed`: those by which images go into a file, out of it, and to a registry.
//! - `made`: those by which images are made here. `snapshots`: trees that are written to.
//! - `loose`: what no verb does.

mod changes;
mod draws;
mod held;
mod images;
mod loose;
mod made;
mod passed;
mod snapshots;

use super::clock;
use super::failed::Failed;
use super::history::{Fact, Line, Operation, Outcome};
use super::world::{self, Dice, TAGS};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use changes::Saved;
use held::Held;
use snapshots::Prepared;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::hash::{Algorithm, Digest};
use wharf::images::{Access, Caller, Machine, PullOptions, Pulled, Step, Wanted, Wharf};
use wharf::layers::view::View;
use wharf::layers::{self, Rights};
use wharf::network::{self, Network};
use wharf::store::Store;

/// How long a blob is held at most, in milliseconds.
const HOLD_MS_MAX: u64 = 30;
/// When a pull is stopped at the latest, in milliseconds.
const STOP_MS_MAX: u64 = 25;

/// What a worker is told.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The directory of all: `store`, a log and a mount point for each worker.
    pub(crate) directory: PathBuf,
    /// Which of them it is.
    pub(crate) worker: usize,
    /// How many there were in its place before.
    pub(crate) generation: usize,
    /// As in `127.0.0.1:5000`.
    pub(crate) registry: String,
    pub(crate) seed: u64,
    pub(crate) operations: usize,
}

impl Assignment {
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join(format!("worker-{}-{}", self.worker, self.generation))
    }

    /// Where it puts an archive.
    fn archive(&self) -> PathBuf {
        self.directory.join(format!("archive-{}", self.worker))
    }

    fn mount_point(&self) -> PathBuf {
        self.directory.join(format!("mount-{}", self.worker))
    }
}

/// Opens the services on the store in a directory, with the rights of root.
pub(crate) fn services(store: &Path) -> Services {
    let root = Dir::open_ambient_dir(store, ambient_authority()).expect("the store's directory was made");
    let proc = Dir::open_ambient_dir("/proc", ambient_authority()).expect("/proc is mounted");
    let settings = layers::Settings { rights: Rights::Root, boot: "this".to_owned(), proc };
    let Store { content, layers, metadata } = Store::open(&root, store, settings).expect("the store opens");
    let network = Network::new(network::Settings::default()).expect("the defaults are right");
    let credentials = Credentials::new(credentials::Settings::default(), network.clone()).expect("there are no logins");
    Services { content, layers, metadata, credentials, network }
}

/// Who asks, on the machine that the images are for.
pub(crate) fn caller() -> Caller {
    let machine = Machine {
        os: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        big_endian: false,
        amd64_level: 1,
        cpuinfo: String::new(),
        uname: String::new(),
    };
    Caller { namespace: "default".to_owned(), machine }
}

type Facts = Result<Vec<Fact>, Failed>;

/// Does all operations of an assignment.
pub(crate) async fn work(assignment: &Assignment) {
    let services = services(&assignment.directory.join("store"));
    let wharf = Wharf::new(services.clone()).expect("the embedded component loads");
    let mut log = OpenOptions::new().create_new(true).append(true).open(assignment.log()).expect("the log is new");
    let loose = world::loose();
    let digests = loose.iter().map(|bytes| Digest::of(Algorithm::Sha256, bytes).to_string()).collect();
    let caller = caller();
    let mut worker = Worker {
        assignment,
        services,
        wharf,
        caller,
        loose,
        digests,
        seen: BTreeMap::new(),
        saved: None,
        lease: None,
        prepared: None,
    };
    worker.forget_the_dead();
    worker.clear().await;
    let mut dice = Dice::new(assignment.seed);
    for _ in 0..assignment.operations {
        let operation = worker.draw(&mut dice);
        note(&mut log, &Line::Began { at: clock(), operation: operation.clone() });
        let outcome = match worker.act(&operation, &mut dice).await {
            Ok(facts) => Outcome::Done(facts),
            Err(Failed { code, why }) => Outcome::Failed { code, why },
        };
        note(&mut log, &Line::Ended { at: clock(), outcome });
        // Another process may be what opens the store next.
        if dice.below(100) == 0 {
            worker.services = self::services(&assignment.directory.join("store"));
            worker.wharf = Wharf::new(worker.services.clone()).expect("the embedded component loads");
        }
    }
}

/// One write a line, so that a line that was killed is the last one.
fn note(log: &mut File, line: &Line) {
    let mut text = serde_json::to_string(line).expect("a line is text and numbers");
    text.push('\n');
    log.write_all(text.as_bytes()).expect("the log can be written");
}

struct Worker<'a> {
    assignment: &'a Assignment,
    services: Services,
    wharf: Wharf,
    caller: Caller,
    loose: Vec<Vec<u8>>,
    digests: Vec<String>,
    /// What names pointed to when they were last changed by this process.
    seen: BTreeMap<String, String>,
    /// A plan that is not carried out yet.
    saved: Option<Saved>,
    /// A lease that is not released yet.
    lease: Option<Held>,
    /// A snapshot that is not removed yet.
    prepared: Option<Prepared>,
}

impl Worker<'_> {
    /// As the registry is written in a reference.
    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.assignment.registry)
    }

    /// The name without the registry.
    fn short(&self, name: &str) -> String {
        name.strip_prefix(&format!("{}/", self.assignment.registry)).unwrap_or(name).to_owned()
    }

    async fn act(&mut self, operation: &Operation, dice: &mut Dice) -> Facts {
        match operation {
            Operation::Pull { names, unpack, whole, stop_ms } => {
                self.pull(names, options(*unpack, names.len() > 1, *whole), *stop_ms).await
            }
            Operation::Plan { name } => {
                let plans =
                    self.wharf.plan_pull(&self.caller, &self.reference(name), &options(false, false, false)).await?;
                Ok(plans.names.into_iter().map(|plan| self.resolved(&plan.name, plan.target.digest)).collect())
            }
            Operation::Images => self.images().await,
            Operation::Inspect { name } => {
                let text = self.wharf.inspect(&self.caller, &self.reference(name), None, true, true).await?;
                let object: serde_json::Value = serde_json::from_str(&text).expect("the component writes JSON");
                let digest = object["Descriptor"]["digest"].as_str().map(str::to_owned);
                Ok(vec![Fact::Read { name: name.clone(), digest }])
            }
            Operation::Save { name } => self.save(name).await,
            Operation::Load { name, names, stop_ms } => self.load(name, names, *stop_ms, dice).await,
            Operation::Import { name, text, stop_ms } => self.import(name, text, *stop_ms).await,
            Operation::Compose { name, edit, mark } => self.compose(name, edit, mark).await,
            Operation::Prepare { name } => self.prepare(name).await,
            Operation::Commit { name, text, stop_ms } => self.commit(name, text, *stop_ms).await,
            Operation::Leave => self.leave().await,
            Operation::Push { name, stop_ms } => self.push(name, *stop_ms).await,
            Operation::Copy { name } => self.copy(name).await,
            Operation::History { name } => {
                let steps = self.wharf.history(&self.caller, &self.reference(name), None).await?;
                // What no instruction has made says in words how it came about.
                let said =
                    |step: &Step| [&step.created_by, &step.comment].into_iter().find(|it| !it.is_empty()).cloned();
                let text = steps.first().and_then(said).unwrap_or_default();
                Ok(vec![Fact::Told { name: name.clone(), text }])
            }
            Operation::Unpack { name } => {
                let (tree, snapshot) = self.snapshot(name).await?;
                Ok(vec![self.tree(name, tree, &View::new(&self.services.layers, &snapshot)?)?])
            }
            Operation::List { name } => {
                let (tree, snapshot) = self.snapshot(name).await?;
                let view = View::new(&self.services.layers, &snapshot)?;
                let mut facts = vec![self.tree(name, tree, &view)?];
                let mut listed: Vec<Vec<u8>> = view.list(b"/")?.into_iter().map(|(name, _)| name).collect();
                listed.sort();
                if listed != [b"etc".to_vec(), b"srv".to_vec()] {
                    facts.push(Fact::Wrong(format!("the tree of `{name}` has {listed:?} at its root")));
                }
                Ok(facts)
            }
            Operation::Export { name } => self.export(name).await,
            Operation::Compare { from, to } => self.compare(from, to).await,
            Operation::Mount { name } => self.mount(name, dice.below(HOLD_MS_MAX)).await,
            Operation::Fsck { name, repair } => self.fsck(name.as_deref(), *repair).await,
            Operation::Tags { repository } => {
                let tags = self.wharf.tags(&self.caller, &self.reference(repository), &access()).await?;
                let is_right = tags == TAGS;
                Ok(if is_right {
                    Vec::new()
                } else {
                    vec![Fact::Wrong(format!("`{repository}` has the tags {tags:?}"))]
                })
            }
            Operation::Put { blob } => self.put(blob, dice).await,
            Operation::Hold { blob } => self.hold(blob, dice.below(HOLD_MS_MAX)).await,
            Operation::Remove { blob } => {
                self.services.content.remove(&digest(blob))?;
                Ok(Vec::new())
            }
            Operation::Damage { blob } => self.damage(blob),
            Operation::Perform { change, stop_ms } => self.perform(change, *stop_ms).await,
            Operation::Draft { change } => self.draft(change).await,
            Operation::Apply { .. } => self.apply().await,
            Operation::Usage => self.usage().await,
            Operation::Lease { name } => self.lease(name).await,
            Operation::Release => self.release().await,
            Operation::Ingests => self.ingests().await,
            Operation::Discard => self.discard(dice).await,
            Operation::Label { name, value } => self.label(name, value.as_deref()).await,
            Operation::Expire { name } => self.expire(name).await,
            Operation::Events { name, seconds } => self.events(name, *seconds).await,
        }
    }

    fn resolved(&self, name: &str, digest: String) -> Fact {
        Fact::Resolved { name: self.short(name), digest }
    }

    async fn pull(&mut self, names: &[String], options: PullOptions, stop_ms: Option<u64>) -> Facts {
        let stop = CancellationToken::new();
        let reference = match options.all_tags {
            true => names[0].rsplit_once(':').map_or("", |(repository, _)| repository),
            false => &names[0],
        };
        let reference = self.reference(reference);
        let mut hear = |_| {};
        let pull = self.wharf.pull(&self.caller, &reference, &options, &stop, &mut hear);
        let (pulled, ()) = tokio::join!(pull, stop_after(&stop, stop_ms));
        let mut facts = Vec::new();
        for Pulled { image, up_to_date, .. } in pulled? {
            let (name, digest) = (self.short(&image.name), image.target.digest);
            facts.push(self.resolved(&name, digest.clone()));
            self.seen.insert(name.clone(), digest.clone());
            facts.push(match up_to_date {
                true => Fact::Read { name, digest: Some(digest) },
                false => Fact::Wrote { name, digest },
            });
        }
        Ok(facts)
    }
}

fn digest(text: &str) -> Digest {
    text.parse().expect("a digest of these races")
}

fn access() -> Access {
    Access { plain_http: Vec::new(), rules: Vec::new(), aliases: Vec::new(), retries: 3, silence_ms: 60_000 }
}

/// `whole` is to want all platforms.
pub(crate) fn options(unpack: bool, all_tags: bool, whole: bool) -> PullOptions {
    let wanted = if whole { Wanted::All } else { Wanted::Machine };
    PullOptions { wanted, all_tags, concurrent_downloads: 3, unpack, retention: None, access: access() }
}

/// Stops a call after so many milliseconds, if there is a number.
async fn stop_after(stop: &CancellationToken, ms: Option<u64>) {
    if let Some(ms) = ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        stop.cancel();
    }
}
