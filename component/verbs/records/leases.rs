//! Leases as clients make them: at first they hold nothing, and then one thing after the other. They are the same as
//! those of `wharf lease`.

use super::{
    filters::{Filters, labelled},
    labels::checked,
    read_digest, within,
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        json,
        problem::{ErrorCode, Problem},
        record::{self, Action, EXPIRY_LABEL, LeaseRecord, LeasedRecord},
        time,
    },
    registry::Failure,
    verbs::{
        change::collect_now,
        contract::{
            Caller,
            records::{Hold, Labels, Resource},
        },
        failing::{because, fail, invalid, try_this},
        leases::in_hand,
        reach::found,
        roots::{IMAGES, INGESTS, SNAPSHOTS},
        store::{self, Records},
    },
};

/// What leases call blobs.
const CONTENT: &str = "content";
/// How much one lease holds at most of each kind.
const RESOURCES_MAX: usize = 20_000;
/// The longest kind, and the longest name of an ingest or a snapshot.
const RESOURCE_BYTES_MAX: usize = 4_096;
/// How much of a text a message shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Makes a lease. See `records.create-lease`.
pub async fn create<H: Host>(host: &H, caller: &Caller, id: Option<&str>, labels: &Labels) -> Result<Hold, Problem> {
    let work = async {
        let id = id.map_or_else(|| format!("{:016x}", host.random()), str::to_owned);
        check_id(&id)?;
        let labels = checked(labels)?;
        let expires = labels.get(EXPIRY_LABEL).map(|text| {
            let why = format!("`{}` is no time such as `2024-03-01T12:00:00Z`", json::shown(text, SHOWN_CHARS_MAX));
            time::parse(text).ok_or_else(|| invalid(why))
        });
        let record = LeaseRecord { created: host.now(), expires: expires.transpose()?, labels, holds: Vec::new() };
        store::change(host, caller, async |records| {
            match records.lease(&id).await? {
                None => {}
                Some(Ok(over)) if !over.is_live(host.now()) => {
                    records.delete_lease(host, &id, Some(&over), Action::Expire).await?;
                }
                Some(_) => return Err(fail(ErrorCode::InUse, format!("there is a lease `{}`", id.escape_debug()))),
            }
            records.put_lease(host, &id, &record);
            Ok(())
        })
        .await?;
        store::forget(host, caller).await;
        Ok(picture(&id, record))
    };
    within(caller, "cannot make the lease", work).await
}

/// Ends a lease. See `records.delete-lease`.
pub async fn delete<H: Host>(host: &H, caller: &Caller, id: &str, sync: bool) -> Result<(), Problem> {
    let work = async {
        store::change(host, caller, async |records| {
            let there = find(records, id).await?.ok_or_else(|| absent(id))?;
            records.delete_lease(host, id, there.as_ref().ok(), Action::Release).await
        })
        .await?;
        store::forget(host, caller).await;
        if sync {
            collect_now(host, caller).await.map_err(because("the lease has ended, and nothing else is gone"))?;
        }
        Ok(())
    };
    within(caller, format!("cannot end the lease `{}`", id.escape_debug()), work).await
}

/// Returns the leases that pass the filters, in order of ID. See `records.list-leases`.
pub async fn list<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<Vec<Hold>, Problem> {
    let work = async {
        let filters = Filters::read(filters)?;
        let mut leases = Vec::new();
        // One that cannot be read hides nothing but itself.
        let visit = |id: &str, record: Result<LeaseRecord, record::Error>| {
            let lease = record.ok().map(|record| picture(id, record));
            leases.extend(lease.filter(|lease| passes(lease, &filters)));
        };
        Records::begin(host, caller).await?.walk_leases(visit).await?;
        Ok(leases)
    };
    within(caller, "cannot list the leases", work).await
}

