//! Which namespaces have records, as a transaction sees it.
//!
//! It is no read in the sense of `commit`: whoever walks namespaces to look at every record would conflict with every
//! new one.

use super::{Error, KEY_BYTES_MAX, Transaction, limit};
use crate::metadata::NAMESPACES_MAX;
use rusqlite::params;
use std::collections::BTreeSet;

/// One step in the index, however many records the namespaces before have.
const SELECT_NEXT: &str = "SELECT min(namespace) FROM record WHERE namespace >= ?1";
const SELECT_KEYS: &str = "SELECT key FROM record WHERE namespace = ?1";

impl Transaction {
    /// Returns up to `count` namespaces that have records and come after `later_than`, in order, and at most
    /// [`NAMESPACES_MAX`]. None, and a count above 0, means that there are no more.
    ///
    /// Fails with [`Error::TooLarge`] if `later_than` is longer than any name.
    pub fn namespaces(&mut self, later_than: Option<&str>, count: u32) -> Result<Vec<String>, Error> {
        limit(later_than.map_or(0, str::len), KEY_BYTES_MAX)?;
        self.pin()?;
        let count = count.min(NAMESPACES_MAX) as usize;
        let written: BTreeSet<&str> =
            self.writes.iter().filter(|(_, value)| value.is_some()).map(|((namespace, _), _)| &**namespace).collect();
        let (mut page, mut first) = (Vec::new(), later_than.map(after).unwrap_or_default());
        while page.len() < count {
            let found = self.first_with_records(&first)?;
            let own = written.range(&*first..).next().map(|namespace| (*namespace).to_owned());
            let Some(next) = found.into_iter().chain(own).min() else { break };
            first = after(&next);
            if written.contains(&*next) || self.keeps_records(&next)? {
                page.push(next);
            }
        }
        Ok(page)
    }

    /// The first namespace of the snapshot from `first` on.
    fn first_with_records(&self, first: &str) -> Result<Option<String>, Error> {
        let mut statement = self.connection().prepare_cached(SELECT_NEXT)?;
        Ok(statement.query_row([first], |row| row.get(0))?)
    }

    /// Whether a namespace of the snapshot has a record that this transaction does not remove.
    fn keeps_records(&self, namespace: &str) -> Result<bool, Error> {
        let mut statement = self.connection().prepare_cached(SELECT_KEYS)?;
        let mut rows = statement.query(params![namespace])?;
        while let Some(row) = rows.next()? {
            if !self.writes.contains_key(&(namespace.to_owned(), row.get(0)?)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The text that comes right after `text`.
fn after(text: &str) -> String {
    format!("{text}\0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;
    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    fn check(transaction: &mut Transaction, later_than: Option<&str>, count: u32, expected: &[&str]) {
        assert_eq!(transaction.namespaces(later_than, count).expect("a page"), expected);
    }

    #[test]
    fn namespaces_are_those_that_have_records_in_the_eyes_of_the_transaction() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("a directory");
        let metadata = Metadata::open(&root, directory.path()).expect("the metadata");
        let begin = || metadata.begin().expect("a transaction");

        let mut first = begin();
        check(&mut first, None, 10, &[]);
        for (namespace, key) in [("b", "1"), ("b", "2"), ("", "1"), ("a", "1"), ("b\0", "1"), ("\u{1f40b}", "1")] {
            first.put(namespace, key, Vec::new());
        }
        first.delete("a", "1");
        check(&mut first, None, 10, &["", "b", "b\0", "\u{1f40b}"]);
        first.commit().expect("nobody else writes");

        let mut second = begin();
        check(&mut second, None, 10, &["", "b", "b\0", "\u{1f40b}"]);
        check(&mut second, None, 2, &["", "b"]);
        check(&mut second, Some("b"), 1, &["b\0"]);
        check(&mut second, Some("absent"), 10, &["b", "b\0", "\u{1f40b}"]);
        check(&mut second, Some("\u{1f40b}"), 10, &[]);
        check(&mut second, None, 0, &[]);
        // Others commit: the snapshot stays, and what was returned is not compared.
        let mut other = begin();
        other.put("other", "1", Vec::new());
        other.commit().expect("nobody else writes");
        second.delete("b", "1");
        second.delete("", "1");
        second.put("c", "1", Vec::new());
        check(&mut second, None, 10, &["b", "b\0", "c", "\u{1f40b}"]);
        second.delete("b", "2");
        check(&mut second, None, 10, &["b\0", "c", "\u{1f40b}"]);
        second.commit().expect("nothing that it compares has changed");
        check(&mut begin(), None, 10, &["b\0", "c", "other", "\u{1f40b}"]);

        let name = "n".repeat(KEY_BYTES_MAX + 1);
        assert!(matches!(begin().namespaces(Some(&name), 1), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_walk_does_not_read_what_is_in_the_namespaces() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("a directory");
        let metadata = Metadata::open(&root, directory.path()).expect("the metadata");
        let transaction = metadata.begin().expect("a transaction");
        let plan = |query: &str| -> String {
            let mut statement =
                transaction.connection().prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("a plan");
            statement.query_row(params!["b"], |row| row.get(3)).expect("a step")
        };
        assert!(
            plan(SELECT_NEXT).starts_with("SEARCH record USING PRIMARY KEY (namespace>?)"),
            "{}",
            plan(SELECT_NEXT)
        );
    }
}
