//! Filters of the image list, as `docker images --filter` takes them.
//!
//! It decides about one image at a time and looks nothing up: `before` and
//! `since` name images, and the caller says when those were built.
//!
//! ```text
//! filter    = key "=" value
//! key       = "before" | "dangling" | "label" | "reference" | "since" | "until"
//! label     = key [ "=" value ]
//! reference = a pattern of names, see `nouns::reference::Pattern`
//! ```
//!
//! Filters of one key are alternatives, except labels, which all have to match.
//! All keys have to match.

use super::{
    record::Labels,
    reference::{DEFAULT_DOMAIN, Pattern, Reference},
    time,
};

/// Filters in one call.
pub const FILTERS_MAX: usize = 128;
/// Size of one filter.
pub const FILTER_SIZE_BYTES_MAX: usize = 1024;

/// Why a filter is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are more than [`FILTERS_MAX`].
    #[error("{0} filters are more than {FILTERS_MAX}")]
    TooMany(usize),
    /// One is larger than [`FILTER_SIZE_BYTES_MAX`].
    #[error("a filter of {0} bytes is larger than {FILTER_SIZE_BYTES_MAX}")]
    TooLong(usize),
    /// It has no `=`, or nothing on one side of it.
    #[error("`{0}` is not of the form `key=value`")]
    Form(String),
    /// Nobody filters by this.
    #[error("there is no filter `{0}`")]
    Key(String),
    /// It is neither true nor false, or both.
    #[error("`dangling` is `true` or `false`, not `{0}`")]
    Bool(String),
    /// It is no moment.
    #[error("`{0}` is neither a time such as `2024-03-01T12:00:00Z` nor a duration such as `24h`")]
    Time(String),
    /// It is no pattern.
    #[error("`{0}` is not a pattern of names such as `alpine:3.*`")]
    Pattern(String),
}

/// The keys, for a message.
pub const KEYS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// Filters that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Names of images, as typed.
    pub before: Vec<String>,
    /// Names of images, as typed.
    pub since: Vec<String>,
    references: Vec<Pattern>,
    labels: Vec<(String, Option<String>)>,
    until: Option<i64>,
    dangling: Option<bool>,
}

/// When the images of `before` and `since` were built, in seconds since 1970.
/// `None` if the filter is absent; an image without a time has no place here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The latest of the `before` images.
    pub before: Option<i64>,
    /// The earliest of the `since` images.
    pub since: Option<i64>,
}

/// What of an image the filters look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What it is called.
    pub name: &'a Reference,
    /// In seconds since 1970.
    pub created: Option<i64>,
    /// The labels of each platform that is here.
    pub labels: &'a [&'a Labels<'a>],
}

impl Filters {
    /// Reads filters. `now` is the end of a duration in `until`, in seconds
    /// since 1970.
    pub fn parse(filters: &[String], now: i64) -> Result<Self, Error> {
        if filters.len() > FILTERS_MAX {
            return Err(Error::TooMany(filters.len()));
        }
        let mut parsed = Self::default();
        for filter in filters {
            parsed.add(filter, now)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, filter: &str, now: i64) -> Result<(), Error> {
        if filter.len() > FILTER_SIZE_BYTES_MAX {
            return Err(Error::TooLong(filter.len()));
        }
        let (key, value) = filter.split_once('=').ok_or_else(|| Error::Form(filter.to_owned()))?;
        if key.is_empty() || value.is_empty() {
            return Err(Error::Form(filter.to_owned()));
        }
        match key {
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "reference" => {
                let pattern = Pattern::parse(familiar(value)).map_err(|_| Error::Pattern(value.to_owned()))?;
                self.references.push(pattern);
            }
            "label" => self.labels.push(match value.split_once('=') {
                Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            }),
            "until" => {
                let moment = time::parse_moment(value, now).ok_or_else(|| Error::Time(value.to_owned()))?;
                self.until = self.until.max(Some(moment));
            }
            "dangling" => {
                let wanted = boolean(value).ok_or_else(|| Error::Bool(value.to_owned()))?;
                if self.dangling.replace(wanted).is_some_and(|earlier| earlier != wanted) {
                    return Err(Error::Bool("true,false".to_owned()));
                }
            }
            _ => return Err(Error::Key(key.to_owned())),
        }
        Ok(())
    }

    /// Whether an image passes. One whose time is unknown passes no filter by time.
    pub fn pass(&self, image: Subject<'_>, bounds: Bounds) -> bool {
        let earlier = |bound: Option<i64>| bound.is_none_or(|bound| image.created.is_some_and(|moment| moment < bound));
        let later = |bound: Option<i64>| bound.is_none_or(|bound| image.created.is_some_and(|moment| moment > bound));
        earlier(bounds.before)
            && later(bounds.since)
            && earlier(self.until)
            && self.dangling.is_none_or(|wanted| wanted == dangles(image.name))
            && (self.labels.is_empty() || image.labels.iter().any(|labels| self.label(labels)))
            && (self.references.is_empty() || self.references.iter().any(|pattern| pattern.matches(image.name)))
    }

    fn label(&self, labels: &Labels<'_>) -> bool {
        self.labels.iter().all(|(key, wanted)| {
            labels.get(key.as_str()).is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
        })
    }
}

/// Docker's words for a truth value in a filter.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// An image dangles if its name has neither tag nor digest.
fn dangles(name: &Reference) -> bool {
    name.tag().is_none() && name.digest().is_none()
}

/// A pattern is held against familiar names, so one that is written in full is
/// shortened like a name. Where a wildcard stands for the first part of the
/// path, nobody knows whether there is something to shorten.
fn familiar(pattern: &str) -> &str {
    let path = pattern.strip_prefix(DEFAULT_DOMAIN).and_then(|path| path.strip_prefix('/'));
    match path.and_then(|path| path.split_once('/').map(|(first, rest)| (path, first, rest))) {
        Some((_, "library", rest)) if !rest.contains('/') => rest,
        Some((path, first, _)) if !first.contains(['*', '?', '[', '\\']) => path,
        _ => pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Result<Filters, Error> {
        Filters::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), 1_000_000)
    }

