//! `wharf tags` and `wharf catalog`: their arguments.

use super::{Access, Patience, TextFormat, help};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use wharf_vocabulary::vocabulary;

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
