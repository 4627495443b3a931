//! Patterns of names: what `reference=` filters are written in.
//!
//! It does not know the other filters.
//!
//! ```text
//! pattern = *( "*" / "?" / class / "\" any / any )
//! class   = "[" [ "^" ] 1*( one [ "-" one ] ) "]"
//! one     = "\" any / any except "-" and "]"
//! ```
//!
//! `*` and `?` stand for anything but `/`; `**` means no more than `*`. These
//! are the rules of Go's `path.Match`, which docker's filter applies to the
//! familiar form of a reference, and if that fails to its name alone.

use super::{Error, REFERENCE_BYTES_MAX, Reference};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    One(char),
    AnyOne,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Star,
}

impl Token {
    fn accepts(&self, found: char) -> bool {
        match self {
            Self::One(wanted) => *wanted == found,
            Self::AnyOne => found != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&found)) != *negated
            }
            Self::Star => false,
        }
    }
}

/// A pattern of names, as in `ghcr.io/org/*:v[0-9]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

impl Pattern {
    /// Reads a pattern of at most [`REFERENCE_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(Error::Pattern);
        }
        let mut tokens = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '*' => Token::Star,
                '?' => Token::AnyOne,
                '\\' => Token::One(letters.next().ok_or(Error::Pattern)?),
                '[' => class(&mut letters)?,
                other => Token::One(other),
            });
        }
        Ok(Self(tokens))
    }

    /// Says whether the pattern fits a reference.
    pub fn matches(&self, reference: &Reference) -> bool {
        self.matches_text(&reference.familiar()) || self.matches_text(&reference.familiar_name())
    }

    /// A mismatch lets the last star take one letter more. Earlier stars need
    /// no second chance: what a later star can reach includes all they could
    /// give it. So the time is at most pattern times text.
    fn matches_text(&self, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        let (mut token, mut letter) = (0, 0);
        let mut star = None;
        while token < self.0.len() || letter < letters.len() {
            match (self.0.get(token), letters.get(letter)) {
                (Some(Token::Star), _) => {
                    star = Some((token, letter));
                    token += 1;
                }
                (Some(wanted), Some(found)) if wanted.accepts(*found) => {
                    token += 1;
                    letter += 1;
                }
                _ => match star {
                    Some((at, taken)) if letters.get(taken).is_some_and(|next| *next != '/') => {
                        star = Some((at, taken + 1));
                        token = at + 1;
                        letter = taken + 1;
                    }
                    _ => return false,
                },
            }
        }
        true
    }
}

fn class(letters: &mut std::str::Chars<'_>) -> Result<Token, Error> {
    let negated = letters.as_str().starts_with('^');
    if negated {
        letters.next();
    }
    let mut ranges = Vec::new();
    loop {
        if letters.as_str().starts_with(']') && !ranges.is_empty() {
            letters.next();
            return Ok(Token::Class { negated, ranges });
        }
        let low = one(letters)?;
        let high = if letters.as_str().starts_with('-') {
            letters.next();
            one(letters)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn one(letters: &mut std::str::Chars<'_>) -> Result<char, Error> {
    match letters.next() {
        None | Some('-' | ']') => Err(Error::Pattern),
        Some('\\') => letters.next().ok_or(Error::Pattern),
        Some(letter) => Ok(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_paths_in_go_fit() {
        let rows = [
            ("alpine", "alpine:3.20", true),
            ("alpine:*", "alpine:3.20", true),
            ("alp*", "docker.io/library/alpine", true),
            ("*", "org/app", false),
            ("*/*", "org/app", true),
            ("**", "org/app", false),
            ("a*b*c", "aabbcc", true),
            ("a*b*c", "aab/bcc", false),
            ("app:v[0-9]", "app:v7", true),
            ("app:v[^0-9]", "app:v7", false),
            ("app:v[\\]\\-7]", "app:v7", true),
            ("a?p", "app", true),
            ("org?app", "org/app", false),
            ("\\a\\p\\p", "app", true),
            ("", "app", false),
        ];
        for (pattern, reference, fits) in rows {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(&reference.parse().unwrap()), fits, "{pattern} on {reference}");
        }
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        for pattern in ["[", "[]", "[^]", "[a", "[a-", "[a-]", "[-a]", "\\", "[\\"] {
            assert_eq!(Pattern::parse(pattern), Err(Error::Pattern), "{pattern}");
        }
        assert_eq!(Pattern::parse(&"*".repeat(REFERENCE_BYTES_MAX + 1)), Err(Error::Pattern));
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let pattern = Pattern::parse(&"*a".repeat(REFERENCE_BYTES_MAX / 2)).unwrap();
        let reference = format!("{}:{}", "a".repeat(255 - "library/".len()), "a".repeat(128));
        assert!(!pattern.matches(&reference.parse().unwrap()));
    }
}
