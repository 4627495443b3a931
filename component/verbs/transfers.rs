//! How the blobs of a pull came: one [`Transfer`] a blob for whoever listens,
//! and the record of it beside the image's. It fetches nothing.

use super::contract::{Allowance, Transfer};
use crate::{
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        record::{Arrival, Provenance},
    },
    registry::Sent,
};
use std::collections::BTreeMap;

/// What is told of a blob that took `duration_ms` to come.
pub(super) fn transfer(blob: &Descriptor, sent: Sent, duration_ms: u64) -> Transfer {
    let Sent { endpoint, attempts, resumed_from, fetched_bytes } = sent;
    let blob = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
    Transfer { blob, endpoint, attempts, resumed_from, fetched_bytes, duration_ms }
}

/// What is told of a blob that was here.
pub(super) fn present(blob: &Descriptor) -> Transfer {
    transfer(blob, Sent::default(), 0)
}

/// Makes the record of how the `blobs` of a name came, of those that are told
/// about now and those that were `before`. Who sent a blob that was here stays
/// known. `now` is in seconds since 1970.
pub(super) fn provenance(
    before: Option<Provenance>,
    transfers: &[Transfer],
    blobs: &[Descriptor],
    now: i64,
) -> Provenance {
    let mut before: BTreeMap<Digest, Arrival> =
        before.into_iter().flat_map(|before| before.arrivals).map(|one| (one.digest.clone(), one)).collect();
    let mut arrivals = Vec::new();
    for transfer in transfers {
        let known = before.remove(&transfer.blob.digest);
        arrivals.push(match known {
            Some(known) if transfer.endpoint.is_none() => known,
            _ => arrival(transfer, now),
        });
    }
    // What an earlier pull brought and this one did not need.
    arrivals.extend(blobs.iter().filter_map(|blob| before.remove(&blob.digest)));
    Provenance { arrivals }
}

fn arrival(transfer: &Transfer, now: i64) -> Arrival {
    let Transfer { blob, endpoint, attempts, resumed_from, fetched_bytes, duration_ms } = transfer.clone();
    let Descriptor { digest, size, .. } = blob;
    Arrival { digest, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, pulled: now }
}

/// Says how many more pulls a registry allows.
pub(super) fn sentence(allowance: &Allowance) -> String {
    let Allowance { registry, limit, remaining, window_s } = allowance;
    let within = window_s.map(|seconds| format!(" in {}", span(seconds))).unwrap_or_default();
    let noun = if *limit == 1 { "pull" } else { "pulls" };
    format!(
        "`{registry}` allows {limit} {noun}{within}; {remaining} {} left",
        if *remaining == 1 { "is" } else { "are" }
    )
}

/// Writes a time in the largest unit that divides it.
fn span(seconds: u64) -> String {
    match seconds {
        0 => "0 s".to_owned(),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{digest::Algorithm, media_type};

    fn blob(name: &str) -> Descriptor {
        Descriptor::new(media_type::OCI_LAYER, Digest::of(Algorithm::Sha256, name.as_bytes()), 100)
    }

    fn fetched(name: &str, endpoint: &str) -> Transfer {
        let sent = Sent { endpoint: Some(endpoint.to_owned()), attempts: 2, resumed_from: 40, fetched_bytes: 60 };
        transfer(&blob(name), sent, 7)
    }

    fn told(provenance: &Provenance) -> Vec<(String, Option<&str>, i64)> {
        let one = |it: &'_ Arrival| it.digest.to_string();
        provenance.arrivals.iter().map(|it| (one(it), it.endpoint.as_deref(), it.pulled)).collect()
    }

    #[test]
    fn who_sent_a_blob_stays_known_when_it_was_here() {
        let name = |name: &str| blob(name).digest.to_string();
        let blobs = ["a", "b", "c"].map(blob);
        let first = provenance(None, &[fetched("a", "https://m.lan"), present(&blob("b"))], &blobs, 1);
        assert_eq!(told(&first), [(name("a"), Some("https://m.lan"), 1), (name("b"), None, 1)]);

        let second = [present(&blob("a")), fetched("b", "https://r.lan"), fetched("c", "https://r.lan")];
        let second = provenance(Some(first), &second, &blobs, 2);
        let (r, m) = (Some("https://r.lan"), Some("https://m.lan"));
        assert_eq!(told(&second), [(name("a"), m, 1), (name("b"), r, 2), (name("c"), r, 2)]);

        // The other platforms of an index stay, and what left the image does not.
        let third = provenance(Some(second), &[fetched("c", "https://m.lan")], &blobs[1..], 3);
        assert_eq!(told(&third), [(name("c"), m, 3), (name("b"), r, 2)]);
    }

    #[test]
    fn an_arrival_says_all_of_a_transfer() {
        let record = provenance(None, &[fetched("a", "https://m.lan")], &[], 5);
        let expected = Arrival {
            digest: blob("a").digest,
            size: 100,
            endpoint: Some("https://m.lan".to_owned()),
            attempts: 2,
            resumed_from: 40,
            fetched_bytes: 60,
            duration_ms: 7,
            pulled: 5,
        };
        assert_eq!(record.arrivals, [expected]);
    }

    #[test]
    fn an_allowance_is_a_sentence() {
        for (limit, remaining, window_s, expected) in [
            (100, 97, Some(21_600), "`docker.io` allows 100 pulls in 6 h; 97 are left"),
            (1, 1, Some(90), "`docker.io` allows 1 pull in 90 s; 1 is left"),
            (10, 0, Some(1_800), "`docker.io` allows 10 pulls in 30 min; 0 are left"),
            (10, 5, None, "`docker.io` allows 10 pulls; 5 are left"),
        ] {
            let allowance = Allowance { registry: "docker.io".to_owned(), limit, remaining, window_s };
            assert_eq!(sentence(&allowance), expected);
        }
    }
}
