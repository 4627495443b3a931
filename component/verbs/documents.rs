//! Manifests and indexes in memory, for as long as one verb runs: from the
//! content store if they are there, else from the registry. It decides nothing
//! about what is in them, and stores nothing.
//!
//! Disks forget: a document that the store has is hashed before it is believed,
//! and has to be what pointed to it says. What turns out to be damaged counts
//! as absent for a pull, which brings it again; see [`is_damage`] and [`clear`].

use super::{
    contract::Transfer,
    failing::{because, fail, invalid},
    listen::Board,
    transfers,
};
use crate::{
    host::{Blob, Host},
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        json::DOCUMENT_BYTES_MAX,
        manifest::{self, Document},
        media_type,
        problem::ErrorCode,
    },
    planted::{Bug, has},
    registry::{Failure, Fetched, Repository},
};
use futures_util::future::{Either, select};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    rc::Rc,
};

/// What the documents of one verb may weigh together. Those of a usual index
/// with twenty platforms have 100 KiB.
const TOGETHER_BYTES_MAX: u64 = 16 << 20;

/// How long the removal of a blob waits for somebody who is bringing it.
const HELD_MS_MAX: u64 = 2_000;

/// Who says what a document is: a descriptor in an index.
pub(super) const INDEX: &str = "the index";
/// Who says what a document is: a descriptor in a record.
pub(super) const RECORD: &str = "the record";

/// A document, and a handle on it if the content store has it.
pub(super) struct Held<B> {
    /// Type, digest and size; nothing else is set.
    pub(super) descriptor: Descriptor,
    pub(super) document: Document,
    pub(super) bytes: Vec<u8>,
    pub(super) blob: Option<Rc<B>>,
}

/// Where documents come from.
pub(super) struct Documents<'r, 'h, H: Host> {
    host: &'h H,
    repository: &'r Repository<'h, H>,
    board: &'r Board,
    weight: Cell<u64>,
    transfers: RefCell<BTreeMap<Digest, Transfer>>,
    damaged: RefCell<BTreeSet<Digest>>,
}

impl<'r, 'h, H: Host> Documents<'r, 'h, H> {
    pub(super) fn new(host: &'h H, repository: &'r Repository<'h, H>, board: &'r Board) -> Self {
        let (weight, transfers, damaged) = (Cell::new(0), RefCell::default(), RefCell::default());
        Self { host, repository, board, weight, transfers, damaged }
    }

    /// How the documents came that came over the network.
    pub(super) fn transfers(&self) -> BTreeMap<Digest, Transfer> {
        self.transfers.borrow().clone()
    }

    /// Whether what the content store has under this digest is damaged.
    pub(super) fn is_damaged(&self, digest: &Digest) -> bool {
        self.damaged.borrow().contains(digest)
    }

    /// Asks the registry for what a tag or a digest points to now.
    pub(super) async fn ask(&self, which: &str) -> Result<Rc<Held<H::Blob>>, Failure> {
        let Fetched { descriptor, document, bytes, .. } = self.fetch(which).await?;
        self.hold(descriptor, document, bytes).await
    }

    /// The same, unless it is what is `known`: then there is none.
    pub(super) async fn ask_unless(&self, which: &str, known: &Digest) -> Result<Option<Rc<Held<H::Blob>>>, Failure> {
        let Some(fetched) = self.fetch_unless(which, Some(known)).await? else { return Ok(None) };
        let Fetched { descriptor, document, bytes, .. } = fetched;
        self.hold(descriptor, document, bytes).await.map(Some)
    }

    /// Returns what an entry of an index points to.
    pub(super) async fn get(&self, what: &Descriptor) -> Result<Rc<Held<H::Blob>>, Failure> {
        if let Some(held) = self.local(what, INDEX).await? {
            return Ok(held);
        }
        let Fetched { descriptor, document, bytes, content_type, .. } = self.fetch(what.digest.as_str()).await?;
        if descriptor.size != what.size {
            let (found, promised) = (descriptor.size, what.size);
            let why = format!("`{}` has {found} bytes, and {promised} were promised", what.digest);
            return Err(fail(ErrorCode::SizeMismatch(found), why));
        }
        let document = if media_type::same(&what.media_type, &descriptor.media_type) {
            document
        } else if content_type.as_deref().is_none_or(media_type::is_generic) {
            // The registry says nothing, so the type may only be the one to assume when nobody does.
            parse(what, &bytes, INDEX)?
        } else {
            return Err(contradiction(what, INDEX, &format!("`{}`", descriptor.media_type)));
        };
        self.hold(Descriptor::new(document.media_type(), descriptor.digest, descriptor.size), document, bytes).await
    }

