//! The arguments of the verbs that bring images to a registry: `push` and `copy`.

use super::{Access, Patience, Progress, TextFormat, help};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use wharf_vocabulary::uploads::PushOptions;

/// How many blobs are on their way at once, if nobody says otherwise.
pub const CONCURRENT_UPLOADS: u32 = 5;
/// The most blobs on their way at once that can be asked for.
pub const CONCURRENT_UPLOADS_MAX: u32 = 64;

/// The arguments of `wharf push`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf push [OPTIONS] <REFERENCE> [DESTINATION]", after_help = help::PUSH, after_long_help = help::PUSH_LONG)]
pub struct Push {
    /// The image, by the name that it is to have there, as in `registry.lan:5000/team/app:1.2`
    pub reference: String,

    /// Another name that it is to have there, in whatever registry; without a tag that of REFERENCE
    #[arg(conflicts_with = "all_tags", value_parser = NonEmptyStringValueParser::new())]
    pub destination: Option<String>,

    /// Push the manifest of this platform, as in `linux/arm64`, in the place of an index
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,

    /// Push every platform that the image offers, which is what happens anyway
    #[arg(long, conflicts_with = "platform")]
    pub all_platforms: bool,

    /// Push every tag of the repository that is here; REFERENCE has no tag then
    #[arg(short, long)]
    pub all_tags: bool,

    /// Push what refers to the image, too: signatures, bills of materials and other artifacts
    #[arg(long)]
    pub referrers: bool,

    /// Show what would be sent, mounted or left alone, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Compress layers on the way that are compressed in another way: `gzip`, `gzip:9`, `zstd`, `zstd:19`
    #[arg(long, value_name = "HOW", conflicts_with = "referrers", value_parser = NonEmptyStringValueParser::new())]
    pub compress: Option<String>,

    /// Compress those as well that are compressed like that already, for another level
    #[arg(long, requires = "compress")]
    pub force_compress: bool,

    /// How many blobs are on their way at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENT_UPLOADS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_UPLOADS_MAX)))]
    pub max_concurrent_uploads: u32,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// Print the image's full name with its digest and nothing else, except warnings
    #[arg(short, long, conflicts_with_all = ["progress", "dry_run"])]
    pub quiet: bool,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub progress: Progress,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf copy`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf copy [OPTIONS] <SOURCE> <DESTINATION>", after_help = help::COPY, after_long_help = help::COPY_LONG)]
pub struct Copy {
    /// The image, as in `alpine:3.20` or `ghcr.io/org/app@sha256:4bcf…`
    pub source: String,

    /// Where it is to be, as in `registry.lan:5000/base/alpine:3.20`; without a tag that of SOURCE
    pub destination: String,

    /// Copy the manifest of this platform, as in `linux/arm64`, in the place of an index
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,

    /// Copy every tag of the repository; neither name has a tag then
    #[arg(short, long)]
    pub all_tags: bool,

    /// Copy what refers to the image, too: signatures, bills of materials and other artifacts
    #[arg(long)]
    pub referrers: bool,

    /// Show what would be sent, mounted or left alone, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// How many blobs are on their way at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENT_UPLOADS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_UPLOADS_MAX)))]
    pub max_concurrent_uploads: u32,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,

    /// Print the full name with its digest and nothing else, except warnings
    #[arg(short, long, conflicts_with_all = ["progress", "dry_run"])]
    pub quiet: bool,

    /// How to show progress on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub progress: Progress,

    /// How to print the result on standard output
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

impl Copy {
    /// Returns the options as the component takes them, without configuration.
    pub fn options(&self) -> PushOptions {
        PushOptions {
            destination: None,
            platform: self.platform.clone(),
            all_tags: self.all_tags,
            compress: None,
            force_compress: false,
            referrers: self.referrers,
            concurrent_uploads: self.max_concurrent_uploads,
            access: self.patience.apply(self.access.access()),
        }
    }
}

impl Push {
    /// Returns the name that it is to have in a registry.
    pub fn named(&self) -> &str {
        self.destination.as_deref().unwrap_or(&self.reference)
    }

    /// Returns the options as the component takes them, without configuration.
    pub fn options(&self) -> PushOptions {
        PushOptions {
            destination: self.destination.clone(),
            platform: self.platform.clone(),
            all_tags: self.all_tags,
            compress: self.compress.clone(),
            force_compress: self.force_compress,
            referrers: self.referrers,
            concurrent_uploads: self.max_concurrent_uploads,
            access: self.patience.apply(self.access.access()),
        }
    }
}
