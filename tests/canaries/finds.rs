//! The search finds what is there: secrets put on purpose where none may be.

use super::case::Case;
use super::cast::{REPOSITORY, Who};
use super::run::{Traces, judge, pull};
use std::sync::Arc;

/// The limit of a component's memory, in bytes: `host/engine/limits.rs`.
const MEMORY_BYTES_MAX: usize = 64 << 20;

fn run(case: Case) -> (Traces, Vec<String>) {
    let case = Arc::new(case);
    let traces = pull(&case);
    let complaints = judge(&case.expected, &traces);
    (traces, complaints)
}

#[test]
fn a_secret_in_the_name_of_an_image_is_found_wherever_names_go() {
    let (traces, complaints) = run(Case::basic("a name")
        .reference(|cast| format!("{}/{REPOSITORY}/{}", cast.authority(Who::Registry), cast.secrets.proxy.text)));
    assert!(traces.pulled, "{}", traces.told);
    for place in ["the component's memory", "the log", "what was told", "metadata.sqlite", "heard by {Registry}"] {
        let found = complaints.iter().any(|line| line.contains("the proxy") && line.contains(place));
        assert!(found, "not in {place}: {complaints:#?}");
    }
}

/// A pull and an inspection are two calls, and each has a memory of its own.
#[test]
fn the_memory_that_is_searched_is_the_components_and_all_of_it() {
    let (traces, complaints) = run(Case::basic("nothing happens"));
    assert_eq!(complaints, [""; 0]);
    let memories = traces.memories.expect("it was in this process").last;
    assert_eq!(memories.len(), 2);
    for memory in &memories {
        assert!(memory.len() % (64 << 10) == 0 && memory.len() <= MEMORY_BYTES_MAX, "{} bytes", memory.len());
        let there = memory.windows(REPOSITORY.len()).any(|window| window == REPOSITORY.as_bytes());
        assert!(there, "the name of the image was handed to the component");
    }
}

#[test]
fn a_secret_that_a_registry_tells_is_found_where_it_was_told() {
    for (name, case) in [
        (
            "an error",
            Case::basic("an error").steers(|cast, _| {
                let text = &cast.secrets.proxy.text;
                Some(super::listener::Answer::new(
                    403,
                    format!(r#"{{"errors":[{{"code":"DENIED","message":"{text}"}}]}}"#),
                ))
            }),
        ),
        (
            "a redirect",
            Case::basic("a redirect").steers(|cast, request| {
                let place = cast.url(Who::Other, &request.target);
                Some(super::cast::redirect(307, format!("{place}?x={}", cast.secrets.proxy.text)))
            }),
        ),
    ] {
        let (_, complaints) = run(case);
        let found = |place: &str| complaints.iter().any(|line| line.contains("the proxy") && line.contains(place));
        assert!(found("the component's memory"), "{name}: {complaints:#?}");
        let place = if name == "an error" { "what was told" } else { "heard by {Other}" };
        assert!(found(place), "{name}: {complaints:#?}");
    }
}

/// What a case says about listeners is not vacuous either.
#[test]
fn a_login_that_is_where_it_should_not_be_is_told() {
    let (_, complaints) = run(Case::basic("nobody may hear it").login_at(&[]).spares(&[Who::Registry]));
    assert_eq!(complaints, ["Registry was asked something", "the login was heard by {Registry}, and should be by {}"]);
    let (_, complaints) = run(Case::bearer("it is nowhere").login_at(&[Who::Far]).visits(&[Who::Far]).bare("nowhere"));
    let expected = [
        "Far was asked nothing",
        "nobody asked for `nowhere`",
        "the login was heard by {Tokens}, and should be by {Far}",
    ];
    assert_eq!(complaints, expected);
}

/// A blob that holds the secret goes by the component and is in the store.
#[test]
fn a_secret_in_a_layer_is_found_in_the_store_and_not_in_memory() {
    let (traces, _) = run(Case::basic("a layer"));
    let layer = traces.cast.image.blobs.values().next().expect("there is a blob");
    let there = |bytes: &[u8]| bytes.windows(layer.len()).any(|window| window == layer);
    assert!(traces.files.iter().any(|(_, bytes)| there(bytes)));
}
