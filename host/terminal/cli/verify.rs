//! `wharf verify`: its arguments.

use super::{TextFormat, help};
use clap::Args;

/// The arguments of `wharf verify`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf verify [OPTIONS] [REF]...", after_help = help::VERIFY)]
pub struct Verify {
    /// The images; without one, everything that is here
    #[arg(value_name = "REF")]
    pub references: Vec<String>,

    /// Remove blobs that are damaged, so that the next pull brings them again
    #[arg(long)]
    pub remove: bool,

    /// Tell what is wrong and nothing else
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}
