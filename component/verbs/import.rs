//! Import: an archive of files is an image of one layer, and its config is what a person
//! says.
//!
//! ```text
//! stream, or address ─► ingest ─► blob ─┬─► what it hashes to without compression: the DiffID
//!                                       ├─► config, manifest
//!                                       └─► tree ─► record: the name
//! ```
//!
//! The layer is the archive as it came, because a layer may be compressed with gzip and
//! zstd. Of bzip2 and xz, which it may not, it is the tar inside. Whether the files can be a
//! layer is found out by extracting them.
//!
//! What fails leaves nothing: see `brought`.

use super::{
    brought::Brought,
    choose,
    contract::{Caller, ImportOptions, Imported},
    failing::{because, fail, invalid, problem, try_this},
    fetch, given_up,
    listen::{About, Board, Listener, accompany},
    load::{
        image::{self, Image, Whole},
        record,
    },
    trees::{self, Trees},
};
use crate::{
    host::{Blob, Departure, Host, Ingest},
    nouns::{
        access::Access,
        chain::chain_ids,
        config::{Config, Execution, Rootfs, Step},
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        instruction,
        manifest::Document,
        media_type::{OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST},
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::{Action, Present},
        reference::Reference,
        time,
    },
    registry::{self, Address, Failure, Hearer, Phase, Watch},
};
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use std::cell::Cell;

/// What an image is called that nobody has named, without its digest.
const NAMELESS: &str = "localhost/imported";
/// What comes from nowhere that has a name, as docker says it.
const STANDARD: &str = "-";
/// A larger archive is not taken, compressed or not.
const ARCHIVE_BYTES_MAX: u64 = 64 << 30;
/// How many bytes tell how an archive is compressed.
const HEAD_BYTES: u64 = 10;
/// How many instructions there may be.
const CHANGES_MAX: usize = 1_000;
/// How much may come of them, in bytes.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// How long the text of the history may be, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// What an archive is of which only the address is known.
const ON_ITS_WAY: &str = "application/octet-stream";

/// Makes an image of an archive, and records its name. See `images.import`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn import<H: Host>(
    host: &H,
    caller: &Caller,
    archive: H::Stream,
    options: &ImportOptions,
    listener: &impl Listener,
) -> Result<Imported, Problem> {
    let outcome = run(host, caller, Source::Stream(archive), options, listener).await;
    outcome.map_err(problem("cannot import the archive"))
}

/// The same of an archive at an address. See `images.import-from`.
pub async fn import_from<H: Host>(
    host: &H,
    caller: &Caller,
    url: &str,
    options: &ImportOptions,
    access: &Access,
    listener: &impl Listener,
) -> Result<Imported, Problem> {
    let address = Address::parse(url).map_err(invalid).map_err(because("it is no address of an archive"));
    let address = address.map_err(problem("cannot import from there"))?;
    let shown = address.shown();
    let outcome = run(host, caller, Source::Address(address, access), options, listener).await;
    outcome.map_err(problem(format!("cannot import `{shown}`")))
}

async fn run<H: Host>(
    host: &H,
    caller: &Caller,
    source: Source<'_, H::Stream>,
    options: &ImportOptions,
    listener: &impl Listener,
) -> Result<Imported, Failure> {
    let (board, brought) = (Board::default(), Brought::default());
    let work = async { Import { host, caller, board: &board, brought: &brought }.all(source, options).await };
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

/// Where an archive comes from.
enum Source<'s, S> {
    Stream(S),
    Address(Address, &'s Access),
}

/// How an archive is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
    /// By something that a layer may not be compressed with.
    Other,
}

/// What a person wants, understood.
struct Wish {
    name: Option<Reference>,
    execution: Execution,
    platform: Platform,
    message: String,
    created: String,
}

/// One call.
struct Import<'i, H: Host> {
    host: &'i H,
    caller: &'i Caller,
    board: &'i Board,
    brought: &'i Brought,
}

