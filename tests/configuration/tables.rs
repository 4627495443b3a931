//! The tables of other registry clients about their configuration (`tests/data/vectors/registry_client.json`), as files.

use super::{Memory, endpoint, rules};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Rows that say something else than wharf does, and why. `tests/configuration` has its own for what they are about.
const EXCLUDED: &[(&str, &str)] = &[
    ("localhost with example.com", LOOPBACK),
    ("localhost with localhost:5000", LOOPBACK),
    ("127.0.0.1 with nothing", LOOPBACK),
    ("127.0.0.1:5000 with example.com", LOOPBACK),
    ("example.com:5000 with 42.42.0.0/16", NAMES),
    ("example.com with 42.42.0.0/16", NAMES),
    ("registry-3.io/path", "an endpoint with a path is the server's own only in the old configuration of CRI"),
];
const LOOPBACK: &str = "loopback addresses are spoken to without TLS by the component, without configuration";
const NAMES: &str =
    "a name is not resolved to find out whether it needs TLS: whoever answers for the name would decide";

fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/registry_client.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
    serde_json::from_value(file["vectors"][name].take()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn daemon(json: serde_json::Value) -> Memory {
    Memory::of(&[("/etc/docker/daemon.json", &json.to_string())])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mirror {
    input: String,
    output: String,
    expected_err: String,
}

#[test]
fn mirrors_are_accepted_as_by_docker() {
    let rows: Vec<Mirror> = table("mirror_validate");
    assert_eq!(rows.len(), 21);
    for Mirror { input, output, expected_err } in rows {
        let told = daemon(serde_json::json!({ "registry-mirrors": [input] })).about("alpine");
        match told {
            Ok(excerpt) => {
                assert_eq!(expected_err, "", "{input}");
                assert_eq!(rules(&excerpt)[1..], [format!("mirror {output}v2 rp")], "{input}");
            }
            Err(error) => {
                assert_ne!(expected_err, "", "{input}: {error}");
                assert!(!error.to_string().contains("foo:bar"), "{error}");
            }
        }
    }
}

#[derive(Deserialize)]
struct InsecureRegistries {
    registries: Vec<String>,
    index: String,
    err: String,
}

#[test]
fn insecure_registries_are_accepted_as_by_docker() {
    let rows: Vec<InsecureRegistries> = table("insecure_registries");
    assert_eq!(rows.len(), 11);
    for InsecureRegistries { registries, index, err } in rows {
        // docker's own registries have no brackets around an address of IPv6, references do.
        let index = if index.matches(':').count() > 1 { format!("[{index}]") } else { index };
        let told = daemon(serde_json::json!({ "insecure-registries": registries })).about(&format!("{index}/app"));
        match told {
            Ok(excerpt) => {
                assert_eq!(err, "", "{registries:?}");
                assert_eq!(excerpt.rules.len(), 1, "{registries:?}");
                assert_eq!(excerpt.rules[0].prefix, index);
            }
            Err(error) => assert_ne!(err, "", "{registries:?}: {error}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecureIndex {
    addr: String,
    insecure_registries: Option<Vec<String>>,
    expected: bool,
}

#[test]
fn a_registry_is_verified_as_by_docker() {
    let rows: Vec<SecureIndex> = table("is_secure_index");
    let (all, mut excluded) = (rows.len(), 0);
    for SecureIndex { addr, insecure_registries, expected } in rows {
        let insecure = insecure_registries.unwrap_or_default();
        let listed = if insecure.is_empty() { "nothing".to_owned() } else { insecure.join(", ") };
        let row = format!("{addr} with {listed}");
        let files = daemon(serde_json::json!({ "insecure-registries": insecure }));
        let excerpt = files.about(&format!("{addr}/app")).expect("the file is well");
        let secure = excerpt.sites.iter().all(|site| site.origin.is_secure() && !site.skip_verify);
        if EXCLUDED.iter().any(|(name, _)| *name == row) {
            assert_ne!(secure, expected, "{row} needs no exception");
            excluded += 1;
        } else {
            assert_eq!(secure, expected, "{row}");
        }
    }
    // One of the excluded rows is there twice.
    assert_eq!((all, excluded), (14, 7));
}

#[derive(Deserialize)]
struct Endpoints {
    desc: String,
    mirrors: BTreeMap<String, Listed>,
    host: String,
    expected: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    endpoints: Vec<String>,
}

/// What CRI's old configuration calls a mirror is a host of `hosts.toml`, and `*` is `_default`. The registry itself is
/// asked last, by whoever reads the rules, unless it is listed: then it is the server.
#[test]
fn hosts_are_asked_as_by_containerd() {
    let rows: Vec<Endpoints> = table("cri_registry_endpoints");
    assert_eq!(rows.len(), 6);
    for Endpoints { desc, mirrors, host, expected } in rows {
        let mut files = Memory::default();
        for (name, Listed { endpoints }) in mirrors {
            let directory = if name == "*" { "_default" } else { &name };
            let mut text = String::new();
            for url in endpoints {
                let itself = url.split_once("://").is_some_and(|(_, rest)| rest == host);
                let excluded = EXCLUDED.iter().any(|(name, _)| url.ends_with(name));
                match itself || excluded {
                    true => text = format!("server = \"{url}\"\n{text}"),
                    false => text.push_str(&format!("[host.\"{url}\"]\n")),
                }
            }
            files.files.insert(format!("/etc/containerd/certs.d/{directory}/hosts.toml").into(), text.into());
        }
        let excerpt = files.about(&format!("{host}/app")).expect("the files are well");
        let endpoints = excerpt.rules.first().map(|rule| rule.endpoints.clone()).unwrap_or_default();
        let mut asked: Vec<String> = endpoints.iter().map(endpoint).collect();
        if !endpoints.iter().any(|endpoint| !endpoint.mirror) {
            asked.push(format!("self https://{host}/v2 rpP ns"));
        }
        let expected: Vec<_> = expected
            .iter()
            .map(|url| {
                let who = if url.contains(&host) { "self" } else { "mirror" };
                format!("{who} {url}/v2 rpP ns")
            })
            .collect();
        assert_eq!(asked, expected, "{desc}");
    }
}
