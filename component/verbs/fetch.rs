//! Carries a plan out: brings what is not here into the content store, and tells
//! of each blob how it came. It records nothing; until that is done the blobs
//! are held by the plan, so that no collection can take them.

use super::{
    choose::Wishes,
    contract::{Event, Transfer},
    documents,
    failing::because,
    listen::Board,
    plan::{Part, Plan},
    transfers,
};
use crate::{
    host::{Blob, Host, Ingest},
    nouns::{digest::Digest, media_type::Kind, problem::ErrorCode},
    registry::{Failure, Phase, Repository, Watch},
};
use futures_util::stream::{self, StreamExt};
use std::rc::Rc;

/// Brings everything that the plan lacks, with at most `at_once` blobs on
/// their way. Returns how each blob of the plan came, in the order in which they
/// were there.
///
/// Configs begin first and are read as soon as they are here: a wrong one ends
/// the pull while its layers are still arriving.
pub(super) async fn fetch<'h, H: Host>(
    host: &'h H,
    repository: &Repository<'h, H>,
    plan: &mut Plan<H>,
    wishes: &Wishes,
    at_once: usize,
    board: &Board,
) -> Result<Vec<Transfer>, Failure> {
    for part in &plan.parts {
        match part.blob {
            Some(_) => board.about(&part.descriptor).announce(Phase::Present, part.descriptor.size),
            None => board.about(&part.descriptor).announce(Phase::Waiting, 0),
        }
    }
    let mut transfers = Vec::new();
    let parts = std::mem::take(&mut plan.parts);
    let (configs, rest): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| is_config(plan, &part.descriptor.digest));
    let mut on_their_way = stream::iter(configs.into_iter().chain(rest))
        .map(async |part| match part.blob {
            Some(_) => Ok((part.transfer(), part)),
            None => bring(host, repository, part, board).await,
        })
        .buffer_unordered(at_once);
    while let Some(outcome) = on_their_way.next().await {
        let (transfer, part) = outcome?;
        board.tell(Event::Transferred(transfer.clone()));
        transfers.push(transfer);
        settle(plan, &part, wishes, board).await?;
        plan.parts.push(part);
    }
    Ok(transfers)
}

fn is_config<H: Host>(plan: &Plan<H>, digest: &Digest) -> bool {
    plan.choices.iter().any(|chosen| chosen.manifest().config.digest == *digest)
}

/// Reads a config that has arrived, for every manifest that has it.
async fn settle<H: Host>(
    plan: &mut Plan<H>,
    part: &Part<H::Blob>,
    wishes: &Wishes,
    board: &Board,
) -> Result<(), Failure> {
    let digest = &part.descriptor.digest;
    for chosen in plan.choices.iter_mut().filter(|chosen| chosen.present.is_none()) {
        if chosen.manifest().config.digest == *digest {
            let blob = part.blob.as_ref().expect("`bring` returns parts that are here");
            chosen.settle(&documents::bytes(&part.descriptor, &**blob).await?, wishes, board)?;
        }
    }
    Ok(())
}

/// Brings one part. Returns it with its blob, and how it came.
async fn bring<'h, H: Host>(
    host: &'h H,
    repository: &Repository<'h, H>,
    mut part: Part<H::Blob>,
    board: &Board,
) -> Result<(Transfer, Part<H::Blob>), Failure> {
    let watch = board.about(&part.descriptor);
    if part.is_damaged
        && let Some(blob) = documents::clear(host, &part.descriptor).await?
    {
        watch.progress(Phase::Present, part.descriptor.size);
        part.blob = Some(Rc::new(blob));
        return Ok((part.transfer(), part));
    }
    let (blob, transfer) = match &part.held {
        Some(held) => {
            let blob = write(host, &part.descriptor.digest, &held.bytes).await?;
            watch.progress(Phase::Complete, part.descriptor.size);
            (blob, part.transfer())
        }
        None => {
            let begun_ms = host.uptime_ms();
            let brought = repository.blob(&part.descriptor, &watch).await;
            let (blob, sent) = brought.map_err(|failure| explain(&part, failure))?;
            (blob, transfers::transfer(&part.descriptor, sent, host.uptime_ms() - begun_ms))
        }
    };
    part.blob = Some(Rc::new(blob));
    Ok((transfer, part))
}

/// Writes a document that is in memory.
async fn write<H: Host>(host: &H, digest: &Digest, bytes: &[u8]) -> Result<H::Blob, ErrorCode> {
    let ingest = host.ingest(digest.as_str()).await?;
    // Whoever held the ingest before may have finished it.
    let size = bytes.len() as u64;
    match host.open(digest).await {
        Ok(blob) if blob.size() == size => {
            ingest.discard().await?;
            return Ok(blob);
        }
        // A commit replaces what has another size, once this handle is gone.
        Ok(_) | Err(ErrorCode::NotFound) => {}
        Err(other) => return Err(other),
    }
    if ingest.offset() > 0 {
        ingest.restart().await?;
    }
    ingest.append(host.stream(bytes.to_vec()), size).await?;
    ingest.commit(digest, size).await
}

fn explain<B>(part: &Part<B>, failure: Failure) -> Failure {
    match part.descriptor.kind() {
        Kind::Layer { foreign: true, .. } => because(
            "the layer is one that registries need not hold; wharf asks only the registry for it, not the addresses in the manifest",
        )(failure),
        _ => failure,
    }
}
