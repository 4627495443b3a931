//! Digests: an algorithm, and what it makes of some bytes.
//!
//! It does not hash streams; bytes that are not a document are hashed by the
//! host. A value of [`Digest`] is always well-formed, so its text may be used
//! as a name of a file.
//!
//! The grammar is that of the OCI image-spec, descriptor.md, “Digests”:
//!
//! ```text
//! digest     = algorithm ":" encoded
//! algorithm  = component *( separator component )
//! component  = 1*( a-z / 0-9 )
//! separator  = "+" / "." / "_" / "-"
//! encoded    = 1*( A-Z / a-z / 0-9 / "=" / "_" / "-" )
//! ```
//!
//! Two algorithms are known: `sha256` with 64 and `sha512` with 128 lower-case
//! hexadecimal digits. Everything else that fits the grammar is refused as
//! [`Error::Unsupported`], and what does not fit as [`Error::Format`].

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Digest as _;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest text that is looked at, in bytes. The longest digest that is
/// accepted has 135.
pub const DIGEST_BYTES_MAX: usize = 1024;

/// The most digits that an algorithm makes.
const DIGITS_MAX: usize = 128;
/// How many digits [`Digest::short`] keeps, as docker does.
const SHORT_DIGITS: usize = 12;

/// A hash function that this crate can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, FIPS 180-4. The one that everybody uses.
    Sha256,
    /// SHA-512, FIPS 180-4.
    Sha512,
}

impl Algorithm {
    /// Returns the name, as in `sha256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns how many hexadecimal digits a digest has.
    pub const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not fit the grammar.
    #[error("not a digest: it has to read `sha256:` and 64 lower-case hexadecimal digits")]
    Format,
    /// The algorithm is known, and makes another number of digits.
    #[error("a {algorithm} digest has {} hexadecimal digits, not {found}", .algorithm.digits())]
    Length {
        /// The algorithm.
        algorithm: Algorithm,
        /// The length of the encoded part, in bytes.
        found: usize,
    },
    /// Nobody here can compute this algorithm.
    #[error("the digest algorithm `{0}` is not supported")]
    Unsupported(String),
}

/// A well-formed digest, as in `sha256:4bcf…`.
///
/// Clones share the text: whoever plans a removal has every digest of the store in
/// several sets at once.
///
/// Invariant: the text is the algorithm's name, a colon, and exactly as many
/// lower-case hexadecimal digits as the algorithm makes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: Arc<str>,
    algorithm: Algorithm,
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::encode(algorithm, &sha2::Sha256::digest(bytes)),
            Algorithm::Sha512 => Self::encode(algorithm, &sha2::Sha512::digest(bytes)),
        }
    }

    /// Writes what the algorithm made.
    pub(crate) fn encode(algorithm: Algorithm, hash: &[u8]) -> Self {
        let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
        let mut digits = [0; DIGITS_MAX];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let digits = std::str::from_utf8(&digits[..2 * hash.len()]).expect("digits are ASCII");
        Self { text: [algorithm.as_str(), ":", digits].concat().into(), algorithm }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the hexadecimal digits.
    pub fn encoded(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// Returns the whole text, as in `sha256:4bcf…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the first twelve digits: what people see of an image's id.
    pub fn short(&self) -> &str {
        &self.encoded()[..SHORT_DIGITS]
    }

    /// Says whether `bytes` hash to this digest.
    pub fn verify(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm, bytes) == *self
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text.as_ref().to_owned()
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads a digest. Takes time linear in the text, which is bounded by
    /// [`DIGEST_BYTES_MAX`].
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > DIGEST_BYTES_MAX {
            return Err(Error::Format);
        }
        let (name, encoded) = text.split_once(':').ok_or(Error::Format)?;
        if name.is_empty() || encoded.is_empty() {
            return Err(Error::Format);
        }
        let Some(algorithm) = Algorithm::named(name) else {
            let known_form = is_algorithm(name) && encoded.bytes().all(is_encoded);
            return Err(if known_form { Error::Unsupported(name.to_owned()) } else { Error::Format });
        };
        if encoded.len() != algorithm.digits() {
            return Err(Error::Length { algorithm, found: encoded.len() });
        }
        if !encoded.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::Format);
        }
        Ok(Self { text: text.into(), algorithm })
    }
}

