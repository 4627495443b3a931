//! Images: names of any kind, what they point to, and which fields a change is about.

use super::*;
use crate::verbs::{Ear, everything};
use wharf_component::{
    nouns::{media_type::OCI_INDEX, record::ImageRecord, retention::RETENTION_LABEL},
    verbs::{
        self,
        contract::{Change, Form, Pruning, PushOptions, SaveOptions},
    },
};
use wharf_sim::memory::Call;

#[test]
fn a_name_is_shown_with_what_a_pull_has_recorded() {
    let (world, built) = world();
    let record = world.record(APP).unwrap();
    let expected = Named {
        created: (record.created, 0),
        updated: (record.updated, 0),
        ..named(APP, &built.manifest, record.target.size)
    };
    assert_eq!(world.get_image(APP).unwrap(), expected);
    for name in ["docker.io/library/app:2", "app:1", "app", "sha256:x"] {
        let problem = world.get_image(name).unwrap_err();
        assert_eq!((problem.code, problem.what), (ErrorCode::NotFound, format!("cannot show the image `{name}`")));
    }
    assert_eq!(code(world.get_image("")), ErrorCode::Invalid);
}

#[test]
fn a_name_that_is_made_is_an_image_for_every_door() {
    let (world, built) = world();
    let made =
        Named { labels: labels(&[("b", "2"), ("a", "1"), ("none", "")]), ..world.app_as("docker.io/library/new:1") };
    let created = world.create_image(&made).unwrap();
    assert_eq!(created.labels, labels(&[("a", "1"), ("b", "2")]));
    assert_eq!(world.get_image("docker.io/library/new:1").unwrap(), created);
    let (app, new) = (world.record(APP).unwrap(), world.record("docker.io/library/new:1").unwrap());
    assert_eq!((new.platforms, new.size), (app.platforms, app.size));
    assert_eq!(world.happened().last().unwrap(), "tag docker.io/library/new:1");
    assert_eq!(code(world.create_image(&made)), ErrorCode::InUse);
    assert_eq!(code(world.create_image(&Named { name: APP.to_owned(), ..made })), ErrorCode::InUse);
    // The blobs stay with the new name.
    world.remove("app:1").unwrap();
    assert!(built.layers.iter().all(|layer| world.has(layer)));
}

#[test]
fn a_name_that_is_no_reference_is_seen_here_alone_and_holds_its_blobs() {
    let (world, built) = world();
    for name in ["foo", "app:1", "sha256:x"] {
        world.create_image(&world.app_as(name)).unwrap();
    }
    assert_eq!(world.list_images(&[]), ["app:1", APP, "foo", "sha256:x"]);
    let entries = world.memory.run(verbs::entries(&world.memory, &caller(), &[])).unwrap();
    assert_eq!((entries.images.len(), entries.damaged.len()), (1, 0));
    world.remove("app:1").unwrap();
    assert!(world.has(&built.manifest) && built.layers.iter().all(|layer| world.has(layer)));
    world.collect().unwrap();
    assert!(world.has(&built.manifest) && built.layers.iter().all(|layer| world.has(layer)));
    for name in ["foo", "app:1"] {
        world.delete_image(name, None, true).unwrap();
        assert!(world.has(&built.manifest), "another name needs it");
    }
    world.delete_image("sha256:x", None, true).unwrap();
    assert_eq!(world.counts(), (0, 0, 0));
    assert_eq!(world.happened().last().unwrap(), &format!("delete {}", built.manifest));
}

