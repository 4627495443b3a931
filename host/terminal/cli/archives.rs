//! The arguments of the verbs that put images, or the files of one, in one file, or take them out: `save`, `load` and
//! `export`.

use super::{Kept, PlanFile, Progress, TextFormat, Which, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;
use wharf_vocabulary::archives::{Form, LoadOptions, SaveOptions};

/// The arguments of `wharf save`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf save [OPTIONS] <REF>...", after_help = help::SAVE, after_long_help = help::SAVE_LONG)]
pub struct Save {
    /// The images: names, ids or digests
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,

    /// Where to write the archive; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::AnyPath)]
    output: PathBuf,

    /// What to write
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: ArchiveFormat,

    /// Only this platform, as in `linux/arm64`; several by commas or by repeating it
    #[arg(long = "platform", value_name = "P", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub platforms: Vec<String>,

    /// Say nothing, except what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// The arguments of `wharf export`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf export [OPTIONS] <REF>", after_help = help::EXPORT, after_long_help = help::EXPORT_LONG)]
pub struct Export {
    /// The image.
    #[command(flatten)]
    pub which: Which,

    /// Where to write the archive; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::AnyPath)]
    output: PathBuf,

    /// Say nothing, except what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

impl Export {
    /// Returns where the archive is to go.
    pub fn output(&self) -> PlanFile<'_> {
        PlanFile::of(&self.output)
    }
}

/// What an archive is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ArchiveFormat {
    /// What `docker load` reads, and podman, skopeo and containerd too.
    #[default]
    DockerArchive,
    /// An OCI image layout in one file.
    OciArchive,
    /// An OCI image layout in a new directory.
    OciDir,
}

impl Save {
    /// Returns where the archive is to go.
    pub fn output(&self) -> PlanFile<'_> {
        PlanFile::of(&self.output)
    }

    /// Returns what the component has to know.
    pub fn options(&self) -> SaveOptions {
        let form = match self.format {
            ArchiveFormat::DockerArchive => Form::DockerArchive,
            ArchiveFormat::OciArchive | ArchiveFormat::OciDir => Form::OciArchive,
        };
        SaveOptions { form, platforms: self.platforms.clone() }
    }
}

/// The arguments of `wharf load`.
#[derive(Args, Clone, Debug)]
#[command(after_help = help::LOAD, after_long_help = help::LOAD_LONG)]
pub struct Load {
    /// The archive, or a directory with an OCI image layout; `-` is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::AnyPath)]
    input: PathBuf,

    /// What to call the one image in it, instead of what the archive says; may be repeated
    #[arg(short, long = "tag", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,

    /// Do not extract the layers; `wharf unpack` does it later
    #[arg(long)]
    pub no_unpack: bool,

    /// What to keep of the images from now on [default: what the names say, or else `wharf retain --default`]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub retain: Option<Kept>,

    /// Print the names of the images and nothing else, except warnings
    #[arg(short, long, conflicts_with = "progress")]
    pub quiet: bool,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub progress: Progress,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl Load {
    /// Returns where the archive is.
    pub fn input(&self) -> PlanFile<'_> {
        PlanFile::of(&self.input)
    }

    /// Returns what the component has to know.
    pub fn options(&self) -> LoadOptions {
        let retention = self.retain.map(Into::into);
        LoadOptions { names: self.names.clone(), unpack: !self.no_unpack, retention }
    }
}
