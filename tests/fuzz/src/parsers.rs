//! Every parser of what others write, as a function of bytes that asserts what the parser promises: what was read is
//! written and read as the same, output is bounded by input, what is shown cannot steer a terminal, and one input has
//! one meaning. A fuzzer calls these functions (`fuzz_targets/parsers.rs`), and so does `tests/parsers.rs` in every run
//! of the tests, with the seeds and some thousand changed ones.
//!
//! It does not look for inputs. The modules of the host are found at the root of the crate that this is part of, because
//! two crates have it.

#[path = "parsers/archives.rs"]
mod archives;
#[path = "parsers/configuration.rs"]
mod configuration;
#[path = "parsers/documents.rs"]
mod documents;
#[path = "parsers/headers.rs"]
mod headers;
#[path = "parsers/layout.rs"]
mod layout;
#[path = "parsers/logins.rs"]
mod logins;
#[path = "parsers/names.rs"]
mod names;
#[path = "parsers/records.rs"]
mod records;
#[path = "parsers/shelf.rs"]
mod shelf;

use std::sync::LazyLock;
use tokio::runtime::Runtime;

/// One parser, or a few that read the same thing.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// As the fuzzer is told: `reference`.
    pub name: &'static str,
    /// Reads bytes, and returns whether they were accepted. It panics if a promise is broken.
    pub check: fn(&[u8]) -> bool,
    /// What to begin with: some are accepted, and some are not.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Whether a check works on files, so that it takes a hundred times longer than others.
    pub on_disk: bool,
}

const fn parser(name: &'static str, check: fn(&[u8]) -> bool, seeds: fn() -> Vec<Vec<u8>>) -> Parser {
    Parser { name, check, seeds, on_disk: false }
}

const fn on_disk(name: &'static str, check: fn(&[u8]) -> bool, seeds: fn() -> Vec<Vec<u8>>) -> Parser {
    Parser { name, check, seeds, on_disk: true }
}

/// All of them.
pub const ALL: [Parser; 28] = [
    parser("reference", names::reference, names::references),
    parser("pattern", names::pattern, names::patterns),
    parser("digest", names::digest, names::digests),
    parser("platform", names::platform, names::platforms),
    parser("filters", names::filters, names::filter_seeds),
    parser("time", names::time, names::times),
    parser("instruction", names::instruction, names::instructions),
    parser("media-type", documents::media_type, documents::media_types),
    parser("manifest", documents::manifest, documents::manifests),
    parser("archive", archives::headers, archives::seeds),
    parser("descriptor", documents::descriptor, documents::descriptors),
    parser("config", documents::config, documents::configs),
    parser("challenge", headers::challenge, headers::challenges),
    parser("location", headers::location, headers::locations),
    parser("link", headers::link, headers::links),
    parser("range", headers::range, headers::ranges),
    parser("retry-after", headers::retry_after, headers::waits),
    parser("warning", headers::warning, headers::warnings),
    parser("refusal", headers::refusal, headers::refusals),
    parser("record", records::image, records::images),
    parser("provenance", records::provenance, records::provenances),
    parser("logins", logins::document, logins::documents),
    parser("helper", logins::helper, logins::helper_answers),
    parser("token", logins::token, logins::token_answers),
    parser("realm", logins::realm, logins::realms),
    parser("configuration", configuration::files, configuration::file_seeds),
    on_disk("layout", layout::index, layout::indexes),
    on_disk("shelf", shelf::records, shelf::record_seeds),
];

/// Asserts that a person can be shown `text`: no control characters, and nothing that changes the direction of writing.
pub(crate) fn assert_harmless(text: &str) {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(steers), "what is shown steers a terminal: {text:?}");
}

/// Every text in a table of another project, up to 4 KiB.
pub(crate) fn texts(table: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut pending = vec![serde_json::from_str(table).expect("a table is JSON")];
    while let Some(value) = pending.pop() {
        match value {
            serde_json::Value::String(text) if text.len() <= 4_096 => found.push(text.into_bytes()),
            serde_json::Value::Array(values) => pending.extend(values),
            serde_json::Value::Object(members) => pending.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Seeds that are written here.
pub(crate) fn written(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// Splits off the first byte, which chooses among a few ways to read the rest.
pub(crate) fn choice(bytes: &[u8]) -> (usize, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(&first, rest)| (usize::from(first), rest))
}

/// Runs a future that waits for nothing outside.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("the machine gives a clock")
    });
    RUNTIME.block_on(future)
}
