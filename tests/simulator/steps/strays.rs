//! `fsck`, and the names that it gives to what no record names.

use super::{Ear, caller};
use crate::{chronicle::Acknowledged, memory::Memory, run::World};
use std::rc::Rc;
use wharf_component::{
    nouns::problem::Problem,
    verbs::{self, contract::Access},
};

/// Checks, and notes which names are given: to anything that is a document, because its record may be lost or still to
/// come.
pub(super) async fn fsck(
    world: &Rc<World>,
    process: &Memory,
    references: &[String],
    repair: Option<&Access>,
    rebuild: bool,
) -> Result<(), Problem> {
    let (caller, ear) = (caller(), Ear::default());
    let work = verbs::fsck(process, &caller, references, repair, rebuild, &ear);
    if !rebuild {
        return work.await.map(drop);
    }
    world.note_composed();
    let writes = world.recoverable().into_iter().map(|digest| {
        let name = world.chronicle.recovered(&digest);
        (world.chronicle.write(&name, process.clock().now_ms(), Some(&name)), digest, name)
    });
    let writes: Vec<_> = writes.collect();
    let findings = work.await;
    world.note_records();
    let findings = findings?;
    for (write, target, name) in &writes {
        match findings.notes.iter().any(|note| note.contains(&format!("is `{name}` now"))) {
            true => {
                let what = Acknowledged { target: target.clone(), manifests: Vec::new(), unpacked: Vec::new() };
                world.chronicle.acknowledge(write, what);
            }
            false => world.chronicle.left_alone(write),
        }
    }
    Ok(())
}