#[test]
fn what_only_a_name_that_is_no_reference_needs_is_counted_and_is_not_lost() {
    let (world, built) = world();
    world.create_image(&world.app_as("foo")).unwrap();
    world.delete_image(APP, None, true).unwrap();
    let (memory, caller) = (&world.memory, caller());
    let usage = memory.run(verbs::usage::disk_usage(memory, &caller)).unwrap();
    assert_eq!((usage.images.len(), usage.content.others, usage.content.unneeded), (0, built.size, 0));
    let found = memory.run(verbs::fsck(memory, &caller, &[], None, false, &Ear::default())).unwrap();
    assert_eq!((found.flaws.len(), found.notes), (0, vec![]));
    let change = Change::Prune(Pruning { all: true, who: "a test".to_owned(), ..Pruning::default() });
    memory.run(verbs::change::perform(memory, &caller, &change, &Ear::default())).unwrap();
    assert_eq!(world.list_images(&[]), ["foo"]);
    assert!(world.has(&built.manifest));
    world.pull("app:1", &options()).unwrap();
    let changed = world.remove("app:1").unwrap();
    assert_eq!((changed.gone.len(), changed.removed.blobs.len()), (0, 0), "the image has another name");
}

/// What is kept as an annotation is no label for anybody.
#[test]
fn annotations_are_no_labels() {
    let (world, _) = world();
    let mut image = Named { labels: labels(&[("a", "1")]), ..world.app_as(APP) };
    image.target.annotations = labels(&[("x", "1")]);
    world.update_image(&image, &[]).unwrap();
    let label = |pairs: &[(String, Option<String>)]| {
        world.memory.run(verbs::label::label(&world.memory, &caller(), "app:1", pairs))
    };
    assert_eq!(label(&[]).unwrap().into_iter().collect::<Vec<_>>(), labels(&[("a", "1")]));
    let taken = [("wharf.target.annotation/x".to_owned(), None)];
    assert_eq!(code(label(&taken)), ErrorCode::Invalid);
    assert_eq!(world.get_image(APP).unwrap().target.annotations, labels(&[("x", "1")]));
}

#[test]
fn what_of_an_index_is_here_as_a_whole_is_found_out() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let size = world.record("docker.io/library/alpine:3.20").unwrap().target.size;
    let mut image = named("docker.io/library/new:1", &index, size);
    image.target.media_type = OCI_INDEX.to_owned();
    world.create_image(&image).unwrap();
    let platforms = |world: &World| {
        let record = world.record("docker.io/library/new:1").unwrap();
        record.platforms.into_iter().map(|present| present.manifest.digest).collect::<Vec<_>>()
    };
    assert_eq!(platforms(&world), [built[1 - 1].manifest.clone()], "one platform came");
    let (alpine, new) = (world.record("docker.io/library/alpine:3.20").unwrap(), world.record(&image.name).unwrap());
    assert_eq!((&new.platforms, new.size), (&alpine.platforms, alpine.size));
    // More of it comes, and whoever writes the same again knows.
    world.pull("alpine:3.20", &everything()).unwrap();
    world.update_image(&image, &["labels"]).unwrap();
    assert_eq!(platforms(&world).len(), 1, "labels say nothing about what is here");
    world.update_image(&image, &[]).unwrap();
    assert_eq!(platforms(&world).len(), 3);
}

