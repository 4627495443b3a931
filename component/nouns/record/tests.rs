//! What version 1 is, byte for byte, and what is refused of a record.

use super::*;
use crate::nouns::digest::Algorithm;
use sha2::Digest as _;

fn record() -> ImageRecord {
    let digest = |text: &str| Digest::of(Algorithm::Sha256, text.as_bytes());
    ImageRecord {
        target: Descriptor::new(media_type::OCI_INDEX, digest("index"), 1234),
        created: 1_709_251_200,
        updated: 1_709_251_260,
        size: 3_626_897,
        labels: BTreeMap::new(),
        platforms: vec![Present {
            manifest: Descriptor::new(media_type::OCI_MANIFEST, digest("manifest"), 610),
            config: digest("config"),
            platform: Some("linux/amd64".to_owned()),
            created: Some(1_700_000_000),
            size: 3_625_663,
            layers: 1,
            labels: BTreeMap::from([("maintainer".to_owned(), "somebody".to_owned())]),
        }],
    }
}

/// What is on disks has to stay readable: these bytes are version 1.
#[test]
fn version_1_is_written_like_this() {
    let hash = |text: &str| sha2::Sha256::digest(text.as_bytes());
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let bytes = [
        &text("application/vnd.oci.image.index.v1+json"),
        &[0, 32][..],
        &hash("index"),
        &[0xd2, 0x09],
        &[0x80, 0xea, 0x88, 0xde, 0x0c],
        &[0xf8, 0xea, 0x88, 0xde, 0x0c],
        &[0x91, 0xaf, 0xdd, 0x01],
        &[0],
        &[1],
        &text("application/vnd.oci.image.manifest.v1+json"),
        &[0, 32],
        &hash("manifest"),
        &[0xe2, 0x04],
        &[0, 32],
        &hash("config"),
        &[1],
        &text("linux/amd64"),
        &[1, 0x80, 0xc4, 0x9f, 0xd5, 0x0c],
        &[0xbf, 0xa5, 0xdd, 0x01],
        &[1],
        &[1],
        &text("maintainer"),
        &text("somebody"),
    ]
    .concat();
    assert_eq!(record().encode(), Ok(bytes.clone()));
    assert_eq!(ImageRecord::decode(&bytes), Ok(record()));
}

#[test]
fn a_record_survives_a_round_trip_with_whatever_may_be_absent() {
    let mut record = record();
    record.labels = BTreeMap::from([("kept".to_owned(), String::new())]);
    record.target.digest = Digest::of(Algorithm::Sha512, b"index");
    record.platforms.push(Present { platform: None, created: None, ..record.platforms[0].clone() });
    (record.created, record.updated, record.size) = (i64::MIN, i64::MAX, u64::MAX);
    assert_eq!(ImageRecord::decode(&record.encode().unwrap()), Ok(record));
}

/// A record is short, so every cut and every other bit can be tried.
#[test]
fn a_damaged_record_is_refused_or_is_another_record() {
    let whole = record().encode().unwrap();
    for length in 0..whole.len() {
        let found = ImageRecord::decode(&whole[..length]);
        assert!(matches!(found, Err(Error::Damaged(_))), "{length} bytes: {found:?}");
    }
    assert_eq!(
        ImageRecord::decode(&[&whole[..], b"}"].concat()),
        Err(Error::Damaged("something comes after its end".to_owned()))
    );
    for bit in 0..8 * whole.len() {
        let mut other = whole.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = ImageRecord::decode(&other) {
            assert_ne!(found, record(), "bit {bit}");
            assert!(media_type::is_valid(&found.target.media_type), "bit {bit}");
        }
    }
}

