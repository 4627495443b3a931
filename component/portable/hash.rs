//! Hashing of blobs, in one place, because it is what a guest spends its time
//! on. It reads no files.
//!
//! FIPS 180-4, by the crate `sha2`. In WebAssembly it takes its SIMD code for
//! SHA-256 where the whole build has `simd128`, as `.cargo/config.toml` asks. That
//! makes it a quarter faster, and SHA-512 no faster; there are no instructions for
//! SHA as natively, so that four fifths of the speed stay away.

use crate::nouns::digest::{Algorithm, Digest};
use sha2::Digest as _;

/// A digest in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Begins with no bytes.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Says which algorithm it is.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of everything that was added.
    pub(crate) fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        match self {
            Self::Sha256(hasher) => Digest::encode(algorithm, &hasher.finalize()),
            Self::Sha512(hasher) => Digest::encode(algorithm, &hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_pieces_have_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|index| (index % 251) as u8).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for piece in [1, 63, 64, 65, 8_191, 70_000] {
                let mut hasher = Hasher::new(algorithm);
                bytes.chunks(piece).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finish(), Digest::of(algorithm, &bytes), "{algorithm} by {piece}");
            }
        }
    }
}
