//! One of the parsers that `src/parsers.rs` lists, by the variable `PARSER`. One program has them all, because each
//! program more takes as long to build.
//!
//! With `SEEDS` it first writes the parser's seeds into that directory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use wharf_fuzz::parsers::{ALL, Parser};

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    let name = std::env::var("PARSER").expect("the variable `PARSER` names a parser");
    let found = ALL.into_iter().find(|parser| parser.name == name);
    found.unwrap_or_else(|| panic!("there is no parser `{name}`"))
});

fuzz_target!(
    init: {
        if let Ok(directory) = std::env::var("SEEDS") {
            for (at, seed) in (PARSER.seeds)().into_iter().enumerate() {
                std::fs::write(format!("{directory}/seed-{at}"), seed).expect("the directory is writable");
            }
        }
    },
    |bytes: &[u8]| {
        (PARSER.check)(bytes);
    }
);
