//! What is recorded of a manifest that is here with all its parts. It does not
//! find out whether they are.

use super::{Present, short_labels};
use crate::nouns::{config::Config, descriptor::Descriptor, digest::Digest, manifest::Manifest, platform::Platform};
use std::collections::BTreeMap;

impl Present {
    /// Says what is recorded of `manifest`, which `descriptor` points to.
    /// `config` is none if it is an artifact's, and `platform` if nobody says one.
    pub fn new(
        descriptor: &Descriptor,
        manifest: &Manifest,
        config: Option<&Config>,
        platform: Option<&Platform>,
    ) -> Self {
        let parts = std::iter::once(&manifest.config).chain(&manifest.layers);
        Self {
            manifest: descriptor.clone(),
            config: manifest.config.digest.clone(),
            platform: platform.map(Platform::format_all),
            created: config.and_then(Config::created_seconds),
            size: weight(std::iter::once(descriptor).chain(parts)),
            layers: manifest.layers.len().try_into().expect("a manifest has at most `LAYERS_MAX` layers"),
            labels: config.map(|config| short_labels(&config.execution.labels)).unwrap_or_default(),
        }
    }
}

/// What blobs weigh together, each counted once, in bytes.
pub fn weight<'d>(blobs: impl IntoIterator<Item = &'d Descriptor>) -> u64 {
    let each: BTreeMap<&Digest, u64> = blobs.into_iter().map(|blob| (&blob.digest, blob.size)).collect();
    each.into_values().fold(0, u64::saturating_add)
}
