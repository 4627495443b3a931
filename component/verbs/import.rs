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
    choose,
    contract::{Caller, ImportOptions, Imported},
    failing::{because, fail, invalid, problem, try_this},
    listen::{About, Board, Listener},
    load::image,
    made::{self, Making},
    trees,
};
use crate::{
    host::{Blob, Departure, Host, Ingest},
    nouns::{
        access::Access,
        config::{Config, Execution, Rootfs, Step},
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD},
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::Action,
        reference::{IMPORTED, Reference},
    },
    registry::{self, Address, Failure, Hearer, Phase, Watch},
};
use futures_util::future::LocalBoxFuture;
use std::cell::Cell;

/// What comes from nowhere that has a name, as docker says it.
const STANDARD: &str = "-";
/// A larger archive is not taken, compressed or not.
const ARCHIVE_BYTES_MAX: u64 = 64 << 30;
/// How many bytes tell how an archive is compressed.
const HEAD_BYTES: u64 = 10;
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
    made::make(host, caller, listener, async |making| Import { making }.all(source, options).await).await
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
    making: &'i Making<'i, H>,
}

impl<H: Host> Import<'_, H> {
    async fn all(&self, source: Source<'_, H::Stream>, options: &ImportOptions) -> Result<Imported, Failure> {
        let machine = choose::machine(&self.making.caller.machine)?;
        let from = match &source {
            Source::Stream(_) => STANDARD.to_owned(),
            Source::Address(address, _) => address.shown(),
        };
        let wish = wish(options, &machine, &from, self.making.host.now())?;
        let archive = self.receive(source).await?;
        let (blob, layer, diff_id) = self.layer(archive).await?;
        let config = config(&wish, diff_id).write();
        let name = made::Name { said: wish.name, or: IMPORTED };
        let image = made::Parts {
            config,
            types: made::OCI,
            below: Vec::new(),
            layer,
            platform: wish.platform,
            name,
            action: Action::Import,
            retention: None,
        };
        self.making.image(image, blob, &machine).await
    }

    /// Brings the archive here as it is.
    async fn receive(&self, source: Source<'_, H::Stream>) -> Result<(H::Blob, Descriptor), Failure> {
        let (name, ingest) = self.making.begin("archive").await?;
        match source {
            Source::Stream(stream) => drop(ingest.append(stream, ARCHIVE_BYTES_MAX + 1).await?),
            Source::Address(address, access) => {
                let digest = Digest::of(Algorithm::Sha256, address.shown().as_bytes());
                let hearer = Arriving { board: self.making.board, digest, size: Cell::new(None) };
                registry::fetch(self.making.host, &address, access, &ingest, &hearer).await?;
                hearer.end();
            }
        }
        self.commit(&name, ingest).await
    }

    async fn commit(&self, name: &str, ingest: H::Ingest) -> Result<(H::Blob, Descriptor), Failure> {
        let size = ingest.offset();
        if size == 0 {
            return Err(invalid("it is empty"));
        }
        if size > ARCHIVE_BYTES_MAX {
            return Err(too_large());
        }
        self.making.commit(name, ingest, OCI_LAYER).await
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
                let (_, diff_id) = self.making.host.sum(plain, ARCHIVE_BYTES_MAX).await.map_err(|code| match code {
                    ErrorCode::TooLarge(_) => too_large(),
                    other => other.into(),
                })?;
                end.await?;
                diff_id
            }
            Compression::Other => {
                let (name, ingest) = self.making.begin("archive").await?;
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
        let Departure { body, end: read, .. } = self.making.host.depart(blob, 0, blob.size());
        let (plain, end) = self.making.host.inflate(body);
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
    let execution = made::changed(Execution::default(), changes)?;
    let message = message.clone().unwrap_or_else(|| format!("Imported from {from}"));
    made::check_message(&message)?;
    Ok(Wish { name, execution, platform, message, created: made::moment(created.as_deref(), now)? })
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
