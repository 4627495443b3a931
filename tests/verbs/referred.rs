//! `push --referrers` and `copy --referrers`: what refers to an image goes with it, and is
//! listed where it arrives. How a list that clients keep is written is in
//! `component/registry/referrers`.

use super::{Built, Ear, Recipe, World, caller, descriptor, options};
use wharf_component::{
    nouns::{
        digest::Digest,
        media_type::{OCI_INDEX, OCI_MANIFEST},
        problem::Problem,
    },
    verbs::{
        self,
        contract::{Access, PushOptions, Pushed, Way},
    },
};
use wharf_sim::memory::uploads::Dock;

fn all() -> PushOptions {
    PushOptions { referrers: true, concurrent_uploads: 3, ..PushOptions::default() }
}

fn bare() -> PushOptions {
    PushOptions { referrers: false, ..all() }
}

/// The tag of the list of a manifest.
fn tag(repository: &str, subject: &Digest) -> String {
    format!("{repository}:sha256-{}", subject.encoded())
}

/// What an image or an artifact is called, and its size.
#[derive(Clone)]
struct Thing {
    digest: Digest,
    size: usize,
}

impl World {
    /// An image that is signed and has a bill of materials, which is signed, too.
    fn signed(&self) -> (Built, [Thing; 3]) {
        let built = self.image("library/app", Some("1"), Recipe::default());
        let entry: serde_json::Value = serde_json::from_str(&built.entry).unwrap();
        let image = Thing { digest: built.manifest.clone(), size: entry["size"].as_u64().unwrap() as usize };
        let signature = self.artifact(&image, "a signature");
        let bill = self.artifact(&image, "a bill");
        let second = self.artifact(&bill, "a signature of the bill");
        self.list(&image, &[&signature, &bill]);
        self.list(&bill, &[&second]);
        (built, [signature, bill, second])
    }

    fn artifact(&self, subject: &Thing, text: &str) -> Thing {
        let (layer, empty) = (self.registry.blob(text.as_bytes()), self.registry.blob(b"{}"));
        let document = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","artifactType":"application/x.test","config":{},"layers":[{}],"subject":{}}}"#,
            descriptor("application/vnd.oci.empty.v1+json", &empty, 2),
            descriptor("text/plain", &layer, text.len()),
            descriptor(OCI_MANIFEST, &subject.digest, subject.size),
        );
        let digest = self.registry.manifest("library/app", None, OCI_MANIFEST, &document);
        Thing { digest, size: document.len() }
    }

    fn list(&self, subject: &Thing, listed: &[&Thing]) {
        let entries = listed.iter().map(|one| descriptor(OCI_MANIFEST, &one.digest, one.size));
        let entries = entries.collect::<Vec<_>>().join(",");
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}"#);
        let tag = format!("sha256-{}", subject.digest.encoded());
        self.registry.manifest("library/app", Some(&tag), OCI_INDEX, &index);
    }

    fn push_all(&self, reference: &str, options: &PushOptions) -> Result<Pushed, Problem> {
        let pushed = self.memory.run(verbs::push(&self.memory, &caller(), reference, options, &Ear::default()));
        pushed.map(|pushed| pushed.into_iter().next().unwrap())
    }

    fn copy_all(&self, destination: &str, options: &PushOptions) -> Result<Pushed, Problem> {
        let ear = Ear::default();
        let copied = self.memory.run(verbs::copy(&self.memory, &caller(), "app:1", destination, options, &ear));
        copied.map(|copied| copied.into_iter().next().unwrap())
    }

    /// What a registry says that refers to something, in order.
    fn listed(&self, reference: &str) -> Vec<Digest> {
        let listed = self.memory.run(async {
            verbs::referrers(&self.memory, reference, None, &Access::default()).await.unwrap().referrers
        });
        let mut digests: Vec<Digest> = listed.into_iter().map(|one| one.target.digest).collect();
        digests.sort();
        digests
    }
}

fn digests(things: &[&Thing]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = things.iter().map(|thing| thing.digest.clone()).collect();
    digests.sort();
    digests
}

fn referrers(pushed: &Pushed) -> Vec<Digest> {
    let mut digests: Vec<Digest> = pushed.referrers.iter().map(|what| what.digest.clone()).collect();
    digests.sort();
    digests
}

