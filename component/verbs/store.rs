//! The records of one namespace, in one transaction. It knows keys and the
//! schema's version; what is in a record is [`record`]'s matter.
//!
//! - `named`: image records of whatever name.
//! - `contents`, `writings`, `namespaces`: blobs, ingests and the namespace itself, as programs see them that were
//!   written for containerd.
//! - `leases`: what holds without an image.
//! - `happenings`: what has changed, for a while.
//! - `snapshots`: those that clients call by keys of their own.
//! - `retention`: what is kept of a name that comes.
//! - `used`: when a name was last used.

mod contents;
mod happenings;
mod leases;
mod named;
mod namespaces;
mod retention;
mod snapshots;
mod unread;
mod used;
mod writings;

use super::{
    contract::Caller,
    failing::{fail, invalid, try_this},
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        problem::ErrorCode,
        record::{self, IMAGE_PREFIX, ImageRecord, PROVENANCE_PREFIX, Provenance, SCHEMA_KEY, Schema, View},
        reference::Reference,
    },
    registry::Failure,
};
use futures_util::future::join;
use std::{borrow::Cow, cell::Cell, ops::ControlFlow};

pub(super) use happenings::forget;
pub(super) use used::{Uses, touch};

/// How many records are read at once.
const PAGE_RECORDS: u32 = 1_000;
/// The longest name of a namespace or a lease, as in containerd.
const IDENTIFIER_BYTES_MAX: usize = 76;
/// The longest ID of a lease that a client made.
const LEASE_ID_BYTES_MAX: usize = 255;
/// The longest key. It is the host's limit.
const KEY_BYTES_MAX: usize = 1_024;

/// How often a transaction is begun again because another one was faster.
pub(super) const CONFLICTS_MAX: usize = 16;

