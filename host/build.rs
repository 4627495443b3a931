//! Builds the component for `wasm32-wasip2`, compiles it to machine code and
//! leaves the result for `engine` to embed, so that the binary carries no
//! compiler.

#![allow(clippy::disallowed_methods, reason = "a build script starts cargo and reads what it made")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[path = "engine/config.rs"]
mod config;
#[path = "build/target.rs"]
mod target;

use target::TARGET;

fn main() {
    for path in ["component", "wit", "host/build.rs", "host/build", "host/engine/config.rs", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    target::require();
    let wasm = build(&out);
    fs::copy(&wasm, out.join("component.wasm")).expect("the component can be copied");
    let native = compile(&fs::read(&wasm).expect("cargo wrote the component"));
    fs::write(out.join("component.cwasm"), native).expect("OUT_DIR is writable");
}

/// Builds the component in a target directory of its own: cargo holds the lock
/// of the outer one.
fn build(out: &Path) -> PathBuf {
    let target_directory = out.join("component");
    let status = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .args(["build", "--release", "--target", TARGET, "--package", "wharf-component", "--features", "guest"])
        .env("CARGO_TARGET_DIR", &target_directory)
        // The profile of the component: small, and one unit.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")
        .env("CARGO_PROFILE_RELEASE_LTO", "true")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        // Flags and wrappers of the outer build are for another machine. An empty value outranks `RUSTFLAGS` and
        // every configuration file.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the component does not build");
    target_directory.join(TARGET).join("release/wharf_component.wasm")
}

/// Compiles the component for the machine that the binary will run on.
fn compile(wasm: &[u8]) -> Vec<u8> {
    let mut config = config::config();
    config.target(&env::var("TARGET").expect("cargo sets TARGET")).expect("wasmtime knows the target");
    let engine = wasmtime::Engine::new(&config).expect("the configuration is valid");
    engine.precompile_component(wasm).expect("the component compiles")
}
