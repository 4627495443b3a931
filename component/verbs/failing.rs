//! How a verb fails: the reasons come up as a [`Failure`], and the verb adds
//! the sentence that says what failed. It formats nothing for a terminal.

use crate::{
    nouns::problem::{ErrorCode, Problem},
    registry::Failure,
};
use std::fmt::Display;

/// A failure with one reason.
pub(super) fn fail(code: ErrorCode, why: impl Into<String>) -> Failure {
    Failure { code, why: vec![why.into()], fix: None }
}

/// Something that was typed or that a document says breaks a rule.
pub(super) fn invalid(why: impl Display) -> Failure {
    fail(ErrorCode::Invalid, why.to_string())
}

/// Puts a reason in front of the others.
pub(super) fn because(why: impl Into<String>) -> impl FnOnce(Failure) -> Failure {
    let why = why.into();
    move |mut failure| {
        failure.why.insert(0, why);
        failure
    }
}

/// Adds what to try, as something to type.
pub(super) fn try_this(failure: Failure, fix: impl Into<String>) -> Failure {
    Failure { fix: Some(fix.into()), ..failure }
}

/// Makes the problem that a person reads. `what` is as in ``cannot pull `alpine` ``.
pub(super) fn problem(what: impl Into<String>) -> impl FnOnce(Failure) -> Problem {
    let what = what.into();
    move |Failure { code, why, fix }| Problem { code, what, why, fix }
}
