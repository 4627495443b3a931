//! What makes a directory an image layout: OCI image-spec, image-layout.md. It
//! does not look at what is in the layout.
//!
//! An empty directory becomes one in this order, so that a process that is killed
//! on the way leaves what the next one takes for its own: `.wharf`, then, under the
//! lock, `blobs`, `index.json`, and `oci-layout` last.

use super::{
    Shared,
    index::{self, INDEX, Index},
    lock::Lock,
};
use crate::nouns::{
    json::{self, Shape},
    problem::ErrorCode,
};
use serde::Deserialize;
use std::io::ErrorKind;

const MARKER: &str = "oci-layout";
const VERSION: &str = "1.0.0";
/// The largest `oci-layout` that is read.
const MARKER_BYTES_MAX: usize = 64 << 10;
/// What a directory may have that was about to become a layout.
const BEGUN: [&str; 3] = [".wharf", "blobs", INDEX];

const SHAPE: Shape = Shape::Object(&[("imageLayoutVersion", &Shape::Any)]);

/// Why a directory is not taken. It has not been changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("there is no such directory")]
    Absent,
    /// It belongs to somebody else.
    #[error("it is no image layout: there is `{0}` in it, and no `oci-layout`")]
    Foreign(String),
    /// The layout's mark cannot be read.
    #[error("its `oci-layout` is damaged: {0}")]
    Marker(json::Error),
    /// It is laid out by other rules.
    #[error("its `oci-layout` says version `{0}`, and wharf knows `1.0.0`")]
    Version(String),
    /// The list of images is missing.
    #[error("it has an `oci-layout`, and no `index.json`")]
    NoIndex,
    /// The list of images cannot be read.
    #[error("its `index.json` is damaged: {0}")]
    Index(#[from] index::Error),
    /// It cannot be read or written.
    #[error("{0}")]
    Disk(ErrorCode),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Checks a directory, and makes a layout of an empty one.
pub(super) async fn open(store: &Shared) -> Result<(), Refusal> {
    if !is_there(store)? {
        initialize(store).await?;
    }
    Ok(())
}

/// Whether there is a layout; if there is none, there could be one.
fn is_there(store: &Shared) -> Result<bool, Refusal> {
    match look(store) {
        // Another process has made it since.
        Err(Refusal::Foreign(name)) if name == MARKER => look(store),
        other => other,
    }
}

fn look(store: &Shared) -> Result<bool, Refusal> {
    let Some(marker) = store.disk.read(MARKER, MARKER_BYTES_MAX)? else {
        let names = store.disk.list("").map_err(|error| match error.kind() {
            ErrorKind::NotFound => Refusal::Absent,
            _ => Refusal::Disk(ErrorCode::Other(error.to_string())),
        })?;
        let is_begun = names.iter().any(|name| name == BEGUN[0]);
        let foreign = names.into_iter().find(|name| !(is_begun && BEGUN.contains(&name.as_str())));
        return foreign.map_or(Ok(false), |name| Err(Refusal::Foreign(json::excerpt(&name))));
    };
    let Marker { image_layout_version } = json::parse(&marker, &SHAPE).map_err(Refusal::Marker)?;
    if image_layout_version != VERSION {
        return Err(Refusal::Version(json::excerpt(&image_layout_version)));
    }
    let index = index::read(&store.disk)?.ok_or(Refusal::NoIndex)?;
    Index::parse(&index)?;
    Ok(true)
}

async fn initialize(store: &Shared) -> Result<(), Refusal> {
    let lock = Lock::acquire(store).await?;
    // Another process may have been faster, and have images in it already.
    if is_there(store)? {
        return Ok(());
    }
    for algorithm in ["sha256", "sha512"] {
        store.disk.directory(&format!("blobs/{algorithm}"))?;
    }
    store.disk.sync("blobs")?;
    match index::read(&store.disk)? {
        Some(begun) => drop(Index::parse(&begun)?),
        None => store.disk.place(store.disk.draft(&store.id(), &Index::default().write())?, INDEX)?,
    }
    let marker = format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}");
    store.disk.place(store.disk.draft(&store.id(), marker.as_bytes())?, MARKER)?;
    drop(lock);
    store.disk.sync("").map_err(Refusal::Disk)
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Disk(code)
    }
}
