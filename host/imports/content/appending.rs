//! One `append` on one ingest, from the batches of a guest's stream.

use super::{Answer, Budget, Ingest, Lane, blocking, content};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use wasmtime::{Result, bail};

/// Only one at a time.
pub(super) struct Appending {
    service: Arc<content::Ingest>,
    run: content::Run,
    lane: Arc<Mutex<()>>,
    budget: Budget,
    flag: Arc<AtomicBool>,
}

impl Appending {
    pub(super) fn begin(ingest: &Ingest, budget: Budget) -> Result<Self> {
        if ingest.appending.swap(true, Ordering::AcqRel) {
            bail!("the component appends to one ingest twice at the same time");
        }
        let Ingest { service, lane, appending } = ingest;
        let run = service.run();
        Ok(Self { service: service.clone(), run, lane: lane.clone(), budget, flag: appending.clone() })
    }

    /// Writes and hashes a batch. Returns how many bytes that were.
    pub(super) async fn write(&self, batch: Vec<Bytes>) -> Answer<u64> {
        let run = self.run;
        let lane = Lane::enter(self.service.clone(), self.lane.clone()).await;
        blocking(&self.budget, move || {
            let mut written = 0;
            for chunk in &batch {
                if !lane.service.append_in(run, chunk)? {
                    break;
                }
                written += chunk.len() as u64;
            }
            Ok(written)
        })
        .await
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        // From here on nothing arrives, also if a batch is under way: the offset that the component reads next is
        // where its next `append` begins.
        self.service.interrupt();
        self.flag.store(false, Ordering::Release);
    }
}
