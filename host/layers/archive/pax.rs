//! The records of a PAX extended header: what they say instead of the header
//! block, and extended attributes. Strict: a key stands once, numbers are plain
//! decimal and in range, and nothing is left over.
//!
//! ```text
//! 30 mtime=1350244992.023960108\n      length of the record, space, key, =, value, newline
//! ```
//!
//! POSIX.1-2017, pax, “pax Extended Header”.

use super::{Error, Time, sparse};
use std::collections::BTreeSet;

/// Where extended attributes are: star's key, which GNU tar, docker and
/// containerd write.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the records of one file say.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    /// In the order of the records; no name twice.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: sparse::Pax,
}

impl Records {
    /// Reads the body of an extended header.
    pub(super) fn read(mut body: &[u8]) -> Result<Self, Error> {
        let mut records = Self::default();
        let mut seen = BTreeSet::new();
        while !body.is_empty() {
            let (key, value);
            (key, value, body) = record(body).ok_or(Error::Pax)?;
            // The two that GNU's form 0.0 repeats make a list.
            let repeats = matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
            if !repeats && !seen.insert(key) {
                return Err(Error::Repeated(shown(key)));
            }
            records.take(key, value)?;
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let number = || decimal(value).ok_or_else(|| Error::PaxValue(shown(key)));
        let name = || match value {
            value if value.contains(&0) => Err(Error::PaxValue(shown(key))),
            value => Ok((!value.is_empty()).then(|| value.to_vec())),
        };
        match key {
            b"path" => self.path = name()?,
            b"linkpath" => self.link = name()?,
            // An empty value takes back what a global header said, of which nothing is believed.
            b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {}
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(Time::parse(value).ok_or_else(|| Error::PaxValue(shown(key)))?),
            _ => match key.strip_prefix(XATTR) {
                Some(attribute) if attribute.is_empty() || attribute.contains(&0) => return Err(Error::Pax),
                Some(attribute) => self.xattrs.push((attribute.to_vec(), value.to_vec())),
                None => self.sparse.take(key, value)?,
            },
        }
        Ok(())
    }
}

/// Splits the first record off: key, value and the rest.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, rest))
}

/// Reads digits and nothing else. Nothing is no number.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let (&first, rest) = digits.split_first()?;
    rest.iter().try_fold(decimal_digit(0, first)?, |value, &digit| decimal_digit(value, digit))
}

/// Appends a digit to a number, if it is one and the number has room.
pub(super) fn decimal_digit(value: u64, digit: u8) -> Option<u64> {
    match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    }
}

/// A key for an error message.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().take(64).map(char::from).collect()
}

impl Time {
    /// Reads seconds with an optional fraction, of which nine digits count.
    fn parse(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
            Some(dot) => (&digits[..dot], &digits[dot + 1..]),
            None => (digits, &b""[..]),
        };
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let seconds = i64::try_from(decimal(whole)?).ok()?;
        let mut nanoseconds: u32 = 0;
        for place in 0..9 {
            nanoseconds = nanoseconds * 10 + fraction.get(place).map_or(0, |&digit| u32::from(digit - b'0'));
        }
        Some(match (negative, nanoseconds) {
            (false, _) => Self { seconds, nanoseconds },
            (true, 0) => Self { seconds: -seconds, nanoseconds: 0 },
            // The fraction counts forward: -1.25 is 0.75 after -2.
            (true, _) => Self { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: &str) -> String {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        format!("{length} {key}={value}\n")
    }

    fn read(records: &[(&str, &str)]) -> Result<Records, Error> {
        Records::read(records.iter().map(|(key, value)| line(key, value)).collect::<String>().as_bytes())
    }

    #[test]
    fn records_say_what_the_header_cannot() {
        let records = read(&[
            ("path", "ünï/x=y\nz"),
            ("size", "8589934592"),
            ("uid", "4294967294"),
            ("mtime", "-1.25"),
            ("SCHILY.xattr.user.x", "a\0b"),
            ("comment", "nobody reads this"),
        ])
        .expect("they are well-formed");
        assert_eq!(records.path.as_deref(), Some("ünï/x=y\nz".as_bytes()));
        assert_eq!((records.size, records.uid, records.gid), (Some(8_589_934_592), Some(4_294_967_294), None));
        assert_eq!(records.mtime, Some(Time { seconds: -2, nanoseconds: 750_000_000 }));
        assert_eq!(records.xattrs, [(b"user.x".to_vec(), b"a\0b".to_vec())]);
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for records in [
            &[("size", "1"), ("size", "2")][..],
            &[("size", "-1")],
            &[("size", "18446744073709551616")],
            &[("size", "0x10")],
            &[("size", " 1")],
            &[("uid", "1.5")],
            &[("mtime", "1e9")],
            &[("mtime", "1.x")],
            &[("path", "a\0b")],
            &[("SCHILY.xattr.", "x")],
        ] {
            assert!(read(records).is_err(), "{records:?}");
        }
        for body in ["5 a=b", "6 a=b\n\n", "99 a=b\n", "5 ab\n\n", "4 =\n", "-6 a=b\n", "6  a=b\n", "x"] {
            assert!(Records::read(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
