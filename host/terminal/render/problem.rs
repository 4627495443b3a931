//! A failure, for people and for programs. Both forms go to standard error.
//!
//! It does not explain: what, why and what to try were written where the
//! failure was understood.

use super::{escape, json, palette::Palette};
use serde::Serialize;
use wharf_vocabulary::types::ErrorCode;
use wharf_vocabulary::vocabulary::Problem;

#[derive(Serialize)]
struct ProblemObject<'a> {
    r#type: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    what: &'a str,
    why: &'a [String],
    fix: Option<&'a str>,
}

/// Returns the problem for a person:
///
/// ```text
/// error: cannot pull `docker.io/library/alpine:3.20`
///   because: no manifest matches linux/riscv32
///
/// hint: choose one with `--platform linux/arm64`
/// ```
pub fn text(problem: &Problem, palette: Palette) -> String {
    let Palette { error, because, hint, .. } = palette;
    let mut out = format!("{error}error:{error:#} {}\n", escape::text(&problem.what));
    for why in &problem.why {
        out.push_str(&format!("  {because}because:{because:#} {}\n", escape::text(why)));
    }
    if let Some(fix) = &problem.fix {
        out.push_str(&format!("\n{hint}hint:{hint:#} {}\n", escape::text(fix)));
    }
    out
}

/// Puts the namespace of the call, which the person has named, into the commands that the problem says to type.
pub fn in_namespace(mut problem: Problem, namespace: &str) -> Problem {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let quoted = match namespace.bytes().all(is_plain) {
        true => namespace.to_owned(),
        false => format!("'{}'", namespace.replace('\'', "'\\''")),
    };
    problem.fix = problem.fix.map(|fix| {
        let begun = fix.strip_prefix("wharf ").map(|rest| format!("wharf --namespace {quoted} {rest}"));
        begun.unwrap_or(fix).replace("`wharf ", &format!("`wharf --namespace {quoted} "))
    });
    problem
}

/// Returns the problem for a program: an object on one line, with `type` (as in
/// the lines of [`super::progress`]), `code`, `what`, `why` and `fix`. The code
/// is as in `wit/types.wit`; the digest or the number of bytes that comes with
/// it is `digest` or `bytes`.
pub fn json(problem: &Problem) -> String {
    let (code, digest, bytes) = code(&problem.code);
    let Problem { what, why, fix, .. } = problem;
    json::line(&ProblemObject { r#type: "problem", code, digest, bytes, what, why, fix: fix.as_deref() })
}

/// Returns a sentence that a person should read though nothing failed.
pub fn warning(sentence: &str, palette: Palette) -> String {
    let Palette { warning, .. } = palette;
    format!("{warning}warning:{warning:#} {}\n", escape::text(sentence))
}

fn code(code: &ErrorCode) -> (&'static str, Option<&str>, Option<u64>) {
    match code {
        ErrorCode::NotFound => ("not-found", None, None),
        ErrorCode::Denied => ("denied", None, None),
        ErrorCode::Invalid => ("invalid", None, None),
        ErrorCode::DigestMismatch(digest) => ("digest-mismatch", Some(digest), None),
        ErrorCode::SizeMismatch(bytes) => ("size-mismatch", None, Some(*bytes)),
        ErrorCode::TooLarge(bytes) => ("too-large", None, Some(*bytes)),
        ErrorCode::InUse => ("in-use", None, None),
        ErrorCode::Conflict => ("conflict", None, None),
        ErrorCode::NoSpace => ("no-space", None, None),
        ErrorCode::Unavailable => ("unavailable", None, None),
        ErrorCode::Unsupported => ("unsupported", None, None),
        ErrorCode::Cancelled => ("cancelled", None, None),
        // Its text is not for programs, and `why` has it.
        ErrorCode::Other(_) => ("other", None, None),
    }
}
