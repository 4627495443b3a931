//! The answer of `wharf df`: how much space everything takes, and whose it is.
//!
//! It adds up and does not measure.

use super::{age, escape, json, names, size, table};
use serde::Serialize;
use wharf_vocabulary::changes::{ImageUsage, Share, Sum, Usage};

#[derive(Serialize)]
struct UsageObject<'a> {
    content: SumObject,
    unpacked: SumObject,
    written: CountObject,
    ingests: CountObject,
    images: Vec<ImageObject<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct SumObject {
    unique: u64,
    shared: u64,
    others: u64,
    unneeded: u64,
    total: u64,
    reclaimable: u64,
}

#[derive(Serialize)]
struct CountObject {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ImageObject<'a> {
    names: &'a [String],
    target: &'a str,
    created: Option<String>,
    used: Option<String>,
    content: ShareObject,
    unpacked: ShareObject,
    mounted: bool,
    leased: bool,
}

#[derive(Serialize)]
struct ShareObject {
    unique: u64,
    shared: u64,
}

impl From<&Sum> for SumObject {
    fn from(sum: &Sum) -> Self {
        let Sum { unique, shared, others, unneeded, reclaimable } = *sum;
        Self { unique, shared, others, unneeded, total: total(sum), reclaimable }
    }
}

impl From<Share> for ShareObject {
    fn from(Share { shared, unique }: Share) -> Self {
        Self { unique, shared }
    }
}

impl<'a> From<&'a ImageUsage> for ImageObject<'a> {
    fn from(image: &'a ImageUsage) -> Self {
        Self {
            names: &image.names,
            target: &image.target,
            created: age::timestamp(image.created),
            used: age::timestamp(image.used),
            content: image.content.into(),
            unpacked: image.unpacked.into(),
            mounted: image.mounted,
            leased: image.leased,
        }
    }
}

/// Returns all there is: the parts are everything.
fn total(Sum { unique, shared, others, unneeded, .. }: &Sum) -> u64 {
    [*unique, *shared, *others, *unneeded].into_iter().fold(0, u64::saturating_add)
}

/// Returns a table with a line for what came, one for the trees, one for what is written on them, one for what has been
/// begun, and one for all.
pub fn table(Usage { content, unpacked, written, ingests, .. }: &Usage) -> String {
    let whole = |parts: [u64; 6]| parts.map(size::si);
    let row = |sum: &Sum| [sum.unique, sum.shared, sum.others, sum.unneeded, total(sum), sum.reclaimable];
    let (content, unpacked) = (row(content), row(unpacked));
    let mut all = content;
    for (sum, part) in all.iter_mut().zip(unpacked) {
        *sum = sum.saturating_add(part);
    }
    all[4] = all[4].saturating_add(written.1).saturating_add(ingests.1);
    let alone = |(count, bytes): &(u64, u64), what: &str| {
        (format!("{what} ({count})"), ["-", "-", "-", "-", &size::si(*bytes), "-"].map(str::to_owned))
    };
    let rows = [
        ("content".to_owned(), whole(content)),
        ("unpacked".to_owned(), whole(unpacked)),
        alone(written, "written"),
        alone(ingests, "ingests"),
        ("all".to_owned(), whole(all)),
    ];
    let header = ["", "UNIQUE", "SHARED", "OTHERS", "UNNEEDED", "TOTAL", "RECLAIMABLE"];
    table::table(&header, rows.map(|(kind, [a, b, c, d, e, f])| [kind, a, b, c, d, e, f]))
}

/// Returns a table of images. `now` is in seconds since 1970.
pub fn images(images: &[ImageUsage], now: i64) -> String {
    let row = |image: &ImageUsage| {
        let known: Vec<_> = image.names.iter().map(|name| escape::text(name)).collect();
        let state: Vec<_> =
            [(image.mounted, "mounted"), (image.leased, "leased")].iter().filter(|it| it.0).map(|it| it.1).collect();
        [
            if known.is_empty() { names::NONE.to_owned() } else { known.join(", ") },
            names::short(&image.target).into_owned(),
            age::ago(image.created, now),
            age::ago(image.used, now),
            size::si(image.content.unique),
            size::si(image.content.shared),
            size::si(image.unpacked.unique),
            size::si(image.unpacked.shared),
            state.join(", "),
        ]
    };
    let header =
        ["NAMES", "DIGEST", "CREATED", "USED", "CONTENT UNIQUE", "SHARED", "UNPACKED UNIQUE", "SHARED", "IN USE"];
    table::table(&header, images.iter().map(row))
}

/// Returns an object with everything.
pub fn json(Usage { images, content, unpacked, written, ingests, notes }: &Usage) -> String {
    let counted = |(count, bytes): &(u64, u64)| CountObject { count: *count, bytes: *bytes };
    json::pretty(&UsageObject {
        content: content.into(),
        unpacked: unpacked.into(),
        written: counted(written),
        ingests: counted(ingests),
        images: images.iter().map(ImageObject::from).collect(),
        notes,
    })
}

/// Returns what could not be told, one sentence a line. For standard error.
pub fn talk(usage: &Usage) -> String {
    usage.notes.iter().map(|note| format!("{}\n", escape::text(note))).collect()
}