/// Changes records: everything that `work` writes, or nothing. It is called again
/// as long as somebody else is faster.
pub(super) async fn change<H: Host, R>(
    host: &H,
    caller: &Caller,
    work: impl AsyncFn(&Records<'_, H::Transaction>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    for _ in 0..CONFLICTS_MAX {
        let records = Records::begin(host, caller).await?;
        let outcome = work(&records).await?;
        match records.commit().await {
            Ok(()) => return Ok(outcome),
            Err(ErrorCode::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(conflict())
}

/// Says that others were always faster.
pub(super) fn conflict() -> Failure {
    fail(ErrorCode::Conflict, format!("the records changed {CONFLICTS_MAX} times while this one was written"))
}

/// The records of a namespace, as they were at one moment.
pub(super) struct Records<'c, T: Transaction> {
    transaction: T,
    namespace: Cow<'c, str>,
    schema: Schema,
    /// How many happenings were written.
    told: Cell<u32>,
}

impl<'c, T: Transaction> Records<'c, T> {
    /// Begins a transaction on the caller's namespace.
    ///
    /// Fails if a newer program has written there: nothing is read or written.
    pub(super) async fn begin<H: Host<Transaction = T>>(host: &H, caller: &'c Caller) -> Result<Self, Failure> {
        let transaction = host.begin().await?;
        let schema = schema(&transaction, &caller.namespace).await?;
        Ok(Self { transaction, namespace: Cow::Borrowed(&caller.namespace), schema, told: Cell::new(0) })
    }

    /// Goes on in another namespace, in the same transaction. Stays where it is if
    /// that fails, which it does as [`Records::begin`].
    pub(super) async fn turn_to(&mut self, namespace: &str) -> Result<(), Failure> {
        self.schema = schema(&self.transaction, namespace).await?;
        self.namespace = Cow::Owned(namespace.to_owned());
        Ok(())
    }

    /// Returns every namespace that has records, in order.
    pub(super) async fn namespaces(&self) -> Result<Vec<String>, Failure> {
        let mut namespaces: Vec<String> = Vec::new();
        loop {
            let page = self.transaction.namespaces(namespaces.last().map(String::as_str), PAGE_RECORDS).await?;
            if page.is_empty() {
                return Ok(namespaces);
            }
            namespaces.extend(page);
        }
    }

    /// Returns the record of a name.
    pub(super) async fn get(&self, name: &Reference) -> Result<Option<Result<ImageRecord, record::Error>>, Failure> {
        match self.schema {
            // The read makes a transaction that another one overtakes conflict.
            Schema::New | Schema::Current => {
                let value = self.transaction.get(&self.namespace, &key(name)?).await?;
                Ok(value.map(|value| ImageRecord::decode(&value)))
            }
        }
    }

    /// Returns the record of a name as it is written.
    pub(super) async fn value(&self, name: &Reference) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.transaction.get(&self.namespace, &key(name)?).await?)
    }

    /// Shows every image record to `visit`, in order of name. No more than two
    /// pages of them are in memory at once.
    pub(super) async fn walk(
        &self,
        mut visit: impl FnMut(&str, Result<View<'_>, record::Error>),
    ) -> Result<(), Failure> {
        self.walk_values(|name, value| visit(name, View::decode(value))).await
    }

    /// The same, with the records as they are written.
    pub(super) async fn walk_values(&self, mut visit: impl FnMut(&str, &[u8])) -> Result<(), Failure> {
        let look = |key: &str, value: &[u8]| {
            visit(key.strip_prefix(IMAGE_PREFIX).unwrap_or(key), value);
            ControlFlow::Continue(())
        };
        self.each(IMAGE_PREFIX, None, look).await
    }

    /// Shows the records to `visit` whose keys begin with `prefix` and come after
    /// `after`, in order of key, until it has seen enough.
    async fn each(
        &self,
        prefix: &str,
        after: Option<&str>,
        mut visit: impl FnMut(&str, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut page = self.page(prefix, after).await?;
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && !page.is_empty() {
            // A page may be short because its records are long, so that only an empty one is the last.
            let next = self.page(prefix, page.last().map(|(last, _)| last.as_str()));
            let look = async { page.iter().try_for_each(|(key, value)| visit(key, value)) };
            // In this order the host reads the next page while this one is looked at.
            let (next, looked) = join(next, look).await;
            (page, flow) = (next?, looked);
        }
        Ok(())
    }

    async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, Vec<u8>)>, ErrorCode> {
        self.transaction.scan(&self.namespace, prefix, after, PAGE_RECORDS).await
    }

    /// Writes the record of a name.
    pub(super) fn put(&self, name: &Reference, record: &ImageRecord) -> Result<(), Failure> {
        self.write(&key(name)?, record.encode().map_err(invalid)?);
        Ok(())
    }

    /// Takes a name away, with all that is recorded of it.
    pub(super) fn delete(&self, name: &Reference) -> Result<(), Failure> {
        let beside = provenance_key(name).into_iter().chain(used::key(name));
        for key in beside.chain([key(name)?]) {
            self.transaction.delete(&self.namespace, &key);
        }
        Ok(())
    }

    /// Writes a record of whatever kind, and with the first one of a namespace
    /// which version they are.
    fn write(&self, key: &str, value: Vec<u8>) {
        if self.schema == Schema::New {
            self.transaction.put(&self.namespace, SCHEMA_KEY, Schema::current());
        }
        self.transaction.put(&self.namespace, key, value);
    }

    /// Returns how the blobs of a name came here, if that was recorded.
    pub(super) async fn provenance(
        &self,
        name: &Reference,
    ) -> Result<Option<Result<Provenance, record::Error>>, Failure> {
        let Some(key) = provenance_key(name) else { return Ok(None) };
        let value = self.transaction.get(&self.namespace, &key).await?;
        Ok(value.map(|value| Provenance::decode(&value)))
    }

    /// Writes how the blobs of a name came here.
    pub(super) fn put_provenance(&self, name: &Reference, provenance: &Provenance) -> Result<(), Failure> {
        if let Some(key) = provenance_key(name) {
            self.write(&key, provenance.encode().map_err(invalid)?);
        }
        Ok(())
    }

    /// Makes the writes durable. See `metadata.transaction.commit`.
    pub(super) async fn commit(self) -> Result<(), ErrorCode> {
        self.transaction.commit().await
    }
}

/// Reads which version the records of a namespace have.
async fn schema(transaction: &impl Transaction, namespace: &str) -> Result<Schema, Failure> {
    if !is_identifier(namespace) {
        let why = format!("`{}` is not a namespace, as `default` is", namespace.escape_debug());
        return Err(fail(ErrorCode::Invalid, why));
    }
    // The read makes a transaction that another one overtakes conflict.
    let version = transaction.get(namespace, SCHEMA_KEY).await?;
    Schema::read(version.as_deref()).map_err(|error| match error {
        record::Error::Newer(_) => {
            try_this(fail(ErrorCode::Unsupported, error.to_string()), "use a newer wharf on this store")
        }
        other => fail(ErrorCode::Invalid, format!("{other}, in the namespace `{namespace}`")),
    })
}

fn key(name: &Reference) -> Result<String, Failure> {
    let key = format!("{IMAGE_PREFIX}{name}");
    if key.len() > KEY_BYTES_MAX {
        Err(invalid(format!("the name has {} bytes, which is too long", key.len())))
    } else {
        Ok(key)
    }
}

/// None for the few names that are long enough for an image's key alone: their
/// images do without.
fn provenance_key(name: &Reference) -> Option<String> {
    Some(format!("{PROVENANCE_PREFIX}{name}")).filter(|key| key.len() <= KEY_BYTES_MAX)
}

/// Whether something may be called so: letters and digits, with single `.`, `_`
/// and `-` between them. containerd, `pkg/identifiers`.
pub(super) fn is_identifier(text: &str) -> bool {
    text.len() <= IDENTIFIER_BYTES_MAX
        && text
            .split(['.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether a lease may be called so. Clients of containerd make IDs of random letters, in which any separators come
/// together; what a person types for a new one is an identifier.
pub(super) fn is_lease_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= LEASE_ID_BYTES_MAX && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_letters_and_digits_with_single_separators() {
        let rows = [
            ("default", true),
            ("k8s.io", true),
            ("a-b_c.d", true),
            ("", false),
            ("-a", false),
            ("a..b", false),
            ("a/b", false),
            ("ä", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_identifier(text), expected, "{text}");
        }
        assert!(is_identifier(&"a".repeat(76)) && !is_identifier(&"a".repeat(77)));
    }
}