#[test]
fn a_target_that_is_not_here_is_a_name_all_the_same_and_nothing_breaks() {
    let (world, built) = world();
    let absent = named("docker.io/library/absent:1", &digest_of(b"absent"), 7);
    let created = world.create_image(&absent).unwrap();
    assert_eq!(world.get_image(&absent.name).unwrap(), created);
    assert_eq!(world.record(&absent.name).unwrap().platforms, []);
    let entries = world.memory.run(verbs::entries(&world.memory, &caller(), &[])).unwrap();
    let told = ["`docker.io/library/absent:1`: nothing of what it points to is here as a whole".to_owned()];
    assert_eq!((entries.images.len(), entries.damaged.as_slice()), (1, told.as_slice()));
    let (memory, caller, text) = (&world.memory, caller(), "absent:1");
    let options = SaveOptions { form: Form::OciArchive, platforms: vec![], complete: None };
    let push = PushOptions { concurrent_uploads: 1, ..PushOptions::default() };
    let inspected = memory.run(verbs::inspect(memory, &caller, text, None, false, false));
    let saved = memory.run(verbs::save(memory, &caller, &texts(&[text]), &options)).map(|_| ());
    let pushed = memory.run(verbs::push(memory, &caller, text, &push, &Ear::default())).map(|_| ());
    for problem in [inspected.unwrap_err(), saved.unwrap_err(), pushed.unwrap_err()] {
        assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::NotFound, Some("wharf pull absent:1")));
    }
    assert_eq!(memory.run(verbs::usage::disk_usage(memory, &caller)).unwrap().images.len(), 2);
    let found = memory.run(verbs::fsck(memory, &caller, &[], None, false, &Ear::default())).unwrap();
    assert_eq!(found.flaws.iter().map(|flaw| flaw.subject.as_str()).collect::<Vec<_>>(), [absent.name.as_str()]);
    world.collect().unwrap();
    assert_eq!(world.counts().0, 4);
    world.remove("absent:1").unwrap();
    assert_eq!(code(world.get_image(&absent.name)), ErrorCode::NotFound);
    // What is here and no image is no image.
    let layer = Named { name: "layer".to_owned(), ..named("layer", &built.layers[0], 3) };
    world.create_image(&layer).unwrap();
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.counts().0, 1, "what a name points to is kept, whatever it is");
}

#[test]
fn what_is_no_image_record_is_refused() {
    let (world, _) = world();
    let good = world.app_as("docker.io/library/new:1");
    let target = |target: Pointed| Named { target, ..good.clone() };
    let rows = [
        Named { name: String::new(), ..good.clone() },
        Named { name: "x".repeat(1_024), ..good.clone() },
        Named { labels: labels(&[("", "x")]), ..good.clone() },
        Named { labels: labels(&[("x", &"x".repeat(4_096))]), ..good.clone() },
        Named { labels: labels(&[("wharf.target.annotation/x", "x")]), ..good.clone() },
        target(Pointed { digest: "sha256:x".to_owned(), ..good.target.clone() }),
        target(Pointed { media_type: String::new(), ..good.target.clone() }),
        target(Pointed { size: 0, ..good.target.clone() }),
        target(Pointed { size: -1, ..good.target.clone() }),
    ];
    for row in rows {
        assert_eq!(code(world.create_image(&row)), ErrorCode::Invalid, "{row:?}");
    }
    let many: Labels = (0..5_000).map(|at| (at.to_string(), "x".to_owned())).collect();
    assert_eq!(code(world.create_image(&Named { labels: many, ..good.clone() })), ErrorCode::TooLarge(4_096));
    assert_eq!(world.list_images(&[]), [APP]);
}

#[test]
fn a_change_is_about_the_fields_that_are_listed() {
    let (world, _) = world();
    let mut image = Named { labels: labels(&[("a", "1"), ("b", "2")]), ..world.app_as(APP) };
    image.target.annotations = labels(&[("x", "1"), ("y", "2")]);
    world.update_image(&image, &[]).unwrap();
    let shown = |image: &Named| (map(&image.labels).len(), map(&image.target.annotations).len());
    assert_eq!(shown(&world.get_image(APP).unwrap()), (2, 2));

    let other = Named { labels: labels(&[("a", "other"), ("c", "3")]), ..world.app_as(APP) };
    let found = world.update_image(&other, &["labels.a", "labels.b"]).unwrap();
    assert_eq!((found.labels.clone(), map(&found.target.annotations).len()), (labels(&[("a", "other")]), 2));
    let found = world.update_image(&other, &["labels"]).unwrap();
    assert_eq!(
        (found.labels.clone(), map(&found.target.annotations).len()),
        (labels(&[("a", "other"), ("c", "3")]), 2)
    );
    image.target.annotations = labels(&[("x", "other")]);
    let found = world.update_image(&image, &["annotations.x", "annotations.y"]).unwrap();
    assert_eq!(found.target.annotations, labels(&[("x", "other")]));
    let found = world.update_image(&world.app_as(APP), &["target"]).unwrap();
    assert_eq!(shown(&found), (2, 0), "annotations belong to the target");
    image.target.annotations = labels(&[("z", "1")]);
    let found = world.update_image(&image, &["annotations"]).unwrap();
    assert_eq!((found.labels.len(), found.target.annotations), (2, labels(&[("z", "1")])));

    for field in ["name", "created_at", "target.digest", ""] {
        let problem = world.update_image(&image, &["labels", field]).unwrap_err();
        assert_eq!(
            (problem.code, problem.why[0].clone()),
            (ErrorCode::Invalid, format!("the field `{field}` cannot be changed"))
        );
    }
    let absent = Named { name: "absent".to_owned(), ..image };
    assert_eq!(code(world.update_image(&absent, &["labels"])), ErrorCode::NotFound);
}

