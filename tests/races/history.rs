//! What happened on a store: operations with their beginning and end on one monotonic clock, and what each of them saw.
//! A worker writes it line by line, so that it outlives a worker that is killed. Nothing is judged here.

use serde::{Deserialize, Serialize};

/// Nanoseconds of the monotonic clock that all processes of a machine share.
pub(crate) type Moment = u64;

/// How a name changed, or is to change: the digests that it points to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Shift {
    pub(crate) name: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// What is kept of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kept {
    Both,
    Unpacked,
    Compressed,
}

/// What changes names, or frees what no name needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// `wharf tag`.
    Tag { source: String, names: Vec<String> },
    /// `wharf rm` of a name, or of a digest with all its names.
    Untag {
        what: String,
        force: bool,
        /// As in `linux/arm64`, if that alone is to go.
        platform: Option<String>,
    },
    /// `wharf prune`.
    Prune {
        all: bool,
        /// Of this repository alone, by a filter.
        below: Option<String>,
        keep_bytes: Option<u64>,
    },
    /// `wharf gc`.
    Collect { ingest_age_s: u64 },
    /// `wharf retain`.
    Retain { what: String, kept: Kept },
}

/// How an index changes that is made here. A platform is as in `linux/amd64`, of which an image has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Edit {
    /// `wharf manifest create`.
    Create { source: String, platform: String },
    /// The same with `--amend`.
    Amend { source: String, platform: String },
    /// `wharf manifest add`.
    Add { source: String, platform: String },
    /// `wharf manifest rm`.
    Remove { platform: String },
    /// `wharf manifest annotate` of the index itself.
    Annotate,
}

impl Edit {
    /// The image that it takes something from, and for which platform.
    pub(crate) fn source(&self) -> Option<(&String, &String)> {
        match self {
            Self::Create { source, platform } | Self::Amend { source, platform } | Self::Add { source, platform } => {
                Some((source, platform))
            }
            Self::Remove { .. } | Self::Annotate => None,
        }
    }
}

/// What a worker does. Names are those of the registry, as in `race/a:one`; blobs are digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// `wharf pull`, stopped after so many milliseconds if there is a number.
    Pull {
        /// Every one of them: more than one if all tags of a repository are pulled.
        names: Vec<String>,
        unpack: bool,
        /// Whether all platforms are wanted.
        whole: bool,
        stop_ms: Option<u64>,
    },
    /// `wharf pull --dry-run`.
    Plan { name: String },
    /// `wharf images`.
    Images,
    /// `wharf inspect`.
    Inspect { name: String },
    /// `wharf history`.
    History { name: String },
    /// `wharf save` into a file, and `wharf load` of it under these names, stopped after so many milliseconds if there is
    /// a number.
    Load { name: String, names: Vec<String>, stop_ms: Option<u64> },
    /// `wharf import` of an archive with this text in it, stopped in the same way. No other image has the text.
    Import { name: String, text: String, stop_ms: Option<u64> },
    /// `wharf manifest`: the index of this name. What is new in it has this annotation, and nothing else has.
    Compose { name: String, edit: Edit, mark: String },
    /// `wharf snapshot prepare`.
    Prepare { name: String },
    /// `wharf snapshot mount` of what was prepared, where a text is written, and `wharf snapshot commit` under this name. No
    /// other image has the text.
    Commit { name: String, text: String, stop_ms: Option<u64> },
    /// `wharf snapshot ls`, a look at it, and `wharf snapshot rm`.
    Leave,
    /// `wharf push` of a name that nobody pulls, stopped in the same way.
    Push { name: String, stop_ms: Option<u64> },
    /// `wharf copy` within the registry.
    Copy { name: String },
    /// `wharf save` to nowhere: every blob is compared with its digest.
    Save { name: String },
    /// `wharf unpack`, and `wharf cat` of a file of the tree.
    Unpack { name: String },
    /// `wharf unpack` and `wharf ls`.
    List { name: String },
    /// `wharf unpack` and `wharf export`.
    Export { name: String },
    /// `wharf diff`.
    Compare { from: String, to: String },
    /// `wharf mount`, `wharf mounts`, a look into it, and `wharf umount`.
    Mount { name: String },
    /// `wharf fsck` of one image, or of the whole store.
    Fsck { name: Option<String>, repair: bool },
    /// `wharf tags`.
    Tags { repository: String },
    /// A blob that no image has is brought.
    Put { blob: String },
    /// It is held for a while.
    Hold { blob: String },
    /// It is removed.
    Remove { blob: String },
    /// The disk changes a blob of the victim's.
    Damage { blob: String },
    /// `wharf tag`, `rm`, `prune`, `gc` or `retain`, stopped after so many milliseconds if there is a number.
    Perform { change: Change, stop_ms: Option<u64> },
    /// The same with `--plan`.
    Draft { change: Change },
    /// `wharf apply` of a plan that was made in an earlier operation, which began then.
    Apply { change: Change, shifts: Vec<Shift>, made: Moment },
    /// `wharf df`.
    Usage,
    /// `wharf lease create`.
    Lease { name: String },
    /// `wharf lease ls`, a look at what is held, and `wharf lease rm`.
    Release,
    /// `wharf ingest ls`.
    Ingests,
    /// `wharf ingest rm` of one of them.
    Discard,
    /// `wharf label` with a new value, or a look at all labels.
    Label { name: String, value: Option<String> },
    /// `wharf label`, with which the name is to go with the next collection.
    Expire { name: String },
    /// `wharf events` about a name, of the last so many seconds.
    Events { name: String, seconds: u64 },
}

