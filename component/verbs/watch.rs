//! What has happened, and what happens from now on: the happenings that are
//! recorded, looked at again and again.
//!
//! The time of a happening is from before its commit, and commits do not end in
//! the order in which they began. So every look goes back a little, and what was
//! told is remembered.

use super::{
    contract::{Caller, Event, Happening},
    failing::{invalid, problem, try_this},
    listen::Listener,
    store::Records,
};
use crate::{
    host::Host,
    nouns::{
        filter::{self, HAPPENING_KEYS, Happenings},
        problem::Problem,
        record::EVENT_AGE_S,
        time,
    },
    registry::Failure,
};
use std::{collections::BTreeMap, ops::ControlFlow};

/// How long it takes until a look follows another.
const LOOK_EVERY_MS: u64 = 500;
/// How long a commit may take, and how far the clocks of a machine's processes may
/// be apart.
const LATE_S: i64 = 30;
/// How long after `until` a look still finds what was being committed then.
const AFTER_S: i64 = 2;
/// How many are told at once.
const TOLD_AT_ONCE: usize = 1_000;

/// Tells what has happened, and what happens. See `images.watch`.
///
/// That `listener` hears no more is how it ends without `until`, and no failure.
pub async fn watch<H: Host>(
    host: &H,
    caller: &Caller,
    since: Option<&str>,
    until: Option<&str>,
    filters: &[String],
    listener: &impl Listener,
) -> Result<(), Problem> {
    let work = async {
        let begun = host.clock();
        Past::asked(begun, since, until, filters)?.follow(host, caller, begun.0, listener).await
    };
    work.await.map_err(problem("cannot tell what happens"))
}

/// Fails as [`watch`] does if something of this cannot be read, and tells nothing.
pub(crate) fn check<H: Host>(
    host: &H,
    since: Option<&str>,
    until: Option<&str>,
    filters: &[String],
) -> Result<(), Problem> {
    Past::asked(host.clock(), since, until, filters).map(drop).map_err(problem("cannot tell what happens"))
}

/// What is asked for, and what was told of it.
struct Past {
    since: (i64, u32),
    /// The last second that is asked for.
    until: Option<i64>,
    filters: Happenings,
    /// The keys, with their times in seconds.
    told: BTreeMap<String, i64>,
}

impl Past {
    fn asked(begun: (i64, u32), since: Option<&str>, until: Option<&str>, filters: &[String]) -> Result<Self, Failure> {
        let filters = Happenings::parse(filters).map_err(refused)?;
        let moment = |text: &str| {
            let error = || invalid(filter::Error::Time(text.to_owned()));
            time::parse_moment(text, begun.0).ok_or_else(error)
        };
        let since = since.map(moment).transpose()?.map_or(begun, |since| (since, 0));
        let until = until.map(moment).transpose()?;
        Ok(Self { since, until, filters, told: BTreeMap::new() })
    }

    async fn follow<H: Host>(
        mut self,
        host: &H,
        caller: &Caller,
        begun: i64,
        listener: &impl Listener,
    ) -> Result<(), Failure> {
        let end = self.until.map(|until| if until > begun { until.saturating_add(AFTER_S) } else { until });
        let mut from = self.since;
        loop {
            let now = host.clock();
            let mut news = self.news(host, caller, from, now.0).await?.into_iter().peekable();
            // Without news it is only asked whether anybody listens.
            loop {
                let some = news.by_ref().take(TOLD_AT_ONCE).map(Event::Happened).collect();
                if !listener.hear(some).await {
                    return Ok(());
                }
                if news.peek().is_none() {
                    break;
                }
            }
            if end.is_some_and(|end| now.0 >= end) {
                return Ok(());
            }
            from = self.since.max((now.0.saturating_sub(LATE_S), 0));
            host.sleep(LOOK_EVERY_MS).await;
        }
    }

    /// Returns what was not told yet, in order of time.
    async fn news<H: Host>(
        &mut self,
        host: &H,
        caller: &Caller,
        from: (i64, u32),
        now: i64,
    ) -> Result<Vec<Happening>, Failure> {
        // A clock that was set back does not bring back what was told, as long as that is recorded.
        self.told.retain(|_, time| *time >= now.saturating_sub(EVENT_AGE_S));
        let mut news = Vec::new();
        let records = Records::begin(host, caller).await?;
        let visit = |key: &str, happening: Happening| {
            if self.until.is_some_and(|until| happening.time.0 > until) {
                return ControlFlow::Break(());
            }
            if self.filters.pass(&happening) && self.told.insert(key.to_owned(), happening.time.0).is_none() {
                news.push(happening);
            }
            ControlFlow::Continue(())
        };
        records.walk_happenings(from, visit).await?;
        Ok(news)
    }
}

fn refused(error: filter::Error) -> Failure {
    let is_unknown = matches!(error, filter::Error::HappeningKey(_) | filter::Error::Form(_));
    let failure = invalid(error);
    if is_unknown {
        let keys = HAPPENING_KEYS.map(|key| format!("`{key}`")).join(" and ");
        return try_this(failure, format!("the filters are {keys}, as in `--filter event=tag`"));
    }
    failure
}
