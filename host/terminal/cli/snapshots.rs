//! The arguments of `wharf snapshot`: trees that can be written to, on an image or on nothing.

use super::holding::pair;
use super::{PlanFile, Progress, TableFormat, TextFormat, Umount, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;
use wharf_vocabulary::archives::CommitOptions;

/// The arguments of `wharf snapshot`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot <COMMAND>", after_help = help::SNAPSHOT, after_long_help = help::SNAPSHOT_LONG)]
pub struct Snapshot {
    /// What to do.
    #[command(subcommand)]
    pub command: SnapshotCommand,
}

/// What can be done with snapshots.
#[derive(Clone, Debug, Subcommand)]
pub enum SnapshotCommand {
    /// List the snapshots, those of the images that are here too
    #[command(visible_alias = "list")]
    Ls(SnapshotLs),
    /// Make a snapshot that can be written to, on an image or on nothing
    Prepare(SnapshotPrepare),
    /// Mount a snapshot, or run a command that sees its files
    Mount(SnapshotMount),
    /// Unmount what is mounted
    #[command(visible_alias = "unmount")]
    Umount(Umount),
    /// Show what was written, or write it into a file as the layer of an image
    Diff(SnapshotDiff),
    /// Make an image of what was written and of what that stands on
    Commit(SnapshotCommit),
    /// Remove snapshots with what was written to them
    Rm(SnapshotRm),
}

/// The arguments of `wharf snapshot ls`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot ls [OPTIONS]")]
pub struct SnapshotLs {
    /// Only those that pass, as in `kind==active` or `labels.team==web`; of several one has to
    #[arg(short, long = "filter", value_name = "FILTER")]
    pub filters: Vec<String>,

    /// Print names and nothing else
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,

    /// Show whole names
    #[arg(long)]
    pub no_trunc: bool,

    /// How to print the snapshots
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// The arguments of `wharf snapshot prepare`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot prepare [OPTIONS] <NAME> [REF]")]
pub struct SnapshotPrepare {
    /// What to call it
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,

    /// The image that it stands on; without one it is empty
    #[arg(value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub reference: Option<String>,

    /// Which platform of the image, as in `linux/arm64`
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new(), requires = "reference")]
    pub platform: Option<String>,

    /// Only to be looked at
    #[arg(long)]
    pub view: bool,

    /// Something to remember with it, as in `for=ci`; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub labels: Vec<(String, String)>,
}

/// The arguments of `wharf snapshot mount`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot mount <NAME> <DIR>\n       wharf snapshot mount <NAME> -- <COMMAND>...")]
pub struct SnapshotMount {
    /// The snapshot
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Where: a directory that is there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "command")]
    pub directory: Option<PathBuf>,

    /// Run this instead, in a mount namespace of its own: it begins in the tree, whose path is in WHARF_TREE
    #[arg(last = true, value_name = "COMMAND", num_args = 1.., conflicts_with = "directory")]
    pub command: Vec<OsString>,
}

/// The arguments of `wharf snapshot diff`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot diff [OPTIONS] <NAME>")]
pub struct SnapshotDiff {
    /// The snapshot
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Write an uncompressed layer there instead of a list here; `-` is standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath, conflicts_with = "format")]
    output: Option<PathBuf>,

    /// How to print the changes
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl SnapshotDiff {
    /// Returns where the layer is to go.
    pub fn output(&self) -> Option<PlanFile<'_>> {
        self.output.as_deref().map(PlanFile::of)
    }
}

/// The arguments of `wharf snapshot commit`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot commit [OPTIONS] <NAME> [REF]")]
pub struct SnapshotCommit {
    /// The snapshot; it stays, and can be written to as before
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What to call the image; one that is not named is called after what it hashes to
    #[arg(value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub reference: Option<String>,

    /// Change the config by an instruction of a Dockerfile, as in `CMD ["/bin/sh"]`; may be repeated
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    pub changes: Vec<String>,

    /// What the history says
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,

    /// Who made it, as in `Ada <ada@example.com>`
    #[arg(short, long, value_name = "WHO", value_parser = NonEmptyStringValueParser::new())]
    pub author: Option<String>,

    /// When it was made, as in `2024-05-01` or `1714521600` [default: now]
    #[arg(long, value_name = "WHEN", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub created: Option<String>,

    /// Print the id of the image and nothing else, except warnings
    #[arg(short, long, conflicts_with = "progress")]
    pub quiet: bool,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub progress: Progress,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl SnapshotCommit {
    /// Returns what the component has to know.
    pub fn options(&self) -> CommitOptions {
        let Self { reference, changes, message, author, created, .. } = self.clone();
        CommitOptions { name: reference, changes, message, author, created }
    }
}

/// The arguments of `wharf snapshot rm`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf snapshot rm <NAME>...")]
pub struct SnapshotRm {
    /// The snapshots
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}
