//! `compose` and `manifest`: indexes that are made here.

use super::{Recipe, World, caller, everything, options, platforms};
use serde_json::{Value, json};
use wharf_component::{
    nouns::{
        media_type::{OCI_INDEX, OCI_MANIFEST},
        problem::{ErrorCode, Problem},
    },
    verbs::{
        self,
        contract::{Access, Composed, Edit, Form, Member, SaveOptions, Wording},
    },
};
use wharf_sim::memory::content::digest_of;

impl World {
    fn compose(&self, name: &str, edit: Edit) -> Result<Composed, Problem> {
        self.memory.run(verbs::compose(&self.memory, &caller(), name, &edit))
    }

    fn shown(&self, reference: &str) -> Value {
        let (caller, access) = (caller(), Access::default());
        let text = self.memory.run(verbs::manifest(&self.memory, &caller, reference, &access)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// `one:1` for amd64 and `two:1` for arm64, both here.
    fn pair() -> (Self, [super::Built; 2]) {
        let world = Self::new();
        let one = world.image("library/one", Some("1"), Recipe::default());
        let recipe = Recipe { platform: "linux/arm64/v8", layers: &["arm"], ..Recipe::default() };
        let two = world.image("library/two", Some("1"), recipe);
        world.pull("one:1", &options()).unwrap();
        world.pull("two:1", &platforms(&["linux/arm64"])).unwrap();
        (world, [one, two])
    }
}

fn member(reference: &str) -> Member {
    Member { reference: reference.to_owned(), ..Member::default() }
}

fn annotated(pairs: &[(&str, &str)]) -> Wording {
    let annotations = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Wording { annotations, ..Wording::default() }
}

#[test]
fn images_become_an_index_that_is_always_the_same() {
    let targets = [(); 2].map(|()| {
        let (world, [one, two]) = World::pair();
        let made = world.compose("both:1", Edit::Create(vec![member("one:1"), member("two:1")])).unwrap();
        assert_eq!((made.name.as_str(), made.target.media_type.as_str()), ("docker.io/library/both:1", OCI_INDEX));
        assert!(made.entries.iter().all(|entry| entry.is_here));
        let entry = |built: &super::Built, platform: Value| {
            let size = world.memory.snapshot().disk.blobs[built.manifest.as_str()].len();
            json!({"mediaType": OCI_MANIFEST, "digest": built.manifest, "size": size, "platform": platform})
        };
        let expected = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            entry(&one, json!({"os": "linux", "architecture": "amd64"})),
            entry(&two, json!({"os": "linux", "architecture": "arm64", "variant": "v8"})),
        ]});
        assert_eq!(world.shown("both:1"), expected);
        let record = world.record("docker.io/library/both:1").unwrap();
        assert_eq!((&record.target, record.platforms.len()), (&made.target, 2));
        let saving = SaveOptions { form: Form::OciArchive, platforms: Vec::new(), complete: None };
        let names = ["both:1".to_owned()];
        let (saved, _) = world.memory.run(verbs::save(&world.memory, &caller(), &names, &saving)).unwrap();
        assert_eq!((&saved.images[0].target, saved.images[0].platforms.len()), (&made.target, 2));
        made.target
    });
    assert_eq!(targets[0], targets[1]);
}

#[test]
fn an_index_is_changed_and_what_is_not_changed_stays() {
    let (world, [one, two]) = World::pair();
    let made = world.compose("both:1", Edit::Create(vec![member("one:1")])).unwrap();
    let added = world.compose("both:1", Edit::Add(member("two:1"))).unwrap();
    assert_eq!((added.before, added.entries.len()), (Some(made.target.digest.clone()), 2));
    let wording =
        Wording { variant: Some("v3".to_owned()), os_features: vec!["a".to_owned()], ..annotated(&[("k", "v")]) };
    for which in ["linux/amd64", one.manifest.as_str(), "one:1"] {
        world.compose("both:1", Edit::Annotate(which.to_owned(), wording.clone())).unwrap();
        let shown = world.shown("both:1");
        let expected = json!({"os": "linux", "architecture": "amd64", "variant": "v3", "os.features": ["a"]});
        assert_eq!(
            (&shown["manifests"][0]["platform"], &shown["manifests"][0]["annotations"]),
            (&expected, &json!({"k": "v"}))
        );
        assert_eq!(shown["manifests"][1]["digest"], json!(two.manifest));
    }
    let again =
        world.compose("both:1", Edit::Add(Member { wording: annotated(&[("l", "w")]), ..member("two:1") })).unwrap();
    assert_eq!((again.entries.len(), again.entries[1].annotations.len()), (2, 1), "it is replaced in its place");
    let removed = world.compose("both:1", Edit::Remove(vec!["linux/arm64".to_owned()])).unwrap();
    assert_eq!(removed.entries.len(), 1);
    let problem = world.compose("both:1", Edit::Remove(vec![one.manifest.to_string()])).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
    assert_eq!(world.shown("both:1")["manifests"].as_array().map(Vec::len), Some(1));
    // What no name needs any more is garbage, and the images stay.
    assert!(world.record("docker.io/library/two:1").is_some() && world.has(&two.manifest));
}

