//! Labels that a person gives to a record or a lease. What they mean is for
//! whoever reads them.
//!
//! The limit is containerd's (`pkg/labels/validate.go`).

/// The longest key and value together, in bytes.
pub const LABEL_BYTES_MAX: usize = 4_096;

/// What the labels of an image's record begin with that are annotations of its target. They are no labels for anybody.
pub const ANNOTATION_PREFIX: &str = "wharf.target.annotation/";

/// Why a label is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no key.
    #[error("a label has a key, as in `team=web`")]
    NoKey,
    /// Key and value are longer than [`LABEL_BYTES_MAX`].
    #[error("the label `{0}` has {1} bytes, and at most {LABEL_BYTES_MAX} are allowed for key and value together")]
    TooLong(String, usize),
}

/// How much of a key a message shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Checks a key and its value.
pub fn check(key: &str, value: &str) -> Result<(), Error> {
    let length = key.len() + value.len();
    if key.is_empty() {
        return Err(Error::NoKey);
    }
    if length > LABEL_BYTES_MAX {
        return Err(Error::TooLong(super::json::shown(key, SHOWN_CHARS_MAX), length));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_key_and_is_not_too_long() {
        let rows = [
            ("a", 4_095, Ok(())),
            ("a", 0, Ok(())),
            ("a", 4_096, Err(Error::TooLong("a".to_owned(), 4_097))),
            ("", 1, Err(Error::NoKey)),
        ];
        for (key, length, expected) in rows {
            assert_eq!(check(key, &"x".repeat(length)), expected, "{key} {length}");
        }
    }
}
