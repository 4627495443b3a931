//! Ingests that programs write by names of their own: what was promised of each. The host has their bytes, under names
//! that say the namespace, and writes them; here is decided whether it may, and what it has written becomes content of
//! the namespace.

use super::{
    contents,
    filters::Filters,
    ingest_name,
    labels::checked,
    leases::{self, content, ingest, leased},
    namespaces, read_digest, within,
};
use crate::{
    host::{Blob, Host},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{self, WritingRecord},
    },
    registry::Failure,
    verbs::{
        contract::{
            Caller,
            records::{Admission, Content, Labels, Writing},
        },
        failing::{fail, invalid},
        ingests::unfinished,
        reach::found,
        store::{self, Records},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Says how something may be written. See `records.admit-writing`.
pub async fn admit<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    expected: Option<&str>,
    total: i64,
    lease: Option<&str>,
    isolated: bool,
) -> Result<Admission, Problem> {
    let work = async {
        check_name(name)?;
        if total < 0 {
            return Err(invalid(format!("{total} bytes cannot be written")));
        }
        let expected = expected.map(read_digest).transpose()?;
        let has_to_prove = match &expected {
            Some(digest) if isolated => !namespaces::share(host, caller, digest).await?,
            _ => false,
        };
        let admission = store::change(host, caller, async |records| {
            if let Some(digest) = &expected {
                let is_recorded = records.content(digest).await?.is_some();
                // After the record: of one that somebody has just written, the blob was here before.
                match (&found(host.open(digest).await)?, is_recorded) {
                    (Some(_), true) => return Err(taken(digest)),
                    (Some(_), false) if has_to_prove => {}
                    (Some(blob), false) => {
                        if let Some(lease) = lease {
                            leases::live(host, records, lease).await?;
                        }
                        let record = contents::new(host.clock(), BTreeMap::new());
                        return Ok(Admission::Share(contents::picture(digest, blob.size(), record)));
                    }
                    // It stands for nothing, and would be taken for what is about to be written.
                    (None, true) => records.delete_content(digest),
                    (None, false) => {}
                }
            }
            let record = match records.writing(name).await? {
                Some(Ok(before)) => promised(name, before, expected.as_ref(), total)?,
                Some(Err(_)) | None => WritingRecord { total, expected: expected.clone(), started: host.clock() },
            };
            records.put_writing(name, &record)?;
            if let Some(lease) = lease {
                let held = leases::live(host, records, lease).await?;
                leases::hold(records, lease, held, &ingest(name)).await?;
            }
            Ok(Admission::Proceed(picture(caller, name, record)))
        });
        let admission = admission.await;
        let is_here = match &admission {
            Ok(admission) => matches!(admission, Admission::Share(_)),
            Err(failure) => failure.code == ErrorCode::InUse,
        };
        if is_here && Records::begin(host, caller).await?.writing(name).await?.is_some() {
            // Nobody would go on with it, and the next blob of this name would begin with its bytes.
            match give_up(host, caller, name).await {
                Err(failure) if failure.code != ErrorCode::InUse => return Err(failure),
                // Whoever is writing it sees to it.
                _ => {}
            }
        }
        admission
    };
    within(caller, format!("cannot write `{}`", name.escape_debug()), work).await
}

/// Records a blob that was written. See `records.wrote`.
pub async fn wrote<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    digest: &str,
    labels: &Labels,
    lease: Option<&str>,
) -> Result<Content, Problem> {
    let work = async {
        check_name(name)?;
        let digest = read_digest(digest)?;
        let labels = checked(labels)?;
        let blob = found(host.open(&digest).await)?.ok_or_else(|| contents::absent(&digest))?;
        host.sync().await?;
        // Whether it is there already is an answer, and no reason not to forget the name and not to hold it.
        let recorded = store::change(host, caller, async |records| {
            let is_there = records.content(&digest).await?.is_some();
            let record = contents::new(host.clock(), labels.clone());
            if !is_there {
                records.put_content(&digest, &record);
            }
            forget(records, name).await?;
            if let Some(lease) = lease {
                let held = leases::live(host, records, lease).await?;
                leases::hold(records, lease, held, &content(&digest)).await?;
            }
            Ok((!is_there).then_some(record))
        })
        .await?;
        let record = recorded.ok_or_else(|| taken(&digest))?;
        Ok(contents::picture(&digest, blob.size(), record))
    };
    within(caller, format!("cannot record what was written as `{}`", name.escape_debug()), work).await
}

