//! What an archive may cost, and what it has cost. Everything is counted before it is made, as the archive claims it: a
//! file's size with its holes, however well they compress. That is also why no ratio is limited: what a bomb could fill,
//! the disk and the memory, has limits of its own, and a tar of zeros or of holes is no worse than another one of that
//! size.

use crate::layers::Error;

/// What an archive may cost. Checked before anything is written.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of all files together, holes included.
    pub bytes: u64,
    /// Entries of the archive, and directories that none of them names.
    pub entries: u64,
    /// Directories below each other.
    pub depth: u32,
    /// Bytes of memory for what has to be known until the end: the directories, and what could not be set.
    pub memory: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 1_000_000, depth: 1_024, memory: 48 << 20 }
    }
}

/// How often a symbolic link may be looked for, per entry of the budget: a layer in which every name leads over hundreds
/// of links would keep a processor busy for hours.
const LOOKUPS_PER_ENTRY: u64 = 8;

/// What something that is remembered takes besides its bytes, roughly.
const MEMORY_PER_RECORD: u64 = 96;

/// A budget that is being used up.
#[derive(Debug)]
pub(super) struct Spending {
    limits: Budget,
    bytes: u64,
    entries: u64,
    memory: u64,
    lookups: u64,
}

impl Spending {
    pub(super) fn new(limits: Budget) -> Self {
        Self { limits, bytes: 0, entries: 0, memory: 0, lookups: 0 }
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<(), Error> {
        spend(&mut self.bytes, count, self.limits.bytes, "bytes")
    }

    pub(super) fn entry(&mut self) -> Result<(), Error> {
        spend(&mut self.entries, 1, self.limits.entries, "entries")
    }

    /// Pays for remembering one thing with that many bytes of names and values.
    pub(super) fn memory(&mut self, bytes: usize) -> Result<(), Error> {
        let cost = MEMORY_PER_RECORD.saturating_add(bytes as u64);
        spend(&mut self.memory, cost, self.limits.memory, "bytes of directory names, links and attributes")
    }

    /// Pays for looking whether a component is a symbolic link.
    pub(super) fn lookup(&mut self) -> Result<(), Error> {
        let limit = self.limits.entries.saturating_mul(LOOKUPS_PER_ENTRY);
        spend(&mut self.lookups, 1, limit, "components behind symbolic links")
    }

    /// Checks how many directories a path leads through.
    pub(super) fn depth(&self, path: &[u8]) -> Result<(), Error> {
        let slashes = path.iter().filter(|&&byte| byte == b'/').count() as u64;
        let limit = u64::from(self.limits.depth);
        if slashes < limit { Ok(()) } else { Err(Error::TooLarge { what: "directories below each other", limit }) }
    }
}

fn spend(spent: &mut u64, cost: u64, limit: u64, what: &'static str) -> Result<(), Error> {
    *spent = spent.saturating_add(cost);
    if *spent > limit { Err(Error::TooLarge { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(result: Result<(), Error>) -> Option<&'static str> {
        match result {
            Ok(()) => None,
            Err(Error::TooLarge { what, .. }) => Some(what),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_budget_can_be_spent_to_its_last_unit_and_no_further() {
        let mut spending = Spending::new(Budget { bytes: 10, entries: 2, depth: 2, memory: 200 });
        assert_eq!(limit(spending.bytes(10)), None);
        assert_eq!(limit(spending.bytes(0)), None);
        assert_eq!(limit(spending.bytes(1)), Some("bytes"));
        assert_eq!(limit(spending.bytes(u64::MAX)), Some("bytes"));
        assert_eq!(limit(spending.entry()), None);
        assert_eq!(limit(spending.entry()), None);
        assert_eq!(limit(spending.entry()), Some("entries"));
        assert_eq!(limit(spending.depth(b"a/b")), None);
        assert_eq!(limit(spending.depth(b"a/b/c")), Some("directories below each other"));
        assert_eq!(limit(spending.memory(104)), None);
        assert!(limit(spending.memory(0)).is_some());
    }
}
