//! `pull` with layers extracted: which ones, when, and what becomes of the pull
//! if one fails.

use super::{Ear, Recipe, World, chain, everything, layer, options, platforms, unpacking};
use wharf_component::{
    nouns::{digest::Digest, problem::ErrorCode},
    registry::Phase,
    verbs::contract::{Event, PullOptions},
};
use wharf_sim::memory::{Call, content::digest_of, registry::Trouble, stream::Fault, tally::counts};

const APP: &str = "docker.io/library/app:1";

/// Stores `app:1` with these layers.
fn app(layers: &[&str]) -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers, ..Recipe::default() });
    world
}

#[test]
fn layers_are_extracted_while_they_arrive_and_stacked_from_the_bottom_up() {
    let layers = &["base", "middle", "top"];
    let world = app(layers);
    world.memory.calls();
    let ear = Ear::default();
    world.listen("app:1", &unpacking(), &ear).unwrap();

    let (diff_ids, chain_ids) = chain(layers);
    let trees = world.memory.layers().visible();
    assert_eq!(trees.layers, diff_ids.iter().cloned().collect());
    let below = |at: usize| at.checked_sub(1).map(|below| chain_ids[below].clone());
    let expected = (0..3).map(|at| (chain_ids[at].clone(), (below(at), diff_ids[at].clone())));
    assert_eq!(trees.snapshots, expected.collect());
    assert_eq!(world.memory.snapshot().trees, trees, "it is durable");

    let calls = world.memory.calls();
    let times = |call| calls.get(call).copied().unwrap_or_default();
    assert_eq!((times("layers.follow"), times("layers.extraction.finish"), times("layers.unpack")), (3, 3, 0));
    assert_eq!((times("layers.stack"), times("layers.sync")), (3, 1));
    for name in layers {
        let phases = ear.phases(&digest_of(&layer(name)));
        assert_eq!((phases[1], phases.last()), (Phase::Downloading, Some(&Phase::Unpacked)), "{name}");
    }
}

#[test]
fn layers_are_durable_before_the_record_is_written() {
    let world = app(&["base", "top"]);
    world.memory.order();
    world.pull("app:1", &unpacking()).unwrap();
    let order = world.memory.order();
    let at = |call| order.iter().position(|made| *made == call).unwrap_or_else(|| panic!("nobody called `{call}`"));
    let last = |call| order.iter().rposition(|made| *made == call).expect("it was called");
    assert!(last("layers.stack") < at("layers.sync"));
    assert!(at("layers.sync") < at("metadata.transaction.commit"));
    assert!(at("content.sync") < at("metadata.transaction.commit"));
    assert_eq!((counts(&order)["layers.sync"], counts(&order)["content.sync"]), (1, 1));

    // And after a power cut all of it is there.
    let world = world.restart();
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
}

#[test]
fn a_pull_whose_layers_are_not_durable_leaves_no_record() {
    let world = app(&["base"]);
    world.memory.interfere(Call::SyncLayers, |_| Err(ErrorCode::NoSpace));
    assert_eq!(world.pull("app:1", &unpacking()).unwrap_err().code, ErrorCode::NoSpace);
    assert_eq!(world.record(APP), None);
}

#[test]
fn a_pull_that_has_nothing_to_do_looks_for_one_snapshot() {
    let world = app(&["1", "2", "3", "4", "5"]);
    world.pull("app:1", &unpacking()).unwrap();
    world.memory.calls();
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    let calls = world.memory.calls();
    let layers: Vec<_> = calls.iter().filter(|(call, _)| call.starts_with("layers.")).collect();
    assert_eq!(layers, [(&"layers.find", &1), (&"layers.sync", &1)]);
}

#[test]
fn without_unpacking_no_layer_is_looked_for() {
    let world = app(&["base", "top"]);
    world.pull("app:1", &options()).unwrap();
    assert!(world.pull("app:1", &options()).unwrap()[0].up_to_date);
    assert!(world.memory.calls().keys().all(|call| !call.starts_with("layers.")));
    assert!(world.memory.layers().visible().layers.is_empty());
}

