//! All images of a namespace as they were at one moment, and how one of them is
//! found by what a person types. It reads records only.

use super::{
    choose::{self, Wish},
    contract::{Caller, Image, Target},
    failing::{fail, invalid, try_this},
    store::Records,
};
use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        platform::{Platform, best},
        problem::ErrorCode,
        record::{self, ImageRecord, Pointer, Present, PresentView, View},
        reference::{self, Any, Reference},
        retention::{RETENTION_LABEL, Retention},
    },
    registry::Failure,
};
use std::collections::BTreeMap;

/// The shortest beginning of an ID that is looked for.
const PREFIX_DIGITS_MIN: usize = 4;
/// How many candidates a message lists.
const LISTED_MAX: usize = 20;

/// One image.
pub(super) struct Entry {
    pub(super) name: Reference,
    pub(super) record: ImageRecord,
}

/// The images of a namespace, in order of name.
pub(super) struct Library {
    pub(super) machine: Platform,
    pub(super) entries: Vec<Entry>,
    pub(super) damaged: Vec<Damaged>,
}

/// What a text means: an image, and one of its platforms if the text is the
/// digest of that one's manifest or config.
#[derive(Clone, Copy)]
pub(super) struct Meant<'l> {
    pub(super) entry: &'l Entry,
    pub(super) present: Option<&'l Present>,
}

/// A name, and why its record cannot be used.
pub(super) type Damaged = (String, record::Error);

/// Checks a name and its record, as they were found.
pub(super) fn check<'r>(
    name: &str,
    record: Result<View<'r>, record::Error>,
) -> Result<(Reference, View<'r>), record::Error> {
    let record = record?;
    if record.platforms.is_empty() {
        return Err(record::Error::Absent);
    }
    let name = Reference::parse_canonical(name).map_err(|error| record::Error::Damaged(error.to_string()))?;
    Ok((name, record))
}

impl Library {
    /// Reads all records of the caller's namespace.
    pub(super) async fn load<H: Host>(host: &H, caller: &Caller) -> Result<Self, Failure> {
        let mut library = Self { machine: choose::machine(&caller.machine)?, entries: Vec::new(), damaged: Vec::new() };
        let records = Records::begin(host, caller).await?;
        let read = |name: &str, record: Result<View<'_>, _>| match check(name, record) {
            Ok((name, mut view)) => {
                // No image is found by its labels, and all images are held at once here.
                view.platforms.iter_mut().for_each(|present| present.labels.clear());
                library.entries.push(Entry { name, record: (&view).into() });
            }
            Err(error) => library.damaged.push((name.to_owned(), error)),
        };
        records.walk(read).await?;
        Ok(library)
    }

    /// Finds an image by its name, by a digest, or by its ID or the beginning
    /// of one.
    pub(super) fn find(&self, text: &str) -> Result<Meant<'_>, Failure> {
        if text.len() > reference::REFERENCE_BYTES_MAX {
            return Err(invalid(reference::Error::TooLong));
        }
        let named = match reference::parse_any(text) {
            Ok(Any::Digest(digest) | Any::Identifier(digest)) => {
                return self.one_of(text, |held| *held == digest).unwrap_or_else(|| Err(absent(text, None)));
            }
            Ok(Any::Reference(typed)) => Ok(typed),
            Err(error) => Err(error),
        };
        if let Ok(typed) = &named
            && let Some(found) = self.named(typed)?
        {
            return Ok(found);
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.len() >= PREFIX_DIGITS_MIN
            && prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && let Some(found) = self.one_of(text, |held| held.encoded().starts_with(prefix))
        {
            return found;
        }
        match named {
            Ok(typed) => Err(absent(text, Some(&typed))),
            Err(error) => Err(invalid(error)),
        }
    }

    fn named(&self, typed: &Reference) -> Result<Option<Meant<'_>>, Failure> {
        let name = typed.clone().with_default_tag();
        let repository = typed.repository();
        let found = match typed.digest() {
            // The tag beside a digest was not recorded, so the digest alone decides.
            Some(digest) => self
                .entries
                .iter()
                .filter(|entry| entry.name.repository() == repository)
                .find_map(|entry| matching(entry, |held| held == digest).map(|(_, meant)| meant)),
            None => {
                let entry = self.entries.iter().find(|entry| entry.name == name);
                entry.map(|entry| Meant { entry, present: None })
            }
        };
        let wanted = name.to_string();
        match self.damaged.iter().find(|(damaged, _)| found.is_none() && *damaged == wanted) {
            Some((damaged, error)) => {
                // There is a name, and as far as anybody can tell no image.
                let code = if *error == record::Error::Absent { ErrorCode::NotFound } else { ErrorCode::Invalid };
                let failure = fail(code, format!("`{damaged}`: {error}"));
                Err(try_this(failure, format!("wharf pull {}", name.familiar())))
            }
            None => Ok(found),
        }
    }

    /// Finds the image with the one digest that is meant. Several images may
    /// have it, as names of one index do; the first is taken.
    fn one_of(&self, text: &str, is_meant: impl Fn(&Digest) -> bool) -> Option<Result<Meant<'_>, Failure>> {
        let mut candidates: BTreeMap<&Digest, Meant<'_>> = BTreeMap::new();
        for entry in &self.entries {
            for (digest, meant) in digests(entry).filter(|(digest, _)| is_meant(digest)) {
                candidates.entry(digest).or_insert(meant);
            }
        }
        let first = *candidates.values().next()?;
        if candidates.len() == 1 {
            return Some(Ok(first));
        }
        let mut why = vec![format!("`{text}` is the beginning of more than one digest")];
        for (digest, meant) in candidates.iter().take(LISTED_MAX) {
            why.push(format!("it may be `{digest}`, which is `{}`", meant.entry.name.familiar()));
        }
        Some(Err(Failure { code: ErrorCode::Invalid, why, fix: Some("type more digits, or a name".to_owned()) }))
    }
}

