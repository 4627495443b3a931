//! The nouns: what wharf's documents and records mean. Synchronous, without
//! I/O, clock or randomness. Each file states the grammar that it reads.

pub mod access;
pub mod chain;
pub mod compressor;
pub mod config;
pub mod descriptor;
pub mod digest;
pub mod expression;
pub mod filter;
pub mod instruction;
pub mod json;
pub mod label;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod problem;
pub mod record;
pub mod reference;
pub mod retention;
pub mod tar;
pub mod time;
