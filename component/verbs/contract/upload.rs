//! The nouns of `wit/uploads.wit`: images that go to a registry.

use crate::nouns::{access::Access, descriptor::Descriptor, digest::Digest};

/// See `uploads.push-options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// The name in the registry, if it is another than here.
    pub destination: Option<String>,
    /// Only the manifest of this platform.
    pub platform: Option<String>,
    /// Every name of the repository that is here.
    pub all_tags: bool,
    /// How layers are to be compressed that are compressed in another way.
    pub compress: Option<String>,
    /// Whether those are as well that are compressed in this way.
    pub force_compress: bool,
    /// What refers to the image goes with it.
    pub referrers: bool,
    /// How many blobs are on their way at once, at least 1.
    pub concurrent_uploads: u32,
    /// How registries are spoken to.
    pub access: Access,
}

/// See `uploads.pushed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Fully qualified.
    pub name: String,
    /// What the name points to in the registry.
    pub target: Descriptor,
    /// What it points to here, if that is something else.
    pub reduced_from: Option<Digest>,
    /// Each once, and the target last.
    pub parts: Vec<PushedPart>,
    /// What refers to the image and went with it.
    pub referrers: Vec<Descriptor>,
    /// Bytes that went over the network.
    pub sent_bytes: u64,
    /// Whether everything was there.
    pub up_to_date: bool,
    /// What a person may not expect.
    pub notes: Vec<String>,
}

/// See `uploads.pushed-part`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedPart {
    /// Type, digest and size; nothing else is set.
    pub part: Descriptor,
    /// How it came to be there.
    pub way: Way,
    /// Bytes that went over the network for it.
    pub sent_bytes: u64,
}

/// See `uploads.way`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    There,
    /// From this repository of the same registry.
    Mounted(String),
    /// Over the network.
    Sent,
    /// Not at all.
    Elsewhere,
}
