//! When a name was last used, apart from its record: whoever mounts an image
//! must not make a pull of it conflict.

use super::{KEY_BYTES_MAX, Records};
use crate::{
    host::{Host, Transaction},
    nouns::{record::USED_PREFIX, reference::Reference},
    registry::Failure,
    verbs::contract::Caller,
};
use std::{collections::BTreeMap, ops::ControlFlow};

/// A use is not written if the last one was so many seconds ago, or fewer.
const WRITTEN_EVERY_S: i64 = 3_600;

/// Records that an image is used now. It is no failure if that fails: it may only
/// make a prune by time take it for older than it is.
pub(in super::super) async fn touch<H: Host>(host: &H, caller: &Caller, name: &Reference, updated: i64) {
    let now = host.now();
    // One from the future was written before the clock was set.
    let is_old = |last: i64| !(now.saturating_sub(WRITTEN_EVERY_S)..=now).contains(&last);
    let write = async {
        let records = Records::begin(host, caller).await?;
        // Whoever takes the name away meanwhile takes this with it, or conflicts.
        let is_here = records.get(name).await?.is_some();
        if is_here && records.used(name).await?.is_none_or(is_old) {
            records.put_used(name, now);
            records.commit().await?;
        }
        Ok::<_, Failure>(())
    };
    if is_old(updated) {
        let _ = write.await;
    }
}

/// When names were last used, by name, in seconds since 1970.
#[derive(Debug, Default)]
pub(in super::super) struct Uses(BTreeMap<String, i64>);

impl Uses {
    /// When a name was last used whose record changed at `updated`: a change is a
    /// use.
    pub(in super::super) fn last(&self, name: &str, updated: i64) -> i64 {
        self.0.get(name).map_or(updated, |used| updated.max(*used))
    }
}

impl<T: Transaction> Records<'_, T> {
    /// Returns when a name was last used without being changed, in seconds since
    /// 1970. What cannot be read was never written.
    pub(in super::super) async fn used(&self, name: &Reference) -> Result<Option<i64>, Failure> {
        let Some(key) = key(name) else { return Ok(None) };
        let value = self.transaction.get(&self.namespace, &key).await?;
        Ok(value.and_then(|value| read(&value)))
    }

    /// Returns when all names were last used.
    pub(in super::super) async fn uses(&self) -> Result<Uses, Failure> {
        let mut uses = Uses::default();
        let look = |key: &str, value: &[u8]| {
            if let (Some(name), Some(used)) = (key.strip_prefix(USED_PREFIX), read(value)) {
                uses.0.insert(name.to_owned(), used);
            }
            ControlFlow::Continue(())
        };
        self.each(USED_PREFIX, None, look).await?;
        Ok(uses)
    }

    /// Writes when a name was used.
    pub(in super::super) fn put_used(&self, name: &Reference, now: i64) {
        if let Some(key) = key(name) {
            self.write(&key, now.to_string().into_bytes());
        }
    }
}

/// None for the few names that are long enough for an image's key alone.
pub(super) fn key(name: &Reference) -> Option<String> {
    Some(format!("{USED_PREFIX}{name}")).filter(|key| key.len() <= KEY_BYTES_MAX)
}

fn read(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_was_last_used_when_it_was_used_or_changed_last() {
        let uses = Uses(BTreeMap::from([("a".to_owned(), 20)]));
        for (name, updated, expected) in [("a", 10, 20), ("a", 30, 30), ("b", 10, 10)] {
            assert_eq!(uses.last(name, updated), expected, "{name} {updated}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_no_time() {
        for (value, expected) in [(&b"17"[..], Some(17)), (b"", None), (b"\xff", None), (b"1h", None)] {
            assert_eq!(read(value), expected, "{value:?}");
        }
    }
}
