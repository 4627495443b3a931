//! The nouns of `wit/changes.wit` about indexes that are made here.

use crate::nouns::{descriptor::Descriptor, digest::Digest};

/// See `changes.edit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is made of these.
    Create(Vec<Member>),
    /// It lists these, too, or is made of them.
    Amend(Vec<Member>),
    /// It lists this, too.
    Add(Member),
    /// It lists these no more.
    Remove(Vec<String>),
    /// It says something else of one.
    Annotate(String, Wording),
    /// It says something else of itself.
    AnnotateIndex(Wording),
}

/// See `changes.member`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// An image that is here.
    pub reference: String,
    /// Only the best one for this.
    pub platform: Option<String>,
    /// What is said of it.
    pub wording: Wording,
}

/// See `changes.wording`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    /// As in `linux`.
    pub os: Option<String>,
    /// As in `arm64`.
    pub architecture: Option<String>,
    /// As in `v8`.
    pub variant: Option<String>,
    /// As in `10.0.20348.2527`.
    pub os_version: Option<String>,
    /// As in `win32k`; none leaves those that there are.
    pub os_features: Vec<String>,
    /// Keys and values.
    pub annotations: Vec<(String, String)>,
}

/// See `changes.composed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Fully qualified.
    pub name: String,
    /// The index.
    pub target: Descriptor,
    /// What it lists, in order.
    pub entries: Vec<Entry>,
    /// What the name pointed to before, if that was something else.
    pub before: Option<Digest>,
}

/// See `changes.index-entry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Type, digest and size.
    pub manifest: Descriptor,
    /// As in `linux/arm64/v8`.
    pub platform: Option<String>,
    /// Keys and values.
    pub annotations: Vec<(String, String)>,
    /// Whether it is here.
    pub is_here: bool,
}