#[test]
fn what_was_pulled_without_unpacking_is_extracted_by_the_next_pull() {
    let world = app(&["base", "top"]);
    world.pull("app:1", &options()).unwrap();
    let record = world.record(APP);
    let plan = world.plan("app:1", &unpacking()).unwrap().remove(0);
    assert_eq!((plan.unpack_layers, plan.fetch_bytes, plan.up_to_date), (Some(2), 0, false));
    world.memory.calls();
    let ear = Ear::default();
    let pulled = world.listen("app:1", &unpacking(), &ear).unwrap().remove(0);
    assert_eq!((pulled.up_to_date, pulled.fetched_bytes), (false, 0));
    assert_eq!(world.memory.calls()["layers.unpack"], 2);
    assert_eq!(world.record(APP), record, "the name did not change");
    assert_eq!(ear.phases(&digest_of(&layer("base"))), [Phase::Present, Phase::Unpacking, Phase::Unpacked]);
    let plan = world.plan("app:1", &unpacking()).unwrap().remove(0);
    assert_eq!((plan.unpack_layers, plan.up_to_date), (Some(0), true));
    assert_eq!(world.plan("app:1", &options()).unwrap()[0].unpack_layers, Some(0));
}

#[test]
fn a_dry_run_does_not_know_the_layers_of_a_config_that_is_not_here() {
    let world = app(&["base", "top"]);
    let before = world.memory.snapshot();
    assert_eq!(world.plan("app:1", &unpacking()).unwrap()[0].unpack_layers, None);
    assert_eq!(world.plan("app:1", &options()).unwrap()[0].unpack_layers, Some(0));
    assert_eq!((world.memory.snapshot(), world.memory.layers().running()), (before, 0));
}

