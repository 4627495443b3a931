//! How a top is mounted: by clients, who get what mount(2) takes, and by wharf itself, by open directory.
//!
//! ```text
//! written to              overlay   lowerdir=<shown>:<parent>:…  upperdir=<tree>  workdir=<work>
//! a view of many          overlay   ro  lowerdir=<parent>:…
//! a view of one           bind      ro  the tree of that one
//! a view of nothing       bind      ro  an empty directory
//! ```
//!
//! What is written to is always an overlay, also without a parent. Its uppermost lower directory is a name that leads to
//! nothing until a layer is adopted, and then to that: who got the options before sees the layer too.
//!
//! The source of an overlay says which top it is. So the kernel's table of mounts tells what is mounted, whoever did it. A
//! bind has no such word, and is told by its directory: every view of one snapshot with one layer counts as mounted then.

use super::record::{self, ADOPTED};
use super::{Top, WORK};
use crate::layers::mounts::told;
use crate::layers::nascent::TREE;
use crate::layers::overlay::{self, Stack, Writable};
use crate::layers::snapshot::{HEIGHT_MAX, Level, key};
use crate::layers::{Error, Layers};
use rustix::fs::{readlinkat, renameat, symlinkat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// The name of what leads to what is shown between the tree of a top and its parent.
pub(super) const SHOWN: &str = "shown";
/// Where it leads to at first.
pub(super) const NOTHING: &str = "../../snapshots/empty";
/// What replaces it.
const SHOWN_NEW: &str = "shown.new";

/// A mount as the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `overlay` or `bind`.
    pub kind: &'static str,
    /// What a bind is of. For an overlay a word that tells which top it is: it has to be passed on.
    pub source: String,
    /// As in `ro` or `upperdir=/…`.
    pub options: Vec<String>,
}

impl Top {
    /// Returns how to mount it. What is returned stays right until the top is removed or committed.
    ///
    /// 128 layers fit into the page that mount(2) takes, if the path of the store has no more than 20 bytes. What is higher
    /// can be mounted by [`Top::mount`] alone. Mounted by who is not root, it takes a user namespace and `userxattr`,
    /// which is among the options.
    ///
    /// Fails with [`Error::Unsupported`] if the path of the store has a character that these options cannot have.
    pub fn mounts(&self) -> Result<Vec<Mount>, Error> {
        let (root, levels) = (self.layers.path()?, self.uniform(self.levels_below()?)?);
        let bind = |path: &str| {
            let options = ["ro", "bind"].map(str::to_owned).to_vec();
            Mount { kind: "bind", source: format!("{root}/{path}"), options }
        };
        if !self.record.writable {
            match levels.as_slice() {
                [] => return Ok(vec![bind(&format!("{}/{TREE}", self.place()))]),
                [only] => return Ok(vec![bind(&only.tree)]),
                _ => {}
            }
        }
        let mut options: Vec<String> = Vec::new();
        if self.user(&levels) {
            options.push("userxattr".to_owned());
        } else {
            options.extend(["redirect_dir=nofollow", "metacopy=off"].map(str::to_owned));
        }
        let mut lower = Vec::new();
        if self.record.writable {
            options.push("index=off".to_owned());
            self.mend()?;
            // Nothing can be adopted on a stack that is as high as can be.
            if self.height_below() < HEIGHT_MAX {
                lower.push(format!("{}/{SHOWN}", self.place()));
            }
        } else {
            options.push("ro".to_owned());
        }
        lower.extend(levels.into_iter().map(|level| level.tree));
        let lower: Vec<_> = lower
            .iter()
            .map(|path| Ok(format!("{root}/{}", self.layers.short(path)?)))
            .collect::<Result<_, Error>>()?;
        options.push(format!("lowerdir={}", lower.join(":")));
        if self.record.writable {
            options.push(format!("upperdir={root}/{}/{TREE}", self.place()));
            options.push(format!("workdir={root}/{}/{WORK}", self.place()));
        }
        Ok(vec![Mount { kind: "overlay", source: self.layers.top_source(&self.record.name)?, options }])
    }

    /// Mounts it on the directory `at`, in the same way as [`Layers::mount`]: devices in it do not work, and set-user-id
    /// bits are not heeded. [`Layers::unmount`] ends it.
    ///
    /// Fails with [`Error::Unsupported`] if the kernel has not what it takes, or the caller has not the right.
    pub fn mount(&self, at: BorrowedFd<'_>) -> Result<(), Error> {
        let _turn = self.turn()?;
        let stack = self.stacked()?;
        overlay::attach(self.layers.store.root.as_fd(), &stack, None)
            .and_then(|mount| overlay::place(mount.as_fd(), at))
            .map_err(told)
    }

