//! The answer of `wharf pull --dry-run`: what is here, and what would come.
//!
//! It does not plan; the component did, and the pull does the same.

use super::{escape, json, names, size, table};
use serde::Serialize;
use std::collections::HashMap;
use wharf_vocabulary::types::Descriptor;
use wharf_vocabulary::vocabulary::{PlannedBlob, PullPlan};

#[derive(Serialize)]
struct PlanObject<'a> {
    name: &'a str,
    target: json::Descriptor<'a>,
    manifests: Vec<ManifestObject<'a>>,
    blobs: Vec<BlobObject<'a>>,
    fetch_bytes: u64,
    unpack_layers: Option<u32>,
    up_to_date: bool,
}

#[derive(Serialize)]
struct ManifestObject<'a> {
    platform: &'a str,
    manifest: json::Descriptor<'a>,
}

#[derive(Serialize)]
struct BlobObject<'a> {
    #[serde(flatten)]
    blob: json::Descriptor<'a>,
    received: u64,
    state: &'static str,
}

impl<'a> From<&'a PullPlan> for PlanObject<'a> {
    fn from(plan: &'a PullPlan) -> Self {
        Self {
            name: &plan.name,
            target: (&plan.target).into(),
            manifests: plan.manifests.iter().map(ManifestObject::from).collect(),
            blobs: plan.blobs.iter().map(BlobObject::from).collect(),
            fetch_bytes: plan.fetch_bytes,
            unpack_layers: plan.unpack_layers,
            up_to_date: plan.up_to_date,
        }
    }
}

impl<'a> From<&'a (String, Descriptor)> for ManifestObject<'a> {
    fn from((platform, manifest): &'a (String, Descriptor)) -> Self {
        Self { platform, manifest: manifest.into() }
    }
}

impl<'a> From<&'a PlannedBlob> for BlobObject<'a> {
    fn from(it: &'a PlannedBlob) -> Self {
        Self { blob: (&it.blob).into(), received: it.received, state: state(it) }
    }
}

/// Returns for each name a table of its blobs and their total; below that, if
/// there are several names, what all of them need together.
pub fn table(plans: &[PullPlan]) -> String {
    let mut parts: Vec<String> = plans.iter().map(one).collect();
    if plans.len() > 1 {
        // Names of one repository share blobs, which come once.
        let blobs: HashMap<&str, &PlannedBlob> =
            plans.iter().flat_map(|plan| &plan.blobs).map(|blob| (blob.blob.digest.as_str(), blob)).collect();
        let fetch_bytes = blobs.values().fold(0_u64, |sum, blob| sum.saturating_add(missing(blob)));
        parts.push(format!("all {} names: {}\n", plans.len(), total(blobs.into_values(), fetch_bytes)));
    }
    parts.join("\n")
}

/// Returns a JSON array, one object for each name.
pub fn json(plans: &[PullPlan]) -> String {
    json::pretty(&plans.iter().map(PlanObject::from).collect::<Vec<_>>())
}

fn one(plan: &PullPlan) -> String {
    let mut out = format!("{}@{}\n", escape::text(&plan.name), escape::text(&plan.target.digest));
    for (platform, manifest) in &plan.manifests {
        out.push_str(&format!("{}: {}\n", escape::text(platform), escape::text(&manifest.digest)));
    }
    out.push('\n');
    let row = |it: &PlannedBlob| {
        let here = match state(it) {
            "partial" => format!("{} of it", size::si(it.received)),
            "here" => "yes".to_owned(),
            _ => "no".to_owned(),
        };
        [
            names::short(&it.blob.digest).into_owned(),
            names::kind(&it.blob.media_type).into_owned(),
            size::si(it.blob.size),
            here,
        ]
    };
    out.push_str(&table::table(&["DIGEST", "KIND", "SIZE", "HERE"], plan.blobs.iter().map(row)));
    out.push_str(&format!("\ntotal: {}\n", total(plan.blobs.iter(), plan.fetch_bytes)));
    match plan.unpack_layers {
        Some(0) => {}
        Some(1) => out.push_str("1 layer to extract\n"),
        Some(layers) => out.push_str(&format!("{layers} layers to extract\n")),
        None => out.push_str("the layers to extract are known once the config is here\n"),
    }
    if plan.up_to_date {
        out.push_str("up to date\n");
    }
    out
}

fn total<'a>(blobs: impl Iterator<Item = &'a PlannedBlob>, fetch_bytes: u64) -> String {
    let (count, bytes) =
        blobs.fold((0_usize, 0_u64), |(count, bytes), it| (count + 1, bytes.saturating_add(it.blob.size)));
    let noun = if count == 1 { "blob" } else { "blobs" };
    format!("{count} {noun}, {}, of which {} to download", size::si(bytes), size::si(fetch_bytes))
}

fn missing(it: &PlannedBlob) -> u64 {
    if it.present { 0 } else { it.blob.size.saturating_sub(it.received) }
}

fn state(it: &PlannedBlob) -> &'static str {
    match (it.present, it.received) {
        (true, _) => "here",
        (false, 0) => "missing",
        (false, _) => "partial",
    }
}