#[test]
fn a_layer_that_two_images_share_is_extracted_once() {
    let world = app(&["base", "one"]);
    world.image("library/app", Some("2"), Recipe { layers: &["base", "two"], ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    world.memory.calls();
    world.pull("app:2", &unpacking()).unwrap();
    let calls = world.memory.calls();
    assert_eq!((calls["layers.extraction.finish"], calls["layers.stack"]), (1, 1));
    assert_eq!(world.memory.layers().visible().layers.len(), 3);
}

/// The same tar compressed in two ways is two blobs and one layer.
#[test]
fn two_blobs_of_one_layer_are_stacked_as_one() {
    let layers = &["gzip|base", "top", "zstd|base"];
    let world = app(layers);
    world.pull("app:1", &unpacking()).unwrap();
    let (_, chain_ids) = chain(layers);
    let trees = world.memory.layers().visible();
    assert_eq!((trees.layers.len(), trees.snapshots.len()), (2, 3));
    assert!(trees.snapshots.contains_key(&chain_ids[2]));
}

#[test]
fn a_layer_that_is_there_is_not_followed_where_the_config_is_known() {
    let world = app(&["base", "one"]);
    world.image("library/app", Some("2"), Recipe { layers: &["base", "two"], ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    let base = digest_of(&layer("base"));
    world.memory.content().remove(&base).unwrap();
    world.memory.calls();
    // One at a time: the config is read before the first layer begins.
    world.pull("app:2", &PullOptions { concurrent_downloads: 1, ..unpacking() }).unwrap();
    assert_eq!(world.memory.calls()["layers.follow"], 1);
    assert!(world.has(&base), "the blob is brought all the same");
}

#[test]
fn a_layer_that_somebody_removes_is_extracted_once_its_blob_has_come() {
    let layers = &["base", "top"];
    let world = app(layers);
    world.pull("app:1", &unpacking()).unwrap();
    let (diff_ids, chain_ids) = chain(layers);
    chain_ids.iter().rev().for_each(|name| world.memory.layers().remove(name).unwrap());
    layers.iter().for_each(|name| world.memory.content().remove(&digest_of(&layer(name))).unwrap());
    let top = diff_ids[1].clone();
    world.memory.interfere(Call::Stack, move |memory| memory.layers().remove(&top));
    // One at a time: the upper one is not there yet when it is wanted.
    world.pull("app:1", &PullOptions { concurrent_downloads: 1, ..unpacking() }).unwrap();
    assert!(world.memory.layers().visible().snapshots.contains_key(&chain_ids[1]));
}

/// The config says the DiffIDs, and it comes last here.
#[test]
fn a_layer_that_is_faster_than_the_config_waits_for_it() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    world.registry.trouble(built.config.to_string(), Trouble::Status(503));
    let ear = Ear::default();
    world.listen("app:1", &unpacking(), &ear).unwrap();
    assert_eq!(ear.phases(&built.layers[0]).last(), Some(&Phase::Unpacked));
    let calls = world.memory.calls();
    assert_eq!((calls["layers.follow"], calls["layers.extraction.finish"]), (1, 1));
}

#[test]
fn a_body_that_breaks_is_followed_on() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    world.registry.trouble(built.layers[0].to_string(), Trouble::Body(Fault::Cut(3_000)));
    world.pull("app:1", &unpacking()).unwrap();
    let calls = world.memory.calls();
    assert_eq!((calls["layers.follow"], calls["layers.extraction.finish"]), (1, 1));
}

/// What a layer has to be for the failure, and how it is told.
#[test]
fn a_layer_that_cannot_be_extracted_ends_the_pull_and_leaves_no_record() {
    let other = digest_of(b"no layer");
    let layers = &["base", "broken", "top"];
    let broken = digest_of(&layer("broken"));
    let mismatch = ErrorCode::DigestMismatch(other.clone());
    for (code, why, fix) in [
        (None, "it begins with `broken`".to_owned(), true),
        (Some(ErrorCode::TooLarge(7)), ErrorCode::TooLarge(7).to_string(), true),
        (Some(mismatch.clone()), mismatch.to_string(), true),
        (Some(ErrorCode::Unsupported), "this host cannot extract layers".to_owned(), true),
        (Some(ErrorCode::NoSpace), "there is no space left where the store is".to_owned(), false),
    ] {
        let world = app(layers);
        // The largest layer is the first one whose extraction ends.
        if let Some(code) = code.clone() {
            world.memory.interfere(Call::Unpack, |_| Err(code));
        }
        let problem = world.pull("app:1", &PullOptions { concurrent_downloads: 1, ..unpacking() }).unwrap_err();
        let told = format!("layer 2 of 3, `{broken}`, cannot be extracted");
        assert_eq!(problem.code, code.clone().unwrap_or(ErrorCode::Invalid));
        assert_eq!(problem.why, [told, why], "{code:?}");
        let way = "to keep it without extracting it: `wharf pull --no-unpack app:1`";
        assert_eq!(problem.fix.as_deref() == Some(way), fix, "{:?}", problem.fix);
        assert_eq!((world.record(APP), world.memory.layers().running()), (None, 0));
        assert!(world.has(&broken), "what arrived is kept");
        world.pull("app:1", &options()).unwrap();
    }
}

#[test]
fn a_layer_that_does_not_fit_on_those_below_is_told_with_its_place() {
    let world = app(&["base", "top"]);
    world.memory.interfere(Call::Stack, |_| Err(ErrorCode::Invalid));
    let problem = world.pull("app:1", &unpacking()).unwrap_err();
    let base = digest_of(&layer("base"));
    let why = [format!("layer 1 of 2, `{base}`, cannot be stacked"), ErrorCode::Invalid.to_string()];
    assert_eq!(problem.why, why);
    assert_eq!(world.record(APP), None);
}

#[test]
fn a_config_of_another_number_of_layers_is_refused() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { diff_ids: Some(3), ..Recipe::default() });
    let problem = world.pull("app:1", &unpacking()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
    assert_eq!(problem.why[1], "the config lists 3 layers, but the manifest has 2");
    assert_eq!((world.record(APP), world.memory.layers().running()), (None, 0));
}

#[test]
fn a_listener_that_leaves_stops_what_is_being_extracted() {
    let world = app(&["base", "top"]);
    let half = |event: &Event| matches!(event, Event::Progress(progress) if progress.received > 4_000);
    let problem = world.listen("app:1", &unpacking(), &Ear { leave: Some(half), ..Ear::default() }).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Cancelled);
    assert!(world.memory.calls()["layers.follow"] > 0);
    assert_eq!(world.memory.layers().running(), 0);
    assert!(world.memory.layers().visible().layers.is_empty());
    let pulled = world.pull("app:1", &unpacking()).unwrap().remove(0);
    assert!(pulled.transfers.iter().any(|transfer| transfer.resumed_from > 0), "the next pull goes on there");
    assert_eq!(world.memory.layers().visible().layers.len(), 2);
}

