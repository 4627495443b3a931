//! What is kept of images: blobs, trees, or both.

use super::{APP, OTHER, world};
use crate::verbs::{Ear, Recipe, World, caller, options, unpacking};
use wharf_component::{
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Change, Changed, Findings, FlawKind, Form, Retaining, Retention, SaveOptions, Usage},
    },
};
use wharf_sim::memory::{layers::Kind, registry::Trouble};

impl World {
    fn retain(&self, retention: Retention, references: &[&str]) -> Result<Changed, Problem> {
        self.perform(&retaining(retention, references))
    }

    fn recipes(&self) -> usize {
        self.memory.layers().visible().recipes.len()
    }

    fn checked(&self, repair: bool) -> Findings {
        let access = verbs::contract::Access::default();
        let repair = repair.then_some(&access);
        self.memory.run(verbs::fsck(&self.memory, &caller(), &[], repair, false, &Ear::default())).unwrap()
    }

    fn used(&self) -> Usage {
        self.memory.run(verbs::usage::disk_usage(&self.memory, &caller())).unwrap()
    }
}

fn retaining(retention: Retention, references: &[&str]) -> Change {
    let references = references.iter().map(|&reference| reference.to_owned()).collect();
    Change::Retain(Retaining { references, retention })
}

fn sizes<T>(things: &[(T, u64)]) -> u64 {
    things.iter().map(|(_, size)| size).sum()
}

#[test]
fn blobs_go_once_their_trees_make_them_again() {
    let world = world();
    let (before, built) = (world.used(), world.counts());
    let change = retaining(Retention::Unpacked, &["app:1", "other:1"]);
    let plan = world.plan_change(&change).unwrap();
    assert_eq!((plan.garbage.blobs.len(), plan.names.len(), plan.risks.len()), (3, 2, 2), "{plan:?}");
    assert_eq!((world.counts(), world.recipes()), (built, 0), "a plan changes nothing");
    let changed = world.perform(&change).unwrap();
    assert_eq!(changed.removed, plan.garbage);
    assert_eq!(changed.names, plan.names);
    assert_eq!(changed.left, Vec::<String>::new());
    assert_eq!((world.counts(), world.recipes()), ((built.0 - 3, built.1, built.2), 3));
    let after = world.used();
    let all = |usage: &Usage| usage.content.unique + usage.content.shared;
    assert_eq!(all(&before) - all(&after), sizes(&changed.removed.blobs), "df says what went");
    assert_eq!(after.unpacked.unique + after.unpacked.shared, before.unpacked.unique + before.unpacked.shared + 3);
    assert_eq!(after.content.unneeded, 0);
    assert_eq!(world.checked(false).flaws, []);
    assert_eq!(world.collect().unwrap().removed, Default::default());
    assert_eq!(world.checked(false).flaws, []);
}

#[test]
fn what_another_name_needs_stays() {
    let world = world();
    let changed = world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert_eq!(changed.removed.blobs.len(), 1, "`base` is in the other image too");
    world.tag("other:1", &["other:2"]).unwrap();
    assert_eq!(world.retain(Retention::Unpacked, &["other:1"]).unwrap().removed.blobs.len(), 0, "two names, one word");
    assert_eq!(world.retain(Retention::Compressed, &["app:1"]).unwrap().removed.layers.len(), 0, "nothing else has it");
    world.pull("app:1", &unpacking()).unwrap();
    assert_eq!(world.checked(false).flaws, []);
    let id = world.record(OTHER).unwrap().platforms[0].config.clone();
    let changed = world.retain(Retention::Unpacked, &[&id.encoded()[..12]]).unwrap();
    assert_eq!(changed.names.len(), 2, "an ID means all names");
    assert_eq!(changed.removed.blobs.len(), 1, "`base` is needed compressed by `app:1`: {changed:?}");
    assert_eq!(world.checked(false).flaws, []);
}

