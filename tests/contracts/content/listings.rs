//! Listings of blobs and ingests, and the names that they show.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use wharf::content::{ENTRIES_MAX, Key, NAME_BYTES_MAX};
use wharf::hash::{Algorithm, Digest};

use super::{Store, check_error, pattern, sha256};

#[test]
fn blobs_are_listed_in_order_and_in_pages() {
    let store = Store::new();
    let mut expected = BTreeMap::new();
    for length in 0..40_usize {
        let bytes = pattern(length);
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, &bytes);
            let ingest = store.content.ingest("x").expect("an ingest");
            ingest.append(&bytes).expect("space");
            ingest.commit(&digest, length as u64).expect("a blob");
            expected.insert(digest, length as u64);
        }
    }
    let name = sha256(b"").encoded();
    for foreign in ["draft", ".hidden", &name.to_uppercase(), &name[1..], &format!("{name}0"), "\u{fc}"] {
        fs::write(store.path("blobs/sha256").join(foreign), b"not a blob").expect("a file");
    }
    let expected = expected.into_iter().collect::<Vec<_>>();
    let text = expected.iter().map(|(digest, _)| digest.to_string()).collect::<Vec<_>>();
    assert!(text.is_sorted(), "digests are sorted as they are written");

    for limit in [1, 7, 40, 80, 1000, usize::MAX] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.content.entries(after.as_ref(), limit).expect("a listing");
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            listed.extend(page);
        }
        assert_eq!(listed, expected, "in pages of {limit}");
    }
    assert_eq!(store.content.entries(None, 0).expect("a listing"), []);
}

#[test]
fn a_page_of_blobs_is_bounded_whatever_is_asked_for() {
    let store = Store::new();
    for index in 0..=ENTRIES_MAX {
        let name = format!("{index:064x}");
        // Who reads the names of blobs does not look into the files.
        fs::write(store.path("blobs/sha256").join(name), b"").expect("a file");
    }
    let page = store.content.entries(None, usize::MAX).expect("a listing");
    assert_eq!(page.len(), ENTRIES_MAX);
    let rest = store.content.entries(page.last().map(|(digest, _)| digest), usize::MAX).expect("a listing");
    assert_eq!(rest.iter().map(|(digest, _)| digest.encoded()).collect::<Vec<_>>(), [format!("{ENTRIES_MAX:064x}")]);
}

#[test]
fn ingests_are_listed_and_discarded() {
    let store = Store::new();
    let names = ["default/sha256:4bcf", "another", "third"];
    for (index, name) in names.into_iter().enumerate() {
        store.content.ingest(name).expect("an ingest").append(&pattern(index + 1)).expect("space");
    }
    // One whose process died before it wrote a name, one whose name was lost in a power cut, and somebody's file.
    let nameless = Key::of("nameless");
    fs::create_dir(store.data_path("nameless").parent().expect("a parent")).expect("a directory");
    fs::write(store.data_path("third").with_file_name("name"), b"").expect("a file");
    fs::write(store.path("ingest/readme"), b"not an ingest").expect("a file");
    fs::set_permissions(store.path("ingest/readme"), fs::Permissions::from_mode(0o644)).expect("permissions");
    let old = fs::OpenOptions::new().write(true).open(store.data_path("another")).expect("the data");
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).expect("a time");

    let (mut listed, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.content.ingests(after.as_ref(), 3).expect("a listing");
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        listed.extend(
            page.into_iter().map(|ingest| (ingest.key, (ingest.name, ingest.bytes, ingest.age.as_secs() / 3600))),
        );
    }
    let expected = BTreeMap::from([
        (Key::of(names[0]), (Some(names[0].to_string()), 1, 0)),
        (Key::of(names[1]), (Some(names[1].to_string()), 2, 2)),
        (Key::of(names[2]), (None, 3, 0)),
        (nameless, (None, 0, 0)),
    ]);
    assert_eq!(listed, expected);

    let held = store.content.ingest("another").expect("the ingest");
    check_error(store.content.discard("another"), "InUse");
    drop(held);
    for key in listed.into_keys() {
        store.content.discard(key).expect("nobody holds it");
    }
    store.content.discard("never begun").expect("nothing to do");
    assert_eq!(store.tree(), ["100644 ingest/readme"].map(str::to_string));
}

#[test]
fn names_with_any_characters_are_safe() {
    let longest = "n".repeat(NAME_BYTES_MAX);
    let names = [
        "",
        ".",
        "..",
        "../../victim",
        "/etc/passwd",
        "a/b",
        "\0",
        "line\nbreak",
        "\u{1b}[31m",
        "\u{202e}",
        "\u{1f40b}",
        &longest,
    ];
    let store = Store::new();
    for name in names {
        let ingest = store.content.ingest(name).expect("an ingest");
        ingest.append(name.as_bytes()).expect("space");
        ingest.append(b"!").expect("space");
    }
    let listed = store.content.ingests(None, 100).expect("a listing");
    let mut found = listed.into_iter().map(|ingest| ingest.name.expect("a name")).collect::<Vec<_>>();
    let mut expected = names.map(str::to_string);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for line in store.tree() {
        let rest = line.split_once(" ingest/").expect("nothing outside of `ingest`").1;
        let (key, file) = rest.split_once('/').unwrap_or((rest, ""));
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        assert!(["", "data", "name"].contains(&file), "{line}");
    }
    check_error(store.content.try_ingest(&format!("{longest}n")), "Invalid");
    assert_eq!(store.content.ingests(None, 100).expect("a listing").len(), names.len());
}
