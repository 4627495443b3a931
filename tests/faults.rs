//! Pulls from registries that misbehave: the faults F01 to F48 of the fault model, each on the objects that it can
//! concern, through the component in its sandbox, over real sockets and files. [`run`] says what is asserted of every
//! case, and each case what is asserted of it: how often its fault struck, how many bytes were sent, how the pull ended.
//!
//! | rows | what goes wrong | cases in |
//! | --- | --- | --- |
//! | F01–F06, F44, F45 | statuses, waits, texts | `statuses` |
//! | F07–F09, F13, F18, F19 | connections, lengths, silence | `connections` |
//! | F10–F12, F14–F17, F20 | bodies, parts, bits | `bodies` |
//! | F21–F28, F46 | digests, types, HEAD, sizes, pages | `documents` |
//! | F31–F37, F39 | redirects, tokens, challenges | `rights` |
//! | F47 | mirrors | `mirrors` |
//!
//! Not here: what is wrong inside a layer, F29 and F30, which is in `layers` and, through a whole pull, in
//! `stories::refused_layers`. Nor what a pull cannot meet, of pushing: F38, F40 to F43, and what F05, F34 and F39 say about
//! uploads. F48, HTTP/2, needs a server that breaks frames: it is in
//! `network`, with the certificates of F07. A redirect from TLS to plain HTTP (F32) and names that do not resolve
//! (F07) are in the tests of the component and in `network` as well.

mod bodies;
mod cancel;
mod case;
mod connections;
mod documents;
mod engines;
mod flaws;
mod mirrors;
mod rights;
mod run;
mod statuses;

use crate::support::fault_registry::{Object, Object::*, Options, Stock};
use case::Case;
use std::collections::{BTreeMap, BTreeSet};

/// The rows that concern a pull and are here.
const ROWS: [std::ops::RangeInclusive<u32>; 4] = [1..=28, 31..=37, 39..=39, 44..=47];
/// What every pull gets.
const GETS: [Object; 4] = [Index, Manifest, Config, Layer];

/// The objects with their names for ids.
fn objects(objects: &[Object]) -> impl Iterator<Item = (&'static str, Object)> {
    objects.iter().map(|&object| {
        let name = match object {
            Head => "head",
            Index => "index",
            Manifest => "manifest",
            Config => "config",
            Layer => "layer",
            Small => "small",
            Stored => "stored",
            Token => "token",
            Tags => "tags",
        };
        (name, object)
    })
}

/// The size of an object of the usual image.
fn size(object: Object) -> u64 {
    Stock::usual().size(object)
}

/// A limit, and what may be on its way when it is reached: buffers of the sockets, the pool and the pipes between.
fn slack(limit: u64) -> u64 {
    limit + (4 << 20)
}

/// A server that is not there.
fn closed() -> Options {
    Options { closed: true, ..Options::default() }
}

fn all() -> Vec<Case> {
    [statuses::cases(), connections::cases(), bodies::cases(), documents::cases(), rights::cases(), mirrors::cases()]
        .concat()
}

#[test]
fn every_row_that_concerns_a_pull_has_cases_and_every_case_its_name() {
    let cases = all();
    let mut rows: BTreeMap<u32, usize> = BTreeMap::new();
    cases.iter().for_each(|case| *rows.entry(case.row()).or_default() += 1);
    let expected: Vec<u32> = ROWS.into_iter().flatten().collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), expected, "{rows:?}");
    let names: BTreeSet<_> = cases.iter().map(|case| &case.id).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(cases.len() >= 490, "{} cases: {rows:?}", cases.len());
}

#[test]
fn refusals_and_waits_are_survived() {
    run::check(statuses::cases());
}

#[test]
fn broken_lying_and_silent_connections_are_survived() {
    run::check(connections::cases());
}

#[test]
fn nothing_but_the_promised_bytes_is_believed() {
    run::check(bodies::cases());
}

#[test]
fn documents_are_held_to_their_digests_types_and_sizes() {
    run::check(documents::cases());
}

#[test]
fn rights_stay_with_their_registry() {
    run::check(rights::cases());
}

#[test]
fn a_mirror_is_replaced_object_by_object() {
    run::check(mirrors::cases());
}
