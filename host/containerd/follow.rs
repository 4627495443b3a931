//! Tells of images what the records say has happened to them, whoever did it: a client of this server, one of docker,
//! or another process. It looks again and again, as `images.watch` does by itself, but at every namespace.
//!
//! The time of a happening is from before its commit. So every look goes back a little, and what was told is kept in
//! mind.

use super::Services;
use crate::images::{Action, Caller, ErrorCode, Event, Failure, Happening};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wharf_containerd_api::Timestamp;
use wharf_containerd_api::images::{ImageCreate, ImageDelete, ImageUpdate};

/// How long it takes until a look follows another.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a commit may take, and how far the clocks of a machine's processes may be apart.
const LATE_S: i64 = 30;

/// When something was, in seconds since 1970, and nanoseconds.
type Moment = (i64, u32);
/// What tells one happening of a namespace from another.
type Mark = (Moment, &'static str, String);

impl Services {
    /// Begins to follow what happens from now on, until `stop` is cancelled.
    pub(super) fn follow(&self, stop: CancellationToken) {
        let (services, since) = (self.clone(), now());
        tokio::spawn(async move {
            let mut past = Past { since, told: BTreeMap::new() };
            while !stop.is_cancelled() {
                if let Err(failure) = past.look(&services, &stop).await {
                    tracing::warn!("what happens to images cannot be told: {failure}");
                }
                tokio::select! { () = stop.cancelled() => {}, () = sleep(LOOK_EVERY) => {} }
            }
        });
    }
}

/// What was told.
struct Past {
    since: Moment,
    /// By namespace. The names are those that were new in a happening, and are still there.
    told: BTreeMap<String, (BTreeSet<Mark>, BTreeSet<String>)>,
}

impl Past {
    async fn look(&mut self, services: &Services, stop: &CancellationToken) -> Result<(), Failure> {
        let caller = services.caller.clone();
        let spaces = services
            .ask("list-namespaces", async |accessor, records| records.call_list_namespaces(accessor, caller).await)
            .await?;
        self.told.retain(|name, _| spaces.iter().any(|space| space.name == *name));
        for space in spaces {
            let caller = Caller { namespace: space.name.clone(), ..services.caller.clone() };
            let (marks, names) = self.told.entry(space.name).or_default();
            let now = now().0;
            let from = self.since.0.max(now.saturating_sub(LATE_S));
            let found = services.happened(&caller, from, now, stop).await?;
            marks.retain(|(time, ..)| time.0 >= from);
            for happening in found {
                if happening.time >= self.since && marks.insert(mark(&happening)) {
                    services.tell_of(&caller, happening, names).await?;
                }
            }
        }
        Ok(())
    }
}

impl Services {
    /// Returns what has happened in a namespace from one second to another.
    async fn happened(
        &self,
        caller: &Caller,
        from: i64,
        until: i64,
        stop: &CancellationToken,
    ) -> Result<Vec<Happening>, Failure> {
        let _turn = self.turns.acquire().await.expect("nobody closes the semaphore");
        let (from, until) = (from.to_string(), until.to_string());
        let mut found = Vec::new();
        let mut keep = |event| {
            if let Event::Happened(happening) = event {
                found.push(happening);
            }
        };
        self.wharf.watch(caller, Some(&from), Some(&until), &[], stop, &mut keep).await?;
        Ok(found)
    }

    /// Tells one happening, if containerd has a word for it. `new` are names that were told to be new.
    async fn tell_of(
        &self,
        caller: &Caller,
        Happening { time, action, subject: name, .. }: Happening,
        new: &mut BTreeSet<String>,
    ) -> Result<(), Failure> {
        let at = Timestamp { seconds: time.0, nanos: i32::try_from(time.1).unwrap_or_default() };
        match action {
            Action::Pull | Action::Tag | Action::Label | Action::Load | Action::Import => {
                let (asked, wanted) = (caller.clone(), name.clone());
                let found = self
                    .ask("get-image", async |accessor, records| records.call_get_image(accessor, asked, wanted).await);
                let (made, labels) = match found.await {
                    Ok(image) => (Some(image.created.0), image.labels.into_iter().collect()),
                    // It is gone by now.
                    Err(Failure::Problem(problem)) if matches!(problem.code, ErrorCode::NotFound) => {
                        (None, BTreeMap::new())
                    }
                    Err(failure) => return Err(failure),
                };
                // A record says in seconds when it was made; the first thing that happened to it since then made it.
                let is_new = made.is_none_or(|made| made >= time.0) && new.insert(name.clone());
                match is_new {
                    true => self.exchange.tell_of(at, &caller.namespace, &ImageCreate { name, labels }),
                    false => self.exchange.tell_of(at, &caller.namespace, &ImageUpdate { name, labels }),
                }
            }
            Action::Untag => {
                new.remove(&name);
                self.exchange.tell_of(at, &caller.namespace, &ImageDelete { name });
            }
            // Not about a name.
            Action::Delete | Action::Prune | Action::Push | Action::Lease | Action::Release | Action::Expire => {}
        }
        Ok(())
    }
}

fn mark(happening: &Happening) -> Mark {
    (happening.time, word(happening.action), happening.subject.clone())
}

/// What keeps different things apart that happened to one name at one moment.
fn word(action: Action) -> &'static str {
    match action {
        Action::Untag => "goes",
        Action::Delete => "is gone",
        _ => "comes",
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or_default(), since.subsec_nanos())
}
