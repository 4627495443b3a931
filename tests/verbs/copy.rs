//! `copy`: what the other registry has afterwards, and that nothing is kept here.

use super::{Ear, Recipe, World, caller};
use wharf_component::{
    nouns::problem::{ErrorCode, Problem},
    verbs::{
        self,
        contract::{PushOptions, Pushed, Way},
    },
};
use wharf_sim::memory::uploads::Dock;

fn copying() -> PushOptions {
    PushOptions { concurrent_uploads: 3, ..PushOptions::default() }
}

impl World {
    fn copy(&self, source: &str, destination: &str, options: &PushOptions) -> Result<Vec<Pushed>, Problem> {
        let ear = Ear::default();
        self.memory.run(verbs::copy(&self.memory, &caller(), source, destination, options, &ear))
    }
}

#[test]
fn a_whole_index_goes_from_one_registry_to_another() {
    let world = World::new();
    let (index, built) = world.alpine();
    let dock = Dock::start(&world.memory, "dock.test");
    let before = world.memory.snapshot();
    let copied = &world.copy("alpine:3.20", "dock.test/base/alpine", &copying()).unwrap()[0];
    assert_eq!((copied.name.as_str(), &copied.target.digest), ("dock.test/base/alpine:3.20", &index));
    assert_eq!((dock.tags()["base/alpine:3.20"].clone(), dock.flaws()), (index.clone(), Vec::new()));
    assert_eq!(world.memory.snapshot(), before, "nothing is kept here");
    let again = &world.copy("alpine:3.20", "dock.test/base/alpine:3.20", &copying()).unwrap()[0];
    assert!(again.up_to_date && again.sent_bytes == 0, "{again:?}");

    let one = PushOptions { platform: Some("linux/arm64".to_owned()), ..copying() };
    let copied = &world.copy("alpine:3.20", "dock.test/alpine:arm", &one).unwrap()[0];
    assert_eq!((&copied.target.digest, copied.reduced_from.as_ref()), (&built[1].manifest, Some(&index)));
    let none = PushOptions { platform: Some("linux/s390x".to_owned()), ..copying() };
    let problem = world.copy("alpine:3.20", "dock.test/alpine:z", &none).unwrap_err();
    assert_eq!((problem.code, problem.why[0].as_str()), (ErrorCode::NotFound, "no manifest matches `linux/s390x`"));
}

#[test]
fn within_a_registry_blobs_are_mounted() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    let dock = Dock::start(&world.memory, "dock.test");
    world.copy("app:1", "dock.test/a/app:1", &copying()).unwrap();
    let copied = &world.copy("dock.test/a/app:1", "dock.test/b/app:1", &copying()).unwrap()[0];
    let mounted = copied.parts.iter().filter(|part| part.way == Way::Mounted("a/app".to_owned())).count();
    assert_eq!((mounted, dock.flaws()), (3, Vec::new()));
}

#[test]
fn every_tag_is_copied() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.image("library/app", Some("2"), Recipe { layers: &["base", "other"], ..Recipe::default() });
    let dock = Dock::start(&world.memory, "dock.test");
    let all = PushOptions { all_tags: true, ..copying() };
    assert_eq!(world.copy("app", "dock.test/app", &all).unwrap().len(), 2);
    assert_eq!((dock.tags().len(), dock.flaws()), (2, Vec::new()));
    assert_eq!(world.copy("app:1", "dock.test/app", &all).unwrap_err().code, ErrorCode::Invalid);
}

/// A blob that breaks on its way goes on where the registry has it.
#[test]
fn a_copy_that_breaks_goes_on() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    let dock = Dock::start(&world.memory, "dock.test");
    let broken = std::cell::Cell::new(0);
    world.memory.network().break_off(move |request| {
        let is_first = request.path.contains("/uploads/") && broken.replace(broken.get() + 1) == 0;
        is_first.then_some(3_000)
    });
    world.copy("app:1", "dock.test/app:1", &copying()).unwrap();
    assert_eq!(dock.flaws(), Vec::<String>::new());
    let resumed = world.memory.network().requests();
    assert!(resumed.iter().any(|request| request.starts_with("GET /v2/app/blobs/uploads/")), "{resumed:?}");
}
