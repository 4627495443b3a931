//! Digests, and the hashing that makes them.
//!
//! It reads no files and verifies nothing: comparing is the business of whoever was promised a digest. Other
//! algorithms than SHA-256 and SHA-512 do not exist here, so nothing can be talked down to a weaker one.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// The registered algorithms. OCI image-spec, descriptor.md, “Registered algorithms”.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`, 64 hexadecimal digits.
    Sha256,
    /// `sha512`, 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order in which digests are sorted.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Returns the name as it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// What some bytes hash to. Written as in `sha256:4bcf…`, sorted as it is written.
///
/// Holding the hash itself rather than its text, a digest is well-formed by construction and safe as a file name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// A SHA-256 hash.
    Sha256([u8; 32]),
    /// A SHA-512 hash.
    Sha512([u8; 64]),
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Reads the part after the colon: lowercase hexadecimal digits, as many as the algorithm has.
    ///
    /// Fails with [`DigestError::Malformed`].
    pub fn from_encoded(algorithm: Algorithm, encoded: &str) -> Result<Self, DigestError> {
        match algorithm {
            Algorithm::Sha256 => decode(encoded).map(Self::Sha256),
            Algorithm::Sha512 => decode(encoded).map(Self::Sha512),
        }
        .ok_or(DigestError::Malformed)
    }

    /// Returns which algorithm made it.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Returns the part after the colon: lowercase hexadecimal digits.
    pub fn encoded(&self) -> String {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let hash: &[u8] = match self {
            Self::Sha256(hash) => hash,
            Self::Sha512(hash) => hash,
        };
        hash.iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.encoded())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no digest. The text is not repeated, because it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It has no colon, the wrong length, or something else than lowercase hexadecimal digits.
    #[error("not a digest: expected an algorithm, `:` and lowercase hexadecimal digits as many as the algorithm has")]
    Malformed,
    /// It names an algorithm that is not verified here.
    #[error("the digest's algorithm is neither `sha256` nor `sha512`")]
    Unsupported,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, encoded) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let algorithm =
            Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(DigestError::Unsupported)?;
        Self::from_encoded(algorithm, encoded)
    }
}

/// Reads exactly `N` bytes in lowercase hexadecimal digits.
fn decode<const N: usize>(encoded: &str) -> Option<[u8; N]> {
    let digits = encoded.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut hash = [0; N];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(hash)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A hash that is being made, piece by piece.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Begins with no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds the bytes that come next.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Returns the digest of everything that was added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::Sha256(state.finalize().into()),
            State::Sha512(state) => Digest::Sha512(state.finalize().into()),
        }
    }
}
