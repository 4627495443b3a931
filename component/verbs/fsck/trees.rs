//! Layers and snapshots: compared with what they were, and made again from the
//! blobs, which have been hashed by then.

use super::{
    Look, REPAIR, UNNEEDED,
    needs::{Needs, Tree},
    several,
};
use crate::{
    host::{Host, Layer, Refusal, Snapshot},
    nouns::{digest::Digest, platform::Platform, problem::ErrorCode},
    registry::Failure,
    verbs::{
        contract::{Findings, Flaw, FlawKind},
        library::Entry,
        roots::Roots,
        unpack,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// How many layers or snapshots are listed at once.
const PAGE_TREES: u32 = 1_000;

/// What is wrong with a tree.
enum Why {
    /// It cannot be opened: something of it is missing, as after a power cut.
    NotWhole,
    /// It is another one than it was.
    Changed(String),
    /// It could not be read, and may be right.
    Unread(String),
}

/// Which ones are not as they should be, by name.
type Wrong = BTreeMap<Digest, Why>;

impl<H: Host> Look<'_, H> {
    /// Looks at the layers and snapshots of `images`, and at all others if
    /// `is_all`.
    pub(super) async fn trees(
        &self,
        images: &[&Entry],
        is_all: bool,
        machine: &Platform,
        needs: &Needs,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let layers = match self.layers().await {
            Ok(layers) => layers,
            // A host without layers has none that could be damaged.
            Err(ErrorCode::Unsupported) => return Ok(()),
            Err(other) => return Err(other.into()),
        };
        let snapshots = self.snapshots().await?;
        let needed: BTreeSet<&Digest> = needs.trees.iter().flat_map(|tree| &tree.diff_ids).collect();
        let mut bad_layers = Wrong::new();
        for diff_id in layers.iter().filter(|diff_id| is_all || needed.contains(*diff_id)) {
            findings.trees += 1;
            let why = match self.host.layer(diff_id).await {
                Ok(layer) => wrong(layer.verify().await)?,
                Err(ErrorCode::NotFound) => Some(Why::NotWhole),
                Err(other) => Some(Why::Unread(other.to_string())),
            };
            bad_layers.extend(why.map(|why| (diff_id.clone(), why)));
        }
        let chains: BTreeSet<&Digest> = needs.trees.iter().flat_map(|tree| &tree.chain_ids).collect();
        let mut bad_snapshots = Wrong::new();
        for name in snapshots.iter().filter(|name| is_all || chains.contains(*name)) {
            findings.trees += 1;
            let why = match self.host.snapshot(name).await {
                Ok(snapshot) => wrong(snapshot.verify().await)?,
                Err(ErrorCode::NotFound) => Some(Why::NotWhole),
                Err(other) => Some(Why::Unread(other.to_string())),
            };
            bad_snapshots.extend(why.map(|why| (name.clone(), why)));
        }
        let (mut layers, mut snapshots) = (layers, snapshots);
        if bad_layers.values().chain(bad_snapshots.values()).any(|why| matches!(why, Why::NotWhole)) {
            (layers, snapshots) = (self.layers().await?, self.snapshots().await?);
            bad_layers = self.still(FlawKind::DamagedLayer, bad_layers, &layers).await;
            bad_snapshots = self.still(FlawKind::DamagedSnapshot, bad_snapshots, &snapshots).await;
        }
        // Nobody has asked for the tree of an image of which a layer was never extracted.
        let is_begun = |tree: &&Tree| tree.diff_ids.iter().all(|diff_id| layers.contains(diff_id));
        let is_absent = |tree: &&Tree| tree.chain_ids.last().is_some_and(|top| !snapshots.contains(top));
        let begun: Vec<&Tree> = needs.trees.iter().filter(is_begun).filter(is_absent).collect();
        let mut flaws: Vec<(Flaw, Digest)> = Vec::new();
        let (mut left, mut recorded): (Vec<(FlawKind, Digest)>, Vec<Flaw>) = (Vec::new(), Vec::new());
        let mut tell = |kind: FlawKind, name: Digest, why: Why, images: Vec<String>| match why {
            Why::NotWhole if images.is_empty() => left.push((kind, name)),
            Why::NotWhole => flaws.push((flaw(kind, &name, not_whole(kind).to_owned(), images), name)),
            Why::Changed(why) => flaws.push((flaw(kind, &name, why, images), name)),
            Why::Unread(why) => {
                let why = format!("{why}; it stays: it could not be read, and may be right");
                findings.flaws.push(flaw(kind, &name, why, images));
            }
        };
        for (diff_id, why) in bad_layers {
            let images = needs.images(|tree| tree.diff_ids.contains(&diff_id));
            tell(FlawKind::DamagedLayer, diff_id, why, images);
        }
        let clients = if bad_snapshots.is_empty() { BTreeMap::new() } else { self.clients().await? };
        for (name, why) in bad_snapshots {
            if let Some(key) = clients.get(&name).filter(|_| !chains.contains(&name)) {
                recorded.push(of_client(&name, key, &why));
                continue;
            }
            let images = needs.images(|tree| tree.chain_ids.contains(&name));
            tell(FlawKind::DamagedSnapshot, name, why, images);
        }
        findings.flaws.extend(recorded);
        self.leave_out(&left, findings).await;
        if self.repair.is_some() && !flaws.is_empty() {
            // What is damaged may still be of use; without its blobs it would only be gone.
            let lacking = findings.flaws.iter().filter(|flaw| {
                flaw.repaired.is_none() && matches!(flaw.kind, FlawKind::MissingBlob | FlawKind::DamagedBlob)
            });
            let lacking: BTreeSet<String> = lacking.flat_map(|flaw| flaw.images.iter().cloned()).collect();
            let (mut hopeless, mut others): (Vec<_>, Vec<_>) = flaws.into_iter().partition(|(flaw, _)| {
                !flaw.images.is_empty() && flaw.images.iter().all(|image| lacking.contains(image))
            });
            for (flaw, _) in &mut hopeless {
                flaw.why = format!("{}; it stays: a blob that it would be made of is not here", flaw.why);
            }
            self.make_again(images, machine, needs, &mut others).await;
            others.extend(hopeless);
            flaws = others;
        }
        findings.flaws.extend(flaws.into_iter().map(|(flaw, _)| flaw));
        self.finish(images, machine, &begun, findings).await;
        Ok(())
    }

    /// Tells trees of which the layers are here and no more, and makes them if
    /// something is to be repaired. That is no flaw: whoever extracts has all
    /// layers a moment before the tree, and may be killed then; and layers may be
    /// here for other images.
    async fn finish(&self, images: &[&Entry], machine: &Platform, begun: &[&Tree], findings: &mut Findings) {
        let mut tops: BTreeSet<&Digest> = begun.iter().filter_map(|tree| tree.chain_ids.last()).collect();
        let mut made = 0usize;
        for entry in images.iter().filter(|_| self.repair.is_some()) {
            for present in &entry.record.platforms {
                let tree = begun.iter().find(|tree| tree.manifest == present.manifest.digest);
                let Some(top) = tree.and_then(|tree| tree.chain_ids.last()) else { continue };
                // What it lacks is told as a flaw of its own.
                if tops.contains(top) && unpack::make(self.host, entry, present, machine, self.board).await.is_ok() {
                    tops.remove(top);
                    made += 1;
                }
            }
        }
        let are = |count: usize| if count == 1 { "1 tree is".to_owned() } else { format!("{count} trees are") };
        if made > 0 {
            findings.notes.push(format!("{} made of layers that were here", are(made)));
        }
        if !tops.is_empty() {
            findings.notes.push(format!("{} not made yet of layers that are here; `{REPAIR}` does", are(tops.len())));
        }
    }

    /// Tells what a power cut or another machine has left unfinished and nobody
    /// needs, and takes it away if something is to be repaired.
    async fn leave_out(&self, left: &[(FlawKind, Digest)], findings: &mut Findings) {
        let mut removed = 0usize;
        for (kind, name) in left.iter().filter(|_| self.repair.is_some()) {
            let gone = match kind {
                FlawKind::DamagedLayer => self.host.revoke_layer(name).await,
                _ => self.host.revoke_snapshot(name.as_str()).await,
            };
            // What somebody uses is being made again, and what is right by now was.
            removed += usize::from(gone.is_ok() && !self.is_there(*kind, name).await);
        }
        let trees = |count: usize| if count == 1 { "1 tree".to_owned() } else { format!("{count} trees") };
        if removed > 0 {
            findings.notes.push(format!("{} that nobody had finished: removed", trees(removed)));
        } else if !left.is_empty() {
            findings.notes.push(format!("{} that nobody has finished; `{REPAIR}` removes them", trees(left.len())));
        }
    }

    /// Takes away what is damaged, and makes the trees of the images again that
    /// had it.
    async fn make_again(&self, images: &[&Entry], machine: &Platform, needs: &Needs, flaws: &mut [(Flaw, Digest)]) {
        let mut made = BTreeSet::new();
        for (flaw, name) in flaws.iter_mut() {
            let revoked = match flaw.kind {
                FlawKind::DamagedLayer => self.host.revoke_layer(name).await,
                _ => self.host.revoke_snapshot(name.as_str()).await,
            };
            match revoked {
                Ok(()) if flaw.images.is_empty() => {
                    let is_back = self.is_there(flaw.kind, name).await;
                    flaw.repaired = Some(if is_back { "somebody has made it again" } else { "removed" }.to_owned());
                }
                Ok(()) => made.extend(flaw.images.iter().cloned()),
                Err(ErrorCode::InUse) => {
                    flaw.why = format!("{}; it stays: somebody uses it, or has mounted it", flaw.why);
                    flaw.cure = format!("end what uses it (`wharf mounts`), and then `{REPAIR}`");
                }
                Err(other) => flaw.why = format!("{}; it cannot be removed: {other}", flaw.why),
            }
        }
        let mut failed = BTreeMap::new();
        for entry in images.iter().filter(|entry| made.contains(&entry.name.to_string())) {
            for tree in needs.trees.iter().filter(|tree| tree.name == entry.name.to_string()) {
                if !flaws.iter().any(|(flaw, name)| is_of(tree, flaw.kind, name)) {
                    continue;
                }
                let present = entry.record.platforms.iter().find(|present| present.manifest.digest == tree.manifest);
                let Some(present) = present else { continue };
                if let Err(failure) = unpack::make(self.host, entry, present, machine, self.board).await {
                    failed.insert(tree.name.clone(), failure.why.join(": "));
                }
            }
        }
        for (flaw, name) in flaws.iter_mut() {
            if !flaw.images.iter().any(|image| made.contains(image)) || flaw.cure.starts_with("end ") {
                continue;
            }
            let is_there = self.is_there(flaw.kind, name).await;
            match flaw.images.iter().find_map(|image| failed.get(image)) {
                _ if is_there => flaw.repaired = Some("extracted again".to_owned()),
                Some(why) => flaw.why = format!("{}; it cannot be made again: {why}", flaw.why),
                None => flaw.why = format!("{}; it did not come back", flaw.why),
            }
        }
    }

    /// Leaves out what went while it was looked for, because whoever collects takes what nobody needs, and what was made
    /// again since. What is there in part is listed still.
    async fn still(&self, kind: FlawKind, wrong: Wrong, listed: &BTreeSet<Digest>) -> Wrong {
        let mut still = Wrong::new();
        for (name, why) in wrong {
            let is_passing =
                matches!(why, Why::NotWhole) && (!listed.contains(&name) || self.is_there(kind, &name).await);
            if !is_passing {
                still.insert(name, why);
            }
        }
        still
    }

    /// Whether it can be opened now.
    async fn is_there(&self, kind: FlawKind, name: &Digest) -> bool {
        match kind {
            FlawKind::DamagedLayer => self.host.layer(name).await.is_ok(),
            _ => self.host.snapshot(name).await.is_ok(),
        }
    }

    async fn layers(&self) -> Result<BTreeSet<Digest>, ErrorCode> {
        let (mut all, mut last) = (BTreeSet::new(), None);
        loop {
            let page = self.host.layers(last.as_ref(), PAGE_TREES).await?;
            let Some(end) = page.last() else { return Ok(all) };
            last = Some(end.clone());
            all.extend(page);
        }
    }

    /// The trees that clients have recorded, in whatever namespace, each with a key of it.
    async fn clients(&self) -> Result<BTreeMap<Digest, String>, Failure> {
        let shots = Roots::load(self.host, self.caller).await?.snapshots.into_iter();
        Ok(shots.map(|shot| (shot.record.tree, shot.key)).collect())
    }

    /// Names that are no ChainIDs belong to somebody else.
    async fn snapshots(&self) -> Result<BTreeSet<Digest>, ErrorCode> {
        let (mut all, mut last): (_, Option<String>) = (BTreeSet::new(), None);
        loop {
            let page = self.host.snapshots(last.as_deref(), PAGE_TREES).await?;
            let Some(end) = page.last() else { return Ok(all) };
            last = Some(end.clone());
            all.extend(page.iter().filter_map(|name| name.parse::<Digest>().ok()));
        }
    }
}

/// What is wrong with what cannot be opened.
fn not_whole(kind: FlawKind) -> &'static str {
    match kind {
        FlawKind::DamagedLayer => "it is not whole, or its record cannot be read",
        _ => "a layer or a snapshot that it stands on is not whole",
    }
}

