//! `pull`: what is chosen, fetched, kept and recorded.

use super::{Ear, Recipe, World, caller, everything, layer, options, platforms};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};
use wharf_component::{
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    registry::Phase,
    verbs::{
        self,
        contract::{Event, PullOptions, Wanted},
    },
};
use wharf_sim::memory::{Call, registry::Trouble, stream::Fault};

const ALPINE: &str = "docker.io/library/alpine:3.20";

#[test]
fn a_pull_of_an_index_takes_the_platform_of_the_machine() {
    let world = World::new();
    let (index, built) = world.alpine();
    let [amd64, arm64, proof] = &built[..] else { unreachable!("alpine has three entries") };
    let ear = Ear::default();
    let pulled = world.listen("alpine:3.20", &options(), &ear).unwrap().remove(0);

    let record = world.record(ALPINE).expect("the name is recorded");
    assert_eq!(record.target.digest, index);
    assert_eq!(record.platforms.len(), 1);
    let present = &record.platforms[0];
    assert_eq!((&present.manifest.digest, &present.config), (&amd64.manifest, &amd64.config));
    assert_eq!((present.platform.as_deref(), present.layers, present.size), (Some("linux/amd64"), 1, amd64.size));
    assert_eq!(present.created, Some(1_704_164_645));
    assert_eq!(record.size, amd64.size + record.target.size);

    assert_eq!((pulled.up_to_date, pulled.fetched_bytes), (false, record.size));
    assert_eq!((pulled.image.name.as_str(), pulled.image.familiar.as_str()), (ALPINE, "alpine:3.20"));
    assert_eq!((&pulled.image.id, pulled.image.platforms), (&amd64.config, vec!["linux/amd64".to_owned()]));

    for part in [&index, &amd64.manifest, &amd64.config, &amd64.layers[0]] {
        assert!(world.has(part), "{part}");
    }
    for other in [&arm64.manifest, &arm64.layers[0], &proof.manifest, &proof.config] {
        assert!(!world.has(other), "{other} is not wanted");
    }
    let disk = world.memory.snapshot().disk;
    assert!(disk.ingests.is_empty(), "what has arrived is no ingest any more");

    let heard = ear.heard.borrow();
    assert_eq!(heard[0], Event::Resolved(ALPINE.to_owned(), record.target.clone()));
    assert_eq!(heard[1], Event::Selected("linux/amd64".to_owned(), present.manifest.clone()));
    drop(heard);
    let phases = ear.phases(&amd64.layers[0]);
    assert_eq!((phases[0], phases[1]), (Phase::Waiting, Phase::Downloading));
    assert_eq!(phases.last(), Some(&Phase::Complete));
}

#[test]
fn the_second_pull_is_one_head_request() {
    let world = World::new();
    world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let before = world.memory.snapshot();
    world.requests();
    let world = world.restart();
    let pulled = world.pull("alpine:3.20", &options()).unwrap().remove(0);
    assert_eq!((pulled.up_to_date, pulled.fetched_bytes), (true, 0));
    assert_eq!(world.requests(), ["HEAD 3.20"]);
    assert_eq!(world.memory.snapshot(), before, "nothing changed, the time of the record included");
}

#[test]
fn a_blob_that_was_lost_comes_back() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let record = world.record("docker.io/library/app:1");
    world.memory.content().remove(&built.layers[1]).unwrap();
    world.memory.clock().pass(10_000);
    world.requests();
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    assert_eq!((pulled.up_to_date, pulled.fetched_bytes), (false, layer("top").len() as u64));
    assert_eq!(world.requests(), ["HEAD 1".to_owned(), format!("GET {}", built.layers[1])]);
    assert!(world.has(&built.layers[1]));
    assert_eq!(world.record("docker.io/library/app:1"), record, "the name did not change");
}

#[test]
fn an_interrupted_pull_keeps_what_arrived_and_the_next_one_fetches_the_rest() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["only"], ..Recipe::default() });
    let size = layer("only").len() as u64;
    let half =
        |event: &Event| matches!(event, Event::Progress(progress) if (4_000..9_000).contains(&progress.received));
    let ear = Ear { leave: Some(half), ..Ear::default() };
    let problem = world.listen("app:1", &options(), &ear).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Cancelled);
    assert_eq!(problem.what, "cannot pull `docker.io/library/app:1`");
    assert_eq!(problem.fix.as_deref(), Some("the same command continues where it stopped"), "whatever its options are");
    assert_eq!(world.record("docker.io/library/app:1"), None);

    let world = world.restart();
    let kept = world.memory.snapshot().disk.ingests[built.layers[0].as_str()].len() as u64;
    assert!((4_000..size).contains(&kept), "{kept} bytes were kept");
    world.requests();
    let plan = world.plan("app:1", &options()).unwrap().remove(0);
    let planned =
        plan.blobs.iter().find(|planned| planned.blob.digest == built.layers[0]).expect("the layer is planned");
    assert_eq!((planned.received, planned.present), (kept, false));

    world.requests();
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    assert_eq!(world.requests(), ["GET 1".to_owned(), format!("GET {}", built.layers[0])], "the config was here");
    let manifest = pulled.image.target.size;
    assert_eq!(pulled.fetched_bytes, manifest + size - kept, "only the rest came");
    assert!(world.has(&built.layers[0]));
}

