//! `wharf tags`, `wharf catalog`, `wharf search` and `wharf referrers`: their arguments.

use super::{Access, Patience, TableFormat, TextFormat, filter, help};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use wharf_vocabulary::discovery::SearchOptions;
use wharf_vocabulary::vocabulary;

/// How many results a search gives without `--limit`, as docker's does.
pub const SEARCH_LIMIT: u32 = 25;
/// How many it may give.
pub const SEARCH_LIMIT_MAX: u32 = 100;

/// The arguments of `wharf tags`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf tags [OPTIONS] <REPOSITORY>", after_help = help::TAGS)]
pub struct Tags {
    /// The repository, as in `alpine` or `ghcr.io/org/app`
    pub repository: String,

    /// How the registry is asked.
    #[command(flatten)]
    pub asking: Asking,
}

/// The arguments of `wharf catalog`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf catalog [OPTIONS] <REGISTRY>", after_help = help::CATALOG)]
pub struct Catalog {
    /// The registry, as in `registry.lan:5000`
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub registry: String,

    /// How the registry is asked.
    #[command(flatten)]
    pub asking: Asking,
}

/// How a registry is asked for a list, and how that is printed.
#[derive(Args, Clone, Debug)]
pub struct Asking {
    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl Asking {
    /// Returns the options as the component takes them, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}

/// The arguments of `wharf search`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf search [OPTIONS] <TERM>", after_help = help::SEARCH, after_long_help = help::SEARCH_LONG)]
pub struct Search {
    /// What to search for: a word for Docker Hub, or `registry.lan:5000/word` for another registry
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub term: String,

    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = SEARCH_LIMIT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(SEARCH_LIMIT_MAX)))]
    pub limit: u32,

    /// Only what matches: `is-official=true`, `stars=N`; all of several have to match
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    pub filters: Vec<String>,

    /// Show whole descriptions
    #[arg(long)]
    pub no_trunc: bool,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

impl Search {
    /// Returns what the component has to know.
    pub fn options(&self) -> SearchOptions {
        SearchOptions { limit: self.limit, filters: self.filters.clone() }
    }

    /// Returns how the registry is asked, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}

/// The arguments of `wharf referrers`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf referrers [OPTIONS] <REF>", after_help = help::REFERRERS,
          after_long_help = help::REFERRERS_LONG)]
pub struct Referrers {
    /// The image, as in `ghcr.io/org/app:1` or `ghcr.io/org/app@sha256:4bcf…`
    #[arg(value_name = "REF")]
    pub reference: String,

    /// Only artifacts of this type, as in `application/spdx+json`
    #[arg(long = "type", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub artifact_type: Option<String>,

    /// Show whole annotations
    #[arg(long)]
    pub no_trunc: bool,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

impl Referrers {
    /// Returns how the registry is asked, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}
