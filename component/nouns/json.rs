//! Strict reading of JSON documents that somebody else wrote.
//!
//! Two readers of one document must never see two meanings. Go's decoder takes
//! the last of two equal keys and takes `MediaType` or `mediaType` for
//! `mediaType`; others take the first, or know exact names only. So a document
//! on which readers may differ is refused here, before anything is believed:
//! duplicate keys at every depth, and keys that differ from a known key by
//! letter case. Size, depth and number of values are bounded in the same walk,
//! so that what is built from the document afterwards is bounded too.
//!
//! It does not write JSON, does not keep unknown keys, and knows no document:
//! each one describes itself with a [`Shape`].

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The size of the largest document, in bytes. Registries refuse larger
/// manifests on push; OCI distribution-spec, “Pushing Manifests”.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// How deep objects and lists may nest. Image documents need six levels.
pub const DEPTH_MAX: usize = 64;
/// How many values a document may have, all depths together. The largest index
/// (1 024 entries with annotations) has about 20 000.
pub const VALUES_MAX: usize = 100_000;
/// How many characters of a document an error message repeats.
const EXCERPT_CHARS_MAX: usize = 120;

/// Why a document was refused. `at` is where reading stopped, as a byte offset:
/// just behind the key or value that is refused, give or take a bracket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is larger than [`DOCUMENT_BYTES_MAX`].
    #[error("the document has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// In bytes.
        size: usize,
        /// In bytes.
        limit: usize,
    },
    /// Objects and lists nest deeper than [`DEPTH_MAX`].
    #[error("the document nests deeper than {limit} levels (byte {at})")]
    TooDeep {
        /// In levels.
        limit: usize,
        /// In bytes.
        at: usize,
    },
    /// A list is longer than its [`Shape`] allows, or the whole document has
    /// more than [`VALUES_MAX`] values.
    #[error("the document has more than {limit} {what} (byte {at})")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// In bytes.
        at: usize,
    },
    /// An object has one key twice.
    #[error("the key `{key}` appears twice in one object (byte {at})")]
    DuplicateKey {
        /// The key, shortened and escaped.
        key: String,
        /// In bytes.
        at: usize,
    },
    /// A key is a known key in other letters: some programs would read it.
    #[error("the key `{key}` is not `{known}`, but some programs take it for that (byte {at})")]
    CaseVariant {
        /// The key, shortened and escaped.
        key: String,
        /// The key that it resembles.
        known: &'static str,
        /// In bytes.
        at: usize,
    },
    /// It is not JSON.
    #[error("the document is not JSON: {message} (byte {at})")]
    Syntax {
        /// What the parser says.
        message: String,
        /// In bytes.
        at: usize,
    },
    /// There is something behind the document.
    #[error("there is more after the end of the document (byte {at})")]
    Trailing {
        /// In bytes.
        at: usize,
    },
    /// It is JSON, but a value has the wrong type.
    #[error("{message} (byte {at})")]
    Mismatch {
        /// What the parser says.
        message: String,
        /// In bytes.
        at: usize,
    },
}

/// What a place in a document is: which keys programs read there.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any value. Keys in it are data, as annotations are, so only exact
    /// duplicates are refused.
    Any,
    /// An object that programs read by these keys. Others may be there.
    Object(&'static [(&'static str, &'static Shape)]),
    /// A list of at most `limit` items.
    List {
        /// What the items are, in the plural.
        name: &'static str,
        /// The shape of each.
        items: &'static Shape,
        /// How many there may be.
        limit: usize,
    },
}

/// Checks a document, then reads it into a type.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], shape: &'static Shape) -> Result<T, Error> {
    check(bytes, shape)?;
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Mismatch { message: message(&error), at: offset(bytes, &error) })
}

/// Walks through a document once and refuses what two readers could read in
/// two ways, and what is out of bounds.
pub fn check(bytes: &[u8], shape: &'static Shape) -> Result<(), Error> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge { size: bytes.len(), limit: DOCUMENT_BYTES_MAX });
    }
    let mut walk = Walk { values: 0, fault: None };
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let root = Place { walk: &mut walk, shape, depth: 0 };
    if let Err(error) = root.deserialize(&mut document) {
        let at = offset(bytes, &error);
        return Err(match walk.fault {
            Some(Fault::Depth) => Error::TooDeep { limit: DEPTH_MAX, at },
            Some(Fault::Many { what, limit }) => Error::TooMany { what, limit, at },
            Some(Fault::Duplicate(key)) => Error::DuplicateKey { key, at },
            Some(Fault::Variant { key, known }) => Error::CaseVariant { key, known, at },
            None => Error::Syntax { message: message(&error), at },
        });
    }
    document.end().map_err(|error| Error::Trailing { at: offset(bytes, &error) })
}

/// Repeats text that somebody else wrote in a message: escaped, and no longer
/// than a line.
pub(crate) fn excerpt(text: &str) -> String {
    shown(text, EXCERPT_CHARS_MAX)
}

