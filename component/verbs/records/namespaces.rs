//! Namespaces: what is recorded of them in themselves. One exists as soon as there is any record in it, and whoever
//! removes one removes nothing that anybody could miss.

use super::{
    fields::{self, Field, Of},
    ingest_name,
    labels::{checked, set, value},
    within,
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{
            ContentRecord, FOREIGN_PREFIX, IMAGE_PREFIX, LEASE_PREFIX, NamespaceRecord, SNAPSHOT_PREFIX, WritingRecord,
        },
    },
    registry::Failure,
    verbs::{
        contract::{Caller, records::Space},
        failing::{fail, invalid, try_this},
        ingests::unfinished,
        reach::found,
        store::{self, Records},
    },
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// The label of a namespace whose blobs others may have without their bytes.
const SHAREABLE: &str = "containerd.io/namespace.shareable";

/// Returns what is recorded of a namespace. See `records.get-namespace`.
pub async fn get<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<Space, Problem> {
    let work = async {
        let there = at(caller, name)?;
        let records = Records::begin(host, &there).await?;
        check_exists(&records, name).await?;
        show(&records, name).await
    };
    within(caller, format!("cannot show the namespace `{}`", name.escape_debug()), work).await
}

/// Returns the namespaces, in order of name. See `records.list-namespaces`.
pub async fn list<H: Host>(host: &H, caller: &Caller) -> Result<Vec<Space>, Problem> {
    let work = async {
        let mut records = Records::begin(host, caller).await?;
        let mut spaces = Vec::new();
        for name in records.namespaces().await? {
            // What a newer program has written hides nothing but its labels.
            spaces.push(match records.turn_to(&name).await {
                Ok(()) => show(&records, &name).await?,
                Err(failure) if matches!(failure.code, ErrorCode::Invalid | ErrorCode::Unsupported) => {
                    Space { name, labels: Vec::new() }
                }
                Err(failure) => return Err(failure),
            });
        }
        Ok(spaces)
    };
    within(caller, "cannot list the namespaces", work).await
}

