//! The record of something that has happened. Its key says when, so that
//! records come in order of time.

use super::{Error, read};
use crate::nouns::digest::Digest;
use serde::{Deserialize, Serialize};

/// What the keys of happenings begin with; the time and a random number follow.
pub const EVENT_PREFIX: &str = "event/";
/// How long a happening is remembered, in seconds.
pub const EVENT_AGE_S: i64 = 86_400;

/// What may happen to an image, or to what holds one. See `vocabulary.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// A name came from a registry, or moved to what the registry has now.
    Pull,
    /// A name was given to what is here.
    Tag,
    /// A name went.
    Untag,
    /// An image went with its last name.
    Delete,
    /// A prune has ended.
    Prune,
    /// Labels were changed.
    Label,
    /// A registry has what a name points to here.
    Push,
    /// A name came with an archive.
    Load,
    /// A lease was made.
    Lease,
    /// A lease was ended.
    Release,
    /// A lease was taken away because its time is over.
    Expire,
    /// A name was given to an image that was made of an archive.
    Import,
}

impl Action {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::Pull,
        Self::Tag,
        Self::Untag,
        Self::Delete,
        Self::Prune,
        Self::Label,
        Self::Push,
        Self::Load,
        Self::Lease,
        Self::Release,
        Self::Expire,
        Self::Import,
    ];

    /// As in `untag`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Tag => "tag",
            Self::Untag => "untag",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Label => "label",
            Self::Push => "push",
            Self::Load => "load",
            Self::Lease => "lease",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Import => "import",
        }
    }
}

/// Something that has happened. See `vocabulary.happening`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// In seconds since 1970, and nanoseconds.
    pub time: (i64, u32),
    /// What happened.
    pub action: Action,
    /// The name, fully qualified, or the digest of what has none, or the ID of a lease.
    pub subject: String,
    /// What it pointed to then, or points to now, or holds if that is one thing.
    pub target: Option<Digest>,
}

/// What is in the value; the time is in the key.
#[derive(Serialize, Deserialize)]
struct Value<'r> {
    action: Action,
    subject: &'r str,
    target: Option<&'r str>,
}

impl Happening {
    /// Returns the key of what happened then. `salt` is a random number that keeps
    /// keys of one moment apart.
    pub fn key(&self, salt: u64) -> String {
        format!("{}.{salt:016x}", Self::key_of(self.time))
    }

    /// Returns what the keys of a moment begin with. Times before 1970 are 1970.
    pub fn key_of((seconds, nanoseconds): (i64, u32)) -> String {
        format!("{EVENT_PREFIX}{:012}.{nanoseconds:09}", seconds.max(0))
    }

    /// Reads a record.
    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Damaged("its key is no time".to_owned());
        let mut parts = key.strip_prefix(EVENT_PREFIX).ok_or_else(damaged)?.split('.');
        let seconds = parts.next().and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let nanoseconds = parts.next().and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let Value { action, subject, target } = read(bytes)?;
        let target = target.map(|text| text.parse().map_err(|_| Error::Damaged("its target is no digest".to_owned())));
        Ok(Self { time: (seconds, nanoseconds), action, subject: subject.to_owned(), target: target.transpose()? })
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        let target = self.target.as_ref().map(Digest::as_str);
        postcard::to_allocvec(&Value { action: self.action, subject: &self.subject, target })
            .expect("lengths are known, and writing to memory cannot fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_happening_survives_a_round_trip_and_its_key_is_in_order_of_time() {
        let mut last = String::new();
        for (at, action) in Action::ALL.into_iter().enumerate() {
            let target = (at % 2 == 0).then(|| Digest::of(crate::nouns::digest::Algorithm::Sha512, b"x"));
            let (time, subject) = ((1_700_000_000 + at as i64, at as u32), format!("docker.io/library/a:{at}"));
            let happening = Happening { time, action, subject, target };
            let key = happening.key(7);
            assert!(key > last, "{key}");
            assert_eq!(Happening::decode(&key, &happening.encode()), Ok(happening));
            last = key;
        }
    }
}