/// Has a lease hold something. See `records.add-resource`.
pub async fn add_resource<H: Host>(host: &H, caller: &Caller, lease: &str, resource: &Resource) -> Result<(), Problem> {
    let work = async {
        check(resource)?;
        // A collection that runs must not take what the lease holds when this returns.
        let hands = match resource.kind == CONTENT {
            true => Some(in_hand(host, &read_digest(&resource.id)?).await?),
            false => None,
        };
        // Nor what it calls by its ChainID alone.
        let tree = match resource.id.parse() {
            Ok(name) if resource.kind.starts_with(SNAPSHOTS) => found(host.snapshot(&name).await)?,
            _ => None,
        };
        store::change(host, caller, async |records| {
            let record = live(host, records, lease).await?;
            hold(records, lease, record, resource).await
        })
        .await?;
        drop((hands, tree));
        Ok(())
    };
    within(caller, format!("cannot add to the lease `{}`", lease.escape_debug()), work).await
}

/// Has a lease no longer hold something. See `records.delete-resource`.
pub async fn delete_resource<H: Host>(
    host: &H,
    caller: &Caller,
    lease: &str,
    resource: &Resource,
) -> Result<(), Problem> {
    let work = store::change(host, caller, async |records| {
        let mut record = live(host, records, lease).await?;
        check(resource)?;
        if resource.kind != CONTENT {
            records.delete_leased(lease, &leased(resource));
            return Ok(());
        }
        let digest = read_digest(&resource.id)?;
        let before = record.holds.len();
        record.holds.retain(|held| *held != digest);
        if record.holds.len() != before {
            records.change_lease(lease, &record);
        }
        Ok(())
    });
    within(caller, format!("cannot take from the lease `{}`", lease.escape_debug()), work).await
}

/// Returns what a lease holds, in order. See `records.list-resources`.
pub async fn list_resources<H: Host>(host: &H, caller: &Caller, lease: &str) -> Result<Vec<Resource>, Problem> {
    let work = async {
        let records = Records::begin(host, caller).await?;
        let record = find(&records, lease).await?.ok_or_else(|| absent(lease))?.map_err(invalid)?;
        let content = record.holds.iter().map(|held| Resource { kind: CONTENT.to_owned(), id: held.to_string() });
        let mut resources: Vec<Resource> = content.collect();
        let visit = |_: &str, held: Result<LeasedRecord, record::Error>| {
            resources.extend(held.ok().map(|LeasedRecord { kind, id }| Resource { kind, id }));
        };
        records.walk_leased(Some(lease), visit).await?;
        resources.sort();
        Ok(resources)
    };
    within(caller, format!("cannot show the lease `{}`", lease.escape_debug()), work).await
}

/// Has a lease hold something else as well, in a transaction that goes on.
pub(super) async fn hold(
    records: &Records<'_, impl Transaction>,
    lease: &str,
    mut record: LeaseRecord,
    resource: &Resource,
) -> Result<(), Failure> {
    check(resource)?;
    if resource.kind != CONTENT {
        let mut count = 0;
        records.walk_leased(Some(lease), |_, _| count += 1).await?;
        check_room(count)?;
        records.put_leased(lease, &leased(resource));
        return Ok(());
    }
    let digest = read_digest(&resource.id)?;
    if !record.holds.contains(&digest) {
        check_room(record.holds.len())?;
        record.holds.push(digest);
        records.change_lease(lease, &record);
    }
    Ok(())
}

/// Content of this digest, as something that a lease holds.
pub(super) fn content(digest: &crate::nouns::digest::Digest) -> Resource {
    Resource { kind: CONTENT.to_owned(), id: digest.to_string() }
}

/// An ingest of this name, as something that a lease holds.
pub(super) fn ingest(name: &str) -> Resource {
    Resource { kind: INGESTS.to_owned(), id: name.to_owned() }
}

/// A snapshot of this key, as something that a lease holds.
pub(super) fn snapshot(key: &str) -> Resource {
    Resource { kind: format!("{SNAPSHOTS}overlayfs"), id: key.to_owned() }
}