impl Operation {
    /// The one image that is damaged on purpose: nothing is promised to those who use it meanwhile.
    pub(crate) const VICTIM: &str = "race/victim:one";

    /// What the names begin with whose blobs may be given up: what they point to may not be saved then, and its tree may
    /// go. Nothing of it becomes the image of another name.
    pub(crate) const GIVEN_UP: &str = "kept/b:";

    /// The names of all of them.
    pub(crate) const KINDS: [&str; 40] = [
        "Pull", "Plan", "Images", "Inspect", "History", "Unpack", "List", "Compare", "Mount", "Fsck", "Tags", "Put",
        "Hold", "Remove", "Damage", "Tag", "Untag", "Prune", "Collect", "Draft", "Apply", "Usage", "Lease", "Release",
        "Ingests", "Discard", "Label", "Expire", "Events", "Save", "Load", "Push", "Copy", "Retain", "Export",
        "Import", "Compose", "Prepare", "Commit", "Leave",
    ];

    /// The name of it.
    pub(crate) fn kind(&self) -> &'static str {
        let at = match self {
            Self::Pull { .. } => 0,
            Self::Plan { .. } => 1,
            Self::Images => 2,
            Self::Inspect { .. } => 3,
            Self::History { .. } => 4,
            Self::Unpack { .. } => 5,
            Self::List { .. } => 6,
            Self::Compare { .. } => 7,
            Self::Mount { .. } => 8,
            Self::Fsck { .. } => 9,
            Self::Tags { .. } => 10,
            Self::Put { .. } => 11,
            Self::Hold { .. } => 12,
            Self::Remove { .. } => 13,
            Self::Damage { .. } => 14,
            Self::Perform { change: Change::Tag { .. }, .. } => 15,
            Self::Perform { change: Change::Untag { .. }, .. } => 16,
            Self::Perform { change: Change::Prune { .. }, .. } => 17,
            Self::Perform { change: Change::Collect { .. }, .. } => 18,
            Self::Draft { .. } => 19,
            Self::Apply { .. } => 20,
            Self::Usage => 21,
            Self::Lease { .. } => 22,
            Self::Release => 23,
            Self::Ingests => 24,
            Self::Discard => 25,
            Self::Label { .. } => 26,
            Self::Expire { .. } => 27,
            Self::Events { .. } => 28,
            Self::Save { .. } => 29,
            Self::Load { .. } => 30,
            Self::Push { .. } => 31,
            Self::Copy { .. } => 32,
            Self::Perform { change: Change::Retain { .. }, .. } => 33,
            Self::Export { .. } => 34,
            Self::Import { .. } => 35,
            Self::Compose { .. } => 36,
            Self::Prepare { .. } => 37,
            Self::Commit { .. } => 38,
            Self::Leave => 39,
        };
        Self::KINDS[at]
    }

    /// The images that it reads by name, and nothing but that.
    pub(crate) fn read(&self) -> Vec<&str> {
        match self {
            Self::Inspect { name }
            | Self::History { name }
            | Self::Save { name }
            | Self::Load { name, .. }
            | Self::Push { name, .. }
            | Self::Unpack { name }
            | Self::List { name }
            | Self::Export { name }
            | Self::Prepare { name }
            | Self::Mount { name }
            | Self::Lease { name }
            | Self::Label { name, .. }
            | Self::Expire { name }
            | Self::Fsck { name: Some(name), .. } => vec![name],
            Self::Compare { from, to } => vec![from, to],
            Self::Compose { name, edit, .. } => match edit {
                Edit::Create { source, .. } => vec![source],
                Edit::Amend { source, .. } | Edit::Add { source, .. } => vec![name, source],
                Edit::Remove { .. } | Edit::Annotate => vec![name],
            },
            Self::Perform { change: Change::Tag { source: name, .. } | Change::Retain { what: name, .. }, .. }
            | Self::Draft { change: Change::Tag { source: name, .. } | Change::Retain { what: name, .. } } => {
                vec![name]
            }
            Self::Perform { change: Change::Untag { what, .. }, .. }
            | Self::Draft { change: Change::Untag { what, .. } }
                if !what.starts_with("sha256:") =>
            {
                vec![what]
            }
            _ => Vec::new(),
        }
    }

    /// Whether it is about the image that is damaged on purpose.
    pub(crate) fn is_about_the_victim(&self) -> bool {
        match self {
            Self::Pull { names, .. } => names.iter().any(|name| name == Self::VICTIM),
            Self::Plan { name } => name == Self::VICTIM,
            Self::Fsck { name: None, .. } | Self::Damage { .. } => true,
            _ => self.read().contains(&Self::VICTIM),
        }
    }
}

