//! Fsck of records: what cannot be read is told, and pulled again or taken away.

use super::{DOWNLOADS_AT_ONCE, Look, Nobody, REPAIR};
use crate::{
    host::Host,
    registry::Failure,
    verbs::{
        contract::{Findings, Flaw, FlawKind, PullOptions, Wanted},
        library::Library,
        pull,
        store::{Records, change},
    },
};

impl<H: Host> Look<'_, H> {
    /// Tells the records that cannot be read. A pull of its name replaces one;
    /// one that cannot be pulled stays, so that its name is not lost.
    pub(super) async fn records(&self, library: &Library, findings: &mut Findings) {
        for (name, error) in &library.damaged {
            let mut flaw = Flaw {
                kind: FlawKind::UnreadableRecord,
                subject: name.clone(),
                why: error.to_string(),
                images: vec![name.clone()],
                consequence: "the image cannot be found by its name".to_owned(),
                cure: format!("wharf pull {name}"),
                repaired: None,
            };
            if let Some(access) = self.repair {
                let options = PullOptions {
                    wanted: Wanted::Machine,
                    all_tags: false,
                    concurrent_downloads: DOWNLOADS_AT_ONCE,
                    unpack: false,
                    retention: None,
                    access: access.clone(),
                };
                match pull::pull(self.host, self.caller, name, &options, &Nobody).await {
                    Ok(_) => flaw.repaired = Some("pulled again".to_owned()),
                    Err(problem) => flaw.why = format!("{}; it stays: {}", flaw.why, problem.why.join(": ")),
                }
            }
            findings.flaws.push(flaw);
        }
    }

    /// Tells the others: names that are no references, leases, and what clients have recorded of blobs and snapshots. Nobody
    /// can bring one of them again. Each stops every collection of the store, so that a repair takes it away.
    pub(super) async fn other_records(&self, findings: &mut Findings) -> Result<(), Failure> {
        for (key, error) in Records::begin(self.host, self.caller).await?.unread().await? {
            let mut flaw = Flaw {
                kind: FlawKind::UnreadableRecord,
                subject: key.clone(),
                why: error.to_string(),
                images: Vec::new(),
                consequence: "nothing is removed from the disk, because nobody knows what it holds".to_owned(),
                cure: REPAIR.to_owned(),
                repaired: None,
            };
            if self.repair.is_some() {
                let taken = change(self.host, self.caller, async |records| {
                    // Somebody may have written it anew.
                    let is_there = records.unread().await?.iter().any(|(other, _)| *other == key);
                    if is_there {
                        records.delete_unread(&key);
                    }
                    Ok(is_there)
                });
                let done =
                    if taken.await? { "taken away; what it alone held can go" } else { "somebody has written it anew" };
                flaw.repaired = Some(done.to_owned());
            }
            findings.flaws.push(flaw);
        }
        Ok(())
    }
}
