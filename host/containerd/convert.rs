//! The words of `wit/records.wit` and those of containerd's messages.

use crate::bindings::exports::wharf::images::records as wit;
use std::collections::BTreeMap;
use tonic::Status;
use wharf_containerd_api::{FieldMask, Timestamp, content, images, leases, namespaces, types};

/// What is said in pairs here, and in a map there.
pub(super) fn pairs(labels: BTreeMap<String, String>) -> wit::Labels {
    labels.into_iter().collect()
}

pub(super) fn timestamp((seconds, nanos): wit::Time) -> Timestamp {
    Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// The fields that a mask names, or none for all.
pub(super) fn fields(mask: Option<FieldMask>) -> Vec<String> {
    mask.map(|mask| mask.paths).unwrap_or_default()
}

/// Takes what a message cannot do without.
pub(super) fn needed<T>(part: Option<T>, what: &str) -> Result<T, Status> {
    part.ok_or_else(|| Status::invalid_argument(format!("the request has no {what}")))
}

impl From<wit::ImageRecord> for images::Image {
    fn from(record: wit::ImageRecord) -> Self {
        let wit::ImageRecord { name, labels, target, created, updated } = record;
        Self {
            name,
            labels: labels.into_iter().collect(),
            target: Some(types::Descriptor {
                media_type: target.media_type,
                digest: target.digest,
                size: target.size,
                annotations: target.annotations.into_iter().collect(),
            }),
            created_at: Some(timestamp(created)),
            updated_at: Some(timestamp(updated)),
        }
    }
}

/// A record as a client wants it. When things were is for the component to say.
pub(super) fn image(image: images::Image) -> wit::ImageRecord {
    let images::Image { name, labels, target, .. } = image;
    let types::Descriptor { media_type, digest, size, annotations } = target.unwrap_or_default();
    let target = wit::Target { media_type, digest, size, annotations: pairs(annotations) };
    wit::ImageRecord { name, labels: pairs(labels), target, created: (0, 0), updated: (0, 0) }
}

impl From<wit::NamespaceRecord> for namespaces::Namespace {
    fn from(wit::NamespaceRecord { name, labels }: wit::NamespaceRecord) -> Self {
        Self { name, labels: labels.into_iter().collect() }
    }
}

pub(super) fn namespace(namespaces::Namespace { name, labels }: namespaces::Namespace) -> wit::NamespaceRecord {
    wit::NamespaceRecord { name, labels: pairs(labels) }
}

impl From<wit::LeaseRecord> for leases::Lease {
    fn from(wit::LeaseRecord { id, created, labels }: wit::LeaseRecord) -> Self {
        Self { id, created_at: Some(timestamp(created)), labels: labels.into_iter().collect() }
    }
}

impl From<wit::Holding> for leases::Resource {
    fn from(wit::Holding { kind, id }: wit::Holding) -> Self {
        Self { r#type: kind, id }
    }
}

pub(super) fn resource(leases::Resource { r#type, id }: leases::Resource) -> wit::Holding {
    wit::Holding { kind: r#type, id }
}

impl From<wit::ContentRecord> for content::Info {
    fn from(record: wit::ContentRecord) -> Self {
        let wit::ContentRecord { digest, size, created, updated, labels } = record;
        Self {
            digest,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            created_at: Some(timestamp(created)),
            updated_at: Some(timestamp(updated)),
            labels: labels.into_iter().collect(),
        }
    }
}

/// A record as a client wants it: what it may change is the labels.
pub(super) fn info(content::Info { digest, labels, .. }: content::Info) -> wit::ContentRecord {
    wit::ContentRecord { digest, size: 0, created: (0, 0), updated: (0, 0), labels: pairs(labels) }
}
