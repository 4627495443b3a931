//! Collect: everything that no record and no lease reaches, leases whose time is
//! over, names whose label says that theirs is, and ingests that nobody has touched
//! for long and that no lease holds. A lease may keep such a name, too.

use super::{document::Draft, draft::Desk};
use crate::{
    host::{Host, Unfinished},
    registry::Failure,
    verbs::{contract::Collecting, sweep::held_ingests},
};

/// How many ingests are listed at once.
const PAGE_INGESTS: u32 = 1_000;

pub(super) async fn draft<H: Host>(desk: &Desk<'_, H>, collecting: &Collecting) -> Result<Draft, Failure> {
    let mut draft = Draft::new(&desk.caller.namespace, "collect");
    let now = desk.host.now();
    let expired = desk.own().filter(|root| desk.roots.is_over(root, now));
    draft.names = expired.map(|root| Desk::<H>::untag(root, "its label says that it has expired")).collect();
    draft.leases.clone_from(&desk.roots.expired);
    if !draft.names.is_empty() {
        desk.settle(&mut draft).await?;
    }
    desk.unneeded(&mut draft).await?;
    let held = held_ingests(desk.host, &desk.roots).await?;
    let mut last: Option<String> = None;
    loop {
        let page = desk.host.ingests(last.as_deref(), PAGE_INGESTS).await?;
        let Some(end) = page.last() else { return Ok(draft) };
        last = Some(end.key.clone());
        let is_old = |ingest: &Unfinished| !ingest.held && ingest.age_s >= collecting.ingest_age_s;
        let old = page.into_iter().filter(is_old).filter(|ingest| !held.contains(&ingest.key));
        draft.garbage.ingests.extend(old.map(|ingest| (ingest.key, ingest.size)));
    }
}
