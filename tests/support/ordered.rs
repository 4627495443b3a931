//! The fields of a JSON document in the order of its text, which parsed objects do not keep.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The names of fields with where they are, as in `.RootFS.Layers`, each once, where it comes first.
#[track_caller]
pub(crate) fn fields(text: &str) -> Vec<String> {
    let document: Document = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut names = Vec::new();
    document.walk("", &mut names);
    names
}

enum Document {
    Object(Vec<(String, Document)>),
    List(Vec<Document>),
    Leaf,
}

impl Document {
    fn walk(&self, at: &str, names: &mut Vec<String>) {
        match self {
            Self::Object(fields) => {
                for (name, value) in fields {
                    let name = format!("{at}.{name}");
                    if !names.contains(&name) {
                        names.push(name.clone());
                    }
                    value.walk(&name, names);
                }
            }
            Self::List(list) => list.iter().for_each(|value| value.walk(&format!("{at}[]"), names)),
            Self::Leaf => {}
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Document, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Document::Object(fields))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Document, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Document::List(values))
    }

    fn visit_str<E>(self, _: &str) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Leaf)
    }
}

#[test]
fn fields_come_in_the_order_of_the_text() {
    let text = r#"[{"b": {"d": 1, "c": null}, "a": [{"x": "y"}, {"w": 1.5, "x": true}]}]"#;
    assert_eq!(fields(text), ["[].b", "[].b.d", "[].b.c", "[].a", "[].a[].x", "[].a[].w"]);
}
