//! A client of the services of images, namespaces and leases that writes down what it is answered. Times are those of
//! each server, so that a line says only whether there are some.

use crate::containerd::suite::Talk;
use crate::support::wait;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    AddResourceRequest, CreateImageRequest, CreateImageResponse, CreateNamespaceRequest, CreateRequest, CreateResponse,
    DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, DeleteResourceRequest, GetImageRequest,
    GetImageResponse, GetNamespaceRequest, GetNamespaceResponse, Image, InfoRequest, Lease, ListImagesRequest,
    ListImagesResponse, ListNamespacesRequest, ListNamespacesResponse, ListRequest, ListResourcesRequest,
    ListResourcesResponse, ListResponse, Namespace, Resource, UpdateImageRequest, UpdateImageResponse,
    UpdateNamespaceRequest, WriteAction, WriteContentRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::types::Descriptor;
use futures::stream;
use prost_types::FieldMask;
use std::collections::HashMap;
use wharf::demo::image::{digest, noise};

/// What an image points to.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: i64,
    pub(super) annotations: HashMap<String, String>,
}

impl Pointer {
    /// To something that nobody has.
    pub(super) fn to(seed: u64) -> Self {
        Self::of(&noise(seed, 100 + seed as usize))
    }

    fn of(bytes: &[u8]) -> Self {
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let size = i64::try_from(bytes.len()).expect("it is small");
        Self { media_type, digest: digest(bytes), size, annotations: HashMap::new() }
    }

    pub(super) fn with(self, annotations: &[(&str, &str)]) -> Self {
        Self { annotations: owned(annotations), ..self }
    }
}

impl From<&Pointer> for Descriptor {
    fn from(pointer: &Pointer) -> Self {
        let Pointer { media_type, digest, size, annotations } = pointer.clone();
        Self { media_type, digest, size, annotations }
    }
}

/// Who asks one server about the records of one namespace.
pub(super) struct Client {
    images: ImagesClient<Channel>,
    spaces: NamespacesClient<Channel>,
    holds: LeasesClient<Channel>,
    pub(super) talk: Talk,
}

impl AsMut<Talk> for Client {
    fn as_mut(&mut self) -> &mut Talk {
        &mut self.talk
    }
}

fn owned(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&text| text.to_owned()).collect()
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    (!paths.is_empty()).then(|| FieldMask { paths: texts(paths) })
}

/// Pairs as lines say them, in order.
fn pairs(all: &HashMap<String, String>) -> String {
    let mut all: Vec<_> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
    all.sort();
    all.join(" ")
}

/// A digest as lines say it.
fn short(digest: &str) -> &str {
    digest.get("sha256:".len()..).map_or(digest, |hex| hex.get(..8).unwrap_or(hex))
}

fn record(image: &Image) -> String {
    let Descriptor { media_type, digest, size, annotations } = image.target.clone().unwrap_or_default();
    let timed = if image.created_at.is_some() && image.updated_at.is_some() { "" } else { " without times" };
    let kind = media_type.rsplit('.').next().unwrap_or_default();
    let labels = pairs(&image.labels);
    format!("{} {} {size} bytes {kind} ({}) [{labels}]{timed}", image.name, short(&digest), pairs(&annotations))
}

fn held(lease: &Lease) -> String {
    let timed = if lease.created_at.is_some() { "" } else { " without a time" };
    format!("{} [{}]{timed}", lease.id, pairs(&lease.labels))
}

impl Client {
    pub(super) fn new(talk: Talk) -> Self {
        let channel = || talk.channel.clone();
        let (images, spaces) = (ImagesClient::new(channel()), NamespacesClient::new(channel()));
        let holds = LeasesClient::new(channel());
        Self { images, spaces, holds, talk }
    }

    /// Does something in another namespace.
    pub(super) fn within(&mut self, namespace: &str, work: impl FnOnce(&mut Self)) {
        let home = std::mem::replace(&mut self.talk.namespace, namespace.to_owned());
        // What is made there takes a lease, which must not be left.
        self.talk.lease();
        work(self);
        self.end("suite", true);
        self.talk.namespace = home;
    }

    pub(super) fn get(&mut self, name: &str) {
        let mut client = self.images.clone();
        let request = self.talk.request(GetImageRequest { name: name.to_owned() });
        let show = |answer: &GetImageResponse| record(answer.image.as_ref().expect("an image"));
        let _ = self.talk.came(&format!("get {name}"), async move { client.get(request).await }, show);
    }