    /// Returns what a descriptor points to, if the content store has it whole.
    /// `who` says what it is: [`INDEX`] or [`RECORD`].
    pub(super) async fn local(&self, what: &Descriptor, who: &str) -> Result<Option<Rc<Held<H::Blob>>>, Failure> {
        let found = async {
            let Some(blob) = find(self.host, what).await? else { return Ok(None) };
            read(what, blob, who).await.map(Some)
        };
        let Some(held) = self.spare(&what.digest, found.await)? else { return Ok(None) };
        self.weigh(held.bytes.len())?;
        Ok(Some(Rc::new(held)))
    }

    async fn fetch(&self, which: &str) -> Result<Fetched, Failure> {
        let fetched = self.fetch_unless(which, None).await?;
        Ok(fetched.expect("nothing was known, so that nothing could be the same"))
    }

    async fn fetch_unless(&self, which: &str, known: Option<&Digest>) -> Result<Option<Fetched>, Failure> {
        let begun_ms = self.host.uptime_ms();
        let Some(fetched) = self.repository.manifest_unless(which, known).await? else { return Ok(None) };
        let duration_ms = self.host.uptime_ms() - begun_ms;
        let transfer = transfers::transfer(&fetched.descriptor, fetched.sent.clone(), duration_ms);
        self.transfers.borrow_mut().insert(fetched.descriptor.digest.clone(), transfer);
        self.weigh(fetched.bytes.len())?;
        Ok(Some(fetched))
    }

    /// Keeps what was fetched, with a handle if the content store has the same.
    async fn hold(
        &self,
        descriptor: Descriptor,
        document: Document,
        bytes: Vec<u8>,
    ) -> Result<Rc<Held<H::Blob>>, Failure> {
        let found = async {
            if self.is_damaged(&descriptor.digest) {
                return Ok(None);
            }
            let Some(blob) = find(self.host, &descriptor).await? else { return Ok(None) };
            let there = blob.read(0, descriptor.size).await?;
            if there == bytes { Ok(Some(blob)) } else { Err(damaged(&descriptor, &there)) }
        };
        let blob = self.spare(&descriptor.digest, found.await)?.map(Rc::new);
        Ok(Rc::new(Held { descriptor, document, bytes, blob }))
    }

    /// Takes what is damaged for absent, and remembers it.
    fn spare<T>(&self, digest: &Digest, found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
        match found {
            Err(failure) if is_damage(&failure) => {
                warn(self.board, &failure);
                self.damaged.borrow_mut().insert(digest.clone());
                Ok(None)
            }
            other => other,
        }
    }

    fn weigh(&self, bytes: usize) -> Result<(), Failure> {
        self.weight.set(self.weight.get() + bytes as u64);
        if self.weight.get() > TOGETHER_BYTES_MAX {
            let why = format!("the manifests that are wanted have more than {TOGETHER_BYTES_MAX} bytes together");
            return Err(fail(ErrorCode::TooLarge(TOGETHER_BYTES_MAX), why));
        }
        Ok(())
    }
}