/// Returns the ingests that pass the filters, in order of name. See `records.list-writings`.
pub async fn list<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<Vec<Writing>, Problem> {
    let work = async {
        let filters = Filters::read(filters)?;
        let mut writings = Vec::new();
        let visit = |name: &str, record: Result<WritingRecord, record::Error>| {
            writings.extend(record.ok().map(|record| picture(caller, name, record)));
        };
        Records::begin(host, caller).await?.walk_writings(visit).await?;
        if writings.is_empty() {
            return Ok(writings);
        }
        let here: BTreeSet<String> = unfinished(host).await?.into_iter().filter_map(|ingest| ingest.name).collect();
        writings.retain(|writing: &Writing| here.contains(&writing.ingest) && passes(writing, &filters));
        Ok(writings)
    };
    within(caller, "cannot list what is written", work).await
}

/// Returns the ingest of this name. See `records.get-writing`.
pub async fn get<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<Writing, Problem> {
    let work = async {
        check_name(name)?;
        let record = Records::begin(host, caller).await?.writing(name).await?.ok_or_else(|| absent(name))?;
        Ok(picture(caller, name, record.map_err(invalid)?))
    };
    within(caller, format!("cannot show what is written as `{}`", name.escape_debug()), work).await
}

/// Gives an ingest up. See `records.abort-writing`.
pub async fn abort<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<(), Problem> {
    let work = async {
        check_name(name)?;
        if give_up(host, caller, name).await? { Ok(()) } else { Err(absent(name)) }
    };
    within(caller, format!("cannot give up what is written as `{}`", name.escape_debug()), work).await
}

/// Removes the bytes and the record of an ingest, and returns whether there was one.
async fn give_up<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<bool, Failure> {
    let ingest = ingest_name(&caller.namespace, name);
    let here = unfinished(host).await?.into_iter().find(|unfinished| unfinished.name.as_ref() == Some(&ingest));
    // Its bytes go first: what is left of a record without bytes is no ingest.
    if let Some(here) = &here {
        host.discard(&here.key).await.map_err(|code| match code {
            ErrorCode::InUse => fail(code, "somebody is writing it"),
            other => other.into(),
        })?;
    }
    let was_recorded = store::change(host, caller, async |records| {
        let is_recorded = records.writing(name).await?.is_some();
        forget(records, name).await?;
        Ok(is_recorded)
    })
    .await?;
    Ok(here.is_some() || was_recorded)
}

/// What was promised, with what is promised now.
fn promised(
    name: &str,
    before: WritingRecord,
    expected: Option<&Digest>,
    total: i64,
) -> Result<WritingRecord, Failure> {
    let shown = name.escape_debug();
    if let (Some(before), Some(expected)) = (&before.expected, expected)
        && before != expected
    {
        return Err(invalid(format!("`{shown}` is to be `{before}`, and not `{expected}`")));
    }
    if before.total > 0 && total > 0 && before.total != total {
        return Err(invalid(format!("`{shown}` is to have {} bytes, and not {total}", before.total)));
    }
    let expected = before.expected.or_else(|| expected.cloned());
    Ok(WritingRecord { total: before.total.max(total), expected, started: before.started })
}

/// Takes a name away, wherever it is held.
async fn forget(records: &Records<'_, impl crate::host::Transaction>, name: &str) -> Result<(), Failure> {
    records.delete_writing(name)?;
    let this = leased(&ingest(name));
    leases::let_go(records, |held| *held == this).await
}

/// As clients see a record.
fn picture(caller: &Caller, name: &str, record: WritingRecord) -> Writing {
    let WritingRecord { total, expected, started } = record;
    Writing { name: name.to_owned(), ingest: ingest_name(&caller.namespace, name), total, expected, started }
}

fn passes(writing: &Writing, filters: &Filters) -> bool {
    filters.pass(|path| match path {
        [field] if field == "ref" => Some(writing.name.as_str()),
        _ => None,
    })
}

fn check_name(name: &str) -> Result<(), Failure> {
    match name.is_empty() {
        true => Err(invalid("what is written has a name, and this one is empty")),
        false => Ok(()),
    }
}

fn taken(digest: &Digest) -> Failure {
    fail(ErrorCode::InUse, format!("the namespace has the blob `{digest}` already"))
}

fn absent(name: &str) -> Failure {
    fail(ErrorCode::NotFound, format!("nothing is written as `{}`", name.escape_debug()))
}