/// Has the leases of the namespace no longer hold what is meant, in a transaction that goes on.
pub(super) async fn let_go(
    records: &Records<'_, impl Transaction>,
    is_meant: impl Fn(&LeasedRecord) -> bool,
) -> Result<(), Failure> {
    let mut meant = Vec::new();
    let visit = |lease: &str, held: Result<LeasedRecord, record::Error>| {
        meant.extend(held.ok().filter(&is_meant).map(|held| (lease.to_owned(), held)));
    };
    records.walk_leased(None, visit).await?;
    meant.iter().for_each(|(lease, held)| records.delete_leased(lease, held));
    Ok(())
}

/// Has them no longer hold a snapshot, whatever they call its kind.
pub(super) async fn let_go_snapshot(records: &Records<'_, impl Transaction>, key: &str) -> Result<(), Failure> {
    let_go(records, |held| held.kind.starts_with(SNAPSHOTS) && held.id == key).await
}

/// How that is recorded.
pub(super) fn leased(resource: &Resource) -> LeasedRecord {
    LeasedRecord { kind: resource.kind.clone(), id: resource.id.clone() }
}

/// Returns a lease that holds.
pub(super) async fn live<H: Host>(
    host: &H,
    records: &Records<'_, H::Transaction>,
    id: &str,
) -> Result<LeaseRecord, Failure> {
    let record = find(records, id).await?.ok_or_else(|| absent(id))?.map_err(invalid)?;
    match record.is_live(host.now()) {
        true => Ok(record),
        false => Err(fail(ErrorCode::NotFound, format!("the time of the lease `{}` is over", id.escape_debug()))),
    }
}

async fn find(
    records: &Records<'_, impl Transaction>,
    id: &str,
) -> Result<Option<Result<LeaseRecord, record::Error>>, Failure> {
    if store::is_lease_id(id) { records.lease(id).await } else { Ok(None) }
}

fn check_id(id: &str) -> Result<(), Failure> {
    match store::is_lease_id(id) {
        true => Ok(()),
        false => Err(invalid(format!("`{}` is no ID of a lease", json::shown(id, SHOWN_CHARS_MAX)))),
    }
}

fn check_room(count: usize) -> Result<(), Failure> {
    match count < RESOURCES_MAX {
        true => Ok(()),
        false => {
            let why = format!("it holds {count} things, and at most {RESOURCES_MAX} are allowed");
            Err(fail(ErrorCode::TooLarge(RESOURCES_MAX as u64), why))
        }
    }
}

/// Refuses what no lease can hold.
fn check(resource: &Resource) -> Result<(), Failure> {
    let Resource { kind, id } = resource;
    let is_kind = [CONTENT, IMAGES, INGESTS].contains(&kind.as_str())
        || kind.strip_prefix(SNAPSHOTS).is_some_and(|rest| !rest.is_empty());
    if !is_kind {
        let failure = invalid(format!("a lease holds nothing of the kind `{}`", json::shown(kind, SHOWN_CHARS_MAX)));
        return Err(try_this(failure, "name `content`, `images`, `ingests` or `snapshots/<name>`"));
    }
    if id.is_empty() || id.len().max(kind.len()) > RESOURCE_BYTES_MAX {
        return Err(invalid(format!("`{}` is called by nothing", json::shown(id, SHOWN_CHARS_MAX))));
    }
    if kind == CONTENT {
        read_digest(id)?;
    }
    Ok(())
}

/// As clients see a record. When one ends that was made otherwise stands in it, and not among its labels.
fn picture(id: &str, record: LeaseRecord) -> Hold {
    let LeaseRecord { created, expires, mut labels, .. } = record;
    if let Some(expires) = expires {
        labels.entry(EXPIRY_LABEL.to_owned()).or_insert_with(|| time::format(expires));
    }
    Hold { id: id.to_owned(), created: (created, 0), labels: labels.into_iter().collect() }
}

fn passes(lease: &Hold, filters: &Filters) -> bool {
    filters.pass(|path| match path {
        [field] if field == "id" => Some(lease.id.as_str()),
        [root, ..] if root == "labels" => labelled(&lease.labels, path),
        _ => None,
    })
}

fn absent(id: &str) -> Failure {
    fail(ErrorCode::NotFound, format!("there is no lease `{}`", id.escape_debug()))
}
