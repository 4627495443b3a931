//! What no verb does: blobs that no image has are brought, held and removed, and a disk changes one.

use super::super::clock;
use super::super::history::Fact;
use super::super::world::Dice;
use super::{Facts, Worker, digest};
use std::fs;
use std::time::Duration;

impl Worker<'_> {
    pub(super) async fn put(&self, blob: &str, dice: &mut Dice) -> Facts {
        let at = self.digests.iter().position(|digest| digest == blob).expect("the blob is one of these");
        let bytes = &self.loose[at];
        let ingest = loop {
            match self.services.content.try_ingest(blob)? {
                Some(ingest) => break ingest,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let offset = usize::try_from(ingest.offset()).expect("the blob is small");
        for chunk in bytes[offset.min(bytes.len())..].chunks(4_096) {
            ingest.append(chunk)?;
        }
        if dice.below(4) == 0 {
            // It is dropped half-way, and the next one goes on.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let held = ingest.commit(&digest(blob), bytes.len() as u64)?;
        let from = clock();
        let is_whole = held.read(0, 1 << 20)? == *bytes;
        let mut facts = vec![Fact::Held { blob: blob.to_owned(), from, until: clock() }];
        if !is_whole {
            facts.push(Fact::Wrong(format!("`{blob}` has other bytes")));
        }
        Ok(facts)
    }

    pub(super) async fn hold(&self, blob: &str, ms: u64) -> Facts {
        let held = self.services.content.blob(&digest(blob))?;
        let from = clock();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let mut facts = vec![Fact::Blob { blob: blob.to_owned(), is_here: true }];
        if let Err(error) = self.services.content.blob(&digest(blob)) {
            facts.push(Fact::Wrong(format!("`{blob}` is held and cannot be opened: {error}")));
        }
        let mut verifier = held.verifier();
        while !verifier.step()? {}
        facts.push(Fact::Held { blob: blob.to_owned(), from, until: clock() });
        Ok(facts)
    }

    /// Does what a disk may do: the file of a blob, if there is one, has other bytes.
    pub(super) fn damage(&self, blob: &str) -> Facts {
        let digest = digest(blob);
        let home = self.assignment.directory.join("store/blobs").join(digest.algorithm().name());
        let path = home.join(digest.encoded());
        if path.exists() {
            let draft = self.assignment.directory.join(format!("draft-{}", self.assignment.worker));
            fs::write(&draft, format!("damaged by {}", self.assignment.worker))?;
            fs::rename(&draft, &path)?;
        }
        Ok(Vec::new())
    }
}
