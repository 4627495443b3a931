//! Carries a plan out: brings what is not here into the content store, tells of
//! each blob how it came, and has layers extracted while they arrive. It records
//! nothing; until that is done blobs and snapshots are held by the plan, so that
//! no collection can take them.

use super::{
    choose::Wishes,
    contract::{Event, Transfer},
    documents,
    failing::because,
    listen::Board,
    plan::{Part, Plan},
    transfers,
    trees::Trees,
};
use crate::{
    host::{Blob, Host, Ingest},
    nouns::{digest::Digest, media_type::Kind, problem::ErrorCode},
    planted::{Bug, has},
    registry::{Failure, Phase, Repository, Watch},
};
use futures_util::stream::{self, StreamExt};
use std::{cell::RefCell, cmp::Reverse, collections::BTreeSet, rc::Rc};

/// Brings everything that the plan lacks, with at most `at_once` blobs on
/// their way or being extracted, and makes the plan's trees. Returns how each
/// blob of the plan came, in the order in which they were there.
///
/// Configs begin first and are read as soon as they are here: a wrong one ends
/// the pull while its layers are still arriving, and nothing is extracted whose
/// layers it does not know. The largest layers begin before smaller ones. The
/// work is over when the last layer is, and a large one that began last would
/// be alone at the end, on one connection and one processor; the small ones
/// fill the gaps. Whatever the order, a layer waits to be stacked for those
/// below it, which takes no slot.
pub(super) async fn fetch<'h, H: Host>(
    host: &'h H,
    repository: &Repository<'h, H>,
    plan: &mut Plan<H>,
    wishes: &Wishes,
    at_once: usize,
    board: &Board,
) -> Result<Vec<Transfer>, Failure> {
    for part in &plan.parts {
        match plan.has(part) {
            true => board.about(&part.descriptor).announce(Phase::Present, part.descriptor.size),
            false => board.about(&part.descriptor).announce(Phase::Waiting, 0),
        }
    }
    let configs: BTreeSet<Digest> = plan.choices.iter().map(|chosen| chosen.manifest().config.digest.clone()).collect();
    // What was given up for a tree that is here does not come again.
    let (given_up, mut parts): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.parts).into_iter().partition(|part| part.blob.is_none() && plan.has(part));
    parts.sort_by_key(|part| match &part.held {
        _ if configs.contains(&part.descriptor.digest) => (0, Reverse(0)),
        Some(_) => (1, Reverse(0)),
        None => (2, Reverse(part.descriptor.size)),
    });
    let trees = std::mem::take(&mut plan.trees);
    let work = Fetch { host, repository, configs, trees: &trees, board, transfers: RefCell::default() };
    let bring = async {
        let mut on_their_way = stream::iter(parts).map(|part| work.bring(part)).buffer_unordered(at_once);
        while let Some(part) = on_their_way.next().await {
            let part = part?;
            work.settle(plan, &part, wishes).await?;
            plan.parts.push(part);
        }
        Ok(())
    };
    trees.grow(host, bring).await?;
    let mut transfers = work.transfers.into_inner();
    for part in given_up {
        board.tell(Event::Transferred(part.transfer()));
        transfers.push(part.transfer());
        plan.parts.push(part);
    }
    plan.trees = trees;
    if has(Bug::BlobsReleased) {
        plan.parts.iter_mut().for_each(|part| part.blob = None);
    }
    Ok(transfers)
}

/// One plan on its way.
struct Fetch<'f, 'h, H: Host> {
    host: &'h H,
    repository: &'f Repository<'h, H>,
    configs: BTreeSet<Digest>,
    trees: &'f Trees<H>,
    board: &'f Board,
    transfers: RefCell<Vec<Transfer>>,
}

impl<H: Host> Fetch<'_, '_, H> {
    /// Brings one part and extracts it if that is wanted. Returns it with its
    /// blob.
    async fn bring(&self, mut part: Part<H::Blob>) -> Result<Part<H::Blob>, Failure> {
        let extraction = RefCell::new(None);
        let (blob, transfer) = match part.blob.take() {
            Some(blob) => (blob, part.transfer()),
            None => self.obtain(&part, &extraction).await.map(|(blob, transfer)| (Rc::new(blob), transfer))?,
        };
        self.board.tell(Event::Transferred(transfer.clone()));
        self.transfers.borrow_mut().push(transfer);
        // A config is never a layer, whatever a manifest says: it would wait for itself.
        if !self.configs.contains(&part.descriptor.digest) {
            self.trees.extract(self.host, &part.descriptor, &blob, extraction.take(), self.board).await?;
        }
        part.blob = Some(blob);
        Ok(part)
    }

    /// Brings one part that is not here, and says how it came. If it may be
    /// extracted, that begins with its first byte.
    async fn obtain(
        &self,
        part: &Part<H::Blob>,
        extraction: &RefCell<Option<H::Extraction>>,
    ) -> Result<(H::Blob, Transfer), Failure> {
        let watch = self.board.about(&part.descriptor);
        if part.is_damaged
            && let Some(blob) = documents::clear(self.host, &part.descriptor).await?
        {
            watch.progress(Phase::Present, part.descriptor.size);
            return Ok((blob, part.transfer()));
        }
        if let Some(held) = &part.held {
            let blob = write(self.host, &part.descriptor.digest, &held.bytes).await?;
            watch.progress(Phase::Complete, part.descriptor.size);
            return Ok((blob, part.transfer()));
        }
        let arriving = |ingest: &H::Ingest| {
            // What followed the ingest before is of no use, and there may only be so many.
            drop(extraction.take());
            extraction.replace(self.trees.follow(self.host, &part.descriptor.digest, ingest));
        };
        let begun_ms = self.host.uptime_ms();
        let brought = self.repository.blob(&part.descriptor, &watch, &arriving).await;
        let (blob, sent) = brought.map_err(|failure| explain(part, failure))?;
        Ok((blob, transfers::transfer(&part.descriptor, sent, self.host.uptime_ms() - begun_ms)))
    }

    /// Reads a config that has arrived, for every manifest that has it.
    async fn settle(&self, plan: &mut Plan<H>, part: &Part<H::Blob>, wishes: &Wishes) -> Result<(), Failure> {
        let digest = &part.descriptor.digest;
        for chosen in plan.choices.iter_mut().filter(|chosen| chosen.present.is_none()) {
            if chosen.manifest().config.digest == *digest {
                let blob = part.blob.as_ref().expect("`bring` returns parts that are here");
                let bytes = documents::bytes(&part.descriptor, &**blob).await?;
                if let Some(config) = chosen.settle(&bytes, wishes, self.board)? {
                    let manifest = &chosen.selected.held.descriptor.digest;
                    let platform = wishes.platform(&config);
                    self.trees.learn(self.host, manifest, &config, &platform, self.board).await?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a document that is in memory.
pub(super) async fn write<H: Host>(host: &H, digest: &Digest, bytes: &[u8]) -> Result<H::Blob, ErrorCode> {
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
