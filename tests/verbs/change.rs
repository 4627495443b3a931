//! `plan-change`, `perform` and `apply`: names and images that come and go, and
//! what goes with them.

mod docker;
mod prune;
mod retain;

use super::{Ear, Recipe, World, caller, chain, options, platforms, unpacking};
use wharf_component::{
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{LeaseRecord, Schema},
    },
    verbs::{
        self,
        contract::{Change, Changed, Collecting, Plan, Removal, Tagging},
    },
};
use wharf_sim::memory::Call;

const APP: &str = "docker.io/library/app:1";
const OTHER: &str = "docker.io/library/other:1";
const DAY_S: u64 = 86_400;

impl World {
    pub(super) fn perform(&self, change: &Change) -> Result<Changed, Problem> {
        self.memory.run(verbs::change::perform(&self.memory, &caller(), change, &Ear::default()))
    }

    pub(super) fn plan_change(&self, change: &Change) -> Result<Plan, Problem> {
        self.memory.run(verbs::change::plan_change(&self.memory, &caller(), change))
    }

    pub(super) fn apply(&self, document: &str) -> Result<Changed, Problem> {
        self.memory.run(verbs::change::apply(&self.memory, &caller(), document, &Ear::default()))
    }

    pub(super) fn remove(&self, reference: &str) -> Result<Changed, Problem> {
        self.perform(&removal(&[reference]))
    }

    pub(super) fn tag(&self, source: &str, names: &[&str]) -> Result<Changed, Problem> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.perform(&Change::Tag(Tagging { source: source.to_owned(), names }))
    }

    pub(super) fn collect(&self) -> Result<Changed, Problem> {
        self.perform(&Change::Collect(Collecting { ingest_age_s: 7 * DAY_S }))
    }

    fn names(&self) -> Vec<String> {
        let rows = self.memory.snapshot().rows;
        let own = rows.keys().filter(|(namespace, _)| namespace == "default");
        own.filter_map(|(_, key)| key.strip_prefix("image/").map(str::to_owned)).collect()
    }

    /// How many blobs, layers and snapshots there are.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let (blobs, trees) = (self.memory.snapshot().disk.blobs.len(), self.memory.layers().visible());
        (blobs, trees.layers.len(), trees.snapshots.len())
    }
}

fn removal(references: &[&str]) -> Change {
    let references = references.iter().map(|&reference| reference.to_owned()).collect();
    Change::Remove(Removal { references, ..Removal::default() })
}

/// Two images that share their lowest layer, extracted.
fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: &["base", "app"], ..Recipe::default() });
    world.image("library/other", Some("1"), Recipe { layers: &["base", "other"], ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    world.pull("other:1", &unpacking()).unwrap();
    world
}

#[test]
fn the_last_name_takes_what_nothing_else_needs() {
    let world = world();
    assert_eq!(world.counts(), (7, 3, 3));
    let target = world.record(APP).unwrap().target;
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.names.len(), changed.names[0].name.as_str()), (1, APP));
    assert_eq!(changed.gone, std::slice::from_ref(&target.digest));
    let sizes = |things: &[(Digest, u64)]| things.len();
    assert_eq!((sizes(&changed.removed.blobs), sizes(&changed.removed.layers)), (3, 1), "manifest, config, one layer");
    assert_eq!(changed.removed.snapshots.len(), 1);
    assert_eq!((changed.failed.len(), changed.left.len()), (0, 0), "{changed:?}");
    assert_eq!((world.counts(), world.names()), ((4, 2, 2), vec![OTHER.to_owned()]));
    assert!(!world.has(&target.digest));
    world.remove("other:1").unwrap();
    assert_eq!((world.counts(), world.names()), ((0, 0, 0), Vec::new()));
    let absent = world.remove("app:1").unwrap_err();
    // It was `wharf pull app:1`, and nobody pulls what is to go.
    assert_eq!((absent.code, absent.fix.as_deref()), (ErrorCode::NotFound, Some("wharf images")));
}

#[test]
fn a_name_among_others_goes_alone() {
    let world = world();
    let changed = world.tag("app:1", &["app:2", "app:1", "org/app"]).unwrap();
    let made: Vec<&str> = changed.names.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(made, ["docker.io/library/app:2", "docker.io/org/app:latest"], "one is there already");
    assert_eq!(world.record("docker.io/library/app:2").unwrap().target, world.record(APP).unwrap().target);
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.gone.len(), changed.removed.blobs.len(), world.counts()), (0, 0, (7, 3, 3)));
    assert_eq!(world.names(), ["docker.io/library/app:2", OTHER, "docker.io/org/app:latest"]);

    let id = world.record("docker.io/library/app:2").unwrap().platforms[0].config.clone();
    let problem = world.remove(&id.encoded()[..12]).unwrap_err();
    assert_eq!(problem.code, ErrorCode::InUse, "{problem:?}");
    assert_eq!(problem.why, ["the image has names in 2 repositories: `app:2`, `org/app:latest`"]);
    let forced = Change::Remove(Removal { references: vec![id.to_string()], force: true, ..Removal::default() });
    assert_eq!(world.perform(&forced).unwrap().names.len(), 2);
    assert_eq!((world.counts(), world.names()), ((4, 2, 2), vec![OTHER.to_owned()]));
}