#[test]
fn a_name_that_moves_is_tagged_and_one_that_is_labelled_is_labelled() {
    let (world, _) = world();
    let created = world.get_image(APP).unwrap().created;
    world.memory.clock().pass(10_000);
    let two = world.image("library/app", Some("2"), Recipe { layers: &["two"], ..Recipe::default() });
    world.pull("app:2", &options()).unwrap();
    let size = world.record("docker.io/library/app:2").unwrap().target.size;
    let moved = world.update_image(&named(APP, &two.manifest, size), &["target"]).unwrap();
    assert_eq!((moved.created, moved.target.digest.as_str()), (created, two.manifest.as_str()));
    assert!(moved.updated > created);
    let (one, other) = (world.record(APP).unwrap(), world.record("docker.io/library/app:2").unwrap());
    assert_eq!(ImageRecord { created: other.created, updated: other.updated, ..one }, other);
    world
        .update_image(&Named { labels: labels(&[("a", "1")]), ..named(APP, &two.manifest, size) }, &["labels.a"])
        .unwrap();
    let told = world.happened();
    assert_eq!(told[told.len() - 2..], [format!("tag {APP}"), format!("label {APP}")]);
}

#[test]
fn what_is_kept_of_an_image_stays_when_labels_are_replaced() {
    let (world, _) = world();
    world
        .update_image(&Named { labels: labels(&[(RETENTION_LABEL, "unpacked")]), ..world.app_as(APP) }, &["labels"])
        .unwrap();
    let found = world.update_image(&Named { labels: labels(&[("a", "1")]), ..world.app_as(APP) }, &[]).unwrap();
    assert_eq!(found.labels, labels(&[("a", "1"), (RETENTION_LABEL, "unpacked")]));
    let found = world.update_image(&world.app_as(APP), &[&format!("labels.{RETENTION_LABEL}")]).unwrap();
    assert_eq!(found.labels, labels(&[("a", "1")]));
}

#[test]
fn a_name_goes_if_it_is_what_is_meant() {
    let (world, built) = world();
    world.create_image(&world.app_as("docker.io/library/new:1")).unwrap();
    assert_eq!(code(world.delete_image("new:1", None, false)), ErrorCode::NotFound);
    assert_eq!(code(world.delete_image(APP, Some(built.config.as_str()), false)), ErrorCode::NotFound);
    assert_eq!(code(world.delete_image(APP, Some("x"), false)), ErrorCode::Invalid);
    world.delete_image(APP, Some(built.manifest.as_str()), true).unwrap();
    assert_eq!(world.happened().last().unwrap(), &format!("untag {APP}"));
    assert_eq!(world.counts().0, 4, "another name needs everything");
    world.delete_image("docker.io/library/new:1", None, false).unwrap();
    assert_eq!(world.counts().0, 4, "it waits for a collection");
    let told = world.happened();
    assert_eq!(
        told[told.len() - 2..],
        ["untag docker.io/library/new:1".to_owned(), format!("delete {}", built.manifest)]
    );
    world.collect().unwrap();
    assert_eq!(world.counts().0, 0);
    assert_eq!(code(world.delete_image(APP, None, true)), ErrorCode::NotFound);
}

