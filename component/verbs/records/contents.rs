//! What is recorded of blobs. A blob belongs to a namespace if it has a record there, or if an image there needs it; a
//! record whose blob is gone stands for nothing.

use super::{
    fields::{self, Field, Of},
    filters::{Filters, labelled},
    labels::{checked, set, value},
    members, read_digest, within,
};
use crate::{
    host::{Blob, Host},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{ContentRecord, Moment},
    },
    registry::Failure,
    verbs::{
        contract::{
            Caller,
            records::{Content, Labels},
        },
        failing::{fail, invalid},
        reach::found,
        store::{self, Records},
    },
};
use std::{collections::BTreeMap, ops::ControlFlow};

/// How many blobs one answer has at most.
const ANSWER_BLOBS_MAX: usize = 10_000;
/// How large their labels are together at most, unless there is one blob only: an answer has a limit.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How many blobs of the store are looked at at once.
const PAGE_BLOBS: u32 = 10_000;

/// Returns what is recorded of a blob. See `records.get-content`.
pub async fn get<H: Host>(host: &H, caller: &Caller, digest: &str) -> Result<Content, Problem> {
    let work = async {
        let digest = read_digest(digest)?;
        let (blob, record) = find(host, caller, &digest).await?;
        Ok(picture(&digest, blob.size(), record))
    };
    within(caller, format!("cannot show the blob `{}`", digest.escape_debug()), work).await
}

/// Returns the blobs of the namespace that pass the filters, in order of digest. See `records.list-content`.
pub async fn list<H: Host>(
    host: &H,
    caller: &Caller,
    filters: &[String],
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Content>, Problem> {
    let work = async {
        let filters = Filters::read(filters)?;
        let mut last = after.map(read_digest).transpose()?;
        let limit = ANSWER_BLOBS_MAX.min(limit.try_into().unwrap_or(usize::MAX));
        let mut members = members::all(host, caller).await?;
        let mut recorded = BTreeMap::new();
        let visit = |text: &str, record: Result<ContentRecord, _>| {
            recorded.extend(text.parse::<Digest>().ok().zip(record.ok()));
            ControlFlow::Continue(())
        };
        Records::begin(host, caller).await?.walk_contents(last.as_ref(), visit).await?;
        let (mut contents, mut bytes) = (Vec::new(), 0);
        while contents.len() < limit {
            let page = host.blobs(last.as_ref(), PAGE_BLOBS).await?;
            let Some((end, _)) = page.last() else { break };
            last = Some(end.clone());
            for (digest, size) in page {
                let Some(record) = recorded.remove(&digest).or_else(|| members.remove(&digest)) else { continue };
                let content = picture(&digest, size, record);
                if !passes(&content, &filters) {
                    continue;
                }
                bytes += content.labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                if contents.len() == limit || (bytes > ANSWER_BYTES_MAX && !contents.is_empty()) {
                    return Ok(contents);
                }
                contents.push(content);
            }
        }
        Ok(contents)
    };
    within(caller, "cannot list the blobs", work).await
}

/// Changes the labels of a blob. See `records.update-content`.
pub async fn update<H: Host>(
    host: &H,
    caller: &Caller,
    digest: &str,
    labels: &Labels,
    fields: &[String],
) -> Result<Content, Problem> {
    let work = async {
        let digest = read_digest(digest)?;
        let wanted = fields::read(fields, Of::Labelled)?;
        // It is held until the labels are recorded: they may be what keeps it.
        let blob = found(host.open(&digest).await)?.ok_or_else(|| absent(&digest))?;
        let before = there(host, caller, &digest).await?.ok_or_else(|| absent(&digest))?;
        host.sync().await?;
        let record = store::change(host, caller, async |records| {
            let mut record = match records.content(&digest).await? {
                Some(record) => record.map_err(invalid)?,
                None => before.clone(),
            };
            for field in &wanted {
                match field {
                    Field::Label(key) => set(&mut record.labels, key, value(labels, key))?,
                    _ => record.labels = checked(labels)?,
                }
            }
            record.updated = host.clock();
            records.put_content(&digest, &record);
            Ok(record)
        })
        .await?;
        Ok(picture(&digest, blob.size(), record))
    };
    within(caller, format!("cannot change the labels of `{}`", digest.escape_debug()), work).await
}

/// Takes a blob out of the namespace. See `records.delete-content`.
pub async fn delete<H: Host>(host: &H, caller: &Caller, digest: &str) -> Result<(), Problem> {
    let work = async {
        let digest = read_digest(digest)?;
        let is_here = found(host.open(&digest).await)?.is_some();
        let was_recorded = store::change(host, caller, async |records| {
            // One that cannot be read goes as well.
            let is_recorded = records.content(&digest).await?.is_some();
            if is_recorded {
                records.delete_content(&digest);
            }
            Ok(is_recorded)
        })
        .await?;
        match is_here && (was_recorded || members::find(host, caller, &digest).await?.is_some()) {
            true => Ok(()),
            false => Err(absent(&digest)),
        }
    };
    within(caller, format!("cannot remove the blob `{}`", digest.escape_debug()), work).await
}

/// Finds a blob of the namespace, and what is recorded of it.
pub(super) async fn find<H: Host>(
    host: &H,
    caller: &Caller,
    digest: &Digest,
) -> Result<(H::Blob, ContentRecord), Failure> {
    // What the store does not have needs no look at the records.
    let blob = found(host.open(digest).await)?.ok_or_else(|| absent(digest))?;
    let record = there(host, caller, digest).await?.ok_or_else(|| absent(digest))?;
    Ok((blob, record))
}

/// Returns what is recorded of a blob, or would be, if it belongs to the namespace.
async fn there<H: Host>(host: &H, caller: &Caller, digest: &Digest) -> Result<Option<ContentRecord>, Failure> {
    let recorded = Records::begin(host, caller).await?.content(digest).await?;
    match recorded {
        Some(record) => Ok(Some(record.map_err(invalid)?)),
        None => members::find(host, caller, digest).await,
    }
}

/// As clients see a record.
pub(super) fn picture(digest: &Digest, size: u64, record: ContentRecord) -> Content {
    let ContentRecord { created, updated, labels } = record;
    Content { digest: digest.clone(), size, created, updated, labels: labels.into_iter().collect() }
}

/// The record of a blob that comes now.
pub(super) fn new(now: Moment, labels: BTreeMap<String, String>) -> ContentRecord {
    ContentRecord { created: now, updated: now, labels }
}

fn passes(content: &Content, filters: &Filters) -> bool {
    let size = content.size.to_string();
    filters.pass(|path| match path {
        [field] if field == "digest" => Some(content.digest.as_str()),
        [field] if field == "size" => Some(size.as_str()),
        [root, ..] if root == "labels" => labelled(&content.labels, path),
        _ => None,
    })
}

/// What a namespace does not have.
pub(super) fn absent(digest: &Digest) -> Failure {
    fail(ErrorCode::NotFound, format!("the namespace has no blob `{digest}`"))
}
