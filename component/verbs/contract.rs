//! The nouns of `wit/vocabulary.wit` and the interfaces beside it in Rust, one for one; the doc comments there
//! are the specification. Nothing here acts.

mod archive;
mod change;
mod compose;
mod discovery;
pub mod records;
pub mod snapshots;
mod upload;
mod usage;

use crate::nouns::{
    access::{AskedFor, Capabilities, Origin},
    descriptor::Descriptor,
    digest::Digest,
};

pub use crate::nouns::access::Access;
pub use crate::registry::Phase;
pub use archive::{
    CommitOptions, Form, ImportOptions, Imported, LoadOptions, Loaded, LoadedImage, SaveOptions, Saved, SavedImage,
};
pub use change::{
    Change, Changed, Collecting, Garbage, NameChange, Plan, Pruning, Removal, Retaining, Retention, Tagging,
};
pub use compose::{Composed, Edit, Entry, Member, Wording};
pub use discovery::{Found, FoundRepository, Referral, Referrer, SearchOptions};
pub use upload::{PushOptions, Pushed, PushedPart, Way};
pub use usage::{Action, Happening, ImageUsage, Lease, Share, Sum, Usage};

/// See `vocabulary.caller`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As in `default`.
    pub namespace: String,
    /// As in `linux/amd64/v3`.
    pub machine: String,
}

/// See `vocabulary.wanted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The best one for the machine.
    Machine,
    /// The best one for each of these.
    These(Vec<String>),
    /// Every one.
    All,
}

/// See `vocabulary.pull-options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullOptions {
    /// Which platforms of an index are wanted.
    pub wanted: Wanted,
    /// Pull every tag of the repository.
    pub all_tags: bool,
    /// How many blobs are on their way at once, at least 1.
    pub concurrent_downloads: u32,
    /// Extract the layers of what was chosen.
    pub unpack: bool,
    /// What is to be kept of the name, if something is asked for.
    pub retention: Option<Retention>,
    /// How registries are spoken to.
    pub access: Access,
}

/// See `vocabulary.progress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Type, digest and size; nothing else is set.
    pub blob: Descriptor,
    /// Where it stands.
    pub phase: Phase,
    /// Bytes that have arrived, those of earlier runs included.
    pub received: u64,
}

/// See `vocabulary.event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The name points to this manifest or index.
    Resolved(String, Descriptor),
    /// This manifest was chosen for this platform.
    Selected(String, Descriptor),
    /// Where one blob stands.
    Progress(Progress),
    /// A sentence for a person.
    Warning(String),
    /// A sentence for a person about nothing that is wrong.
    Note(String),
    /// A blob is here.
    Transferred(Transfer),
    /// Something has changed.
    Happened(Happening),
}

/// See `vocabulary.transfer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Type, digest and size; nothing else is set.
    pub blob: Descriptor,
    /// Who sent the last byte, as in `https://mirror.lan`.
    pub endpoint: Option<String>,
    /// How many requests for it were sent.
    pub attempts: u32,
    /// Bytes that an earlier call had left.
    pub resumed_from: u64,
    /// Bytes that came over the network now.
    pub fetched_bytes: u64,
    /// From the first request to the verified blob, in milliseconds.
    pub duration_ms: u64,
}

/// See `vocabulary.allowance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// As in `docker.io`.
    pub registry: String,
    /// How many pulls there are in all.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// The time for which the limit is, in seconds.
    pub window_s: Option<u64>,
}

/// See `vocabulary.planned-blob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBlob {
    /// Type, digest and size; nothing else is set.
    pub blob: Descriptor,
    /// Bytes that are here.
    pub received: u64,
    /// Whether the blob is here and verified.
    pub present: bool,
}

/// See `vocabulary.pull-plan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullPlan {
    /// Fully qualified.
    pub name: String,
    /// What the name points to.
    pub target: Descriptor,
    /// The platforms that were chosen, with their manifests. A platform that
    /// only a config says, which is not here yet, is `unknown`.
    pub manifests: Vec<(String, Descriptor)>,
    /// Each blob once.
    pub blobs: Vec<PlannedBlob>,
    /// Bytes that are to come over the network.
    pub fetch_bytes: u64,
    /// How many layers are to be extracted, if that is known.
    pub unpack_layers: Option<u32>,
    /// Whether there is nothing to do.
    pub up_to_date: bool,
}

