//! `wharf fsck`: its arguments.

use super::{Access, TextFormat, help};
use clap::Args;
use wharf_vocabulary::vocabulary;

/// The arguments of `wharf fsck`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf fsck [OPTIONS] [REF]...", after_help = help::FSCK)]
pub struct Fsck {
    /// The images; without one, everything that is here
    #[arg(value_name = "REF")]
    pub references: Vec<String>,

    /// Fetch and extract again what is damaged or missing
    #[arg(long)]
    pub repair: bool,

    /// Give every image that is here and has no name one, as after the records were lost
    #[arg(long, conflicts_with = "references")]
    pub rebuild: bool,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// Tell what is wrong and nothing else
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl Fsck {
    /// Returns how registries are spoken to, if something is to be repaired.
    pub fn repair(&self) -> Option<vocabulary::Access> {
        self.repair.then(|| self.access.access())
    }
}
