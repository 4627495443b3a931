//! Platforms: what an image runs on. A map:
//!
//! - `parse`: specifiers, as in `linux/arm64/v8`, and their grammar.
//! - `normalize`: other spellings of the same platform.
//! - `matching`: which images run on a platform, and which of them is best.
//! - `windows`: which builds of Windows run on which.
//! - `detect`: the platform of a machine, from facts that the host found.
//!
//! Nothing here looks at the machine that it runs on: inside a component that
//! would be `wasip2/wasm`. Where a specifier leaves something out, the caller
//! says for which machine it is completed.
//!
//! The rules are those of containerd's platforms library.

mod detect;
mod matching;
mod normalize;
mod parse;
mod windows;

pub use detect::{Facts, arm_version, detect};
pub use matching::{Matcher, best};
pub use parse::{Error, SPECIFIER_BYTES_MAX};

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt::{self, Write as _};

/// A platform, in the form that OCI indexes have it. OCI image-spec,
/// image-index.md, “platform”.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// As in `amd64`: a name of Go's.
    #[serde(deserialize_with = "or_default")]
    pub architecture: String,
    /// As in `linux`: a name of Go's.
    #[serde(deserialize_with = "or_default")]
    pub os: String,
    /// As in `10.0.20348.3091`; for Windows only.
    #[serde(rename = "os.version", deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// As in `win32k`.
    #[serde(rename = "os.features", deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// As in `v7`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Go's decoder, which wrote most of the indexes there are, takes `null` for
/// the empty value of any type, and some documents count on it.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Platform {
    /// Returns the platform `os/architecture`.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_owned(), architecture: architecture.to_owned(), ..Self::default() }
    }

    /// Returns the same platform with this variant.
    pub fn with_variant(self, variant: &str) -> Self {
        Self { variant: variant.to_owned(), ..self }
    }

    /// Returns the specifier with the version and the features of the system,
    /// as in `windows(10.0.20348+win32k)/amd64`. It parses back.
    pub fn format_all(&self) -> String {
        let mut options = encode(&self.os_version);
        let mut features: Vec<&String> = self.os_features.iter().collect();
        features.sort();
        for feature in features {
            options.push('+');
            options.push_str(&encode(feature));
        }
        if options.is_empty() || self.os.is_empty() {
            return self.to_string();
        }
        join(&format!("{}({options})", self.os), &self.architecture, &self.variant)
    }
}

/// The specifier `os/architecture[/variant]`, or `unknown` if there is no
/// system.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return f.write_str("unknown");
        }
        f.write_str(&join(&self.os, &self.architecture, &self.variant))
    }
}

fn join(os: &str, architecture: &str, variant: &str) -> String {
    let parts = [os, architecture, variant];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// Percent-encodes what a specifier cannot have as it is.
fn encode(option: &str) -> String {
    let mut text = String::with_capacity(option.len());
    for byte in option.bytes() {
        if parse::is_letter(byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes every write");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_an_index_entry() {
        let json = r#"{"architecture":"amd64","os":"windows","os.version":"10.0.20348.3091","os.features":["win32k"]}"#;
        let platform: Platform = serde_json::from_str(json).unwrap();
        assert_eq!(platform.format_all(), "windows(10.0.20348.3091+win32k)/amd64");
        assert_eq!(serde_json::to_string(&platform).unwrap(), json);
    }

    #[test]
    fn null_and_absent_are_empty_and_other_types_are_refused() {
        let json = r#"{"os":"linux","architecture":"arm","variant":null,"os.features":null,"features":["sse4"]}"#;
        assert_eq!(serde_json::from_str::<Platform>(json).unwrap(), Platform::new("linux", "arm"));
        assert_eq!(serde_json::from_str::<Platform>("{}").unwrap(), Platform::default());
        for json in [r#"{"os":1}"#, r#"{"os.features":"win32k"}"#, r#"{"os.features":[null]}"#, "null", "[1]"] {
            assert!(serde_json::from_str::<Platform>(json).is_err(), "{json}");
        }
    }

    /// A specifier may bring in any character by its code, which then came out as itself: it could not be read again, and
    /// could steer a terminal.
    #[test]
    fn what_a_specifier_cannot_have_is_written_by_its_code() {
        let host = Platform::new("linux", "amd64");
        for text in ["windows(10.0%0Bbuild.42)/amd64", "windows(1+%1B%5B31m)/amd64", "windows(%C3%BC%20%25)/amd64"] {
            let platform = Platform::parse(text, &host).unwrap();
            assert_eq!(platform.format_all(), text);
            assert_eq!(Platform::parse(&platform.format_all(), &host), Ok(platform));
        }
    }

    #[test]
    fn a_platform_without_a_system_is_unknown() {
        let nameless = Platform { architecture: "amd64".into(), os_version: "1".into(), ..Platform::default() };
        assert_eq!((nameless.to_string(), nameless.format_all()), ("unknown".into(), "unknown".into()));
    }
}