#[test]
fn images_pass_if_one_of_the_filters_does() {
    let (world, built) = world();
    let mut image = Named { labels: labels(&[("team", "web"), ("a.b/c", "1")]), ..world.app_as("foo") };
    image.target.annotations = labels(&[("made.by", "hand")]);
    world.create_image(&image).unwrap();
    let digest = format!("target.digest=={}", built.manifest);
    let rows: [(&[&str], &[&str]); 10] = [
        (&[], &[APP, "foo"]),
        (&[""], &[APP, "foo"]),
        (&["name==foo"], &["foo"]),
        (&["name==foo", "name~=/app/"], &[APP, "foo"]),
        (&[&digest, "name==x"], &[APP, "foo"]),
        (&["target.mediatype~=index"], &[]),
        (&["labels.team==web,name==foo"], &["foo"]),
        (&["labels.\"a.b/c\"==1"], &["foo"]),
        (&["annotations.\"made.by\"==hand"], &["foo"]),
        (&["nothing"], &[]),
    ];
    for (filters, expected) in rows {
        assert_eq!(world.list_images(filters), expected, "{filters:?}");
    }
    for filter in ["name==", "name=x", "name~=["] {
        let listed = world.memory.run(records::images::list(&world.memory, &caller(), &texts(&["name", filter])));
        assert_eq!(code(listed), ErrorCode::Invalid, "{filter}");
    }
    let many = vec!["name".to_owned(); 129];
    assert_eq!(code(world.memory.run(records::images::list(&world.memory, &caller(), &many))), ErrorCode::Invalid);
}

#[test]
fn a_record_that_cannot_be_read_hides_nothing_but_itself() {
    let (world, _) = world();
    for key in ["image/docker.io/library/bad:1", "foreign/bad"] {
        world.memory.write_row("default", key, b"x");
    }
    assert_eq!(world.list_images(&[]), [APP]);
    assert_eq!(code(world.get_image("docker.io/library/bad:1")), ErrorCode::Invalid);
    assert_eq!(code(world.create_image(&world.app_as("bad"))), ErrorCode::InUse);
    assert_eq!(code(world.update_image(&world.app_as("bad"), &[])), ErrorCode::Invalid);
    assert!(world.collect().is_err(), "nobody knows what they need");
    for name in ["docker.io/library/bad:1", "bad"] {
        world.delete_image(name, None, false).unwrap();
    }
    world.collect().unwrap();
}

#[test]
fn what_others_write_meanwhile_stays() {
    let (world, _) = world();
    let mut theirs = world.record(APP).unwrap();
    theirs.labels.insert("theirs".to_owned(), "1".to_owned());
    let row = theirs.encode().unwrap();
    world.memory.interfere(Call::Commit, move |memory| {
        memory.write_row("default", &format!("image/{APP}"), &row);
        Ok(())
    });
    let found =
        world.update_image(&Named { labels: labels(&[("mine", "2")]), ..world.app_as(APP) }, &["labels.mine"]).unwrap();
    assert_eq!(found.labels, labels(&[("mine", "2"), ("theirs", "1")]));
}

/// A name that moves between the look at its target and the commit is looked at again.
#[test]
fn what_is_recorded_of_a_target_is_what_was_looked_at() {
    let (world, _) = world();
    let two = world.image("library/app", Some("2"), Recipe { layers: &["two"], ..Recipe::default() });
    world.pull("app:2", &options()).unwrap();
    let theirs = world.record("docker.io/library/app:2").unwrap();
    let row = theirs.encode().unwrap();
    world.memory.interfere(Call::Commit, move |memory| {
        memory.write_row("default", &format!("image/{APP}"), &row);
        Ok(())
    });
    let mut image = named(APP, &two.manifest, theirs.target.size);
    image.target.annotations = labels(&[("x", "1")]);
    let found = world.update_image(&image, &["annotations"]).unwrap();
    assert_eq!((found.target.digest.as_str(), found.target.annotations.len()), (two.manifest.as_str(), 1));
    assert_eq!(world.record(APP).unwrap().platforms, theirs.platforms);
}