#[test]
fn a_listener_that_leaves_stops_a_pull_that_has_nothing_to_tell() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["only"], ..Recipe::default() });
    world.registry.trouble(built.layers[0].to_string(), Trouble::Body(Fault::Stall(3_000)));
    struct Impatient(Ear);
    impl verbs::listen::Listener for Impatient {
        async fn hear(&self, events: Vec<Event>) -> bool {
            let is_silent = events.is_empty();
            self.0.hear(events).await && !is_silent
        }
    }
    let ear = Impatient(Ear::default());
    let outcome = world.memory.run(verbs::pull(&world.memory, &caller(), "app:1", &options(), &ear));
    assert_eq!(outcome.unwrap_err().code, ErrorCode::Cancelled);
    assert!(world.memory.clock().now_ms() < 10_000, "it was noticed long before the registry was given up");
}

#[test]
fn a_body_that_breaks_is_continued_within_one_pull() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["only"], ..Recipe::default() });
    world.registry.trouble(built.layers[0].to_string(), Trouble::Body(Fault::Cut(5_000)));
    let ear = Ear::default();
    let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
    assert_eq!(pulled.fetched_bytes, built.size, "no byte came twice");
    assert!(ear.phases(&built.layers[0]).contains(&Phase::Retrying));
}

#[test]
fn a_conflict_is_read_again_and_retried() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    // Another process records arm64 right before this one commits.
    let rival = World::new();
    rival.alpine();
    rival.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    let theirs = rival.record(ALPINE).unwrap().encode().unwrap();
    let disk = rival.memory.snapshot().disk.blobs;
    world.memory.interfere(Call::Commit, move |memory| {
        memory.write_row("default", &format!("image/{ALPINE}"), &theirs);
        memory.import(disk);
        Ok(())
    });
    world.memory.content().remove(&built[0].layers[0]).unwrap();
    world.pull("alpine:3.20", &options()).unwrap();
    let platforms: Vec<_> = world.record(ALPINE).unwrap().platforms.into_iter().map(|present| present.config).collect();
    assert_eq!(platforms, [built[1].config.clone(), built[0].config.clone()], "what the other one wrote is kept");
}

/// What was found here may have been committed by a process that died before it
/// made the name durable, so a record waits for a sync of its own.
#[test]
fn a_record_is_not_written_before_the_blobs_are_durable() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.memory.interfere(Call::Sync, |_| Err(ErrorCode::NoSpace));
    assert_eq!(world.pull("app:1", &options()).unwrap_err().code, ErrorCode::NoSpace);
    assert_eq!(world.record("docker.io/library/app:1"), None);
    world.pull("app:1", &options()).unwrap();
    assert!(world.record("docker.io/library/app:1").is_some());
}

#[test]
fn conflicts_without_end_are_given_up() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    for _ in 0..100 {
        world.memory.interfere(Call::Commit, |_| Err(ErrorCode::Conflict));
    }
    assert_eq!(world.pull("app:1", &options()).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_stays_as_it_is() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.memory.write_row("default", "schema", b"2");
    let before = world.memory.snapshot();
    let expected = Problem {
        code: ErrorCode::Unsupported,
        what: "cannot pull `docker.io/library/app:1`".to_owned(),
        why: vec!["the store has schema version 2, and this program knows version 1".to_owned()],
        fix: Some("use a newer wharf on this store".to_owned()),
    };
    assert_eq!(world.pull("app:1", &options()), Err(expected));
    assert_eq!(
        world.memory.run(verbs::entries(&world.memory, &caller(), &[])).unwrap_err().code,
        ErrorCode::Unsupported
    );
    assert_eq!(world.memory.snapshot(), before);
    assert_eq!(world.requests(), [""; 0], "nobody was asked");
}

#[test]
fn a_config_that_does_not_fit_leaves_no_record() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { diff_ids: Some(3), ..Recipe::default() });
    let problem = world.pull("app:1", &options()).unwrap_err();
    let expected = [
        format!("the config `{}` is not usable", built.config),
        "the config lists 3 layers, but the manifest has 2".to_owned(),
    ];
    assert_eq!((problem.code, problem.why), (ErrorCode::Invalid, expected.to_vec()));
    assert!(world.memory.snapshot().rows.is_empty());
}

#[test]
fn a_shared_layer_is_fetched_once() {
    let world = World::new();
    let one = world.image("library/app", None, Recipe { layers: &["shared", "one"], ..Recipe::default() });
    let two = Recipe { platform: "linux/arm64", layers: &["shared", "two"], ..Recipe::default() };
    let two = world.image("library/app", None, two);
    let (_, size) = world.index("library/app", Some("1"), &[&one.entry, &two.entry]);
    let pulled = world.pull("app:1", &everything()).unwrap().remove(0);
    let asked = world.requests().into_iter().filter(|request| request.ends_with(one.layers[0].as_str())).count();
    let expected = size + one.size + two.size - layer("shared").len() as u64;
    assert_eq!((asked, pulled.fetched_bytes, pulled.image.size), (1, expected, expected));
}

