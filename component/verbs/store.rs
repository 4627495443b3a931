//! The records of one namespace, in one transaction. It knows keys and the
//! schema's version; what is in a record is [`record`]'s matter.

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

/// How many records are read at once.
const PAGE_RECORDS: u32 = 1_000;
/// The longest name of a namespace, as in containerd.
const NAMESPACE_BYTES_MAX: usize = 76;
/// The longest key. It is the host's limit.
const KEY_BYTES_MAX: usize = 1_024;

/// The records of a namespace, as they were at one moment.
pub(super) struct Records<'c, T: Transaction> {
    transaction: T,
    namespace: &'c str,
    schema: Schema,
}

impl<'c, T: Transaction> Records<'c, T> {
    /// Begins a transaction on the caller's namespace.
    ///
    /// Fails if a newer program has written there: nothing is read or written.
    pub(super) async fn begin<H: Host<Transaction = T>>(host: &H, caller: &'c Caller) -> Result<Self, Failure> {
        let namespace = caller.namespace.as_str();
        if !is_namespace(namespace) {
            let why = format!("`{}` is not a namespace, as `default` is", namespace.escape_debug());
            return Err(fail(ErrorCode::Invalid, why));
        }
        let transaction = host.begin().await?;
        let version = transaction.get(namespace, SCHEMA_KEY).await?;
        let schema = Schema::read(version.as_deref()).map_err(|error| match error {
            record::Error::Newer(_) => {
                try_this(fail(ErrorCode::Unsupported, error.to_string()), "use a newer wharf on this store")
            }
            other => fail(ErrorCode::Invalid, format!("{other}, in the namespace `{namespace}`")),
        })?;
        Ok(Self { transaction, namespace, schema })
    }

    /// Returns the record of a name.
    pub(super) async fn get(&self, name: &Reference) -> Result<Option<Result<ImageRecord, record::Error>>, Failure> {
        match self.schema {
            // The read makes a transaction that another one overtakes conflict.
            Schema::New | Schema::Current => {
                let value = self.transaction.get(self.namespace, &key(name)?).await?;
                Ok(value.map(|value| ImageRecord::decode(&value)))
            }
        }
    }

    /// Shows every image record to `visit`, in order of name. No more than two
    /// pages of them are in memory at once.
    pub(super) async fn walk(
        &self,
        mut visit: impl FnMut(&str, Result<View<'_>, record::Error>),
    ) -> Result<(), Failure> {
        let mut page = self.page(None).await?;
        while !page.is_empty() {
            // A page may be short because its records are long, so that only an empty one is the last.
            let next = self.page(page.last().map(|(last, _)| last.as_str()));
            let look = async {
                for (key, value) in &page {
                    visit(key.strip_prefix(IMAGE_PREFIX).unwrap_or(key), View::decode(value));
                }
            };
            // In this order the host reads the next page while this one is looked at.
            let (next, ()) = join(next, look).await;
            page = next?;
        }
        Ok(())
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<(String, Vec<u8>)>, ErrorCode> {
        self.transaction.scan(self.namespace, IMAGE_PREFIX, after, PAGE_RECORDS).await
    }

    /// Writes the record of a name.
    pub(super) fn put(&self, name: &Reference, record: &ImageRecord) -> Result<(), Failure> {
        let value = record.encode().map_err(invalid)?;
        if self.schema == Schema::New {
            self.transaction.put(self.namespace, SCHEMA_KEY, Schema::current());
        }
        self.transaction.put(self.namespace, &key(name)?, value);
        Ok(())
    }

    /// Returns how the blobs of a name came here, if that was recorded.
    pub(super) async fn provenance(
        &self,
        name: &Reference,
    ) -> Result<Option<Result<Provenance, record::Error>>, Failure> {
        let Some(key) = provenance_key(name) else { return Ok(None) };
        let value = self.transaction.get(self.namespace, &key).await?;
        Ok(value.map(|value| Provenance::decode(&value)))
    }

    /// Writes how the blobs of a name came here.
    pub(super) fn put_provenance(&self, name: &Reference, provenance: &Provenance) -> Result<(), Failure> {
        if let Some(key) = provenance_key(name) {
            self.transaction.put(self.namespace, &key, provenance.encode().map_err(invalid)?);
        }
        Ok(())
    }

    /// Makes the writes durable. See `metadata.transaction.commit`.
    pub(super) async fn commit(self) -> Result<(), ErrorCode> {
        self.transaction.commit().await
    }
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

/// Letters and digits, with single `.`, `_` and `-` between them.
fn is_namespace(text: &str) -> bool {
    text.len() <= NAMESPACE_BYTES_MAX
        && text
            .split(['.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_letters_and_digits_with_single_separators() {
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
            assert_eq!(is_namespace(text), expected, "{text}");
        }
        assert!(is_namespace(&"a".repeat(76)) && !is_namespace(&"a".repeat(77)));
    }
}
