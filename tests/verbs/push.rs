//! `push`: what a registry has afterwards, in which order it came, and what is said
//! where nothing can be pushed. How single requests fail is in `component/registry`.

use super::{Ear, Recipe, World, caller, digest_of, everything, layer, options, platforms};
use wharf_component::{
    host::HttpError,
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    registry::Phase,
    verbs::{
        self,
        contract::{Event, PushOptions, Pushed, Way},
    },
};
use wharf_sim::memory::{Snapshot, uploads::Dock};

fn pushing() -> PushOptions {
    PushOptions { concurrent_uploads: 3, ..PushOptions::default() }
}

impl World {
    /// A registry that takes what is pushed.
    fn dock(&self) -> Dock {
        Dock::start(&self.memory, "dock.test")
    }

    fn push(&self, reference: &str, options: &PushOptions) -> Result<Vec<Pushed>, Problem> {
        self.push_to(reference, options, &Ear::default())
    }

    fn push_to(&self, reference: &str, options: &PushOptions, ear: &Ear) -> Result<Vec<Pushed>, Problem> {
        self.memory.run(verbs::push(&self.memory, &caller(), reference, options, ear))
    }

    fn plan_push(&self, reference: &str) -> Result<Vec<Pushed>, Problem> {
        self.memory.run(verbs::plan_push(&self.memory, &caller(), reference, &pushing()))
    }
}

fn way(pushed: &Pushed, digest: &Digest) -> Way {
    let part = pushed.parts.iter().find(|part| part.part.digest == *digest);
    part.unwrap_or_else(|| panic!("`{digest}` is no part")).way.clone()
}

#[test]
fn what_is_here_is_there_afterwards_byte_for_byte() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/team/app:2"]).unwrap();
    let dock = world.dock();
    world.requests();
    let ear = Ear::default();
    let [pushed] = &world.push_to("dock.test/team/app:2", &pushing(), &ear).unwrap()[..] else { panic!("one name") };
    assert_eq!((pushed.name.as_str(), &pushed.target.digest), ("dock.test/team/app:2", &built.manifest));
    assert_eq!((pushed.up_to_date, pushed.sent_bytes, pushed.reduced_from.as_ref()), (false, built.size, None));
    assert_eq!(dock.tags().get("team/app:2"), Some(&built.manifest));
    assert_eq!(dock.flaws(), Vec::<String>::new());
    assert_eq!(pushed.parts.last().map(|part| &part.part.digest), Some(&built.manifest), "the target is the last");
    assert_eq!(ear.phases(&built.layers[0]), [Phase::Waiting, Phase::Uploading, Phase::Uploaded]);
    let requests = world.requests();
    assert_eq!(requests.last().map(String::as_str), Some("PUT 2"), "the name comes last: {requests:?}");

    let again = &world.push("dock.test/team/app:2", &pushing()).unwrap()[0];
    assert!(again.up_to_date && again.sent_bytes == 0, "{again:?}");
    let requests = world.requests();
    assert!(requests.iter().all(|request| request.starts_with("HEAD ")), "{requests:?}");
    assert_eq!(requests.len(), 4);
}

#[test]
fn an_image_goes_under_another_name_that_it_does_not_get_here() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let dock = world.dock();
    let to = |destination: &str| PushOptions { destination: Some(destination.to_owned()), ..pushing() };
    let identifier = built.manifest.as_str();
    for (here, destination, there) in [
        ("app:1", "dock.test/team/app:2", "team/app:2"),
        ("app:1", "dock.test/team/app", "team/app:1"),
        (identifier, "dock.test/team/other", "team/other:1"),
    ] {
        let [pushed] = &world.push(here, &to(destination)).unwrap()[..] else { panic!("one name") };
        assert_eq!((pushed.name.as_str(), &pushed.target.digest), (&*format!("dock.test/{there}"), &built.manifest));
        assert_eq!(dock.tags().get(there), Some(&built.manifest));
    }
    assert_eq!(dock.flaws(), Vec::<String>::new());
    let rows = world.memory.snapshot().rows;
    let names: Vec<_> = rows.keys().filter_map(|(_, key)| key.strip_prefix("image/")).collect();
    assert_eq!(names, ["docker.io/library/app:1"]);

    let all = PushOptions { all_tags: true, ..to("dock.test/team/app") };
    let digest = format!("dock.test/team/app@{}", built.manifest);
    for (here, options, why) in [
        ("app", all, "every tag has its own name there"),
        ("app:1", to(&digest), "has a digest"),
        ("app:1", to("dock.test/UPPER"), "has to be lower case"),
        ("none:1", to("dock.test/team/app:9"), "no image here is called"),
    ] {
        let problem = world.push(here, &options).unwrap_err();
        assert!(problem.why[0].contains(why), "{problem:?}");
    }
    let problem = world.push("none:1", &to("dock.test/a:9")).unwrap_err();
    assert_eq!(problem.what, "cannot push `docker.io/library/none:1` as `dock.test/a:9`");
}

