//! The content store, as the component's code reaches it when it runs natively.

use super::{Body, aside, code, native, told};
use wharf::content;
use wharf_component::host::{self, Result};
use wharf_component::nouns::digest::Digest;

/// See `content.ingest`.
#[derive(Debug)]
pub(crate) struct Ingest(pub(super) content::Ingest);

impl host::Ingest for Ingest {
    type Stream = Body;
    type Blob = Blob;

    fn offset(&self) -> u64 {
        self.0.offset()
    }

    async fn append(&self, mut data: Body, limit: u64) -> Result<(u64, Option<Body>)> {
        let mut taken = 0;
        while taken < limit {
            let Some(mut chunk) = data.next().await else { return Ok((taken, None)) };
            let room = usize::try_from(limit - taken).unwrap_or(usize::MAX);
            if chunk.len() > room {
                data.put_back(chunk.split_off(room));
            }
            self.0.append(&chunk).map_err(code)?;
            taken += chunk.len() as u64;
        }
        Ok((taken, Some(data)))
    }

    async fn digest(&self) -> Result<Digest> {
        self.0.digest().map(|digest| told(&digest)).map_err(code)
    }

    async fn restart(&self) -> Result<()> {
        self.0.restart().map_err(code)
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<Blob> {
        let (ingest, expected) = (self.0, native(expected));
        aside(move || ingest.commit(&expected, size)).await.map(Blob).map_err(code)
    }

    async fn discard(self) -> Result<()> {
        self.0.discard().map_err(code)
    }
}

/// See `content.blob`.
#[derive(Debug)]
pub(crate) struct Blob(pub(super) content::Blob);

impl host::Blob for Blob {
    fn size(&self) -> u64 {
        self.0.size()
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.0.read(offset, length).map_err(code)
    }

    async fn verify(&self) -> Result<()> {
        let mut verifier = self.0.verifier();
        while !verifier.step().map_err(code)? {}
        Ok(())
    }
}

/// See `content.claimed`.
#[derive(Debug)]
pub(crate) struct Claim(pub(super) content::Claim);

impl host::Claim for Claim {
    fn digests(&self) -> Vec<Digest> {
        self.0.digests().map(told).collect()
    }

    async fn remove(self, digests: &[Digest]) -> Result<u64> {
        let digests: Vec<_> = digests.iter().map(native).collect();
        self.0.remove(&digests).map_err(code)
    }
}
