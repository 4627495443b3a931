//! Apply: the layer of a blob of the namespace, written into a snapshot.

use super::{lookup::refused, mounted::find};
use crate::{
    host::{Blob, Host, Top},
    nouns::{
        media_type::{self, Kind, OCI_LAYER},
        problem::Problem,
        record::SnapshotKind,
    },
    registry::Failure,
    verbs::{
        contract::{Caller, records::Pointed},
        failing::invalid,
        records::{contents, read_digest, within},
    },
};

/// Writes a layer into what was mounted, which is one of these trees. See `snapshots.apply-layer`.
pub async fn apply<H: Host>(host: &H, caller: &Caller, layer: &Pointed, trees: &[String]) -> Result<Pointed, Problem> {
    let work = async {
        let digest = read_digest(&layer.digest)?;
        check_type(&layer.media_type)?;
        let (blob, _) = contents::find(host, caller, &digest).await?;
        if u64::try_from(layer.size) != Ok(blob.size()) {
            return Err(invalid(format!("it has {} bytes, and not {}", blob.size(), layer.size)));
        }
        let mounted = find(host, caller, trees).await?;
        let Some(mounted) = mounted.filter(|mounted| mounted.record.kind == SnapshotKind::Active) else {
            return Err(invalid("no snapshot of the namespace that can be written to is mounted like this"));
        };
        let (diff_id, size) = mounted.top.apply(&blob).await.map_err(refused)?;
        let size = i64::try_from(size).map_err(invalid)?;
        Ok(Pointed { media_type: OCI_LAYER.to_owned(), digest: diff_id.to_string(), size, annotations: Vec::new() })
    };
    within(caller, format!("cannot apply the layer `{}`", layer.digest.escape_debug()), work).await
}

/// Refuses what is no layer. How one is compressed, its bytes say.
fn check_type(text: &str) -> Result<(), Failure> {
    match media_type::kind(text) {
        Kind::Layer { .. } => Ok(()),
        _ => Err(invalid(format!("`{}` is no layer that wharf extracts", text.escape_debug()))),
    }
}
