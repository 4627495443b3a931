//! Builds this crate as a component for `wasm32-wasip2`, compiles that to
//! machine code and leaves the result for `COMPONENT`.
//!
//! It does nothing where there is nothing to embed: in the build of the
//! component itself, and for other users of the crate without `embed`.

#[cfg(feature = "embed")]
#[path = "../../host/engine/config.rs"]
mod config;
#[cfg(feature = "embed")]
#[path = "../../host/build/target.rs"]
mod target;

fn main() {
    #[cfg(feature = "embed")]
    embed::embed();
}

#[cfg(feature = "embed")]
#[allow(clippy::disallowed_methods, reason = "a build script starts cargo and reads what it made")]
mod embed {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs};

    use super::target::{self, TARGET};

    pub(super) fn embed() {
        for path in [".", "../../wit", "../../host/engine/config.rs", "../../host/build", "../../Cargo.lock"] {
            println!("cargo:rerun-if-changed={path}");
        }
        // The component does not carry itself.
        if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
            return;
        }
        target::require();
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let wasm = build(&out);
        let native = compile(&fs::read(&wasm).expect("cargo wrote the component"));
        fs::write(out.join("hostile.cwasm"), native).expect("OUT_DIR is writable");
    }

    /// Builds the component in a target directory of its own: cargo holds the
    /// lock of the outer one.
    fn build(out: &Path) -> PathBuf {
        let target_directory = out.join("component");
        let status = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
            .args(["build", "--release", "--target", TARGET, "--package", "wharf-hostile"])
            .args(["--no-default-features", "--features", "guest"])
            .env("CARGO_TARGET_DIR", &target_directory)
            // Quick to build matters more here than quick to run.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
            // Flags and wrappers of the outer build are for another machine. An empty value outranks `RUSTFLAGS` and
            // every configuration file.
            .env("CARGO_ENCODED_RUSTFLAGS", "")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("RUSTC_WRAPPER")
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the component does not build");
        target_directory.join(TARGET).join("release/wharf_hostile.wasm")
    }

    /// Compiles the component for the machine that the tests will run on.
    fn compile(wasm: &[u8]) -> Vec<u8> {
        let mut config = super::config::config();
        config.target(&env::var("TARGET").expect("cargo sets TARGET")).expect("wasmtime knows the target");
        let engine = wasmtime::Engine::new(&config).expect("the configuration is valid");
        engine.precompile_component(wasm).expect("the component compiles")
    }
}