/// Opens a blob if the content store has it. A blob of another size is damage.
pub(super) async fn find<H: Host>(host: &H, what: &Descriptor) -> Result<Option<H::Blob>, Failure> {
    let blob = match host.open(&what.digest).await {
        Ok(blob) => blob,
        Err(ErrorCode::NotFound) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    let size = blob.size();
    if size == what.size {
        return Ok(Some(blob));
    }
    let why = format!(
        "`{}` is damaged: the content store has {size} bytes of it, and {} were promised",
        what.digest, what.size
    );
    Err(fail(ErrorCode::SizeMismatch(size), why))
}

/// Reads a manifest or an index that [`find`] found. `who` says what it is:
/// [`INDEX`] or [`RECORD`].
pub(super) async fn read<B: Blob>(what: &Descriptor, blob: B, who: &str) -> Result<Held<B>, Failure> {
    let bytes = bytes(what, &blob).await?;
    let document = parse(what, &bytes, who)?;
    let descriptor = Descriptor::new(document.media_type(), what.digest.clone(), what.size);
    Ok(Held { descriptor, document, bytes, blob: Some(Rc::new(blob)) })
}

/// Reads a whole blob that is a document and that [`find`] found. Bytes of
/// another digest are damage.
pub(super) async fn bytes<B: Blob>(what: &Descriptor, blob: &B) -> Result<Vec<u8>, Failure> {
    let limit = DOCUMENT_BYTES_MAX as u64;
    if what.size > limit {
        let why = format!("`{}` has {} bytes; a document has at most {limit}", what.digest, what.size);
        return Err(fail(ErrorCode::TooLarge(limit), why));
    }
    let bytes = blob.read(0, what.size).await?;
    if what.digest.verify(&bytes) { Ok(bytes) } else { Err(damaged(what, &bytes)) }
}

fn damaged(what: &Descriptor, bytes: &[u8]) -> Failure {
    let found = Digest::of(what.digest.algorithm(), bytes);
    let why = format!("`{}` is damaged: what the content store has of it hashes to `{found}`", what.digest);
    fail(ErrorCode::DigestMismatch(found), why)
}

/// Whether [`find`], [`read`] or [`bytes`] failed because the content store has
/// other bytes than it should. A pull brings them again.
pub(super) fn is_damage(failure: &Failure) -> bool {
    matches!(failure.code, ErrorCode::SizeMismatch(_) | ErrorCode::DigestMismatch(_))
}

/// Says that something damaged will come again.
pub(super) fn warn(board: &Board, damage: &Failure) {
    board.warn(format!("{}; it is fetched again", damage.why.join(": ")));
}

/// Makes room for a document that was found damaged. Returns the blob if
/// somebody has brought it meanwhile.
///
/// `what` is a claim of whoever wrote the manifest, and a blob of another image
/// must not go because of it. So only what does not hash to its name is removed;
/// what has another size is replaced by the commit, after the new bytes have
/// been verified.
pub(super) async fn clear<H: Host>(host: &H, what: &Descriptor) -> Result<Option<H::Blob>, Failure> {
    match find(host, what).await {
        Ok(Some(blob)) => match bytes(what, &blob).await {
            Ok(_) => return Ok(Some(blob)),
            Err(failure) if is_damage(&failure) => {}
            Err(other) => return Err(other),
        },
        Ok(None) => return Ok(None),
        Err(failure) if is_damage(&failure) => return Ok(None),
        Err(other) => return Err(other),
    }
    match evict(host, &what.digest).await {
        Ok(()) => match find(host, what).await {
            Err(failure) if is_damage(&failure) => Ok(None),
            found => found,
        },
        Err(ErrorCode::InUse) => Err(Failure {
            code: ErrorCode::InUse,
            why: vec![format!("`{}` is damaged and cannot be replaced, because another process uses it", what.digest)],
            fix: Some("wait until the other process has ended; then the same command replaces it".to_owned()),
        }),
        Err(other) => Err(other.into()),
    }
}

/// Removes a blob that was found damaged, unless somebody has made it good
/// meanwhile. Whoever commits a blob holds the ingest of its name, so between the
/// look at it and its removal nobody can.
///
/// Fails with [`ErrorCode::InUse`] if somebody holds the blob or the ingest.
pub(super) async fn evict<H: Host>(host: &H, digest: &Digest) -> Result<(), ErrorCode> {
    if has(Bug::EvictedUnheld) {
        return host.remove(digest).await;
    }
    let Either::Left((ingest, _)) = select(pin!(host.ingest(digest.as_str())), pin!(host.sleep(HELD_MS_MAX))).await
    else {
        return Err(ErrorCode::InUse);
    };
    let _held = ingest?;
    let blob = match host.open(digest).await {
        Ok(blob) => blob,
        Err(ErrorCode::NotFound) => return Ok(()),
        Err(other) => return Err(other),
    };
    let is_whole = blob.verify().await.is_ok();
    // What is held cannot be removed.
    drop(blob);
    if is_whole { Ok(()) } else { host.remove(digest).await }
}

/// Reads a document as what `who` says that it is.
fn parse(what: &Descriptor, bytes: &[u8], who: &str) -> Result<Document, Failure> {
    Document::parse(bytes, Some(&what.media_type)).map_err(|error| match error {
        manifest::Error::Declared { stated, .. } => contradiction(what, who, &format!("`{stated}`")),
        manifest::Error::Structure { found, .. } => contradiction(what, who, found),
        other => because(format!("`{}` is not usable", what.digest))(invalid(other)),
    })
}

fn contradiction(what: &Descriptor, who: &str, found: &str) -> Failure {
    let why = format!("{who} says `{}`, and the document is {found}", what.media_type);
    because(format!("`{}` is not usable", what.digest))(invalid(why))
}
