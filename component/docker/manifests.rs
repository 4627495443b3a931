//! What the target of an image offers, as docker tells it from API 1.47 on.

use crate::{
    nouns::{descriptor::Descriptor, digest::Digest, platform::Platform},
    verbs::inspect::Offer,
};
use serde::Serialize;

/// One manifest. The order of the fields is docker's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Manifest {
    #[serde(rename = "ID")]
    id: Digest,
    descriptor: Descriptor,
    available: bool,
    size: Size,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_data: Option<ImageData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_data: Option<AttestationData>,
}

/// In bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    total: u64,
    content: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageData {
    platform: Platform,
    containers: [String; 0],
    size: Unpacked,
}

/// In bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unpacked {
    unpacked: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttestationData {
    #[serde(rename = "For")]
    subject: String,
}

impl Manifest {
    /// `platform` is that of an image whose descriptor says none: it stands in its config.
    pub(super) fn new(offer: Offer, platform: Option<&Platform>) -> Self {
        let Offer { id, descriptor, available, kind, content, unpacked } = offer;
        let platform = descriptor.platform.as_ref().or(platform).cloned().unwrap_or_default();
        let image_data = || ImageData { platform, containers: [], size: Unpacked { unpacked } };
        // Who wrote the index says which manifest it is about. buildkit, docs/attestations.
        let subject = descriptor.annotations.get("vnd.docker.reference.digest").cloned().unwrap_or_default();
        let content = if available { content } else { 0 };
        Self {
            id,
            available,
            size: Size { total: content.saturating_add(unpacked), content },
            kind,
            image_data: (kind == "image").then(image_data),
            attestation_data: (kind == "attestation").then_some(AttestationData { subject }),
            descriptor,
        }
    }
}
