//! Row 5 and 6: handles, texts and cases that are none, by the canonical ABI.

use super::{Host, growth};

/// Runs the attack, and asserts that it ends with a trap that says so, and that the host is as before.
fn check(name: &str, count: u64, expected: &[&str]) {
    let host = Host::new();
    host.assert_works();
    let (files, bytes) = growth(|| {
        let outcome = host.attack(name, &[], count);
        let trap = outcome.trap();
        assert!(expected.iter().any(|word| trap.contains(word)), "{name} {count}: {trap}");
        assert!(!trap.contains("panicked"), "{name}: {trap}");
    });
    println!("{name} {count}: {files} descriptors and {bytes} bytes more from one time to the next");
    assert!(files == 0 && bytes < 8 << 20, "{name}: {files} {bytes}");
    host.assert_works();
}

#[test]
fn row_5_a_handle_that_nobody_gave_is_a_trap() {
    for count in [0, 1, 7, 1_000, 0x7fff_ffff, 0xffff_ffff] {
        check("forged", count, &["handle", "resource"]);
    }
}

#[test]
fn row_5_a_handle_to_something_else_is_a_trap() {
    check("of-another-kind", 0, &["handle", "resource"]);
}

#[test]
fn row_5_a_handle_that_is_gone_is_a_trap() {
    check("used-after-drop", 0, &["handle", "resource"]);
    check("dropped-twice", 0, &["handle", "resource"]);
    check("given-twice", 0, &["handle", "resource"]);
}

#[test]
fn row_6_a_text_outside_of_memory_is_a_trap() {
    check("text-beyond-memory", 0, &["out of bounds", "beyond"]);
    check("text-around-memory", 0, &["out of bounds", "beyond"]);
    check("result-beyond-memory", 0, &["out of bounds", "beyond"]);
    check("list-beyond-memory", 0, &["out of bounds", "beyond", "overflow", "fuel"]);
}

#[test]
fn row_6_what_is_no_text_is_a_trap() {
    check("text-of-no-unicode", 0, &["utf-8", "UTF-8"]);
}

#[test]
fn row_6_what_does_not_begin_at_a_word_is_a_trap() {
    check("result-between-words", 0, &["align"]);
    check("list-between-words", 0, &["align"]);
}

#[test]
fn row_6_a_case_that_there_is_not_is_a_trap() {
    for count in [2, 200, 0xffff_ffff] {
        check("case-of-none", count, &["discriminant"]);
        check("enum-of-none", count, &["discriminant", "enum"]);
        check("option-of-none", count, &["discriminant", "option"]);
    }
}

/// A name has 4 096 bytes at most, and one call may bring 48 MiB.
#[test]
fn row_6_a_text_of_any_size_costs_the_host_little() {
    let host = Host::new();
    let (files, bytes) = growth(|| {
        for size in [4_097, 1 << 20, 40 << 20] {
            let outcome = host.attack("text-of-so-much", &[], size);
            // The case of the result is 1: an error, and it is `invalid`.
            assert_eq!(outcome.words().len(), 1, "{size}");
        }
        for size in [49 << 20, 56 << 20] {
            let outcome = host.attack("text-of-so-much", &[], size);
            assert!(outcome.trap().contains("fuel") || outcome.trap().contains("too"), "{size}: {}", outcome.trap());
        }
    });
    println!("{files} descriptors and {bytes} bytes more from one time to the next");
    assert!(files == 0 && bytes < 8 << 20, "{files} {bytes}");
    host.assert_works();
}

#[test]
fn row_6_a_text_of_the_whole_memory_is_refused() {
    let host = Host::new();
    // Whether it is text by chance does not matter: it is no digest.
    let outcome = host.attack("text-of-everything", &[], 0);
    match &outcome.said {
        Ok(words) => assert!(words[0].starts_with("(0, "), "{words:?}"),
        Err(trap) => assert!(trap.contains("utf-8") || trap.contains("fuel"), "{trap}"),
    }
    host.assert_works();
}
