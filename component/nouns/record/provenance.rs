//! The record of how the blobs of a name came here. It decides nothing about
//! the image, and an image without one is whole.
//!
//! ```text
//! provenance/docker.io/library/alpine:3.20    the fields of [`View`] in this order, in postcard's format
//! ```

use super::{Error, RECORD_BYTES_MAX, read};
use crate::nouns::digest::{Digest, Hash};
use serde::{Deserialize, Serialize};

/// What the keys of these records begin with; the canonical name follows.
pub const PROVENANCE_PREFIX: &str = "provenance/";
/// How many blobs a record may tell about. A pull brings far fewer.
const ARRIVALS_MAX: usize = 4_096;

/// How the blobs of a name came here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// In order of arrival, no digest twice.
    pub arrivals: Vec<Arrival>,
}

/// How one blob came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What it hashes to.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Who sent the last byte, as in `https://mirror.lan`; none if it was here.
    pub endpoint: Option<String>,
    /// How many requests for it were sent.
    pub attempts: u32,
    /// Bytes that an earlier pull had left.
    pub resumed_from: u64,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// From the first request to the verified blob, in milliseconds.
    pub duration_ms: u64,
    /// When, in seconds since 1970.
    pub pulled: i64,
}

impl Provenance {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let View { arrivals } = read(bytes)?;
        if arrivals.len() > ARRIVALS_MAX {
            return Err(Error::Damaged(format!("it has more than {ARRIVALS_MAX} blobs")));
        }
        Ok(Self { arrivals: arrivals.iter().map(Arrival::from).collect() })
    }

    /// Writes a record.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let view = View { arrivals: self.arrivals.iter().map(ArrivalView::from).collect() };
        let bytes = postcard::to_allocvec(&view).expect("lengths are known, and writing to memory cannot fail");
        if bytes.len() > RECORD_BYTES_MAX { Err(Error::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// Returns how a blob came here.
    pub fn of(&self, digest: &Digest) -> Option<&Arrival> {
        self.arrivals.iter().find(|arrival| arrival.digest == *digest)
    }
}

/// [`Provenance`] where it stands.
#[derive(Serialize, Deserialize)]
struct View<'r> {
    #[serde(borrow)]
    arrivals: Vec<ArrivalView<'r>>,
}

/// [`Arrival`] where it stands. The order of the fields is the format.
#[derive(Serialize, Deserialize)]
struct ArrivalView<'r> {
    #[serde(borrow)]
    digest: Hash<'r>,
    size: u64,
    endpoint: Option<&'r str>,
    attempts: u32,
    resumed_from: u64,
    fetched_bytes: u64,
    duration_ms: u64,
    pulled: i64,
}

impl<'r> From<&'r Arrival> for ArrivalView<'r> {
    fn from(arrival: &'r Arrival) -> Self {
        let Arrival { size, attempts, resumed_from, fetched_bytes, duration_ms, pulled, .. } = *arrival;
        let (digest, endpoint) = ((&arrival.digest).into(), arrival.endpoint.as_deref());
        Self { digest, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, pulled }
    }
}

impl From<&ArrivalView<'_>> for Arrival {
    fn from(view: &ArrivalView<'_>) -> Self {
        let ArrivalView { size, attempts, resumed_from, fetched_bytes, duration_ms, pulled, .. } = *view;
        let (digest, endpoint) = ((&view.digest).into(), view.endpoint.map(str::to_owned));
        Self { digest, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, pulled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;
    use sha2::Digest as _;

    fn provenance() -> Provenance {
        let came = Arrival {
            digest: Digest::of(Algorithm::Sha256, b"layer"),
            size: 300,
            endpoint: Some("https://mirror.lan".to_owned()),
            attempts: 2,
            resumed_from: 100,
            fetched_bytes: 200,
            duration_ms: 1_000,
            pulled: 1_709_251_200,
        };
        let digest = Digest::of(Algorithm::Sha512, b"config");
        let was_here = Arrival { digest, endpoint: None, attempts: 0, fetched_bytes: 0, ..came.clone() };
        Provenance { arrivals: vec![came, was_here] }
    }

    /// What is on disks has to stay readable: these bytes are version 1.
    #[test]
    fn version_1_is_written_like_this() {
        let bytes = [
            &[2, 0, 32][..],
            &sha2::Sha256::digest(b"layer"),
            &[0xac, 0x02, 1, 18],
            b"https://mirror.lan",
            &[2, 100, 0xc8, 0x01, 0xe8, 0x07, 0x80, 0xea, 0x88, 0xde, 0x0c],
            &[1, 64],
            &sha2::Sha512::digest(b"config"),
            &[0xac, 0x02, 0, 0, 100, 0, 0xe8, 0x07, 0x80, 0xea, 0x88, 0xde, 0x0c],
        ]
        .concat();
        assert_eq!(provenance().encode(), Ok(bytes.clone()));
        assert_eq!(Provenance::decode(&bytes), Ok(provenance()));
    }

    #[test]
    fn a_damaged_record_is_refused_or_is_another_record() {
        let whole = provenance().encode().unwrap();
        for length in 0..whole.len() {
            assert!(matches!(Provenance::decode(&whole[..length]), Err(Error::Damaged(_))), "{length} bytes");
        }
        let longer = Provenance::decode(&[&whole[..], b"}"].concat());
        assert_eq!(longer, Err(Error::Damaged("something comes after its end".to_owned())));
        for bit in 0..8 * whole.len() {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Provenance::decode(&other).as_ref(), Ok(&provenance()), "bit {bit}");
        }
    }

    #[test]
    fn more_blobs_than_a_pull_can_bring_are_refused() {
        let arrivals = vec![provenance().arrivals[1].clone(); ARRIVALS_MAX + 1];
        let found = Provenance::decode(&Provenance { arrivals }.encode().unwrap());
        assert_eq!(found, Err(Error::Damaged("it has more than 4096 blobs".to_owned())));
    }
}
