//! Images that are made here, of a layer that nobody has: by `import` and `commit`.
//!
//! ```text
//! layer ─► config ─► manifest ─► tree ─► record: the name
//! ```
//!
//! What fails leaves nothing: see `brought`.

use super::{
    brought::Brought,
    contract::{Caller, Imported},
    failing::{because, fail, invalid},
    fetch, given_up,
    listen::{Board, Listener, accompany},
    load::{
        image::{Image, Whole},
        record,
    },
    trees::Trees,
};
use crate::{
    host::{Host, Ingest},
    nouns::{
        chain::chain_ids,
        config::{Config, Execution},
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        instruction,
        manifest::Document,
        media_type::{DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST},
        platform::Platform,
        problem::ErrorCode,
        record::{Action, Present},
        reference::Reference,
        retention::Retention,
        time,
    },
    registry::{self, Failure},
};
use serde_json::{Value, json};

/// The media types of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Types {
    pub(super) manifest: &'static str,
    pub(super) config: &'static str,
    /// Of a layer that is compressed by gzip.
    pub(super) layer: &'static str,
}

/// OCI image-spec, media-types.md.
pub(super) const OCI: Types = Types { manifest: OCI_MANIFEST, config: OCI_CONFIG, layer: OCI_LAYER_GZIP };
/// Docker image manifest, schema 2.
pub(super) const DOCKER: Types = Types { manifest: DOCKER_MANIFEST, config: DOCKER_CONFIG, layer: DOCKER_LAYER_GZIP };

/// What the image is called.
#[derive(Debug)]
pub(super) struct Name {
    /// By whoever makes it.
    pub(super) said: Option<Reference>,
    /// Otherwise, before its digest.
    pub(super) or: &'static str,
}

/// What an image is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// The document.
    pub(super) config: Vec<u8>,
    pub(super) types: Types,
    /// The layers below, as a manifest lists them.
    pub(super) below: Vec<Value>,
    /// The layer that nobody had.
    pub(super) layer: Descriptor,
    pub(super) platform: Platform,
    pub(super) name: Name,
    pub(super) action: Action,
    pub(super) retention: Option<Retention>,
}

/// One call that makes an image.
pub(super) struct Making<'m, H: Host> {
    pub(super) host: &'m H,
    pub(super) caller: &'m Caller,
    pub(super) board: &'m Board,
    brought: &'m Brought,
}

/// Has `work` make an image. Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub(super) async fn make<H: Host>(
    host: &H,
    caller: &Caller,
    listener: &impl Listener,
    work: impl AsyncFnOnce(&Making<'_, H>) -> Result<Imported, Failure>,
) -> Result<Imported, Failure> {
    let (board, brought) = (Board::default(), Brought::default());
    let work = async { work(&Making { host, caller, board: &board, brought: &brought }).await };
    let stopped = || fail(ErrorCode::Cancelled, "the caller stopped it; nothing is left of it");
    let mut outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    // What is left over costs space and nothing else, and a collection finds it as well.
    let _ = brought.tidy(host, caller).await;
    if let Ok(imported) = &mut outcome {
        // It is recorded: who hears no more keeps it, and more of it than the store is to keep.
        let board = Board::default();
        let work = given_up::settle(host, caller, [imported.name.clone()].into(), |_| true, &board);
        imported.notes.extend(accompany(host, listener, &board, work).await.into_iter().flatten());
    }
    outcome
}

