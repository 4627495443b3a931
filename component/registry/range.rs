//! The grammar of `Content-Range`. It does not know what was asked for.
//!
//! ```text
//! header = "bytes" SP ( first "-" last "/" ( total / "*" )  /  "*" "/" total )
//! ```
//!
//! RFC 9110 section 14.4.

/// The part of a document that a response holds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, at least `first`.
    pub last: u64,
    /// Size of the whole document, if the other end knows it; more than `last`.
    pub total: Option<u64>,
}

/// Reads the range of a 206 response. None if it breaks the grammar or
/// contradicts itself.
pub fn parse(header: &str) -> Option<ContentRange> {
    let (range, total) = bytes(header)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some(ContentRange { first, last, total })
}

/// Reads the total size that a 416 response tells, as in `bytes */1234`.
pub fn unsatisfied_total(header: &str) -> Option<u64> {
    number(bytes(header)?.strip_prefix("*/")?)
}

fn bytes(header: &str) -> Option<&str> {
    let (unit, rest) = header.trim().split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

/// Digits only: `u64::from_str` alone would take a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        for (header, expected) in [
            ("bytes 0-0/1", range(0, 0, Some(1))),
            ("bytes 010-020/030", range(10, 20, Some(30))),
            ("Bytes 1000-1010/*", range(1000, 1010, None)),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes +1-2/3", None),
            ("bytes 1-2/-3", None),
            ("bytes */3", None),
            ("bytes 0-18446744073709551616/*", None),
            ("bytes=0-1/2", None),
            ("octets 0-1/2", None),
            ("bytes 1-2/3, bytes 1-2/3", None),
            ("", None),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_refused_range_tells_the_total() {
        assert_eq!(unsatisfied_total("bytes */1234"), Some(1234));
        assert_eq!(unsatisfied_total("bytes */*"), None);
        assert_eq!(unsatisfied_total("bytes 0-1/2"), None);
    }
}
