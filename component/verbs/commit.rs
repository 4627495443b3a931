//! Commit: what was written to a snapshot becomes a layer, and with the layers below an image.
//!
//! ```text
//! snapshot ─► what it changes ─► gzip ─► layer ─┐
//! manifest and config of the image below ───────┴─► config, manifest, tree, record: see `made`
//! ```
//!
//! The snapshot stays, and can be written to as before. Keys of the config that wharf does not know stay as they are.

use super::{
    contract::{Caller, CommitOptions, Imported},
    documents,
    failing::{because, fail, invalid, problem, try_this},
    listen::Listener,
    load::{image, record},
    made::{self, Making, Parts, Types},
    store::Records,
    trees,
};
use crate::{
    host::{Blob, Host, Ingest, Top},
    nouns::{
        chain::chain_ids,
        compressor::Compressor,
        config::{Config, Execution, Rootfs, Step},
        descriptor::Descriptor,
        digest::Digest,
        json,
        manifest::Document,
        media_type::DOCKER_MANIFEST,
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::{self as records, Action, Present, SnapshotKind, SnapshotRecord, View},
        reference::COMMITTED,
        retention::Retention,
    },
    registry::Failure,
};
use serde_json::{Map, Value};

/// The label of a snapshot that names the manifest of the image that it stands on. Collections keep that.
const BASE_LABEL: &str = "containerd.io/gc.ref.content.base";
/// How layers are compressed, as docker and containerd do it.
const HOW: Compressor = Compressor::Gzip(6);
/// A larger layer is not made.
const LAYER_BYTES_MAX: u64 = 64 << 30;
/// What says of a config how a container was made that is not the one of the image any more.
const STALE: [&str; 2] = ["container", "container_config"];

/// Makes an image of a snapshot, and records its name. See `images.commit`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn commit<H: Host>(
    host: &H,
    caller: &Caller,
    key: &str,
    options: &CommitOptions,
    listener: &impl Listener,
) -> Result<Imported, Problem> {
    let outcome = made::make(host, caller, listener, async |making| run(making, key, options).await).await;
    outcome.map_err(problem(format!("cannot commit the snapshot `{}`", json::shown(key, 300))))
}

async fn run<H: Host>(making: &Making<'_, H>, key: &str, options: &CommitOptions) -> Result<Imported, Failure> {
    let Making { host, caller, .. } = making;
    let CommitOptions { name, changes, message, author, created } = options;
    let machine = super::choose::machine(&caller.machine)?;
    let name = made::Name { said: name.as_deref().map(image::name).transpose()?, or: COMMITTED };
    let created = made::moment(created.as_deref(), host.now())?;
    let message = message.clone().unwrap_or_default();
    made::check_message(&message)?;
    made::check_message(author.as_deref().unwrap_or_default())?;

    let (snapshot, below) = find(*host, caller, key).await?;
    let top = host.top(snapshot.tree.as_str()).await.map_err(|code| match code {
        ErrorCode::NotFound => fail(code, "its tree is not here: it was removed or committed just now"),
        ErrorCode::Unsupported => fail(code, "this host has no trees that are written to"),
        other => other.into(),
    })?;
    let base = match &below {
        Some(tree) => Base::find(*host, caller, &snapshot, tree).await?,
        None => Base::nothing(&machine),
    };
    let execution = made::changed(base.config.execution.clone(), changes)?;
    let (blob, layer, diff_id) = write(making, &top, base.types).await?;
    let step = Step { created: Some(created.clone()), author: author.clone(), comment: message, ..Step::default() };
    let parts = Parts {
        config: base.with(Change { created, author: author.clone(), execution, diff_id, step })?,
        types: base.types,
        below: base.layers,
        layer,
        platform: base.platform,
        name,
        action: Action::Tag,
        retention: base.retention,
    };
    let image = making.image(parts, blob, &machine).await;
    drop((base.held, top));
    image
}

