//! What the component keeps in `metadata`: a disk may give back anything.

use super::written;
use wharf_component::nouns::descriptor::Descriptor;
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_component::nouns::record::{
    Arrival, ImageRecord, LABELS_MAX, Present, Provenance, RECORD_BYTES_MAX, Schema, View, short_labels, weight,
};

pub(super) fn image(bytes: &[u8]) -> bool {
    if let Ok(schema) = Schema::read(Some(bytes)) {
        assert!(schema == Schema::Current && Schema::read(Some(&Schema::current())) == Ok(schema));
    }
    let view = View::decode(bytes);
    let owned = ImageRecord::decode(bytes);
    assert_eq!(view.as_ref().map(ImageRecord::from), owned.as_ref().cloned());
    let record = match owned {
        Ok(record) => record,
        Err(error) => {
            let text = error.to_string();
            super::assert_harmless(&text);
            assert!(text.len() <= 8 << 10);
            return false;
        }
    };
    let again = record.encode();
    if bytes.len() < RECORD_BYTES_MAX / 2 {
        let again = again.expect("it is no larger than what was read");
        // A varint may be written longer than it has to be.
        assert!(again.len() <= bytes.len());
        assert_eq!(ImageRecord::decode(&again).as_ref(), Ok(&record));
    }
    assert!(short_labels(&record.labels).len() <= LABELS_MAX);
    let manifests = record.platforms.iter().map(|present| &present.manifest);
    _ = weight(manifests.chain([&record.target]));
    true
}

fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

pub(super) fn images() -> Vec<Vec<u8>> {
    let descriptor = |of: &str| Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest(of), 1_234);
    let present = Present {
        manifest: descriptor("manifest"),
        config: Digest::of(Algorithm::Sha512, b"config"),
        platform: Some("linux/arm64/v8".to_owned()),
        created: Some(-1),
        size: u64::MAX,
        layers: 3,
        labels: [("a".to_owned(), "b".to_owned())].into(),
    };
    let bare = Present { platform: None, created: None, labels: [].into(), ..present.clone() };
    let record = ImageRecord {
        target: descriptor("index"),
        created: 1_709_251_200,
        updated: i64::MIN,
        size: 5_678,
        labels: [("wharf".to_owned(), String::new())].into(),
        platforms: vec![present, bare],
    };
    let whole = record.encode().expect("it is small");
    let mut seeds = written(&["1", "2", "\0the entry is no descriptor", ""]);
    seeds.extend([whole[..whole.len() / 2].to_vec(), whole]);
    seeds
}

pub(super) fn provenance(bytes: &[u8]) -> bool {
    let Ok(provenance) = Provenance::decode(bytes) else { return false };
    if bytes.len() < RECORD_BYTES_MAX / 2 {
        let again = provenance.encode().expect("it is no larger than what was read");
        assert!(again.len() <= bytes.len());
        assert_eq!(Provenance::decode(&again).as_ref(), Ok(&provenance));
    }
    for arrival in &provenance.arrivals {
        assert!(provenance.of(&arrival.digest).is_some());
    }
    true
}

pub(super) fn provenances() -> Vec<Vec<u8>> {
    let arrival = Arrival {
        digest: digest("layer"),
        size: 300,
        endpoint: Some("https://mirror.lan".to_owned()),
        attempts: 2,
        resumed_from: 100,
        fetched_bytes: 200,
        duration_ms: 1_000,
        pulled: 1_709_251_200,
    };
    let was_here = Arrival { digest: Digest::of(Algorithm::Sha512, b"config"), endpoint: None, ..arrival.clone() };
    let whole = Provenance { arrivals: vec![arrival, was_here] }.encode().expect("it is small");
    vec![whole[..40].to_vec(), whole, vec![0], vec![0xff; 12]]
}
