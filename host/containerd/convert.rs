//! The words of `wit/records.wit` and `wit/snapshots.wit`, and those of containerd's messages.

use crate::bindings::exports::wharf::images::{records as wit, snapshots as trees};
use std::collections::BTreeMap;
use tonic::Status;
use wharf_containerd_api::{FieldMask, Timestamp, content, images, leases, namespaces, snapshots, types};

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

/// What a message leaves empty to say that there is none.
pub(super) fn unless_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<wit::Target> for types::Descriptor {
    fn from(wit::Target { media_type, digest, size, annotations }: wit::Target) -> Self {
        Self { media_type, digest, size, annotations: annotations.into_iter().collect() }
    }
}

/// A pointer as a client wrote it.
pub(super) fn target(types::Descriptor { media_type, digest, size, annotations }: types::Descriptor) -> wit::Target {
    wit::Target { media_type, digest, size, annotations: pairs(annotations) }
}

impl From<wit::ImageRecord> for images::Image {
    fn from(record: wit::ImageRecord) -> Self {
        let wit::ImageRecord { name, labels, target, created, updated } = record;
        Self {
            name,
            labels: labels.into_iter().collect(),
            target: Some(target.into()),
            created_at: Some(timestamp(created)),
            updated_at: Some(timestamp(updated)),
        }
    }
}

/// A record as a client wants it. When things were is for the component to say.
pub(super) fn image(image: images::Image) -> wit::ImageRecord {
    let images::Image { name, labels, target: pointer, .. } = image;
    let target = target(pointer.unwrap_or_default());
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

impl From<trees::SnapshotRecord> for snapshots::Info {
    fn from(record: trees::SnapshotRecord) -> Self {
        let trees::SnapshotRecord { name, parent, kind, labels, created, updated, .. } = record;
        let kind = match kind {
            trees::Kind::View => snapshots::Kind::View,
            trees::Kind::Active => snapshots::Kind::Active,
            trees::Kind::Committed => snapshots::Kind::Committed,
        };
        Self {
            name,
            parent: parent.unwrap_or_default(),
            kind: kind.into(),
            created_at: Some(timestamp(created)),
            updated_at: Some(timestamp(updated)),
            labels: labels.into_iter().collect(),
        }
    }
}

/// A record as a client wants it: what it may change is the labels.
pub(super) fn snapshot(snapshots::Info { name, labels, .. }: snapshots::Info) -> trees::SnapshotRecord {
    trees::SnapshotRecord {
        name,
        parent: None,
        kind: trees::Kind::Active,
        tree: String::new(),
        labels: pairs(labels),
        created: (0, 0),
        updated: (0, 0),
    }
}
