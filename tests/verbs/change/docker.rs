//! Which names go with which, and what a person means, by docker's own tables
//! (`layer_and_store.json`, `docker_image_delete` and `docker_image_lookup`).

use super::{World, removal};
use serde::Deserialize;
use std::collections::BTreeMap;
use wharf_component::nouns::{
    descriptor::Descriptor,
    digest::Digest,
    media_type,
    record::{ImageRecord, Present, Schema},
    reference::Reference,
};

#[derive(Deserialize)]
struct Table {
    vectors: Vectors,
}

#[derive(Deserialize)]
struct Vectors {
    docker_image_delete: Vec<Row>,
    docker_image_lookup: Vec<Lookup>,
}

#[derive(Deserialize)]
struct Lookup {
    lookup: String,
    /// The names that have what is meant.
    all: Option<Vec<Image>>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "ref")]
    reference: String,
    starting: Option<Vec<Image>>,
    remaining: Option<Vec<Image>>,
    err: Option<Refused>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    name: String,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Docker's names by digest have a tag too, which wharf does not record.
fn names(images: Option<&Vec<Image>>) -> BTreeMap<String, &Target> {
    let name = |image: &Image| Reference::parse_docker(&image.name).expect("docker's names are names").to_string();
    images.into_iter().flatten().map(|image| (name(image), &image.target)).collect()
}

fn record(target: &Target) -> Vec<u8> {
    let manifest = Descriptor::new(media_type::OCI_MANIFEST, target.digest.parse().expect("a digest"), target.size);
    let present = Present {
        config: manifest.digest.clone(),
        manifest: manifest.clone(),
        platform: Some("linux/amd64".to_owned()),
        created: None,
        size: target.size,
        layers: 1,
        labels: BTreeMap::new(),
    };
    let record = ImageRecord {
        target: manifest,
        created: 0,
        updated: 0,
        size: target.size,
        labels: BTreeMap::new(),
        platforms: vec![present],
    };
    record.encode().expect("it is short")
}

#[test]
fn the_names_that_stay_are_dockers() {
    let table: Table = serde_json::from_str(include_str!("../../data/vectors/layer_and_store.json")).expect("a table");
    assert_eq!(table.vectors.docker_image_delete.len(), 8);
    for Row { reference, starting, remaining, err } in table.vectors.docker_image_delete {
        let world = World::new();
        world.memory.write_row("default", "schema", &Schema::current());
        for (name, target) in names(starting.as_ref()) {
            world.memory.write_row("default", &format!("image/{name}"), &record(target));
        }
        let outcome = world.perform(&removal(&[&reference]));
        let expected: Vec<String> = names(remaining.as_ref()).into_keys().collect();
        assert_eq!(world.names(), expected, "{reference}: {outcome:?}");
        let error = err.map(|err| err.error);
        assert_eq!(outcome.is_err(), error.is_some(), "{reference}: {error:?} {outcome:?}");
    }
}

#[test]
fn what_is_looked_up_is_what_docker_finds() {
    let table: Table = serde_json::from_str(include_str!("../../data/vectors/layer_and_store.json")).expect("a table");
    let rows = table.vectors.docker_image_lookup;
    assert_eq!(rows.len(), 8);
    let world = World::new();
    world.memory.write_row("default", "schema", &Schema::current());
    for (name, target) in rows.iter().flat_map(|row| names(row.all.as_ref())) {
        world.memory.write_row("default", &format!("image/{name}"), &record(target));
    }
    for Lookup { lookup, all } in rows {
        let found = world.tag(&lookup, &["found"]);
        let expected = all.as_ref().map(|all| all[0].target.digest.as_str());
        assert_eq!(found.is_ok(), expected.is_some(), "{lookup}: {found:?}");
        let target = found.ok().and_then(|_| world.record("docker.io/library/found:latest")).map(|it| it.target.digest);
        assert_eq!(target.as_ref().map(Digest::as_str), expected, "{lookup}");
        let _ = world.remove("found");
    }
}
