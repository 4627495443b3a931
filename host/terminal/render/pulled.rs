//! The answer of `wharf pull`: the full names on standard output, and what to
//! say about them on standard error.
//!
//! It does not tell how the bytes came; that is [`super::progress`].

use super::{escape, json};
use serde::Serialize;
use wharf_vocabulary::vocabulary::{Allowance, Pulled, Transfer};

#[derive(Serialize)]
struct PulledObject<'a> {
    #[serde(flatten)]
    image: json::ImageObject<'a>,
    fetched_bytes: u64,
    up_to_date: bool,
    transfers: Vec<BlobObject<'a>>,
    rate_limit: Option<RateLimit<'a>>,
}

#[derive(Serialize)]
struct BlobObject<'a> {
    #[serde(flatten)]
    blob: json::Descriptor<'a>,
    #[serde(flatten)]
    transfer: json::TransferObject<'a>,
}

#[derive(Serialize)]
struct RateLimit<'a> {
    registry: &'a str,
    limit: u64,
    remaining: u64,
    window_s: Option<u64>,
}

impl<'a> From<&'a Pulled> for PulledObject<'a> {
    fn from(it: &'a Pulled) -> Self {
        Self {
            image: (&it.image).into(),
            fetched_bytes: it.fetched_bytes,
            up_to_date: it.up_to_date,
            transfers: it.transfers.iter().map(BlobObject::from).collect(),
            rate_limit: it.allowance.as_ref().map(RateLimit::from),
        }
    }
}

impl<'a> From<&'a Transfer> for BlobObject<'a> {
    fn from(transfer: &'a Transfer) -> Self {
        Self { blob: (&transfer.blob).into(), transfer: transfer.into() }
    }
}

impl<'a> From<&'a Allowance> for RateLimit<'a> {
    fn from(Allowance { registry, limit, remaining, window_s }: &'a Allowance) -> Self {
        Self { registry, limit: *limit, remaining: *remaining, window_s: *window_s }
    }
}

/// Returns the full names, one a line. For standard output.
pub fn names(pulled: &[Pulled]) -> String {
    pulled.iter().map(|it| format!("{}\n", escape::text(&it.image.name))).collect()
}

/// Returns a JSON array, one object for each name. For standard output.
pub fn json(pulled: &[Pulled]) -> String {
    json::pretty(&pulled.iter().map(PulledObject::from).collect::<Vec<_>>())
}

/// Returns what happened to each name, in docker's words. For standard error.
pub fn talk(pulled: &[Pulled]) -> String {
    let one = |it: &Pulled| {
        let status = if it.up_to_date { "image is up to date" } else { "downloaded newer image" };
        let digest = escape::text(&it.image.target.digest);
        format!("Digest: {digest}\nStatus: {status} for {}\n", escape::text(&it.image.familiar))
    };
    pulled.iter().map(one).collect()
}
