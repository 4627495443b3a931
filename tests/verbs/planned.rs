//! `pull-planned`: what a plan of a pull says is pulled exactly, or nothing of it.

use super::{Built, Ear, Recipe, World, caller, everything, options, platforms, unpacking};
use wharf_component::{
    nouns::problem::{ErrorCode, Problem},
    verbs::{
        self,
        contract::{Access, Caller, Event, PullOptions, Pulled},
    },
};
use wharf_sim::memory::Call;

const ALPINE: &str = "docker.io/library/alpine:3.20";
const APP: &str = "docker.io/library/app:1";

impl World {
    fn carry_out(&self, document: &str) -> Result<Vec<Pulled>, Problem> {
        self.carry_out_as(&caller(), document, &Ear::default())
    }

    fn carry_out_as(&self, caller: &Caller, document: &str, ear: &Ear) -> Result<Vec<Pulled>, Problem> {
        self.memory.run(verbs::pull_planned(&self.memory, caller, document, &Access::default(), ear))
    }

    fn app(&self, tag: &str, layer: &str) -> Built {
        self.image("library/app", Some(tag), Recipe { layers: &[layer], ..Recipe::default() })
    }
}

fn all_tags() -> PullOptions {
    PullOptions { all_tags: true, ..options() }
}

#[test]
fn a_plan_of_a_pull_is_carried_out_as_it_says() {
    for options in [options(), unpacking(), everything(), platforms(&["linux/arm64", "linux/amd64"])] {
        let world = World::new();
        world.alpine();
        let plans = world.plans("alpine:3.20", &options).unwrap();
        let other = World::new();
        other.alpine();
        let expected = other.pull("alpine:3.20", &options).unwrap();
        let ear = Ear::default();
        let pulled = world.carry_out_as(&caller(), &plans.document, &ear).unwrap();
        assert_eq!(pulled[0].image.platforms, expected[0].image.platforms);
        assert_eq!((&pulled[0].image.target, pulled.len()), (&expected[0].image.target, 1));
        assert_eq!(pulled[0].fetched_bytes, plans.names[0].fetch_bytes);
        assert_eq!(world.record(ALPINE).unwrap().platforms, other.record(ALPINE).unwrap().platforms);
        let trees = |world: &World| world.memory.snapshot().trees;
        assert_eq!((trees(&world), trees(&world) != trees(&World::new())), (trees(&other), options.unpack));
        let resolved = ear.heard.borrow().iter().filter(|event| matches!(event, Event::Resolved(..))).count();
        assert_eq!(resolved, 1, "one name is one pass");
    }
}

/// The document as it is documented: what other programs may read.
#[test]
fn the_document_says_what_is_planned_and_nothing_of_how_to_ask() {
    let world = World::new();
    let (index, built) = world.alpine();
    let mut options = platforms(&["linux/arm64"]);
    options.access.plain_http.push("insecure.lan".to_owned());
    options.access.aliases.push(("base".to_owned(), "docker.io/library/alpine".to_owned()));
    let document = world.plans("base:3.20", &options).unwrap().document;
    let read: serde_json::Value = serde_json::from_str(&document).unwrap();
    let expected = serde_json::json!({
        "wharf-plan": 1, "namespace": "default", "verb": "pull",
        "reference": ALPINE, "wanted": ["linux/arm64"], "all-tags": false,
        "unpack": false, "concurrent-downloads": 3,
        "names": [{"name": ALPINE, "mark": null, "target": index.as_str(), "manifests": [built[1].manifest.as_str()]}],
    });
    assert_eq!(read, expected);
    assert_eq!(world.carry_out(&document).unwrap()[0].image.platforms, ["linux/arm64/v8"]);
}

fn check_refused(world: &World, document: &str, why: &[String]) {
    let before = world.memory.snapshot();
    let problem = world.carry_out(document).unwrap_err();
    assert_eq!((&problem.code, &*problem.why), (&ErrorCode::Conflict, why), "{problem:?}");
    assert!(problem.fix.as_deref().is_some_and(|fix| fix.starts_with("make a new plan")), "{problem:?}");
    assert_eq!(world.memory.snapshot(), before, "nothing is changed");
}

