//! What has come out of an archive: documents in memory, and everything else as
//! blobs, which are held so that no collection takes them. It knows no images.
//!
//! A file that is called `blobs/<algorithm>/<hash>` has to hash to that. Any other
//! becomes a blob under what it hashes to: what it is for is said by a document that
//! may come later.

use super::source::Source;
use crate::{
    host::{Blob, Host, Ingest},
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        problem::ErrorCode,
        tar::{Entry, Kind},
    },
    registry::{Failure, Phase, Watch},
    verbs::{
        brought::Brought,
        documents,
        failing::{because, fail, invalid, try_this},
        fetch,
        listen::Board,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// How many blobs an archive may have, with the manifests that are made for it. Each is held by a handle; each
/// image has two of them or more, and takes three others while its tree is made. The host's table takes 3 072.
const BLOBS_MAX: usize = 900;
/// How many files and links an archive may have, small ones included.
const FILES_MAX: usize = 10_000;
/// What the documents of an archive may weigh together.
const DOCUMENTS_BYTES_MAX: usize = 16 << 20;
/// How long a path may be.
const PATH_BYTES_MAX: usize = 4_096;
/// How many links may lead to each other.
const LINKS_MAX: usize = 8;

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const REPOSITORIES: &str = "repositories";
/// What says of a layer what it is, before there were configs.
pub(super) const V1: &str = "/json";
/// The version of such a document.
const V1_VERSION: &str = "/VERSION";

/// See the [module](self).
pub(in crate::verbs) struct Shelf<'h, H: Host> {
    pub(super) host: &'h H,
    pub(super) board: &'h Board,
    brought: &'h Brought,
    /// By path.
    pub(super) documents: BTreeMap<String, Vec<u8>>,
    /// By path: what the file hashes to.
    files: BTreeMap<String, Digest>,
    /// By path: another path.
    links: BTreeMap<String, String>,
    blobs: BTreeMap<Digest, Rc<H::Blob>>,
}

/// What a file is for, by its path.
enum Role {
    Document,
    /// It is called by its digest.
    Blob(Digest),
    /// Nobody needs it.
    Passed,
    Other,
}

impl<'h, H: Host> Shelf<'h, H> {
    pub(in crate::verbs) fn new(host: &'h H, board: &'h Board, brought: &'h Brought) -> Self {
        let (documents, files, links, blobs) = Default::default();
        Self { host, board, brought, documents, files, links, blobs }
    }