    pub(super) fn list(&mut self, filters: &[&str]) {
        let mut client = self.images.clone();
        let request = self.talk.request(ListImagesRequest { filters: texts(filters) });
        let show = |answer: &ListImagesResponse| {
            let mut images: Vec<_> = answer.images.iter().map(record).collect();
            images.sort();
            images.join(", ")
        };
        let what = format!("list {}", filters.join(" or "));
        let _ = self.talk.came(&what, async move { client.list(request).await }, show);
    }

    pub(super) fn create(&mut self, name: &str, target: &Pointer, labels: &[(&str, &str)]) {
        let mut client = self.images.clone();
        let (target, labels) = (Some(target.into()), owned(labels));
        let image = Image { name: name.to_owned(), target, labels, ..Image::default() };
        let request = self.talk.request(CreateImageRequest { image: Some(image), source_date_epoch: None });
        let show = |answer: &CreateImageResponse| record(answer.image.as_ref().expect("an image"));
        let _ = self.talk.came(&format!("create {name}"), async move { client.create(request).await }, show);
    }

    /// Asks for an image that says nothing.
    pub(super) fn create_nothing(&mut self) {
        let mut client = self.images.clone();
        let image = Some(Image::default());
        let request = self.talk.request(CreateImageRequest { image, source_date_epoch: None });
        let _ = self.talk.came("create nothing", async move { client.create(request).await }, |_| "done");
    }

    pub(super) fn update(&mut self, name: &str, target: &Pointer, labels: &[(&str, &str)], paths: &[&str]) {
        let mut client = self.images.clone();
        let (target, labels) = (Some(target.into()), owned(labels));
        let image = Some(Image { name: name.to_owned(), target, labels, ..Image::default() });
        let request =
            self.talk.request(UpdateImageRequest { image, update_mask: mask(paths), source_date_epoch: None });
        let show = |answer: &UpdateImageResponse| record(answer.image.as_ref().expect("an image"));
        let what = format!("update {name} {}", paths.join(","));
        let _ = self.talk.came(&what, async move { client.update(request).await }, show);
    }

    pub(super) fn delete(&mut self, name: &str, sync: bool) {
        let mut client = self.images.clone();
        let request = self.talk.request(DeleteImageRequest { name: name.to_owned(), sync, target: None });
        let _ = self.talk.came(&format!("delete {name}"), async move { client.delete(request).await }, |()| "done");
    }

    /// Writes a blob, held by the lease of the suite, and returns what points to it.
    #[track_caller]
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Pointer {
        let pointer = Pointer::of(bytes);
        let message = WriteContentRequest {
            action: WriteAction::Commit.into(),
            r#ref: name.to_owned(),
            total: pointer.size,
            expected: pointer.digest.clone(),
            data: bytes.to_vec(),
            ..WriteContentRequest::default()
        };
        let mut client = ContentClient::new(self.talk.channel.clone());
        let request = self.talk.request(stream::iter([message]));
        let written = wait(async move {
            let mut answers = client.write(request).await?.into_inner();
            while answers.message().await?.is_some() {}
            Ok::<_, containerd_client::tonic::Status>(())
        });
        written.expect("it is written");
        pointer
    }

    /// Asks whether a blob is here.
    pub(super) fn info(&mut self, pointer: &Pointer) {
        let mut client = ContentClient::new(self.talk.channel.clone());
        let request = self.talk.request(InfoRequest { digest: pointer.digest.clone() });
        let what = format!("info {}", short(&pointer.digest));
        let _ = self.talk.came(&what, async move { client.info(request).await }, |_| "it is here");
    }

    pub(super) fn get_namespace(&mut self, name: &str) {
        let mut client = self.spaces.clone();
        let request = self.talk.request(GetNamespaceRequest { name: name.to_owned() });
        let show = |answer: &GetNamespaceResponse| {
            let Namespace { name, labels } = answer.namespace.as_ref().expect("a namespace");
            format!("{name} [{}]", pairs(labels))
        };
        let _ = self.talk.came(&format!("get namespace {name}"), async move { client.get(request).await }, show);
    }

