//! Diff: what a snapshot changes over its parent, as a new blob of the namespace. The archive goes from the host to the
//! host; here is decided which trees it is about, and what is recorded of it.

use super::{
    lookup::{base, refused},
    mounted::{Mounted, find},
};
use crate::{
    host::{Diff, Host, Ingest, Top},
    nouns::{
        compressor::Compressor,
        digest::Digest,
        media_type::{self, Compression, Kind, OCI_LAYER_GZIP},
        problem::{ErrorCode, Problem},
        record::{SnapshotKind, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{
            Caller,
            records::{Labels, Pointed},
        },
        failing::{fail, invalid},
        records::{
            contents,
            labels::{check_all, checked},
            leases, within,
        },
        store,
    },
};
use std::collections::BTreeMap;

/// The label that says what a layer is without its compression.
const UNCOMPRESSED_LABEL: &str = "containerd.io/uncompressed";
/// A layer that has more bytes is refused.
const LAYER_BYTES_MAX: u64 = 1 << 40;
/// How hard is compressed, as by containerd.
const GZIP: Compressor = Compressor::Gzip(6);
const ZSTD: Compressor = Compressor::Zstd(3);

/// Writes what a snapshot changes into a new blob. See `snapshots.diff-layer`.
pub async fn diff<H: Host>(
    host: &H,
    caller: &Caller,
    left: Option<&[String]>,
    right: &[String],
    media_type: &str,
    labels: &Labels,
    lease: Option<&str>,
) -> Result<Pointed, Problem> {
    let work = async {
        let media_type = if media_type.is_empty() { OCI_LAYER_GZIP } else { media_type };
        let how = compressor(media_type)?;
        let labels = checked(labels)?;
        if let Some(lease) = lease {
            leases::live(host, &store::Records::begin(host, caller).await?, lease).await?;
        }
        let name = format!("diff {:016x}{:016x}", host.random(), host.random());
        let written = async {
            let (archive, _held) = compare(host, caller, left, right).await?;
            write(host, &name, archive, how).await
        };
        let (blob, layer) = match written.await {
            Ok(written) => written,
            Err(failure) => {
                // Nobody can go on with it. A collection takes what is left all the same.
                if let Ok(ingest) = host.ingest(&name).await {
                    let _ = ingest.discard().await;
                }
                return Err(failure);
            }
        };
        host.sync().await?;
        enter(host, caller, &layer, labels, lease).await?;
        drop(blob);
        let size = i64::try_from(layer.size).map_err(invalid)?;
        let digest = layer.digest.to_string();
        Ok(Pointed { media_type: media_type.to_owned(), digest, size, annotations: Vec::new() })
    };
    within(caller, "cannot tell what the snapshot changes", work).await
}

/// A layer that was written.
struct Layer {
    digest: Digest,
    size: u64,
    diff_id: Digest,
}

/// What keeps the trees until their archive was read.
enum Held<T, S> {
    Top { _this: Mounted<T> },
    Snapshot { _this: S },
}

/// Finds what is compared, and has the host do it.
async fn compare<H: Host>(
    host: &H,
    caller: &Caller,
    left: Option<&[String]>,
    right: &[String],
) -> Result<(Diff<H::Stream>, Held<H::Top, H::Snapshot>), Failure> {
    let unknown = |side| invalid(format!("no snapshot of the namespace is mounted like the {side} side"));
    let upper = find(host, caller, right).await?.ok_or_else(|| unknown("right"))?;
    let lower = match left {
        None => None,
        Some(left) => Some(find(host, caller, left).await?.ok_or_else(|| unknown("left"))?.record),
    };
    if upper.record.kind == SnapshotKind::Active {
        check_below(lower.as_ref(), upper.record.parent.as_deref())?;
        return Ok((upper.top.diff(), Held::Top { _this: upper }));
    }
    let Some(shown) = &upper.record.parent else {
        return Err(invalid("the right side is a view of nothing"));
    };
    let shown = base(host, caller, shown).await?;
    let parent = match store::Records::begin(host, caller).await?.snapshot(&shown.key).await? {
        Some(record) => record.map_err(invalid)?.parent,
        None => shown.picture().parent,
    };
    check_below(lower.as_ref(), parent.as_deref())?;
    Ok((host.diff(&shown.snapshot), Held::Snapshot { _this: shown.snapshot }))
}

/// Refuses a left side that is no view of what the right one stands on.
fn check_below(lower: Option<&SnapshotRecord>, parent: Option<&str>) -> Result<(), Failure> {
    let is_view = lower.is_none_or(|lower| lower.kind == SnapshotKind::View);
    match is_view && lower.and_then(|lower| lower.parent.as_deref()) == parent {
        true => Ok(()),
        false => Err(invalid(match parent {
            Some(parent) => format!("the left side is no view of `{}`, the parent", parent.escape_debug()),
            None => "the right side has no parent, and the left side is no view of nothing".to_owned(),
        })),
    }
}

/// Writes an archive into a blob.
async fn write<H: Host>(
    host: &H,
    name: &str,
    (archive, ended): Diff<H::Stream>,
    how: Option<Compressor>,
) -> Result<(H::Blob, Layer), Failure> {
    let ingest = host.ingest(name).await?;
    match how {
        None => drop(ingest.append(archive, LAYER_BYTES_MAX).await?),
        Some(how) => {
            let (packed, deflated) = host.deflate(archive, how);
            ingest.append(packed, LAYER_BYTES_MAX).await?;
            deflated.await.map_err(|code| match code {
                ErrorCode::Unsupported => fail(code, "this host does not compress"),
                other => other.into(),
            })?;
        }
    }
    // Only now it is known that the archive is whole.
    let diff_id = ended.await.map_err(refused)?;
    let (digest, size) = (ingest.digest().await?, ingest.offset());
    let blob = ingest.commit(&digest, size).await?;
    Ok((blob, Layer { digest, size, diff_id }))
}

/// Records the blob in the namespace, which may have it already.
async fn enter<H: Host>(
    host: &H,
    caller: &Caller,
    layer: &Layer,
    labels: BTreeMap<String, String>,
    lease: Option<&str>,
) -> Result<(), Failure> {
    let told = |mut labels: BTreeMap<String, String>| {
        labels.insert(UNCOMPRESSED_LABEL.to_owned(), layer.diff_id.to_string());
        check_all(&labels).map(|()| labels)
    };
    let new = told(labels)?;
    store::change(host, caller, async |records| {
        let record = match records.content(&layer.digest).await? {
            Some(record) => {
                let mut record = record.map_err(invalid)?;
                record.labels = told(record.labels)?;
                record.updated = host.clock();
                record
            }
            None => contents::new(host.clock(), new.clone()),
        };
        records.put_content(&layer.digest, &record);
        if let Some(lease) = lease {
            let held = leases::live(host, records, lease).await?;
            leases::hold(records, lease, held, &leases::content(&layer.digest)).await?;
        }
        Ok(())
    })
    .await
}

/// How a layer of this type is compressed.
fn compressor(text: &str) -> Result<Option<Compressor>, Failure> {
    match media_type::kind(text) {
        Kind::Layer { compression: Compression::None, .. } => Ok(None),
        Kind::Layer { compression: Compression::Gzip, .. } => Ok(Some(GZIP)),
        Kind::Layer { compression: Compression::Zstd, .. } => Ok(Some(ZSTD)),
        _ => Err(invalid(format!("`{}` is no layer that wharf writes", text.escape_debug()))),
    }
}
