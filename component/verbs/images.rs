//! What is on this machine: the list of images.
//!
//! It reads records only. A record that is damaged hides nothing but itself: it
//! is listed apart, for the log, and the verbs that are asked for it fail.

use super::{
    choose,
    contract::{Caller, Image},
    failing::{because, fail, invalid, problem, try_this},
    library::{Library, best_present, check, picture},
    store::Records,
};
use crate::{
    host::Host,
    nouns::{
        filter::{self, Bounds, Filters, KEYS, Subject},
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::{Pointer, PresentView, View},
        reference::Reference,
    },
    registry::Failure,
};
use std::cmp::Reverse;

/// The images that pass the filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Newest first; those of unknown age last; equals in order of name.
    pub images: Vec<Image>,
    /// One sentence for each record that cannot be read, in order of name.
    pub damaged: Vec<String>,
}

/// Returns the images. See `images.entries`.
pub async fn entries<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<Listing, Problem> {
    listing(host, caller, filters).await.map_err(problem("cannot list the images"))
}

async fn listing<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<Listing, Failure> {
    let mut images = Vec::new();
    let see = |name: &Reference, record: &View<'_>, machine: &Platform| images.extend(picture(name, record, machine));
    let damaged = passing(host, caller, filters, see).await?;
    images.sort_by(|one, other| (Reverse(one.created), &one.name).cmp(&(Reverse(other.created), &other.name)));
    Ok(Listing { images, damaged })
}

/// Shows every record that passes the filters to `see`, in order of name, with what
/// of it is shown. Returns the sentences of [`Listing::damaged`].
pub(crate) async fn each<H: Host>(
    host: &H,
    caller: &Caller,
    filters: &[String],
    mut see: impl FnMut(&Reference, &View<'_>, &PresentView<'_>),
) -> Result<Vec<String>, Problem> {
    let see = |name: &Reference, record: &View<'_>, machine: &Platform| {
        if let Some(present) = best_present(&record.platforms, machine) {
            see(name, record, present);
        }
    };
    passing(host, caller, filters, see).await.map_err(problem("cannot list the images"))
}

async fn passing<H: Host>(
    host: &H,
    caller: &Caller,
    filters: &[String],
    mut see: impl FnMut(&Reference, &View<'_>, &Platform),
) -> Result<Vec<String>, Failure> {
    let machine = choose::machine(&caller.machine)?;
    let filters = Filters::parse(filters, host.now()).map_err(refused)?;
    let bounds = bounds(host, caller, &filters).await?;
    let mut damaged = Vec::new();
    let read = |name: &str, record: Result<View<'_>, _>| match check(name, record) {
        Ok((name, record)) if passes(&name, &record, &machine, &filters, bounds) => see(&name, &record, &machine),
        Ok(_) => {}
        Err(error) => damaged.push(format!("`{}`: {error}", name.escape_debug())),
    };
    Records::begin(host, caller).await?.walk(read).await?;
    Ok(damaged)
}

fn passes(name: &Reference, record: &View<'_>, machine: &Platform, filters: &Filters, bounds: Bounds) -> bool {
    let labels: Vec<_> = record.platforms.iter().map(|present| &present.labels).collect();
    let created = best_present(&record.platforms, machine).and_then(|present| present.created);
    let Pointer { digest, media_type, .. } = &record.target;
    filters.pass(Subject { name, digest, media_type, created, labels: &labels }, bounds)
}

/// Finds the images that the filters name. Only then all records are needed at
/// once.
pub(super) async fn bounds<H: Host>(host: &H, caller: &Caller, filters: &Filters) -> Result<Bounds, Failure> {
    if filters.before.is_empty() && filters.since.is_empty() {
        return Ok(Bounds::default());
    }
    let library = Library::load(host, caller).await?;
    Ok(Bounds {
        before: moments(&library, &filters.before)?.into_iter().max(),
        since: moments(&library, &filters.since)?.into_iter().min(),
    })
}

/// When the images that a filter names were built.
fn moments(library: &Library, names: &[String]) -> Result<Vec<i64>, Failure> {
    let moment = |name: &String| {
        let entry = library.find(name).map_err(because("a filter names an image that is not here"))?.entry;
        best_present(&entry.record.platforms, &library.machine)
            .and_then(|present| present.created)
            .ok_or_else(|| fail(ErrorCode::Invalid, format!("nobody knows when `{}` was built", entry.name.familiar())))
    };
    names.iter().map(moment).collect()
}

pub(super) fn refused(error: filter::Error) -> Failure {
    let is_unknown = matches!(error, filter::Error::Key(_) | filter::Error::Form(_));
    let failure = invalid(error);
    if is_unknown {
        let keys = KEYS.map(|key| format!("`{key}`")).join(", ");
        return try_this(
            failure,
            format!(
                "the filters are {keys}, as in `--filter reference=alpine`, and expressions, as in `name~=/alpine/`"
            ),
        );
    }
    failure
}