#[test]
fn an_index_goes_as_a_whole_or_not_at_all() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    world.tag("alpine:3.20", &["dock.test/alpine:3.20"]).unwrap();
    let dock = world.dock();
    for problem in [
        world.push("dock.test/alpine:3.20", &pushing()).unwrap_err(),
        world.plan_push("dock.test/alpine:3.20").unwrap_err(),
    ] {
        assert_eq!(problem.code, ErrorCode::NotFound);
        assert_eq!(
            problem.why,
            [
                "of the 3 manifests that its index lists 2 are neither here nor in the registry",
                "missing: `linux/arm64/v8`, `unknown/unknown`",
            ]
        );
        assert!(problem.fix.is_some_and(|fix| fix.contains("--all-platforms") && fix.contains("--platform")));
    }
    assert!(dock.tags().is_empty(), "nothing was pushed");

    let one = PushOptions { platform: Some("linux/amd64".to_owned()), ..pushing() };
    let pushed = &world.push("dock.test/alpine:3.20", &one).unwrap()[0];
    assert_eq!((&pushed.target.digest, pushed.reduced_from.as_ref()), (&built[0].manifest, Some(&index)));
    assert_eq!(pushed.notes.len(), 1, "it is told that the digest is another: {pushed:?}");
    assert_eq!(dock.tags()["alpine:3.20"], built[0].manifest);

    world.pull("alpine:3.20", &everything()).unwrap();
    world.tag("alpine:3.20", &["dock.test/alpine:all"]).unwrap();
    let pushed = &world.push("dock.test/alpine:all", &pushing()).unwrap()[0];
    assert_eq!(dock.tags()["alpine:all"], index);
    assert_eq!(way(pushed, &built[0].manifest), Way::There);
    assert_eq!((way(pushed, &built[1].manifest), dock.flaws().len()), (Way::Sent, 0));
}

/// What was pulled from there, as far as it was, is pushed there again.
#[test]
fn what_the_registry_has_of_an_index_need_not_be_here() {
    let world = World::new();
    let (index, _) = world.alpine();
    world.pull("alpine:3.20", &everything()).unwrap();
    world.tag("alpine:3.20", &["dock.test/alpine:1"]).unwrap();
    let dock = world.dock();
    world.push("dock.test/alpine:1", &pushing()).unwrap();
    let other = World { memory: world.memory.with_disk(Snapshot::default()), ..world };
    other.pull("alpine:3.20", &platforms(&["linux/amd64"])).unwrap();
    other.tag("alpine:3.20", &["dock.test/alpine:2"]).unwrap();
    other.push("dock.test/alpine:2", &pushing()).unwrap();
    assert_eq!((dock.tags()["alpine:2"].clone(), dock.flaws()), (index, Vec::new()));
}

#[test]
fn what_another_repository_there_has_is_mounted() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/a/app:1", "dock.test/b/app:1"]).unwrap();
    let dock = world.dock();
    world.push("dock.test/a/app:1", &pushing()).unwrap();
    let plan = &world.plan_push("dock.test/b/app:1").unwrap()[0];
    assert_eq!(way(plan, &built.layers[0]), Way::Mounted("a/app".to_owned()));
    world.requests();
    let pushed = &world.push("dock.test/b/app:1", &pushing()).unwrap()[0];
    for digest in built.layers.iter().chain([&built.config]) {
        assert_eq!(way(pushed, digest), Way::Mounted("a/app".to_owned()));
    }
    assert_eq!(dock.flaws(), Vec::<String>::new());
    assert_eq!(dock.unfinished(), 0);
}