impl<H: Host> Import<'_, H> {
    async fn all(&self, source: Source<'_, H::Stream>, options: &ImportOptions) -> Result<Imported, Failure> {
        let machine = choose::machine(&self.caller.machine)?;
        let from = match &source {
            Source::Stream(_) => STANDARD.to_owned(),
            Source::Address(address, _) => address.shown(),
        };
        let wish = wish(options, &machine, &from, self.host.now())?;
        let archive = self.receive(source).await?;
        let (blob, layer, diff_id) = self.layer(archive).await?;
        let config = config(&wish, diff_id);
        let (config_held, config_blob) = self.write(OCI_CONFIG, &config.write()).await?;
        let document = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_blob, "layers": [layer],
        });
        let document = serde_json::to_vec(&document).expect("texts and numbers can always be written");
        let (target_held, target) = self.write(OCI_MANIFEST, &document).await?;
        let Ok(Document::Manifest(manifest)) = Document::parse(&document, Some(OCI_MANIFEST)) else {
            unreachable!("what was just written is a manifest");
        };
        let trees = Trees::default();
        trees.plant(&target.digest, &manifest);
        trees.learn(self.host, &target.digest, &config, &wish.platform, self.board).await?;
        self.brought.trees(&config.rootfs.diff_ids, chain_ids(&config.rootfs.diff_ids));
        let extract = async {
            match trees.needed().first() {
                Some(layer) => trees.extract(self.host, layer, &blob, None, self.board).await,
                None => Ok(()),
            }
        };
        trees.grow(self.host, extract).await?;
        self.host.sync().await?;
        self.host.sync_layers().await?;

        let nameless = || Reference::parse_canonical(&format!("{NAMELESS}@{}", target.digest));
        let name = wish.name.unwrap_or_else(|| nameless().expect("a repository and a digest are a name"));
        let present = Present::new(&target, &manifest, Some(&config), Some(&wish.platform));
        let (names, wholes, blobs) = (vec![name], Vec::new(), Vec::new());
        let mut image = Image { target, names, tag: None, wholes, blobs };
        image.add(Whole { present, manifest, config: Some(config.clone()), platform: Some(wish.platform.clone()) });
        let images = [image];
        let loaded = record::record(self.host, self.caller, &images, &machine, Action::Import, None).await?;
        let [image] = images;
        self.brought.keep(image.blobs.iter().map(|blob| &blob.digest));
        drop((blob, config_held, target_held));
        let moved = loaded.images.into_iter().flat_map(|image| image.moved).map(|(_, before)| before).next();
        Ok(Imported {
            name: image.names[0].to_string(),
            target: image.target,
            id: config_blob.digest,
            layer,
            diff_id: config.rootfs.diff_ids[0].clone(),
            platform: wish.platform.format_all(),
            moved,
            notes: loaded.notes,
        })
    }

    /// Brings the archive here as it is.
    async fn receive(&self, source: Source<'_, H::Stream>) -> Result<(H::Blob, Descriptor), Failure> {
        let (name, ingest) = self.begin().await?;
        match source {
            Source::Stream(stream) => drop(ingest.append(stream, ARCHIVE_BYTES_MAX + 1).await?),
            Source::Address(address, access) => {
                let digest = Digest::of(Algorithm::Sha256, address.shown().as_bytes());
                let hearer = Arriving { board: self.board, digest, size: Cell::new(None) };
                registry::fetch(self.host, &address, access, &ingest, &hearer).await?;
                hearer.end();
            }
        }
        self.commit(&name, ingest).await
    }

    /// Begins an ingest of its own: nobody has a name for what will be in it.
    async fn begin(&self) -> Result<(String, H::Ingest), Failure> {
        let name = format!("archive {:016x}{:016x}", self.host.random(), self.host.random());
        self.brought.begins(&name);
        let ingest = self.host.ingest(&name).await?;
        Ok((name, ingest))
    }

    async fn commit(&self, name: &str, ingest: H::Ingest) -> Result<(H::Blob, Descriptor), Failure> {
        let size = ingest.offset();
        if size == 0 {
            return Err(invalid("it is empty"));
        }
        if size > ARCHIVE_BYTES_MAX {
            return Err(too_large());
        }
        let digest = ingest.digest().await?;
        let blob = ingest.commit(&digest, size).await?;
        self.brought.became(name, &digest, size);
        Ok((blob, Descriptor::new(OCI_LAYER, digest, size)))
    }

    /// Finds out what the layer is, and what it is without its compression.
    async fn layer(&self, archive: (H::Blob, Descriptor)) -> Result<(H::Blob, Descriptor, Digest), Failure> {
        let (blob, mut layer) = archive;
        let compression = compression(&blob.read(0, HEAD_BYTES).await?);
        let diff_id = match compression {
            Compression::None => layer.digest.clone(),
            Compression::Gzip | Compression::Zstd => {
                let is_gzip = compression == Compression::Gzip;
                layer.media_type = if is_gzip { OCI_LAYER_GZIP } else { OCI_LAYER_ZSTD }.to_owned();
                let (plain, end) = self.inflated(&blob);
                let (_, diff_id) = self.host.sum(plain, ARCHIVE_BYTES_MAX).await.map_err(|code| match code {
                    ErrorCode::TooLarge(_) => too_large(),
                    other => other.into(),
                })?;
                end.await?;
                diff_id
            }
            Compression::Other => {
                let (name, ingest) = self.begin().await?;
                let (plain, end) = self.inflated(&blob);
                let (_, rest) = ingest.append(plain, ARCHIVE_BYTES_MAX + 1).await?;
                if rest.is_some() {
                    return Err(too_large());
                }
                end.await?;
                let (plain, layer) = self.commit(&name, ingest).await?;
                let diff_id = layer.digest.clone();
                return Ok((plain, layer, diff_id));
            }
        };
        Ok((blob, layer, diff_id))
    }

    /// What a blob is without its compression, and why that ends.
    fn inflated(&self, blob: &H::Blob) -> (H::Stream, LocalBoxFuture<'static, Result<(), Failure>>) {
        let Departure { body, end: read, .. } = self.host.depart(blob, 0, blob.size());
        let (plain, end) = self.host.inflate(body);
        let end = async move {
            end.await.map_err(|code| match code {
                ErrorCode::Invalid => fail(code, "its compressed bytes are damaged, or end too early"),
                ErrorCode::TooLarge(_) => fail(code, "its compressed bytes need too much memory"),
                other => other.into(),
            })?;
            read.await.map_err(Failure::from)
        };
        (plain, Box::pin(end))
    }

    /// Writes a document that was made here.
    async fn write(&self, media_type: &str, bytes: &[u8]) -> Result<(H::Blob, Descriptor), Failure> {
        let (digest, size) = (Digest::of(Algorithm::Sha256, bytes), bytes.len() as u64);
        self.brought.blob(&digest, size);
        let blob = fetch::write(self.host, &digest, bytes).await?;
        Ok((blob, Descriptor::new(media_type, digest, size)))
    }
}

