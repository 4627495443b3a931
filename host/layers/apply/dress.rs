//! The attributes of files that were just made or linked, and what is kept aside of them.

use super::attributes::{self, Handle, Outcome};
use super::entry::{At, Layer, failed};
use super::tree::Found;
use super::{Aside, name};
use crate::layers::archive::Entry;
use crate::layers::{Error, Rights};
use rustix::fs::FileType;
use rustix::io::Errno;

/// What an ordinary user's empty file stands for: `c` or `b`, major and minor number.
pub(super) type Device = Option<(char, u32, u32)>;

/// An extended attribute: name and value.
type Attribute = (Vec<u8>, Vec<u8>);

impl Layer {
    /// Sets the attributes of what was just made with `mode`.
    pub(super) fn dress(
        &mut self,
        at: &At<'_>,
        entry: &Entry,
        handle: Handle<'_>,
        mode: Option<u32>,
        device: Device,
    ) -> Result<(), Error> {
        if self.rights == Rights::Root && (entry.uid, entry.gid) != self.fresh.owner {
            handle.chown((entry.uid, entry.gid)).map_err(failed(entry))?;
        }
        let xattrs = self.set_attributes(at, entry, handle)?;
        // After the owner, whose change takes bits away.
        if let Some(mode) = mode.filter(|&mode| self.fresh.differs(mode)) {
            handle.chmod(mode).map_err(failed(entry))?;
        }
        handle.touch(entry.mtime).map_err(failed(entry))?;
        self.set_aside(at, entry, mode.unwrap_or(entry.mode), device, xattrs)
    }

    /// Sets the attributes of a file that had other names before. The owner is set even if it is the same, as containerd
    /// does: capabilities that the entry does not repeat are lost.
    pub(super) fn dress_link(&mut self, at: &At<'_>, entry: &Entry, found: &Found, target: &[u8]) -> Result<(), Error> {
        let handle = Handle::Name(at.fd(), at.base);
        let device = self.remembered.aside.get(target).and_then(|aside| aside.device);
        let mode = attributes::mode(entry, found.kind, self.rights);
        if self.rights == Rights::Root {
            handle.chown((entry.uid, entry.gid)).map_err(failed(entry))?;
        }
        let xattrs = self.set_attributes(at, entry, handle)?;
        let has_mode = found.kind != FileType::Symlink;
        if has_mode && (mode != found.mode || mode & attributes::SPECIAL != 0) {
            handle.chmod(mode).map_err(failed(entry))?;
        }
        handle.touch(entry.mtime).map_err(failed(entry))?;
        let mode = if has_mode { mode } else { entry.mode };
        self.set_aside(at, entry, mode, device, xattrs)?;
        if self.rights == Rights::User {
            match self.remembered.aside.get(&at.path()).cloned() {
                Some(aside) => {
                    self.spending.memory(2 * target.len())?;
                    self.remembered.aside.insert(target.to_vec(), Aside { path: target.to_vec(), ..aside });
                }
                None => drop(self.remembered.aside.remove(target)),
            }
        }
        Ok(())
    }

    /// Sets the extended attributes, and returns those that this user may not set.
    pub(super) fn set_attributes(
        &mut self,
        at: &At<'_>,
        entry: &Entry,
        handle: Handle<'_>,
    ) -> Result<Vec<Attribute>, Error> {
        let mut aside = Vec::new();
        for (attribute, value) in &entry.xattrs {
            match attributes::set(handle, attribute, value, self.rights) {
                Ok(Outcome::Set) => {}
                Ok(Outcome::Aside) => aside.push((attribute.clone(), value.clone())),
                Ok(Outcome::Left(why)) => self.remembered.warn(|| {
                    let (attribute, path) = (name::shown(attribute), name::shown(&at.path()));
                    format!("the attribute `{attribute}` of `{path}` was left out: it {why}")
                }),
                // A full disk says so at the next write; here it means that there is no room for attributes of one file.
                Err(Errno::NOSPC | Errno::RANGE | Errno::TOOBIG) => {
                    let why =
                        format!("has more in its attribute `{}` than this file system takes", name::shown(attribute));
                    return Err(super::entry::refused(entry, &why));
                }
                Err(errno) => return Err(failed(entry)(errno)),
            }
        }
        Ok(aside)
    }

    /// Remembers what could not be set. `mode` is what was.
    pub(super) fn set_aside(
        &mut self,
        at: &At<'_>,
        entry: &Entry,
        mode: u32,
        device: Device,
        xattrs: Vec<Attribute>,
    ) -> Result<(), Error> {
        if self.rights == Rights::Root {
            return Ok(());
        }
        let owner = (entry.uid, entry.gid);
        let path = at.path();
        if owner == (0, 0) && mode == entry.mode && device.is_none() && xattrs.is_empty() {
            // An entry before this one may have said otherwise about the same directory.
            self.remembered.aside.remove(&path);
            return Ok(());
        }
        let values: usize = xattrs.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        self.spending.memory(2 * path.len() + size_of::<Aside>() + values)?;
        self.remembered.aside.insert(path.clone(), Aside { path, owner, mode: entry.mode, device, xattrs });
        Ok(())
    }
}
