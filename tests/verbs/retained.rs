//! What is kept of names that come by a pull or an archive: what was asked for, or what is usual.

use super::{Ear, Recipe, World, caller, everything, layer, options, unpacking};
use wharf_component::{
    host::Host,
    nouns::problem::{ErrorCode, Problem},
    verbs::{
        self,
        contract::{Access, Action, Event, Form, ImportOptions, LoadOptions, Loaded, PullOptions, Retention},
    },
};
use wharf_sim::memory::{Snapshot, content::digest_of};

const APP: &str = "docker.io/library/app:1";
const LAYERS: &[&str] = &["base", "top"];

fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world
}

fn keeping(retention: Retention) -> PullOptions {
    PullOptions { retention: Some(retention), ..unpacking() }
}

impl World {
    /// How many blobs, layers and recipes there are.
    fn kept(&self) -> (usize, usize, usize) {
        let trees = self.memory.layers().visible();
        (self.memory.snapshot().disk.blobs.len(), trees.layers.len(), trees.recipes.len())
    }

    fn retention(&self, name: &str) -> Retention {
        Retention::of(&self.record(name).expect("the name is here").labels)
    }

    fn by_default(&self, retention: Option<Retention>) -> Retention {
        self.memory.run(verbs::retain_by_default(&self.memory, &caller(), retention)).unwrap()
    }

    fn is_sound(&self) -> bool {
        let (caller, ear) = (caller(), Ear::default());
        self.memory.run(verbs::fsck(&self.memory, &caller, &[], None, false, &ear)).unwrap().flaws.is_empty()
    }

    fn loaded(&self, unpack: bool, retention: Option<Retention>) -> Result<Loaded, Problem> {
        let layer = layer("base");
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            digest_of(&layer)
        );
        let manifest = r#"[{"Config":"c.json","RepoTags":["app:1"],"Layers":["l.tar"]}]"#;
        let mut archive = tar::Builder::new(Vec::new());
        for (path, bytes) in [("c.json", config.as_bytes()), ("l.tar", &layer), ("manifest.json", manifest.as_bytes())]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes).unwrap();
        }
        let (stream, ear) = (self.memory.stream(archive.into_inner().unwrap()), Ear::default());
        let options = LoadOptions { names: Vec::new(), platforms: Vec::new(), unpack, retention };
        self.memory.run(verbs::load(&self.memory, &caller(), stream, &options, &ear))
    }
}

/// An archive of an index may have another platform than the one that is here, of which the blobs were given up.
#[test]
fn a_load_keeps_a_platform_whose_blobs_were_given_up() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &everything()).unwrap();
    let amd64 = [&built[0].manifest, &built[0].config, &built[0].layers[0]].map(|digest| digest.encoded().to_owned());
    let archive = world.save(&["alpine:3.20"], Form::OciArchive, &[]).unwrap().without(&amd64);
    let world = World { memory: world.memory.with_disk(Snapshot::default()), ..world };
    world.pull("alpine:3.20", &keeping(Retention::Unpacked)).unwrap();
    assert_eq!((world.has(&built[0].layers[0]), world.kept().2), (false, 1), "its tree stands for the blob");
    for retention in [None, Some(Retention::Both)] {
        let options = LoadOptions { names: Vec::new(), platforms: Vec::new(), unpack: true, retention };
        let stream = world.memory.stream(archive.clone());
        let load = async { verbs::load(&world.memory, &caller(), stream, &options, &Ear::default()).await.unwrap() };
        assert_eq!(world.memory.run(load).images[0].target.digest, index);
        let record = world.record("docker.io/library/alpine:3.20").unwrap();
        let platforms: Vec<_> = record.platforms.iter().map(|present| present.manifest.digest.clone()).collect();
        assert!(platforms.contains(&built[0].manifest), "{platforms:?}");
        assert_eq!(platforms.len(), 3);
        // Who wants both has them after a pull of that platform.
        assert_eq!(world.is_sound(), retention.is_none());
    }
}

/// A manifest, a config and two layers.
const ALL: usize = 4;

