//! What people type at wharf, and what they read: [`cli`] makes requests of
//! arguments, [`render`] makes text of what is found, [`answer`] chooses the text
//! that was asked for, [`named`] tells which registry is meant, [`filed`] which
//! one by a plan that was saved, and [`requested`] which one by a request over HTTP.
//!
//! It is compiled twice, for the native program and into the component for
//! stock wasmtime, so that both have the same verbs, the same help and the same
//! tables. It does not act, print, or look at the clock, the terminal or the
//! environment: it is told. Only clap reads the variables that stand for an
//! option.

pub mod answer;
pub mod cli;
pub mod filed;
pub mod named;
pub mod render;
pub mod requested;
