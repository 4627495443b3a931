//! A disk that forgot: what is damaged is noticed, told, and brought again.

use super::{Ear, Recipe, World, caller, everything, layer, options, platforms};
use std::rc::Rc;
use wharf_component::{
    host::Host,
    nouns::{digest::Digest, problem::ErrorCode},
    verbs,
};
use wharf_sim::memory::{Call, Snapshot};

const APP: &str = "docker.io/library/app:1";

impl World {
    /// What the content store has under a digest.
    fn stored(&self, digest: &Digest) -> Rc<[u8]> {
        self.memory.snapshot().disk.blobs[digest.as_str()].clone()
    }

    /// Puts other bytes there.
    fn spoil(&self, digest: &Digest, bytes: impl Into<Rc<[u8]>>) {
        self.memory.import([(digest.to_string(), bytes.into())].into());
    }

    /// What is here, but for how it came: that is recorded anew each time.
    fn images(&self) -> Snapshot {
        let mut snapshot = self.memory.snapshot();
        snapshot.rows.retain(|(_, key), _| !key.starts_with("provenance/"));
        snapshot
    }

    /// Turns one bit over: the size stays.
    fn flip(&self, digest: &Digest) {
        let mut bytes = self.stored(digest).to_vec();
        bytes[9] ^= 1;
        self.spoil(digest, bytes);
    }
}

/// A power cut may leave a file with its name and without its bytes.
#[test]
fn a_blob_of_another_size_is_told_and_fetched_again() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let whole = world.images();
    for digest in [&built.manifest, &built.config, &built.layers[0]] {
        for length in [0, 5] {
            let bytes = world.stored(digest);
            world.spoil(digest, &bytes[..length]);
            let ear = Ear::default();
            let plan = world.plan("app:1", &options()).unwrap().remove(0);
            assert_eq!((plan.fetch_bytes, plan.up_to_date), (bytes.len() as u64, false), "{digest}");
            let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
            assert_eq!((pulled.fetched_bytes, pulled.up_to_date), (bytes.len() as u64, false), "{digest}");
            let warnings = ear.warnings();
            assert!(matches!(&warnings[..], [one] if one.contains(digest.as_str())), "{warnings:?}");
            assert_eq!(world.images(), whole, "everything is as it was, the record included");
        }
    }
}

#[test]
fn a_document_with_other_bytes_is_not_believed_and_fetched_again() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let whole = world.images();
    for digest in [&index, &built[0].manifest, &built[0].config] {
        world.flip(digest);
        let spoiled = world.memory.snapshot();
        let plan = world.plan("alpine:3.20", &options()).unwrap().remove(0);
        assert!(!plan.up_to_date);
        assert_eq!(world.memory.snapshot(), spoiled, "a dry run removes nothing");
        let ear = Ear::default();
        let pulled = world.listen("alpine:3.20", &options(), &ear).unwrap().remove(0);
        assert_eq!((pulled.fetched_bytes, pulled.up_to_date), (world.stored(digest).len() as u64, false));
        let warnings = ear.warnings();
        let begin = format!("`{digest}` is damaged: what the content store has of it hashes to `sha256:");
        assert!(
            matches!(&warnings[..], [one] if one.starts_with(&begin) && one.ends_with("`; it is fetched again")),
            "{warnings:?}"
        );
        assert_eq!(world.images(), whole);
    }
}

/// The bytes that came over the network are good; what is stored under the same
/// digest, by a pull of another name, need not be.
#[test]
fn a_damaged_document_is_noticed_by_the_pull_of_another_name() {
    let world = World::new();
    let recipe = || Recipe { layers: &["same"], ..Recipe::default() };
    let built = world.image("library/app", Some("1"), recipe());
    world.image("library/app", Some("2"), recipe());
    world.pull("app:1", &options()).unwrap();
    let whole = world.stored(&built.manifest);
    world.flip(&built.manifest);
    world.pull("app:2", &options()).unwrap();
    assert_eq!(world.stored(&built.manifest), whole);
}

#[test]
fn a_damaged_document_that_somebody_holds_is_a_problem_and_stays() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.flip(&built.manifest);
    let before = world.memory.snapshot();
    let held = world.memory.run(world.memory.open(&built.manifest)).unwrap();
    let problem = world.pull("app:1", &options()).unwrap_err();
    let why = format!("`{}` is damaged and cannot be replaced, because another process uses it", built.manifest);
    assert_eq!((problem.code, problem.why), (ErrorCode::InUse, vec![why]));
    assert!(problem.fix.is_some());
    assert_eq!(world.memory.snapshot(), before);
    drop(held);
    assert!(world.pull("app:1", &options()).is_ok());
}

/// Between the plan and the download somebody else may have repaired it, and a
/// good blob must not be removed.
#[test]
fn what_somebody_else_repaired_meanwhile_is_kept() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["one", "two"], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let good = world.stored(&built.config);
    world.flip(&built.config);
    world.memory.content().remove(&built.layers[0]).unwrap();
    let digest = built.config.clone();
    // The plan looks for four blobs. It has opened the config by the last look, and reads it after that.
    for _ in 0..3 {
        world.memory.interfere(Call::Open, |_| Ok(()));
    }
    world.memory.interfere(Call::Open, move |memory| {
        memory.import([(digest.to_string(), good)].into());
        Ok(())
    });
    world.memory.interfere(Call::Remove, |_| panic!("nothing is damaged any more"));
    let ear = Ear::default();
    let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
    assert_eq!(pulled.fetched_bytes, layer("one").len() as u64, "only the layer came");
}

