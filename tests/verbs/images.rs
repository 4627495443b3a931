//! `entries`: order, filters, and records that are damaged.

use super::{Recipe, World, caller, options};
use wharf_component::{
    nouns::problem::{ErrorCode, Problem},
    verbs::{self, contract::Caller, images::Listing},
};
use wharf_sim::memory::clock::DAWN;

fn list(world: &World, filters: &[&str]) -> Result<Listing, Problem> {
    let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
    world.memory.run(verbs::entries(&world.memory, &caller(), &filters))
}

fn names(world: &World, filters: &[&str]) -> Vec<String> {
    list(world, filters).unwrap().images.into_iter().map(|image| image.familiar).collect()
}

/// Three images, built one after the other.
fn world() -> World {
    let world = World::new();
    let rows = [
        ("library/old", "2020-01-01T00:00:00Z", r#"{"tier":"gold"}"#),
        ("org/middle", "2022-01-01T00:00:00Z", r#"{"tier":"tin","os":"x"}"#),
        ("library/new", "2024-01-01T00:00:00Z", "null"),
    ];
    for (repository, created, labels) in rows {
        world.image(repository, Some("1"), Recipe { created, labels, layers: &[repository], ..Recipe::default() });
        world.pull(&format!("{repository}:1"), &options()).unwrap();
    }
    world
}

#[test]
fn images_are_listed_newest_first_and_filtered() {
    let world = world();
    let rows: [(&[&str], &[&str]); 20] = [
        (&[], &["new:1", "org/middle:1", "old:1"]),
        (&["reference=old"], &["old:1"]),
        (&["reference=*:1"], &["new:1", "old:1"]),
        (&["reference=org/*", "reference=new:?"], &["new:1", "org/middle:1"]),
        (&["reference=docker.io/library/*"], &["new:1", "old:1"]),
        (&["label=tier"], &["org/middle:1", "old:1"]),
        (&["label=tier=gold"], &["old:1"]),
        (&["label=tier", "label=os=x"], &["org/middle:1"]),
        (&["before=org/middle:1"], &["old:1"]),
        (&["since=old:1"], &["new:1", "org/middle:1"]),
        (&["since=old:1", "before=new:1"], &["org/middle:1"]),
        (&["until=2022-06-01"], &["org/middle:1", "old:1"]),
        (&["until=17520h"], &["org/middle:1", "old:1"]),
        (&["until=1600000000"], &["old:1"]),
        (&["dangling=true"], &[]),
        (&["dangling=false", "label=tier=gold"], &["old:1"]),
        (&["label!=tier=gold"], &["new:1", "org/middle:1"]),
        (&["name~=|/library/|"], &["new:1", "old:1"]),
        (&["labels.tier,labels.os!=x", "name==docker.io/library/new:1"], &["new:1", "old:1"]),
        (&["target.mediatype==nothing"], &[]),
    ];
    for (filters, expected) in rows {
        assert_eq!(names(&world, filters), expected, "{filters:?}");
    }
}

#[test]
fn a_filter_that_nobody_knows_says_which_there_are() {
    let expected = Problem {
        code: ErrorCode::Invalid,
        what: "cannot list the images".to_owned(),
        why: vec!["there is no filter `colour`".to_owned()],
        fix: Some(
            "the filters are `before`, `dangling`, `label`, `label!`, `reference`, `since`, `until`, as in `--filter \
             reference=alpine`, and expressions, as in `name~=/alpine/`"
                .to_owned(),
        ),
    };
    assert_eq!(list(&world(), &["colour=red"]), Err(expected));
}

#[test]
fn a_filter_by_an_image_that_is_not_here_is_a_problem() {
    let problem = list(&world(), &["before=nowhere"]).unwrap_err();
    assert_eq!(problem.code, ErrorCode::NotFound);
    assert_eq!(problem.why[0], "a filter names an image that is not here");
}

#[test]
fn a_damaged_record_hides_nothing_but_itself() {
    let world = world();
    world.memory.write_row("default", "image/docker.io/library/old:1", b"{\"target\":");
    world.memory.write_row("default", "image/Not A Name", b"{}");
    let listing = list(&world, &[]).unwrap();
    assert_eq!(listing.images.len(), 2);
    assert_eq!(listing.damaged.len(), 2);
    assert!(
        listing.damaged[1].starts_with("`docker.io/library/old:1`: the record is damaged: "),
        "{:?}",
        listing.damaged
    );

    let problem = world.memory.run(verbs::inspect(&world.memory, &caller(), "old:1", None, false, false)).unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::Invalid, Some("wharf pull old:1")));

    let ear = super::Ear::default();
    world.listen("old:1", &options(), &ear).unwrap();
    assert!(ear.warnings()[0].starts_with("what was recorded of `docker.io/library/old:1` is replaced: "));
    assert!(world.record("docker.io/library/old:1").is_some());
}

#[test]
fn namespaces_do_not_see_each_other_and_have_names() {
    let world = world();
    let other = |namespace: &str| Caller { namespace: namespace.to_owned(), ..caller() };
    let listing = world.memory.run(verbs::entries(&world.memory, &other("tenant-a"), &[])).unwrap();
    assert_eq!(listing, Listing { images: Vec::new(), damaged: Vec::new() });
    let problem = world.memory.run(verbs::entries(&world.memory, &other("../x"), &[])).unwrap_err();
    assert_eq!(problem.why, ["`../x` is not a namespace, as `default` is"]);
}

#[test]
fn more_images_than_a_page_are_all_listed() {
    let world = world();
    let record = world.record("docker.io/library/old:1").unwrap().encode().unwrap();
    for at in 0..2_500 {
        world.memory.write_row("default", &format!("image/docker.io/library/copy:{at:04}"), &record);
    }
    let images = list(&world, &["reference=copy"]).unwrap().images;
    assert_eq!(images.len(), 2_500);
    assert!(images.is_sorted_by_key(|image| &image.name), "equals are in order of name");
    assert!(images.iter().all(|image| image.updated >= DAWN));
}
