//! The arguments of the verbs that show what is here: `images`, `inspect`, `history`.

use super::{TableFormat, filter, help};
use clap::Args;

/// The arguments of `wharf images`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf images [OPTIONS] [NAME]", after_help = help::IMAGES, after_long_help = help::IMAGES_LONG)]
pub struct Images {
    /// Only names that match this glob, as in `alpine`, `alpine:3.*` or `ghcr.io/org/*`
    pub name: Option<String>,

    /// Show what the names point to
    #[arg(long)]
    pub digests: bool,

    /// Only images that match, as in `label=maintainer=me`; see --help
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    pub filters: Vec<String>,

    /// How to print the images
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,

    /// Print image ids and nothing else
    #[arg(short, long, conflicts_with_all = ["format", "digests"])]
    pub quiet: bool,

    /// Show whole ids and all platforms
    #[arg(long)]
    pub no_trunc: bool,
}

/// The arguments of `wharf inspect`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf inspect [OPTIONS] <REF>...", after_help = help::INSPECT)]
pub struct Inspect {
    /// The images
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,

    /// Which platform to show, as in `linux/arm64`
    #[arg(long, value_name = "P")]
    pub platform: Option<String>,

    /// Add the list of the platforms that the image offers, and which ones are here
    #[arg(long)]
    pub manifests: bool,

    /// Add how each blob came here: who sent it, when, in how many requests
    #[arg(long)]
    pub provenance: bool,
}

/// The arguments of `wharf history`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf history [OPTIONS] <REF>", after_help = help::HISTORY, after_long_help = help::HISTORY_LONG)]
pub struct History {
    /// The image
    #[arg(value_name = "REF")]
    pub reference: String,

    /// Which platform to show, as in `linux/arm64`
    #[arg(long, value_name = "P")]
    pub platform: Option<String>,

    /// Show whole digests and commands
    #[arg(long)]
    pub no_trunc: bool,

    /// How to print the steps
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,

    /// Print the digests of the layers and nothing else
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
}

impl Images {
    /// Returns the filters, that of the name included.
    pub fn filters(&self) -> Vec<String> {
        self.name.iter().map(|name| format!("reference={name}")).chain(self.filters.iter().cloned()).collect()
    }
}