#[test]
fn a_pull_does_not_fetch_what_is_kept_unpacked_until_both_are_kept() {
    let world = world();
    world.retain(Retention::Unpacked, &["app:1", "other:1"]).unwrap();
    let counts = world.counts();
    world.requests();
    let pulled = world.pull("app:1", &unpacking()).unwrap().remove(0);
    assert_eq!((pulled.up_to_date, pulled.fetched_bytes), (true, 0));
    assert!(world.pull("app:1", &options()).unwrap()[0].up_to_date);
    assert_eq!(world.counts(), counts);

    let changed = world.retain(Retention::Both, &["app:1"]).unwrap();
    assert_eq!(changed.removed, Default::default());
    let flaws = world.checked(false).flaws;
    assert!(flaws.iter().all(|flaw| flaw.kind == FlawKind::MissingBlob && flaw.images[0] == APP), "{flaws:?}");
    assert_eq!(flaws.len(), 2, "its blobs are wanted now");
    assert!(!world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    assert_eq!((world.counts().0, world.checked(false).flaws), (counts.0 + 2, Vec::new()));
}

#[test]
fn a_pull_of_what_is_kept_unpacked_gives_up_what_it_has_fetched() {
    let world = world();
    world.retain(Retention::Unpacked, &["app:1", "other:1"]).unwrap();
    let counts = world.counts();
    world.image("library/app", Some("1"), Recipe { layers: &["base", "newer"], ..Recipe::default() });
    assert!(!world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    assert_eq!((world.counts().1, world.recipes()), (counts.1 + 1, 4));
    world.collect().unwrap();
    assert_eq!((world.counts(), world.recipes()), (counts, 3), "a manifest, a config and a tree for those before");
    assert_eq!(world.checked(false).flaws, []);
}

#[test]
fn trees_go_and_are_made_again_when_they_are_wanted() {
    let world = world();
    let counts = world.counts();
    let changed = world.retain(Retention::Compressed, &["app:1", "other:1"]).unwrap();
    assert_eq!((changed.removed.layers.len(), changed.removed.snapshots.len()), (3, 3));
    assert_eq!(world.counts(), (counts.0, 0, 0));
    assert_eq!(world.checked(false).flaws, []);
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date, "a pull does not make them");
    assert_eq!(world.counts(), (counts.0, 0, 0));
    world.unpack("app:1", None).unwrap();
    assert_eq!(world.counts(), (counts.0, 2, 2));
    world.collect().unwrap();
    assert_eq!(world.counts(), (counts.0, 0, 0));
}

#[test]
fn a_tree_whose_blob_is_not_here_stays() {
    let world = world();
    world.retain(Retention::Unpacked, &["app:1", "other:1"]).unwrap();
    let plan = world.plan_change(&retaining(Retention::Compressed, &["app:1"])).unwrap();
    assert!(plan.risks[0].contains("the blobs of 2 layers of `app:1` are not here"), "{plan:?}");
    let layers = world.counts().1;
    world.retain(Retention::Compressed, &["app:1", "other:1"]).unwrap();
    world.collect().unwrap();
    assert_eq!(world.counts().1, layers, "they are all that there is of it");
    world.pull("app:1", &unpacking()).unwrap();
    world.pull("other:1", &unpacking()).unwrap();
    world.collect().unwrap();
    assert_eq!(world.counts().1, 0);
}

#[test]
fn a_layer_that_gains_nothing_stays_compressed_and_it_is_said() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base", "odd"], ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    let changed = world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert_eq!(changed.removed.blobs.len(), 1);
    let expected =
        format!("the layer `{}` stays compressed: what its tree does not have would take more", built.layers[1]);
    assert_eq!(changed.left, [expected]);
    assert!(world.has(&built.layers[1]) && !world.has(&built.layers[0]));
    world.collect().unwrap();
    assert!(world.has(&built.layers[1]), "nothing makes it again");
    assert_eq!(world.checked(false).flaws, []);
}

#[test]
fn an_image_that_was_not_extracted_is_extracted_first() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.counts(), (4, 0, 0));
    let changed = world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert_eq!((changed.removed.blobs.len(), world.counts()), (2, (2, 2, 2)));
    assert_eq!(world.checked(false).flaws, []);
}

#[test]
fn what_can_have_no_tree_stays_compressed_and_it_is_said() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { platform: "windows/amd64", ..Recipe::default() });
    world.pull("app:1", &crate::verbs::platforms(&["windows/amd64"])).unwrap();
    let changed = world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert_eq!((changed.removed, world.counts()), (Default::default(), (4, 0, 0)));
    assert!(changed.left[0].contains("stays compressed: it is for windows"), "{:?}", changed.left);
}