/// The same with at most `limit` characters.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(limit).flat_map(escaped).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    // Quotes are left alone: only what could move a cursor is of concern.
    let plain = !character.is_control() && (character.is_ascii() || character.is_alphanumeric());
    let escape = (!plain).then(|| character.escape_unicode());
    plain.then_some(character).into_iter().chain(escape.into_iter().flatten())
}

/// What one walk has seen, and why it ended: `serde` errors carry text only.
struct Walk {
    values: usize,
    fault: Option<Fault>,
}

enum Fault {
    Depth,
    Many { what: &'static str, limit: usize },
    Duplicate(String),
    Variant { key: String, known: &'static str },
}

impl Walk {
    fn refuse<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }
}

/// A value that is about to be read.
struct Place<'w> {
    walk: &'w mut Walk,
    shape: &'static Shape,
    depth: usize,
}

impl Place<'_> {
    fn inside(&mut self, shape: &'static Shape) -> Place<'_> {
        Place { walk: self.walk, shape, depth: self.depth + 1 }
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth < DEPTH_MAX { Ok(()) } else { Err(self.walk.refuse(Fault::Depth)) }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.walk.values += 1;
        if self.walk.values > VALUES_MAX {
            return Err(self.walk.refuse(Fault::Many { what: "values", limit: VALUES_MAX }));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.enter()?;
        let (what, items, limit) = match self.shape {
            Shape::List { name, items, limit } => (*name, *items, *limit),
            Shape::Any | Shape::Object(_) => ("values", &Shape::Any, VALUES_MAX),
        };
        let mut count = 0;
        while list.next_element_seed(self.inside(items))?.is_some() {
            count += 1;
            if count > limit {
                return Err(self.walk.refuse(Fault::Many { what, limit }));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        self.enter()?;
        let known = match self.shape {
            Shape::Object(known) => *known,
            Shape::Any | Shape::List { .. } => &[],
        };
        let mut seen = BTreeSet::new();
        while let Some(key) = object.next_key_seed(Key)? {
            let shape = match known.iter().find(|(name, _)| *name == key) {
                Some((_, shape)) => *shape,
                None => match known.iter().find(|(name, _)| folds_to(&key, name)) {
                    Some((known, _)) => return Err(self.walk.refuse(Fault::Variant { key: excerpt(&key), known })),
                    None => &Shape::Any,
                },
            };
            if seen.contains(&key) {
                return Err(self.walk.refuse(Fault::Duplicate(excerpt(&key))));
            }
            seen.insert(key);
            object.next_value_seed(self.inside(shape))?;
        }
        Ok(())
    }
}

/// A key, borrowed from the document unless it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// Whether Go's `encoding/json` takes `key` for `known`, which is ASCII: it
/// compares by Unicode's simple folding, in which two characters outside ASCII
/// fold to ASCII letters.
fn folds_to(key: &str, known: &str) -> bool {
    let fold = |character: char| match character {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars().map(fold))
}

/// The text of a `serde_json` error without its line and column.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    excerpt(text.strip_suffix(&position).unwrap_or(&text))
}

/// Where a `serde_json` error is, as a byte offset: columns count bytes.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let line = match error.line().saturating_sub(1) {
        0 => 0,
        before => {
            let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            newlines.map(|(at, _)| at + 1).nth(before - 1).unwrap_or(bytes.len())
        }
    };
    line + error.column()
}