    /// Takes everything out of an archive.
    pub(super) async fn fill(&mut self, mut source: Source<'h, H>) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        while let Some(entry) = source.next().await? {
            if entry.kind == Kind::Directory {
                continue;
            }
            if entry.path.len() > PATH_BYTES_MAX || seen.len() == FILES_MAX {
                let why = format!("it has more than {FILES_MAX} files, or paths of more than {PATH_BYTES_MAX} bytes");
                return Err(fail(ErrorCode::TooLarge(FILES_MAX as u64), why));
            }
            if !seen.insert(entry.path.clone()) {
                return Err(invalid(format!("`{}` is twice in the archive", entry.path.escape_debug())));
            }
            let told = because(format!("`{}` cannot be taken out", entry.path.escape_debug()));
            self.put(&mut source, entry).await.map_err(told)?;
        }
        Ok(())
    }

    async fn put(&mut self, source: &mut Source<'h, H>, entry: Entry) -> Result<(), Failure> {
        let role = role(&entry.path)?;
        if let Kind::Link(target) = entry.kind {
            return match role {
                Role::Other => {
                    self.links.insert(entry.path, target);
                    Ok(())
                }
                Role::Passed => Ok(()),
                Role::Document | Role::Blob(_) => Err(invalid("it is a link, and has to be a file")),
            };
        }
        match role {
            Role::Document => {
                let bytes = source.document(&entry).await?;
                let weight: usize = self.documents.values().map(Vec::len).sum();
                if weight + bytes.len() > DOCUMENTS_BYTES_MAX {
                    let why = format!("its documents have more than {DOCUMENTS_BYTES_MAX} bytes together");
                    return Err(fail(ErrorCode::TooLarge(DOCUMENTS_BYTES_MAX as u64), why));
                }
                self.documents.insert(entry.path, bytes);
                Ok(())
            }
            Role::Passed => source.pass(&entry).await,
            Role::Blob(digest) => {
                let what = Descriptor::new("", digest.clone(), entry.size);
                match documents::find(self.host, &what).await {
                    Ok(Some(blob)) => {
                        self.board.about(&what).announce(Phase::Present, entry.size);
                        source.pass(&entry).await?;
                        self.hold(digest.clone(), Rc::new(blob))?;
                    }
                    // What is damaged is replaced.
                    Err(failure) if !documents::is_damage(&failure) => return Err(failure),
                    Ok(None) | Err(_) => self.bring(source, &entry, Some(digest.clone())).await.map(drop)?,
                }
                self.files.insert(entry.path, digest);
                Ok(())
            }
            Role::Other => {
                let digest = self.bring(source, &entry, None).await?;
                self.files.insert(entry.path, digest);
                Ok(())
            }
        }
    }

    /// Lets a file become a blob.
    async fn bring(
        &mut self,
        source: &mut Source<'h, H>,
        entry: &Entry,
        named: Option<Digest>,
    ) -> Result<Digest, Failure> {
        let stem = named.as_ref().map_or("archive", Digest::as_str);
        // Somebody may be bringing the same from a registry, and may go on when this fails.
        let name = format!("{stem} {:016x}", self.host.random());
        self.brought.begins(&name);
        let ingest = self.host.ingest(&name).await?;
        if ingest.offset() > 0 {
            ingest.restart().await?;
        }
        source.store(entry, &ingest).await?;
        let digest = match named {
            Some(digest) => digest,
            None => ingest.digest().await?,
        };
        let what = Descriptor::new("", digest.clone(), entry.size);
        let watch = self.board.about(&what);
        watch.progress(Phase::Verifying, entry.size);
        let blob = ingest.commit(&digest, entry.size).await.map_err(|code| match code {
            ErrorCode::DigestMismatch(actual) => {
                let why = format!("its bytes hash to `{actual}`, and it is called `{digest}`");
                fail(ErrorCode::DigestMismatch(actual), why)
            }
            other => other.into(),
        })?;
        self.brought.became(&name, &digest, entry.size);
        watch.announce(Phase::Complete, entry.size);
        self.hold(digest.clone(), Rc::new(blob))?;
        Ok(digest)
    }

    /// Writes a document that was made here.
    pub(in crate::verbs) async fn write(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
        let blob = fetch::write(self.host, digest, bytes).await?;
        self.brought.blob(digest, bytes.len() as u64);
        self.hold(digest.clone(), Rc::new(blob))
    }

    fn hold(&mut self, digest: Digest, blob: Rc<H::Blob>) -> Result<(), Failure> {
        self.blobs.insert(digest, blob);
        if self.blobs.len() > BLOBS_MAX {
            let why = format!("it has more than {BLOBS_MAX} blobs");
            let fix = "do it in parts: an archive or an index for each image, or for fewer platforms";
            return Err(try_this(fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why), fix));
        }
        Ok(())
    }

    /// Returns a blob that was in the archive, or is here and held from now on. None
    /// if there is none.
    pub(super) async fn find(&mut self, what: &Descriptor) -> Result<Option<Rc<H::Blob>>, Failure> {
        let blob = match self.blobs.get(&what.digest) {
            Some(blob) => blob.clone(),
            None => {
                let Some(blob) = documents::find(self.host, what).await? else { return Ok(None) };
                let blob = Rc::new(blob);
                self.hold(what.digest.clone(), blob.clone())?;
                blob
            }
        };
        if blob.size() == what.size {
            return Ok(Some(blob));
        }
        let why = format!("`{}` has {} bytes, and {} were promised", what.digest, blob.size(), what.size);
        Err(fail(ErrorCode::SizeMismatch(blob.size()), why))
    }

    /// Returns a document, read. None if it is nowhere.
    pub(in crate::verbs) async fn read(&mut self, what: &Descriptor) -> Result<Option<Vec<u8>>, Failure> {
        let Some(blob) = self.find(what).await? else { return Ok(None) };
        documents::bytes(what, &*blob).await.map(Some)
    }

    /// Returns the blob that a path leads to, and its size.
    pub(super) fn at(&self, path: &str) -> Result<(Rc<H::Blob>, Digest, u64), Failure> {
        let absent = || fail(ErrorCode::NotFound, format!("`{}` is not in the archive", path.escape_debug()));
        let mut at = path.strip_prefix("./").unwrap_or(path);
        for _ in 0..LINKS_MAX {
            match self.links.get(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        let digest = self.files.get(at).ok_or_else(absent)?;
        let blob = self.blobs.get(digest).ok_or_else(absent)?;
        Ok((blob.clone(), digest.clone(), blob.size()))
    }
}

fn role(path: &str) -> Result<Role, Failure> {
    if [LAYOUT, INDEX, MANIFEST, REPOSITORIES].contains(&path) || path.ends_with(V1) {
        return Ok(Role::Document);
    }
    if path.ends_with(V1_VERSION) {
        return Ok(Role::Passed);
    }
    let Some(name) = path.strip_prefix("blobs/") else { return Ok(Role::Other) };
    match name.split_once('/').map(|(algorithm, hash)| format!("{algorithm}:{hash}").parse()) {
        Some(Ok(digest)) => Ok(Role::Blob(digest)),
        _ => Err(invalid("it is among the blobs, and not called by a digest")),
    }
}