#[test]
fn a_record_that_is_another_one_by_now_refuses_the_plan_before_anything_is_asked() {
    let world = World::new();
    let built = world.app("1", "one");
    let first = world.plans("app:1", &options()).unwrap().document;
    world.pull("app:1", &options()).unwrap();
    world.requests();
    check_refused(&world, &first, &[format!("`{APP}` is there by now")]);
    assert_eq!(world.requests(), [""; 0]);

    let second = world.plans("app:1", &options()).unwrap().document;
    let pulled = world.carry_out(&second).unwrap();
    assert!(pulled[0].up_to_date, "a plan of nothing to do stays one");
    let labels = [("team".to_owned(), Some("web".to_owned()))];
    world.memory.run(verbs::label::label(&world.memory, &caller(), "app:1", &labels)).unwrap();
    check_refused(&world, &second, &[format!("`{APP}` has changed since the plan was made")]);

    let third = world.plans("app:1", &options()).unwrap().document;
    world.remove("app:1").unwrap();
    check_refused(&world, &third, &[format!("`{APP}` is gone")]);
    assert!(!world.has(&built.manifest));
}

#[test]
fn a_record_that_somebody_writes_while_the_plan_is_carried_out_stays() {
    let rival = World::new();
    rival.app("1", "one");
    rival.pull("app:1", &options()).unwrap();
    let theirs = rival.record(APP).unwrap();
    let world = World::new();
    world.app("1", "one");
    let document = world.plans("app:1", &options()).unwrap().document;
    let written = theirs.encode().unwrap();
    world.memory.interfere(Call::CommitIngest, move |memory| {
        memory.write_row("default", &format!("image/{APP}"), &written);
        Ok(())
    });
    let problem = world.carry_out(&document).unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::Conflict, vec![format!("`{APP}` is there by now")]));
    assert_eq!(world.record(APP), Some(theirs));
}

#[test]
fn a_tag_that_has_moved_refuses_the_plan() {
    let world = World::new();
    let old = world.app("1", "one");
    let document = world.plans("app:1", &options()).unwrap().document;
    let new = world.app("1", "two");
    let why = format!("`{APP}` points to `{}` now, and the plan has `{}`", new.manifest, old.manifest);
    check_refused(&world, &document, &[why]);
    // Moved back, it is what was planned again.
    world.app("1", "one");
    assert_eq!(world.carry_out(&document).unwrap()[0].image.target.digest, old.manifest);
}

#[test]
fn a_machine_that_chooses_another_manifest_refuses_the_plan() {
    let world = World::new();
    let (_, built) = world.alpine();
    let document = world.plans("alpine:3.20", &options()).unwrap().document;
    let before = world.memory.snapshot();
    let arm = Caller { machine: "linux/arm64".to_owned(), ..caller() };
    let problem = world.carry_out_as(&arm, &document, &Ear::default()).unwrap_err();
    let [amd64, arm64] = [&built[0].manifest, &built[1].manifest];
    let why = format!("of `{ALPINE}` this machine chooses `{arm64}`, and the plan has `{amd64}`");
    assert_eq!((problem.code, problem.why), (ErrorCode::Conflict, vec![why]));
    assert_eq!(world.memory.snapshot(), before);
    world.carry_out(&document).unwrap();
}

#[test]
fn of_all_tags_none_is_pulled_if_one_has_moved() {
    let world = World::new();
    let old = [world.app("1", "one"), world.app("2", "two")];
    let document = world.plans("app", &all_tags()).unwrap().document;
    let new = world.app("2", "another");
    let moved = "docker.io/library/app:2";
    let why = format!("`{moved}` points to `{}` now, and the plan has `{}`", new.manifest, old[1].manifest);
    check_refused(&world, &document, &[why]);

    world.app("2", "two");
    // One that came since is not in the plan.
    world.app("3", "three");
    let names: Vec<_> = world.carry_out(&document).unwrap().into_iter().map(|pulled| pulled.image.name).collect();
    assert_eq!(names, [APP, moved]);
    assert_eq!(world.record("docker.io/library/app:3"), None);
}