/// As `docker manifest create --amend` and `podman manifest annotate --index` have it.
#[test]
fn an_index_is_amended_and_says_something_of_itself() {
    let (world, [one, two]) = World::pair();
    let made = world.compose("both:1", Edit::Amend(vec![member("one:1")])).unwrap();
    assert_eq!((made.before, made.entries.len()), (None, 1), "there was none");
    let amended = world.compose("both:1", Edit::Amend(vec![member("two:1"), member("one:1")])).unwrap();
    let listed: Vec<_> = amended.entries.iter().map(|entry| &entry.manifest.digest).collect();
    assert_eq!((listed, amended.before), (vec![&one.manifest, &two.manifest], Some(made.target.digest)));
    let both = world.compose("other:1", Edit::Create(vec![member("one:1"), member("two:1")])).unwrap();
    assert_eq!(both.target, amended.target, "what is amended is as if it had been made at once");

    let said = world.compose("both:1", Edit::AnnotateIndex(annotated(&[("a", "b")]))).unwrap();
    assert_eq!(said.before, Some(amended.target.digest.clone()));
    assert_eq!(world.shown("both:1")["annotations"], json!({"a": "b"}));
    let again = world.compose("both:1", Edit::AnnotateIndex(annotated(&[("a", "b")]))).unwrap();
    assert_eq!((again.target, again.before), (said.target, None));
    let platform = Wording { os: Some("linux".to_owned()), ..annotated(&[("a", "c")]) };
    let problem = world.compose("both:1", Edit::AnnotateIndex(platform)).unwrap_err();
    assert_eq!(
        (problem.code, problem.why[0].as_str()),
        (ErrorCode::Invalid, "an index is for no platform; what it lists is")
    );
    let problem = world.compose("one:1", Edit::AnnotateIndex(annotated(&[("a", "b")]))).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
}

#[test]
fn of_an_index_what_is_here_is_listed_as_it_is_there() {
    let world = World::new();
    world.alpine();
    world.pull("alpine:3.20", &everything()).unwrap();
    let chosen = Member { platform: Some("linux/arm64".to_owned()), ..member("alpine:3.20") };
    let made = world.compose("mine:1", Edit::Create(vec![chosen])).unwrap();
    let listed: Vec<_> = made.entries.iter().map(|entry| entry.platform.clone()).collect();
    assert_eq!(listed, [Some("linux/arm64/v8".to_owned())]);
    let shown = (world.shown("alpine:3.20"), world.shown("mine:1"));
    assert_eq!(shown.0["manifests"][0], shown.1["manifests"][0]);
    let all = world.compose("all:1", Edit::Create(vec![member("alpine:3.20")])).unwrap();
    assert!(all.entries.len() >= 2, "{all:?}");
    // An index of which not everything is here keeps what is not.
    let other = World::new();
    other.alpine();
    other.pull("alpine:3.20", &options()).unwrap();
    other.image("library/one", Some("1"), Recipe::default());
    other.pull("one:1", &options()).unwrap();
    let added = other.compose("alpine:3.20", Edit::Add(member("one:1"))).unwrap();
    assert_eq!(added.entries.iter().map(|entry| entry.is_here).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn what_cannot_be_made_is_told_and_changes_nothing() {
    let (world, _) = World::pair();
    world.compose("both:1", Edit::Create(vec![member("one:1"), member("two:1")])).unwrap();
    let before = world.memory.snapshot();
    let annotate = |which: &str, wording| Edit::Annotate(which.to_owned(), wording);
    let rows = [
        ("both:1", Edit::Create(vec![member("one:1")]), ErrorCode::InUse),
        ("new:1", Edit::Create(Vec::new()), ErrorCode::Invalid),
        ("new:1", Edit::Create(vec![member("nothing:1")]), ErrorCode::NotFound),
        ("new:1", Edit::Add(member("one:1")), ErrorCode::NotFound),
        ("one:1", Edit::Add(member("two:1")), ErrorCode::Invalid),
        ("both:1", Edit::Remove(vec!["linux/s390x".to_owned()]), ErrorCode::NotFound),
        ("both:1", Edit::Remove(vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()]), ErrorCode::Invalid),
        ("both:1", annotate("nothing", Wording::default()), ErrorCode::NotFound),
        (
            "new:1",
            Edit::Create(vec![Member { platform: Some("linux/s390x".to_owned()), ..member("one:1") }]),
            ErrorCode::NotFound,
        ),
        ("a/../b", Edit::Create(vec![member("one:1")]), ErrorCode::Invalid),
    ];
    for (name, edit, expected) in rows {
        let problem = world.compose(name, edit.clone()).unwrap_err();
        assert_eq!(problem.code, expected, "{name} {edit:?}: {problem:?}");
        let after = world.memory.snapshot();
        assert_eq!((after.rows, after.disk.blobs), (before.rows.clone(), before.disk.blobs.clone()), "{name} {edit:?}");
    }
}

#[test]
fn a_manifest_is_shown_from_here_or_from_the_registry() {
    let (world, [one, _]) = World::pair();
    let bytes = world.memory.snapshot().disk.blobs[one.manifest.as_str()].clone();
    let show = |reference: &str| {
        let (caller, access) = (caller(), Access::default());
        world.memory.run(verbs::manifest(&world.memory, &caller, reference, &access))
    };
    for reference in ["one:1", one.manifest.as_str()] {
        assert_eq!(show(reference).unwrap().as_bytes(), &*bytes);
    }
    let there = world.image("library/there", Some("1"), Recipe { layers: &["else"], ..Recipe::default() });
    assert_eq!(digest_of(show("there:1").unwrap().as_bytes()), there.manifest);
    assert_eq!(world.record("docker.io/library/there:1"), None);
    assert_eq!(show("nowhere:1").unwrap_err().code, ErrorCode::NotFound);
}
