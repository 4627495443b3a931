//! `records`: what clients of containerd see and change, one record at a time.

mod collection;
mod contents;
mod images;
mod leases;
mod namespaces;
mod snapshots;
mod writings;

use super::{Built, Recipe, World, caller, options};
use std::collections::BTreeMap;
use wharf_component::{
    host::{Host as _, Ingest as _},
    nouns::{
        digest::Digest,
        media_type::OCI_MANIFEST,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        contract::{
            Caller,
            records::{Content, Labels, Named, Pointed},
        },
        records,
    },
};
use wharf_sim::memory::content::digest_of;

const APP: &str = "docker.io/library/app:1";

/// A machine with one image.
fn world() -> (World, Built) {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    (world, built)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The caller, in another namespace.
fn other() -> Caller {
    Caller { namespace: "other".to_owned(), ..caller() }
}

/// What a client would record of a manifest.
fn named(name: &str, digest: &Digest, size: u64) -> Named {
    let size = i64::try_from(size).unwrap();
    let target = Pointed { media_type: OCI_MANIFEST.to_owned(), digest: digest.to_string(), size, annotations: vec![] };
    Named { name: name.to_owned(), target, ..Named::default() }
}

impl World {
    /// What a client would record of the manifest that `app:1` is.
    fn app_as(&self, name: &str) -> Named {
        let target = self.record(APP).unwrap().target;
        named(name, &target.digest, target.size)
    }

    fn create_image(&self, image: &Named) -> Result<Named, Problem> {
        self.memory.clock().pass(1);
        self.memory.run(records::images::create(&self.memory, &caller(), image))
    }

    fn update_image(&self, image: &Named, fields: &[&str]) -> Result<Named, Problem> {
        self.memory.clock().pass(1);
        self.memory.run(records::images::update(&self.memory, &caller(), image, &texts(fields)))
    }

    fn delete_image(&self, name: &str, target: Option<&str>, sync: bool) -> Result<(), Problem> {
        self.memory.clock().pass(1);
        self.memory.run(records::images::delete(&self.memory, &caller(), name, target, sync))
    }

    fn get_image(&self, name: &str) -> Result<Named, Problem> {
        self.memory.run(records::images::get(&self.memory, &caller(), name))
    }

    /// The names of the images that pass filters.
    fn list_images(&self, filters: &[&str]) -> Vec<String> {
        let images = self.memory.run(records::images::list(&self.memory, &caller(), &texts(filters))).unwrap();
        images.into_iter().map(|image| image.name).collect()
    }

    /// The actions that were told, in order, with what they are about.
    fn happened(&self) -> Vec<String> {
        let rows = self.memory.snapshot().rows;
        let events = rows.iter().filter_map(|((_, key), value)| {
            let happening = wharf_component::nouns::record::Happening::decode(key, value).ok()?;
            Some(format!("{} {}", happening.action.name(), happening.subject))
        });
        events.collect()
    }

    /// Writes a blob as the host does for a client, and records it.
    fn write_blob(&self, caller: &Caller, bytes: &[u8], pairs: &[(&str, &str)]) -> Result<Content, Problem> {
        let digest = digest_of(bytes);
        let work = async {
            let ingest = self.memory.ingest(&format!("containerd/{}/x", caller.namespace)).await.unwrap();
            ingest.append(self.memory.stream(bytes.to_vec()), u64::MAX).await.unwrap();
            let held = ingest.commit(&digest, bytes.len() as u64).await.unwrap();
            let labels = labels(pairs);
            let wrote = records::writings::wrote(&self.memory, caller, "x", digest.as_str(), &labels, None).await;
            drop(held);
            wrote
        };
        self.memory.run(work)
    }

    /// An ingest of a client of which one byte has come, held.
    fn begin_ingest(&self, name: &str) -> impl Sized + use<> {
        let work = async {
            let ingest = self.memory.ingest(&format!("containerd/default/{name}")).await.unwrap();
            ingest.append(self.memory.stream(b"x".to_vec()), u64::MAX).await.unwrap();
            ingest
        };
        self.memory.run(work)
    }

    fn get_content(&self, caller: &Caller, digest: &Digest) -> Result<Content, Problem> {
        self.memory.run(records::contents::get(&self.memory, caller, digest.as_str()))
    }
}

/// Labels as a map.
fn map(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Problem>) -> ErrorCode {
    outcome.unwrap_err().code
}
