//! The answer of `wharf verify`: what is not as it should be.

use super::{escape, json, size};
use serde::Serialize;
use wharf_vocabulary::vocabulary::{Flaw, Harm, Verification};

#[derive(Serialize)]
struct VerificationObject<'a> {
    blobs: u64,
    bytes: u64,
    flaws: Vec<FlawObject<'a>>,
    damaged_records: &'a [String],
}

#[derive(Serialize)]
struct FlawObject<'a> {
    digest: &'a str,
    why: &'a str,
    images: &'a [String],
    harm: &'static str,
}

/// Returns a line for each flaw:
///
/// ```text
/// sha256:4bcf…: it is not here; needed by docker.io/library/alpine:3.20
/// ```
pub fn lines(verification: &Verification) -> String {
    let line = |Flaw { blob, why, images, harm }: &Flaw| {
        let mut line = format!("{}: {}", escape::text(blob), escape::text(why));
        if *harm == Harm::Removed {
            line.push_str("; removed");
        }
        match images.as_slice() {
            [] => line.push_str("; needed by no image"),
            images => line.push_str(&format!("; needed by {}", escape::text(&images.join(", ")))),
        }
        line + "\n"
    };
    verification.flaws.iter().map(line).collect()
}

/// Returns an object with everything.
pub fn json(Verification { blobs, bytes, flaws, damaged }: &Verification) -> String {
    let flaws = flaws.iter().map(|Flaw { blob, why, images, harm }| FlawObject {
        digest: blob,
        why,
        images,
        harm: word(*harm),
    });
    let flaws = flaws.collect();
    json::pretty(&VerificationObject { blobs: *blobs, bytes: *bytes, flaws, damaged_records: damaged })
}

/// As in `wit/vocabulary.wit`.
const fn word(harm: Harm) -> &'static str {
    match harm {
        Harm::Missing => "missing",
        Harm::Damaged => "damaged",
        Harm::Removed => "removed",
        Harm::Disputed => "disputed",
    }
}

/// Returns what there is to say to a person, as in
/// `12 blobs, 34.5MB: all are what their names say`, and what to try if not.
pub fn talk(verification: &Verification) -> String {
    let Verification { blobs, bytes, flaws, .. } = verification;
    let hashed = format!("{blobs} {}, {}", if *blobs == 1 { "blob" } else { "blobs" }, size::si(*bytes));
    if flaws.is_empty() {
        return format!("{hashed}: all are what their names say\n");
    }
    let mut talk = format!("{hashed}: {} not as they should be\n", flaws.len());
    let mut images: Vec<&str> = flaws.iter().flat_map(|flaw| &flaw.images).map(String::as_str).collect();
    images.sort_unstable();
    images.dedup();
    if flaws.iter().any(|flaw| flaw.harm == Harm::Damaged) {
        talk.push_str("hint: `wharf verify --remove` takes damaged blobs away, so that a pull brings them again\n");
    } else if let [image, ..] = images.as_slice() {
        talk.push_str(&format!("hint: `wharf pull {}` brings what is missing again\n", escape::text(image)));
    }
    talk
}
