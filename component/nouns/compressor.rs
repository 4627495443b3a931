//! How layers are to be compressed when somebody asks for it, as in `zstd:3` or `gzip`: what, and how hard.

use super::media_type::{Compression, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// RFC 1952 has no levels; these are those that every gzip has.
const GZIP_LEVELS: RangeInclusive<u8> = 1..=9;
const GZIP_LEVEL: u8 = 6;
/// Above them zstd wants windows that not everybody who pulls would make room for.
const ZSTD_LEVELS: RangeInclusive<u8> = 1..=19;
const ZSTD_LEVEL: u8 = 3;

/// A compression with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// RFC 1952, with a level of 1 to 9.
    Gzip(u8),
    /// RFC 8878, with a level of 1 to 19.
    Zstd(u8),
}

/// Why a text is no compressor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else stands before the colon.
    #[error("`{}` is no compression; there are `gzip` and `zstd`", .0.escape_debug())]
    Unknown(String),
    /// What stands behind it is no level of this compression.
    #[error("`{}` is no level of {name}, which has {} to {}", .text.escape_debug(), .levels.start(), .levels.end())]
    Level {
        /// As in `zstd`.
        name: &'static str,
        /// What was said.
        text: String,
        /// What there is.
        levels: RangeInclusive<u8>,
    },
}

impl Compressor {
    /// What a layer is that was compressed so.
    pub fn compression(self) -> Compression {
        match self {
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// The media type of such a layer.
    pub fn layer(self) -> &'static str {
        match self {
            Self::Gzip(_) => OCI_LAYER_GZIP,
            Self::Zstd(_) => OCI_LAYER_ZSTD,
        }
    }
}

impl FromStr for Compressor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let read = |name, levels: RangeInclusive<u8>, usual| {
            let Some(text) = level else { return Ok(usual) };
            // `+3` and `03` would be other spellings of the same.
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            match text.parse() {
                Ok(level) if is_plain && levels.contains(&level) => Ok(level),
                _ => Err(Error::Level { name, text: text.to_owned(), levels }),
            }
        };
        match name {
            "gzip" => read("gzip", GZIP_LEVELS, GZIP_LEVEL).map(Self::Gzip),
            "zstd" => read("zstd", ZSTD_LEVELS, ZSTD_LEVEL).map(Self::Zstd),
            _ => Err(Error::Unknown(name.to_owned())),
        }
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) => write!(formatter, "gzip:{level}"),
            Self::Zstd(level) => write!(formatter, "zstd:{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressor_is_a_name_and_perhaps_a_level() {
        let rows = [
            ("gzip", "gzip:6"),
            ("gzip:1", "gzip:1"),
            ("gzip:9", "gzip:9"),
            ("zstd", "zstd:3"),
            ("zstd:19", "zstd:19"),
        ];
        for (text, expected) in rows {
            let compressor: Compressor = text.parse().unwrap();
            assert_eq!(compressor.to_string(), expected);
            assert_eq!(expected.parse(), Ok(compressor));
        }
    }

    #[test]
    fn what_is_none_is_told_with_what_there_is() {
        for text in ["", "xz", "ZSTD", " gzip", "estargz:3"] {
            assert!(matches!(text.parse::<Compressor>(), Err(Error::Unknown(_))), "{text}");
        }
        for text in ["gzip:", "gzip:0", "gzip:10", "gzip:+3", "gzip:03", "gzip:fast", "gzip:6:7", "zstd:20", "zstd:-1"]
        {
            assert!(matches!(text.parse::<Compressor>(), Err(Error::Level { .. })), "{text}");
        }
        let error = "zstd:22".parse::<Compressor>().unwrap_err();
        assert_eq!(error.to_string(), "`22` is no level of zstd, which has 1 to 19");
    }
}
