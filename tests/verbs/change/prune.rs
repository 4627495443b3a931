//! Which images a prune takes.

use super::{DAY_S, OTHER, World, caller, world};
use crate::verbs::Ear;
use std::rc::Rc;
use wharf_component::{
    nouns::problem::{ErrorCode, Problem},
    nouns::record::LeaseRecord,
    verbs::{
        self,
        contract::{Change, Changed, Event, Pruning},
    },
};
use wharf_sim::memory::process::{Call, Fate, Then, Verdict};

fn pruning(all: bool, filters: &[&str], keep_bytes: Option<u64>) -> Change {
    let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
    Change::Prune(Pruning { all, filters, keep_bytes, who: "process 7".to_owned() })
}

fn prune(world: &World, all: bool, filters: &[&str], keep_bytes: Option<u64>) -> Result<Changed, Problem> {
    world.perform(&pruning(all, filters, keep_bytes))
}

#[test]
fn what_has_a_tag_stays_and_what_has_no_name_goes() {
    let world = world();
    world.tag("other:1", &["app:1"]).unwrap();
    let changed = prune(&world, false, &[], None).unwrap();
    assert_eq!((changed.names.len(), changed.removed.blobs.len(), world.counts()), (0, 3, (4, 2, 2)));
    assert_eq!(world.names().len(), 2);
}

#[test]
fn all_takes_every_image_that_is_not_in_use() {
    let world = world();
    let target = world.record(OTHER).unwrap().target.digest;
    let lease = LeaseRecord { created: 0, expires: None, labels: Default::default(), holds: vec![target] };
    world.memory.write_row("default", "lease/a", &lease.encode());
    let changed = prune(&world, true, &[], None).unwrap();
    assert_eq!((changed.names.len(), world.names()), (1, vec![OTHER.to_owned()]));
    assert_eq!(world.counts(), (4, 2, 2));
}

#[test]
fn filters_choose_by_label_by_name_and_by_time() {
    let rows: [(&[&str], usize); 8] = [
        (&["label=tier"], 0),
        (&["label!=tier"], 0),
        (&["dangling=false", "label!=tier"], 2),
        (&["dangling=false", "reference=app"], 1),
        (&["dangling=false", "until=2024-01-01"], 0),
        (&["dangling=false", "until=2024-02-01"], 2),
        (&["unused-for=1h"], 0),
        (&["unused-for=0s"], 2),
    ];
    for (filters, expected) in rows {
        let world = world();
        let changed = prune(&world, false, filters, None).unwrap();
        assert_eq!(changed.names.len(), expected, "{filters:?}");
    }
    let problem = prune(&world(), false, &["unused-for=soon"], None).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid, "{problem:?}");
}

#[test]
fn what_nobody_has_used_for_long_goes_first_until_there_is_room() {
    let world = world();
    world.memory.clock().pass(2 * DAY_S * 1_000);
    world.tag("other:1", &["young:1"]).unwrap();
    assert_eq!(prune(&world, false, &["unused-for=3d"], None).unwrap().names.len(), 0);
    let changed = prune(&world, false, &["unused-for=1d", "reference=app"], None).unwrap();
    assert_eq!(changed.names.len(), 1);

    let world = super::world();
    world.memory.clock().pass(2 * DAY_S * 1_000);
    world.memory.write_row("default", "used/docker.io/library/app:1", b"99999999999");
    assert_eq!(prune(&world, false, &[], Some(u64::MAX)).unwrap().names.len(), 0);
    let garbage = world.plan_change(&pruning(false, &[], Some(0))).unwrap().garbage;
    let all: u64 = garbage.blobs.iter().chain(&garbage.layers).map(|(_, size)| size).sum::<u64>()
        + garbage.snapshots.iter().map(|(_, size)| size).sum::<u64>();
    assert_eq!(prune(&world, false, &[], Some(all)).unwrap().names.len(), 0, "it is small enough");
    let changed = prune(&world, false, &[], Some(all - 1)).unwrap();
    let names: Vec<&str> = changed.names.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, [OTHER]);
    assert_eq!(prune(&world, false, &[], Some(0)).map(|_| world.names()), Ok(Vec::new()));
    assert_eq!(world.counts(), (0, 0, 0));
}

#[test]
fn a_second_prune_is_refused_and_told_who_runs() {
    let world = world();
    let (first, second) = (world.memory.spawn(), world.memory.spawn());
    let change = pruning(true, &[], None);
    let (caller, ear) = (caller(), Ear::default());
    let one = verbs::change::perform(&first, &caller, &change, &ear);
    let other = verbs::change::perform(&second, &caller, &change, &ear);
    let (one, other) = world.memory.run(futures::future::join(one, other));
    let refused = [&one, &other].into_iter().filter_map(|outcome| outcome.as_ref().err()).collect::<Vec<_>>();
    assert!(refused.len() <= 1, "{one:?} {other:?}");
    for problem in refused {
        assert_eq!(problem.code, ErrorCode::InUse);
        assert!(problem.why[0].starts_with("another prune runs: "), "{problem:?}");
    }
    assert!(world.names().is_empty());
    assert_eq!(prune(&world, true, &[], None).map(|changed| changed.names.len()), Ok(0), "and then it is free again");
}

/// Whoever stopped a prune and began it again was told for half a minute that another one runs.
#[test]
fn a_prune_that_was_stopped_is_in_nobodys_way() {
    struct Gone;
    impl verbs::listen::Listener for Gone {
        async fn hear(&self, _: Vec<Event>) -> bool {
            false
        }
    }
    /// What is mounted takes its time, so that the work is under way when nobody listens any more.
    struct Slow;
    impl Fate for Slow {
        fn at(&self, _: u32, _: u64, call: Call, _: &str) -> Verdict {
            Verdict { wait_ms: if call == Call::Mounted { 1_000 } else { 0 }, then: Then::Go }
        }

        fn ended(&self, _: u32, _: u64, _: Call, _: &str, _: Option<&ErrorCode>) {}
    }
    let world = world();
    let change = pruning(true, &[], None);
    world.memory.entrust(Some(Rc::new(Slow)));
    let stopped = world.memory.run(verbs::change::perform(&world.memory, &caller(), &change, &Gone));
    assert_eq!(stopped.unwrap_err().code, ErrorCode::Cancelled);
    world.memory.entrust(None);
    let before = world.names().len();
    assert_eq!(prune(&world, true, &[], None).map(|changed| changed.names.len()), Ok(before));
}
