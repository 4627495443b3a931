//! The nouns of `wit/archives.wit`: images in one file.

use crate::nouns::{access::Access, descriptor::Descriptor, digest::Digest, retention::Retention};

/// See `archives.save-options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveOptions {
    /// What reads the archive.
    pub form: Form,
    /// Only these platforms; all that are here if there are none.
    pub platforms: Vec<String>,
    /// How the registries are spoken to that have what is not here, if that is fetched.
    pub complete: Option<Access>,
}

/// See `archives.form`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An image layout with docker's `manifest.json` and `repositories` beside it.
    DockerArchive,
    /// An image layout.
    OciArchive,
}

/// See `archives.saved`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// In order of target.
    pub images: Vec<SavedImage>,
    /// The length of the archive, in bytes.
    pub size: u64,
    /// What a person may not expect.
    pub notes: Vec<String>,
}

/// See `archives.saved-image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedImage {
    /// Fully qualified, in order; none if the image was not asked for by name.
    pub names: Vec<String>,
    /// What the names point to in the archive.
    pub target: Descriptor,
    /// What they point to here, if that is something else.
    pub reduced_from: Option<Digest>,
    /// The platforms that are in the archive.
    pub platforms: Vec<String>,
}

/// See `archives.load-options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// What the one image is called here, instead of what the archive says.
    pub names: Vec<String>,
    /// Only these of each image; everything if there are none.
    pub platforms: Vec<String>,
    /// Extract the layers of what runs on the machine.
    pub unpack: bool,
    /// What is to be kept of the names, if something is asked for.
    pub retention: Option<Retention>,
}

/// See `archives.loaded`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// In the order of the archive.
    pub images: Vec<LoadedImage>,
    /// What a person may not expect.
    pub notes: Vec<String>,
}

/// See `archives.loaded-image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// Fully qualified, in order.
    pub names: Vec<String>,
    /// What the names point to.
    pub target: Descriptor,
    /// The digest of the config of what runs on the machine, or else of the first.
    pub id: Digest,
    /// The platforms that were in the archive.
    pub platforms: Vec<String>,
    /// What names pointed to before that pointed to something else.
    pub moved: Vec<(String, Digest)>,
}

/// See `archives.import-options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What the image is called, if it gets a name.
    pub name: Option<String>,
    /// Instructions that change its config.
    pub changes: Vec<String>,
    /// What its history says.
    pub message: Option<String>,
    /// What it runs on, if that is not the machine.
    pub platform: Option<String>,
    /// When it was made, if that is not now.
    pub created: Option<String>,
}

/// See `archives.commit-options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitOptions {
    /// What the image is called, if it gets a name.
    pub name: Option<String>,
    /// Instructions that change its config.
    pub changes: Vec<String>,
    /// What its history says of the layer.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// When it was made, if that is not now.
    pub created: Option<String>,
}

/// See `archives.imported`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Fully qualified.
    pub name: String,
    /// What the name points to.
    pub target: Descriptor,
    /// The digest of the config.
    pub id: Digest,
    /// The layer that was made.
    pub layer: Descriptor,
    /// What the layer is without its compression.
    pub diff_id: Digest,
    /// What it runs on.
    pub platform: String,
    /// What the name pointed to before, if that was something else.
    pub moved: Option<Digest>,
    /// What a person may not expect.
    pub notes: Vec<String>,
}
