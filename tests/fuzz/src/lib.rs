//! What the fuzzers call: modules of the host, as links to its sources, and what the targets share. `parsers` is also
//! compiled into the tests of every run.

// The host's modules name this crate as they name the one that has the words of `wit/`.
extern crate self as wharf_vocabulary;

pub mod cage;
pub mod configuration;
pub mod content;
pub mod hash;
pub mod images;
pub mod layers;
pub mod named;
pub mod network;
pub mod parsers;
pub mod planted;
pub mod types;
pub mod vocabulary;

/// Corrects the checksum of every block that looks like a header, which no fuzzer would guess.
pub fn sum(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
