//! The ids that exist in a user namespace, and the way to get them: a child waits while a program that has the right to
//! map more than one id does so, whom the parent starts.
//!
//! It starts no program itself, and reads no files.
//!
//! ```text
//! child                         parent
//! unshare(user)
//! its process id ─────────────►
//!                               newgidmap, newuidmap
//!                ◄───────────── whether they did
//! ```

use super::Error;
use rustix::io::retry_on_intr;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// A line of a map: user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first id in the namespace.
    pub inside: u32,
    /// The first id outside.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// The ids of a user and those that the user may give to others, as they are mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subordinate {
    users: Vec<Extent>,
    groups: Vec<Extent>,
}

impl Subordinate {
    /// Maps 0 to `user` and `group`, and what is above 0 to the ranges one after the other, which are told by the first
    /// id and how many there are.
    pub fn new(user: u32, users: &[(u32, u32)], group: u32, groups: &[(u32, u32)]) -> Self {
        let map = |own: u32, ranges: &[(u32, u32)]| {
            let mut extents = vec![Extent { inside: 0, outside: own, count: 1 }];
            let mut inside = 1_u32;
            for &(outside, count) in ranges {
                // The highest id stands for none.
                let count = count.min(u32::MAX - inside);
                if count > 0 {
                    extents.push(Extent { inside, outside, count });
                    inside += count;
                }
            }
            extents
        };
        Self { users: map(user, users), groups: map(group, groups) }
    }

    /// The highest user and group that exist in the namespace.
    pub(super) fn highest(&self) -> (u32, u32) {
        let highest = |extents: &[Extent]| extents.last().map_or(0, |extent| extent.inside + (extent.count - 1));
        (highest(&self.users), highest(&self.groups))
    }
}

/// The child's end.
#[derive(Debug)]
pub(super) struct Asking(UnixStream);

/// The parent's side of a child that waits for its maps.
#[derive(Debug)]
pub struct Waiting {
    stream: UnixStream,
    subordinate: Subordinate,
}

/// Prepares a child that asks for the maps of `subordinate`.
pub(super) fn ask(subordinate: Subordinate) -> Result<(Asking, Waiting), Error> {
    let (child, parent) = UnixStream::pair().map_err(Error::io("cannot prepare a user namespace"))?;
    Ok((Asking(child), Waiting { stream: parent, subordinate }))
}

impl Asking {
    /// Asks, and returns whether the maps are made. Makes system calls alone.
    pub(super) fn ask(&self) -> io::Result<bool> {
        let pid = rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes();
        retry_on_intr(|| rustix::io::write(&self.0, &pid))?;
        let mut answer = [0];
        let count = retry_on_intr(|| rustix::io::read(&self.0, &mut answer))?;
        Ok(count == 1 && answer == [1])
    }
}

impl Waiting {
    /// Waits for the child, and has `map` make the maps of the process with this id: of users and of groups. Returns
    /// what `map` does, or none if there is no child any more that asks.
    ///
    /// This is for a thread of its own: who starts the child waits until it has become another program.
    pub fn answer<E>(mut self, map: impl FnOnce(u32, &[Extent], &[Extent]) -> Result<(), E>) -> Option<Result<(), E>> {
        let mut pid = [0; 4];
        self.stream.read_exact(&mut pid).ok()?;
        let made = map(u32::from_ne_bytes(pid), &self.subordinate.users, &self.subordinate.groups);
        // A child that has ended does not read it.
        let _ = self.stream.write_all(&[u8::from(made.is_ok())]);
        Some(made)
    }
}
