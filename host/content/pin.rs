//! Kernel locks as pins: what is held cannot be removed. The rule is in the documentation of [`super`].
//!
//! It keeps no list of holders and no process ids; the kernel lets go when the last descriptor of an open file is
//! closed, however its process ended.

use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, Result, retry_on_intr};

/// Takes a shared lock. Waits while somebody removes the object, which is a matter of one unlink.
pub(crate) fn share(object: impl AsFd) -> Result<()> {
    retry_on_intr(|| flock(&object, FlockOperation::LockShared))
}

/// Takes the exclusive lock. Waits for as long as somebody holds the object.
pub(crate) fn claim(object: impl AsFd) -> Result<()> {
    retry_on_intr(|| flock(&object, FlockOperation::LockExclusive))
}

/// Takes the exclusive lock if nobody holds the object, and says whether it did.
pub(crate) fn try_claim(object: impl AsFd) -> Result<bool> {
    match retry_on_intr(|| flock(&object, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the file still has a name. A lock on one that has none protects nothing.
pub(crate) fn is_linked(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}