#[test]
fn what_a_record_cannot_hold_is_refused() {
    type Change = fn(&mut View<'_>);
    let damaged = |change: Change| {
        let record = record();
        let mut view = View::from(&record);
        change(&mut view);
        ImageRecord::decode(&postcard::to_allocvec(&view).unwrap())
    };
    let rows: [(&str, Change); 3] = [
        ("the media type of a descriptor is none", |view| view.target.media_type = "text"),
        ("the media type of a descriptor is none", |view| view.platforms[0].manifest.media_type = ""),
        ("it has more than 1024 platforms", |view| view.platforms = vec![view.platforms[0].clone(); 1025]),
    ];
    for (why, change) in rows {
        assert_eq!(damaged(change), Err(Error::Damaged(why.to_owned())));
    }
}

#[test]
fn a_sentence_in_place_of_a_record_is_what_is_wrong() {
    let rows = [("no part of it is here", "no part of it is here"), ("", ""), ("\u{1b}[2J", "\\u{1b}[2J")];
    for (why, expected) in rows {
        assert_eq!(ImageRecord::decode(&unusable(why)), Err(Error::Unusable(expected.to_owned())));
    }
}

#[test]
fn a_newer_schema_is_refused_and_an_absent_one_is_new() {
    let rows: [(Option<&[u8]>, _); 7] = [
        (None, Ok(Schema::New)),
        (Some(b"1"), Ok(Schema::Current)),
        (Some(b"2"), Err(Error::Newer(2))),
        (Some(b"4294967295"), Err(Error::Newer(u32::MAX))),
        (Some(b"0"), Err(Error::Schema)),
        (Some(b""), Err(Error::Schema)),
        (Some(b"\xff"), Err(Error::Schema)),
    ];
    for (value, expected) in rows {
        assert_eq!(Schema::read(value), expected, "{value:?}");
    }
    assert_eq!(Schema::read(Some(&Schema::current())), Ok(Schema::Current));
}

#[test]
fn a_label_that_is_a_document_stays_in_the_config() {
    let labels = BTreeMap::from([
        ("a".to_owned(), "x".repeat(LABEL_VALUE_BYTES_MAX)),
        ("b".to_owned(), "x".repeat(LABEL_VALUE_BYTES_MAX + 1)),
    ]);
    assert_eq!(short_labels(&labels).into_keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn labels_together_have_a_limit_too() {
    let large = (0..256).map(|number| (format!("{number:03}"), "x".repeat(1_021))).collect();
    assert_eq!(short_labels(&large).len(), LABELS_BYTES_MAX / 1_024);
    let many = (0..1_000).map(|number| (format!("{number:03}"), String::new())).collect();
    assert_eq!(short_labels(&many).len(), LABELS_MAX);
}

/// The same for what programs record that were written for containerd.
#[test]
fn blobs_ingests_namespaces_and_what_leases_hold_are_written_like_this() {
    let labels = || BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let content = ContentRecord { created: (1, 2), updated: (-3, 4), labels: labels() };
    let writing = WritingRecord { total: 5, expected: None, started: (1, 2) };
    let space = NamespaceRecord { labels: labels() };
    let leased = LeasedRecord { kind: "k".to_owned(), id: "i".to_owned() };
    let rows: [(Vec<u8>, &[u8]); 4] = [
        (content.encode(), &[2, 2, 5, 4, 1, 1, b'a', 1, b'b']),
        (writing.encode(), &[10, 0, 2, 2]),
        (space.encode(), &[1, 1, b'a', 1, b'b']),
        (leased.encode(), &[1, b'k', 1, b'i']),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
    }
    assert_eq!(ContentRecord::decode(&content.encode()), Ok(content));
    assert_eq!(WritingRecord::decode(&writing.encode()), Ok(writing));
    assert_eq!(NamespaceRecord::decode(&space.encode()), Ok(space));
    assert_eq!(LeasedRecord::decode(&leased.encode()), Ok(leased.clone()));
    for bytes in [&[][..], &[0xff; 3]] {
        assert!(ContentRecord::decode(bytes).is_err() && WritingRecord::decode(bytes).is_err());
    }
    let hash = Digest::of(Algorithm::Sha256, b"k\ni");
    let key = format!("leased/x/y/{}", hash.encoded());
    assert_eq!((leased.key("x/y"), LeasedRecord::lease_of(&key)), (key.clone(), Some("x/y")));
}

/// A client finds its snapshots by these bytes.
#[test]
fn snapshots_are_written_like_this() {
    let tree = Digest::of(Algorithm::Sha256, b"tree");
    let kinds = [(SnapshotKind::View, 0), (SnapshotKind::Active, 1), (SnapshotKind::Committed, 2)];
    for ((kind, number), parent) in kinds.into_iter().zip([None, Some("p".to_owned()), None]) {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let below: &[u8] = if parent.is_some() { &[1, 1, b'p'] } else { &[0] };
        let record = SnapshotRecord { kind, parent, tree: tree.clone(), labels, created: (1, 2), updated: (-3, 4) };
        let text = tree.to_string();
        let expected = [&[number], below, &[71], text.as_bytes(), &[1, 1, b'a', 1, b'b', 2, 2, 5, 4]].concat();
        assert_eq!(record.encode(), expected);
        assert_eq!(SnapshotRecord::decode(&expected), Ok(record));
        for length in 0..expected.len() {
            assert!(SnapshotRecord::decode(&expected[..length]).is_err(), "{length} bytes");
        }
    }
}

/// A lease of three blobs whose count a disk had made one was read as a lease of one blob: what came after that was passed
/// over, and a collection took the others away.
#[test]
fn a_record_that_ends_before_its_bytes_is_damaged() {
    let holds = ["a", "b", "c"].map(|text| Digest::of(Algorithm::Sha256, text.as_bytes())).to_vec();
    let lease = LeaseRecord { created: 1, expires: None, labels: BTreeMap::new(), holds };
    let mut bytes = lease.encode();
    assert_eq!(LeaseRecord::decode(&bytes).as_ref(), Ok(&lease));
    assert_eq!(bytes[3], 3, "how many blobs it holds");
    bytes[3] = 1;
    let why = "something comes after its end".to_owned();
    assert_eq!(LeaseRecord::decode(&bytes), Err(Error::Damaged(why)));
    let target = Some(Digest::of(Algorithm::Sha256, b"a"));
    let happening =
        Happening { time: (1, 2), action: Action::Tag, subject: "docker.io/library/a:1".to_owned(), target };
    let more = |bytes: Vec<u8>| [&bytes[..], &[0]].concat();
    assert!(Happening::decode(&happening.key(7), &more(happening.encode())).is_err());
    assert!(NamespaceRecord::decode(&more(NamespaceRecord::default().encode())).is_err());
}
