//! Builds a crate of the workspace as a component and compiles that to machine code. Build scripts include this file.

use super::config;
use super::target::{self, TARGET};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Leaves the component of `package` in `OUT_DIR` as `NAME.wasm` and, compiled for the machine that the outer build is
/// for, as `NAME.cwasm`. `options` are more arguments of `cargo build`, `profile` what the release profile is to have:
/// as in `("OPT_LEVEL", "2")`.
#[allow(clippy::disallowed_methods, reason = "a build script starts cargo and reads what it made")]
pub(crate) fn embed(name: &str, package: &str, options: &[&str], profile: &[(&str, &str)]) {
    target::require();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let built = build(&out, package, options, profile);
    let wasm = fs::read(&built).expect("cargo wrote the component");
    fs::write(out.join(name).with_extension("wasm"), &wasm).expect("OUT_DIR is writable");
    fs::write(out.join(name).with_extension("cwasm"), compile(&wasm)).expect("OUT_DIR is writable");
}

/// Builds the package in a target directory of its own: cargo holds the lock
/// of the outer one.
#[allow(clippy::disallowed_methods, reason = "a build script starts cargo")]
fn build(out: &Path, package: &str, options: &[&str], profile: &[(&str, &str)]) -> PathBuf {
    let target_directory = out.join("component");
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--release", "--target", TARGET, "--package", package])
        .args(options)
        .env("CARGO_TARGET_DIR", &target_directory)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        // Incremental builds of a library that exports nothing, as the nouns are for the tests, have crashed the
        // linker of wasm32-wasip2.
        .env("CARGO_INCREMENTAL", "0")
        // Flags and wrappers of the outer build are for another machine. An empty value outranks `RUSTFLAGS` and
        // every configuration file.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER");
    for (key, value) in profile {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run `{}`: {error}", cargo.to_string_lossy()));
    assert!(status.success(), "the component `{package}` does not build");
    target_directory.join(TARGET).join("release").join(package.replace('-', "_")).with_extension("wasm")
}

/// Compiles a component for the machine that the binary will run on.
#[allow(clippy::disallowed_methods, reason = "a build script asks what it is run for")]
fn compile(wasm: &[u8]) -> Vec<u8> {
    let mut config = config::config();
    config.target(&env::var("TARGET").expect("cargo sets TARGET")).expect("wasmtime knows the target");
    let engine = wasmtime::Engine::new(&config).expect("the configuration is valid");
    engine.precompile_component(wasm).expect("the component compiles")
}
