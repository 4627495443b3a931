//! The command line: what can be typed, and what it asks for.
//!
//! It does not act and does not print. Of the environment it knows only the
//! variables that stand for an option; `main` looks at the rest and hands it in
//! ([`Surroundings`]). Whether a reference, a platform or a filter makes sense
//! is decided by the component.
//!
//! The verbs' usage lines are written out: clap would put every option into
//! them that a variable of the environment has set.

mod access;
mod archives;
mod changes;
mod events;
mod explain;
mod fsck;
mod help;
mod holding;
mod images;
mod lists;
mod login;
mod manifests;
mod pages;
pub mod portable;
mod schedule;
mod serve;
mod snapshots;
mod surroundings;
mod trees;
mod uploads;

pub use access::{Access, Patience, RETRIES, RETRIES_MAX, TIMEOUT, TIMEOUTS};
pub use archives::{ArchiveFormat, ArchivePlace, Export, Import, Load, Save};
pub use changes::{Apply, Gc, INGEST_AGE, Kept, PlanFile, Planning, Prune, Retain, Rm, Tag};
pub use events::Events;
pub use explain::Explain;
pub use fsck::Fsck;
pub use holding::{Df, Ingest, IngestCommand, IngestLs, IngestRm, Label, LabelChange};
pub use holding::{Lease, LeaseCommand, LeaseCreate, LeaseLs, LeaseRm};
pub use images::{History, Images, Inspect};
pub use lists::{Asking, Catalog, Referrers, SEARCH_LIMIT, SEARCH_LIMIT_MAX, Search, Tags};
pub use login::{AuthFile, Login, Logout, Whoami};
pub use manifests::{
    Manifest, ManifestAdd, ManifestAnnotate, ManifestCommand, ManifestCreate, ManifestInspect, ManifestRemove, Said,
};
pub use pages::{Page, completion, manual};
pub use schedule::Schedule;
pub use serve::{Papers, Serve, Setting, Sharing, added, config_file};
pub use snapshots::{
    Snapshot, SnapshotCommand, SnapshotCommit, SnapshotDiff, SnapshotLs, SnapshotMount, SnapshotPrepare, SnapshotRm,
};
pub use surroundings::Surroundings;
pub use trees::{Cat, Diff, Ls, Mount, Mounts, Umount, Unpack, Which};
pub use uploads::{CONCURRENT_UPLOADS, CONCURRENT_UPLOADS_MAX, Copy, Push};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use wharf_vocabulary::vocabulary::{Caller, Machine, PullOptions, Wanted};

/// What a process leaves behind.
pub mod exit {
    /// Everything was done.
    pub const DONE: u8 = 0;
    /// Something failed; standard error says what.
    pub const FAILED: u8 = 1;
    /// The arguments are wrong.
    pub const USAGE: u8 = 2;
    /// The user stopped it.
    pub const INTERRUPTED: u8 = 130;
}

/// How many blobs are on their way at once, if nobody says otherwise.
pub const CONCURRENT_DOWNLOADS: u32 = 6;
/// The most blobs on their way at once that can be asked for. Registries answer
/// more with status 429.
pub const CONCURRENT_DOWNLOADS_MAX: u32 = 64;
/// The widest line of a help text, in columns.
const HELP_COLUMNS_MAX: usize = 100;

/// One call of the program.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "wharf",
    bin_name = "wharf",
    version,
    about = "Pull, look at and remove container images, without a daemon",
    after_long_help = help::WHARF,
    max_term_width = HELP_COLUMNS_MAX,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The options of every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where images are kept [default: $XDG_DATA_HOME/wharf or ~/.local/share/wharf; for root /var/lib/wharf]
    #[arg(long, global = true, env = "WHARF_ROOT", hide_env_values = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// Whose images: names in one namespace are not seen in another, their bytes are stored once
    #[arg(long, global = true, env = "WHARF_NAMESPACE", hide_env_values = true, value_name = "NS",
          default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    pub namespace: String,

    /// What to log: error, warn, info, debug, trace, or a filter as in `warn,wharf=debug`
    #[arg(
        long,
        global = true,
        env = "WHARF_LOG",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "warn"
    )]
    pub log: String,

    /// When to colour what goes to standard error; `auto` respects NO_COLOR
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
}

