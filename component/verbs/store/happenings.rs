//! What has happened in the namespace: written with the change itself, so that
//! whoever sees the one sees the other, and forgotten after a while.
//!
//! Writing one reads nothing and its key is its own, so that no two changes
//! conflict for it.

use super::Records;
use crate::{
    host::{Host, Transaction},
    nouns::{
        digest::Digest,
        record::{Action, EVENT_AGE_S, EVENT_PREFIX, Happening},
    },
    registry::Failure,
    verbs::contract::Caller,
};
use std::ops::ControlFlow;

const SECOND_NS: u64 = 1_000_000_000;
/// How many old ones are forgotten at once.
const FORGOTTEN_MAX: usize = 500;
/// One change in so many looks for old ones.
const CHANGES_A_LOOK: u64 = 16;

impl<T: Transaction> Records<'_, T> {
    /// Writes that something happens now. `subject` is a name, fully qualified, or
    /// the digest of what has none. What is written first has happened first.
    pub(in super::super) fn tell<H: Host>(
        &self,
        host: &H,
        action: Action,
        subject: impl Into<String>,
        target: Option<&Digest>,
    ) {
        let (seconds, nanoseconds) = host.clock();
        let later = u64::from(nanoseconds) + u64::from(self.told.replace(self.told.get() + 1));
        let nanoseconds = u32::try_from(later % SECOND_NS).expect("less than a second");
        let time = (seconds.saturating_add_unsigned(later / SECOND_NS), nanoseconds);
        let happening = Happening { time, action, subject: subject.into(), target: target.cloned() };
        self.write(&happening.key(host.random()), happening.encode());
    }

    /// Shows what has happened at `since` and later to `visit`, with its key, in
    /// order of time, until it has seen enough. What cannot be read is passed over.
    pub(in super::super) async fn walk_happenings(
        &self,
        since: (i64, u32),
        mut visit: impl FnMut(&str, Happening) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| match Happening::decode(key, value) {
            Ok(happening) => visit(key, happening),
            Err(_) => ControlFlow::Continue(()),
        };
        // What comes after the time in a key makes it greater than the time alone.
        self.each(EVENT_PREFIX, Some(&Happening::key_of(since)), look).await
    }
}

/// Forgets what happened long ago, now and then, after a change. It is no failure
/// if that fails: the next change tries it too.
pub(in super::super) async fn forget<H: Host>(host: &H, caller: &Caller) {
    if host.random().is_multiple_of(CHANGES_A_LOOK) {
        let _ = forget_old(host, caller).await;
    }
}

async fn forget_old<H: Host>(host: &H, caller: &Caller) -> Result<(), Failure> {
    let records = Records::begin(host, caller).await?;
    let first_kept = Happening::key_of((host.now().saturating_sub(EVENT_AGE_S), 0));
    let mut old = Vec::new();
    let look = |key: &str, _: &[u8]| {
        if old.len() == FORGOTTEN_MAX || key >= first_kept.as_str() {
            return ControlFlow::Break(());
        }
        old.push(key.to_owned());
        ControlFlow::Continue(())
    };
    records.each(EVENT_PREFIX, None, look).await?;
    if old.is_empty() {
        return Ok(());
    }
    for key in &old {
        records.transaction.delete(&records.namespace, key);
    }
    Ok(records.commit().await?)
}
