//! Filters that choose among happenings.
//!
//! ```text
//! filter = ( "event=" action ) | ( "image=" pattern )
//! ```
//!
//! A pattern is as in `reference=`; the digest of what the name pointed to is one
//! too. Of one key one has to match, and all keys have to.

use super::{Error, FILTER_SIZE_BYTES_MAX, FILTERS_MAX, Pattern, pattern};
use crate::nouns::{
    digest::Digest,
    record::{Action, Happening},
    reference::Reference,
};

/// The keys, for a message.
pub const HAPPENING_KEYS: [&str; 2] = ["event", "image"];

/// Filters that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happenings {
    actions: Vec<Action>,
    images: Vec<(Pattern, String)>,
}

impl Happenings {
    /// Reads filters.
    pub fn parse(filters: &[String]) -> Result<Self, Error> {
        if filters.len() > FILTERS_MAX {
            return Err(Error::TooMany(filters.len()));
        }
        let mut parsed = Self::default();
        for filter in filters {
            if filter.len() > FILTER_SIZE_BYTES_MAX {
                return Err(Error::TooLong(filter.len()));
            }
            match filter.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty()) {
                Some(("event", value)) => parsed.actions.push(action(value)?),
                Some(("image", value)) => parsed.images.push((pattern(value)?, value.to_owned())),
                Some((key, _)) => return Err(Error::HappeningKey(key.to_owned())),
                None => return Err(Error::Form(filter.clone())),
            }
        }
        Ok(parsed)
    }

    /// Whether something that has happened passes.
    pub fn pass(&self, happening: &Happening) -> bool {
        let Happening { action, subject, target, .. } = happening;
        let is_about = |(pattern, text): &(Pattern, String)| {
            text == subject
                || target.as_ref().map(Digest::as_str) == Some(text)
                || Reference::parse_canonical(subject).is_ok_and(|name| pattern.matches(&name))
        };
        (self.actions.is_empty() || self.actions.contains(action))
            && (self.images.is_empty() || self.images.iter().any(is_about))
    }
}

fn action(text: &str) -> Result<Action, Error> {
    Action::ALL.into_iter().find(|action| action.name() == text).ok_or_else(|| Error::Action(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;

    fn filters(texts: &[&str]) -> Result<Happenings, Error> {
        Happenings::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_has_happened_passes_if_every_key_does() {
        let target = Digest::of(Algorithm::Sha256, b"x");
        let subject = "docker.io/library/alpine:3.20".to_owned();
        let happening = Happening { time: (1, 2), action: Action::Tag, subject, target: Some(target.clone()) };
        let by_digest = format!("image={target}");
        let rows: [(&[&str], bool); 10] = [
            (&[], true),
            (&["event=tag"], true),
            (&["event=untag"], false),
            (&["event=untag", "event=tag"], true),
            (&["image=alpine"], true),
            (&["image=docker.io/library/alpine:3.20"], true),
            (&["image=alp*:3.*", "event=tag"], true),
            (&["image=busybox", "event=tag"], false),
            (&[&by_digest], true),
            (&["image=alpine", "event=prune"], false),
        ];
        for (texts, expected) in rows {
            assert_eq!(filters(texts).unwrap().pass(&happening), expected, "{texts:?}");
        }
        let nameless = Happening { subject: target.to_string(), target: None, ..happening };
        assert!(filters(&[&by_digest]).unwrap().pass(&nameless));
        assert!(!filters(&["image=alpine"]).unwrap().pass(&nameless));
    }

    #[test]
    fn what_is_no_filter_of_happenings_is_named() {
        let rows = [
            ("event", Error::Form("event".to_owned())),
            ("event=", Error::Form("event=".to_owned())),
            ("event=copy", Error::Action("copy".to_owned())),
            ("label=x", Error::HappeningKey("label".to_owned())),
            ("image=[a", Error::Pattern("[a".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(filters(&[text]), Err(expected), "{text}");
        }
        assert_eq!(filters(&["event=tag"; FILTERS_MAX + 1]), Err(Error::TooMany(FILTERS_MAX + 1)));
        assert_eq!(filters(&[&format!("image={}", "x".repeat(2000))]), Err(Error::TooLong(2006)));
    }
}