/// Returns what is recorded of a snapshot that is written to, and the tree that it stands on.
async fn find<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<(SnapshotRecord, Option<Digest>), Failure> {
    let records = Records::begin(host, caller).await?;
    let read = async |key: &str| match records.snapshot(key).await? {
        Some(Ok(record)) => Ok(Some(record)),
        None => Ok(None),
        Some(Err(error)) => Err(because(format!("what is recorded of `{}`", json::shown(key, 300)))(invalid(error))),
    };
    let Some(snapshot) = read(key).await? else {
        let why = fail(ErrorCode::NotFound, "there is no such snapshot");
        return Err(try_this(why, "wharf snapshot ls"));
    };
    if snapshot.kind != SnapshotKind::Active {
        return Err(invalid("nothing was written to it: it is a view, or was committed"));
    }
    let Some(parent) = &snapshot.parent else { return Ok((snapshot, None)) };
    let tree = match read(parent).await? {
        Some(below) => below.tree,
        // What wharf has stacked has no record, and its ChainID as its key.
        None => parent.parse().map_err(invalid)?,
    };
    Ok((snapshot, Some(tree)))
}

/// Makes a layer of what was written.
async fn write<H: Host>(
    making: &Making<'_, H>,
    top: &H::Top,
    types: Types,
) -> Result<(H::Blob, Descriptor, Digest), Failure> {
    let (name, ingest) = making.begin("layer").await?;
    let (plain, written) = top.diff();
    let (packed, deflated) = making.host.deflate(plain, HOW);
    let (_, rest) = ingest.append(packed, LAYER_BYTES_MAX).await?;
    if rest.is_some() {
        let why = format!("what was written is a layer of more than {LAYER_BYTES_MAX} bytes");
        return Err(fail(ErrorCode::TooLarge(LAYER_BYTES_MAX), why));
    }
    deflated.await?;
    let diff_id = written.await.map_err(|refusal| fail(refusal.code, refusal.why))?;
    let (blob, layer) = making.commit(&name, ingest, types.layer).await?;
    Ok((blob, layer, diff_id))
}

/// The image below.
struct Base<H: Host> {
    types: Types,
    /// As the manifest has them.
    layers: Vec<Value>,
    /// As it is written.
    document: Value,
    config: Config,
    platform: Platform,
    retention: Option<Retention>,
    /// Everything of it that is here, until the new image needs it.
    held: Vec<H::Blob>,
}

/// What becomes of a config.
struct Change {
    created: String,
    author: Option<String>,
    execution: Execution,
    diff_id: Digest,
    step: Step,
}

impl<H: Host> Base<H> {
    /// No image: what is written stands on nothing.
    fn nothing(machine: &Platform) -> Self {
        // What the processor is capable of says nothing about the files.
        let platform = match machine.architecture.as_str() {
            "amd64" => Platform::new(&machine.os, &machine.architecture),
            _ => machine.clone(),
        };
        let Platform { os, architecture, variant, os_version, os_features } = platform.clone();
        let config = Config {
            created: None,
            author: None,
            architecture,
            os,
            variant,
            os_version,
            os_features,
            execution: Execution::default(),
            rootfs: Rootfs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
        };
        let (layers, document) = (Vec::new(), Value::Object(Map::new()));
        Self { types: made::OCI, layers, document, config, platform, retention: None, held: Vec::new() }
    }

