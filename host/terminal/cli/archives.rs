//! The arguments of the verbs that put images in one file: `save`.

use super::{PlanFile, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;
use wharf_vocabulary::archives::{Form, SaveOptions};

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
