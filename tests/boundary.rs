//! What the component can reach, and what it cannot.

use std::process::Command;
use wharf::engine::{Engine, is_granted};

/// The only interfaces below `wasi:` that wharf implements. A new one is a new
/// right, and has to be added here on purpose.
const GRANTED: [&str; 11] = [
    "wasi:cli/environment",
    "wasi:cli/stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// wharf's own imports of the world `manager`.
const OWN: [&str; 12] = [
    "wharf:images/archives@0.1.0",
    "wharf:images/changes@0.1.0",
    "wharf:images/content@0.1.0",
    "wharf:images/credentials@0.1.0",
    "wharf:images/discovery@0.1.0",
    "wharf:images/layers@0.1.0",
    "wharf:images/metadata@0.1.0",
    "wharf:images/serving@0.1.0",
    "wharf:images/types@0.1.0",
    "wharf:images/uploads@0.1.0",
    "wharf:images/vocabulary@0.1.0",
    "wharf:images/writable@0.1.0",
];

#[test]
fn the_component_imports_wharfs_interfaces_and_wasi_alone() {
    let engine = Engine::load().expect("the embedded component loads");
    let mut own: Vec<&str> =
        engine.imports().iter().map(String::as_str).filter(|name| !name.starts_with("wasi:")).collect();
    own.sort_unstable();
    assert_eq!(own, OWN);
}

#[test]
fn what_is_granted_of_wasi_is_what_the_list_says() {
    let engine = Engine::load().expect("the embedded component loads");
    let mut granted: Vec<&str> = engine
        .imports()
        .iter()
        .filter(|name| name.starts_with("wasi:") && is_granted(name))
        .map(|name| name.split('@').next().expect("a name has a first part"))
        .collect();
    granted.sort_unstable();
    granted.dedup();
    for name in &granted {
        assert!(GRANTED.contains(name), "{name} is granted and not in the list");
    }
    for name in ["wasi:http/client", "wasi:clocks/monotonic-clock"] {
        assert!(granted.contains(&name), "{name} is what verbs work with");
    }
    for name in [
        "wasi:filesystem/types@0.2.6",
        "wasi:sockets/tcp@0.2.6",
        "wasi:cli/stdin@0.2.6",
        "wasi:io/poll@0.2.6",
        "wasi:http/client@0.31.0",
        "wasi:http/clients@0.3.0",
        "wasi:random/insecure-seed@0.20.0",
    ] {
        assert!(!is_granted(name), "{name} is not granted");
    }
}

/// Rust's library links more of WASI than it calls here. What is not granted
/// is there as a trap, so every verb that runs to its end (in `stories`) has
/// shown that it does without.
#[test]
fn files_and_sockets_are_traps_and_not_missing() {
    let engine = Engine::load().expect("the embedded component loads");
    let denied: Vec<&String> =
        engine.imports().iter().filter(|name| name.starts_with("wasi:") && !is_granted(name)).collect();
    assert!(!denied.is_empty(), "if nothing is denied any more, `engine::deny` can go");
    assert!(denied.iter().all(|name| !name.starts_with("wasi:http")), "{denied:?}");
}

/// A compiler in the binary would be 15 MB of attack surface that no verb
/// needs. Its crates leave their names in symbols and panic locations.
#[test]
fn the_binary_has_no_compiler_in_it() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_wharf")).expect("cargo built the binary");
    for name in ["cranelift_codegen", "cranelift-codegen", "wasmtime_cranelift", "regalloc2"] {
        assert_eq!(occurrences(&binary, name.as_bytes()), 0, "`{name}` is in the binary");
    }
    assert!(occurrences(&binary, b"wasmtime") > 0, "the search finds what is there");
}

fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| window == &needle).count()
}

/// cargo's own answer to the same question, for the features that the binary is
/// built with.
#[test]
fn no_dependency_of_the_binary_is_a_compiler() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "wharf", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are UTF-8");
    assert!(tree.contains("wasmtime v"), "the tree is the binary's");
    assert!(!tree.contains("cranelift-codegen"), "{tree}");
}
