//! Makes sure that the compiler can build for WebAssembly. Build scripts
//! include this file: cargo may run any of them first.

use std::path::Path;
use std::process::Command;

/// What components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Installs [`TARGET`] if it is missing, and says so. Without rustup it ends
/// the build with the command to type.
#[allow(clippy::disallowed_methods, reason = "a build script asks cargo's compiler and starts rustup")]
pub(crate) fn require() {
    let rustc = std::env::var_os("RUSTC").expect("cargo sets RUSTC");
    let printed = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .unwrap_or_else(|error| panic!("cannot run `{}`: {error}", rustc.to_string_lossy()));
    let libraries = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    if printed.status.success() && Path::new(&libraries).is_dir() {
        return;
    }
    println!("cargo:warning=installing the Rust target {TARGET}, which components are built for");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if !added.is_ok_and(|status| status.success()) {
        panic!("the Rust target {TARGET} is missing\n\nhint: rustup target add {TARGET}");
    }
}
