//! The integration tests, as one binary. A map:
//!
//! - `boundary`: what the component can reach, and what it cannot.
//! - `tables`: the tables of other projects, natively and inside the sandbox.
//! - `contracts`: what each host service promises, on real files.
//! - `layers`: archives, trees and stacks of them, compared with what containerd makes.
//! - `configuration`: the files that other tools have, in memory.
//! - `network`, `credentials`: sockets and secrets, on loopback.
//! - `verbs`: the logic natively, on a machine of `wharf-sim` in memory.
//! - `canaries`: where logins go when a registry tries to get them, and where they never are.
//! - `faults`: registries that misbehave, and what becomes of a pull; `native` is the host on which defences are taken
//!   away.
//! - `commands_text`: arguments and what is printed.
//! - `stories`: the program against real registries, as a person uses it.
//! - `portable`: the same verbs in stock wasmtime, and what other tools say about what they write.
//! - `hosts`: which test runs which verb on which host.
//! - `races`: what judges the races, which are a program of their own.
//! - `tidy`: the rules that the sources keep.
//! - `support`: registries, proxies and the program itself, for the others.
//!
//! Programs of their own are `attacks/` (a component that attacks the host), `parsers.rs` (what the fuzzers check),
//! `races/` (sixteen processes on one store), `crash/` (kills, errors and power cuts at every call that changes the
//! store) and the crate `simulator/` (the logic under failures that a seed chooses).

#![allow(clippy::disallowed_methods, reason = "tests take the authority that they hand to the code under test")]
#![allow(missing_docs, reason = "a test's name says what it is about")]

mod boundary;
mod canaries;
mod commands_text;
mod configuration;
mod containerd;
mod contracts;
mod credentials;
mod faults;
mod hosts;
mod layers;
mod native;
mod network;
mod portable;
mod races;
mod stories;
mod support;
mod tables;
mod tidy;
mod verbs;
