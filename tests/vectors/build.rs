//! Builds this crate as a component for `wasm32-wasip2`, compiles that to
//! machine code and leaves the result for `COMPONENT`.
//!
//! It does nothing where there is nothing to embed: in the build of the
//! component itself, and for other users of the crate without `embed`.

#[cfg(feature = "embed")]
#[path = "../../host/build/component.rs"]
mod component;
#[cfg(feature = "embed")]
#[path = "../../host/engine/config.rs"]
mod config;
#[cfg(feature = "embed")]
#[path = "../../host/build/target.rs"]
mod target;

fn main() {
    #[cfg(feature = "embed")]
    embed();
}

#[cfg(feature = "embed")]
#[allow(clippy::disallowed_methods, reason = "a build script asks what it is run for")]
fn embed() {
    for path in [".", "../../component", "../../host/engine/config.rs", "../../host/build", "../../Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    // The component does not carry itself.
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        return;
    }
    // Quick to build matters more here than quick to run.
    let options = ["--no-default-features", "--features", "guest"];
    component::embed("vectors", "wharf-vectors", &options, &[("OPT_LEVEL", "1")]);
}