fn is_algorithm(name: &str) -> bool {
    name.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

fn is_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-')
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.text)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest in half the space, for records: the bytes that the digits stand for,
/// perhaps where they stand in a record.
///
/// Invariant: there are as many bytes as the algorithm makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash<'r> {
    algorithm: Algorithm,
    bytes: Cow<'r, [u8]>,
}

impl From<&Digest> for Hash<'_> {
    fn from(digest: &Digest) -> Self {
        let half = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        let pairs = digest.encoded().as_bytes().chunks_exact(2);
        let bytes = pairs.map(|pair| half(pair[0]) << 4 | half(pair[1])).collect();
        Self { algorithm: digest.algorithm, bytes: Cow::Owned(bytes) }
    }
}

impl From<&Hash<'_>> for Digest {
    fn from(hash: &Hash<'_>) -> Self {
        Self::encode(hash.algorithm, &hash.bytes)
    }
}

impl Serialize for Hash<'_> {
    /// As the algorithm's number and the bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: u8 = match self.algorithm {
            Algorithm::Sha256 => 0,
            Algorithm::Sha512 => 1,
        };
        (number, &*self.bytes).serialize(serializer)
    }
}

impl<'de: 'r, 'r> Deserialize<'de> for Hash<'r> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (number, bytes) = <(u8, &'de [u8])>::deserialize(deserializer)?;
        let algorithm = match number {
            0 => Algorithm::Sha256,
            1 => Algorithm::Sha512,
            _ => return Err(D::Error::custom("nobody here knows the algorithm of a digest")),
        };
        if 2 * bytes.len() != algorithm.digits() {
            return Err(D::Error::custom(Error::Length { algorithm, found: 2 * bytes.len() }));
        }
        Ok(Self { algorithm, bytes: Cow::Borrowed(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// FIPS 180-4, the examples for the empty message and for `abc`.
    #[test]
    fn the_published_examples_hash_as_published() {
        let rows = [
            (Algorithm::Sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (Algorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Algorithm::Sha512,
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (algorithm, bytes, encoded) in rows {
            let digest = Digest::of(algorithm, bytes.as_bytes());
            assert_eq!(digest.encoded(), encoded);
            assert_eq!(digest.to_string(), format!("{algorithm}:{encoded}"));
            assert_eq!(digest.short(), &encoded[..12]);
            assert!(digest.verify(bytes.as_bytes()));
            assert!(!digest.verify(b"other bytes"));
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let short = "sha256:abcdef".parse::<Digest>().unwrap_err();
        assert_eq!(short.to_string(), "a sha256 digest has 64 hexadecimal digits, not 6");
        let unknown = "md5:d41d8cd98f00b204e9800998ecf8427e".parse::<Digest>().unwrap_err();
        assert_eq!(unknown, Error::Unsupported("md5".to_owned()));
        assert_eq!(format!("x:{}", "a".repeat(DIGEST_BYTES_MAX)).parse::<Digest>(), Err(Error::Format));
    }

    #[test]
    fn json_holds_a_digest_as_a_string() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"sha256:../../etc/passwd\"").is_err());
        assert!(serde_json::from_str::<Digest>("7").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives_a_round_trip(text in "\\PC{0,80}|sha(256|512):[0-9a-f]{60,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn a_digest_of_bytes_parses_back(bytes: Vec<u8>) {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let digest = Digest::of(algorithm, &bytes);
                prop_assert_eq!(digest.as_str().parse::<Digest>(), Ok(digest.clone()));
                prop_assert_eq!(Digest::from(&Hash::from(&digest)), digest);
            }
        }
    }
}