#[test]
fn what_refers_to_an_image_goes_with_it_from_where_it_came() {
    for keeps_lists in [false, true] {
        let world = World::new();
        let (built, [signature, bill, second]) = world.signed();
        world.pull("app:1", &options()).unwrap();
        world.tag("app:1", &["dock.test/app:1"]).unwrap();
        let dock = Dock::start(&world.memory, "dock.test");
        if keeps_lists {
            dock.list_referrers();
        }
        let pushed = world.push_all("dock.test/app:1", &all()).unwrap();
        assert_eq!(referrers(&pushed), digests(&[&signature, &bill, &second]));
        assert_eq!(pushed.notes, Vec::<String>::new());
        assert_eq!(pushed.parts.last().map(|part| &part.part.digest), Some(&built.manifest), "the name comes last");
        assert_eq!((dock.flaws(), dock.unfinished()), (Vec::new(), 0));
        assert_eq!(world.listed("dock.test/app:1"), digests(&[&signature, &bill]));
        assert_eq!(world.listed(&format!("dock.test/app@{}", bill.digest)), digests(&[&second]));
        let mut tags = vec!["app:1".to_owned()];
        if !keeps_lists {
            tags.extend([tag("app", &built.manifest), tag("app", &bill.digest)]);
        }
        tags.sort();
        assert_eq!(dock.tags().into_keys().collect::<Vec<_>>(), tags);
        let again = world.push_all("dock.test/app:1", &all()).unwrap();
        assert!(again.up_to_date && again.sent_bytes == 0, "{again:?}");
    }
}

#[test]
fn without_being_asked_nothing_else_goes() {
    let world = World::new();
    world.signed();
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let dock = Dock::start(&world.memory, "dock.test");
    world.requests();
    assert_eq!(world.push_all("dock.test/app:1", &bare()).unwrap().referrers, Vec::new());
    assert_eq!(world.copy_all("dock.test/copy:1", &bare()).unwrap().referrers, Vec::new());
    assert_eq!(dock.tags().into_keys().collect::<Vec<_>>(), ["app:1", "copy:1"]);
    assert!(world.requests().iter().all(|request| !request.contains("referrers")));
}

/// Whoever pushes a signature by itself has to list it, too.
#[test]
fn a_manifest_that_has_a_subject_is_listed_without_being_asked() {
    let world = World::new();
    let (built, [signature, ..]) = world.signed();
    let name = format!("app@{}", signature.digest);
    world.pull(&name, &options()).unwrap();
    world.tag(&name, &["dock.test/app:signature"]).unwrap();
    let dock = Dock::start(&world.memory, "dock.test");
    world.push_all("dock.test/app:signature", &bare()).unwrap();
    assert_eq!(world.listed(&format!("dock.test/app@{}", built.manifest)), digests(&[&signature]));
    // A second one does not take the place of the first.
    let other = Thing { digest: built.manifest.clone(), size: 0 };
    let entry: serde_json::Value = serde_json::from_str(&built.entry).unwrap();
    let other = world.artifact(&Thing { size: entry["size"].as_u64().unwrap() as usize, ..other }, "another");
    let name = format!("app@{}", other.digest);
    world.pull(&name, &options()).unwrap();
    world.tag(&name, &["dock.test/app:other"]).unwrap();
    world.push_all("dock.test/app:other", &bare()).unwrap();
    assert_eq!(world.listed(&format!("dock.test/app@{}", built.manifest)), digests(&[&signature, &other]));
    assert_eq!(dock.flaws(), Vec::<String>::new());
}

#[test]
fn what_is_here_goes_where_nobody_else_can_be_asked() {
    let world = World::new();
    let (built, [signature, bill, second]) = world.signed();
    for name in ["app:1", &format!("app@{}", signature.digest), &format!("app@{}", bill.digest)] {
        world.pull(name, &options()).unwrap();
    }
    world.tag("app:1", &["dock.test/app:1", "nowhere.test/app:1"]).unwrap();
    world.remove("app:1").unwrap();
    Dock::start(&world.memory, "dock.test");
    let pushed = world.push_all("dock.test/app:1", &all()).unwrap();
    assert_eq!(referrers(&pushed), digests(&[&signature, &bill]), "`{}` was never here", second.digest);
    assert_eq!(world.listed("dock.test/app:1"), digests(&[&signature, &bill]));
    let [note] = &pushed.notes[..] else { panic!("{:?}", pushed.notes) };
    assert!(note.starts_with("what refers to it in `nowhere.test/app` is not known, and is not pushed: "), "{note}");
    assert!(pushed.parts.iter().any(|part| part.part.digest == built.manifest));
}

