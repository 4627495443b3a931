//! What the fuzzers check, in every run of the tests: each parser with its seeds and with some thousand inputs that are
//! made of them by a seeded generator. `tests/fuzz` looks further, with coverage and without an end.
//!
//! A failure prints the parser and the input, and what replays it.

#![allow(clippy::disallowed_methods, reason = "two parsers read files, in a temporary directory")]
#![allow(missing_docs, reason = "a test's name says what it is about")]

#[allow(unreachable_pub, reason = "the crate of the fuzzers exports them")]
#[path = "fuzz/src/parsers.rs"]
mod parsers;

// What `parsers` finds at the root of whatever crate it is part of.
use wharf::{configuration, hash, layers};

use parsers::{ALL, Parser};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Inputs of a parser that are made of its seeds.
const CHANGED: usize = 4_000;
/// The same of one that works on files.
const CHANGED_ON_DISK: usize = 60;

/// Words that turn up in what parsers read.
const WORDS: [&str; 24] = [
    "\0",
    "\u{1b}[",
    "\u{202e}",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "/",
    "@",
    "..",
    "%2f",
    "=",
    "\n",
    "null",
    "-1",
    "18446744073709551616",
    "sha256:",
    "\u{fc}",
    "https://",
    " ",
];

/// Numbers without chance: the same seed gives the same numbers. SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("it is less than `end`")
    }
}

/// Makes another input of one, a few changes at a time.
fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        match numbers.below(7) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 => input.truncate(at),
            2 if at < input.len() => _ = input.remove(at),
            3 => input.insert(at, u8::try_from(numbers.below(256)).expect("it is a byte")),
            4 => {
                let word = WORDS[numbers.below(WORDS.len())];
                input.splice(at..at, word.bytes());
            }
            5 => {
                let other = &seeds[numbers.below(seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[numbers.below(other.len() + 1)..]);
            }
            _ => {
                let end = at + numbers.below(input.len() - at + 1).min(64);
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
        }
    }
    input.truncate(64 << 10);
}

/// Checks one input. Fails with a sentence that shows it.
fn check(parser: &Parser, input: &[u8]) -> Result<bool, String> {
    catch_unwind(AssertUnwindSafe(|| (parser.check)(input))).map_err(|_| {
        let shown: String = input.iter().flat_map(|&byte| std::ascii::escape_default(byte)).map(char::from).collect();
        let name = parser.name;
        format!("`{name}` breaks a promise for b\"{shown}\"\nhint: put these bytes into a file and type `tests/fuzz/run {name} <file>`")
    })
}

/// Checks the seeds of one parser, and what is made of them.
fn run(parser: &Parser) -> Result<(), String> {
    let (name, seeds) = (parser.name, (parser.seeds)());
    let mut accepted = 0;
    for seed in &seeds {
        accepted += usize::from(check(parser, seed)?);
    }
    if !(1..seeds.len()).contains(&accepted) {
        return Err(format!("`{name}` accepts {accepted} of {} seeds", seeds.len()));
    }
    let mut numbers = Numbers(1);
    let changed = if parser.on_disk { CHANGED_ON_DISK } else { CHANGED };
    let mut taken = 0;
    for _ in 0..changed {
        let mut input = seeds[numbers.below(seeds.len())].clone();
        change(&mut input, &seeds, &mut numbers);
        taken += usize::from(check(parser, &input)?);
    }
    println!("{name}: {accepted} of {} seeds and {taken} of {changed} others accepted", seeds.len());
    if (1..changed).contains(&taken) {
        Ok(())
    } else {
        Err(format!("`{name}` accepts {taken} of {changed} changed inputs"))
    }
}

fn run_all(on_disk: bool) {
    let parsers = ALL.iter().filter(|parser| parser.on_disk == on_disk);
    let broken: Vec<_> = parsers.filter_map(|parser| run(parser).err()).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn parsers_keep_their_promises_for_seeds_and_what_is_made_of_them() {
    run_all(false);
}

#[test]
fn what_reads_files_keeps_its_promises_too() {
    run_all(true);
}

/// A check that finds nothing is worth nothing: this is what one looks like that does.
#[test]
fn a_broken_promise_is_told_with_its_input() {
    let check = |bytes: &[u8]| !bytes.contains(&0) || panic!("planted");
    let seeds = || vec![b"a".to_vec(), b"\0a".to_vec()];
    let told = run(&Parser { name: "planted", check, seeds, on_disk: false }).expect_err("a seed breaks the promise");
    assert!(told.starts_with("`planted` breaks a promise for b\"\\x00a\""), "{told}");
}

#[test]
fn no_two_parsers_have_one_name() {
    let mut names: Vec<_> = ALL.iter().map(|parser| parser.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