#[test]
fn a_tag_that_moves_leaves_what_it_pointed_to_for_a_collection() {
    let world = world();
    let old = world.record(APP).unwrap().target.digest;
    let change = Change::Tag(Tagging { source: "other:1".to_owned(), names: vec!["app:1".to_owned()] });
    let plan = world.plan_change(&change).unwrap();
    assert_eq!((plan.gone.as_slice(), plan.risks.len()), (&[old.clone()][..], 1));
    assert_eq!(world.record(APP).unwrap().target.digest, old, "a plan changes nothing");
    world.perform(&change).unwrap();
    assert_eq!(world.record(APP).unwrap().target, world.record(OTHER).unwrap().target);
    assert_eq!(world.counts(), (7, 3, 3));
    let changed = world.collect().unwrap();
    assert_eq!((changed.removed.blobs.len(), world.counts()), (3, (4, 2, 2)));
    assert_eq!(world.collect().unwrap(), Changed::default(), "and then there is nothing to do");
}

#[test]
fn one_platform_goes_and_the_name_stays() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    let name = "docker.io/library/alpine:3.20";
    let shrink = |platform: &str| world.perform(&rm_platform("alpine:3.20", platform));
    assert_eq!(shrink("linux/s390x").unwrap_err().code, ErrorCode::NotFound);
    let changed = shrink("linux/arm64").unwrap();
    assert_eq!(changed.names[0].platforms, ["linux/arm64/v8"]);
    assert_eq!((changed.names[0].after.is_some(), changed.gone.len(), changed.removed.blobs.len()), (true, 0, 3));
    let record = world.record(name).unwrap();
    assert_eq!(
        (record.platforms.len(), world.has(&built[1].manifest), world.has(&built[0].manifest)),
        (1, false, true)
    );
    assert_eq!(record.size, built[0].size + record.target.size);
    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    assert_eq!(world.record(name).unwrap().platforms.len(), 2, "it comes back beside the other");
    shrink("linux/arm64").unwrap();
    assert_eq!(shrink("linux/amd64").unwrap().gone.len(), 1, "nothing is left");
    assert_eq!((world.counts(), world.names().len()), ((0, 0, 0), 0));
}

#[test]
fn a_platform_goes_from_all_names_of_the_image() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    world.tag("alpine:3.20", &["kept:1"]).unwrap();
    world.perform(&rm_platform("alpine:3.20", "linux/amd64")).unwrap();
    assert!(!world.has(&built[0].manifest), "no name keeps it");
    world.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    // `kept:1` has arm64 alone, and it was not asked for.
    let plan = world.plan_change(&rm_platform("alpine:3.20", "linux/arm64")).unwrap();
    let names: Vec<&str> = plan.names.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["docker.io/library/alpine:3.20"]);
    let changed = world.perform(&rm_platform("alpine:3.20", "linux/arm64")).unwrap();
    assert_eq!((changed.removed.blobs.len(), world.has(&built[1].manifest)), (0, true), "`kept:1` needs it");
}

pub(super) fn rm_platform(reference: &str, platform: &str) -> Change {
    let (references, platforms) = (vec![reference.to_owned()], vec![platform.to_owned()]);
    Change::Remove(Removal { references, platforms, ..Removal::default() })
}

#[test]
fn what_another_namespace_or_a_lease_holds_stays() {
    let world = world();
    let rows = world.memory.snapshot().rows;
    let record = &rows[&("default".to_owned(), format!("image/{APP}"))];
    world.memory.write_row("theirs", "schema", &Schema::current());
    world.memory.write_row("theirs", &format!("image/{APP}"), record);
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.gone.len(), changed.removed.blobs.len(), world.counts()), (1, 0, (7, 3, 3)));

    let target = world.record(OTHER).unwrap().target.digest;
    let lease = LeaseRecord { created: 0, expires: None, labels: Default::default(), holds: vec![target] };
    world.memory.write_row("theirs", "lease/a", &lease.encode());
    assert_eq!(world.remove("other:1").unwrap().removed.blobs.len(), 0);
    assert_eq!(world.collect().unwrap().removed.blobs.len(), 0);
    world.memory.write_row("theirs", "lease/a", &LeaseRecord { expires: Some(1), ..lease }.encode());
    let changed = world.collect().unwrap();
    assert_eq!((changed.removed.blobs.len(), world.counts()), (3, (4, 2, 2)), "the lease has expired");
}

#[test]
fn what_is_held_is_left_and_said() {
    let world = world();
    let layer = world.record(OTHER).map(|_| chain(&["base", "other"])).unwrap().0[1].clone();
    let other = world.memory.spawn();
    let held = other.run(wharf_component::host::Host::layer(&other, &layer)).unwrap();
    let changed = world.remove("other:1").unwrap();
    assert_eq!(changed.left, ["1 blob or tree is in use; `wharf gc` removes them later"]);
    assert_eq!(world.counts(), (4, 3, 2));
    drop(held);
    world.collect().unwrap();
    assert_eq!(world.counts(), (4, 2, 2));
}

