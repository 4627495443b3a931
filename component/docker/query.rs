//! What stands behind `?`, and the forms that docker's clients write it in.
//!
//! ```text
//! flag      = "" | "0" | "no" | "false" | "none" for no; anything else for yes
//! filters   = a JSON object: {"label": {"a=b": true}}, or as old clients write it {"label": ["a=b"]}
//! platform  = a JSON object of the OCI index, or a specifier, as in linux/arm64
//! ```

use super::{refusal::Refusal, version::Version};
use crate::nouns::{json, platform::Platform};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many pairs a query may have.
const PAIRS_MAX: usize = 4_096;

/// Names and values, in the order of the query.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// What filters are wanted of one key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Set(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Query {
    pub(super) fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().take(PAIRS_MAX).collect())
    }

    /// The first value of a name that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| {
            !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// A whole number, if the query has one.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, Refusal> {
        let invalid = |value| Refusal::new(400, format!("`{name}` is a number, not `{value}`"));
        self.text(name).map(|value| value.parse().map_err(|_| invalid(value))).transpose()
    }

    /// The filters, by key, in order.
    pub(super) fn filters(&self) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
        let Some(text) = self.text("filters") else { return Ok(BTreeMap::new()) };
        let invalid = |why: String| Refusal::new(400, format!("invalid filters: {why}"));
        json::check(text.as_bytes(), &json::Shape::Any).map_err(|error| invalid(error.to_string()))?;
        let filters: BTreeMap<String, Values> =
            serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let values = |values| match values {
            Values::Set(set) => set.into_keys().collect(),
            Values::List(list) => list,
        };
        Ok(filters.into_iter().map(|(key, of_key)| (key, values(of_key))).collect())
    }

    /// The filters as verbs take them. Those whose keys are not `known` are refused.
    pub(super) fn known_filters(&self, known: &[&str]) -> Result<Vec<String>, Refusal> {
        let filters = self.filters()?;
        if let Some(unknown) = filters.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(Refusal::new(400, format!("invalid filter '{}'", unknown.escape_debug())));
        }
        let pairs = filters.iter().flat_map(|(key, values)| values.iter().map(move |value| format!("{key}={value}")));
        Ok(pairs.collect())
    }

    /// The platforms under a name, as specifiers. Before API 1.`minor` it is no parameter, and says nothing.
    pub(super) fn platforms_since(&self, minor: u32, version: Version, name: &str) -> Result<Vec<String>, Refusal> {
        let texts = if version.since(minor) { self.all(name) } else { Vec::new() };
        texts.iter().map(|text| platform(text)).collect()
    }

    /// The platforms of an archive: none before API 1.48, and one before 1.52.
    pub(super) fn platforms_of_archive(&self, version: Version) -> Result<Vec<String>, Refusal> {
        let platforms = self.platforms_since(48, version, "platform")?;
        if platforms.len() > 1 && !version.since(52) {
            let why = "several values of `platform` are of API 1.52 and later";
            return Err(Refusal::new(400, why.to_owned()));
        }
        Ok(platforms)
    }

    /// The one platform under `platform`, in the same way.
    pub(super) fn platform_since(&self, minor: u32, version: Version) -> Result<Option<String>, Refusal> {
        self.text("platform").filter(|_| version.since(minor)).map(platform).transpose()
    }
}

/// Returns a platform as a specifier.
fn platform(text: &str) -> Result<String, Refusal> {
    if !text.trim_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    let invalid = |why: String| Refusal::new(400, format!("invalid platform: {why}"));
    json::check(text.as_bytes(), &json::Shape::Any).map_err(|error| invalid(error.to_string()))?;
    let platform: Platform = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(invalid("both OS and Architecture must be provided".to_owned()));
    }
    Ok(platform.format_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_set_by_anything_that_does_not_say_no() {
        let query = Query::read("a=1&b=true&c=0&d=False&e=&f=none&g=no&h=yes&i=%20");
        let set = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|name| query.flag(name));
        assert_eq!(set, [true, true, false, false, false, false, false, true, false, false]);
    }

    #[test]
    fn filters_are_sets_or_lists() {
        let filters = |text: &str| {
            let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            Query::read(&format!("filters={text}")).known_filters(&["label", "dangling"])
        };
        let found = |text| filters(text).map_err(|refusal| refusal.message);
        assert_eq!(
            found(r#"{"label":{"b=2":true,"a":true},"dangling":["true"]}"#),
            Ok(["dangling=true", "label=a", "label=b=2"].map(str::to_owned).to_vec())
        );
        assert_eq!(found("{}"), Ok(Vec::new()));
        assert_eq!(found(r#"{"color":["red"]}"#), Err("invalid filter 'color'".to_owned()));
        for bad in ["", "[", r#"["a"]"#, r#"{"label":"a"}"#, r#"{"label":["a"],"label":["b"]}"#, r#"{"label":{"a":1}}"#]
        {
            assert_eq!(found(bad).is_err(), !bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn the_platforms_of_an_archive_are_those_of_the_version() {
        let one = "platform=linux/arm64";
        let two = "platform=linux/arm64&platform=linux/amd64";
        let rows = [
            (47, two, Ok(0)),
            (47, "platform=%7B", Ok(0)),
            (48, one, Ok(1)),
            (48, "platform=%7B", Err(400)),
            (51, two, Err(400)),
            (52, two, Ok(2)),
        ];
        for (minor, text, expected) in rows {
            let found = Query::read(text).platforms_of_archive(Version::of(minor));
            assert_eq!(found.map(|all| all.len()).map_err(|refusal| refusal.status), expected, "1.{minor} {text}");
        }
    }

    #[test]
    fn a_platform_is_an_object_or_a_specifier() {
        let read = |text: &str| platform(text).map_err(|refusal| refusal.status);
        assert_eq!(read("linux/arm64"), Ok("linux/arm64".to_owned()));
        assert_eq!(read(r#"{"os":"linux","architecture":"arm","variant":"v7"}"#), Ok("linux/arm/v7".to_owned()));
        assert_eq!(read(r#"{"os":"linux"}"#), Err(400));
        assert_eq!(read(r#"{"os":1}"#), Err(400));
    }
}