/// Whether a namespace that has this blob shares it with all others, by its label. containerd, `core/metadata/content.go`.
pub(super) async fn share<H: Host>(host: &H, caller: &Caller, digest: &Digest) -> Result<bool, Failure> {
    let mut records = Records::begin(host, caller).await?;
    for name in records.namespaces().await? {
        match records.turn_to(&name).await {
            Ok(()) => {}
            // What a newer program has written shares nothing that this one could know of.
            Err(failure) if matches!(failure.code, ErrorCode::Invalid | ErrorCode::Unsupported) => continue,
            Err(failure) => return Err(failure),
        }
        let is_shareable =
            show(&records, &name).await?.labels.iter().any(|(key, value)| key == SHAREABLE && value == "true");
        if is_shareable && records.content(digest).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a namespace. See `records.create-namespace`.
pub async fn create<H: Host>(host: &H, caller: &Caller, space: &Space) -> Result<Space, Problem> {
    let work = async {
        let there = at(caller, &space.name)?;
        let labels = checked(&space.labels)?;
        store::change(host, &there, async |records| {
            if records.has_any("").await? {
                return Err(fail(ErrorCode::InUse, format!("there is a namespace `{}`", space.name)));
            }
            records.put_own(&NamespaceRecord { labels: labels.clone() });
            Ok(())
        })
        .await?;
        Ok(Space { name: space.name.clone(), labels: labels.into_iter().collect() })
    };
    within(caller, format!("cannot make the namespace `{}`", space.name.escape_debug()), work).await
}

/// Changes the labels of a namespace. See `records.update-namespace`.
pub async fn update<H: Host>(host: &H, caller: &Caller, space: &Space, fields: &[String]) -> Result<Space, Problem> {
    let work = async {
        let there = at(caller, &space.name)?;
        let wanted = fields::read(fields, Of::Labelled)?;
        store::change(host, &there, async |records| {
            check_exists(records, &space.name).await?;
            let mut labels = match records.own().await? {
                Some(Ok(own)) => own.labels,
                // Labels that cannot be read are replaced.
                Some(Err(_)) | None => Default::default(),
            };
            for field in &wanted {
                match field {
                    Field::Label(key) => set(&mut labels, key, value(&space.labels, key))?,
                    _ => labels = checked(&space.labels)?,
                }
            }
            records.put_own(&NamespaceRecord { labels: labels.clone() });
            Ok(Space { name: space.name.clone(), labels: labels.into_iter().collect() })
        })
        .await
    };
    within(caller, format!("cannot change the namespace `{}`", space.name.escape_debug()), work).await
}

/// Takes a namespace away in which there is nothing. See `records.delete-namespace`.
pub async fn delete<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<(), Problem> {
    let work = async {
        let there = at(caller, name)?;
        store::change(host, &there, async |records| {
            check_exists(records, name).await?;
            let full = contents(host, records, name).await?;
            if full.is_empty() {
                return records.delete_all().await;
            }
            let what = full.join(", ");
            let failure = fail(ErrorCode::InUse, format!("there is something in it: {what}"));
            Err(try_this(failure, "remove that first"))
        })
        .await
    };
    within(caller, format!("cannot remove the namespace `{}`", name.escape_debug()), work).await
}

/// The caller, in another namespace.
fn at(caller: &Caller, name: &str) -> Result<Caller, Failure> {
    match store::is_identifier(name) {
        true => Ok(Caller { namespace: name.to_owned(), ..caller.clone() }),
        false => {
            let failure = invalid(format!("`{}` is no name of a namespace", name.escape_debug()));
            Err(try_this(failure, "use letters and digits, with single `-`, `_` and `.` between them"))
        }
    }
}

async fn check_exists(records: &Records<'_, impl Transaction>, name: &str) -> Result<(), Failure> {
    match records.has_any("").await? {
        true => Ok(()),
        false => Err(fail(ErrorCode::NotFound, format!("there is no namespace `{name}`"))),
    }
}

async fn show(records: &Records<'_, impl Transaction>, name: &str) -> Result<Space, Failure> {
    let labels = match records.own().await? {
        Some(Ok(own)) => own.labels.into_iter().collect(),
        Some(Err(_)) | None => Vec::new(),
    };
    Ok(Space { name: name.to_owned(), labels })
}

/// Which kinds of things are in a namespace. What has happened there, and records whose bytes are gone, are nothing.
async fn contents<H: Host>(
    host: &H,
    records: &Records<'_, H::Transaction>,
    name: &str,
) -> Result<Vec<&'static str>, Failure> {
    let mut full = Vec::new();
    if records.has_any(IMAGE_PREFIX).await? || records.has_any(FOREIGN_PREFIX).await? {
        full.push("images");
    }
    if records.has_any(LEASE_PREFIX).await? {
        full.push("leases");
    }
    if records.has_any(SNAPSHOT_PREFIX).await? {
        full.push("snapshots");
    }
    let mut blobs: Vec<Digest> = Vec::new();
    let visit = |text: &str, _: Result<ContentRecord, _>| {
        blobs.extend(text.parse::<Digest>());
        ControlFlow::Continue(())
    };
    records.walk_contents(None, visit).await?;
    for digest in &blobs {
        if found(host.open(digest).await)?.is_some() {
            full.push("content");
            break;
        }
    }
    let mut writings: BTreeSet<String> = BTreeSet::new();
    let visit = |writing: &str, _: Result<WritingRecord, _>| writings.extend([ingest_name(name, writing)]);
    records.walk_writings(visit).await?;
    let is_here = |ingests: Vec<crate::host::Unfinished>| {
        ingests.into_iter().filter_map(|ingest| ingest.name).any(|name| writings.contains(&name))
    };
    if !writings.is_empty() && is_here(unfinished(host).await?) {
        full.push("ingests");
    }
    Ok(full)
}
