//! An archive on its way: its entries, one after the other. It reads headers and
//! documents; the contents of other files go on as streams. It knows no images.

use crate::{
    host::{Host, Ingest},
    nouns::{
        json::DOCUMENT_BYTES_MAX,
        problem::ErrorCode,
        tar::{self, BLOCK_BYTES, Entry, Headers, Step},
    },
    registry::Failure,
    verbs::failing::{because, fail, invalid, try_this},
};
use futures_util::future::LocalBoxFuture;

/// How many entries an archive may have.
const ENTRIES_MAX: u32 = 1_000_000;
/// What the files of an archive may have together, without compression: a megabyte
/// inflates to a gigabyte, and an archive may have many of them. The largest images
/// that anybody moves have a tenth of it.
const FILES_BYTES_MAX: u64 = 1 << 40;
/// How many bytes may follow the end of an archive: writers fill the last record.
const TRAILER_BYTES_MAX: u64 = 16 << 20;

/// What compressed files begin with, and what makes them readable.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
];

/// See the [module](self).
pub(super) struct Source<'h, H: Host> {
    host: &'h H,
    /// None after its end.
    stream: Option<H::Stream>,
    /// Why it has ended.
    end: Option<LocalBoxFuture<'static, Result<(), ErrorCode>>>,
    headers: Headers,
    blocks: u64,
    entries: u32,
    /// What the files have together, as their headers say.
    bytes: u64,
}

impl<'h, H: Host> Source<'h, H> {
    /// Begins to read an archive that may be compressed as a whole.
    pub(super) fn open(host: &'h H, archive: H::Stream) -> Self {
        let (stream, end) = host.inflate(archive);
        let headers = Headers::default();
        Self { host, stream: Some(stream), end: Some(end), headers, blocks: 0, entries: 0, bytes: 0 }
    }

    /// Returns the next entry. The bytes of the last one have been taken: by
    /// [`Source::document`], [`Source::store`] or [`Source::pass`].
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        loop {
            let Some(block) = self.block().await? else {
                return if self.headers.is_over() { Ok(None) } else { Err(self.cut().await) };
            };
            let step = self.headers.read(&block).map_err(|error| self.refused(&block, &error))?;
            self.blocks += 1;
            match step {
                Step::Entry(entry) => {
                    self.entries += 1;
                    if self.entries > ENTRIES_MAX {
                        let why = format!("the archive has more than {ENTRIES_MAX} entries");
                        return Err(fail(ErrorCode::TooLarge(ENTRIES_MAX.into()), why));
                    }
                    self.bytes = self.bytes.saturating_add(entry.size);
                    if self.bytes > FILES_BYTES_MAX {
                        let why = format!("its files have more than {FILES_BYTES_MAX} bytes together");
                        return Err(fail(ErrorCode::TooLarge(FILES_BYTES_MAX), why));
                    }
                    return Ok(Some(entry));
                }
                Step::Extension(size) => {
                    let bytes = self.whole(size).await?;
                    self.fill(size).await?;
                    self.headers.extend(&bytes).map_err(invalid)?;
                }
                Step::Zeros => {}
                Step::End => return self.finish().await.map(|()| None),
            }
        }
    }

    /// Takes the bytes of an entry that is a document.
    pub(super) async fn document(&mut self, entry: &Entry) -> Result<Vec<u8>, Failure> {
        if entry.size > DOCUMENT_BYTES_MAX as u64 {
            let why = format!("`{}` has {} bytes; a document has at most {DOCUMENT_BYTES_MAX}", entry.path, entry.size);
            return Err(fail(ErrorCode::TooLarge(DOCUMENT_BYTES_MAX as u64), why));
        }
        let bytes = self.whole(entry.size).await?;
        self.fill(entry.size).await?;
        Ok(bytes)
    }

    /// Lets the bytes of an entry arrive.
    pub(super) async fn store(&mut self, entry: &Entry, ingest: &H::Ingest) -> Result<(), Failure> {
        if entry.size > 0 {
            let Some(stream) = self.stream.take() else { return Err(self.cut().await) };
            let (taken, rest) = ingest.append(stream, entry.size).await?;
            self.stream = rest;
            if taken < entry.size {
                return Err(self.cut().await);
            }
        }
        self.fill(entry.size).await
    }

    /// Passes over the bytes of an entry.
    pub(super) async fn pass(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.over(entry.size).await?;
        self.fill(entry.size).await
    }

    async fn over(&mut self, size: u64) -> Result<(), Failure> {
        if size == 0 {
            return Ok(());
        }
        let Some(stream) = self.stream.take() else { return Err(self.cut().await) };
        let (passed, rest) = self.host.skip(stream, size).await?;
        self.stream = rest;
        if passed < size { Err(self.cut().await) } else { Ok(()) }
    }

    /// Passes over the padding of so many bytes.
    async fn fill(&mut self, size: u64) -> Result<(), Failure> {
        self.over(tar::padding(size) as u64).await
    }

    /// Returns a block; none at the end of the stream.
    async fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES as usize]>, Failure> {
        let bytes = self.take(BLOCK_BYTES).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        match bytes.try_into() {
            Ok(block) => Ok(Some(block)),
            Err(_) => Err(self.cut().await),
        }
    }

    async fn whole(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        let bytes = self.take(size).await?;
        if (bytes.len() as u64) < size { Err(self.cut().await) } else { Ok(bytes) }
    }

    async fn take(&mut self, length: u64) -> Result<Vec<u8>, Failure> {
        let Some(stream) = self.stream.take().filter(|_| length > 0) else { return Ok(Vec::new()) };
        let (bytes, rest) = self.host.take(stream, length).await?;
        self.stream = rest;
        Ok(bytes)
    }

    /// Reads what follows the last entry, so that a checksum at the end counts.
    async fn finish(&mut self) -> Result<(), Failure> {
        if let Some(stream) = self.stream.take() {
            let (_, rest) = self.host.skip(stream, TRAILER_BYTES_MAX).await?;
            if let Some(stream) = rest
                && self.host.skip(stream, 1).await?.0 > 0
            {
                return Err(invalid("the archive is damaged: something follows its end"));
            }
        }
        match self.end.take() {
            Some(end) => end.await.map_err(uninflated),
            None => Ok(()),
        }
    }

    /// Says that the archive has ended before its end.
    async fn cut(&mut self) -> Failure {
        // A stream that has not ended has not said why.
        if self.stream.is_none()
            && let Some(end) = self.end.take()
            && let Err(code) = end.await
        {
            return uninflated(code);
        }
        match self.blocks {
            0 => invalid("it is no archive: it is empty, or shorter than a header"),
            _ => invalid("the archive ends before its end: it was cut off"),
        }
    }

    fn refused(&self, block: &[u8], error: &tar::Error) -> Failure {
        if self.blocks > 0 {
            return invalid(error);
        }
        match COMPRESSED.iter().find(|(magic, _)| block.starts_with(magic)) {
            Some((_, name)) => {
                let why = format!("it is compressed with {name}, which this program does not undo here");
                try_this(fail(ErrorCode::Unsupported, why), format!("decompress it first, as by `{name} -d`"))
            }
            None => because("it is no tar archive")(invalid(error)),
        }
    }
}

fn uninflated(code: ErrorCode) -> Failure {
    match code {
        ErrorCode::Invalid => fail(code, "its compressed bytes are damaged, or end too early"),
        ErrorCode::TooLarge(_) => fail(code, "its compressed bytes need too much memory"),
        other => other.into(),
    }
}
