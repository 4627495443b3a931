//! Builds the component for `wasm32-wasip2`, compiles it to machine code and
//! leaves the result for `engine` to embed, so that the binary carries no
//! compiler.

#[path = "build/component.rs"]
mod component;
#[path = "engine/config.rs"]
mod config;
#[path = "build/target.rs"]
mod target;

fn main() {
    for path in ["component", "wit", "host/build.rs", "host/build", "host/engine/config.rs", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    // Small, and one unit.
    let profile = [("OPT_LEVEL", "2"), ("LTO", "true"), ("CODEGEN_UNITS", "1"), ("STRIP", "symbols")];
    component::embed("component", "wharf-component", &["--features", "guest"], &profile);
}
