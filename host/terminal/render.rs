//! From records to text: what a person or a program reads.
//!
//! It does not print and does not look at the clock, the terminal or the
//! environment; it is told. It decides nothing about images.
//!
//! | module | what it makes |
//! | --- | --- |
//! | [`images`], [`history`], [`inspect`], [`explain`] | the answers of the verbs of the same name |
//! | [`lists`] | the tags of a repository, the repositories of a registry |
//! | [`findings`] | what is damaged or missing |
//! | [`plan`], [`pulled`] | what a pull would do, and what it did |
//! | [`pushed`] | the same of a push |
//! | [`changes`] | what another change would do, and what it did |
//! | [`retention`] | what is kept of names that come |
//! | [`usage`], [`leases`], [`ingests`], [`labels`] | what takes space, and what holds it |
//! | [`happenings`] | what has happened to images |
//! | [`progress`] | what is told while a pull runs |
//! | [`problem`] | a failure |
//! | [`palette`] | colours, or none |
//! | [`escape`], [`size`], [`age`], [`table`], [`json`], [`names`] | the pieces of the above |
//!
//! Every text that comes from outside, a registry's or an image's, goes through
//! [`escape`] before it is in a result.

pub mod age;
pub mod changes;
pub mod composed;
pub mod escape;
pub mod explain;
pub mod findings;
pub mod found;
pub mod happenings;
pub mod history;
pub mod images;
pub mod imported;
pub mod ingests;
pub mod inspect;
pub mod json;
pub mod labels;
pub mod leases;
pub mod lists;
pub mod loaded;
pub mod names;
pub mod palette;
pub mod plan;
pub mod problem;
pub mod progress;
pub mod pulled;
pub mod pushed;
pub mod referrers;
pub mod retention;
pub mod saved;
pub mod size;
pub mod table;
pub mod usage;
