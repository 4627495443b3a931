//! What the program understands, and what it says: arguments in, whole texts out.
//!
//! Nothing here runs the component or touches a disk or a network.

mod answers;
mod arguments;
mod asked_changes;
mod changes;
mod explain;
mod findings;
mod imported;
mod lists;
mod logins;
mod pieces;
mod problems;
mod progress;
mod pushed;
mod schema;
mod usage;

use wharf::images::Descriptor;
use wharf::images::{Image, Retention};

/// 2026-01-31T12:00:00Z.
const NOW: i64 = 1_769_860_800;
const DAY: i64 = 86_400;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a hostile registry would like to print: it clears the screen, breaks
/// the line, and turns what follows around.
const HOSTILE: &str = "a\u{1b}[2Jb\nc\u{202e}d\u{9b}e";
/// The same, made harmless.
const HARMLESS: &str = r"a\u{1b}[2Jb\nc\u{202e}d\u{9b}e";

/// A digest of 64 times `digit`.
fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn descriptor(media_type: &str, digit: char, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest(digit), size }
}

fn image(familiar: &str, digit: char) -> Image {
    Image {
        name: format!("docker.io/library/{familiar}"),
        familiar: familiar.to_owned(),
        target: descriptor(INDEX, digit, 1853),
        id: digest('e'),
        created: Some(NOW - 21 * DAY),
        updated: NOW - DAY,
        platforms: vec!["linux/amd64".to_owned()],
        size: 77_812_345,
        retention: Retention::Both,
    }
}