/// A manifest is written by anybody. One that lies about the size of a blob of
/// somebody else's image cannot have it removed.
#[test]
fn a_lie_about_a_size_removes_nothing() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let text = String::from_utf8(world.stored(&built.manifest).to_vec()).unwrap();
    for (lie, digest) in [("\"size\":1", &built.layers[1]), ("\"size\":1", &built.config)] {
        let (before, after) = text.split_once(&format!("{digest}\",\"size\":")).unwrap();
        let hostile = format!("{before}{digest}\",{lie}{after}");
        world.registry.manifest("evil/app", Some("1"), "application/vnd.oci.image.manifest.v1+json", &hostile);
        world.pull("evil/app:1", &options()).unwrap_err();
        for part in [&built.config, &built.layers[0], &built.layers[1]] {
            assert!(part == digest || world.has(part));
            assert!(Digest::of(part.algorithm(), &world.stored(part)) == *part, "{part} is whole");
        }
    }
    assert!(world.pull("app:1", &options()).unwrap()[0].up_to_date);
}

#[test]
fn an_old_platform_that_is_damaged_leaves_the_record_and_stops_nobody() {
    type Spoil = fn(&World, &[super::Built]);
    let rows: [(&str, Spoil); 4] = [
        ("layer", |world, built| world.spoil(&built[1].layers[0], &b""[..])),
        ("config", |world, built| world.spoil(&built[1].config, &b"{}"[..])),
        ("manifest", |world, built| world.flip(&built[1].manifest)),
        ("manifest", |world, built| world.spoil(&built[1].manifest, &b""[..])),
    ];
    for (what, spoil) in rows {
        let world = World::new();
        let (_, built) = world.alpine();
        world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
        spoil(&world, &built);
        let ear = Ear::default();
        world.listen("alpine:3.20", &options(), &ear).unwrap();
        let record = world.record("docker.io/library/alpine:3.20").unwrap();
        let configs: Vec<_> = record.platforms.into_iter().map(|present| present.config).collect();
        assert_eq!(configs, [built[0].config.clone()], "{what}");
        let warnings = ear.warnings();
        let begin = "`linux/arm64/v8` is not recorded any more: `sha256:";
        assert!(matches!(&warnings[..], [one] if one.starts_with(begin)), "{what}: {warnings:?}");
    }
}

#[test]
fn a_record_that_is_wrong_about_its_target_is_made_anew() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let good = world.record(APP).unwrap();
    let mut wrong = good.clone();
    wrong.target.media_type = "application/vnd.oci.image.index.v1+json".to_owned();
    world.memory.write_row("default", &format!("image/{APP}"), &wrong.encode().unwrap());
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    assert_eq!((pulled.up_to_date, world.record(APP).unwrap().target), (false, good.target));
}

#[test]
fn inspect_and_history_say_that_a_document_is_damaged_and_what_to_type() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &everything()).unwrap();
    let inspect = |platform, manifests| {
        world.memory.run(verbs::inspect(&world.memory, &caller(), "alpine:3.20", platform, manifests, false))
    };
    let history =
        |platform| world.memory.run(verbs::history(&world.memory, &caller(), "alpine:3.20", platform)).map(|_| ());
    for (digest, platform) in
        [(&built[0].manifest, "linux/amd64"), (&built[0].config, "linux/amd64"), (&built[1].manifest, "linux/arm64/v8")]
    {
        world.flip(digest);
        for problem in [inspect(Some(platform), false).unwrap_err(), history(Some(platform)).unwrap_err()] {
            assert!(matches!(problem.code, ErrorCode::DigestMismatch(_)), "{problem:?}");
            assert!(problem.why[0].starts_with(&format!("`{digest}` is damaged: ")), "{problem:?}");
            let fix = format!("wharf pull --platform {platform} alpine:3.20");
            assert_eq!(problem.fix.as_deref(), Some(fix.as_str()));
        }
        world.pull("alpine:3.20", &platforms(&[platform])).unwrap();
        assert_eq!((history(Some(platform)), inspect(Some(platform), true).map(|_| ())), (Ok(()), Ok(())));
    }

    world.spoil(&index, &b""[..]);
    assert_eq!(history(None), Ok(()), "the index is not needed for that");
    let problem = inspect(None, true).unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::SizeMismatch(0), Some("wharf pull alpine:3.20")));
    world.pull("alpine:3.20", &options()).unwrap();

    world.flip(&built[1].manifest);
    let found: serde_json::Value = serde_json::from_str(&inspect(None, true).unwrap()).unwrap();
    let available: Vec<_> = found["Manifests"].as_array().unwrap().iter().map(|offer| &offer["Available"]).collect();
    assert_eq!(available, [false, true, true], "what is damaged is not here");
}