    /// Writes down whether a namespace is listed, among those of other cases.
    pub(super) fn is_listed(&mut self, name: &str) {
        let mut client = self.spaces.clone();
        let request = self.talk.request(ListNamespacesRequest::default());
        let show =
            |answer: &ListNamespacesResponse| answer.namespaces.iter().filter(|space| space.name == name).count();
        let _ = self.talk.came(&format!("listed {name}"), async move { client.list(request).await }, show);
    }

    pub(super) fn create_namespace(&mut self, name: &str, labels: &[(&str, &str)]) {
        let mut client = self.spaces.clone();
        let namespace = Some(Namespace { name: name.to_owned(), labels: owned(labels) });
        let request = self.talk.request(CreateNamespaceRequest { namespace });
        let what = format!("create namespace {name}");
        let _ = self.talk.came(&what, async move { client.create(request).await }, |_| "done");
    }

    /// containerd does not say what has become of it.
    pub(super) fn update_namespace(&mut self, name: &str, labels: &[(&str, &str)], paths: &[&str]) {
        let mut client = self.spaces.clone();
        let namespace = Some(Namespace { name: name.to_owned(), labels: owned(labels) });
        let request = self.talk.request(UpdateNamespaceRequest { namespace, update_mask: mask(paths) });
        let what = format!("update namespace {name} {}", paths.join(","));
        let _ = self.talk.came(&what, async move { client.update(request).await }, |_| "done");
    }

    pub(super) fn delete_namespace(&mut self, name: &str) {
        let mut client = self.spaces.clone();
        let request = self.talk.request(DeleteNamespaceRequest { name: name.to_owned() });
        let what = format!("delete namespace {name}");
        let _ = self.talk.came(&what, async move { client.delete(request).await }, |()| "done");
    }

    pub(super) fn lease(&mut self, id: &str, labels: &[(&str, &str)]) {
        let mut client = self.holds.clone();
        let request = self.talk.request(CreateRequest { id: id.to_owned(), labels: owned(labels) });
        let show = |answer: &CreateResponse| held(answer.lease.as_ref().expect("a lease"));
        let _ = self.talk.came(&format!("lease {id}"), async move { client.create(request).await }, show);
    }

    pub(super) fn leases(&mut self, filters: &[&str]) {
        let mut client = self.holds.clone();
        let request = self.talk.request(ListRequest { filters: texts(filters) });
        let show = |answer: &ListResponse| {
            let mut leases: Vec<_> = answer.leases.iter().map(held).collect();
            leases.sort();
            leases.join(", ")
        };
        let what = format!("leases {}", filters.join(" or "));
        let _ = self.talk.came(&what, async move { client.list(request).await }, show);
    }

    /// Ends a lease.
    pub(super) fn end(&mut self, id: &str, sync: bool) {
        let mut client = self.holds.clone();
        let request = self.talk.request(DeleteRequest { id: id.to_owned(), sync });
        let _ = self.talk.came(&format!("end {id}"), async move { client.delete(request).await }, |()| "done");
    }

    pub(super) fn hold(&mut self, id: &str, kind: &str, what: &str) {
        let mut client = self.holds.clone();
        let resource = Some(Resource { id: what.to_owned(), r#type: kind.to_owned() });
        let request = self.talk.request(AddResourceRequest { id: id.to_owned(), resource });
        let line = format!("hold {id} {kind}");
        let _ = self.talk.came(&line, async move { client.add_resource(request).await }, |()| "done");
    }

    pub(super) fn release(&mut self, id: &str, kind: &str, what: &str) {
        let mut client = self.holds.clone();
        let resource = Some(Resource { id: what.to_owned(), r#type: kind.to_owned() });
        let request = self.talk.request(DeleteResourceRequest { id: id.to_owned(), resource });
        let line = format!("release {id} {kind}");
        let _ = self.talk.came(&line, async move { client.delete_resource(request).await }, |()| "done");
    }

    pub(super) fn resources(&mut self, id: &str) {
        let mut client = self.holds.clone();
        let request = self.talk.request(ListResourcesRequest { id: id.to_owned() });
        let show = |answer: &ListResourcesResponse| {
            let resources = answer.resources.iter();
            let mut resources: Vec<_> = resources.map(|held| format!("{} {}", held.r#type, short(&held.id))).collect();
            resources.sort();
            resources.join(", ")
        };
        let _ = self.talk.came(&format!("resources {id}"), async move { client.list_resources(request).await }, show);
    }
}
