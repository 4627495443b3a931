//! The arguments of the verbs about what takes space and what holds it: `df`, `lease`, `ingest`, `label`.

use super::changes::duration;
use super::{TableFormat, TextFormat, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::time::Duration;

/// The arguments of `wharf df`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf df [OPTIONS]", after_help = help::DF, after_long_help = help::DF_LONG)]
pub struct Df {
    /// Show each image too
    #[arg(short, long)]
    pub verbose: bool,

    /// How to print the sizes
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf lease`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf lease <COMMAND>", after_help = help::LEASE, after_long_help = help::LEASE_LONG)]
pub struct Lease {
    /// What to do.
    #[command(subcommand)]
    pub command: LeaseCommand,
}

/// What can be done with leases.
#[derive(Clone, Debug, Subcommand)]
pub enum LeaseCommand {
    /// List the leases
    #[command(visible_alias = "list")]
    Ls(LeaseLs),
    /// Hold images until the lease is removed or expires, and print its id
    Create(LeaseCreate),
    /// Remove leases; what they held is there until it is collected
    Rm(LeaseRm),
}

/// The arguments of `wharf lease ls`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf lease ls [OPTIONS]")]
pub struct LeaseLs {
    /// Print ids and nothing else
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,

    /// How to print the leases
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf lease create`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf lease create [OPTIONS] <REF>...")]
pub struct LeaseCreate {
    /// What to hold: names, ids or digests
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,

    /// The id of the lease: letters, digits and `-_.` [default: a random one]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: Option<String>,

    /// Stop to hold after this time, as in `24h` or `7d` [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<Duration>,

    /// Something to remember with the lease, as in `for=ci`; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub labels: Vec<(String, String)>,

    /// How to print the lease
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf lease rm`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf lease rm <ID>...")]
pub struct LeaseRm {
    /// The leases; all of them are removed, or none
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// The arguments of `wharf ingest`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf ingest <COMMAND>", after_help = help::INGEST, after_long_help = help::INGEST_LONG)]
pub struct Ingest {
    /// What to do.
    #[command(subcommand)]
    pub command: IngestCommand,
}

/// What can be done with downloads that nobody has finished.
#[derive(Clone, Debug, Subcommand)]
pub enum IngestCommand {
    /// List the downloads that nobody has finished
    #[command(visible_alias = "list")]
    Ls(IngestLs),
    /// Remove what has arrived of downloads
    Rm(IngestRm),
}

/// The arguments of `wharf ingest ls`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf ingest ls [OPTIONS]")]
pub struct IngestLs {
    /// Print keys and nothing else
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,

    /// Show whole keys and names
    #[arg(long)]
    pub no_trunc: bool,

    /// How to print the downloads
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf ingest rm`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf ingest rm [OPTIONS] <KEY>...")]
pub struct IngestRm {
    /// The downloads: keys, beginnings of keys, or names as in `sha256:4bcf…`
    #[arg(value_name = "KEY", required = true)]
    pub which: Vec<String>,

    /// Print keys and nothing else
    #[arg(short, long)]
    pub quiet: bool,
}

/// The arguments of `wharf label`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf label [OPTIONS] <REF> [KEY=VALUE | KEY-]...",
          after_help = help::LABEL, after_long_help = help::LABEL_LONG)]
pub struct Label {
    /// The name
    #[arg(value_name = "REF")]
    pub reference: String,

    /// `KEY=VALUE` sets a label, `KEY-` takes it away; without one, the labels are shown
    #[arg(value_name = "KEY=VALUE | KEY-", value_parser = change)]
    pub labels: Vec<LabelChange>,

    /// How to print the labels
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// A label and what it becomes; none if it goes.
pub type LabelChange = (String, Option<String>);

/// Reads a key and a value.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a key and a value, as in `for=ci`".to_owned()),
    }
}

/// Reads what becomes of a label.
fn change(text: &str) -> Result<LabelChange, String> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err("expected `KEY=VALUE`, or `KEY-` to take a label away".to_owned()),
    }
}