/// Somebody pulls the same image while it is removed: whoever comes last is right,
/// and nothing is half there.
#[test]
fn an_image_that_is_recorded_after_the_claim_was_prepared_keeps_its_blobs() {
    let world = world();
    let rows = world.memory.snapshot().rows;
    let record = rows[&("default".to_owned(), format!("image/{APP}"))].clone();
    world.memory.interfere(Call::Claim, move |memory| {
        memory.write_row("default", "image/docker.io/library/back:1", &record);
        Ok(())
    });
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.names.len(), changed.removed.blobs.len()), (1, 0), "{changed:?}");
    assert_eq!(world.counts().0, 7);
    world.remove("back:1").unwrap();
    assert_eq!(world.counts(), (4, 2, 2));
}

#[test]
fn nothing_goes_while_a_record_does_not_say_what_it_needs() {
    let world = world();
    world.memory.write_row("default", "image/docker.io/library/broken:1", b"nonsense");
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.names.len(), changed.removed.blobs.len(), world.counts()), (1, 0, (7, 3, 3)));
    assert!(
        changed.left[0].starts_with("nothing is removed from the disk: `docker.io/library/broken:1`"),
        "{changed:?}"
    );
    let problem = world.collect().unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::Invalid, Some("wharf fsck --repair")));
}

#[test]
fn a_plan_is_carried_out_exactly_or_not_at_all() {
    let world = world();
    let plan = world.plan_change(&removal(&["app:1", "other:1"])).unwrap();
    assert_eq!((plan.names.len(), plan.gone.len(), plan.garbage.blobs.len()), (2, 2, 7));
    world.tag("app:1", &["app:2"]).unwrap();
    let changed = world.apply(&plan.document).unwrap();
    assert_eq!((changed.names.len(), changed.removed.blobs.len()), (2, 3), "the new name keeps its own");
    assert_eq!(world.names(), ["docker.io/library/app:2"]);

    let problem = world.apply(&plan.document).unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::Conflict, vec![format!("`{APP}` is gone")]));
    let plan = world.plan_change(&removal(&["app:2"])).unwrap();
    world.pull("other:1", &options()).unwrap();
    world.tag("other:1", &["app:2"]).unwrap();
    let problem = world.apply(&plan.document).unwrap_err();
    assert_eq!(problem.why, ["`docker.io/library/app:2` has changed since the plan was made"]);
    assert_eq!(world.names(), ["docker.io/library/app:2", OTHER]);
}

#[test]
fn what_is_no_plan_is_refused() {
    let world = world();
    let plan = world.plan_change(&removal(&["app:1"])).unwrap().document;
    let rows = [
        ("", ErrorCode::Invalid),
        ("{}", ErrorCode::Invalid),
        ("[1]", ErrorCode::Invalid),
        (&plan.replace(r#""wharf-plan": 1"#, r#""wharf-plan": 2"#), ErrorCode::Unsupported),
        (&plan.replace(r#""do": "untag""#, r#""do": "explode""#), ErrorCode::Invalid),
        (&plan.replace(r#""namespace": "default""#, r#""namespace": "other""#), ErrorCode::Invalid),
        (&plan.replace("sha256:", "sha512:"), ErrorCode::Invalid),
        (&plan.replace(APP, "../../etc"), ErrorCode::Invalid),
    ];
    for (document, expected) in rows {
        let problem = world.apply(document).unwrap_err();
        assert_eq!(problem.code, expected, "{document:.80}: {problem:?}");
    }
    assert_eq!(world.counts(), (7, 3, 3));
}

/// The first collection found nothing that a list shows, and so looked no further.
#[test]
fn a_collection_removes_what_is_left_of_an_extraction_that_died() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let dying = World { memory: world.memory.spawn(), registry: world.registry.clone() };
    dying.memory.interfere(Call::Unpack, |memory| {
        memory.kill();
        Err(ErrorCode::NoSpace)
    });
    dying.unpack("app:1", None).unwrap_err();
    assert_ne!(world.memory.layers().private(), (0, 0));
    assert_eq!(world.collect().unwrap(), Changed::default());
    assert_eq!(world.memory.layers().private(), (0, 0));
}

#[test]
fn no_prune_leaves_everything_for_a_collection() {
    let world = world();
    let removal = Removal { references: vec!["app:1".to_owned()], no_prune: true, ..Removal::default() };
    assert_eq!(world.plan_change(&Change::Remove(removal.clone())).unwrap().garbage.blobs.len(), 0);
    let changed = world.perform(&Change::Remove(removal)).unwrap();
    assert_eq!((changed.names.len(), changed.removed.blobs.len(), world.counts()), (1, 0, (7, 3, 3)));
    assert_eq!(world.collect().unwrap().removed.layers.len(), 1);
}
