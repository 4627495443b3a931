//! Between the generated types and those of [`verbs::contract`], field by field.

mod archive;
mod change;
mod compose;
mod discovery;
mod upload;
mod usage;

use crate::nouns::descriptor::Descriptor;
#[cfg(feature = "guest")]
use crate::nouns::platform::{self, Facts};
use crate::nouns::problem::{ErrorCode, Problem};
use crate::verbs::contract;
#[cfg(feature = "guest")]
use crate::verbs::images::Listing;
use wharf_vocabulary::{types, vocabulary as wit};

impl From<Descriptor> for types::Descriptor {
    fn from(Descriptor { media_type, digest, size, .. }: Descriptor) -> Self {
        Self { media_type, digest: digest.into(), size }
    }
}

impl From<contract::Target> for types::Descriptor {
    fn from(contract::Target { media_type, digest, size }: contract::Target) -> Self {
        Self { media_type, digest: digest.into(), size }
    }
}

impl From<Problem> for wit::Problem {
    fn from(Problem { code, what, why, fix }: Problem) -> Self {
        Self { code: code.into(), what, why, fix }
    }
}

impl From<ErrorCode> for types::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Denied => Self::Denied,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::DigestMismatch(actual) => Self::DigestMismatch(actual.to_string()),
            ErrorCode::SizeMismatch(actual) => Self::SizeMismatch(actual),
            ErrorCode::TooLarge(limit) => Self::TooLarge(limit),
            ErrorCode::InUse => Self::InUse,
            ErrorCode::Conflict => Self::Conflict,
            ErrorCode::NoSpace => Self::NoSpace,
            ErrorCode::Unavailable => Self::Unavailable,
            ErrorCode::Unsupported => Self::Unsupported,
            ErrorCode::Cancelled => Self::Cancelled,
            ErrorCode::Other(what) => Self::Other(what),
        }
    }
}

#[cfg(feature = "guest")]
impl From<wit::Caller> for contract::Caller {
    fn from(wit::Caller { namespace, machine }: wit::Caller) -> Self {
        let facts = Facts {
            os: &machine.os,
            os_version: "",
            architecture: &machine.architecture,
            big_endian: machine.big_endian,
            amd64_level: machine.amd64_level,
            cpuinfo: &machine.cpuinfo,
            machine: &machine.uname,
        };
        Self { namespace, machine: platform::detect(&facts).to_string() }
    }
}

impl From<wit::PullOptions> for contract::PullOptions {
    fn from(options: wit::PullOptions) -> Self {
        let wit::PullOptions { wanted, all_tags, concurrent_downloads, unpack, retention, access } = options;
        let (wanted, retention) = (wanted.into(), retention.map(Into::into));
        Self { wanted, all_tags, concurrent_downloads, unpack, retention, access: access.into() }
    }
}

impl From<wit::Wanted> for contract::Wanted {
    fn from(wanted: wit::Wanted) -> Self {
        match wanted {
            wit::Wanted::Machine => Self::Machine,
            wit::Wanted::These(platforms) => Self::These(platforms),
            wit::Wanted::All => Self::All,
        }
    }
}

impl From<contract::Phase> for wit::Phase {
    fn from(phase: contract::Phase) -> Self {
        match phase {
            contract::Phase::Waiting => Self::Waiting,
            contract::Phase::Downloading => Self::Downloading,
            contract::Phase::Verifying => Self::Verifying,
            contract::Phase::Complete => Self::Complete,
            contract::Phase::Present => Self::Present,
            contract::Phase::Retrying => Self::Retrying,
            contract::Phase::Unpacking => Self::Unpacking,
            contract::Phase::Unpacked => Self::Unpacked,
            contract::Phase::Uploading => Self::Uploading,
            contract::Phase::Uploaded => Self::Uploaded,
            contract::Phase::There => Self::There,
            contract::Phase::Mounted => Self::Mounted,
        }
    }
}

impl From<contract::Event> for wit::Event {
    fn from(event: contract::Event) -> Self {
        match event {
            contract::Event::Resolved(name, target) => Self::Resolved((name, target.into())),
            contract::Event::Selected(platform, manifest) => Self::Selected((platform, manifest.into())),
            contract::Event::Progress(contract::Progress { blob, phase, received }) => {
                Self::Progress(wit::Progress { blob: blob.into(), phase: phase.into(), received })
            }
            contract::Event::Warning(text) => Self::Warning(text),
            contract::Event::Note(text) => Self::Note(text),
            contract::Event::Transferred(transfer) => Self::Transferred(transfer.into()),
            contract::Event::Happened(happening) => Self::Happened(happening.into()),
        }
    }
}