#[test]
fn what_only_a_list_says_is_passed_over_and_told() {
    let world = World::new();
    let (built, [signature, bill, _]) = world.signed();
    let entry: serde_json::Value = serde_json::from_str(&built.entry).unwrap();
    let image = Thing { digest: built.manifest.clone(), size: entry["size"].as_u64().unwrap() as usize };
    let stray = world.artifact(&bill, "about the bill alone");
    let gone = Thing { digest: Digest::of(signature.digest.algorithm(), b"gone"), size: 7 };
    world.list(&image, &[&signature, &stray, &gone]);
    let dock = Dock::start(&world.memory, "dock.test");
    let copied = world.copy_all("dock.test/app:1", &all()).unwrap();
    assert_eq!(referrers(&copied), digests(&[&signature]));
    let subject = &built.manifest;
    let notes = [
        format!("`{}` is listed to refer to `{subject}`, and does not", stray.digest),
        format!("`{}` is listed to refer to `{subject}`, and is not there", gone.digest),
    ];
    assert_eq!((copied.notes, dock.flaws()), (notes.to_vec(), Vec::new()));
}

#[test]
fn a_copy_takes_what_the_source_has() {
    let world = World::new();
    let (built, [signature, bill, second]) = world.signed();
    let dock = Dock::start(&world.memory, "dock.test");
    let before = world.memory.snapshot();
    let copied = world.copy_all("dock.test/a/app:1", &all()).unwrap();
    assert_eq!(referrers(&copied), digests(&[&signature, &bill, &second]));
    assert_eq!((dock.flaws(), world.memory.snapshot() == before), (Vec::new(), true));
    assert_eq!(world.listed(&format!("dock.test/a/app@{}", built.manifest)), digests(&[&signature, &bill]));
    assert!(world.copy_all("dock.test/a/app:1", &all()).unwrap().up_to_date);
    // Within a registry it is mounted.
    let within = world.memory.run(async {
        let (from, to) = ("dock.test/a/app:1", "dock.test/b/app:1");
        verbs::copy(&world.memory, &caller(), from, to, &all(), &Ear::default()).await.unwrap()
    });
    let mounted = within[0].parts.iter().filter(|part| matches!(part.way, Way::Mounted(_))).count();
    assert_eq!((mounted, dock.flaws()), (3 + 3 + 1, Vec::new()), "layers and configs of all of them: {within:?}");
}

#[test]
fn a_plan_of_a_copy_says_what_would_move_and_changes_nothing() {
    let world = World::new();
    let (built, [signature, bill, second]) = world.signed();
    let dock = Dock::start(&world.memory, "dock.test");
    let plan = |from: &str, to: &str| {
        let plan = async { verbs::plan_copy(&world.memory, &caller(), from, to, &all()).await.unwrap() };
        world.memory.run(plan).into_iter().next().unwrap()
    };
    let first = plan("app:1", "dock.test/a/app");
    assert_eq!((first.name.as_str(), first.up_to_date, dock.tags().len()), ("dock.test/a/app:1", false, 0));
    assert_eq!(referrers(&first), digests(&[&signature, &bill, &second]));
    assert!(first.parts.iter().all(|part| part.way == Way::Sent), "{first:?}");
    let copied = world.copy_all("dock.test/a/app", &all()).unwrap();
    assert_eq!((copied.sent_bytes, copied.parts.len()), (first.sent_bytes, first.parts.len()));
    world.requests();
    let again = plan("app:1", "dock.test/a/app:1");
    assert_eq!((again.up_to_date, again.sent_bytes), (true, 0));
    let mount = plan("dock.test/a/app:1", "dock.test/b/app:1");
    let mounted = mount.parts.iter().filter(|part| part.way == Way::Mounted("a/app".to_owned())).count();
    assert_eq!((mounted, mount.target.digest), (7, built.manifest));
    let changes =
        world.requests().into_iter().filter(|request| !request.starts_with("GET") && !request.starts_with("HEAD"));
    assert_eq!(changes.collect::<Vec<_>>(), Vec::<String>::new());
}