/// Reads `null` as the default value, as Go does.
pub(crate) fn null_is_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Reads the keys of an object whose values mean nothing, as in
/// `{"8080/tcp": {}}`; `null` has none.
pub(crate) fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    let map: Option<std::collections::BTreeMap<String, Option<serde::de::IgnoredAny>>> = Option::deserialize(from)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: Shape = Shape::Object(&[("mediaType", &Shape::Any), ("size", &Shape::Any), ("link", &Shape::Any)]);
    const SHAPE: Shape = Shape::Object(&[
        ("mediaType", &Shape::Any),
        ("item", &ITEM),
        ("items", &Shape::List { name: "items", items: &ITEM, limit: 3 }),
        ("annotations", &Shape::Any),
    ]);

    fn check_text(text: &str) -> Result<(), Error> {
        check(text.as_bytes(), &SHAPE)
    }

    #[test]
    fn a_key_may_appear_once_in_an_object_at_every_depth() {
        for (text, key, at) in [
            (r#"{"a":1,"a":1}"#, "a", 10),
            (r#"{"a":1,"\u0061":1}"#, "a", 15),
            (r#"{"":1,"":1}"#, "", 8),
            (r#"{"x":{"y":[{"z":{"q":1,"q":2}}]}}"#, "q", 26),
            ("{\n  \"mediaType\": 1,\n  \"mediaType\": 1\n}", "mediaType", 33),
            (r#"{"annotations":{"k":"1","k":"1"}}"#, "k", 27),
            (r#"{"items":[{"size":1},{"size":1,"size":2}]}"#, "size", 37),
        ] {
            assert_eq!(check_text(text), Err(Error::DuplicateKey { key: key.into(), at }), "{text}");
        }
        assert_eq!(check_text(r#"{"item":{"size":1},"other":{"size":1},"items":[{"size":1},{"size":1}]}"#), Ok(()));
    }

    #[test]
    fn a_known_key_in_other_letters_is_refused_where_programs_would_read_it() {
        for (text, key, known) in [
            (r#"{"mediaType":1,"MediaType":1}"#, "MediaType", "mediaType"),
            (r#"{"MEDIATYPE":1}"#, "MEDIATYPE", "mediaType"),
            (r#"{"item":{"Size":1}}"#, "Size", "size"),
            (r#"{"items":[{"size":1},{"mediatype":1}]}"#, "mediatype", "mediaType"),
            // The long s and the Kelvin sign fold to `s` and `k`.
            (r#"{"item":{"ſize":1}}"#, "ſize", "size"),
            ("{\"item\":{\"lin\u{212a}\":1}}", "lin\u{212a}", "link"),
            (r#"{"Items":[]}"#, "Items", "items"),
        ] {
            match check_text(text) {
                Err(Error::CaseVariant { key: found, known: resembles, .. }) => {
                    assert_eq!((found.as_str(), resembles), (key, known), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for data in [
            r#"{"annotations":{"size":"1","Size":"2","SIZE":"3"}}"#,
            r#"{"unknown":{"MediaType":1,"mediaType":2}}"#,
            r#"{"mediaTypes":1,"media_type":1}"#,
        ] {
            assert_eq!(check_text(data), Ok(()), "{data}");
        }
    }

    #[test]
    fn size_depth_and_counts_are_bounded() {
        let spaces = " ".repeat(DOCUMENT_BYTES_MAX - 2) + "{}";
        assert_eq!(check_text(&spaces), Ok(()));
        let large = Error::TooLarge { size: DOCUMENT_BYTES_MAX + 1, limit: DOCUMENT_BYTES_MAX };
        assert_eq!(check_text(&(spaces + " ")), Err(large));

        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check_text(&nested(DEPTH_MAX)), Ok(()));
        for deep in [nested(DEPTH_MAX + 1), "[".repeat(DOCUMENT_BYTES_MAX), "{\"a\":".repeat(DEPTH_MAX + 1)] {
            assert!(matches!(check_text(&deep), Err(Error::TooDeep { limit: DEPTH_MAX, .. })), "{:.9}", deep);
        }

        let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert_eq!(check_text(&zeros(VALUES_MAX - 1)), Ok(()));
        assert!(matches!(
            check_text(&zeros(VALUES_MAX)),
            Err(Error::TooMany { what: "values", limit: VALUES_MAX, .. })
        ));

        assert_eq!(check_text(r#"{"items":[{},{},{}]}"#), Ok(()));
        let many = check_text(r#"{"items":[{},{},{},{}]}"#).expect_err("there are four");
        assert!(matches!(many, Error::TooMany { what: "items", limit: 3, .. }), "{many:?}");
    }

    #[test]
    fn what_is_not_one_json_document_is_refused_with_its_position() {
        for (text, expected) in [
            ("", Error::Syntax { message: "EOF while parsing a value".into(), at: 0 }),
            ("{\"a\":\n 1.0.0}", Error::Syntax { message: "expected `,` or `}`".into(), at: 11 }),
            ("{} x", Error::Trailing { at: 4 }),
            ("{}{}", Error::Trailing { at: 3 }),
        ] {
            assert_eq!(check_text(text), Err(expected), "{text}");
        }
        for text in ["\u{feff}{}", "{'a':1}", "[1,]", "nul", "\"\\ud800\"", "1e999", "\"\u{1}\""] {
            assert!(matches!(check_text(text), Err(Error::Syntax { .. })), "{text:?}");
        }
        assert!(matches!(check(b"\"\xff\"", &SHAPE), Err(Error::Syntax { .. })));
        assert_eq!(check_text(" {\"a\":[null,true,-1,1.5,\"x\"]}\n\t "), Ok(()));
    }

    #[test]
    fn a_wrong_type_is_told_with_its_position_and_in_one_short_line() {
        #[derive(Debug, Deserialize)]
        struct Sized {
            #[serde(rename = "size")]
            _size: u64,
        }
        let error = parse::<Sized>(br#"{"size":"7682"}"#, &Shape::Any).expect_err("a string is no number");
        assert_eq!(error.to_string(), "invalid type: string \"7682\", expected u64 (byte 14)");

        let hostile = format!(r#"{{"size":"{}\u001b[2J"}}"#, "x".repeat(5_000));
        let error = parse::<Sized>(hostile.as_bytes(), &Shape::Any).expect_err("a string is no number");
        assert!(error.to_string().chars().count() < 200, "{error}");
    }

    #[test]
    fn an_excerpt_cannot_move_the_cursor() {
        assert_eq!(excerpt("plain `text`"), "plain `text`");
        assert_eq!(excerpt("a\x1b[2J\n\u{202e}b"), "a\\u{1b}[2J\\u{a}\\u{202e}b");
        assert_eq!(excerpt(&"x".repeat(500)), "x".repeat(EXCERPT_CHARS_MAX) + "…");
    }
}
