//! The verbs, on a machine in memory: what a person asks for and what is there
//! afterwards. The documents are made from text here; no file is read.

mod calls;
mod change;
mod check_login;
mod choice;
mod commit;
mod compose;
mod copy;
mod damage;
mod fsck;
mod history;
mod images;
mod import;
mod ingests;
mod inspect;
mod label;
mod leases;
mod limits;
mod load;
mod mirrors;
mod plan;
mod planned;
mod power;
mod provenance;
mod pull;
mod push;
mod recompress;
mod records;
mod referred;
mod retained;
mod rivals;
mod save;
mod tags;
mod trees;
mod types;
mod unpack;
mod usage;
mod used;
mod watch;

use std::cell::{Cell, RefCell};
use wharf_component::{
    nouns::{
        chain::chain_ids,
        digest::Digest,
        media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST},
        problem::Problem,
        record::ImageRecord,
    },
    registry::Phase,
    verbs::{
        self,
        contract::{Access, Caller, Event, PullOptions, PullPlan, PullPlans, Pulled, Tree, Wanted},
        listen::Listener,
    },
};
use wharf_sim::memory::{Memory, content::digest_of, layers::unpacked, registry::Registry, stream::Pace};

/// A machine, and a registry that it can reach.
struct World {
    memory: Memory,
    registry: Registry,
}

/// What the registry has of one platform.
#[derive(Clone)]
struct Built {
    manifest: Digest,
    config: Digest,
    layers: Vec<Digest>,
    /// All of it in bytes, manifest included.
    size: u64,
    /// The entry of an index.
    entry: String,
}

/// How to build one platform's image.
struct Recipe<'r> {
    platform: &'r str,
    layers: &'r [&'r str],
    created: &'r str,
    labels: &'r str,
    history: &'r str,
    /// How many DiffIDs the config lists, if not one a layer.
    diff_ids: Option<usize>,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        let (platform, layers, created) = ("linux/amd64", &["base", "top"][..], "2024-01-02T03:04:05.678Z");
        Self { platform, layers, created, labels: "{}", history: "[]", diff_ids: None }
    }
}

impl World {
    fn new() -> Self {
        let memory = Memory::default();
        let registry = Registry::start(&memory, "registry-1.docker.io");
        // Layers come byte by byte, so to speak: much can happen meanwhile.
        registry.pace(Pace { chunk: 1000, wait_ms: 200 });
        Self { memory, registry }
    }

    fn restart(self) -> Self {
        Self { memory: self.memory.restart(), ..self }
    }

    /// Stores an image, and gives it a tag if there is one.
    fn image(&self, repository: &str, tag: Option<&str>, recipe: Recipe<'_>) -> Built {
        let mut parts = recipe.platform.split('/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let variant = parts.next().map(|variant| format!(r#","variant":"{variant}""#)).unwrap_or_default();
        let platform = format!(r#""os":"{os}","architecture":"{architecture}"{variant}"#);
        // Layers are told apart by their first words and are long enough to be cut.
        let layers: Vec<Vec<u8>> = recipe.layers.iter().map(|name| layer(name)).collect();
        let diff_id =
            |at: usize| layers.get(at).map_or_else(|| digest_of(b"no layer"), |bytes| digest_of(unpacked(bytes)));
        let count = recipe.diff_ids.unwrap_or(layers.len());
        let diff_ids: Vec<_> = (0..count).map(|at| format!("\"{}\"", diff_id(at))).collect();
        let config = format!(
            r#"{{"created":"{}",{platform},"author":"a tester","config":{{"Labels":{},"Env":["PATH=/bin"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":{}}}"#,
            recipe.created,
            recipe.labels,
            diff_ids.join(","),
            recipe.history,
        );
        let config_digest = self.registry.blob(config.as_bytes());
        let descriptors: Vec<_> =
            layers.iter().map(|bytes| descriptor(OCI_LAYER_GZIP, &self.registry.blob(bytes), bytes.len())).collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{},"layers":[{}]}}"#,
            descriptor(OCI_CONFIG, &config_digest, config.len()),
            descriptors.join(","),
        );
        let digest = self.registry.manifest(repository, tag, OCI_MANIFEST, &manifest);
        let bare = descriptor(OCI_MANIFEST, &digest, manifest.len());
        Built {
            entry: format!(r#"{},"platform":{{{platform}}}}}"#, &bare[..bare.len() - 1]),
            manifest: digest,
            config: config_digest,
            size: (manifest.len() + config.len() + layers.iter().map(Vec::len).sum::<usize>()) as u64,
            layers: layers.iter().map(|bytes| self.registry.blob(bytes)).collect(),
        }
    }