impl<H: Host> Making<'_, H> {
    /// Begins an ingest of its own: nobody has a name for what will be in it.
    pub(super) async fn begin(&self, what: &str) -> Result<(String, H::Ingest), Failure> {
        let name = format!("{what} {:016x}{:016x}", self.host.random(), self.host.random());
        self.brought.begins(&name);
        let ingest = self.host.ingest(&name).await?;
        Ok((name, ingest))
    }

    /// Makes a blob of it.
    pub(super) async fn commit(
        &self,
        name: &str,
        ingest: H::Ingest,
        media_type: &str,
    ) -> Result<(H::Blob, Descriptor), Failure> {
        let (digest, size) = (ingest.digest().await?, ingest.offset());
        let blob = ingest.commit(&digest, size).await?;
        self.brought.became(name, &digest, size);
        Ok((blob, Descriptor::new(media_type, digest, size)))
    }

    /// Writes a document that was made here.
    async fn write(&self, media_type: &str, bytes: &[u8]) -> Result<(H::Blob, Descriptor), Failure> {
        let (digest, size) = (Digest::of(Algorithm::Sha256, bytes), bytes.len() as u64);
        self.brought.blob(&digest, size);
        let blob = fetch::write(self.host, &digest, bytes).await?;
        Ok((blob, Descriptor::new(media_type, digest, size)))
    }

    /// Makes the image, with its tree, and records its name. `blob` is the layer that nobody had.
    pub(super) async fn image(&self, parts: Parts, blob: H::Blob, machine: &Platform) -> Result<Imported, Failure> {
        let Parts { config: document, types, below, layer, platform, name, action, retention } = parts;
        let config = Config::parse(&document).map_err(invalid)?;
        let (config_held, config_blob) = self.write(types.config, &document).await?;
        let mut layers = below;
        layers.push(json!(layer));
        let document = json!({
            "schemaVersion": 2, "mediaType": types.manifest, "config": config_blob, "layers": layers,
        });
        let document = serde_json::to_vec(&document).expect("texts and numbers can always be written");
        let (target_held, target) = self.write(types.manifest, &document).await?;
        let Document::Manifest(manifest) = Document::parse(&document, Some(types.manifest)).map_err(invalid)? else {
            unreachable!("what was just written is a manifest");
        };
        config.check_layers(manifest.layers.len()).map_err(invalid)?;
        let trees = Trees::default();
        trees.plant(&target.digest, &manifest);
        trees.learn(self.host, &target.digest, &config, &platform, self.board).await?;
        self.brought.trees(&config.rootfs.diff_ids, chain_ids(&config.rootfs.diff_ids));
        let extract = async {
            match trees.needed().iter().find(|needed| needed.digest == layer.digest) {
                Some(layer) => trees.extract(self.host, layer, &blob, None, self.board).await,
                None => Ok(()),
            }
        };
        trees.grow(self.host, extract).await?;
        self.host.sync().await?;
        self.host.sync_layers().await?;

        let nameless = || Reference::parse_canonical(&format!("{}@{}", name.or, target.digest));
        let name = name.said.clone().unwrap_or_else(|| nameless().expect("a repository and a digest are a name"));
        let present = Present::new(&target, &manifest, Some(&config), Some(&platform));
        let (names, wholes, blobs) = (vec![name], Vec::new(), Vec::new());
        let mut image = Image { target, names, tag: None, wholes, blobs };
        image.add(Whole { present, manifest, config: Some(config.clone()), platform: Some(platform.clone()) });
        let images = [image];
        let loaded = record::record(self.host, self.caller, &images, machine, action, retention).await?;
        let [image] = images;
        self.brought.keep(image.blobs.iter().map(|blob| &blob.digest));
        drop((blob, config_held, target_held));
        let moved = loaded.images.into_iter().flat_map(|image| image.moved).map(|(_, before)| before).next();
        Ok(Imported {
            name: image.names[0].to_string(),
            target: image.target,
            id: config_blob.digest,
            layer,
            diff_id: config.rootfs.diff_ids.last().cloned().expect("there is a layer"),
            platform: platform.format_all(),
            moved,
            notes: loaded.notes,
        })
    }
}

/// How many instructions there may be.
const CHANGES_MAX: usize = 1_000;
/// How much may come of them, in bytes.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// How long the text of the history may be, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Applies instructions of a Dockerfile.
pub(super) fn changed(mut execution: Execution, changes: &[String]) -> Result<Execution, Failure> {
    if changes.len() > CHANGES_MAX {
        return Err(invalid(format!("there are more than {CHANGES_MAX} changes")));
    }
    for change in changes {
        let told = || format!("the change `{}` is not usable", registry::shown(change));
        let instructions = instruction::parse(change).map_err(invalid).map_err(because(told()))?;
        for instruction in &instructions {
            instruction::apply(&mut execution, instruction).map_err(invalid).map_err(because(told()))?;
            if weight(&execution) > CONFIG_BYTES_MAX {
                let why = format!("the changes say more than {CONFIG_BYTES_MAX} bytes");
                return Err(fail(ErrorCode::TooLarge(CONFIG_BYTES_MAX as u64), why));
            }
        }
    }
    Ok(execution)
}

/// What can grow by changes, in bytes.
fn weight(execution: &Execution) -> usize {
    let Execution { env, labels, volumes, exposed_ports, on_build, .. } = execution;
    let texts = env.iter().chain(volumes).chain(exposed_ports).chain(on_build);
    texts.chain(labels.keys()).chain(labels.values()).map(String::len).sum()
}

/// Refuses a text that is too long for a history.
pub(super) fn check_message(message: &str) -> Result<(), Failure> {
    match message.len() > MESSAGE_BYTES_MAX {
        true => Err(invalid(format!("the message has more than {MESSAGE_BYTES_MAX} bytes"))),
        false => Ok(()),
    }
}

/// Returns when something was made, as configs write it: as a person says it, or now.
pub(super) fn moment(said: Option<&str>, now: i64) -> Result<String, Failure> {
    let moment = match said {
        Some(text) => time::parse_moment(text, now).map(time::format).filter(|text| time::parse(text).is_some()),
        None => Some(time::format(now)),
    };
    moment.ok_or_else(|| invalid("the time of its making is neither a date, nor seconds since 1970, nor a duration"))
}
