//! The arguments of the verbs that read the tree of an image: `mount` and its like, `ls`, `cat`, `diff`.

use super::{TableFormat, TextFormat, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// Which image, and which of its platforms.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// The image, as in `alpine`, `alpine:3.20` or an id
    #[arg(value_name = "REF")]
    pub reference: String,

    /// Which platform of it, as in `linux/arm64`
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,
}

/// The arguments of `wharf unpack`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf unpack [OPTIONS] <REF>", after_help = help::UNPACK)]
pub struct Unpack {
    /// The image.
    #[command(flatten)]
    pub which: Which,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf mount`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf mount [OPTIONS] <REF> <DIR>\n       wharf mount [OPTIONS] <REF> -- <COMMAND>...",
          after_help = help::MOUNT, after_long_help = help::MOUNT_LONG)]
pub struct Mount {
    /// The image.
    #[command(flatten)]
    pub which: Which,

    /// Where: a directory that is there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "command")]
    pub directory: Option<PathBuf>,

    /// Run this instead, in a mount namespace of its own: it begins in the tree, whose path is in WHARF_TREE
    #[arg(last = true, value_name = "COMMAND", num_args = 1.., conflicts_with = "directory")]
    pub command: Vec<OsString>,
}

/// The arguments of `wharf umount`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf umount <DIR>...")]
pub struct Umount {
    /// Where the images are mounted
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub directories: Vec<PathBuf>,
}

/// The arguments of `wharf mounts`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf mounts [OPTIONS]")]
pub struct Mounts {
    /// How to print the mounts
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf ls`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf ls [OPTIONS] <REF> [PATH]", after_help = help::LS)]
pub struct Ls {
    /// The image.
    #[command(flatten)]
    pub which: Which,

    /// A directory or file in the image; links are followed inside the image
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: OsString,

    /// List everything below it too
    #[arg(short = 'R', long)]
    pub recursive: bool,

    /// How to print the entries
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf cat`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf cat [OPTIONS] <REF> <PATH>", after_help = help::CAT)]
pub struct Cat {
    /// The image.
    #[command(flatten)]
    pub which: Which,

    /// A file in the image; links are followed inside the image
    #[arg(value_name = "PATH")]
    pub path: OsString,
}

/// The arguments of `wharf diff`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf diff [OPTIONS] <REF> <REF>", after_help = help::DIFF)]
pub struct Diff {
    /// The image to compare with
    #[arg(value_name = "FROM")]
    pub from: String,

    /// The image
    #[arg(value_name = "TO")]
    pub to: String,

    /// Which platform of both, as in `linux/arm64`
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,

    /// How to print the differences
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}
