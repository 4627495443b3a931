//! A machine in memory that fails by a seed, and what has to hold on every
//! machine. A map:
//!
//! - [`memory`]: the trait `Host` in memory, in virtual time: processes that
//!   share a machine, and what a power cut leaves of it.
//! - [`invariants`]: what a store promises after every run and after every
//!   crash, as one function over `Host`: machines in memory and real disks are
//!   judged by the same.
//! - [`run`](mod@run): the run of a seed. [`scenario`]: what happens in it, drawn
//!   from the seed. [`fate`]: what becomes of each call. [`schedule`]: who runs next.
//! - [`hub`]: the registry of a run. [`collector`]: what another program takes.
//! - [`chronicle`]: what was acknowledged, and what may be there because of that.
//! - [`planted`]: the bugs that runs are known to find.
//!
//! Nothing here reads a file, a clock or the environment.

pub mod chronicle;
pub mod collector;
pub mod dice;
pub mod fate;
pub mod hub;
pub mod invariants;
pub mod memory;
pub mod planted;
pub mod run;
pub mod scenario;
pub mod schedule;

mod steps;

#[cfg(test)]
mod tests;

pub use run::{Report, run};