#[test]
fn a_digest_is_recorded_without_the_tag() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let ear = Ear::default();
    let reference = format!("app:1@{}", built.manifest);
    let pulled = world.listen(&reference, &options(), &ear).unwrap().remove(0);
    assert_eq!(pulled.image.name, format!("docker.io/library/app@{}", built.manifest));
    assert!(world.record(&pulled.image.name).is_some());
    let warning = format!(
        "the tag `1` is not recorded, because `{reference}` has a digest; the image is recorded as `app@{}`",
        built.manifest
    );
    assert_eq!(ear.warnings(), [warning]);
}

/// Entries of an index by what they say, and which one the machine gets.

#[test]
fn what_cannot_be_asked_for_is_refused_before_anybody_is_asked() {
    let world = World::new();
    let rows: [(&str, PullOptions, &str); 6] = [
        ("org/App", options(), "the repository name in `org/App` has to be lower case"),
        ("", options(), "not a reference: it has to read `[registry/]name[:tag][@digest]`"),
        ("app", PullOptions { concurrent_downloads: 0, ..options() }, "at least 1 blob has to be on its way at once"),
        ("app", PullOptions { wanted: Wanted::These(Vec::new()), ..options() }, "no platform is wanted"),
        ("app", platforms(&["linux/*"]), "`linux/*` is no platform: `*` is not supported in a platform"),
        (
            "app",
            platforms(&["a/b/c/d"]),
            "`a/b/c/d` is no platform: a platform has at most three parts: `system/architecture/variant`",
        ),
    ];
    for (reference, options, why) in rows {
        let problem = world.pull(reference, &options).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Invalid, "{reference}");
        assert_eq!(problem.why, [why]);
    }
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn two_sizes_of_one_blob_are_refused() {
    let world = World::new();
    let built = world.image("library/app", None, Recipe::default());
    let lie = built.entry.replace("\"size\":", "\"size\":1");
    world.index("library/app", Some("1"), &[&lie]);
    let problem = world.pull("app:1", &options()).unwrap_err();
    assert!(matches!(problem.code, ErrorCode::SizeMismatch(_)), "{problem:?}");
    assert!(world.memory.snapshot().rows.is_empty());
}

#[test]
fn no_more_blobs_than_allowed_are_on_their_way_at_once() {
    /// Each batch of events is the state of one moment.
    #[derive(Default)]
    struct Counter {
        busy: RefCell<BTreeSet<Digest>>,
        most: Cell<usize>,
    }
    impl verbs::listen::Listener for Counter {
        async fn hear(&self, events: Vec<Event>) -> bool {
            let mut busy = self.busy.borrow_mut();
            for event in events {
                let Event::Progress(progress) = event else { continue };
                match progress.phase {
                    Phase::Downloading | Phase::Verifying => busy.insert(progress.blob.digest),
                    _ => busy.remove(&progress.blob.digest),
                };
            }
            self.most.set(self.most.get().max(busy.len()));
            true
        }
    }
    for allowed in [1, 2, 5] {
        let world = World::new();
        world.image(
            "library/app",
            Some("1"),
            Recipe { layers: &["a", "b", "c", "d", "e", "f", "g"], ..Recipe::default() },
        );
        let (options, counter) = (PullOptions { concurrent_downloads: allowed, ..options() }, Counter::default());
        world.memory.run(verbs::pull(&world.memory, &caller(), "app:1", &options, &counter)).unwrap();
        assert_eq!(counter.most.get(), allowed as usize);
    }
}

#[test]
fn nothing_can_be_collected_before_the_record_is_there() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let wanted = [&built[0], &built[1]].map(|built| [&built.manifest, &built.config, &built.layers[0]]).concat();
    let wanted: Vec<Digest> = wanted.into_iter().chain([&index]).cloned().collect();
    let tried = Rc::new(Cell::new(0));
    let (digests, count) = (wanted.clone(), tried.clone());
    world.memory.interfere(Call::Commit, move |memory| {
        for digest in digests {
            assert_eq!(memory.content().remove(&digest), Err(ErrorCode::InUse), "{digest}");
            count.set(count.get() + 1);
        }
        Ok(())
    });
    world.pull("alpine:3.20", &options()).unwrap();
    assert_eq!(tried.get(), wanted.len());
    assert!(world.memory.content().remove(&index).is_ok(), "afterwards nothing is held");
}

#[test]
fn a_full_disk_fails_the_pull_and_leaves_no_record() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.memory.interfere(Call::Append, |_| Err(ErrorCode::NoSpace));
    let problem = world.pull("app:1", &options()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::NoSpace);
    assert!(world.memory.snapshot().rows.is_empty());
    assert!(world.pull("app:1", &options()).is_ok(), "with space again it goes on");
}
