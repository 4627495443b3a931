//! Generates the messages and servers of `proto/`. The compiler of the language is a library, so that a machine needs
//! no program for it.

#![allow(clippy::disallowed_methods, reason = "a build script runs with the rights of whoever builds")]

use prost::Message;
use std::path::PathBuf;
use std::{env, error, fs};

/// What is compiled. The others are imported by these.
const FILES: [&str; 6] =
    ["content.proto", "images.proto", "introspection.proto", "leases.proto", "namespaces.proto", "version.proto"];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What the service of reflection tells.
    fs::write(out.join("contract.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".containerd.services.content.v1")
        .btree_map(".")
        .include_file("contract.rs")
        .compile_fds(files)?;
    Ok(())
}
