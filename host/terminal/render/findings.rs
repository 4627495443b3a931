//! The answer of `wharf fsck`: what is not as it should be, what follows from it,
//! and what helps.

use super::{escape, json, size};
use serde::Serialize;
use wharf_vocabulary::vocabulary::{Findings, Flaw, FlawKind};

#[derive(Serialize)]
struct FindingsObject<'a> {
    images: u64,
    blobs: u64,
    bytes: u64,
    trees: u64,
    flaws: Vec<FlawObject<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct FlawObject<'a> {
    kind: &'static str,
    subject: &'a str,
    why: &'a str,
    images: &'a [String],
    consequence: &'a str,
    cure: &'a str,
    repaired: Option<&'a str>,
}

/// Returns three lines for each flaw, and one for each that was repaired:
///
/// ```text
/// damaged-layer sha256:4bcf…: `bin/sh` is not what it was
///   `docker.io/library/alpine:3.20` cannot be mounted, or shows other files than it should
///   try: wharf fsck --repair
/// missing-blob sha256:4bcf…: it is not here; fetched again
/// ```
pub fn lines(findings: &Findings) -> String {
    let text = |flaw: &Flaw| {
        let head = format!("{} {}: {}", word(flaw.kind), escape::text(&flaw.subject), escape::text(&flaw.why));
        match &flaw.repaired {
            Some(done) => format!("{head}; {}\n", escape::text(done)),
            None => {
                format!("{head}\n  {}\n  try: {}\n", escape::text(&flaw.consequence), escape::text(&flaw.cure))
            }
        }
    };
    findings.flaws.iter().map(text).collect()
}

/// Returns an object with everything.
pub fn json(Findings { images, blobs, bytes, trees, flaws, notes }: &Findings) -> String {
    let flaws = flaws.iter().map(|flaw| FlawObject {
        kind: word(flaw.kind),
        subject: &flaw.subject,
        why: &flaw.why,
        images: &flaw.images,
        consequence: &flaw.consequence,
        cure: &flaw.cure,
        repaired: flaw.repaired.as_deref(),
    });
    let flaws = flaws.collect();
    json::pretty(&FindingsObject { images: *images, blobs: *blobs, bytes: *bytes, trees: *trees, flaws, notes })
}

/// As in `wit/vocabulary.wit`.
const fn word(kind: FlawKind) -> &'static str {
    match kind {
        FlawKind::UnreadableRecord => "unreadable-record",
        FlawKind::MissingBlob => "missing-blob",
        FlawKind::DamagedBlob => "damaged-blob",
        FlawKind::DisputedSize => "disputed-size",
        FlawKind::DamagedLayer => "damaged-layer",
        FlawKind::DamagedSnapshot => "damaged-snapshot",
    }
}

/// Whether all is well, or is again.
pub fn is_well(findings: &Findings) -> bool {
    findings.flaws.iter().all(|flaw| flaw.repaired.is_some())
}

/// Returns what there is to say to a person, as in
/// `1 image, 12 blobs, 34.5MB, 8 trees: all is as it should be`.
pub fn talk(findings: &Findings) -> String {
    let Findings { images, blobs, bytes, trees, flaws, notes } = findings;
    let count = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let left = flaws.iter().filter(|flaw| flaw.repaired.is_none()).count();
    let outcome = match (flaws.len(), left) {
        (0, _) => "all is as it should be".to_owned(),
        (repaired, 0) => format!("{repaired} repaired, and all is as it should be"),
        (all, left) if all > left => format!("{left} not as they should be, {} repaired", all - left),
        (_, left) => format!("{left} not as they should be"),
    };
    let size = size::si(*bytes);
    let mut talk = notes.iter().map(|note| format!("{}\n", escape::text(note))).collect::<String>();
    talk.push_str(&format!(
        "{}, {}, {size}, {}: {outcome}\n",
        count(*images, "image"),
        count(*blobs, "blob"),
        count(*trees, "tree")
    ));
    talk
}
