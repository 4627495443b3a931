//! Specifiers: platforms as people write them.
//!
//! It does not match anything; a parsed specifier is one platform, and
//! wildcards are refused.
//!
//! ```text
//! specifier    = system / architecture / system "/" architecture [ "/" variant ]
//! system       = 1*( ALPHA / DIGIT / "_" / "-" ) [ "(" [ option ] *( "+" option ) ")" ]
//! architecture = 1*letter
//! variant      = 1*letter
//! letter       = ALPHA / DIGIT / "_" / "." / "-"
//! option       = 1*( letter / "%" )               ; percent-encoded
//! ```
//!
//! The first option is the version of the system, the others are features. A
//! single part is a system if it names a known one, otherwise it has to be a
//! known architecture; the other half is taken from the machine.

use super::{Platform, normalize};

/// The longest specifier that is looked at, in bytes.
pub const SPECIFIER_BYTES_MAX: usize = 1024;

/// The systems that may stand alone: what Go has a name for.
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// The architectures that may stand alone: what Go has a name for.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Why a text is not a specifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than [`SPECIFIER_BYTES_MAX`].
    #[error("a platform has at most {SPECIFIER_BYTES_MAX} bytes")]
    TooLong,
    /// It has a `*`.
    #[error("`*` is not supported in a platform")]
    Wildcard,
    /// It has more than three parts.
    #[error("a platform has at most three parts: `system/architecture/variant`")]
    Parts,
    /// The first part breaks the grammar.
    #[error("`{}` is not a system, as in `linux` or `windows(10.0.20348)`", .0.escape_debug())]
    System(String),
    /// The second or third part breaks the grammar.
    #[error("`{}` is not an architecture or a variant, as in `arm64` or `v8`", .0.escape_debug())]
    Part(String),
    /// A version or a feature is not percent-encoded UTF-8.
    #[error("`{}` is not percent-encoded", .0.escape_debug())]
    Encoding(String),
    /// A single part is neither a known system nor a known architecture.
    #[error("`{}` is neither a known system nor a known architecture", .0.escape_debug())]
    Unknown(String),
    /// The machine's architecture is no ARM version, and that is all it tells.
    #[error("`{}` is not an ARM machine", .0.escape_debug())]
    Machine(String),
}

impl Platform {
    /// Reads a specifier, and takes what it leaves out from `host`. Takes time
    /// linear in the text.
    pub fn parse(text: &str, host: &Self) -> Result<Self, Error> {
        if text.len() > SPECIFIER_BYTES_MAX {
            return Err(Error::TooLong);
        }
        if text.contains('*') {
            return Err(Error::Wildcard);
        }
        let mut parts = text.splitn(4, '/');
        let first = parts.next().unwrap_or_default();
        let mut platform = system(first)?;
        let rest: Vec<&str> = parts.collect();
        if let Some(part) = rest.iter().find(|part| !is_part(part)) {
            return Err(Error::Part((*part).to_owned()));
        }
        match rest[..] {
            [] => complete(&mut platform, first, host)?,
            [architecture] => set(&mut platform, architecture),
            [architecture, variant] => {
                (platform.architecture, platform.variant) = normalize::architecture(architecture, variant);
                // Who writes the variant of arm64 gets to see it again.
                if platform.architecture == "arm64" && platform.variant.is_empty() {
                    platform.variant = "v8".to_owned();
                }
            }
            _ => return Err(Error::Parts),
        }
        Ok(platform)
    }
}

/// Sets an architecture without a written variant. Plain `arm` is v7, and is
/// shown as plain `arm`.
fn set(platform: &mut Platform, written: &str) {
    (platform.architecture, platform.variant) = normalize::architecture(written, "");
    if platform.architecture == "arm" && platform.variant == "v7" {
        platform.variant.clear();
    }
}

fn complete(platform: &mut Platform, written: &str, host: &Platform) -> Result<(), Error> {
    if SYSTEMS.contains(&platform.os.as_str()) {
        platform.architecture.clone_from(&host.architecture);
        if host.architecture == "arm" && host.variant != "v7" {
            platform.variant.clone_from(&host.variant);
        }
        return Ok(());
    }
    set(platform, written);
    if !ARCHITECTURES.contains(&platform.architecture.as_str()) {
        return Err(Error::Unknown(written.to_owned()));
    }
    platform.os.clone_from(&host.os);
    Ok(())
}

