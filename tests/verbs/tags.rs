//! Pulling every tag of a repository, listing them, and finding the repository and what refers to its images.

use super::{Recipe, World, options};
use wharf_component::{
    nouns::{
        media_type::{OCI_INDEX, OCI_MANIFEST},
        problem::ErrorCode,
    },
    verbs::{
        self,
        contract::{Access, PullOptions, SearchOptions},
    },
};
use wharf_sim::memory::{Call, registry::Trouble};

fn all_tags() -> PullOptions {
    PullOptions { all_tags: true, ..options() }
}

fn world() -> World {
    let world = World::new();
    for tag in ["1.1", "1.0", "latest"] {
        world.image("library/app", Some(tag), Recipe { layers: &["base", tag], ..Recipe::default() });
    }
    world
}

#[test]
fn every_tag_gets_a_record() {
    let world = world();
    let plans = world.plan("app", &all_tags()).unwrap();
    let pulled = world.pull("app", &all_tags()).unwrap();
    let names: Vec<_> = pulled.iter().map(|pulled| pulled.image.familiar.as_str()).collect();
    assert_eq!(names, ["app:1.0", "app:1.1", "app:latest"]);
    assert_eq!(
        plans.iter().map(|plan| &plan.name).collect::<Vec<_>>(),
        pulled.iter().map(|one| &one.image.name).collect::<Vec<_>>()
    );
    assert!(pulled.iter().all(|pulled| world.record(&pulled.image.name).is_some()));
}

#[test]
fn a_tag_that_fails_is_told_at_the_end_and_the_others_are_there() {
    let world = world();
    world.registry.trouble("/manifests/1.1", Trouble::Status(404));
    let problem = world.pull("app", &all_tags()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::NotFound);
    assert_eq!(problem.why[0], "2 of 3 tags were pulled, 1 failed, and 0 were not tried");
    assert!(problem.why[1].starts_with("`1.1`: "), "{:?}", problem.why);
    assert_eq!(problem.why[2], "pulled: `1.0`, `latest`");
    let there = ["1.0", "1.1", "latest"].map(|tag| world.record(&format!("docker.io/library/app:{tag}")).is_some());
    assert_eq!(there, [true, false, true]);
}

#[test]
fn a_tag_beside_all_tags_is_refused() {
    let problem = world().pull("app:1.0", &all_tags()).unwrap_err();
    assert_eq!(problem.why, ["all tags are wanted, and the reference names one of them"]);
    assert_eq!(problem.fix.as_deref(), Some("wharf pull --all-tags app"));
}

/// A registry that is down was once asked five times for each of its tags, for
/// hours.
#[test]
fn a_registry_that_is_down_is_given_up_after_two_tags() {
    let world = World::new();
    for at in 0..100 {
        world.image("library/app", Some(&format!("t{at:02}")), Recipe { layers: &["base"], ..Recipe::default() });
    }
    world.pull("app:t00", &options()).unwrap();
    for _ in 0..1_000 {
        world.registry.trouble("/manifests/t0", Trouble::Status(503));
    }
    world.requests();
    let problem = world.pull("app", &all_tags()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Unavailable);
    assert_eq!(problem.why[0], "0 of 100 tags were pulled, 2 failed, and 98 were not tried");
    assert_eq!(problem.why.len(), 3, "{:?}", problem.why);
    assert!(world.requests().len() <= 12);
}

#[test]
fn a_tag_between_two_that_are_unavailable_shows_that_the_registry_is_there() {
    let world = world();
    for tag in ["1.0", "latest"] {
        for _ in 0..5 {
            world.registry.trouble(format!("/manifests/{tag}"), Trouble::Status(503));
        }
    }
    let problem = world.pull("app", &all_tags()).unwrap_err();
    assert_eq!(problem.why[0], "1 of 3 tags were pulled, 2 failed, and 0 were not tried");
    assert!(world.record("docker.io/library/app:1.1").is_some());
}

#[test]
fn what_would_fail_for_every_tag_ends_the_pull_at_once() {
    for code in [ErrorCode::NoSpace, ErrorCode::Denied, ErrorCode::Unsupported, ErrorCode::Cancelled] {
        let world = world();
        world.pull("app:1.0", &options()).unwrap();
        let fails = code.clone();
        world.memory.interfere(Call::Append, |_| Err(fails));
        let problem = world.pull("app", &all_tags()).unwrap_err();
        assert_eq!(problem.code, code);
        assert_eq!(problem.why[0], "1 of 3 tags were pulled, 1 failed, and 1 were not tried");
        assert!(problem.why[1].starts_with("`1.1`: "), "{:?}", problem.why);
        assert_eq!(problem.why[2..], ["pulled: `1.0`"]);
        assert_eq!(world.record("docker.io/library/app:latest"), None);
    }
}

