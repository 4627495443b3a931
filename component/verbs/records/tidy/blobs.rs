//! The records of blobs that nothing in the caller's namespace needs, and that are kept for others: they go as they would
//! if the blobs went, so that a namespace can become empty.

use crate::{
    host::Host,
    nouns::problem::ErrorCode,
    registry::Failure,
    verbs::{
        contract::Caller,
        reach::Reader,
        roots::Roots,
        store::{CONFLICTS_MAX, Records},
    },
};

/// Takes them away. If others are always faster, they stay for the next collection.
pub(super) async fn tidy<H: Host>(host: &H, caller: &Caller) -> Result<(), Failure> {
    let reader = Reader::new(host);
    for _ in 0..CONFLICTS_MAX {
        let (roots, everything) = reader.survey(caller).await?;
        if !everything.unreadable.is_empty() {
            return Ok(());
        }
        let own = reader.all(&roots.of(&caller.namespace), |_| false).await?;
        let is_unneeded = |(digest, namespaces): &(&_, &std::collections::BTreeSet<String>)| {
            namespaces.contains(&caller.namespace) && !own.blobs.contains(*digest)
        };
        let unneeded: Vec<_> = roots.recorded.iter().filter(is_unneeded).map(|(digest, _)| digest).collect();
        if unneeded.is_empty() {
            return Ok(());
        }
        let mut records = Records::begin(host, caller).await?;
        // In the same transaction: nobody begins to need one of them meanwhile.
        if !Roots::read(host, caller, &mut records).await?.hold_the_same(&roots) {
            continue;
        }
        records.turn_to(&caller.namespace).await?;
        unneeded.iter().for_each(|digest| records.delete_content(digest));
        match records.commit().await {
            Ok(()) => return Ok(()),
            Err(ErrorCode::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}