/// The things that can be asked for.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Download an image, verify it and give it its name
    Pull(Pull),
    /// Bring an image that is here to a registry
    Push(Push),
    /// Bring an image from one registry to another, without keeping it here
    Copy(Copy),
    /// List the images that are here, newest first
    #[command(visible_alias = "list")]
    Images(Images),
    /// Show everything that is known about images, as JSON
    Inspect(Inspect),
    /// Show the steps that made an image, newest first
    History(History),
    /// Extract the layers of an image that was pulled without
    Unpack(Unpack),
    /// List the files of an image, without mounting it
    Ls(Ls),
    /// Print a file of an image, without mounting it
    Cat(Cat),
    /// Show which files differ between two images
    Diff(Diff),
    /// Mount an image read-only, or run a command that sees its files
    Mount(Mount),
    /// Unmount what `wharf mount` has mounted
    #[command(visible_alias = "unmount")]
    Umount(Umount),
    /// List the images that are mounted
    Mounts(Mounts),
    /// Write to the files of an image without changing it, and make images of that
    Snapshot(Snapshot),
    /// Give names to an image that is here
    Tag(Tag),
    /// Keep images unpacked, compressed, or both, and free the rest
    Retain(Retain),
    /// Write images into one file, for `docker load` and others
    Save(Save),
    /// Bring the images of such a file here, of docker's and others' too
    Load(Load),
    /// Make an image of an archive of files: a root file system in a tar
    Import(Import),
    /// Write the files of an image into one tar, as they are seen in a container
    Export(Export),
    /// Make indexes of images for several platforms, and look at manifests
    Manifest(Manifest),
    /// Remove names, and images with their last name
    #[command(visible_alias = "rmi")]
    Rm(Rm),
    /// Remove the images that nobody needs
    Prune(Prune),
    /// Remove what no image needs: blobs, layers, downloads that were given up
    Gc(Gc),
    /// Carry out a plan that `--plan` has saved
    Apply(Apply),
    /// Show how much space images take, and what could be freed
    Df(Df),
    /// Hold images, whether or not they have a name
    Lease(Lease),
    /// Look at downloads that nobody has finished, and remove them
    Ingest(Ingest),
    /// Change the labels of a name
    Label(Label),
    /// Show what has happened to images, and what happens from now on
    Events(Events),
    /// Answer docker's clients, by the Docker Engine API
    Serve(Serve),
    /// Look at everything that is here again, and repair what is damaged
    Fsck(Fsck),
    /// Show where a pull would ask, in which order, and why; sends nothing
    Explain(Explain),
    /// List the tags of a repository
    Tags(Tags),
    /// List the repositories of a registry, where it tells them
    Catalog(Catalog),
    /// Search Docker Hub, or another registry, for repositories
    Search(Search),
    /// List what refers to an image: signatures and other artifacts
    Referrers(Referrers),
    /// Log in to a registry, and have the login kept
    Login(Login),
    /// Forget the login for a registry
    Logout(Logout),
    /// Show as whom wharf is logged in, and where the logins are kept
    Whoami(Whoami),
    /// Try wharf out: pulls from a small registry inside this process
    Demo,
    /// Print the completion script of a shell
    #[command(after_help = help::COMPLETION)]
    Completion {
        /// The shell to complete in
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into a directory
    #[command(hide = true)]
    Man {
        /// Where to write `wharf.1`, `wharf-pull.1`, …
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
}

/// The arguments of `wharf pull`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf pull [OPTIONS] <REFERENCE>", after_help = help::PULL, after_long_help = help::PULL_LONG)]
pub struct Pull {
    /// The image, as in `alpine`, `alpine:3.20` or `ghcr.io/org/app@sha256:4bcf…`
    pub reference: String,

    /// Pull for this platform, as in `linux/arm64`; several by commas or by repeating it
    #[arg(long = "platform", value_name = "P", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub platforms: Vec<String>,

    /// Pull for every platform that the image offers
    #[arg(long, conflicts_with = "platforms")]
    pub all_platforms: bool,

    /// Pull every tag of the repository; REFERENCE has no tag then
    #[arg(short, long)]
    pub all_tags: bool,

    /// Show what would be downloaded, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Save the plan in this file, or print it for `-`, and change nothing; `wharf apply` carries it out
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,

    /// Do not extract the layers; `wharf unpack` does it later
    #[arg(long)]
    pub no_unpack: bool,

    /// What to keep of the image from now on [default: what the name says, or else `wharf retain --default`]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub retain: Option<Kept>,

    /// How many blobs are on their way at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENT_DOWNLOADS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_DOWNLOADS_MAX)))]
    pub max_concurrent_downloads: u32,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// Print the image's full name and nothing else, except warnings
    #[arg(short, long, conflicts_with_all = ["progress", "dry_run", "plan"])]
    pub quiet: bool,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub progress: Progress,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Whatever it is written to.
    Always,
    /// Not at all.
    Never,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, `plain` elsewhere
    #[default]
    Auto,
    /// Lines that move
    Tty,
    /// One line when a blob starts and one when it ends, and one every 10 seconds
    Plain,
    /// One JSON object a line
    Json,
    /// Nothing but warnings
    None,
}

/// Text or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// A table or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Reads the arguments, the program's own name first.
///
/// The error is to be printed as it is: it also stands for `--help` and
/// `--version`. Its `exit_code` is [`exit::USAGE`] or [`exit::DONE`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = Cli::command().color(help_color(&arguments)).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Finds `--color` before the arguments have been understood: their errors are
/// coloured too.
fn help_color(arguments: &[OsString]) -> ColorChoice {
    let mut words = arguments.iter().map(|word| word.to_str().unwrap_or_default()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let value = if word == "--color" { words.next() } else { word.strip_prefix("--color=") };
        match value.and_then(|value| Color::from_str(value, false).ok()) {
            Some(Color::Auto) => return ColorChoice::Auto,
            Some(Color::Always) => return ColorChoice::Always,
            Some(Color::Never) => return ColorChoice::Never,
            None => {}
        }
    }
    ColorChoice::Auto
}

impl Cli {
    /// Returns whether a problem is told as JSON: programs that read the result
    /// or the progress read the problem too.
    pub fn problem_is_json(&self) -> bool {
        match &self.verb {
            Verb::Pull(pull) => pull.format == TextFormat::Json || pull.progress == Progress::Json,
            Verb::Copy(copy) => copy.format == TextFormat::Json || copy.progress == Progress::Json,
            Verb::Push(push) => push.format == TextFormat::Json || push.progress == Progress::Json,
            Verb::Import(import) => import.format == TextFormat::Json || import.progress == Progress::Json,
            Verb::Load(load) => load.format == TextFormat::Json || load.progress == Progress::Json,
            Verb::Fsck(fsck) => fsck.format == TextFormat::Json,
            Verb::Tag(Tag { plan, .. })
            | Verb::Retain(Retain { plan, .. })
            | Verb::Rm(Rm { plan, .. })
            | Verb::Prune(Prune { plan, .. })
            | Verb::Gc(Gc { plan, .. }) => plan.format == TextFormat::Json,
            Verb::Apply(apply) => apply.format == TextFormat::Json || apply.progress == Progress::Json,
            Verb::Events(events) => events.format == TextFormat::Json,
            _ => false,
        }
    }
}

impl Global {
    /// Returns the namespace, unless it is the one that nobody has to name.
    pub fn named_namespace(&self) -> Option<&str> {
        (self.namespace != "default").then_some(self.namespace.as_str())
    }

    /// Returns who asks, and on what machine.
    pub fn caller(&self, machine: Machine) -> Caller {
        Caller { namespace: self.namespace.clone(), machine }
    }
}

impl Pull {
    /// Returns where the plan is to go, if it is to be saved.
    pub fn plan_file(&self) -> Option<PlanFile<'_>> {
        self.plan.as_deref().map(PlanFile::of)
    }

    /// Returns the options as the component takes them.
    pub fn options(&self) -> PullOptions {
        let wanted = match (self.all_platforms, self.platforms.is_empty()) {
            (true, _) => Wanted::All,
            (false, true) => Wanted::Machine,
            (false, false) => Wanted::These(self.platforms.clone()),
        };
        PullOptions {
            wanted,
            all_tags: self.all_tags,
            concurrent_downloads: self.max_concurrent_downloads,
            unpack: !self.no_unpack,
            retention: self.retain.map(Into::into),
            access: self.patience.apply(self.access.access()),
        }
    }
}

impl Color {
    /// Decides whether to colour. `no_color` is the value of `NO_COLOR`, which
    /// counts if it is not empty (no-color.org); `term` is that of `TERM`.
    pub fn applies(self, is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb"),
        }
    }
}

impl Progress {
    /// Decides what `auto` stands for. `term` is the value of `TERM`.
    pub fn resolve(self, is_terminal: bool, term: Option<&OsStr>) -> Self {
        match self {
            Self::Auto if is_terminal && term.is_some_and(|term| term != "dumb") => Self::Tty,
            Self::Auto => Self::Plain,
            chosen => chosen,
        }
    }
}

/// Reads a host with or without a port. An empty one is what an empty variable
/// leaves behind, and stands for none.
fn authority(text: &str) -> Result<String, String> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if text.chars().all(belongs) {
        return Ok(text.to_owned());
    }
    Err("expected a host and a port and nothing else, as in `registry.lan:5000`".to_owned())
}

/// Reads a filter as far as its form goes; the component knows the keys.
fn filter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("expected a key and a value, as in `reference=alpine:*`".to_owned()),
    }
}
