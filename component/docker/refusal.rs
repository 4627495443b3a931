//! What does not work, as docker's clients read it: a status, and
//! `{"message": "…"}`.

use super::client::Answer;
use crate::nouns::problem::{ErrorCode, Problem};
use serde::Serialize;

/// Routes that docker has and wharf has not, by their first segment.
const OTHERS: &[&str] = &[
    "build",
    "commit",
    "configs",
    "containers",
    "exec",
    "grpc",
    "networks",
    "nodes",
    "plugins",
    "secrets",
    "services",
    "session",
    "swarm",
    "tasks",
    "volumes",
];

/// Why a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

#[derive(Serialize)]
struct Message<'m> {
    message: &'m str,
}

impl Refusal {
    /// With this status, and a sentence for a person.
    pub fn new(status: u16, message: String) -> Self {
        Self { status, message }
    }

    /// A request about something that wharf does not have.
    pub(super) fn elsewhere(method: &str, segments: &[&str]) -> Self {
        let path = segments.join("/");
        let what = match segments.first() {
            Some(first) if OTHERS.contains(first) => "wharf manages images and nothing else",
            _ => "wharf has the routes of the Docker Engine about images, and not this one",
        };
        Self::new(501, format!("{what}: {} /{}", method.escape_debug(), path.escape_debug()))
    }

    /// A verb that was about an image here failed.
    pub(super) fn of_image(name: &str) -> impl Fn(Problem) -> Self {
        move |problem| match problem.code {
            // Programs look for these words.
            ErrorCode::NotFound => {
                Self::new(404, format!("No such image: {}: {}", name.escape_debug(), text(&problem)))
            }
            _ => problem.into(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = match problem.code {
            ErrorCode::Invalid => 400,
            // Whoever denies it is a registry.
            ErrorCode::Denied => 401,
            ErrorCode::NotFound => 404,
            ErrorCode::InUse | ErrorCode::Conflict => 409,
            ErrorCode::TooLarge(_) => 413,
            ErrorCode::Unsupported => 501,
            _ => 500,
        };
        Self::new(status, text(&problem))
    }
}

/// One line, as docker's errors are. What to type against it is about another program.
fn text(Problem { what, why, .. }: &Problem) -> String {
    [std::slice::from_ref(what), why].concat().join(": ")
}

impl From<Refusal> for Answer {
    fn from(Refusal { status, message }: Refusal) -> Self {
        Self::json(status, &Message { message: &message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_has_besides_images_is_said_to_be_missing() {
        let refused = Refusal::elsewhere("POST", &["containers", "create"]);
        let expected = "wharf manages images and nothing else: POST /containers/create";
        assert_eq!(refused, Refusal::new(501, expected.to_owned()));
        let refused = Refusal::elsewhere("GET", &["nonsense"]);
        let expected = "wharf has the routes of the Docker Engine about images, and not this one: GET /nonsense";
        assert_eq!(refused, Refusal::new(501, expected.to_owned()));
    }
}
