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
    let Problem { code, what, why, fix } = problem;
    let (digest, bytes) = match code {
        ErrorCode::DigestMismatch(digest) => (Some(digest.as_str()), None),
        ErrorCode::SizeMismatch(bytes) | ErrorCode::TooLarge(bytes) => (None, Some(*bytes)),
        _ => (None, None),
    };
    let code = self::code(code);
    json::line(&ProblemObject { r#type: "problem", code, digest, bytes, what, why, fix: fix.as_deref() })
}

/// Returns a sentence that a person should read though nothing failed.
pub fn warning(sentence: &str, palette: Palette) -> String {
    let Palette { warning, .. } = palette;
    format!("{warning}warning:{warning:#} {}\n", escape::text(sentence))
}

/// Returns the name of a code, as in `wit/types.wit`, without what comes with it.
pub fn code(code: &ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound => "not-found",
        ErrorCode::Denied => "denied",
        ErrorCode::Invalid => "invalid",
        ErrorCode::DigestMismatch(_) => "digest-mismatch",
        ErrorCode::SizeMismatch(_) => "size-mismatch",
        ErrorCode::TooLarge(_) => "too-large",
        ErrorCode::InUse => "in-use",
        ErrorCode::Conflict => "conflict",
        ErrorCode::NoSpace => "no-space",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::Unsupported => "unsupported",
        ErrorCode::Cancelled => "cancelled",
        // Its text is not for programs, and `why` has it.
        ErrorCode::Other(_) => "other",
    }
}
