//! Plans that are saved: what the documents of all of them have in common, and how one is read. What a plan says stands
//! with its verbs, in `change/document.rs` and `pull/planned.rs`.
//!
//! ```json
//! {"wharf-plan": 1, "namespace": "default", "verb": "remove", …}
//! ```
//!
//! A document may come from anywhere, and say anything.

use super::{
    contract::Caller,
    failing::{because, fail, invalid, try_this},
};
use crate::{
    nouns::{
        digest::{Algorithm, Digest},
        json,
        problem::ErrorCode,
    },
    registry::Failure,
};
use serde::{Deserialize, de::DeserializeOwned};

/// The version of the documents.
pub(super) const VERSION: u32 = 1;
/// The verb of the plan of a pull. Those of changes have others.
pub(super) const PULL: &str = "pull";
/// What to do about a plan that is too old.
pub(super) const AGAIN: &str = "make a new plan: nothing has been changed";

/// No plan is larger, in bytes.
const DOCUMENT_BYTES_MAX: usize = 32 << 20;
/// How much of a parser's words is shown.
const ERROR_CHARS_MAX: usize = 300;

/// What a document says, whatever it is a plan of.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Head {
    wharf_plan: u32,
    namespace: String,
    verb: String,
}

/// Of what a document is a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is here.
    Change,
    /// Names that are to come.
    Pull,
}

/// Reads a plan of this kind, for the namespace of the caller.
pub(super) fn read<T: DeserializeOwned>(text: &str, caller: &Caller, kind: Kind) -> Result<T, Failure> {
    let head: Head = parse(text)?;
    if head.wharf_plan != VERSION {
        let why = format!("it has version {}, and this wharf knows version {VERSION}", head.wharf_plan);
        return Err(refused(fail(ErrorCode::Unsupported, why)));
    }
    match (kind, head.verb == PULL) {
        (Kind::Change, false) | (Kind::Pull, true) => {}
        (Kind::Change, true) => return Err(invalid("it is the plan of a pull, and not of a change")),
        (Kind::Pull, false) => return Err(invalid("it is the plan of a change, and not of a pull")),
    }
    if head.namespace != caller.namespace {
        let shown = head.namespace.escape_debug();
        let why = format!("it is about the namespace `{shown}`, and this is `{}`", caller.namespace);
        return Err(try_this(fail(ErrorCode::Invalid, why), format!("carry it out with `--namespace {shown}`")));
    }
    parse(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let why = format!("it has {} bytes; a plan has at most {DOCUMENT_BYTES_MAX}", text.len());
        return Err(refused(fail(ErrorCode::TooLarge(DOCUMENT_BYTES_MAX as u64), why)));
    }
    serde_json::from_str(text).map_err(|error| refused(invalid(json::shown(&error.to_string(), ERROR_CHARS_MAX))))
}

/// Says that a document is no plan, or none that can be carried out.
pub(super) fn refused(failure: Failure) -> Failure {
    because("this is no plan of wharf")(failure)
}

/// What the record of a name hashes to, if there is one: by this a plan knows it.
pub(super) fn mark(record: Option<&[u8]>) -> Option<Digest> {
    record.map(|record| Digest::of(Algorithm::Sha256, record))
}

/// Says in which way a record is not as it was, if it is not.
pub(super) fn difference(then: Option<&Digest>, now: Option<&Digest>) -> Option<&'static str> {
    match (then, now) {
        _ if then == now => None,
        (Some(_), None) => Some("is gone"),
        (None, Some(_)) => Some("is there by now"),
        _ => Some("has changed since the plan was made"),
    }
}
