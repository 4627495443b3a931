//! The table of podman about references that `registries.conf` rewrites: from the file to the endpoint that the
//! component asks first. What cannot be rewritten is in `tests/vectors`.

use super::Memory;
use crate::support::{RUNTIME, services};
use serde::Deserialize;
use wharf::images::{Access, Caller, Wanted, Wharf};
use wharf::machine::machine;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
    input_ref: String,
    prefix: String,
    location: String,
    expected: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../data/vectors/registry_client.json");
    let mut file: serde_json::Value = serde_json::from_str(text).expect("the file is JSON");
    serde_json::from_value(file["vectors"]["mirror_rewrite"].take()).expect("the table is a list of rows")
}

/// Returns the repository of a reference, and where it answers.
fn place(reference: &str) -> (&str, &str) {
    let (registry, rest) = reference.split_once('/').expect("a row names a registry");
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    (host, rest.split(['@', ':']).next().unwrap_or_default())
}

#[test]
fn references_are_rewritten_as_by_podman() {
    let (_directory, services) = services();
    let wharf = Wharf::new(services).expect("the component is loaded");
    let caller = Caller { namespace: "default".to_owned(), machine: machine("") };
    let rows = rows();
    for Row { input_ref, prefix, location, expected } in &rows {
        let location = if location.is_empty() { String::new() } else { format!("location = \"{location}\"\n") };
        let file = format!("[[registry]]\nprefix = \"{prefix}\"\n{location}");
        let files = Memory::of(&[("/etc/containers/registries.conf", &file)]);
        let rules = files.about(input_ref).expect("the file is well").rules;
        let access = Access { plain_http: Vec::new(), rules, aliases: Vec::new(), retries: 0, silence_ms: 1_000 };
        let told = RUNTIME.block_on(wharf.explain(&caller, input_ref, &Wanted::All, &access)).expect("it is explained");
        let first = told.endpoints.first().expect("somebody is asked");
        assert_eq!(first.skipped, None, "{input_ref} {prefix}");
        assert_eq!((&*first.origin.authority, &*first.repository), place(expected), "{input_ref} {prefix}");
    }
    assert_eq!(rows.len(), 13);
}