    /// Stores an index of these entries under a tag. Returns its digest and size.
    fn index(&self, repository: &str, tag: Option<&str>, entries: &[&str]) -> (Digest, u64) {
        let document =
            format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, entries.join(","));
        (self.registry.manifest(repository, tag, OCI_INDEX, &document), document.len() as u64)
    }

    /// `alpine:3.20` for amd64, arm64 and an attestation, the usual shape.
    fn alpine(&self) -> (Digest, Vec<Built>) {
        let amd64 = self.image("library/alpine", None, Recipe { layers: &["amd64"], ..Recipe::default() });
        let arm64 = Recipe { platform: "linux/arm64/v8", layers: &["arm64"], ..Recipe::default() };
        let arm64 = self.image("library/alpine", None, arm64);
        let proof = Recipe { platform: "unknown/unknown", layers: &["proof"], ..Recipe::default() };
        let proof = self.image("library/alpine", None, proof);
        let entries = [&arm64.entry, &amd64.entry, &proof.entry].map(String::as_str);
        (self.index("library/alpine", Some("3.20"), &entries).0, vec![amd64, arm64, proof])
    }

    fn pull(&self, reference: &str, options: &PullOptions) -> Result<Vec<Pulled>, Problem> {
        self.listen(reference, options, &Ear::default())
    }

    fn listen(&self, reference: &str, options: &PullOptions, ear: &Ear) -> Result<Vec<Pulled>, Problem> {
        self.memory.run(verbs::pull(&self.memory, &caller(), reference, options, ear))
    }

    fn unpack(&self, reference: &str, platform: Option<&str>) -> Result<Tree, Problem> {
        self.memory.run(verbs::unpack(&self.memory, &caller(), reference, platform, &Ear::default()))
    }

    fn plan(&self, reference: &str, options: &PullOptions) -> Result<Vec<PullPlan>, Problem> {
        self.plans(reference, options).map(|plans| plans.names)
    }

    fn plans(&self, reference: &str, options: &PullOptions) -> Result<PullPlans, Problem> {
        self.memory.run(verbs::plan_pull(&self.memory, &caller(), reference, options))
    }

    /// The record of a name, if there is one.
    fn record(&self, name: &str) -> Option<ImageRecord> {
        let rows = self.memory.snapshot().rows;
        let value = rows.get(&("default".to_owned(), format!("image/{name}")))?;
        Some(ImageRecord::decode(value).expect("the verbs write records that can be read"))
    }

    /// Method and last part of the path of every request since the last call.
    fn requests(&self) -> Vec<String> {
        let short = |request: String| {
            let (method, path) = request.split_once(' ').expect("a method and a path");
            format!("{method} {}", path.rsplit('/').next().unwrap_or_default())
        };
        self.memory.network().requests().into_iter().map(short).collect()
    }

    fn has(&self, digest: &Digest) -> bool {
        self.memory.snapshot().disk.blobs.contains_key(digest.as_str())
    }
}

/// The bytes of a layer; what stands before a `|` is how it is compressed.
fn layer(name: &str) -> Vec<u8> {
    let at = name.find('|').map_or(0, |at| at + 1);
    format!("{}{}", &name[..at], format!("{} ", &name[at..]).repeat(2_000)).into_bytes()
}

/// What extracted layers are called, and stacks of them, from the bottom up.
fn chain(layers: &[&str]) -> (Vec<Digest>, Vec<Digest>) {
    let diff_ids: Vec<Digest> = layers.iter().map(|name| digest_of(unpacked(&layer(name)))).collect();
    let chain_ids = chain_ids(&diff_ids);
    (diff_ids, chain_ids)
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn caller() -> Caller {
    Caller { namespace: "default".to_owned(), machine: "linux/amd64/v3".to_owned() }
}

fn options() -> PullOptions {
    PullOptions {
        wanted: Wanted::Machine,
        all_tags: false,
        concurrent_downloads: 3,
        unpack: false,
        retention: None,
        access: Access::default(),
    }
}

fn unpacking() -> PullOptions {
    PullOptions { unpack: true, ..options() }
}

fn platforms(wanted: &[&str]) -> PullOptions {
    PullOptions { wanted: Wanted::These(wanted.iter().map(|&text| text.to_owned()).collect()), ..options() }
}

fn everything() -> PullOptions {
    PullOptions { wanted: Wanted::All, ..options() }
}

/// Somebody who hears events, and goes away at the first one that `leave` names.
#[derive(Default)]
struct Ear {
    heard: RefCell<Vec<Event>>,
    leave: Option<fn(&Event) -> bool>,
    has_left: Cell<bool>,
}

impl Ear {
    fn warnings(&self) -> Vec<String> {
        let warning = |event: &Event| match event {
            Event::Warning(text) => Some(text.clone()),
            _ => None,
        };
        self.heard.borrow().iter().filter_map(warning).collect()
    }

    fn notes(&self) -> Vec<String> {
        let note = |event: &Event| match event {
            Event::Note(text) => Some(text.clone()),
            _ => None,
        };
        self.heard.borrow().iter().filter_map(note).collect()
    }

    /// The phases that were told of a blob, in order.
    fn phases(&self, digest: &Digest) -> Vec<Phase> {
        let phase = |event: &Event| match event {
            Event::Progress(progress) if progress.blob.digest == *digest => Some(progress.phase),
            _ => None,
        };
        let mut phases: Vec<_> = self.heard.borrow().iter().filter_map(phase).collect();
        phases.dedup();
        phases
    }
}

impl Listener for Ear {
    async fn hear(&self, events: Vec<Event>) -> bool {
        if self.leave.is_some_and(|leave| events.iter().any(leave)) {
            self.has_left.set(true);
        }
        self.heard.borrow_mut().extend(events);
        !self.has_left.get()
    }
}