/// See `vocabulary.pull-plans`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullPlans {
    /// One a name.
    pub names: Vec<PullPlan>,
    /// As JSON.
    pub document: String,
}

/// See `types.descriptor`. A list has one for each image, so it is no larger
/// than it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As in `application/vnd.oci.image.index.v1+json`.
    pub media_type: String,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// See `vocabulary.image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Fully qualified.
    pub name: String,
    /// As people write it.
    pub familiar: String,
    /// What the name points to.
    pub target: Target,
    /// The digest of the config.
    pub id: Digest,
    /// When the image was built, in seconds since 1970.
    pub created: Option<i64>,
    /// When the name last changed here, in seconds since 1970.
    pub updated: i64,
    /// The platforms that are here.
    pub platforms: Vec<String>,
    /// What is here of it, in bytes.
    pub size: u64,
    /// What is kept of it.
    pub retention: Retention,
}

/// See `vocabulary.pulled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The image as it is recorded now.
    pub image: Image,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// Whether nothing had to change.
    pub up_to_date: bool,
    /// The blobs that it needed, in the order in which they were there.
    pub transfers: Vec<Transfer>,
    /// What the registry said last about its limit.
    pub allowance: Option<Allowance>,
}

/// See `vocabulary.explanation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Fully qualified.
    pub name: String,
    /// Which alias was used.
    pub alias: Option<usize>,
    /// Which rule decided.
    pub rule: Option<usize>,
    /// Whether that rule forbids it.
    pub blocked: bool,
    /// In order of trial.
    pub endpoints: Vec<Candidate>,
    /// The platforms that are accepted of an index, the best first.
    pub platforms: Vec<String>,
}

/// See `vocabulary.candidate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it answers.
    pub origin: Origin,
    /// What the requests begin with, as in `/v2/library/alpine`.
    pub path: String,
    /// The repository there, as in `library/alpine`.
    pub repository: String,
    /// What it is used for.
    pub capabilities: Capabilities,
    /// Which references it is asked for.
    pub asked_for: AskedFor,
    /// Whether it is not the registry itself.
    pub mirror: bool,
    /// Why it is not asked for this reference, if it is not.
    pub skipped: Option<String>,
}

/// See `vocabulary.tree`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Fully qualified.
    pub name: String,
    /// The manifest of the platform.
    pub manifest: Digest,
    /// As in `linux/arm64/v8`.
    pub platform: String,
    /// The ChainID of the layers, unless there is none.
    pub snapshot: Option<Digest>,
    /// How many layers had to be extracted.
    pub unpacked: u32,
}

/// See `vocabulary.findings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many images were looked at.
    pub images: u64,
    /// How many blobs were hashed.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many layers and snapshots were compared with what they were.
    pub trees: u64,
    /// What is wrong, or was.
    pub flaws: Vec<Flaw>,
    /// Sentences about nothing that is wrong.
    pub notes: Vec<String>,
}

/// See `vocabulary.flaw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What is not as it should be.
    pub kind: FlawKind,
    /// Which one: a digest, or the name of an image.
    pub subject: String,
    /// As in `it is not here`.
    pub why: String,
    /// The images that need it, fully qualified.
    pub images: Vec<String>,
    /// What cannot be done meanwhile.
    pub consequence: String,
    /// What to try.
    pub cure: String,
    /// What was done about it.
    pub repaired: Option<String>,
}

/// See `vocabulary.flaw-kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlawKind {
    /// The record of a name cannot be read.
    UnreadableRecord,
    /// A blob is not here.
    MissingBlob,
    /// The bytes of a blob cannot be read, or do not hash to its digest.
    DamagedBlob,
    /// A manifest says that a blob has another size.
    DisputedSize,
    /// The tree of a layer is not what was extracted, or is gone.
    DamagedLayer,
    /// A snapshot is not what was stacked, or something that it stands on is not, or is gone.
    DamagedSnapshot,
}

/// See `vocabulary.step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The layer's digest, unless the step made none.
    pub layer: Option<Digest>,
    /// In seconds since 1970.
    pub created: Option<i64>,
    /// By which command.
    pub created_by: String,
    /// What the maker had to say.
    pub comment: String,
    /// The layer's size as it is stored, in bytes.
    pub size: u64,
}
