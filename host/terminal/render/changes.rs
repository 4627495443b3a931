//! What a change of what is here would do, and what it did: the answers of `wharf tag`, `retain`, `rm`, `prune`, `gc` and
//! `apply`.
//!
//! It does not plan; the component did, and the change does the same.

use super::{age, escape, json, palette::Palette, problem, retention, size};
use serde::Serialize;
use std::collections::BTreeSet;
use wharf_vocabulary::changes::{Changed, Garbage, NameChange, Plan};
use wharf_vocabulary::types::ErrorCode;
use wharf_vocabulary::vocabulary::Problem;

#[derive(Serialize)]
struct PlanObject<'a> {
    names: Vec<NameObject<'a>>,
    leases: &'a [String],
    gone: &'a [String],
    garbage: GarbageObject<'a>,
    risks: &'a [String],
}

#[derive(Serialize)]
struct ChangedObject<'a> {
    names: Vec<NameObject<'a>>,
    leases: &'a [String],
    gone: &'a [String],
    removed: GarbageObject<'a>,
    failed: Vec<FailedObject<'a>>,
    left: &'a [String],
}

#[derive(Serialize)]
struct CollectedObject<'a> {
    time: Option<String>,
    #[serde(flatten)]
    changed: ChangedObject<'a>,
}

#[derive(Serialize)]
struct NameObject<'a> {
    name: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    platforms: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<&'static str>,
    why: &'a str,
}

#[derive(Serialize)]
struct FailedObject<'a> {
    name: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct GarbageObject<'a> {
    blobs: Vec<DigestObject<'a>>,
    layers: Vec<DigestObject<'a>>,
    snapshots: Vec<SnapshotObject<'a>>,
    ingests: Vec<IngestObject<'a>>,
    bytes: u64,
}

#[derive(Serialize)]
struct DigestObject<'a> {
    digest: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct SnapshotObject<'a> {
    name: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct IngestObject<'a> {
    key: &'a str,
    size: u64,
}

impl<'a> From<&'a NameChange> for NameObject<'a> {
    fn from(NameChange { name, before, after, platforms, retention, why }: &'a NameChange) -> Self {
        let retention = retention.map(retention::word);
        Self { name, before: before.as_deref(), after: after.as_deref(), platforms, retention, why }
    }
}

impl<'a> From<&'a Garbage> for GarbageObject<'a> {
    fn from(garbage: &'a Garbage) -> Self {
        let digests = |sizes: &'a [(String, u64)]| {
            sizes.iter().map(|(digest, size)| DigestObject { digest, size: *size }).collect()
        };
        Self {
            blobs: digests(&garbage.blobs),
            layers: digests(&garbage.layers),
            snapshots: garbage.snapshots.iter().map(|(name, size)| SnapshotObject { name, size: *size }).collect(),
            ingests: garbage.ingests.iter().map(|(key, size)| IngestObject { key, size: *size }).collect(),
            bytes: bytes(garbage),
        }
    }
}

impl<'a> From<&'a Changed> for ChangedObject<'a> {
    fn from(Changed { names, leases, removed, gone, failed, left }: &'a Changed) -> Self {
        let names = names.iter().map(Into::into).collect();
        let failed = failed.iter().map(|(name, why)| FailedObject { name, why }).collect();
        Self { names, leases, gone, removed: removed.into(), failed, left }
    }
}

/// Whether something has happened or would.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tense {
    Done,
    Planned,
}

/// Returns what a change would do, in the words of [`lines`]:
///
/// ```text
/// would untag docker.io/library/app:1: it has no tag
/// would delete sha256:4bcf…
/// would free 1.2GB: 3 blobs, 4 layers
/// at risk: `docker.io/library/app:2` loses its platform linux/arm64
/// ```
pub fn plan(Plan { names, leases, garbage, gone, risks, .. }: &Plan) -> String {
    let mut text = told(names, gone, Tense::Planned);
    text.extend(leases.iter().map(|id| format!("would end the lease {}: its time is over\n", escape::text(id))));
    text.push_str(&match freed(garbage) {
        Some(freed) => format!("would free {freed}\n"),
        None if text.is_empty() => "nothing would change\n".to_owned(),
        None if gives_names(names) => String::new(),
        None => "would free nothing\n".to_owned(),
    });
    for risk in risks {
        text.push_str(&format!("at risk: {}\n", escape::text(risk)));
    }
    text
}

/// Returns an object with everything but the document.
pub fn plan_json(Plan { names, leases, garbage, gone, risks, .. }: &Plan) -> String {
    let names = names.iter().map(Into::into).collect();
    json::pretty(&PlanObject { names, leases, gone, garbage: garbage.into(), risks })
}

/// Returns a line for each name that has changed, and for each image that is gone. For standard output.
///
/// ```text
/// tagged docker.io/library/app:2
/// untagged docker.io/library/app:1
/// removed linux/arm64 of docker.io/library/app:3
/// keeping unpacked of docker.io/library/app:4
/// deleted sha256:4bcf…
/// ended the lease build-4711
/// ```
pub fn lines(Changed { names, leases, gone, .. }: &Changed) -> String {
    let mut text = told(names, gone, Tense::Done);
    text.extend(leases.iter().map(|id| format!("ended the lease {}\n", escape::text(id))));
    text
}