/// Indexes of `alpine`'s shape: arm64, amd64 and an attestation.
#[test]
fn of_everything_only_what_is_for_the_machine_is_extracted() {
    for (options, expected) in [
        (PullOptions { unpack: true, ..everything() }, vec!["amd64"]),
        (PullOptions { unpack: true, ..platforms(&["linux/arm64"]) }, vec!["arm64"]),
        (PullOptions { unpack: true, ..platforms(&["linux/arm64", "linux/amd64"]) }, vec!["amd64", "arm64"]),
    ] {
        let world = World::new();
        world.alpine();
        world.pull("alpine:3.20", &options).unwrap();
        let expected = expected.iter().flat_map(|name| chain(&[name]).0).collect();
        assert_eq!(world.memory.layers().visible().layers, expected);
        assert!(world.pull("alpine:3.20", &options).unwrap()[0].up_to_date);
    }
}

#[test]
fn an_image_for_another_system_is_kept_and_not_extracted() {
    let world = World::new();
    let windows = Recipe { platform: "windows/amd64", ..Recipe::default() };
    let built = world.image("library/app", Some("1"), windows);
    world.index("library/app", Some("2"), &[&built.entry]);
    for (reference, options) in [("app:1", unpacking()), ("app:2", platforms(&["windows/amd64"]))] {
        let (options, ear) = (PullOptions { unpack: true, ..options }, Ear::default());
        world.listen(reference, &options, &ear).unwrap();
        let why = "it is for windows/amd64, and wharf extracts images for Linux";
        assert!(ear.notes().iter().any(|note| note.ends_with(why)), "{reference}: {:?}", ear.notes());
        assert!(world.memory.layers().visible().layers.is_empty());
        assert!(world.pull(reference, &options).unwrap()[0].up_to_date);
    }
}

#[test]
fn what_is_no_file_system_is_kept_and_not_extracted() {
    let config = r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["DIFF"]}}"#;
    let oci = "application/vnd.oci.image.config.v1+json";
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (config_type, layer_type, why) in [
        ("application/vnd.example", "application/vnd.example", "it is an artifact and no image".to_owned()),
        (
            oci,
            "application/vnd.in-toto+json",
            "`application/vnd.in-toto+json`, which wharf does not extract".to_owned(),
        ),
        (oci, foreign, format!("`{foreign}`, which wharf does not extract")),
    ] {
        let world = World::new();
        let bytes = layer("base");
        let config = config.replace("DIFF", digest_of(&bytes).as_str());
        let config_digest = world.registry.blob(config.as_bytes());
        let document = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
            wharf_component::nouns::media_type::OCI_MANIFEST,
            super::descriptor(config_type, &config_digest, config.len()),
            super::descriptor(layer_type, &world.registry.blob(&bytes), bytes.len()),
        );
        world.registry.manifest("library/app", Some("1"), wharf_component::nouns::media_type::OCI_MANIFEST, &document);
        let ear = Ear::default();
        world.listen("app:1", &unpacking(), &ear).unwrap();
        assert!(ear.notes().iter().any(|note| note.ends_with(&why)), "{:?}", ear.notes());
        assert!(world.memory.calls().keys().all(|call| !call.starts_with("layers.")), "{layer_type}");
        assert!(world.record(APP).is_some());
    }
}