/// What a worker saw or did for sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fact {
    /// The name pointed to this digest, or to nothing.
    Read { name: String, digest: Option<String> },
    /// The name points to this digest since.
    Wrote { name: String, digest: String },
    /// The name changed in this way, in one moment.
    Changed(Shift),
    /// The name was to change, and did not.
    Stayed { name: String, why: String },
    /// An image was made here that has one manifest, and this text in its tree and its history.
    Made { target: String, text: String },
    /// An index was made here that lists these manifests. The one that was added is among them.
    Composed { target: String, manifests: Vec<String>, added: Option<String> },
    /// The registry said that the tag points to this digest.
    Resolved { name: String, digest: String },
    /// The registry was given this digest as what the tag points to.
    Published { name: String, digest: String },
    /// The name pointed to the image whose history has this text.
    Told { name: String, text: String },
    /// The name pointed to the image that has this manifest, and its tree has this text in it.
    Tree { name: String, manifest: String, text: String },
    /// The name was listed from one moment to the other, and a part of the image was not here.
    Lost { name: String, why: String, from: Moment, until: Moment },
    /// A blob that no image has was here, or was not.
    Blob { blob: String, is_here: bool },
    /// It was in hand from one moment to the other.
    Held { blob: String, from: Moment, until: Moment },
    /// These blobs were removed because nothing needs them.
    Removed(Vec<String>),
    /// A lease held the image that has this digest, and these blobs with it, from one moment to the other.
    Leased { target: String, blobs: Vec<String>, from: Moment, until: Moment },
    /// A snapshot stood on the image that these blobs are, from one moment to the other.
    Stood { blobs: Vec<String>, from: Moment, until: Moment },
    /// The tree with this text was mounted from one moment to the other.
    Mounted { text: String, from: Moment, until: Moment },
    /// The name has this label since.
    Labelled { name: String, value: String },
    /// The name, which was here, had this label, or none.
    Label { name: String, value: Option<String> },
    /// It was told that this happened to the name: the action, and what the name pointed to then or points to since.
    Happened { name: String, action: String, target: Option<String> },
    /// Something that must never be seen.
    Wrong(String),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Done(Vec<Fact>),
    /// The code as in `in-use`, and what is said to a person.
    Failed {
        code: String,
        why: String,
    },
    /// The process was killed.
    Killed,
}

/// A line of a worker's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    Began { at: Moment, operation: Operation },
    Ended { at: Moment, outcome: Outcome },
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) worker: usize,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) operation: Operation,
    pub(crate) outcome: Outcome,
}

/// A tag of the registry was moved to this digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
}

/// Reads the log of a worker that was over at `end`. A last line that was not written to its end counts as absent.
///
/// Fails with the line that is no line of a log.
pub(crate) fn read(worker: usize, log: &str, end: Moment) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let mut begun: Option<(Moment, Operation)> = None;
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for text in whole.lines() {
        let line: Line = serde_json::from_str(text).map_err(|error| format!("`{text}`: {error}"))?;
        match (line, begun.take()) {
            (Line::Began { at, operation }, None) => begun = Some((at, operation)),
            (Line::Ended { at, outcome }, Some((began, operation))) => {
                events.push(Event { worker, began, ended: at, operation, outcome });
            }
            (line, _) => return Err(format!("a line out of order: {line:?}")),
        }
    }
    if let Some((began, operation)) = begun {
        events.push(Event { worker, began, ended: end, operation, outcome: Outcome::Killed });
    }
    Ok(events)
}
