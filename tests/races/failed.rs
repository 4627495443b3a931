//! Why an operation of a worker has no result, as it stands in a history: a code that is judged, and a text for people.

use wharf::images::{ErrorCode, Failure};
use wharf::layers::view::ArchiveError;
use wharf::{content, layers};

/// How the verbs say that nothing is known by a name.
const IS_ABSENT: [&str; 2] = ["no image here ", "no ingest here "];

/// Why an operation has no result.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: String,
    pub(crate) why: String,
}

impl Failed {
    fn new(code: &ErrorCode, why: String) -> Self {
        let code = match code {
            // Others name what is missing of something that was found.
            ErrorCode::NotFound if IS_ABSENT.iter().all(|text| !why.contains(text)) => "lost",
            code => wharf::render::problem::code(code),
        };
        Self { code: code.to_owned(), why }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => {
                Self::new(&problem.code, format!("{}: {}", problem.what, problem.why.join(": ")))
            }
            Failure::Sandbox(error) => Self { code: "trap".to_owned(), why: format!("{error:#}") },
        }
    }
}

impl From<content::Error> for Failed {
    fn from(error: content::Error) -> Self {
        let why = error.to_string();
        match error.into() {
            ErrorCode::NotFound => Self { code: "not-found".to_owned(), why },
            other => Self::new(&other, why),
        }
    }
}

impl From<layers::Error> for Failed {
    fn from(error: layers::Error) -> Self {
        let why = error.to_string();
        Self::new(&error.into(), why)
    }
}

impl From<ArchiveError> for Failed {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::View(error) => error.into(),
            ArchiveError::Write(error) => error.into(),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self { code: "other".to_owned(), why: error.to_string() }
    }
}
