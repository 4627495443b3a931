//! `wharf explain`: its arguments.

use super::{Access, TextFormat, help};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use wharf_vocabulary::vocabulary::Wanted;

/// The arguments of `wharf explain`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf explain [OPTIONS] <REFERENCE>", after_help = help::EXPLAIN, after_long_help = help::EXPLAIN_LONG)]
pub struct Explain {
    /// The image, as in `alpine`, `alpine:3.20` or `ghcr.io/org/app@sha256:4bcf…`
    pub reference: String,

    /// For this platform, as in `linux/arm64`; several by commas or by repeating it
    #[arg(long = "platform", value_name = "P", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub platforms: Vec<String>,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// How to print the explanation
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl Explain {
    /// Returns the platforms that are wanted.
    pub fn wanted(&self) -> Wanted {
        if self.platforms.is_empty() { Wanted::Machine } else { Wanted::These(self.platforms.clone()) }
    }
}