#[test]
fn a_pull_keeps_what_it_is_told_to() {
    for (retention, expected) in
        [(Retention::Both, (ALL, 2, 0)), (Retention::Unpacked, (ALL - 2, 2, 2)), (Retention::Compressed, (ALL, 0, 0))]
    {
        let world = world();
        let pulled = world.pull("app:1", &keeping(retention)).unwrap().remove(0);
        assert_eq!((pulled.image.retention, world.retention(APP)), (retention, retention));
        assert_eq!(world.kept(), expected, "{retention}");
        let again = world.pull("app:1", &unpacking()).unwrap().remove(0);
        assert_eq!((again.up_to_date, again.image.retention), (true, retention), "the name keeps its word");
        assert_eq!((world.kept(), world.is_sound()), (expected, true), "{retention}");
        world.collect().unwrap();
        assert_eq!((world.kept(), world.is_sound()), (expected, true), "{retention}");
    }
}

#[test]
fn a_name_that_is_here_is_given_another_word_by_a_pull() {
    let world = world();
    world.pull("app:1", &unpacking()).unwrap();
    let both = world.kept();
    for (retention, expected) in [
        (Retention::Unpacked, (ALL - 2, 2, 2)),
        (Retention::Both, (ALL, 2, 2)),
        (Retention::Compressed, (ALL, 0, 0)),
        (Retention::Unpacked, (ALL - 2, 2, 2)),
        (Retention::Compressed, (ALL, 0, 0)),
        (Retention::Both, both),
    ] {
        let pulled = world.pull("app:1", &keeping(retention)).unwrap().remove(0);
        assert_eq!((pulled.up_to_date, world.retention(APP)), (false, retention));
        assert_eq!((world.kept(), world.is_sound()), (expected, true), "{retention}");
    }
}

/// Somebody has extracted it, or fetched its blobs for another name, since.
#[test]
fn what_is_not_kept_goes_by_a_pull_that_finds_nothing_else_to_do() {
    let world = world();
    world.pull("app:1", &keeping(Retention::Compressed)).unwrap();
    world.unpack("app:1", None).unwrap();
    assert_eq!(world.kept(), (ALL, 2, 0));
    assert!(world.pull("app:1", &keeping(Retention::Compressed)).unwrap()[0].up_to_date);
    assert_eq!(world.kept(), (ALL, 0, 0));
}

