//! What `wharf fsck` prints.

use super::{HARMLESS, HOSTILE, digest};
use serde_json::{Value, json};
use wharf::images::{Findings, Flaw, FlawKind};
use wharf::render::findings;

fn found(flaws: Vec<Flaw>) -> Findings {
    Findings { images: 1, blobs: 3, bytes: 1_500, trees: 2, flaws, notes: vec!["a note".to_owned()] }
}

fn flaw(kind: FlawKind, repaired: Option<&str>) -> Flaw {
    Flaw {
        kind,
        subject: digest('a'),
        why: HOSTILE.to_owned(),
        images: vec!["docker.io/library/app:1".to_owned()],
        consequence: "the image cannot be mounted".to_owned(),
        cure: "wharf fsck --repair".to_owned(),
        repaired: repaired.map(str::to_owned),
    }
}

#[test]
fn a_flaw_is_told_with_what_follows_and_what_helps() {
    let all = found(vec![flaw(FlawKind::DamagedLayer, None), flaw(FlawKind::MissingBlob, Some("fetched again"))]);
    let subject = digest('a');
    let expected = format!(
        "damaged-layer {subject}: {HARMLESS}\n  the image cannot be mounted\n  try: wharf fsck --repair\n\
         missing-blob {subject}: {HARMLESS}; fetched again\n"
    );
    assert_eq!(findings::lines(&all), expected);
    assert_eq!(findings::lines(&found(Vec::new())), "");
}

#[test]
fn what_is_left_decides_how_it_ends() {
    let (left, done) = (flaw(FlawKind::DamagedBlob, None), flaw(FlawKind::DamagedBlob, Some("removed")));
    for (flaws, is_well, end) in [
        (vec![], true, "all is as it should be"),
        (vec![done.clone()], true, "1 repaired, and all is as it should be"),
        (vec![left.clone(), done], false, "1 not as they should be, 1 repaired"),
        (vec![left], false, "1 not as they should be"),
    ] {
        let found = found(flaws);
        assert_eq!(findings::is_well(&found), is_well, "{end}");
        assert_eq!(findings::talk(&found), format!("a note\n1 image, 3 blobs, 1.5kB, 2 trees: {end}\n"));
    }
}

#[test]
fn programs_read_everything_by_stable_names() {
    let kinds = [
        (FlawKind::UnreadableRecord, "unreadable-record"),
        (FlawKind::MissingBlob, "missing-blob"),
        (FlawKind::DamagedBlob, "damaged-blob"),
        (FlawKind::DisputedSize, "disputed-size"),
        (FlawKind::DamagedLayer, "damaged-layer"),
        (FlawKind::DamagedSnapshot, "damaged-snapshot"),
    ];
    for (kind, word) in kinds {
        let text = findings::json(&found(vec![flaw(kind, None)]));
        let expected = json!({
            "images": 1, "blobs": 3, "bytes": 1_500, "trees": 2, "notes": ["a note"],
            "flaws": [{
                "kind": word, "subject": digest('a'), "why": HOSTILE, "images": ["docker.io/library/app:1"],
                "consequence": "the image cannot be mounted", "cure": "wharf fsck --repair", "repaired": null,
            }],
        });
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
    }
}
