//! `index.json` as it stands: what wharf does not know is kept as it was written,
//! byte for byte a value, in its order. It does not say what an entry means; see
//! `names`.
//!
//! ```text
//! {"schemaVersion": 2, "mediaType": …, "manifests": [entry, …], "annotations": …, …}
//! ```
//!
//! An entry is any JSON value here. One that is no descriptor is kept like the
//! others: it costs itself only. What is refused is a document in which readers
//! would find different entries.

use super::disk::Disk;
use crate::nouns::{
    json::{DOCUMENT_BYTES_MAX, excerpt},
    media_type,
    problem::ErrorCode,
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// The file.
pub(super) const INDEX: &str = "index.json";
const ENTRIES: &str = "manifests";
const SCHEMA_VERSION: &str = "schemaVersion";

/// Why `index.json` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than any document.
    #[error("it has more than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
    /// It is not a JSON object.
    #[error("{0}")]
    Syntax(String),
    /// Programs would read it in different ways.
    #[error("the key `{0}` stands there twice, or in other letters")]
    Ambiguous(String),
    /// It has other rules than image-index.md.
    #[error("`schemaVersion` is {0}, not 2")]
    SchemaVersion(String),
    /// There are no entries to be found.
    #[error("`manifests` is no list")]
    Entries,
}

/// A JSON object, in its order, with its values as they were written.
#[derive(Clone, Debug)]
pub(super) struct Object(pub(super) Vec<(String, Box<RawValue>)>);

/// The whole document.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Everything but the entries; `manifests` is an empty list in its place.
    head: Object,
    pub(super) entries: Vec<Box<RawValue>>,
}

/// Reads the file; none if it is absent.
pub(super) fn read(disk: &Disk) -> Result<Option<Vec<u8>>, ErrorCode> {
    disk.read(INDEX, DOCUMENT_BYTES_MAX)
}

/// Makes a raw value of text that is JSON.
pub(super) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("whoever calls this has made the text by `serde_json`")
}

impl Index {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let mut head: Object =
            serde_json::from_slice(bytes).map_err(|error| Error::Syntax(excerpt(&error.to_string())))?;
        for (at, (key, _)) in head.0.iter().enumerate() {
            let is_variant = |known: &&str| key != known && key.eq_ignore_ascii_case(known);
            if head.0[..at].iter().any(|(other, _)| other == key) || [ENTRIES, SCHEMA_VERSION].iter().any(is_variant) {
                return Err(Error::Ambiguous(excerpt(key)));
            }
        }
        match head.get(SCHEMA_VERSION).map(RawValue::get) {
            Some("2") => {}
            other => return Err(Error::SchemaVersion(excerpt(other.unwrap_or("missing")))),
        }
        // Go writes an empty list as `null`.
        let entries: Option<Vec<Box<RawValue>>> = match head.get(ENTRIES) {
            Some(entries) => serde_json::from_str(entries.get()).map_err(|_| Error::Entries)?,
            None => None,
        };
        head.set(ENTRIES, raw("[]".to_owned()));
        Ok(Self { head, entries: entries.unwrap_or_default() })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let entries: Vec<&str> = self.entries.iter().map(|entry| entry.get()).collect();
        let mut whole = self.head.clone();
        whole.set(ENTRIES, raw(format!("[{}]", entries.join(","))));
        whole.write().into_bytes()
    }
}

/// An index without entries.
impl Default for Index {
    fn default() -> Self {
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::OCI_INDEX);
        Self::parse(text.as_bytes()).expect("it is a constant")
    }
}

impl Object {
    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| &**value)
    }

    /// Replaces a value in its place, or adds one at the end.
    pub(super) fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(other, _)| other == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(super) fn write(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(key, value)| [&text(key), ":", value.get()].concat()).collect();
        format!("{{{}}}", pairs.join(","))
    }
}

/// Writes a text as JSON.
pub(super) fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written")
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_no_index_is_refused() {
        let rows: [(&str, Error); 9] = [
            ("", Error::Syntax("EOF while parsing a value at line 1 column 0".to_owned())),
            ("[]", Error::Syntax("invalid type: sequence, expected an object at line 1 column 0".to_owned())),
            ("{}", Error::SchemaVersion("missing".to_owned())),
            (r#"{"schemaVersion":1,"manifests":[]}"#, Error::SchemaVersion("1".to_owned())),
            (r#"{"schemaVersion":2,"manifests":{}}"#, Error::Entries),
            (r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#, Error::Ambiguous("manifests".to_owned())),
            (r#"{"schemaVersion":2,"a":1,"a":2}"#, Error::Ambiguous("a".to_owned())),
            (r#"{"schemaVersion":2,"Manifests":[]}"#, Error::Ambiguous("Manifests".to_owned())),
            (r#"{"schemaVersion":2} x"#, Error::Syntax("trailing characters at line 1 column 21".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(Index::parse(text.as_bytes()).map(|_| ()), Err(expected), "{text}");
        }
        assert_eq!(Index::parse(&vec![b' '; DOCUMENT_BYTES_MAX + 1]).map(|_| ()), Err(Error::TooLarge));
    }

    #[test]
    fn an_empty_list_may_be_null_or_absent() {
        for text in [r#"{"schemaVersion":2,"manifests":null}"#, r#"{"schemaVersion":2}"#] {
            let index = Index::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(index.write()).unwrap(), r#"{"schemaVersion":2,"manifests":[]}"#);
        }
    }

    #[test]
    fn numbers_and_escapes_stay_as_they_were_written() {
        let text = r#"{"x":1.0e+400,"schemaVersion":2,"manifests":[{"z":1, "a":"\u00e9\/"},7],"\u0061":-0}"#;
        let index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(index.write()).unwrap(), text.replace(r"\u0061", "a"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }

    proptest! {
        /// Whatever else stands in it, and whatever its entries are.
        #[test]
        fn reading_and_writing_keeps_everything(
            unknown in prop::collection::btree_map("[a-z ]{1,8}", value(), 0..4),
            entries in prop::collection::vec(value(), 0..4),
        ) {
            let mut whole = serde_json::Map::from_iter(unknown);
            whole.insert("schemaVersion".to_owned(), json!(2));
            whole.insert("manifests".to_owned(), json!(entries));
            let text = serde_json::to_vec(&whole).unwrap();
            let index = Index::parse(&text).unwrap();
            prop_assert_eq!(index.entries.len(), entries.len());
            prop_assert_eq!(index.write(), text);
        }
    }
}