    pub(in crate::layers) fn stacked(&self) -> Result<Stack, Error> {
        self.mend()?;
        let mut own = self.own_levels()?;
        let upper = own.remove(0);
        let mut levels = own;
        levels.extend(self.levels_below()?);
        let levels = self.uniform(levels)?;
        let user = self.user(&levels);
        let text = |text: String| CString::new(text).expect("digits and fixed words have no zero byte");
        let mut lower: Vec<_> = levels.into_iter().map(|level| text(level.tree)).collect();
        let mut writable = None;
        if self.record.writable {
            let work = text(format!("{}/{WORK}", self.place()));
            writable = Some(Writable { upper: text(upper.tree), work });
            if lower.is_empty() {
                lower.push(overlay::EMPTY.to_owned());
            }
        } else if lower.is_empty() {
            lower.push(text(upper.tree));
        }
        Ok(Stack { source: text(self.layers.top_source(&self.record.name)?), lower, user, writable })
    }

    /// Whether overlay's attributes are `user.overlay.*`.
    fn user(&self, below: &[Level]) -> bool {
        if self.record.writable { self.record.user } else { below.first().is_some_and(|level| level.user) }
    }

    /// Refuses trees of which overlay could understand only some.
    fn uniform(&self, levels: Vec<Level>) -> Result<Vec<Level>, Error> {
        let user = self.user(&levels);
        match levels.iter().all(|level| level.user == user) {
            true => Ok(levels),
            false => Err(Error::Unsupported("some of the trees below were made by root and some were not".to_owned())),
        }
    }

    /// Makes good what somebody who died has not done: `shown` leads to what was adopted, and overlay has its directory.
    pub(super) fn mend(&self) -> Result<(), Error> {
        if !self.record.writable {
            return Ok(());
        }
        let failed = Error::io("cannot prepare a top to be mounted");
        self.directory.make(WORK).map_err(&failed)?;
        let target = match self.adopted()? {
            Some(adopted) if adopted.settled => format!("{ADOPTED}/{TREE}"),
            Some(adopted) => format!("../../{}/{TREE}", super::layer_place(&adopted)?),
            None => NOTHING.to_owned(),
        };
        let found = readlinkat(&self.directory, SHOWN, Vec::new());
        if found.is_ok_and(|found| found.as_bytes() == target.as_bytes()) {
            return Ok(());
        }
        // Nothing has shown the layer before, so that nothing was written since it was adopted.
        if let Some(below) = self.own_levels()?.get(1) {
            self.layers.dress(&self.directory, self.tree()?.as_fd(), below)?;
        }
        loop {
            match symlinkat(target.as_str(), &self.directory, SHOWN_NEW) {
                Err(Errno::EXIST) => match self.directory.unlink(SHOWN_NEW) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(failed(error)),
                },
                other => break other.map_err(&failed)?,
            }
        }
        match renameat(&self.directory, SHOWN_NEW, &self.directory, SHOWN) {
            // Somebody else did the same.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether it is mounted somewhere.
    pub(super) fn is_mounted(&self) -> Result<bool, Error> {
        self.layers.is_top_mounted(&self.record)
    }
}

impl Layers {
    /// Whether a top is mounted in any mount namespace of a process that can be looked at.
    pub(in crate::layers) fn is_top_mounted(&self, top: &record::Top) -> Result<bool, Error> {
        let traces = self.traces()?;
        let place = format!("tops/{}/{TREE}", key(&top.name));
        if traces.keys.contains(&format!("top:{}", key(&top.name))) || traces.places.contains(&place) {
            return Ok(true);
        }
        if top.writable || traces.places.is_empty() {
            return Ok(false);
        }
        // A view of one layer.
        let parent = match top.parent.as_deref().map(|parent| self.snapshot(parent)).transpose() {
            Ok(Some(parent)) => parent,
            Ok(None) | Err(Error::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(matches!(self.levels(&parent)?.as_slice(), [only] if traces.places.contains(&only.tree)))
    }

    /// What the table of mounts says about an overlay of the top `name`.
    pub(super) fn top_source(&self, name: &str) -> Result<String, Error> {
        self.source(&format!("top:{}", key(name)))
    }

    /// Returns the path of the store, as this process sees it.
    fn path(&self) -> Result<String, Error> {
        let path = self.home()?.into_os_string().into_string();
        path.ok().filter(|path| !path.contains([':', ',', '\\', '\n'])).ok_or_else(|| {
            Error::Unsupported(
                "the path of the store has a colon, a comma or worse, which mounts cannot have".to_owned(),
            )
        })
    }
}