/// A config that is listed as a layer, too, would wait for itself.
#[test]
fn a_config_that_claims_to_be_a_layer_is_refused_like_any_that_is_none() {
    let world = World::new();
    let config = r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["DIFF"]}}"#
        .replace("DIFF", digest_of(b"something").as_str());
    let digest = world.registry.blob(config.as_bytes());
    let document = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        wharf_component::nouns::media_type::OCI_MANIFEST,
        super::descriptor(wharf_component::nouns::media_type::OCI_CONFIG, &digest, config.len()),
        super::descriptor(wharf_component::nouns::media_type::OCI_LAYER, &digest, config.len()),
    );
    world.registry.manifest("library/app", Some("1"), wharf_component::nouns::media_type::OCI_MANIFEST, &document);
    let problem = world.pull("app:1", &unpacking()).unwrap_err();
    assert_eq!(problem.why[0], format!("layer 1 of 1, `{digest}`, cannot be extracted"));
}

#[test]
fn an_image_without_layers_is_whole() {
    let world = app(&[]);
    world.pull("app:1", &unpacking()).unwrap();
    assert!(world.memory.calls().keys().all(|call| !call.starts_with("layers.")));
    assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
}

#[test]
fn a_warning_of_a_layer_is_told_with_its_digest() {
    let world = app(&["odd"]);
    let ear = Ear::default();
    world.listen("app:1", &unpacking(), &ear).unwrap();
    assert_eq!(ear.warnings(), [format!("layer `{}`: it is odd", &digest_of(&layer("odd")).encoded()[..12])]);
}

#[test]
fn nothing_that_was_stacked_can_be_removed_before_the_record_is_there() {
    let layers = &["base", "top"];
    let world = app(layers);
    let (diff_ids, chain_ids) = chain(layers);
    let all: Vec<Digest> = diff_ids.into_iter().chain(chain_ids.clone()).collect();
    world.memory.interfere(Call::Commit, move |memory| {
        for name in &all {
            assert_eq!(memory.layers().remove(name), Err(ErrorCode::InUse), "{name}");
        }
        Ok(())
    });
    world.pull("app:1", &unpacking()).unwrap();
    assert_eq!(world.memory.layers().remove(&chain_ids[1]), Ok(()), "afterwards nothing is held");
}

/// Blobs, layers that wait for the lowest one, and what is on its way: more
/// handles than there are would be a trap.
#[test]
fn an_image_of_the_most_layers_there_can_be_is_extracted() {
    let names: Vec<String> = (0..500).map(|at| format!("l{at:03}")).collect();
    let layers: Vec<&str> = names.iter().map(String::as_str).collect();
    for (at_once, reopened) in [(2, 0), (64, 500 - 32)] {
        let world = app(&layers);
        // With enough at once everything above the lowest layer is there long before it.
        world.registry.trouble(digest_of(&layer("l000")).to_string(), Trouble::Body(Fault::Stall(1_000)));
        world.pull("app:1", &PullOptions { concurrent_downloads: at_once, ..unpacking() }).unwrap();
        assert_eq!(world.memory.layers().visible().snapshots.len(), 500);
        let opened = world.memory.calls()["layers.open"];
        assert_eq!(opened, 500 + reopened, "so many are held while they wait; the others are opened again");
        assert!(world.pull("app:1", &unpacking()).unwrap()[0].up_to_date);
    }
}
