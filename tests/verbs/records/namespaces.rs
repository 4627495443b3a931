//! Namespaces: who is there, and when one goes.

use super::*;
use wharf_component::verbs::contract::records::Space;

impl World {
    fn list_spaces(&self) -> Vec<Space> {
        self.memory.run(records::namespaces::list(&self.memory, &caller())).unwrap()
    }

    fn make_space(&self, name: &str, pairs: &[(&str, &str)]) -> Result<Space, Problem> {
        let space = Space { name: name.to_owned(), labels: labels(pairs) };
        self.memory.run(records::namespaces::create(&self.memory, &caller(), &space))
    }

    fn relabel_space(&self, name: &str, pairs: &[(&str, &str)], fields: &[&str]) -> Result<Space, Problem> {
        let space = Space { name: name.to_owned(), labels: labels(pairs) };
        self.memory.run(records::namespaces::update(&self.memory, &caller(), &space, &texts(fields)))
    }

    fn drop_namespace(&self, name: &str) -> Result<(), Problem> {
        self.memory.run(records::namespaces::delete(&self.memory, &caller(), name))
    }
}

#[test]
fn a_namespace_is_there_as_soon_as_something_is_in_it() {
    let world = World::new();
    assert_eq!(world.list_spaces(), []);
    assert_eq!(
        code(world.memory.run(records::namespaces::get(&world.memory, &caller(), "default"))),
        ErrorCode::NotFound
    );
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let space = |name: &str, pairs: &[(&str, &str)]| Space { name: name.to_owned(), labels: labels(pairs) };
    assert_eq!(world.list_spaces(), [space("default", &[])]);
    assert_eq!(code(world.make_space("default", &[])), ErrorCode::InUse);
    assert_eq!(
        world.make_space("k8s.io", &[("b", "2"), ("a", "1")]).unwrap(),
        space("k8s.io", &[("a", "1"), ("b", "2")])
    );
    assert_eq!(code(world.make_space("k8s.io", &[])), ErrorCode::InUse);
    assert_eq!(world.list_spaces(), [space("default", &[]), space("k8s.io", &[("a", "1"), ("b", "2")])]);
    for name in ["", "a/b", "-", &"a".repeat(77)] {
        assert_eq!(code(world.make_space(name, &[])), ErrorCode::Invalid, "{name}");
    }
}

#[test]
fn labels_of_a_namespace_change_one_by_one_or_together() {
    let world = World::new();
    world.make_space("team", &[("a", "1"), ("b", "2")]).unwrap();
    let pairs = |space: Result<Space, Problem>| space.unwrap().labels;
    assert_eq!(
        pairs(world.relabel_space("team", &[("a", "other")], &["labels.a", "labels.b"])),
        labels(&[("a", "other")])
    );
    assert_eq!(pairs(world.relabel_space("team", &[("c", "3")], &["labels.c"])), labels(&[("a", "other"), ("c", "3")]));
    assert_eq!(pairs(world.relabel_space("team", &[("d", "4"), ("e", "")], &["labels"])), labels(&[("d", "4")]));
    assert_eq!(pairs(world.relabel_space("team", &[("f", "6")], &[])), labels(&[("f", "6")]));
    assert_eq!(code(world.relabel_space("team", &[], &["name"])), ErrorCode::Invalid);
    assert_eq!(code(world.relabel_space("nobody", &[], &[])), ErrorCode::NotFound);
}

#[test]
fn a_namespace_goes_when_nothing_is_in_it() {
    let (world, built) = world();
    let problem = world.drop_namespace("default").unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::InUse, texts(&["there is something in it: images"])));
    world.delete_image(APP, None, true).unwrap();
    world.drop_namespace("default").unwrap();
    assert_eq!(world.memory.snapshot().rows.len(), 0, "what has happened goes with it");
    assert_eq!(code(world.drop_namespace("default")), ErrorCode::NotFound);

    world.create_image(&named("foreign", &built.manifest, 5)).unwrap();
    world.write_blob(&caller(), b"bytes", &[]).unwrap();
    let caller = caller();
    let admit = records::writings::admit(&world.memory, &caller, "begun", None, 0, None, false);
    world.memory.run(admit).unwrap();
    world.memory.run(records::leases::create(&world.memory, &caller, Some("l"), &Labels::new())).unwrap();
    let full = |world: &World| world.drop_namespace("default").unwrap_err().why[0].clone();
    assert_eq!(full(&world), "there is something in it: images, leases, content");
    drop(world.begin_ingest("begun"));
    assert_eq!(full(&world), "there is something in it: images, leases, content, ingests");
    world.delete_image("foreign", None, true).unwrap();
    assert_eq!(full(&world), "there is something in it: leases, ingests", "nothing needed the blob");
    world.memory.run(records::leases::delete(&world.memory, &caller, "l", false)).unwrap();
    assert_eq!(full(&world), "there is something in it: ingests");
    world.memory.run(records::writings::abort(&world.memory, &caller, "begun")).unwrap();
    world.drop_namespace("default").unwrap();
    assert_eq!(world.memory.snapshot().rows.len(), 0);
}

#[test]
fn a_namespace_that_a_newer_program_has_written_is_listed() {
    let world = World::new();
    world.memory.write_row("newer", "schema", b"99");
    assert_eq!(world.list_spaces(), [Space { name: "newer".to_owned(), labels: vec![] }]);
    assert_eq!(code(world.drop_namespace("newer")), ErrorCode::Unsupported);
}
