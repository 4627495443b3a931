//! A machine in memory, and what has to hold on every machine. A map:
//!
//! - [`memory`]: the trait `Host` in memory, in virtual time.
//! - [`invariants`]: what a store promises after every run and after every
//!   crash, as one function over `Host`: machines in memory and real disks are
//!   judged by the same.
//!
//! Nothing here reads a file, a clock or the environment.

pub mod invariants;
pub mod memory;
