//! Canaries: logins that are known to nobody else, registries that try to get them, and a search for where they went.

mod case;
mod cast;
mod challenges;
mod finds;
mod helpers;
mod listener;
mod log;
mod memory;
mod mirrors;
mod program;
mod realms;
mod redirects;
mod reflections;
mod run;
mod scan;
mod sources;
mod transport;

/// As many are promised; fewer are a mistake in a table.
const CASES_MIN: usize = 150;

#[test]
fn there_are_as_many_cases_as_promised_and_no_two_are_the_same() {
    let kinds = [
        ("redirects", redirects::cases()),
        ("token servers", realms::cases()),
        ("challenges", challenges::cases()),
        ("mirrors", mirrors::cases()),
        ("TLS and proxies", transport::cases()),
        ("logins", sources::cases()),
        ("programs that keep logins", helpers::cases()),
        ("answers that repeat", reflections::cases()),
        ("the program", program::cases().into_iter().map(|(case, _)| case).collect()),
    ];
    let names: Vec<&str> = kinds.iter().flat_map(|(_, cases)| cases.iter().map(|case| &*case.name)).collect();
    let counts: Vec<_> = kinds.iter().map(|(kind, cases)| (kind, cases.len())).collect();
    assert!(names.len() >= CASES_MIN, "{} cases: {counts:?}", names.len());
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "two cases have the same name: {names:#?}");
}

pub(crate) use cast::content;
pub(crate) use listener::Listener;
