//! The arguments of `wharf manifest`: indexes that are made here.

use super::holding::pair;
use super::{Access, Patience, Push, TextFormat, help};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use wharf_vocabulary::changes::{Edit, Member, Wording};
use wharf_vocabulary::vocabulary;

/// The arguments of `wharf manifest`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest <COMMAND>", after_help = help::MANIFEST, after_long_help = help::MANIFEST_LONG)]
pub struct Manifest {
    /// What to do.
    #[command(subcommand)]
    pub command: ManifestCommand,
}

/// What can be done with manifests and indexes.
#[derive(Clone, Debug, Subcommand)]
pub enum ManifestCommand {
    /// Make an index of images that are here
    Create(ManifestCreate),
    /// Add an image that is here to an index
    Add(ManifestAdd),
    /// Take manifests out of an index
    #[command(visible_alias = "rm")]
    Remove(ManifestRemove),
    /// Change what an index says of a manifest, or of itself
    Annotate(ManifestAnnotate),
    /// Print a manifest or an index, of what is here or else of the registry
    Inspect(ManifestInspect),
    /// Bring an index to a registry, as `wharf push` does
    #[command(override_usage = "wharf manifest push [OPTIONS] <REFERENCE>")]
    Push(Box<Push>),
}

/// The arguments of `wharf manifest create`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest create [OPTIONS] <NAME> <REF>...")]
pub struct ManifestCreate {
    /// What to call the index
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it lists: every platform of these images that is here
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,

    /// Add to the index if it is here already
    #[arg(short, long)]
    pub amend: bool,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf manifest add`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest add [OPTIONS] <NAME> <REF>")]
pub struct ManifestAdd {
    /// The index
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it is to list, too: every platform of this image that is here
    #[arg(value_name = "REF")]
    pub reference: String,

    /// Only the best one for this platform, as in `linux/arm64`
    #[arg(long, value_name = "P", value_parser = NonEmptyStringValueParser::new())]
    pub platform: Option<String>,

    /// What is said of it.
    #[command(flatten)]
    pub said: Said,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf manifest remove`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest remove [OPTIONS] <NAME> <DIGEST|PLATFORM>...")]
pub struct ManifestRemove {
    /// The index
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it is not to list any more: digests, platforms, or images that are here
    #[arg(value_name = "DIGEST|PLATFORM", required = true)]
    pub which: Vec<String>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// The arguments of `wharf manifest annotate`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest annotate [OPTIONS] <NAME> [DIGEST|PLATFORM|REF]")]
pub struct ManifestAnnotate {
    /// The index
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Which of what it lists: a digest, a platform, or an image that is here; the index itself without one
    #[arg(value_name = "DIGEST|PLATFORM|REF")]
    pub which: Option<String>,

    /// Say it of the index itself, which is what happens without DIGEST
    #[arg(long, conflicts_with = "which")]
    pub index: bool,

    /// What is said of it.
    #[command(flatten)]
    pub said: Said,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: TextFormat,
}

/// What an index says of a manifest.
#[derive(Args, Clone, Debug)]
pub struct Said {
    /// The system that it runs on, as in `linux`
    #[arg(long, value_name = "OS", value_parser = NonEmptyStringValueParser::new())]
    os: Option<String>,

    /// The architecture, as in `arm64`
    #[arg(long, value_name = "ARCH", value_parser = NonEmptyStringValueParser::new())]
    arch: Option<String>,

    /// The variant of the architecture, as in `v8`
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,

    /// The version of the system, as in `10.0.20348.2527`
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,

    /// What the system has to have, as in `win32k`; several by commas or by repeating it
    #[arg(long = "os-features", value_name = "FEATURE", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    os_features: Vec<String>,

    /// Something else to say, as in `org.example.build=7`; may be repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
}

/// The arguments of `wharf manifest inspect`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf manifest inspect [OPTIONS] <REF>")]
pub struct ManifestInspect {
    /// The image or the index
    #[arg(value_name = "REF")]
    pub reference: String,

    /// Print the bytes as they are, so that they hash to the digest
    #[arg(long)]
    pub raw: bool,

    /// How long a registry is waited for.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how, and with whose login.
    #[command(flatten)]
    pub access: Access,
}

impl Said {
    fn wording(&self) -> Wording {
        let Self { os, arch, variant, os_version, os_features, annotations } = self.clone();
        Wording { os, architecture: arch, variant, os_version, os_features, annotations }
    }
}

impl ManifestCommand {
    /// Returns the index that is changed, how, and how that is printed; none if none is.
    pub fn edit(&self) -> Option<(&str, Edit, TextFormat)> {
        let nothing = || Wording {
            os: None,
            architecture: None,
            variant: None,
            os_version: None,
            os_features: Vec::new(),
            annotations: Vec::new(),
        };
        match self {
            Self::Create(asked) => {
                let member =
                    |reference: &String| Member { reference: reference.clone(), platform: None, wording: nothing() };
                let members = asked.references.iter().map(member).collect();
                let edit = if asked.amend { Edit::Amend(members) } else { Edit::Create(members) };
                Some((&asked.name, edit, asked.format))
            }
            Self::Add(asked) => {
                let (reference, platform) = (asked.reference.clone(), asked.platform.clone());
                let member = Member { reference, platform, wording: asked.said.wording() };
                Some((&asked.name, Edit::Add(member), asked.format))
            }
            Self::Remove(asked) => Some((&asked.name, Edit::Remove(asked.which.clone()), asked.format)),
            Self::Annotate(asked) => {
                let wording = asked.said.wording();
                let edit = match &asked.which {
                    Some(which) => Edit::Annotate((which.clone(), wording)),
                    None => Edit::AnnotateIndex(wording),
                };
                Some((&asked.name, edit, asked.format))
            }
            Self::Inspect(_) | Self::Push(_) => None,
        }
    }
}

impl ManifestInspect {
    /// Returns the options as the component takes them, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}
