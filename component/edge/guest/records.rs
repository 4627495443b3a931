//! The exports of `wit/records.wit`: each one is a verb with its arguments converted. The types are generated with the
//! interface, so that the conversions stand here, field by field.

use super::exports::wharf::images::records as exported;
use super::{Component, Imports, each};
use crate::verbs::contract::records as words;
use crate::verbs::records;
use wharf_vocabulary::vocabulary as wit;

/// What comes of a verb.
type Outcome<T> = Result<T, wit::Problem>;

impl exported::Guest for Component {
    async fn matches(filters: Vec<String>, fields: Vec<(String, String)>) -> Outcome<bool> {
        records::matches(&filters, &fields).map_err(Into::into)
    }

    async fn get_image(caller: wit::Caller, name: String) -> Outcome<exported::ImageRecord> {
        let image = records::images::get(&Imports, &caller.into(), &name).await;
        image.map(Into::into).map_err(Into::into)
    }

    async fn list_images(caller: wit::Caller, filters: Vec<String>) -> Outcome<Vec<exported::ImageRecord>> {
        let images = records::images::list(&Imports, &caller.into(), &filters).await;
        images.map(each).map_err(Into::into)
    }

    async fn create_image(caller: wit::Caller, image: exported::ImageRecord) -> Outcome<exported::ImageRecord> {
        let image = records::images::create(&Imports, &caller.into(), &image.into()).await;
        image.map(Into::into).map_err(Into::into)
    }

    async fn update_image(
        caller: wit::Caller,
        image: exported::ImageRecord,
        fields: Vec<String>,
    ) -> Outcome<exported::ImageRecord> {
        let image = records::images::update(&Imports, &caller.into(), &image.into(), &fields).await;
        image.map(Into::into).map_err(Into::into)
    }

    async fn delete_image(caller: wit::Caller, name: String, target: Option<String>, sync: bool) -> Outcome<()> {
        let deleted = records::images::delete(&Imports, &caller.into(), &name, target.as_deref(), sync).await;
        deleted.map_err(Into::into)
    }

    async fn get_namespace(caller: wit::Caller, name: String) -> Outcome<exported::NamespaceRecord> {
        let space = records::namespaces::get(&Imports, &caller.into(), &name).await;
        space.map(Into::into).map_err(Into::into)
    }

    async fn list_namespaces(caller: wit::Caller) -> Outcome<Vec<exported::NamespaceRecord>> {
        records::namespaces::list(&Imports, &caller.into()).await.map(each).map_err(Into::into)
    }

    async fn create_namespace(
        caller: wit::Caller,
        namespace: exported::NamespaceRecord,
    ) -> Outcome<exported::NamespaceRecord> {
        let space = records::namespaces::create(&Imports, &caller.into(), &namespace.into()).await;
        space.map(Into::into).map_err(Into::into)
    }

    async fn update_namespace(
        caller: wit::Caller,
        namespace: exported::NamespaceRecord,
        fields: Vec<String>,
    ) -> Outcome<exported::NamespaceRecord> {
        let space = records::namespaces::update(&Imports, &caller.into(), &namespace.into(), &fields).await;
        space.map(Into::into).map_err(Into::into)
    }

    async fn delete_namespace(caller: wit::Caller, name: String) -> Outcome<()> {
        records::namespaces::delete(&Imports, &caller.into(), &name).await.map_err(Into::into)
    }

    async fn create_lease(
        caller: wit::Caller,
        id: Option<String>,
        labels: Vec<(String, String)>,
    ) -> Outcome<exported::LeaseRecord> {
        let lease = records::leases::create(&Imports, &caller.into(), id.as_deref(), &labels).await;
        lease.map(Into::into).map_err(Into::into)
    }

    async fn delete_lease(caller: wit::Caller, id: String, sync: bool) -> Outcome<()> {
        records::leases::delete(&Imports, &caller.into(), &id, sync).await.map_err(Into::into)
    }

    async fn list_leases(caller: wit::Caller, filters: Vec<String>) -> Outcome<Vec<exported::LeaseRecord>> {
        let leases = records::leases::list(&Imports, &caller.into(), &filters).await;
        leases.map(each).map_err(Into::into)
    }

    async fn add_resource(caller: wit::Caller, lease: String, what: exported::Holding) -> Outcome<()> {
        let added = records::leases::add_resource(&Imports, &caller.into(), &lease, &what.into()).await;
        added.map_err(Into::into)
    }

    async fn delete_resource(caller: wit::Caller, lease: String, what: exported::Holding) -> Outcome<()> {
        let deleted = records::leases::delete_resource(&Imports, &caller.into(), &lease, &what.into()).await;
        deleted.map_err(Into::into)
    }

    async fn list_resources(caller: wit::Caller, lease: String) -> Outcome<Vec<exported::Holding>> {
        let resources = records::leases::list_resources(&Imports, &caller.into(), &lease).await;
        resources.map(each).map_err(Into::into)
    }