#[test]
fn every_tag_of_a_repository_is_pushed() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.image("library/app", Some("2"), Recipe { layers: &["base", "other"], ..Recipe::default() });
    for name in ["app:1", "app:2"] {
        world.pull(name, &options()).unwrap();
        world.tag(name, &[&format!("dock.test/{name}")]).unwrap();
    }
    let dock = world.dock();
    let all = PushOptions { all_tags: true, ..pushing() };
    let pushed = world.push("dock.test/app", &all).unwrap();
    assert_eq!(pushed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["dock.test/app:1", "dock.test/app:2"]);
    assert_eq!(way(&pushed[1], &digest_of(&layer("base"))), Way::There);
    assert_eq!(dock.tags().len(), 2);
    assert_eq!(world.push("dock.test/none", &all).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(world.push("dock.test/app:1", &all).unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn a_push_is_told_and_counts_as_a_use() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    world.dock();
    world.push("dock.test/app:1", &pushing()).unwrap();
    let ear = Ear::default();
    let filters = ["event=push".to_owned()];
    let caller = caller();
    let watch = verbs::watch::watch(&world.memory, &caller, Some("1h"), Some("0s"), &filters, &ear);
    world.memory.run(watch).unwrap();
    let told: Vec<String> = ear
        .heard
        .borrow()
        .iter()
        .filter_map(|event| match event {
            Event::Happened(happening) => Some(happening.subject.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["dock.test/app:1"]);
}

#[test]
fn a_push_that_is_broken_off_goes_on_with_what_is_missing() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let dock = world.dock();
    world.memory.network().break_off(|request| request.path.contains("/manifests/").then_some(0));
    let problem = world.push("dock.test/app:1", &pushing()).unwrap_err();
    assert_eq!((problem.code, dock.tags().len()), (ErrorCode::Unavailable, 0));
    world.memory.network().break_off(|_| None);
    let pushed = &world.push("dock.test/app:1", &pushing()).unwrap()[0];
    assert_eq!(way(pushed, &built.layers[0]), Way::There);
    assert_eq!((way(pushed, &built.manifest), dock.flaws()), (Way::Sent, Vec::new()));
}

#[test]
fn who_goes_away_ends_the_push() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let dock = world.dock();
    let leave: fn(&Event) -> bool =
        |event| matches!(event, Event::Progress(progress) if progress.phase == Phase::Uploading);
    let ear = Ear { leave: Some(leave), ..Ear::default() };
    let problem = world.push_to("dock.test/app:1", &pushing(), &ear).unwrap_err();
    assert_eq!((problem.code, dock.tags().len()), (ErrorCode::Cancelled, 0));
    assert!(problem.fix.is_some_and(|fix| fix.contains("goes on where it stopped")));
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.tag("app:1", &["dock.test/app:1"]).unwrap();
    let id = built.config.encoded()[..12].to_owned();
    for (reference, code, why) in [
        ("dock.test/app:9", ErrorCode::NotFound, "no image here is called `dock.test/app:9`".to_owned()),
        (&id, ErrorCode::Invalid, format!("`{id}` says no repository to push to")),
    ] {
        let problem = world.push(reference, &pushing()).unwrap_err();
        assert_eq!((problem.code, &problem.why[0], problem.fix.is_some()), (code, &why, true), "{reference}");
    }
    // The bytes here are not what they should be: nothing of that gets a name there.
    let dock = world.dock();
    world.memory.content().harm(built.layers[0].as_str(), &[b'x'; 10]);
    let problem = world.push("dock.test/app:1", &pushing()).unwrap_err();
    assert!(problem.why[0].contains("is damaged"), "{problem:?}");
    let mut wrong = layer("base");
    wrong[5] ^= 1;
    world.memory.content().harm(built.layers[0].as_str(), &wrong);
    world.memory.network().take("dock.test", {
        let dock = dock.clone();
        move |request, carried| match request.headers.iter().any(|(name, _)| name == "content-length") {
            // As HTTP has it: a body that ends too early breaks the connection.
            true if request
                .headers
                .iter()
                .any(|(name, value)| name == "content-length" && value != &carried.len().to_string()) =>
            {
                Err(HttpError::Broken("the body was too short".to_owned()))
            }
            _ => Ok(dock.answer(request, carried)),
        }
    });
    let problem = world.push("dock.test/app:1", &pushing()).unwrap_err();
    assert!(problem.why[0].contains("is damaged: its bytes here hash to"), "{problem:?}");
    assert_eq!(dock.tags().len(), 0);
}
