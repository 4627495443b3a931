//! The layer store: extracted layers by DiffID, and stacks of them by name. `wit/layers.wit` is the specification; this
//! is what stands behind it on a disk.
//!
//! It does not know what an image is, which layers belong together, or where their bytes came from. It is synchronous: a
//! caller that must not block runs it on a thread that may.
//!
//! ```text
//! blob or ingest ─► inflate ─┬─► sha256 = DiffID
//!                            └─► archive (strict) ─► apply ─► a private directory ─► layers/<DiffID>
//!                                                             bottom up: settle ─► snapshots/<name>
//!                                                             to be written to ─► tops/<name> ─► snapshots/<name>
//!
//! <root>                          the store's directory; others keep their files beside these
//! ├── layers/<DiffID's digits>/   0700  held by whoever has a handle
//! │   ├── tree/                         as the archive says, its root included
//! │   ├── layer, aside            0600  see `record`
//! │   ├── sums                    0600  see `sums`
//! │   ├── recipe                  0600  how the archive comes of the tree, once it is written: see `recipe`
//! │   └── durable                 0600  see `durable`
//! ├── snapshots/<key>/            0700  the key is the SHA-256 of the name; held like a layer
//! │   ├── tree/                         if the layer's own tree is not right on what is below: see `settle`
//! │   ├── snapshot, aside, sums   0600
//! │   └── durable                 0600
//! ├── snapshots/empty/            0700  below a stack of one layer
//! ├── tops/<key>/                 0700  what is written to, and views: see `top`
//! ├── l/<five characters>               short names of trees, for mounts: see `top::short`
//! ├── durable                     0600  see `durable`
//! ├── extract/<process>-<serial>/ 0700  what nobody sees: it is being made, or its process died
//! └── extract/gone-<process>-<…>/ 0700  the same of what is being removed
//! ```
//!
//! **Nothing half-done is ever visible.** Layers, snapshots and tops appear by one rename, and disappear by one. What of
//! layers and snapshots is visible and was not made durable (`Layers::sync`) is believed only until the machine is
//! restarted. Tops are durable before that, and so are snapshots that were tops.

pub mod apply;
pub mod archive;
mod attributes;
mod claim;
mod copy;
mod durable;
mod error;
mod held;
mod ids;
pub mod inflate;
mod layer;
mod links;
mod mounts;
mod namespace;
mod nascent;
mod overlay;
mod owners;
mod recipe;
mod record;
mod removal;
mod revoke;
mod settle;
mod snapshot;
mod sums;
pub mod top;
mod unpack;
pub mod unwrap;
pub mod view;

pub use self::claim::{CLAIM_MAX, Claim};
pub use self::error::Error;
pub use self::ids::{Extent, Subordinate, Waiting};
pub use self::layer::Layer;
pub use self::mounts::Mounted;
pub use self::namespace::Entrance;
pub use self::nascent::Nascent;
pub use self::recipe::Rebuilt;
pub use self::snapshot::{ENTRIES_MAX, HEIGHT_MAX, Snapshot};
pub use self::sums::Contents;
pub use self::top::Top;
pub use self::unpack::{Unpacked, unpack};
pub use self::view::View;

use self::top::short::SHORT;
use crate::content::directory::Directory;
use cap_std::fs::Dir;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Whose rights the store's files are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Root: owners, devices and every attribute are set as the archive says, and overlay's own attributes are
    /// `trusted.overlay.*`.
    Root,
    /// Anybody else: what cannot be set is kept beside the tree, and overlay's own attributes are `user.overlay.*`.
    User,
}

/// What a layer store needs to know of its surroundings.
#[derive(Debug)]
pub struct Settings {
    /// Whose rights it is used with.
    pub rights: Rights,
    /// The boot of the machine, as `/proc/sys/kernel/random/boot_id` tells it.
    pub boot: String,
    /// `/proc`, for the table of mounts and for random names.
    pub proc: Dir,
}

/// The layer store of one directory. Clones are the same store; so are other processes that opened the directory.
#[derive(Clone, Debug)]
pub struct Layers {
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    root: Directory,
    layers: Directory,
    snapshots: Directory,
    extract: Directory,
    tops: Directory,
    short: Directory,
    rights: Rights,
    boot: String,
    proc: Dir,
    /// What the journal says about earlier boots, once it was asked.
    journaled: OnceLock<HashSet<String>>,
    /// Whether this process has looked for what others left.
    swept: AtomicBool,
}

impl Layers {
    /// Opens the layer store below `root`, and makes its directories if they are missing. Directories that others may
    /// enter are closed to them.
    pub fn open(root: &Dir, settings: Settings) -> Result<Self, Error> {
        let private = |parent: &Directory, name: &str| -> Result<Directory, Error> {
            parent.make(name).map_err(Error::io("cannot make a directory of the layer store"))?;
            let directory = parent.enter(name).map_err(Error::io("cannot open a directory of the layer store"))?;
            directory.close_to_others().map_err(Error::io("cannot close the layer store to others"))?;
            Ok(directory)
        };
        let root = Directory::of(root).map_err(Error::io("cannot open the store's directory"))?;
        let layers = private(&root, "layers")?;
        let snapshots = private(&root, "snapshots")?;
        private(&snapshots, "empty")?;
        let extract = private(&root, "extract")?;
        let (tops, short) = (private(&root, "tops")?, private(&root, SHORT)?);
        let Settings { rights, boot, proc } = settings;
        let (journaled, swept) = (OnceLock::new(), AtomicBool::new(false));
        Ok(Self {
            store: Arc::new(Store {
                root,
                layers,
                snapshots,
                extract,
                tops,
                short,
                rights,
                boot,
                proc,
                journaled,
                swept,
            }),
        })
    }

    /// Returns whose rights files are made with.
    pub fn rights(&self) -> Rights {
        self.store.rights
    }
}
