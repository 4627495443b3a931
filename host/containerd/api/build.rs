//! Generates the messages and servers of `proto/`. The compiler of the language is a library, so that a machine needs
//! no program for it.

#![allow(clippy::disallowed_methods, reason = "a build script runs with the rights of whoever builds")]

use prost::Message;
use std::path::PathBuf;
use std::{env, error, fs};

/// What is compiled. The others are imported by these.
const FILES: [&str; 15] = [
    "containers.proto",
    "content.proto",
    "diff.proto",
    "events.proto",
    "happenings.proto",
    "happenings_of_images.proto",
    "images.proto",
    "introspection.proto",
    "leases.proto",
    "namespaces.proto",
    "snapshots.proto",
    "streaming.proto",
    "transfer.proto",
    "transfer_types.proto",
    "version.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What the service of reflection tells.
    fs::write(out.join("contract.bin"), files.encode_to_vec())?;
    // What is told of is told under the name of its message.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".containerd.services.content.v1")
        .bytes(".containerd.types.transfer.Data")
        .btree_map(".")
        .include_file("contract.rs")
        .compile_fds_with_config(files, config)?;
    Ok(())
}