/// Every digest by which an image is known, and what it means. The target comes
/// first: of an image with one platform it is that one's manifest too.
fn digests(entry: &Entry) -> impl Iterator<Item = (&Digest, Meant<'_>)> {
    let parts = entry.record.platforms.iter().flat_map(move |present| {
        let meant = Meant { entry, present: Some(present) };
        [(&present.manifest.digest, meant), (&present.config, meant)]
    });
    std::iter::once((&entry.record.target.digest, Meant { entry, present: None })).chain(parts)
}

fn matching(entry: &Entry, is_meant: impl Fn(&Digest) -> bool) -> Option<(&Digest, Meant<'_>)> {
    digests(entry).find(|(digest, _)| is_meant(digest))
}

fn absent(text: &str, typed: Option<&Reference>) -> Failure {
    match typed {
        Some(typed) => {
            let name = typed.clone().with_default_tag();
            let failure = fail(ErrorCode::NotFound, format!("no image here is called `{name}`"));
            try_this(failure, format!("wharf pull {}", typed.familiar()))
        }
        None => fail(ErrorCode::NotFound, format!("no image here has the digest `{text}`")),
    }
}

/// One of the platforms of a record.
pub(super) trait Here {
    /// As in `linux/arm64/v8`.
    fn platform(&self) -> Option<&str>;
}

impl Here for Present {
    fn platform(&self) -> Option<&str> {
        self.platform.as_deref()
    }
}

impl Here for PresentView<'_> {
    fn platform(&self) -> Option<&str> {
        self.platform
    }
}

/// Returns what is here for the machine, or else the first that is here.
pub(super) fn best_present<'r, P: Here>(platforms: &'r [P], machine: &Platform) -> Option<&'r P> {
    // Most records have one platform, and reading it costs more than the rest.
    if let [only] = platforms {
        return Some(only);
    }
    choice(platforms, &Wish::of(machine), machine).or_else(|| platforms.first())
}

/// Returns the best of what is here for a platform.
pub(super) fn choice<'r, P: Here>(platforms: &'r [P], wish: &Wish, machine: &Platform) -> Option<&'r P> {
    let read: Vec<(Platform, &P)> = platforms
        .iter()
        .filter_map(|present| Some((Platform::parse(present.platform()?, machine).ok()?, present)))
        .collect();
    best(wish.matcher(), read.iter().map(|(platform, present)| (platform, *present)))
}

/// Returns what people see of a record; none if it has no platform.
pub(super) fn picture(name: &Reference, record: &View<'_>, machine: &Platform) -> Option<Image> {
    let present = best_present(&record.platforms, machine)?;
    let Pointer { media_type, digest, size } = &record.target;
    Some(Image {
        name: name.into(),
        familiar: name.familiar(),
        target: Target { media_type: (*media_type).to_owned(), digest: digest.into(), size: *size },
        id: (&present.config).into(),
        created: present.created,
        updated: record.updated,
        platforms: record.platforms.iter().filter_map(|present| present.platform.map(str::to_owned)).collect(),
        size: record.size,
        retention: Retention::read(record.labels.get(RETENTION_LABEL).copied()),
    })
}