    async fn get_content(caller: wit::Caller, digest: String) -> Outcome<exported::ContentRecord> {
        let content = records::contents::get(&Imports, &caller.into(), &digest).await;
        content.map(Into::into).map_err(Into::into)
    }

    async fn list_content(
        caller: wit::Caller,
        filters: Vec<String>,
        after: Option<String>,
        limit: u32,
    ) -> Outcome<Vec<exported::ContentRecord>> {
        let contents = records::contents::list(&Imports, &caller.into(), &filters, after.as_deref(), limit).await;
        contents.map(each).map_err(Into::into)
    }

    async fn update_content(
        caller: wit::Caller,
        content: exported::ContentRecord,
        fields: Vec<String>,
    ) -> Outcome<exported::ContentRecord> {
        let exported::ContentRecord { digest, labels, .. } = content;
        let content = records::contents::update(&Imports, &caller.into(), &digest, &labels, &fields).await;
        content.map(Into::into).map_err(Into::into)
    }

    async fn delete_content(caller: wit::Caller, digest: String) -> Outcome<()> {
        records::contents::delete(&Imports, &caller.into(), &digest).await.map_err(Into::into)
    }

    async fn admit_writing(
        caller: wit::Caller,
        name: String,
        expected: Option<String>,
        total: i64,
        lease: Option<String>,
        isolated: bool,
    ) -> Outcome<exported::Admission> {
        let (caller, expected, lease) = (caller.into(), expected.as_deref(), lease.as_deref());
        let admission = records::writings::admit(&Imports, &caller, &name, expected, total, lease, isolated).await;
        admission.map(Into::into).map_err(Into::into)
    }

    async fn wrote(
        caller: wit::Caller,
        name: String,
        digest: String,
        labels: Vec<(String, String)>,
        lease: Option<String>,
    ) -> Outcome<exported::ContentRecord> {
        let caller = caller.into();
        let content = records::writings::wrote(&Imports, &caller, &name, &digest, &labels, lease.as_deref()).await;
        content.map(Into::into).map_err(Into::into)
    }

    async fn list_writings(caller: wit::Caller, filters: Vec<String>) -> Outcome<Vec<exported::Writing>> {
        records::writings::list(&Imports, &caller.into(), &filters).await.map(each).map_err(Into::into)
    }

    async fn get_writing(caller: wit::Caller, name: String) -> Outcome<exported::Writing> {
        records::writings::get(&Imports, &caller.into(), &name).await.map(Into::into).map_err(Into::into)
    }

    async fn abort_writing(caller: wit::Caller, name: String) -> Outcome<()> {
        records::writings::abort(&Imports, &caller.into(), &name).await.map_err(Into::into)
    }
}

impl From<exported::Target> for words::Pointed {
    fn from(exported::Target { media_type, digest, size, annotations }: exported::Target) -> Self {
        Self { media_type, digest, size, annotations }
    }
}

impl From<words::Pointed> for exported::Target {
    fn from(words::Pointed { media_type, digest, size, annotations }: words::Pointed) -> Self {
        Self { media_type, digest, size, annotations }
    }
}

impl From<exported::ImageRecord> for words::Named {
    fn from(exported::ImageRecord { name, labels, target, created, updated }: exported::ImageRecord) -> Self {
        Self { name, labels, target: target.into(), created, updated }
    }
}

impl From<words::Named> for exported::ImageRecord {
    fn from(words::Named { name, labels, target, created, updated }: words::Named) -> Self {
        Self { name, labels, target: target.into(), created, updated }
    }
}

impl From<words::Content> for exported::ContentRecord {
    fn from(words::Content { digest, size, created, updated, labels }: words::Content) -> Self {
        Self { digest: digest.into(), size, created, updated, labels }
    }
}

impl From<exported::NamespaceRecord> for words::Space {
    fn from(exported::NamespaceRecord { name, labels }: exported::NamespaceRecord) -> Self {
        Self { name, labels }
    }
}

impl From<words::Space> for exported::NamespaceRecord {
    fn from(words::Space { name, labels }: words::Space) -> Self {
        Self { name, labels }
    }
}

impl From<words::Hold> for exported::LeaseRecord {
    fn from(words::Hold { id, created, labels }: words::Hold) -> Self {
        Self { id, created, labels }
    }
}

impl From<exported::Holding> for words::Resource {
    fn from(exported::Holding { kind, id }: exported::Holding) -> Self {
        Self { kind, id }
    }
}

impl From<words::Resource> for exported::Holding {
    fn from(words::Resource { kind, id }: words::Resource) -> Self {
        Self { kind, id }
    }
}

impl From<words::Writing> for exported::Writing {
    fn from(words::Writing { name, ingest, total, expected, started }: words::Writing) -> Self {
        Self { name, ingest, total, expected: expected.map(Into::into), started }
    }
}

impl From<words::Admission> for exported::Admission {
    fn from(admission: words::Admission) -> Self {
        match admission {
            words::Admission::Proceed(writing) => Self::Proceed(writing.into()),
            words::Admission::Share(content) => Self::Share(content.into()),
        }
    }
}
