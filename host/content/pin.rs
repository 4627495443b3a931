//! Kernel locks as pins: what is held cannot be removed. The rule is in the documentation of [`super`].
//!
//! It keeps no list of holders and no process ids; the kernel lets go when the last descriptor of an open file is
//! closed, however its process ended.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, Result, retry_on_intr};

/// Takes a shared lock. Waits while somebody removes the object, which is a matter of one unlink.
pub(crate) fn share(object: impl AsFd) -> Result<()> {
    retry_on_intr(|| flock(&object, FlockOperation::LockShared))
}

/// Takes a shared lock unless somebody is removing the object, and says whether it did.
pub(crate) fn try_share(object: impl AsFd) -> Result<bool> {
    tried(retry_on_intr(|| flock(&object, FlockOperation::NonBlockingLockShared)))
}

/// Takes the exclusive lock. Waits for as long as somebody holds the object.
pub(crate) fn claim(object: impl AsFd) -> Result<()> {
    retry_on_intr(|| flock(&object, FlockOperation::LockExclusive))
}

/// Takes the exclusive lock if nobody holds the object, and says whether it did.
pub(crate) fn try_claim(object: impl AsFd) -> Result<bool> {
    tried(retry_on_intr(|| flock(&object, FlockOperation::NonBlockingLockExclusive)))
}

/// Whether a lock was taken.
fn tried(taken: Result<()>) -> Result<bool> {
    match taken {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the file still has a name. A lock on one that has none protects nothing.
pub(crate) fn is_linked(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

/// Whether somebody holds the object exclusively, at this moment. Who wants the exclusive lock at this very moment sees
/// a holder in whoever asks here, and tries again; who waits for it, waits for two calls.
pub(crate) fn is_claimed(object: impl AsFd) -> Result<bool> {
    if !try_share(&object)? {
        return Ok(true);
    }
    retry_on_intr(|| flock(&object, FlockOperation::Unlock)).map(|()| false)
}

/// Returns what `claim` makes of `wanted`, in order, until the process is short of descriptors, by `is_short`. It lets go
/// of half of it then, because looking whether something is needed takes descriptors too.
///
/// Fails as `claim` does, also if there are descriptors for nothing at all.
pub(crate) fn gather<W, C, E>(
    wanted: impl IntoIterator<Item = W>,
    mut claim: impl FnMut(W) -> std::result::Result<Option<C>, E>,
    is_short: impl Fn(&E) -> bool,
) -> std::result::Result<Vec<C>, E> {
    let mut claims = Vec::new();
    for wanted in wanted {
        match claim(wanted) {
            Ok(claimed) => claims.extend(claimed),
            Err(error) if is_short(&error) && !claims.is_empty() => {
                claims.truncate(claims.len().div_ceil(2));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

/// Whether an error says that the process, or the machine, has no descriptor left.
pub(crate) fn is_short(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