/// An archive that is coming from an address.
struct Arriving<'a> {
    board: &'a Board,
    digest: Digest,
    size: Cell<Option<u64>>,
}

impl Arriving<'_> {
    fn about(&self, size: u64) -> About<'_> {
        self.board.about(&Descriptor::new(ON_ITS_WAY, self.digest.clone(), size))
    }

    /// It is here.
    fn end(&self) {
        if let Some(size) = self.size.get() {
            self.about(size).announce(Phase::Complete, size);
        }
    }
}

impl Hearer for Arriving<'_> {
    fn arrived(&self, received: u64, size: Option<u64>) {
        // Of what nobody knows the length of, nobody knows how far it is.
        self.size.set(size);
        if let Some(size) = size {
            self.about(size).progress(Phase::Downloading, received.min(size));
        }
    }

    fn say(&self, text: String) {
        self.board.warn(text);
    }
}

/// Understands what a person wants, before anything is read.
fn wish(options: &ImportOptions, machine: &Platform, from: &str, now: i64) -> Result<Wish, Failure> {
    let ImportOptions { name, changes, message, platform, created } = options;
    let name = name.as_deref().map(image::name).transpose()?;
    let platform = match platform {
        Some(text) => Platform::parse(text, machine).map_err(invalid)?,
        // What the processor is capable of says nothing about the files.
        None if machine.architecture == "amd64" => Platform::new(&machine.os, &machine.architecture),
        None => machine.clone(),
    };
    if let Some(why) = trees::stranger(&platform) {
        return Err(try_this(fail(ErrorCode::Unsupported, why), "say what it runs on, as in `--platform linux/arm64`"));
    }
    if changes.len() > CHANGES_MAX {
        return Err(invalid(format!("there are more than {CHANGES_MAX} changes")));
    }
    let mut execution = Execution::default();
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
    let message = message.clone().unwrap_or_else(|| format!("Imported from {from}"));
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(invalid(format!("the message has more than {MESSAGE_BYTES_MAX} bytes")));
    }
    let created = match created {
        Some(text) => time::parse_moment(text, now).map(time::format).filter(|text| time::parse(text).is_some()),
        None => Some(time::format(now)),
    };
    let why = || invalid("the time of its making is neither a date, nor seconds since 1970, nor a duration");
    Ok(Wish { name, execution, platform, message, created: created.ok_or_else(why)? })
}

/// What can grow by changes, in bytes.
fn weight(execution: &Execution) -> usize {
    let Execution { env, labels, volumes, exposed_ports, on_build, .. } = execution;
    let texts = env.iter().chain(volumes).chain(exposed_ports).chain(on_build);
    texts.chain(labels.keys()).chain(labels.values()).map(String::len).sum()
}

fn config(wish: &Wish, diff_id: Digest) -> Config {
    let created = wish.created.clone();
    let Platform { os, architecture, variant, os_version, os_features } = wish.platform.clone();
    Config {
        created: Some(created.clone()),
        author: None,
        architecture,
        os,
        variant,
        os_version,
        os_features,
        execution: wish.execution.clone(),
        rootfs: Rootfs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
        history: vec![Step { created: Some(created), comment: wish.message.clone(), ..Step::default() }],
    }
}

/// By what an archive begins with: names of files are not always honest.
fn compression(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Other,
        // The name of a tar's first entry may begin as bzip2 does, but not with the marks of a block, or of the end.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Compression::Other,
        _ => Compression::None,
    }
}

fn too_large() -> Failure {
    let why = format!("it has more than {ARCHIVE_BYTES_MAX} bytes, compressed or not");
    fail(ErrorCode::TooLarge(ARCHIVE_BYTES_MAX), why)
}