    /// Finds the image of which this is the tree: the one that the snapshot names, or one of the namespace.
    async fn find(host: &H, caller: &Caller, snapshot: &SnapshotRecord, tree: &Digest) -> Result<Self, Failure> {
        let mut candidates: Vec<Digest> =
            snapshot.labels.get(BASE_LABEL).and_then(|text| text.parse().ok()).into_iter().collect();
        let visit = |_: &str, record: Result<View<'_>, records::Error>| {
            let platforms = record.map(|view| view.platforms).unwrap_or_default();
            candidates.extend(platforms.iter().map(|present| Digest::from(&present.manifest.digest)));
        };
        Records::begin(host, caller).await?.walk(visit).await?;
        for manifest in &candidates {
            if let Some(base) = Self::read(host, manifest, tree).await? {
                return Ok(base);
            }
        }
        let why = invalid("nobody knows the image that it stands on: no image that is here has these layers");
        Err(try_this(why, "wharf snapshot prepare NAME REF"))
    }

    /// Reads an image. None if it is another one's tree, or none.
    async fn read(host: &H, manifest: &Digest, tree: &Digest) -> Result<Option<Self>, Failure> {
        let blob = match host.open(manifest).await {
            Ok(blob) => blob,
            Err(ErrorCode::NotFound) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let what = Descriptor::new("", manifest.clone(), blob.size());
        let bytes = documents::bytes(&what, &blob).await?;
        let Ok(Document::Manifest(said)) = Document::parse(&bytes, None) else { return Ok(None) };
        if trees::obstacle(&said).is_some() {
            return Ok(None);
        }
        let Some(config_blob) = documents::find(host, &said.config).await? else { return Ok(None) };
        let document = documents::bytes(&said.config, &config_blob).await?;
        let Ok(config) = Config::parse(&document) else { return Ok(None) };
        if chain_ids(&config.rootfs.diff_ids).last() != Some(tree) {
            return Ok(None);
        }
        let told = || because(format!("the image below, `{manifest}`, is not usable"));
        config.check_layers(said.layers.len()).map_err(invalid).map_err(told())?;
        let platform = config.platform();
        if let Some(why) = trees::stranger(&platform) {
            return Err(told()(fail(ErrorCode::Unsupported, why)));
        }
        let types = if said.media_type == DOCKER_MANIFEST { made::DOCKER } else { made::OCI };
        let target = Descriptor::new(types.manifest, manifest.clone(), blob.size());
        let present = Present::new(&target, &said, Some(&config), Some(&platform));
        if record::parts(host, &present).await?.is_none() {
            let why = fail(ErrorCode::NotFound, "parts of it are not here any more");
            return Err(try_this(told()(why), "wharf fsck --repair"));
        }
        let mut held = vec![blob, config_blob];
        let mut retention = None;
        for layer in &said.layers {
            match documents::find(host, layer).await? {
                Some(blob) => held.push(blob),
                // It was given up for its tree, which the snapshot stands on.
                None => retention = Some(Retention::Unpacked),
            }
        }
        let layers = entries(&bytes)?;
        let document = serde_json::from_slice(&document).map_err(invalid)?;
        Ok(Some(Self { types, layers, document, config, platform, retention, held }))
    }

    /// Returns the config with a layer more.
    fn with(&self, change: Change) -> Result<Vec<u8>, Failure> {
        let Change { created, author, execution, diff_id, step } = change;
        let mut config = self.config.clone();
        config.created = Some(created);
        config.author = author.or(config.author);
        config.execution = execution;
        config.rootfs.kind = "layers".to_owned();
        config.rootfs.diff_ids.push(diff_id);
        config.history.push(step);
        let written: Value = serde_json::from_slice(&config.write()).map_err(invalid)?;
        let known: Value = serde_json::from_slice(&self.config.write()).map_err(invalid)?;
        let mut document = self.document.clone();
        replace(&mut document, &known, &written);
        for key in STALE {
            document.as_object_mut().map(|document| document.remove(key));
        }
        serde_json::to_vec(&document).map_err(invalid)
    }
}

/// Writes `new` over what `known` says of a document. What neither has stays.
fn replace(document: &mut Value, known: &Value, new: &Value) {
    match (document, known, new) {
        (Value::Object(document), Value::Object(known), Value::Object(new)) => {
            for key in known.keys().filter(|key| !new.contains_key(*key)) {
                document.remove(key);
            }
            for (key, value) in new {
                let place = document.entry(key.clone()).or_insert(Value::Null);
                replace(place, known.get(key).unwrap_or(&Value::Null), value);
            }
        }
        (document, _, new) => *document = new.clone(),
    }
}

/// Returns the layers of a manifest as they are written, with the types that their kind of manifest has.
fn entries(manifest: &[u8]) -> Result<Vec<Value>, Failure> {
    let document: Value = serde_json::from_slice(manifest).map_err(invalid)?;
    Ok(document["layers"].as_array().cloned().unwrap_or_default())
}
