//! `pull`: an index says of each document what it is, and has to be right.

use super::{Recipe, World, descriptor, everything, options};
use wharf_component::nouns::{
    digest::Digest,
    media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST},
    problem::ErrorCode,
};

/// Once the first pull took what the second one refused: documents from the
/// registry were held against its headers, and those in the store against the
/// index.
#[test]
fn a_document_of_another_type_than_the_index_says_is_refused_each_time() {
    type Make = fn(&World) -> (Digest, usize);
    let manifest: Make = |world| {
        let built = world.image("library/app", None, Recipe::default());
        let entry: serde_json::Value = serde_json::from_str(&built.entry).unwrap();
        (built.manifest, entry["size"].as_u64().unwrap() as usize)
    };
    let index: Make = |world| {
        let built = world.image("library/app", None, Recipe::default());
        let (digest, size) = world.index("library/app", None, &[&built.entry]);
        (digest, size as usize)
    };
    let rows = [
        (manifest, DOCKER_MANIFEST, OCI_MANIFEST),
        (manifest, OCI_INDEX, OCI_MANIFEST),
        (manifest, DOCKER_LIST, OCI_MANIFEST),
        (index, OCI_MANIFEST, OCI_INDEX),
        (index, DOCKER_LIST, OCI_INDEX),
    ];
    for ((make, said, found), is_here) in rows.into_iter().flat_map(|row| [(row, false), (row, true)]) {
        let world = World::new();
        let (digest, size) = make(&world);
        if is_here {
            world.pull(&format!("app@{digest}"), &options()).unwrap();
        }
        let before = world.memory.snapshot();
        world.index("library/app", Some("1"), &[&descriptor(said, &digest, size)]);
        for options in [options(), everything()] {
            let problem = world.pull("app:1", &options).unwrap_err();
            let why = [
                format!("`{digest}` is not usable"),
                format!("the index says `{said}`, and the document is `{found}`"),
            ];
            assert_eq!((problem.code, problem.why), (ErrorCode::Invalid, why.to_vec()), "here: {is_here}");
        }
        assert_eq!(world.memory.snapshot(), before, "nothing came of it");
    }
}

/// Many documents do not say what they are, and some registries do not either.
/// Then the index is the only one who knows.
#[test]
fn the_index_decides_where_nobody_else_says_anything() {
    let rows = [
        ("application/octet-stream", DOCKER_MANIFEST, None),
        ("application/octet-stream", OCI_MANIFEST, None),
        ("application/octet-stream", OCI_INDEX, Some("a manifest")),
        (OCI_MANIFEST, DOCKER_MANIFEST, Some("`application/vnd.oci.image.manifest.v1+json`")),
    ];
    for (sent, said, found) in rows {
        let world = World::new();
        let config = world.registry.blob(b"{}");
        let unstated = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#,
            descriptor("application/vnd.example", &config, 2)
        );
        let digest = world.registry.manifest("library/app", None, sent, &unstated);
        world.index("library/app", Some("1"), &[&descriptor(said, &digest, unstated.len())]);
        let outcome = world.pull("app:1", &options());
        match found {
            None => {
                outcome.unwrap();
                let record = world.record("docker.io/library/app:1").unwrap();
                assert_eq!(record.platforms[0].manifest.media_type, said, "{sent}");
                assert!(world.pull("app:1", &options()).unwrap()[0].up_to_date);
            }
            Some(found) => {
                let why = format!("the index says `{said}`, and the document is {found}");
                assert_eq!(outcome.unwrap_err().why[1], why);
            }
        }
    }
}
