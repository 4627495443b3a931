//! Failures in the words of gRPC. Clients branch on the code alone.

use crate::images::{ErrorCode, Failure, Problem};
use tonic::{Code, Status};

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => refusal(&problem, Meaning::default()),
            Failure::Sandbox(error) => {
                tracing::error!("the sandbox stopped a request: {error:#}");
                Self::internal(format!("the sandbox stopped the request: {error:#}"))
            }
        }
    }
}

/// What a client is told of a failure whose code says less than containerd's do.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    in_use: Code,
    invalid: Code,
}

impl Default for Meaning {
    fn default() -> Self {
        Self { in_use: Code::FailedPrecondition, invalid: Code::InvalidArgument }
    }
}

/// The failure of a request to make something: what is in the way exists.
pub(super) fn making(failure: Failure) -> Status {
    meant(failure, Meaning { in_use: Code::AlreadyExists, ..Meaning::default() })
}

/// The failure of a request about a snapshot that is of another kind.
pub(super) fn of_kind(failure: Failure) -> Status {
    meant(failure, Meaning { invalid: Code::FailedPrecondition, ..Meaning::default() })
}

/// The failure of a request to make a snapshot of one, where both may be in the way.
pub(super) fn making_of_kind(failure: Failure) -> Status {
    meant(failure, Meaning { in_use: Code::AlreadyExists, invalid: Code::FailedPrecondition })
}

fn meant(failure: Failure, meaning: Meaning) -> Status {
    match failure {
        Failure::Problem(problem) => refusal(&problem, meaning),
        other => other.into(),
    }
}

fn refusal(problem: &Problem, meaning: Meaning) -> Status {
    let code = match problem.code {
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Denied => Code::PermissionDenied,
        ErrorCode::Invalid => meaning.invalid,
        ErrorCode::DigestMismatch(_) | ErrorCode::SizeMismatch(_) => Code::FailedPrecondition,
        ErrorCode::TooLarge(_) | ErrorCode::NoSpace => Code::ResourceExhausted,
        ErrorCode::InUse => meaning.in_use,
        ErrorCode::Conflict => Code::Aborted,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::Unsupported => Code::Unimplemented,
        ErrorCode::Cancelled => Code::Cancelled,
        ErrorCode::Other(_) => Code::Internal,
    };
    let mut message = [std::slice::from_ref(&problem.what), &problem.why].concat().join(": ");
    if let Some(fix) = &problem.fix {
        message = format!("{message} (try: {fix})");
    }
    Status::new(code, message)
}

/// The failure of the content service, where the component has decided already.
pub(super) fn content(error: crate::content::Error) -> Status {
    use crate::content::Error;
    let message = error.to_string();
    match error {
        Error::NotFound => Status::not_found(message),
        Error::Invalid(_) => Status::invalid_argument(message),
        Error::DigestMismatch { actual, expected } => {
            Status::failed_precondition(format!("unexpected commit digest {actual}, expected {expected}"))
        }
        Error::SizeMismatch { actual, .. } => Status::failed_precondition(format!("unexpected commit size {actual}")),
        Error::TooLarge { .. } | Error::NoSpace => Status::resource_exhausted(message),
        Error::InUse => Status::failed_precondition(message),
        Error::Io { .. } => Status::internal(message),
    }
}

/// The failure of a thread that was to do something.
pub(super) fn thread(error: tokio::task::JoinError) -> Status {
    Status::internal(format!("the work was dropped: {error}"))
}