/// What is wrong with the tree of a client's snapshot. It stays, because nothing here could make it again.
fn of_client(name: &Digest, key: &str, why: &Why) -> Flaw {
    let why = match why {
        Why::NotWhole => not_whole(FlawKind::DamagedSnapshot),
        Why::Changed(why) | Why::Unread(why) => why,
    };
    let key = key.escape_debug();
    Flaw {
        kind: FlawKind::DamagedSnapshot,
        subject: name.to_string(),
        why: format!("{why}; it stays: nothing here can make it again"),
        images: Vec::new(),
        consequence: format!("the snapshot `{key}` of a client cannot be mounted, or shows other files than it should"),
        cure: "remove that snapshot with what stands on it, and make it again".to_owned(),
        repaired: None,
    }
}

fn is_of(tree: &Tree, kind: FlawKind, name: &Digest) -> bool {
    match kind {
        FlawKind::DamagedLayer => tree.diff_ids.contains(name),
        _ => tree.chain_ids.contains(name),
    }
}

/// What a comparison found, if it could be made.
fn wrong(verified: Result<(), Refusal>) -> Result<Option<Why>, Failure> {
    match verified {
        Ok(()) => Ok(None),
        Err(Refusal { code: ErrorCode::Invalid | ErrorCode::NotFound, why }) => Ok(Some(Why::Changed(why))),
        Err(Refusal { code: ErrorCode::Other(_), why }) => Ok(Some(Why::Unread(why))),
        Err(Refusal { code, .. }) => Err(code.into()),
    }
}

fn flaw(kind: FlawKind, name: &Digest, why: String, images: Vec<String>) -> Flaw {
    let consequence = match images.as_slice() {
        [] => UNNEEDED.to_owned(),
        images => format!("{} cannot be mounted, or shows other files than it should", several(images)),
    };
    Flaw { kind, subject: name.to_string(), why, images, consequence, cure: REPAIR.to_owned(), repaired: None }
}
