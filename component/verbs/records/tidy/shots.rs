//! What a collection takes away of snapshots: the records that nothing holds, of every namespace, with what was written to,
//! and after that what was written to and has no record. What is mounted, or in use, stays with all that it stands on.
//!
//! ```text
//! read everything ─► tops of what nothing holds ─► their records ─► read everything ─► the records of what is committed
//!                    those in use are needed                        in the transaction that takes them away
//! ```

use crate::{
    host::Host,
    nouns::{
        problem::ErrorCode,
        record::{self, SnapshotKind},
    },
    registry::Failure,
    verbs::{
        contract::Caller,
        reach::Reader,
        records::{
            leases,
            snapshots::{remove_tops, take_top, tops},
        },
        roots::{Roots, Shot},
        store::{self, CONFLICTS_MAX, Records},
    },
};
use std::collections::BTreeMap;

/// Takes it away. If others are always faster, or there is a record that does not say what it needs, the rest stays for
/// the next collection.
pub(in crate::verbs) async fn tidy_snapshots<H: Host>(host: &H, caller: &Caller) -> Result<(), Failure> {
    // Before the records are read: what is here has had one by then.
    let here = tops(host).await?;
    let reader = Reader::collecting(host);
    for _ in 0..CONFLICTS_MAX {
        let (roots, reach) = reader.survey(caller).await?;
        if !reach.unreadable.is_empty() {
            return Ok(());
        }
        let is_needed = |shot: &&Shot| reach.kept.contains(&(shot.namespace.clone(), shot.key.clone()));
        let unneeded: Vec<&Shot> = roots.snapshots.iter().filter(|shot| !is_needed(shot)).collect();
        let (committed, mounted): (Vec<&Shot>, Vec<&Shot>) =
            unneeded.into_iter().partition(|shot| shot.record.kind == SnapshotKind::Committed);
        if !mounted.is_empty() {
            for shot in mounted {
                match take_top(host, &shot.record.tree).await {
                    Ok(()) => forget(host, caller, shot).await?,
                    Err(failure) if failure.code == ErrorCode::InUse => {
                        reader.uses((shot.namespace.clone(), shot.key.clone()));
                    }
                    Err(other) => return Err(other),
                }
            }
            continue;
        }
        if committed.is_empty() || forget_all(host, caller, &roots, &committed).await? {
            return remove_tops(host, here, &Roots::load(host, caller).await?).await;
        }
    }
    Ok(())
}

/// Takes away the record of something whose tree is gone.
async fn forget<H: Host>(host: &H, caller: &Caller, shot: &Shot) -> Result<(), Failure> {
    let there = Caller { namespace: shot.namespace.clone(), ..caller.clone() };
    store::change(host, &there, async |records| {
        match records.snapshot(&shot.key).await? {
            Some(Ok(now)) if now.tree == shot.record.tree && now.kind == shot.record.kind => {}
            Some(Ok(_) | Err(record::Error::Damaged(_))) | None => return Ok(()),
            Some(Err(other)) => return Err(crate::verbs::failing::invalid(other)),
        }
        records.delete_snapshot(&shot.key)?;
        leases::let_go_snapshot(records, &shot.key).await
    })
    .await
}

/// Takes these records away if everything is recorded as it was, which is read in the same transaction: nobody begins to
/// hold one of them meanwhile. Returns whether that was so.
async fn forget_all<H: Host>(host: &H, caller: &Caller, roots: &Roots, unneeded: &[&Shot]) -> Result<bool, Failure> {
    let mut records = Records::begin(host, caller).await?;
    if !Roots::read(host, caller, &mut records).await?.hold_the_same(roots) {
        return Ok(false);
    }
    let mut places: BTreeMap<&str, Vec<&Shot>> = BTreeMap::new();
    for shot in unneeded {
        places.entry(&shot.namespace).or_default().push(shot);
    }
    for (namespace, shots) in places {
        records.turn_to(namespace).await?;
        for shot in shots {
            records.delete_snapshot(&shot.key)?;
            leases::let_go_snapshot(&records, &shot.key).await?;
        }
    }
    match records.commit().await {
        Ok(()) => Ok(true),
        Err(ErrorCode::Conflict) => Ok(false),
        Err(other) => Err(other.into()),
    }
}