#[test]
fn a_tree_that_has_changed_is_found_and_its_blob_comes_again() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    let layer: Digest = world.memory.layers().visible().layers.first().unwrap().clone();
    world.memory.layers().damage(Kind::Layer, &layer);
    let flaws = world.checked(false).flaws;
    assert_eq!(flaws.len(), 2, "{flaws:?}");
    assert_eq!((flaws[0].kind, flaws[1].kind), (FlawKind::MissingBlob, FlawKind::DamagedLayer));
    assert!(flaws[0].why.starts_with("it is not here, and its tree"), "{flaws:?}");
    let flaws = world.checked(true).flaws;
    assert!(flaws.iter().all(|flaw| flaw.repaired.is_some()), "{flaws:?}");
    assert_eq!(world.checked(false).flaws, []);
    assert_eq!(built.layers.iter().filter(|blob| world.has(blob)).count(), 1);
    world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert_eq!((built.layers.iter().any(|blob| world.has(blob)), world.checked(false).flaws), (false, Vec::new()));
}

#[test]
fn a_new_name_keeps_what_the_image_keeps() {
    let world = world();
    world.retain(Retention::Unpacked, &["app:1", "other:1"]).unwrap();
    world.tag("app:1", &["app:2"]).unwrap();
    assert_eq!(world.record("docker.io/library/app:2").unwrap().labels["wharf.retain"], "unpacked");
    assert_eq!(world.checked(false).flaws, []);
}

/// Another platform that is pulled later must not push one out whose blobs were given up.
#[test]
fn a_platform_whose_blobs_were_given_up_stays_recorded() {
    let world = World::new();
    let one = world.image("library/app", None, Recipe::default());
    let arm = Recipe { platform: "linux/arm64", layers: &["base", "arm"], ..Recipe::default() };
    let other = world.image("library/app", None, arm);
    world.index("library/app", Some("1"), &[&one.entry, &other.entry]);
    world.pull("app:1", &crate::verbs::platforms(&["linux/amd64"])).unwrap();
    world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    assert!(!world.has(&one.layers[1]));
    world.pull("app:1", &crate::verbs::platforms(&["linux/arm64"])).unwrap();
    assert_eq!(world.record(APP).unwrap().platforms.len(), 2);
    world.collect().unwrap();
    assert_eq!(world.checked(false).flaws, []);
}

/// Without a registry nothing is taken away that could not be made again.
#[test]
fn a_tree_that_has_changed_stays_if_its_blob_cannot_come_again() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    world.retain(Retention::Unpacked, &["app:1"]).unwrap();
    let layer: Digest = world.memory.layers().visible().layers.first().unwrap().clone();
    world.memory.layers().damage(Kind::Layer, &layer);
    world.registry.trouble("/blobs/", Trouble::Status(404));
    let flaws = world.checked(true).flaws;
    assert!(flaws.iter().all(|flaw| flaw.repaired.is_none()), "{flaws:?}");
    assert_eq!(world.counts(), (2, 2, 2));
}

#[test]
fn what_is_kept_unpacked_cannot_be_saved_and_the_fix_can_be_typed() {
    let world = world();
    world.retain(Retention::Unpacked, &["app:1", "other:1"]).unwrap();
    let references = ["app:1".to_owned()];
    let wanted = SaveOptions { form: Form::OciArchive, platforms: Vec::new(), complete: None };
    let saved = world.memory.run(verbs::save(&world.memory, &caller(), &references, &wanted));
    let problem = saved.expect_err("its blobs were given up");
    assert_eq!(problem.code, ErrorCode::NotFound);
    assert_eq!(problem.fix.as_deref(), Some("wharf retain both app:1 && wharf pull app:1"));
}

#[test]
fn a_saved_plan_of_what_is_kept_is_carried_out_or_refused() {
    let world = world();
    let plan = world.plan_change(&retaining(Retention::Unpacked, &["app:1", "other:1"])).unwrap();
    let changed = world.apply(&plan.document).unwrap();
    assert_eq!(changed.removed, plan.garbage);
    let problem = world.apply(&plan.document).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Conflict, "the records are others now");
    let before = world.record(APP).unwrap();
    assert_eq!(before.labels["wharf.retain"], "unpacked");
    world.retain(Retention::Both, &["app:1"]).unwrap();
    assert!(world.record(APP).unwrap().labels.is_empty());
    assert_eq!(world.retain(Retention::Both, &[]).unwrap_err().code, ErrorCode::Invalid);
}
