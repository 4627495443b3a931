//! Filters of the image list, as `docker images --filter` takes them, and as
//! containerd's clients do.
//!
//! It decides about one image at a time and looks nothing up: `before` and
//! `since` name images, and the caller says when those were built.
//!
//! ```text
//! filter     = key "=" value | expression
//! key        = "before" | "dangling" | "label" | "label!" | "reference" | "since" | "until"
//! label      = key [ "=" value ]
//! reference  = a pattern of names, see `nouns::reference::Pattern`
//! expression = see `nouns::expression`; the fields are `name`, `target.digest`,
//!              `target.mediatype` and `labels.<key>`
//! ```
//!
//! Filters of one key are alternatives, except labels: `label` lets pass what has
//! all of them, and `label!` what has not all of them. Expressions are
//! alternatives. All keys, and one of the expressions, have to match.

mod happening;

pub use happening::{HAPPENING_KEYS, Happenings};

use super::{
    digest::{Digest, Hash},
    expression::{self, Expression},
    record::{Action, Labels},
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
    /// It is no expression.
    #[error("`{0}` is not an expression such as `name~=/alpine/`: {1}")]
    Expression(String, expression::Error),
    /// An expression asks for something that no image has.
    #[error("there is no field `{0}`, only `name`, `target.digest`, `target.mediatype` and `labels.<key>`")]
    Field(String),
    /// Nobody filters what has happened by this.
    #[error("there is no filter `{0}`, only `event` and `image`")]
    HappeningKey(String),
    /// Nothing of the kind happens.
    #[error("there is no event `{0}`, only {actions}", actions = actions())]
    Action(String),
}

/// The keys, for a message.
pub const KEYS: [&str; 7] = ["before", "dangling", "label", "label!", "reference", "since", "until"];

/// Filters that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Names of images, as typed.
    pub before: Vec<String>,
    /// Names of images, as typed.
    pub since: Vec<String>,
    references: Vec<Pattern>,
    labels: Vec<(String, Option<String>)>,
    unwanted_labels: Vec<(String, Option<String>)>,
    expressions: Vec<Expression>,
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
    /// The digest of the manifest or index.
    pub digest: &'a Hash<'a>,
    /// What it is.
    pub media_type: &'a str,
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
        if is_expression(filter) {
            self.expressions.push(expression(filter)?);
            return Ok(());
        }
        let (key, value) = filter.split_once('=').ok_or_else(|| Error::Form(filter.to_owned()))?;
        if key.is_empty() || value.is_empty() {
            return Err(Error::Form(filter.to_owned()));
        }
        match key {
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "reference" => self.references.push(pattern(value)?),
            "label" => self.labels.push(label(value)),
            "label!" => self.unwanted_labels.push(label(value)),
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
            && self.dangling.is_none_or(|wanted| wanted == image.name.dangles())
            && (self.labels.is_empty() || image.labels.iter().any(|labels| has_all(labels, &self.labels)))
            && (self.unwanted_labels.is_empty()
                || !image.labels.iter().any(|labels| has_all(labels, &self.unwanted_labels)))
            && (self.references.is_empty() || self.references.iter().any(|pattern| pattern.matches(image.name)))
            && (self.expressions.is_empty() || self.expressions.iter().any(|expression| image.meets(expression)))
    }
}

impl Subject<'_> {
    /// Whether an expression holds for one of the platforms.
    fn meets(&self, expression: &Expression) -> bool {
        let (name, digest) = (self.name.to_string(), Digest::from(self.digest));
        let none = Labels::new();
        let labels = if self.labels.is_empty() { &[&none] } else { self.labels };
        labels.iter().any(|labels| {
            expression.pass(|path| match path {
                [field] if field == "name" => Some(name.as_str()),
                [root, field] if root == "target" && field == "digest" => Some(digest.as_str()),
                [root, field] if root == "target" && field == "mediatype" => Some(self.media_type),
                [root, key @ ..] if root == "labels" => labels.get(key.join(".").as_str()).copied(),
                _ => None,
            })
        })
    }
}

/// Whether a filter is containerd's. `label!=x` is docker's.
fn is_expression(filter: &str) -> bool {
    expression::begins(filter)
        .is_some_and(|(path, operator)| (path.join("."), operator) != ("label".to_owned(), Some("!=")))
}

fn expression(filter: &str) -> Result<Expression, Error> {
    let read = Expression::parse(filter).map_err(|error| Error::Expression(filter.to_owned(), error))?;
    let is_known = |path: &[String]| {
        let path = path.join(".");
        matches!(path.as_str(), "name" | "target.digest" | "target.mediatype") || path.starts_with("labels.")
    };
    let unknown = read.paths().find(|path| !is_known(path)).map(|path| path.join("."));
    unknown.map_or(Ok(read), |path| Err(Error::Field(path)))
}

