//! The arguments of the verbs that change what is here: `tag`, `retain`, `rm`, `prune`, `gc`, and `apply` for a change that was
//! planned before, which may be a pull.

use super::{Access, Patience, Progress, Schedule, TextFormat, filter, help};
use bytesize::ByteSize;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf_vocabulary::changes::{Change, Collecting, Pruning, Removal, Retaining, Retention, Tagging};

/// For how long nothing has to have come to a download before `wharf gc` gives it up.
pub const INGEST_AGE: &str = "7d";

/// What stands above the options of `wharf apply` that are about the plan of a pull alone.
const OF_A_PULL: &str = "Options for the plan of a pull";

/// Whether to plan only, and how to tell what comes of it.
#[derive(Args, Clone, Debug)]
pub struct Planning {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Save the plan in this file, or print it for `-`, and change nothing; `wharf apply` carries it out
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,

    /// Print what has changed and nothing else, except what went wrong
    #[arg(short, long, conflicts_with_all = ["dry_run", "plan"])]
    pub quiet: bool,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf tag`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf tag [OPTIONS] <SRC> <DST>...", after_help = help::TAG, after_long_help = help::TAG_LONG)]
pub struct Tag {
    /// The image: a name, an id or a digest
    #[arg(value_name = "SRC")]
    pub source: String,

    /// Its new names; one that is there is moved
    #[arg(value_name = "DST", required = true)]
    pub names: Vec<String>,

    /// Whether to plan only.
    #[command(flatten)]
    pub plan: Planning,
}

/// What is kept of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kept {
    /// The blobs as they came, and the trees
    Both,
    /// The trees, and no blob that they can make good for
    Unpacked,
    /// The blobs, and no trees until they are wanted
    Compressed,
}

/// The arguments of `wharf retain`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf retain [OPTIONS] <WHAT> <REF>...\n       wharf retain --default <WHAT>\n       wharf retain", after_help = help::RETAIN, after_long_help = help::RETAIN_LONG)]
pub struct Retain {
    /// What to keep; without anything, tell what is kept of names that come
    #[arg(value_name = "WHAT", value_enum, requires = "references")]
    what: Option<Kept>,

    /// A name, or an id or a digest, which means the image with all its names
    #[arg(value_name = "REF")]
    references: Vec<String>,

    /// Keep this of names that come from now on, with `wharf pull` and `wharf load`
    #[arg(long = "default", value_name = "WHAT", value_enum, conflicts_with_all = ["what", "dry_run", "plan"])]
    usual: Option<Kept>,

    /// Whether to plan only.
    #[command(flatten)]
    pub plan: Planning,
}

/// The arguments of `wharf rm`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf rm [OPTIONS] <REF>...", after_help = help::RM, after_long_help = help::RM_LONG)]
pub struct Rm {
    /// A name, which goes alone, or an id or a digest, which means the image with all its names
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,

    /// Remove also what has names in several repositories, or is mounted
    #[arg(short, long)]
    pub force: bool,

    /// Leave the bytes here; `wharf gc` frees them
    #[arg(long)]
    pub no_prune: bool,

    /// Remove this platform alone, from all names of the image, as in `linux/arm64`; several by commas or repeating it
    #[arg(long = "platform", value_name = "P", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub platforms: Vec<String>,

    /// Whether to plan only.
    #[command(flatten)]
    pub plan: Planning,
}

/// The arguments of `wharf prune`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf prune [OPTIONS]", after_help = help::PRUNE, after_long_help = help::PRUNE_LONG)]
pub struct Prune {
    /// Remove also images that have a tag
    #[arg(short, long)]
    pub all: bool,

    /// Only images that match, as in `until=24h` or `unused-for=30d`; see --help
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    pub filters: Vec<String>,

    /// Stop as soon as everything here takes no more than this, as in `20GB`; the longest unused go first
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub keep_storage: Option<u64>,

    /// What docker's takes not to ask. Nothing is asked here.
    #[arg(short, long, hide = true)]
    force: bool,

    /// Whether to plan only.
    #[command(flatten)]
    pub plan: Planning,
}

/// The arguments of `wharf gc`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf gc [OPTIONS]", after_help = help::GC, after_long_help = help::GC_LONG)]
pub struct Gc {
    /// Give up downloads to which nothing came for so long
    #[arg(long, value_name = "DURATION", default_value = INGEST_AGE, value_parser = duration)]
    pub ingest_age: Duration,

    /// Whether to plan only.
    #[command(flatten)]
    pub plan: Planning,

    /// Whether to collect again and again.
    #[command(flatten)]
    pub schedule: Schedule,
}

/// The arguments of `wharf apply`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf apply [OPTIONS] <FILE>", after_help = help::APPLY, after_long_help = help::APPLY_LONG)]
pub struct Apply {
    /// The plan, as `--plan` has saved it; `-` reads it from standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// Print what has changed and nothing else, except what went wrong
    #[arg(short, long, conflicts_with = "progress")]
    pub quiet: bool,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = OF_A_PULL)]
    pub progress: Progress,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten, next_help_heading = OF_A_PULL)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten, next_help_heading = OF_A_PULL)]
    pub access: Access,
}

/// Where a plan or an archive is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanFile<'a> {
    /// Standard input or output.
    Standard,
    /// A file of the person.
    Named(&'a Path),
}

impl Planning {
    /// Returns where the plan is to go, if it is to be saved.
    pub fn file(&self) -> Option<PlanFile<'_>> {
        self.plan.as_deref().map(PlanFile::of)
    }
}

impl Apply {
    /// Returns where the plan is.
    pub fn file(&self) -> PlanFile<'_> {
        PlanFile::of(&self.file)
    }
}

impl<'a> PlanFile<'a> {
    pub(super) fn of(path: &'a Path) -> Self {
        if path.as_os_str() == "-" { Self::Standard } else { Self::Named(path) }
    }
}

impl Tag {
    /// Returns the change as the component takes it.
    pub fn change(&self) -> Change {
        Change::Tag(Tagging { source: self.source.clone(), names: self.names.clone() })
    }
}

impl From<Kept> for Retention {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Both => Self::Both,
            Kept::Unpacked => Self::Unpacked,
            Kept::Compressed => Self::Compressed,
        }
    }
}

impl Retain {
    /// Returns the change as the component takes it, if it is about names that are here.
    pub fn change(&self) -> Option<Change> {
        let retention = self.what?.into();
        Some(Change::Retain(Retaining { references: self.references.clone(), retention }))
    }

    /// Returns what is to be kept of names that come, if that is to be said.
    pub fn usual(&self) -> Option<Retention> {
        self.usual.map(Into::into)
    }
}

impl Rm {
    /// Returns the change as the component takes it.
    pub fn change(&self) -> Change {
        let Self { references, force, no_prune, platforms, .. } = self.clone();
        Change::Remove(Removal { references, force, no_prune, platforms })
    }
}

impl Prune {
    /// Returns the change as the component takes it. `who` asks, as in `process 4711`.
    pub fn change(&self, who: String) -> Change {
        let Self { all, filters, keep_storage, .. } = self.clone();
        Change::Prune(Pruning { all, filters, keep_bytes: keep_storage, who })
    }
}

impl Gc {
    /// Returns the change as the component takes it.
    pub fn change(&self) -> Change {
        Change::Collect(self.collecting())
    }

    /// Returns what there is to collect.
    pub fn collecting(&self) -> Collecting {
        Collecting { ingest_age_s: self.ingest_age.as_secs() }
    }
}

/// Reads a time with its unit. A day has 24 hours, a week seven days.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let time = span.ok().and_then(|time: SignedDuration| Duration::try_from(time).ok());
    time.ok_or_else(|| "expected a time with its unit, as in `90m`, `24h` or `7d`".to_owned())
}

/// Reads a number of bytes: `kB`, `MB` and `GB` are powers of 1000, `KiB` and its like of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>().map(|size| size.as_u64());
    size.map_err(|_| "expected a number of bytes, as in `500MB`, `20GB` or `1.5TiB`".to_owned())
}
