//! The arguments of the verbs that put images, or the files of one, in one file, or take them out: `save`, `load`, `import`
//! and `export`.

use super::{Kept, Patience, PlanFile, Progress, TextFormat, Which, help};
use crate::named;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;
use wharf_vocabulary::archives::{Form, ImportOptions, LoadOptions, SaveOptions};
use wharf_vocabulary::vocabulary::Access;

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

    /// Fetch first what is not here of these platforms, or of all that the images offer
    #[arg(long)]
    pub complete: bool,

    /// How long a registry is waited for.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: super::Access,

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
        let complete = self.complete.then(|| self.patience.apply(self.access.access()));
        SaveOptions { form, platforms: self.platforms.clone(), complete }
    }
}

/// The arguments of `wharf import`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf import [OPTIONS] <FILE|URL|-> [REF]",
          after_help = help::IMPORT, after_long_help = help::IMPORT_LONG)]
pub struct Import {
    /// The archive: a file, an address, as in `https://example.com/root.tar.gz`, or `-` for standard input
    #[arg(value_name = "FILE|URL|-", value_hint = ValueHint::AnyPath)]
    source: PathBuf,

    /// What to call the image; one that is not named is called after what it hashes to
    #[arg(value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,

    /// Change the config by an instruction of a Dockerfile, as in `CMD ["/bin/sh"]`; may be repeated
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    pub changes: Vec<String>,

    /// What the history says [default: Imported from FILE's place: `-`, or the address]
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,

    /// What the files run on, as in `linux/arm64` [default: this machine]
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,

    /// When it was made, as in `2024-05-01` or `1714521600` [default: now]
    #[arg(long, value_name = "WHEN", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub created: Option<String>,

    /// How long a server is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

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

/// Where an archive of files is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchivePlace<'a> {
    /// In a file, or on standard input.
    Here(PlanFile<'a>),
    /// At an address.
    There(&'a str),
}

impl Import {
    /// Returns where the archive is.
    pub fn source(&self) -> ArchivePlace<'_> {
        match self.source.to_str() {
            Some(text) if text.contains("://") => ArchivePlace::There(text),
            _ => ArchivePlace::Here(PlanFile::of(&self.source)),
        }
    }

    /// Returns what the component has to know.
    pub fn options(&self) -> ImportOptions {
        let Self { name, changes, message, platform, created, .. } = self.clone();
        ImportOptions { name, changes, message, platform, created }
    }

    /// Returns how the server at an address is spoken to: as the address says.
    pub fn access(&self, url: &str) -> Access {
        let plain_http = match named::address(url) {
            Some((scheme, authority)) if scheme.eq_ignore_ascii_case("http") => vec![authority.to_owned()],
            Some(_) | None => Vec::new(),
        };
        let (rules, aliases) = (Vec::new(), Vec::new());
        self.patience.apply(Access { plain_http, rules, aliases, retries: 0, silence_ms: 0 })
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

    /// Only this platform of each image, as in `linux/arm64`; several by commas or by repeating it
    #[arg(long = "platform", value_name = "P", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub platforms: Vec<String>,

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
        let (names, platforms) = (self.names.clone(), self.platforms.clone());
        LoadOptions { names, platforms, unpack: !self.no_unpack, retention }
    }
}