/// Returns an object with everything. For standard output.
pub fn json(changed: &Changed) -> String {
    json::pretty(&ChangedObject::from(changed))
}

/// Returns what one of several collections did at `now`, a line each, or nothing if it did nothing. For standard output.
///
/// ```text
/// 2026-01-31T12:00:00Z untagged docker.io/library/app:1
/// 2026-01-31T12:00:00Z freed 1.2GB: 3 blobs, 4 layers
/// ```
pub fn collected(changed: &Changed, now: i64) -> String {
    let time = age::timestamp(now).unwrap_or_else(|| now.to_string());
    let freed = freed(&changed.removed).map(|freed| format!("freed {freed}"));
    let told = lines(changed);
    told.lines().map(str::to_owned).chain(freed).map(|line| format!("{time} {line}\n")).collect()
}

/// Returns the same as an object on one line, with the time and everything that [`json`] has.
pub fn collected_json(changed: &Changed, now: i64) -> String {
    if collected(changed, now).is_empty() {
        return String::new();
    }
    json::line(&CollectedObject { time: age::timestamp(now), changed: changed.into() })
}

/// Returns what there is to say to a person: what had to stay, and `freed 1.2GB: 3 blobs, 4 layers`. A change that is
/// not about space and frees none, as `tag`, says nothing of it. For standard error.
pub fn talk(changed: &Changed) -> String {
    let Changed { names, removed, .. } = changed;
    let mut text = left(changed);
    match freed(removed) {
        Some(freed) => text.push_str(&format!("freed {freed}\n")),
        None if gives_names(names) => {}
        None => text.push_str("freed nothing\n"),
    }
    text
}

/// Returns the sentences about what had to stay, a line each. For standard error.
pub fn left(Changed { left, .. }: &Changed) -> String {
    left.iter().map(|sentence| format!("{}\n", escape::text(sentence))).collect()
}

/// Returns which names stayed as they were, and why. For standard error.
pub fn failures(Changed { failed, .. }: &Changed, palette: Palette) -> String {
    let one = |(name, why): &(String, String)| {
        let (code, what) = (ErrorCode::Conflict, format!("`{name}` stays as it was"));
        problem::text(&Problem { code, what, why: vec![why.clone()], fix: None }, palette)
    };
    failed.iter().map(one).collect()
}

/// Whether every name that was to change has.
pub fn is_whole(changed: &Changed) -> bool {
    changed.failed.is_empty()
}

fn told(names: &[NameChange], gone: &[String], tense: Tense) -> String {
    let verb = |done: &'static str, planned: &'static str| match tense {
        Tense::Done => done,
        Tense::Planned => planned,
    };
    let mut text = String::new();
    for change in names {
        let name = escape::text(&change.name);
        match &change.after {
            None => text.push_str(&format!("{} {name}", verb("untagged", "would untag"))),
            Some(_) if !change.platforms.is_empty() => {
                let platforms = escape::line(&change.platforms.join(", "));
                text.push_str(&format!("{} {platforms} of {name}", verb("removed", "would remove")));
            }
            Some(_) if let Some(kept) = change.retention => {
                text.push_str(&format!("{} {} of {name}", verb("keeping", "would keep"), retention::word(kept)));
            }
            Some(_) => text.push_str(&format!("{} {name}", verb("tagged", "would tag"))),
        }
        if tense == Tense::Planned && !change.why.is_empty() {
            text.push_str(&format!(": {}", escape::text(&change.why)));
        }
        text.push('\n');
    }
    // What a name has moved away from is still here.
    let moved: BTreeSet<&str> =
        names.iter().filter(|change| change.after.is_some()).filter_map(|change| change.before.as_deref()).collect();
    for digest in gone {
        let verb = match moved.contains(digest.as_str()) {
            true => verb("left without a name", "would leave without a name"),
            false => verb("deleted", "would delete"),
        };
        text.push_str(&format!("{verb} {}\n", escape::text(digest)));
    }
    text
}

/// Whether this is a change that is not about space.
fn gives_names(names: &[NameChange]) -> bool {
    names.iter().any(|change| change.after.is_some() && change.platforms.is_empty() && change.retention.is_none())
}

/// Returns how much is freed, as in `1.2GB: 3 blobs, 4 layers`, unless it is nothing.
fn freed(garbage: &Garbage) -> Option<String> {
    let kinds = [
        (garbage.blobs.len(), "blob"),
        (garbage.layers.len(), "layer"),
        (garbage.snapshots.len(), "snapshot"),
        (garbage.ingests.len(), "unfinished download"),
    ];
    let plural = |number: usize| if number == 1 { "" } else { "s" };
    let counts: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{number} {kind}{}", plural(*number)))
        .collect();
    (!counts.is_empty()).then(|| format!("{}: {}", size::si(bytes(garbage)), counts.join(", ")))
}

fn bytes(Garbage { blobs, layers, snapshots, ingests }: &Garbage) -> u64 {
    let sizes = [blobs, layers, snapshots, ingests].into_iter().flatten().map(|(_, size)| *size);
    sizes.fold(0, u64::saturating_add)
}
