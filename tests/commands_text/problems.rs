//! Failures and warnings, for people and for programs.

use super::{HARMLESS, HOSTILE};
use wharf::images::ErrorCode;
use wharf::images::Problem;
use wharf::render::palette::Palette;
use wharf::render::{escape, problem};

fn a_problem() -> Problem {
    Problem {
        code: ErrorCode::NotFound,
        what: "cannot pull `docker.io/library/alpine:3.20`".to_owned(),
        why: vec![
            "no manifest matches linux/riscv32".to_owned(),
            "the index offers linux/amd64, linux/arm64/v8, linux/s390x".to_owned(),
        ],
        fix: Some("choose one with `--platform linux/arm64`".to_owned()),
    }
}

#[test]
fn a_problem_says_what_why_and_what_to_try() {
    assert_eq!(
        problem::text(&a_problem(), Palette::PLAIN),
        "error: cannot pull `docker.io/library/alpine:3.20`
  because: no manifest matches linux/riscv32
  because: the index offers linux/amd64, linux/arm64/v8, linux/s390x

hint: choose one with `--platform linux/arm64`
"
    );
    let bare = Problem { why: Vec::new(), fix: None, ..a_problem() };
    assert_eq!(problem::text(&bare, Palette::PLAIN), "error: cannot pull `docker.io/library/alpine:3.20`\n");
}

#[test]
fn what_is_to_be_typed_is_about_the_same_namespace() {
    let hint = |fix: &str, namespace: &str| {
        problem::in_namespace(Problem { fix: Some(fix.to_owned()), ..a_problem() }, namespace).fix.expect("a hint")
    };
    assert_eq!(hint("wharf pull alpine", "team"), "wharf --namespace team pull alpine");
    assert_eq!(
        hint("to keep it: `wharf pull --no-unpack alpine`, or `wharf ls`", "a b'c"),
        "to keep it: `wharf --namespace 'a b'\\''c' pull --no-unpack alpine`, or `wharf --namespace 'a b'\\''c' ls`"
    );
    assert_eq!(hint("mkdir wharf", "team"), "mkdir wharf");
}

#[test]
fn only_the_first_word_of_a_line_is_coloured() {
    let problem = Problem { what: "a".to_owned(), why: vec!["b".to_owned()], fix: Some("c".to_owned()), ..a_problem() };
    assert_eq!(
        problem::text(&problem, Palette::of(true)),
        "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a\n  \u{1b}[1mbecause:\u{1b}[0m b\n\n\u{1b}[1m\u{1b}[36mhint:\u{1b}[0m c\n"
    );
    assert_eq!(problem::warning("d", Palette::of(true)), "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m d\n");
    assert_eq!(problem::warning("d", Palette::of(false)), "warning: d\n");
}

#[test]
fn a_problem_for_a_program_is_one_line() {
    let rows = [
        (ErrorCode::NotFound, r#""code":"not-found""#),
        (ErrorCode::Denied, r#""code":"denied""#),
        (ErrorCode::Invalid, r#""code":"invalid""#),
        (ErrorCode::DigestMismatch("sha256:ab".to_owned()), r#""code":"digest-mismatch","digest":"sha256:ab""#),
        (ErrorCode::SizeMismatch(7), r#""code":"size-mismatch","bytes":7"#),
        (ErrorCode::TooLarge(4_194_304), r#""code":"too-large","bytes":4194304"#),
        (ErrorCode::InUse, r#""code":"in-use""#),
        (ErrorCode::Conflict, r#""code":"conflict""#),
        (ErrorCode::NoSpace, r#""code":"no-space""#),
        (ErrorCode::Unavailable, r#""code":"unavailable""#),
        (ErrorCode::Unsupported, r#""code":"unsupported""#),
        (ErrorCode::Cancelled, r#""code":"cancelled""#),
        (ErrorCode::Other("disk on fire".to_owned()), r#""code":"other""#),
    ];
    for (code, expected) in rows {
        let problem = Problem { code, what: "w".to_owned(), why: vec!["y".to_owned()], fix: None };
        assert_eq!(
            problem::json(&problem),
            format!(r#"{{"type":"problem",{expected},"what":"w","why":["y"],"fix":null}}{}"#, "\n")
        );
    }
}

#[test]
fn a_problem_made_by_a_registry_cannot_act_on_the_terminal() {
    let hostile = || HOSTILE.to_owned();
    let problem = Problem { code: ErrorCode::Denied, what: hostile(), why: vec![hostile()], fix: Some(hostile()) };
    assert_eq!(
        problem::text(&problem, Palette::PLAIN),
        format!("error: {HARMLESS}\n  because: {HARMLESS}\n\nhint: {HARMLESS}\n")
    );
    let line = problem::json(&problem);
    assert!(line.trim_end().chars().all(escape::is_visible), "{line}");
    let back: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
    assert_eq!(back["what"], HOSTILE, "the value is the same");
}
