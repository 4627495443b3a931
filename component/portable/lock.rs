//! The lock of `index.json`: a file that exists while somebody replaces it. It
//! protects nothing but that, and nobody waits long for it.
//!
//! WASI has no locks on files, but it can make a file that was not there. So the
//! lock is a file with a random token. A process that is killed leaves it; after
//! [`STALE_S`] seconds another one moves it to a name of its own, and then looks at
//! what it has moved: if two found the same old lock, the slower one has moved the
//! new lock of the faster one, and gives it back. Whoever holds the lock looks
//! for its own token just before it relies on it, and begins again without.

use super::{Shared, disk::failed};
use crate::nouns::problem::ErrorCode;
use std::{
    io::{ErrorKind, Write},
    time::SystemTime,
};

/// The file.
pub(super) const LOCK: &str = ".wharf/lock";
/// A lock that is older is broken. It is held for a read, a comparison and two
/// renames, and never while a disk syncs.
pub(super) const STALE_S: u64 = 10;
/// How long to wait before the next look. It doubles with each look.
const WAIT_MS_MIN: u64 = 1;
const WAIT_MS_MAX: u64 = 50;
/// The longest token that is read, in bytes.
const TOKEN_BYTES_MAX: usize = 64;

/// The lock, held. Dropping it gives it back.
pub(super) struct Lock<'s> {
    store: &'s Shared,
    token: String,
}

/// A lock as it was seen. Two are the same if nothing differs.
type Seen = (Vec<u8>, SystemTime);

impl<'s> Lock<'s> {
    /// Waits until nobody holds the lock, and holds it.
    pub(super) async fn acquire(store: &'s Shared) -> Result<Self, ErrorCode> {
        store.disk.directory(".wharf")?;
        let mut wait_ms = WAIT_MS_MIN;
        loop {
            let token = store.id();
            match store.disk.create(LOCK) {
                Ok(mut file) => {
                    if let Err(error) = file.write_all(token.as_bytes()) {
                        store.disk.remove(LOCK)?;
                        return Err(failed("write", LOCK)(error));
                    }
                    return Ok(Self { store, token });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("make", LOCK)(error)),
            }
            if let Some(old) = stale(store)? {
                break_open(store, &old)?;
                continue;
            }
            let jitter = (store.ambient.random)() % wait_ms;
            (store.ambient.sleep)(wait_ms + jitter).await;
            wait_ms = (2 * wait_ms).min(WAIT_MS_MAX);
        }
    }

    /// Whether nobody has broken it since.
    pub(super) fn is_own(&self) -> Result<bool, ErrorCode> {
        Ok(self.store.disk.read(LOCK, TOKEN_BYTES_MAX)?.is_some_and(|token| token == self.token.as_bytes()))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is broken by whoever comes later.
        if self.is_own().unwrap_or(false) {
            let _ = self.store.disk.remove(LOCK);
        }
    }
}

fn see(store: &Shared, below: &str) -> Result<Option<Seen>, ErrorCode> {
    let Some(token) = store.disk.read(below, TOKEN_BYTES_MAX)? else { return Ok(None) };
    Ok(store.disk.look(below)?.map(|(_, changed)| (token, changed)))
}

/// Returns the lock that is there if its holder cannot be alive.
fn stale(store: &Shared) -> Result<Option<Seen>, ErrorCode> {
    let Some(seen) = see(store, LOCK)? else { return Ok(None) };
    let age = store.disk.now(&store.id())?.duration_since(seen.1).unwrap_or_default();
    Ok((age.as_secs() >= STALE_S).then_some(seen))
}

/// Takes away the lock that was seen to be stale, and no other one.
fn break_open(store: &Shared, old: &Seen) -> Result<(), ErrorCode> {
    let mine = format!("{LOCK}.{}", store.id());
    match store.disk.rename(LOCK, &mine) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed("move", LOCK))?,
    }
    if see(store, &mine)?.as_ref() != Some(old) {
        // If it cannot be given back, its holder finds out and begins again.
        let _ = store.disk.link(&mine, LOCK);
    }
    store.disk.remove(&mine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::tests::{age, finished, run, store};
    use std::fs;

    #[test]
    fn a_lock_is_a_file_while_it_is_held() {
        let (directory, store) = store();
        let path = directory.path().join(LOCK);
        let lock = run(Lock::acquire(&store.shared)).unwrap();
        assert!(lock.is_own().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), lock.token);
        drop(lock);
        assert!(!path.exists());
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let (_directory, store) = store();
        let first = run(Lock::acquire(&store.shared)).unwrap();
        let mut second = Box::pin(Lock::acquire(&store.shared));
        assert!(finished(second.as_mut(), 100).is_none());
        drop(first);
        assert!(run(second).unwrap().is_own().unwrap());
    }

    #[test]
    fn the_lock_of_a_killed_process_is_broken_and_a_younger_one_is_not() {
        let (directory, store) = store();
        let path = directory.path().join(LOCK);
        for token in ["", "a token"] {
            fs::write(&path, token).unwrap();
            let mut waiting = Box::pin(Lock::acquire(&store.shared));
            assert!(finished(waiting.as_mut(), 20).is_none(), "it is new");
            age(&path, STALE_S + 1);
            assert!(run(waiting).unwrap().is_own().unwrap());
            assert_eq!(fs::read_dir(directory.path().join(".wharf")).unwrap().count(), 1, "only `tmp` is left");
        }
    }

    /// Two see one old lock. The faster one breaks it and holds a new one; the
    /// slower one must not take that for the old one.
    #[test]
    fn whoever_is_late_gives_the_new_lock_back() {
        let (directory, store) = store();
        let path = directory.path().join(LOCK);
        fs::write(&path, "old").unwrap();
        age(&path, STALE_S + 1);
        let seen = stale(&store.shared).unwrap().unwrap();
        let faster = run(Lock::acquire(&store.shared)).unwrap();
        break_open(&store.shared, &seen).unwrap();
        assert!(faster.is_own().unwrap());
    }

    #[test]
    fn a_lock_that_somebody_has_broken_is_not_given_back_twice() {
        let (directory, store) = store();
        let path = directory.path().join(LOCK);
        let slow = run(Lock::acquire(&store.shared)).unwrap();
        age(&path, STALE_S + 1);
        let other = run(Lock::acquire(&store.shared)).unwrap();
        assert!(!slow.is_own().unwrap());
        drop(slow);
        assert!(other.is_own().unwrap());
    }
}
