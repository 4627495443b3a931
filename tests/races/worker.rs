//! One of the processes: it opens the store as the program does, does what its dice say, and writes down what it saw.
//! It judges what it can see alone; the rest is for `checker`.

use super::clock;
use super::failed::Failed;
use super::history::{Fact, Line, Operation, Outcome};
use super::world::{self, Dice, REPOSITORIES, TAGS, TEXT, VICTIM};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::hash::{Algorithm, Digest};
use wharf::images::{Access, Caller, Findings, Machine, PullOptions, Pulled, Wanted, Wharf};
use wharf::layers::view::View;
use wharf::layers::{self, Rights};
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_vocabulary::vocabulary::FlawKind;

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
    let mut worker = Worker { assignment, services, wharf, caller: caller(), loose, digests };
    let mut dice = Dice::new(assignment.seed);
    for _ in 0..assignment.operations {
        let operation = worker.choose(&mut dice);
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
}

impl Worker<'_> {
    /// Throws the dice for what comes next.
    fn choose(&self, dice: &mut Dice) -> Operation {
        let names = world::names();
        let name = |dice: &mut Dice| match dice.below(20) {
            0 => Operation::VICTIM.to_owned(),
            _ => dice.choose(&names).clone(),
        };
        let blob = |dice: &mut Dice| dice.choose(&self.digests).clone();
        match dice.below(100) {
            at @ 0..28 => {
                let stop_ms = (at >= 20).then(|| dice.below(STOP_MS_MAX));
                Operation::Pull { names: vec![name(dice)], unpack: dice.below(2) == 0, stop_ms }
            }
            28..30 => {
                let repository = dice.choose(&REPOSITORIES);
                let names = TAGS.iter().map(|tag| format!("{repository}:{tag}")).collect();
                Operation::Pull { names, unpack: false, stop_ms: None }
            }
            30..33 => Operation::Plan { name: name(dice) },
            33..43 => Operation::Images,
            43..53 => Operation::Inspect { name: name(dice) },
            53..60 => Operation::History { name: name(dice) },
            60..65 => Operation::Unpack { name: name(dice) },
            65..68 => Operation::List { name: name(dice) },
            68..70 => Operation::Compare { from: name(dice), to: name(dice) },
            70..73 => Operation::Mount { name: name(dice) },
            73..76 => Operation::Fsck { name: Some(name(dice)), repair: dice.below(2) == 0 },
            76..77 => Operation::Fsck { name: None, repair: dice.below(2) == 0 },
            77..79 => Operation::Tags { repository: (*dice.choose(&REPOSITORIES)).to_owned() },
            79..87 => Operation::Put { blob: blob(dice) },
            87..92 => Operation::Hold { blob: blob(dice) },
            92..99 => Operation::Remove { blob: blob(dice) },
            _ => {
                let (image, _) = world::image(Operation::VICTIM, 1);
                let blobs: Vec<String> =
                    image.blobs.into_keys().chain(image.documents.into_iter().map(|it| it.digest)).collect();
                Operation::Damage { blob: dice.choose(&blobs).clone() }
            }
        }
    }

    /// As the registry is written in a reference.
    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.assignment.registry)
    }

    /// The name without the registry.
    fn short(&self, name: &str) -> String {
        name.strip_prefix(&format!("{}/", self.assignment.registry)).unwrap_or(name).to_owned()
    }

    async fn act(&self, operation: &Operation, dice: &mut Dice) -> Facts {
        match operation {
            Operation::Pull { names, unpack, stop_ms } => self.pull(names, *unpack, *stop_ms).await,
            Operation::Plan { name } => {
                let plans = self.wharf.plan_pull(&self.caller, &self.reference(name), &options(false, false)).await?;
                Ok(plans.into_iter().map(|plan| self.resolved(&plan.name, plan.target.digest)).collect())
            }
            Operation::Images => self.images().await,
            Operation::Inspect { name } => {
                let text = self.wharf.inspect(&self.caller, &self.reference(name), None, true, true).await?;
                let object: serde_json::Value = serde_json::from_str(&text).expect("the component writes JSON");
                let digest = object["Descriptor"]["digest"].as_str().map(str::to_owned);
                Ok(vec![Fact::Read { name: name.clone(), digest }])
            }
            Operation::History { name } => {
                let steps = self.wharf.history(&self.caller, &self.reference(name), None).await?;
                let text = steps.first().map(|step| step.created_by.clone()).unwrap_or_default();
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
            Operation::Compare { from, to } => self.compare(from, to).await,
            Operation::Mount { name } => self.mount(name).await,
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
        }
    }

    fn resolved(&self, name: &str, digest: String) -> Fact {
        Fact::Resolved { name: self.short(name), digest }
    }

    async fn pull(&self, names: &[String], unpack: bool, stop_ms: Option<u64>) -> Facts {
        let stop = CancellationToken::new();
        let of_all = names.len() > 1;
        let reference = match of_all {
            true => names[0].rsplit_once(':').map_or("", |(repository, _)| repository),
            false => &names[0],
        };
        let (reference, options) = (self.reference(reference), options(unpack, of_all));
        let mut hear = |_| {};
        let pull = self.wharf.pull(&self.caller, &reference, &options, &stop, &mut hear);
        let stopped = async {
            if let Some(ms) = stop_ms {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                stop.cancel();
            }
        };
        let (pulled, ()) = tokio::join!(pull, stopped);
        let mut facts = Vec::new();
        for Pulled { image, up_to_date, .. } in pulled? {
            let (name, digest) = (self.short(&image.name), image.target.digest);
            facts.push(self.resolved(&name, digest.clone()));
            facts.push(match up_to_date {
                true => Fact::Read { name, digest: Some(digest) },
                false => Fact::Wrote { name, digest },
            });
        }
        Ok(facts)
    }

    async fn images(&self) -> Facts {
        let listing = self.wharf.entries(&self.caller, &[]).await?;
        let mut facts: Vec<Fact> = listing.damaged.into_iter().map(Fact::Wrong).collect();
        for name in world::names() {
            let found = listing.images.iter().find(|image| self.short(&image.name) == name);
            let digest = found.map(|image| image.target.digest.clone());
            if let Some(target) = &digest {
                facts.extend(self.half(&name, target)?.map(Fact::Wrong));
            }
            facts.push(Fact::Read { name, digest });
        }
        Ok(facts)
    }

    /// Says what is missing of an image that is listed, if anything is. No blob of such an image is ever removed.
    fn half(&self, name: &str, target: &str) -> Result<Option<String>, Failed> {
        let found = |at: &str| self.services.content.blob(&digest(at));
        let missing = |at: &str, why| Ok(Some(format!("`{name}` is listed, and its blob `{at}` is not here: {why}")));
        let mut at = target.to_owned();
        loop {
            let document = match found(&at) {
                Ok(blob) => blob.read(0, 1 << 20)?,
                Err(why) => return missing(&at, why),
            };
            let Ok(object) = serde_json::from_slice::<serde_json::Value>(&document) else {
                return Ok(Some(format!("the document `{at}` of `{name}` is no JSON")));
            };
            let digest_of = |entry: &serde_json::Value| entry["digest"].as_str().unwrap_or_default().to_owned();
            if let Some(entries) = object["manifests"].as_array() {
                // The platforms of other machines are not here.
                at = entries
                    .iter()
                    .find(|it| it["platform"]["architecture"] == "amd64")
                    .map(digest_of)
                    .unwrap_or_default();
                continue;
            }
            for part in object["layers"].as_array().into_iter().flatten().chain([&object["config"]]) {
                let part = digest_of(part);
                if let Err(why) = found(&part) {
                    return missing(&part, why);
                }
            }
            return Ok(None);
        }
    }

    /// Has an image extracted, and returns its manifest and its snapshot.
    async fn snapshot(&self, name: &str) -> Result<(String, layers::Snapshot), Failed> {
        let stop = CancellationToken::new();
        let tree = self.wharf.unpack(&self.caller, &self.reference(name), None, &stop, &mut |_| {}).await?;
        let snapshot = tree.snapshot.expect("every image here has layers");
        match self.services.layers.snapshot(&snapshot) {
            Ok(snapshot) => Ok((tree.manifest, snapshot)),
            Err(error) => {
                Err(Failed { code: "vanished".to_owned(), why: format!("the snapshot that was unpacked: {error}") })
            }
        }
    }

    fn tree(&self, name: &str, manifest: String, view: &View) -> Result<Fact, Failed> {
        let mut text = String::new();
        view.read(TEXT.as_bytes())?.read_to_string(&mut text)?;
        Ok(Fact::Tree { name: name.to_owned(), manifest, text })
    }

    async fn compare(&self, from: &str, to: &str) -> Facts {
        // Two readings of names are two moments: the trees alone are judged, by what they have in common.
        let (_, one) = self.snapshot(from).await?;
        let (_, other) = self.snapshot(to).await?;
        let (one, other) = (View::new(&self.services.layers, &one)?, View::new(&self.services.layers, &other)?);
        let changes: Result<Vec<_>, _> = one.difference(&other).collect();
        let odd = changes?
            .into_iter()
            .find(|(_, path)| ![TEXT.as_bytes(), b"etc", b"srv", b"srv/cargo"].contains(&&path[..]));
        Ok(odd.map(|(_, path)| Fact::Wrong(format!("`{from}` and `{to}` differ in {path:?}"))).into_iter().collect())
    }

    async fn mount(&self, name: &str) -> Facts {
        let at = self.assignment.mount_point();
        fs::create_dir_all(&at)?;
        // Who was here before may have been killed while it was mounted.
        let layers = &self.services.layers;
        while layers.mounts()?.iter().any(|mounted| mounted.at == at) {
            layers.unmount(&at)?;
        }
        let (manifest, snapshot) = self.snapshot(name).await?;
        layers.mount(&snapshot, File::open(&at)?.as_fd())?;
        let text = fs::read_to_string(at.join(TEXT))?;
        let listed = layers.mounts()?.into_iter().find(|mounted| mounted.at == at);
        layers.unmount(&at)?;
        let mut facts = vec![Fact::Tree { name: name.to_owned(), manifest, text }];
        if listed.and_then(|mounted| mounted.snapshot).as_deref() != Some(snapshot.name()) {
            facts.push(Fact::Wrong(format!("the mount of `{name}` is not listed")));
        }
        Ok(facts)
    }

    async fn fsck(&self, name: Option<&str>, repair: bool) -> Facts {
        let references: Vec<String> = name.map(|name| self.reference(name)).into_iter().collect();
        let stop = CancellationToken::new();
        let (access, registries) = (access(), [format!("{}/", self.assignment.registry)]);
        let repair = repair.then_some((&access, registries.as_slice()));
        let found = self.wharf.fsck(&self.caller, &references, repair, false, &stop, &mut |_| {}).await?;
        let Findings { flaws, .. } = found;
        let mut facts = Vec::new();
        let victim = self.reference(&format!("{VICTIM}:{}", TAGS[0]));
        for flaw in flaws {
            let is_victims = flaw.images.iter().all(|image| *image == victim);
            // What was removed while all blobs were gone through.
            let is_loose = flaw.kind == FlawKind::MissingBlob && self.digests.contains(&flaw.subject);
            if !is_victims || flaw.images.is_empty() && !is_loose && !self.is_of_the_victim(&flaw.subject) {
                facts.push(Fact::Wrong(format!("`{}` is found wrong: {}", flaw.subject, flaw.why)));
            }
        }
        Ok(facts)
    }

    fn is_of_the_victim(&self, blob: &str) -> bool {
        let (image, _) = world::image(Operation::VICTIM, 1);
        image.blobs.contains_key(blob) || image.documents.iter().any(|document| document.digest == blob)
    }

    async fn put(&self, blob: &str, dice: &mut Dice) -> Facts {
        let at = self.digests.iter().position(|digest| digest == blob).expect("the blob is one of these");
        let bytes = &self.loose[at];
        let ingest = loop {
            match self.services.content.try_ingest(blob)? {
                Some(ingest) => break ingest,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let offset = usize::try_from(ingest.offset()).expect("the blob is small");
        for chunk in bytes[offset.min(bytes.len())..].chunks(4_096) {
            ingest.append(chunk)?;
        }
        if dice.below(4) == 0 {
            // It is dropped half-way, and the next one goes on.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let held = ingest.commit(&digest(blob), bytes.len() as u64)?;
        let from = clock();
        let is_whole = held.read(0, 1 << 20)? == *bytes;
        let mut facts = vec![Fact::Held { blob: blob.to_owned(), from, until: clock() }];
        if !is_whole {
            facts.push(Fact::Wrong(format!("`{blob}` has other bytes")));
        }
        Ok(facts)
    }

    async fn hold(&self, blob: &str, ms: u64) -> Facts {
        let held = self.services.content.blob(&digest(blob))?;
        let from = clock();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let mut facts = vec![Fact::Blob { blob: blob.to_owned(), is_here: true }];
        if let Err(error) = self.services.content.blob(&digest(blob)) {
            facts.push(Fact::Wrong(format!("`{blob}` is held and cannot be opened: {error}")));
        }
        let mut verifier = held.verifier();
        while !verifier.step()? {}
        facts.push(Fact::Held { blob: blob.to_owned(), from, until: clock() });
        Ok(facts)
    }

    /// Does what a disk may do: the file of a blob, if there is one, has other bytes.
    fn damage(&self, blob: &str) -> Facts {
        let digest = digest(blob);
        let home = self.assignment.directory.join("store/blobs").join(digest.algorithm().name());
        let path = home.join(digest.encoded());
        if path.exists() {
            let draft = self.assignment.directory.join(format!("draft-{}", self.assignment.worker));
            fs::write(&draft, format!("damaged by {}", self.assignment.worker))?;
            fs::rename(&draft, &path)?;
        }
        Ok(Vec::new())
    }
}

fn digest(text: &str) -> Digest {
    text.parse().expect("a digest of these races")
}

fn access() -> Access {
    Access { plain_http: Vec::new(), rules: Vec::new(), aliases: Vec::new(), retries: 3, silence_ms: 60_000 }
}

pub(crate) fn options(unpack: bool, all_tags: bool) -> PullOptions {
    PullOptions { wanted: Wanted::Machine, all_tags, concurrent_downloads: 3, unpack, access: access() }
}