    #[test]
    fn what_is_no_filter_is_named() {
        let rows = [
            ("label", Error::Form("label".to_owned())),
            ("=x", Error::Form("=x".to_owned())),
            ("until=", Error::Form("until=".to_owned())),
            ("colour=red", Error::Key("colour".to_owned())),
            ("dangling=maybe", Error::Bool("maybe".to_owned())),
            ("until=soon", Error::Time("soon".to_owned())),
            ("reference=[a", Error::Pattern("[a".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(filters(&[text]), Err(expected), "{text}");
        }
        assert_eq!(filters(&["dangling=true", "dangling=0"]), Err(Error::Bool("true,false".to_owned())));
        assert_eq!(filters(&["label=x"; FILTERS_MAX + 1]), Err(Error::TooMany(FILTERS_MAX + 1)));
        assert_eq!(filters(&[&format!("label={}", "x".repeat(2000))]), Err(Error::TooLong(2006)));
    }

    #[test]
    fn an_image_passes_if_every_key_does() {
        let labels = Labels::from([("a", "1"), ("b", "")]);
        let name = Reference::parse("alpine:3.20").expect("a name");
        let image = Subject { name: &name, created: Some(900_000), labels: &[&labels] };
        let rows: [(&[&str], bool); 19] = [
            (&[], true),
            (&["reference=alpine"], true),
            (&["reference=alpine:*"], true),
            (&["reference=alp*:3.2?"], true),
            (&["reference=docker.io/library/alpine"], true),
            (&["reference=docker.io/library/alp*:3.20"], true),
            (&["reference=docker.io/alpine"], false),
            (&["reference=*/alpine"], false),
            (&["reference=busybox", "reference=alpine"], true),
            (&["label=a"], true),
            (&["label=a=1", "label=b"], true),
            (&["label=b="], true),
            (&["label=a=1", "label=c"], false),
            (&["label=a=2"], false),
            (&["dangling=false"], true),
            (&["dangling=1"], false),
            (&["until=27h"], true),
            (&["until=900000"], false),
            (&["until=5h", "until=900000", "reference=busybox"], false),
        ];
        for (texts, expected) in rows {
            let parsed = filters(texts).expect("the rows are filters");
            assert_eq!(parsed.pass(image, Bounds::default()), expected, "{texts:?}");
        }
    }

    #[test]
    fn bounds_leave_out_their_own_moment_and_unknown_times() {
        let name = Reference::parse("a.b/c:1").expect("a name");
        let at = |created| Subject { name: &name, created, labels: &[] };
        let rows = [
            (Bounds { before: Some(10), since: None }, [true, false, false, false]),
            (Bounds { before: None, since: Some(10) }, [false, false, true, false]),
            (Bounds { before: Some(11), since: Some(9) }, [false, true, false, false]),
        ];
        for (bounds, expected) in rows {
            let passed = [Some(9), Some(10), Some(11), None].map(|time| Filters::default().pass(at(time), bounds));
            assert_eq!(passed, expected, "{bounds:?}");
        }
    }

    #[test]
    fn a_pattern_in_full_is_shortened_like_a_name() {
        let rows = [
            ("docker.io/library/alp*:3", "alp*:3"),
            ("docker.io/bitnami/*", "bitnami/*"),
            ("docker.io/library/a/b", "library/a/b"),
            ("docker.io/*/alpine", "docker.io/*/alpine"),
            ("docker.io/alpine", "docker.io/alpine"),
            ("ghcr.io/org/app", "ghcr.io/org/app"),
            ("docker.iox/library/app", "docker.iox/library/app"),
        ];
        for (pattern, expected) in rows {
            assert_eq!(familiar(pattern), expected);
        }
    }
}