#[test]
fn tags_are_listed_in_order_and_nothing_is_pulled() {
    let world = world();
    let tags = |repository: &str, access: &Access| world.memory.run(verbs::tags(&world.memory, repository, access));
    assert_eq!(tags("app", &Access::default()).unwrap(), ["1.0", "1.1", "latest"]);
    let aliases = vec![("short".to_owned(), "docker.io/library/app".to_owned())];
    assert_eq!(tags("short", &Access { aliases, ..Access::default() }).unwrap().len(), 3);
    assert!(world.memory.snapshot().rows.is_empty() && world.memory.snapshot().disk.blobs.is_empty());

    let problem = tags("app:1.0", &Access::default()).unwrap_err();
    assert_eq!((problem.what.as_str(), problem.code), ("cannot list the tags of `app:1.0`", ErrorCode::Invalid));
    assert_eq!(problem.fix.as_deref(), Some("wharf tags app"));
}

/// The registry in memory is one of the many that have none.
#[test]
fn a_registry_without_a_catalog_says_so() {
    let world = world();
    let problem =
        world.memory.run(verbs::catalog(&world.memory, "docker.io", &Access::default())).expect_err("it has none");
    assert_eq!(problem.code, ErrorCode::Unsupported);
    assert_eq!(problem.what, "cannot list the repositories of `docker.io`");
    assert_eq!(world.requests(), ["GET _catalog?n=1000"]);
}

#[test]
fn a_registry_is_searched_by_what_it_has() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    world.memory.network().serve("lan.test", {
        let registry = world.registry.clone();
        move |request| Ok(registry.answer(request))
    });
    let options = |filters: &[&str]| SearchOptions {
        limit: 25,
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
    };
    let search = |term: &str, filters: &[&str]| {
        world.memory.run(verbs::search(&world.memory, term, &options(filters), &Access::default()))
    };
    let found = search("lan.test/library/app", &[]).unwrap();
    let names: Vec<_> = found.repositories.iter().map(|one| (one.name.as_str(), one.stars)).collect();
    assert_eq!(names, [("lan.test/library/app", None)]);
    assert_eq!(found.notes, ["`lan.test` has no search and lists no repositories; the one of this very name is there"]);
    assert_eq!(search("lan.test/library/app", &["stars=1"]).unwrap().repositories, []);

    let problem = search("lan.test/app", &[]).unwrap_err();
    assert_eq!((problem.what.as_str(), problem.code), ("cannot search for `lan.test/app`", ErrorCode::Unsupported));
    assert_eq!(problem.why[0], "`lan.test` has no search, and no repository of the name `app`");
    let problem = search("lan.test/app", &["colour=red"]).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
}

/// The registry in memory keeps no list of its own.
#[test]
fn what_refers_to_an_image_is_listed_or_kept_under_a_tag() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    let subject = built.manifest;
    let list = |reference: &str, kind: Option<&str>| {
        world.memory.run(verbs::referrers(&world.memory, reference, kind, &Access::default()))
    };
    let tag = subject.as_str().replace(':', "-");
    let note = format!("`docker.io` keeps no list of referrers; these are those that the tag `{tag}` names");
    let none = list("app:1", None).unwrap();
    assert_eq!((none.subject.clone(), none.referrers, none.notes), (subject.clone(), vec![], vec![note]));

    let entry = |at: u32, kind: &str| {
        serde_json::json!({
            "mediaType": OCI_MANIFEST, "digest": format!("sha256:{at:064x}"), "size": 7, "artifactType": kind,
            "annotations": { "b": "2", "a": "1" },
        })
    };
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [entry(1, "application/spdx+json"), entry(2, "application/x.sig")],
    });
    world.registry.manifest("library/app", Some(&tag), OCI_INDEX, &index.to_string());
    let by_digest = list(&format!("app@{subject}"), Some("application/x.sig")).unwrap();
    assert_eq!(by_digest.repository, "app");
    let [one] = &by_digest.referrers[..] else { panic!("one is of this type: {by_digest:?}") };
    assert_eq!(one.target.digest.as_str(), format!("sha256:{:064x}", 2));
    assert_eq!(one.artifact_type.as_deref(), Some("application/x.sig"));
    assert_eq!(one.annotations, [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(list("app:1", None).unwrap().referrers.len(), 2);

    let problem = list("app:2", None).unwrap_err();
    assert_eq!((problem.what.as_str(), problem.code), ("cannot list what refers to `app:2`", ErrorCode::NotFound));
    assert_eq!(list("app:1", Some("")).unwrap_err().code, ErrorCode::Invalid);
}