/// Reads what stands after `reference=`.
fn pattern(text: &str) -> Result<Pattern, Error> {
    Pattern::parse(familiar(text)).map_err(|_| Error::Pattern(text.to_owned()))
}

/// What may happen, for a message.
fn actions() -> String {
    Action::ALL.map(|action| format!("`{}`", action.name())).join(", ")
}

/// Reads what stands after `label=`.
fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Whether these labels have all that are wanted, with the values that are.
fn has_all(labels: &Labels<'_>, wanted: &[(String, Option<String>)]) -> bool {
    wanted.iter().all(|(key, wanted)| {
        labels.get(key.as_str()).is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
    })
}

/// Docker's words for a truth value in a filter.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
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
    use crate::nouns::digest::Algorithm;

    fn filters(texts: &[&str]) -> Result<Filters, Error> {
        Filters::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), 1_000_000)
    }

    /// That of nothing.
    fn a_digest() -> Hash<'static> {
        Hash::from(&Digest::of(Algorithm::Sha256, b""))
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
            ("nmae==alpine", Error::Field("nmae".to_owned())),
            ("name==a,size==5", Error::Field("size".to_owned())),
            ("labels==5", Error::Field("labels".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(filters(&[text]), Err(expected), "{text}");
        }
        assert!(matches!(filters(&["name~=[a"]), Err(Error::Expression(text, _)) if text == "name~=[a"));
        assert_eq!(filters(&["dangling=true", "dangling=0"]), Err(Error::Bool("true,false".to_owned())));
        assert_eq!(filters(&["label=x"; FILTERS_MAX + 1]), Err(Error::TooMany(FILTERS_MAX + 1)));
        assert_eq!(filters(&[&format!("label={}", "x".repeat(2000))]), Err(Error::TooLong(2006)));
    }

    #[test]
    fn what_nobody_has_named_dangles() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let rows = [
            (format!("localhost/imported@{digest}"), true),
            (format!("localhost/loaded@{digest}"), true),
            (format!("localhost/committed@{digest}"), true),
            (format!("localhost/recovered@{digest}"), false),
            (format!("alpine@{digest}"), false),
            ("localhost/imported:1".to_owned(), false),
            (format!("localhost/imported:1@{digest}"), false),
        ];
        for (name, expected) in rows {
            let name = Reference::parse(&name).expect("a name");
            let image = Subject { name: &name, digest: &a_digest(), media_type: "", created: None, labels: &[] };
            let passes = filters(&["dangling=true"]).expect("a filter").pass(image, Bounds::default());
            assert_eq!((passes, name.dangles()), (expected, expected), "{name}");
        }
    }

    #[test]
    fn an_image_passes_if_every_key_does() {
        let labels = Labels::from([("a", "1"), ("b", "")]);
        let name = Reference::parse("alpine:3.20").expect("a name");
        let (digest, media_type) = (a_digest(), "application/vnd.oci.image.index.v1+json");
        let image = Subject { name: &name, digest: &digest, media_type, created: Some(900_000), labels: &[&labels] };
        let rows: [(&[&str], bool); 34] = [
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
            (&["label!=a"], false),
            (&["label!=c"], true),
            (&["label!=a=2"], true),
            (&["label!=a", "label!=c"], true),
            (&["label=b", "label!=a=1"], false),
            (&["name==docker.io/library/alpine:3.20"], true),
            (&["name==alpine:3.20"], false),
            (&["name~=/alp.ne:3/"], true),
            (&["name==x", "name~=20$"], true),
            (&["name==x", "reference=alpine"], false),
            (&["labels.a==1,labels.b"], true),
            (&["labels.a==1,labels.c"], false),
            (&["target.digest~=^sha256:e3b0"], true),
            (&["target.mediatype!=application/json"], true),
            (&["labels.\"a\" != 2"], true),
        ];
        for (texts, expected) in rows {
            let parsed = filters(texts).expect("the rows are filters");
            assert_eq!(parsed.pass(image, Bounds::default()), expected, "{texts:?}");
        }
    }

    #[test]
    fn bounds_leave_out_their_own_moment_and_unknown_times() {
        let name = Reference::parse("a.b/c:1").expect("a name");
        let digest = a_digest();
        let at = |created| Subject { name: &name, digest: &digest, media_type: "", created, labels: &[] };
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