impl From<contract::PlannedBlob> for wit::PlannedBlob {
    fn from(contract::PlannedBlob { blob, received, present }: contract::PlannedBlob) -> Self {
        Self { blob: blob.into(), received, present }
    }
}

impl From<contract::PullPlan> for wit::PullPlan {
    fn from(plan: contract::PullPlan) -> Self {
        let contract::PullPlan { name, target, manifests, blobs, fetch_bytes, unpack_layers, up_to_date } = plan;
        Self {
            name,
            target: target.into(),
            manifests: manifests.into_iter().map(|(platform, manifest)| (platform, manifest.into())).collect(),
            blobs: each(blobs),
            fetch_bytes,
            unpack_layers,
            up_to_date,
        }
    }
}

impl From<contract::PullPlans> for wit::PullPlans {
    fn from(contract::PullPlans { names, document }: contract::PullPlans) -> Self {
        Self { names: each(names), document }
    }
}

impl From<contract::Image> for wit::Image {
    fn from(image: contract::Image) -> Self {
        let contract::Image { name, familiar, target, id, created, updated, platforms, size, retention } = image;
        let (target, id, retention) = (target.into(), id.into(), retention.into());
        Self { name, familiar, target, id, created, updated, platforms, size, retention }
    }
}

#[cfg(feature = "guest")]
impl From<Listing> for wit::Listing {
    fn from(Listing { images, damaged }: Listing) -> Self {
        Self { images: each(images), damaged }
    }
}

impl From<contract::Pulled> for wit::Pulled {
    fn from(pulled: contract::Pulled) -> Self {
        let contract::Pulled { image, fetched_bytes, up_to_date, transfers, allowance } = pulled;
        let (transfers, allowance) = (each(transfers), allowance.map(Into::into));
        Self { image: image.into(), fetched_bytes, up_to_date, transfers, allowance }
    }
}

impl From<contract::Transfer> for wit::Transfer {
    fn from(transfer: contract::Transfer) -> Self {
        let contract::Transfer { blob, endpoint, attempts, resumed_from, fetched_bytes, duration_ms } = transfer;
        Self { blob: blob.into(), endpoint, attempts, resumed_from, fetched_bytes, duration_ms }
    }
}

impl From<contract::Allowance> for wit::Allowance {
    fn from(contract::Allowance { registry, limit, remaining, window_s }: contract::Allowance) -> Self {
        Self { registry, limit, remaining, window_s }
    }
}

#[cfg(feature = "guest")]
impl From<contract::Tree> for wit::Tree {
    fn from(contract::Tree { name, manifest, platform, snapshot, unpacked }: contract::Tree) -> Self {
        Self { name, manifest: manifest.into(), platform, snapshot: snapshot.map(String::from), unpacked }
    }
}

impl From<contract::Findings> for wit::Findings {
    fn from(contract::Findings { images, blobs, bytes, trees, flaws, notes }: contract::Findings) -> Self {
        Self { images, blobs, bytes, trees, flaws: each(flaws), notes }
    }
}

impl From<contract::Flaw> for wit::Flaw {
    fn from(flaw: contract::Flaw) -> Self {
        let contract::Flaw { kind, subject, why, images, consequence, cure, repaired } = flaw;
        Self { kind: kind.into(), subject, why, images, consequence, cure, repaired }
    }
}

impl From<contract::FlawKind> for wit::FlawKind {
    fn from(kind: contract::FlawKind) -> Self {
        match kind {
            contract::FlawKind::UnreadableRecord => Self::UnreadableRecord,
            contract::FlawKind::MissingBlob => Self::MissingBlob,
            contract::FlawKind::DamagedBlob => Self::DamagedBlob,
            contract::FlawKind::DisputedSize => Self::DisputedSize,
            contract::FlawKind::DamagedLayer => Self::DamagedLayer,
            contract::FlawKind::DamagedSnapshot => Self::DamagedSnapshot,
        }
    }
}

impl From<contract::Step> for wit::Step {
    fn from(contract::Step { layer, created, created_by, comment, size }: contract::Step) -> Self {
        Self { layer: layer.map(String::from), created, created_by, comment, size }
    }
}

/// Converts a list.
pub(super) fn each<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
}