fn system(text: &str) -> Result<Platform, Error> {
    let wrong = || Error::System(text.to_owned());
    let (name, options) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(wrong)?),
        None => (text, ""),
    };
    if name.is_empty() || !name.bytes().all(|byte| is_letter(byte) && byte != b'.') {
        return Err(wrong());
    }
    let mut options = options.split('+');
    let version = options.next().unwrap_or_default();
    let features: Vec<&str> = options.collect();
    let is_option = |option: &str| option.bytes().all(|byte| is_letter(byte) || byte == b'%');
    if !is_option(version) || !features.iter().all(|feature| !feature.is_empty() && is_option(feature)) {
        return Err(wrong());
    }
    Ok(Platform {
        os: normalize::os(name),
        os_version: decode(version)?,
        os_features: features.into_iter().map(decode).collect::<Result<_, _>>()?,
        ..Platform::default()
    })
}

pub(super) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn is_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(is_letter)
}

/// Decodes RFC 3986 percent-encoding.
fn decode(option: &str) -> Result<String, Error> {
    let wrong = || Error::Encoding(option.to_owned());
    let mut pieces = option.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or_else(wrong)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_out_is_that_of_the_host() {
        let arm = |variant: &str| Platform::new("linux", "arm").with_variant(variant);
        let rows = [
            ("linux", arm("v6"), "linux/arm/v6"),
            ("linux", arm("v7"), "linux/arm"),
            ("linux", arm(""), "linux/arm"),
            ("linux", Platform::new("linux", "amd64").with_variant("v3"), "linux/amd64"),
            ("arm64", Platform::new("darwin", "arm64").with_variant("v8"), "darwin/arm64"),
            ("windows(10.0.20348)", Platform::new("linux", "amd64"), "windows/amd64"),
        ];
        for (text, host, expected) in rows {
            assert_eq!(Platform::parse(text, &host).unwrap().to_string(), expected, "{text} on {host}");
        }
    }

    #[test]
    fn broken_specifiers_are_refused() {
        let broken = |text: &str| Platform::parse(text, &Platform::new("linux", "amd64")).unwrap_err();
        assert_eq!(broken("windows(%)/amd64"), Error::Encoding("%".into()));
        assert_eq!(broken("windows(%+1)/amd64"), Error::Encoding("%".into()));
        assert_eq!(broken("windows(%zz)/amd64"), Error::Encoding("%zz".into()));
        assert_eq!(broken("windows(%ff)/amd64"), Error::Encoding("%ff".into()));
        assert_eq!(broken("linux(+)/amd64"), Error::System("linux(+)".into()));
        assert_eq!(broken("linux(a)b/amd64"), Error::System("linux(a)b".into()));
        assert_eq!(broken("linux((a))/amd64"), Error::System("linux((a))".into()));
        assert_eq!(broken("li.nux/amd64"), Error::System("li.nux".into()));
        assert_eq!(broken("linux/é"), Error::Part("é".into()));
        assert_eq!(broken("amd64(1)"), Error::Unknown("amd64(1)".into()));
        assert_eq!(broken(&"a".repeat(SPECIFIER_BYTES_MAX + 1)), Error::TooLong);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_taken_again(text in "\\PC{0,40}|[a-z0-9()+%/.-]{0,20}") {
            let host = Platform::new("linux", "amd64");
            if let Ok(platform) = Platform::parse(&text, &host) {
                let again = Platform::parse(&platform.format_all(), &host);
                prop_assert_eq!(again.map(|again| again.format_all()), Ok(platform.format_all()));
            }
        }

        #[test]
        fn the_long_form_parses_back(
            os in "[a-z]{1,6}", os_version in "[ -~]{0,8}", feature in "[a-z+%/()]{1,5}", architecture in "[a-z0-9]{1,6}",
        ) {
            let platform = Platform { os, os_version, os_features: vec![feature], ..Platform::new("", &architecture) };
            // Letters that no specifier has are not encoded, so they cannot come back.
            if let Ok(parsed) = Platform::parse(&platform.format_all(), &Platform::new("linux", "amd64")) {
                prop_assert_eq!((parsed.os_version, parsed.os_features), (platform.os_version, platform.os_features));
            }
        }
    }
}