#[test]
fn a_plan_that_was_interrupted_goes_on_where_it_stopped() {
    let world = World::new();
    world.app("1", "one");
    let document = world.plans("app:1", &options()).unwrap().document;
    let half = |event: &Event| matches!(event, Event::Progress(progress) if progress.received > 4_000);
    let ear = Ear { leave: Some(half), ..Ear::default() };
    let problem = world.carry_out_as(&caller(), &document, &ear).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Cancelled);
    let pulled = world.carry_out(&document).unwrap().remove(0);
    assert!(pulled.transfers.iter().any(|transfer| transfer.resumed_from > 0), "{pulled:?}");
}

#[test]
fn what_is_no_plan_of_a_pull_is_refused() {
    let world = World::new();
    world.app("1", "one");
    let plan = world.plans("app:1", &options()).unwrap().document;
    let every = world.plans("app", &all_tags()).unwrap().document;
    let other = "docker.io/library/other:1";
    let rows = [
        (String::new(), ErrorCode::Invalid),
        ("{}".to_owned(), ErrorCode::Invalid),
        ("[".repeat(100_000), ErrorCode::Invalid),
        (" ".repeat((32 << 20) + 1), ErrorCode::TooLarge(32 << 20)),
        (plan.replace(r#""wharf-plan": 1"#, r#""wharf-plan": 2"#), ErrorCode::Unsupported),
        (plan.replace(r#""verb": "pull""#, r#""verb": "push""#), ErrorCode::Invalid),
        (plan.replace(r#""namespace": "default""#, r#""namespace": "other""#), ErrorCode::Invalid),
        (plan.replace(r#""unpack": false"#, r#""unpack": 1"#), ErrorCode::Invalid),
        (plan.replace(r#""unpack": false"#, r#""unpack": false, "access": {}"#), ErrorCode::Invalid),
        (plan.replace(r#""wanted": "machine""#, r#""wanted": "some""#), ErrorCode::Invalid),
        (plan.replace(r#""wanted": "machine""#, r#""wanted": []"#), ErrorCode::Invalid),
        (plan.replace(r#""concurrent-downloads": 3"#, r#""concurrent-downloads": 0"#), ErrorCode::Invalid),
        (plan.replace("sha256:", "sha512:"), ErrorCode::Invalid),
        // The host lets the call speak to the registry of the reference.
        (plan.replacen(APP, other, 1), ErrorCode::Invalid),
        (plan.replacen(APP, "app:1", 1), ErrorCode::Invalid),
        (plan.replace(APP, "../../etc"), ErrorCode::Invalid),
        (every.replace(APP, other), ErrorCode::Invalid),
        (every.replace(r#""all-tags": true"#, r#""all-tags": false"#), ErrorCode::Invalid),
        (plan.replace(r#""all-tags": false"#, r#""all-tags": true"#), ErrorCode::Invalid),
    ];
    world.requests();
    let before = world.memory.snapshot();
    for (document, expected) in rows {
        let problem = world.carry_out(&document).unwrap_err();
        assert_eq!(problem.code, expected, "{document:.300}: {problem:?}");
        assert_eq!(problem.what, "cannot carry out the plan");
    }
    let nothing = every.replace('\n', "");
    let nothing = format!("{}[]}}", &nothing[..nothing.find(r#"[    {"#).expect("a list of names")]);
    assert_eq!(world.carry_out(&nothing).unwrap_err().why, ["this is no plan of wharf", "it has 0 names"]);
    assert_eq!((world.requests().len(), world.memory.snapshot()), (0, before));
}

#[test]
fn a_plan_of_the_other_kind_is_refused_with_a_word_about_it() {
    let world = World::new();
    world.app("1", "one");
    let pull = world.plans("app:1", &options()).unwrap().document;
    let problem = world.apply(&pull).unwrap_err();
    let expected = vec!["it is the plan of a pull, and not of a change".to_owned()];
    assert_eq!((problem.code, problem.why), (ErrorCode::Invalid, expected));
    world.carry_out(&pull).unwrap();
    let removal = verbs::contract::Removal { references: vec![APP.to_owned()], ..Default::default() };
    let change = world.plan_change(&verbs::contract::Change::Remove(removal)).unwrap().document;
    let problem = world.carry_out(&change).unwrap_err();
    let expected = vec!["it is the plan of a change, and not of a pull".to_owned()];
    assert_eq!((problem.code, problem.why), (ErrorCode::Invalid, expected));
}