#[test]
fn what_another_name_needs_stays_with_it() {
    let world = world();
    world.image("library/app", Some("2"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:2", &unpacking()).unwrap();
    world.pull("app:1", &keeping(Retention::Unpacked)).unwrap();
    assert_eq!(world.kept(), (ALL, 2, 2), "`app:2` keeps both");
    assert!(world.is_sound());
}

#[test]
fn what_is_kept_unpacked_has_to_be_extracted() {
    let world = world();
    let unextracted = PullOptions { retention: Some(Retention::Unpacked), ..options() };
    let fix = Some("leave out `--no-unpack`, or `--retain unpacked`");
    for problem in [
        world.pull("app:1", &unextracted).unwrap_err(),
        world.plans("app:1", &unextracted).unwrap_err(),
        world.loaded(false, Some(Retention::Unpacked)).unwrap_err(),
    ] {
        assert_eq!((problem.code, problem.fix.as_deref()), (ErrorCode::Invalid, fix), "{:?}", problem.why);
    }
    assert_eq!((world.kept(), world.record(APP)), ((0, 0, 0), None));
}

#[test]
fn a_plan_of_a_pull_says_what_is_to_be_kept() {
    let world = world();
    let plans = world.plans("app:1", &keeping(Retention::Unpacked)).unwrap();
    assert!(plans.document.contains(r#""retain": "unpacked""#), "{}", plans.document);
    let carry_out = |document: &str| {
        let (access, ear) = (Access::default(), Ear::default());
        world.memory.run(verbs::pull_planned(&world.memory, &caller(), document, &access, &ear))
    };
    let other = plans.document.replace(r#""unpacked""#, r#""half""#);
    let problem = carry_out(&other).unwrap_err();
    assert!(problem.why.iter().any(|why| why.contains("`half` is none of")), "{problem:?}");
    carry_out(&plans.document).unwrap();
    assert_eq!((world.retention(APP), world.kept()), (Retention::Unpacked, (ALL - 2, 2, 2)));
    let silent = world.plans("app:1", &unpacking()).unwrap();
    assert!(!silent.document.contains("retain"), "{}", silent.document);
}

#[test]
fn what_is_usual_is_for_names_that_come_and_say_nothing() {
    let world = world();
    world.pull("app:1", &unpacking()).unwrap();
    assert_eq!(world.by_default(None), Retention::Both);
    assert_eq!(world.by_default(Some(Retention::Compressed)), Retention::Compressed);
    assert_eq!(world.by_default(None), Retention::Compressed);
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    assert_eq!((world.retention(APP), world.kept()), (Retention::Both, (ALL, 2, 0)), "what is here is as it was");
    for (tag, asked, expected) in
        [("2", None, Retention::Compressed), ("3", Some(Retention::Unpacked), Retention::Unpacked)]
    {
        world.image("library/app", Some(tag), Recipe { layers: &[tag], ..Recipe::default() });
        world.pull(&format!("app:{tag}"), &PullOptions { retention: asked, ..unpacking() }).unwrap();
        assert_eq!(world.retention(&format!("docker.io/library/app:{tag}")), expected);
    }
    assert_eq!(world.kept(), (ALL + 3 + 2, 3, 1), "the blobs of `app:2`, the tree of `app:3`");
    assert_eq!(world.by_default(Some(Retention::Both)), Retention::Both);
    let rows = world.memory.snapshot().rows;
    assert!(!rows.contains_key(&("default".to_owned(), "retain".to_owned())), "what is usual anywhere is no record");
    world.image("library/app", Some("4"), Recipe { layers: &["4"], ..Recipe::default() });
    world.pull("app:4", &unpacking()).unwrap();
    assert_eq!(world.retention("docker.io/library/app:4"), Retention::Both);
    assert!(world.is_sound());
}

#[test]
fn what_is_usual_is_for_archives_of_files_too() {
    for (usual, expected) in [(Retention::Unpacked, (2, 1, 1)), (Retention::Compressed, (3, 0, 0))] {
        let world = World::new();
        world.by_default(Some(usual));
        let (stream, ear) = (world.memory.stream(layer("root")), Ear::default());
        let options = ImportOptions { name: Some("app:1".to_owned()), ..ImportOptions::default() };
        let imported = world.memory.run(verbs::import(&world.memory, &caller(), stream, &options, &ear)).unwrap();
        assert_eq!((imported.notes, world.kept(), world.retention(APP)), (vec![], expected, usual));
        assert!(world.is_sound());
    }
}

/// Somebody has written it who knows more words.
#[test]
fn what_nobody_understands_keeps_everything() {
    let world = world();
    world.memory.write_row("default", "retain", b"nothing");
    assert_eq!(world.by_default(None), Retention::Both);
    world.pull("app:1", &unpacking()).unwrap();
    assert_eq!((world.retention(APP), world.kept()), (Retention::Both, (ALL, 2, 0)));
}

#[test]
fn an_archive_is_kept_as_it_is_told_or_as_is_usual() {
    for (usual, asked, expected) in [
        (Retention::Both, None, (3, 1, 0)),
        (Retention::Both, Some(Retention::Unpacked), (2, 1, 1)),
        (Retention::Both, Some(Retention::Compressed), (3, 0, 0)),
        (Retention::Unpacked, None, (2, 1, 1)),
        (Retention::Compressed, None, (3, 0, 0)),
        (Retention::Compressed, Some(Retention::Both), (3, 1, 0)),
    ] {
        let world = World::new();
        world.by_default(Some(usual));
        let loaded = world.loaded(true, asked).unwrap();
        assert_eq!(loaded.notes, [""; 0]);
        assert_eq!(world.retention(APP), asked.unwrap_or(usual));
        assert_eq!((world.kept(), world.is_sound()), (expected, true), "{usual}, {asked:?}");
        // What the name says by now counts.
        world.by_default(Some(Retention::Both));
        assert_eq!(world.loaded(true, None).unwrap().notes, [""; 0]);
        assert_eq!((world.kept(), world.retention(APP)), (expected, asked.unwrap_or(usual)), "{usual}, {asked:?}");
    }
}

#[test]
fn a_pull_that_changes_what_is_kept_alone_is_told_as_a_change_of_labels() {
    let world = world();
    world.pull("app:1", &unpacking()).unwrap();
    world.memory.clock().pass(1_000);
    world.pull("app:1", &keeping(Retention::Unpacked)).unwrap();
    let (caller, ear) = (caller(), Ear::default());
    world.memory.run(verbs::watch::watch(&world.memory, &caller, Some("1h"), Some("0s"), &[], &ear)).unwrap();
    let told: Vec<Action> = ear
        .heard
        .borrow()
        .iter()
        .filter_map(|event| match event {
            Event::Happened(happening) => Some(happening.action),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Action::Pull, Action::Label]);
}
