//! What a response means that is not the one that was hoped for: its status,
//! its error document, its limits. It sends nothing, and does not answer
//! challenges.
//!
//! ```json
//! {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": …}]}
//! ```
//!
//! distribution-spec, “Error Codes”. The document is the registry's word, and
//! is shown only; the status decides.

use super::{
    failure::{Blame, Failure, Fault, SHOWN_BYTES_MAX, shown_within},
    limit,
    request::Answer,
    retry::{self, Again},
    server::Server,
};
use crate::{
    host::{Grant, Host},
    nouns::{digest::Digest, problem::ErrorCode},
};

/// A larger error document is not read.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// No more of a header is shown.
const LIMIT_BYTES_MAX: usize = 128;
/// Further entries of an error document are not shown.
const ERRORS_MAX: usize = 4;

/// What a request was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// A manifest or an index, by tag or by digest.
    Manifest(&'a str),
    Blob(&'a Digest),
    Tags,
    /// The list of repositories.
    Catalog,
    /// Repositories by a word.
    Search,
    /// A blob that is pushed.
    Upload(&'a Digest),
    /// A manifest that is pushed, by tag or by digest.
    Publish(&'a str),
}

impl Subject<'_> {
    fn is_pushed(self) -> bool {
        matches!(self, Self::Upload(_) | Self::Publish(_))
    }
}

/// One entry of an error document.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    code: String,
    message: String,
}

impl<H: Host> Server<'_, H> {
    /// Reads a response that is no success, and says what it means.
    pub(super) async fn refusal(&self, answer: Answer<H::Stream>, subject: Subject<'_>) -> Fault {
        let status = answer.response.status;
        let at_home = answer.target.origin == self.endpoint.origin;
        let again = match answer.header("retry-after").and_then(|after| retry::retry_after_ms(after, self.host().now()))
        {
            // The address that the registry redirected to may have expired; the registry signs a new one.
            _ if status == 403 && !at_home => Again::Once,
            _ if !retry::is_transient(status) => Again::Never,
            Some(ms) => {
                let who = if at_home { &self.endpoint.registry } else { &answer.target.origin.authority };
                Again::After { ms, who: who.clone() }
            }
            None if status == 429 => Again::Slower,
            None => Again::Soon,
        };
        let limits = limits(&answer);
        let reset = limit::reset_s(&answer.response.headers, self.host().now()).map(limit::span);
        let said = format!("`{}` answered {} to `{}`", answer.target.origin.authority, named(status), answer.line());
        let body = self.document(answer, ERROR_BYTES_MAX).await.unwrap_or_default();
        let complaints = complaints(&body);

        let mut why = Vec::new();
        let (code, fix) = match status {
            403..=405 if subject == Subject::Catalog => {
                why.push(format!(
                    "`{}` does not list its repositories, as many registries do not",
                    self.endpoint.registry
                ));
                (ErrorCode::Unsupported, None)
            }
            401 if subject == Subject::Catalog => {
                why.push(format!("`{}` does not list its repositories to this user", self.endpoint.registry));
                (ErrorCode::Denied, Some(self.login()))
            }
            401 | 403..=405 | 410 if subject == Subject::Search => {
                why.push(format!("`{}` does not answer searches there", self.endpoint.registry));
                (ErrorCode::Unsupported, None)
            }
            _ if subject.is_pushed() && is_full(status, &complaints) => {
                let name = &self.endpoint.registry;
                why.push(format!("`{name}` has no room for it"));
                (ErrorCode::NoSpace, Some(format!("free space at `{name}`, or have its quota raised")))
            }
            405 if subject.is_pushed() => {
                why.push(format!(
                    "`{}` takes nothing: it may be read-only, or no place to push to",
                    self.endpoint.registry
                ));
                (ErrorCode::Unsupported, Some("push to another registry, or have this one made writable".to_owned()))
            }
            413 if subject.is_pushed() => {
                why.push(format!("`{}` takes no request as large as this", self.endpoint.registry));
                let fix = "have the limit raised at the registry, or at the proxy before it (`client_max_body_size` in nginx)";
                (ErrorCode::Invalid, Some(fix.to_owned()))
            }
            401 | 403 if at_home => {
                let (reason, fix) = self.denial();
                why.push(reason);
                (ErrorCode::Denied, fix)
            }
            404 if subject.is_pushed() => {
                why.push(self.absence(subject, &complaints));
                let fix = "check the name; some registries want a repository, or a project above it, to be made first";
                (ErrorCode::NotFound, Some(fix.to_owned()))
            }
            404 => {
                why.push(self.absence(subject, &complaints));
                (ErrorCode::NotFound, None)
            }
            429 => {
                why.push(format!("`{}` limits how often it may be asked", self.endpoint.registry));
                why.extend(limits);
                let later = reset.map(|reset| format!("try again in {reset}"));
                let more = self.is_anonymous().then(|| format!("a login may raise the limit: {}", self.login()));
                let fix: Vec<String> = later.into_iter().chain(more).collect();
                (ErrorCode::Unavailable, (!fix.is_empty()).then(|| fix.join("; ")))
            }
            401 | 403 | 451 => (ErrorCode::Denied, None),
            _ if status >= 500 || retry::is_transient(status) => (ErrorCode::Unavailable, None),
            _ => (ErrorCode::Invalid, None),
        };
        if status != 404 || matches!(subject, Subject::Catalog | Subject::Search) || subject.is_pushed() {
            why.push(said);
        }
        why.extend(complaints.into_iter().map(Complaint::told));
        // A server that is asked too much, or that fails, does not do its work for anything else either.
        let blame = if retry::is_transient(status) { Blame::Server } else { Blame::Nobody };
        Fault { failure: Failure { code, why, fix }, again, blame }
    }

    /// Says why the registry may have refused, and what a person can do.
    pub(super) fn denial(&self) -> (String, Option<String>) {
        let name = format!("{}/{}", self.endpoint.registry, self.endpoint.path);
        if self.common.is_push() {
            let why = match self.is_anonymous() {
                true => format!("it takes a login to push to `{name}`"),
                false => format!("the login was rejected, or it may not push to `{name}`"),
            };
            return (why, Some(self.login()));
        }
        if self.is_anonymous() && !self.is_anonymous.get() {
            (format!("`{name}` does not exist, or it takes a login to read it"), Some(self.login()))
        } else {
            (format!("the login was rejected, or it may not read `{name}`, or that does not exist"), Some(self.login()))
        }
    }

    /// Says how to log in.
    pub(super) fn login(&self) -> String {
        let registry = &self.endpoint.registry;
        format!("log in with `wharf login {registry}`; logins that docker and podman have stored are used as well")
    }

    fn is_anonymous(&self) -> bool {
        self.grant.borrow().as_ref().is_none_or(|grant| grant.anonymous())
    }

    fn absence(&self, subject: Subject<'_>, complaints: &[Complaint]) -> String {
        let name = format!("{}/{}", self.endpoint.registry, self.endpoint.path);
        match subject {
            _ if complaints.iter().any(|complaint| complaint.code == "NAME_UNKNOWN") => {
                format!("there is no repository `{name}`")
            }
            Subject::Tags | Subject::Catalog | Subject::Search => format!("there is no repository `{name}`"),
            Subject::Upload(_) | Subject::Publish(_) => format!("there is no repository `{name}` to push to"),
            Subject::Manifest(which) if which.contains(':') => format!("`{name}` has no manifest `{which}`"),
            Subject::Manifest(which) => format!("`{name}` has no tag `{which}`"),
            Subject::Blob(digest) => format!("`{name}` has no blob `{digest}`"),
        }
    }
}

/// Returns what an error document tells a person, a line each: bounded, and fit for a terminal.
pub fn told(body: &[u8]) -> Vec<String> {
    complaints(body).into_iter().map(Complaint::told).collect()
}

impl Complaint {
    fn told(self) -> String {
        let Complaint { code, message } = self;
        match (code.is_empty(), message.is_empty()) {
            (true, _) => format!("the registry says: {message}"),
            (false, true) => format!("the registry says: {code}"),
            (false, false) => format!("the registry says: {message} ({code})"),
        }
    }
}

/// Decodes an error document. A body that is none of JSON is one message, but
/// for a page of HTML, which says nothing to a person.
fn complaints(body: &[u8]) -> Vec<Complaint> {
    let text = String::from_utf8_lossy(body);
    // All of them together are bounded.
    let shown = |text: &str| shown_within(text, SHOWN_BYTES_MAX / ERRORS_MAX / 2);
    let field = |entry: &serde_json::Value, name: &str| entry[name].as_str().map(shown).unwrap_or_default();
    let read = |entry: &serde_json::Value| Complaint { code: field(entry, "code"), message: field(entry, "message") };
    let found = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(document) => match document["errors"].as_array() {
            Some(errors) => errors.iter().take(ERRORS_MAX).map(read).collect(),
            None => vec![read(&document)],
        },
        Err(_) if text.trim_start().starts_with('<') => vec![],
        Err(_) => vec![Complaint { code: String::new(), message: shown(&text) }],
    };
    found.into_iter().filter(|complaint| !(complaint.code.is_empty() && complaint.message.is_empty())).collect()
}

/// Tells the headers with which registries describe their limits, of which
/// Docker Hub's are the best known.
fn limits<S>(answer: &Answer<S>) -> Vec<String> {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "docker-ratelimit-source", "retry-after"]
        .iter()
        .filter_map(|&name| Some(format!("`{name}` is `{}`", shown_within(answer.header(name)?, LIMIT_BYTES_MAX))))
        .collect()
}

/// Whether a registry has no more room, as far as it says so: quotas have no error
/// code of their own in the distribution-spec.
fn is_full(status: u16, complaints: &[Complaint]) -> bool {
    let says_quota = |complaint: &Complaint| {
        let text = format!("{} {}", complaint.code, complaint.message).to_ascii_lowercase();
        text.contains("quota") || text.contains("insufficient storage")
    };
    status == 507 || (matches!(status, 400 | 403 | 409 | 412) && complaints.iter().any(says_quota))
}

/// Names a status as RFC 9110 section 15 does.
fn named(status: u16) -> String {
    let name = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => return status.to_string(),
    };
    format!("{status} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::script::{Script, reply};

    fn refused(reply: crate::registry::script::Reply) -> Failure {
        let host = Script::new([reply]);
        let repository = host.repository("registry.example/a/b");
        host.run(repository.manifest("v1")).expect_err("the registry refuses")
    }

    #[test]
    fn error_documents_are_told() {
        let complaint = |code: &str, message: &str| Complaint { code: code.to_owned(), message: message.to_owned() };
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                vec![complaint("MANIFEST_UNKNOWN", "manifest unknown")],
            ),
            (r#"{"errors": [{"code": 404, "message": "Not\u001b[31m Found"}, 7]}"#, vec![complaint("", "Not Found")]),
            (r#"{"errors":[{"code":"DENIED"}]}"#, vec![complaint("DENIED", "")]),
            (r#"{"errors":null,"message":"no such thing"}"#, vec![complaint("", "no such thing")]),
            (r#"{"errors":[]}"#, vec![]),
            ("[1,2]", vec![]),
            ("Not found\r\n", vec![complaint("", "Not found")]),
            (" <html><body>JSON? What JSON?</body></html>", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(complaints(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(complaints(b"caf\xe9"), [complaint("", "caf\u{fffd}")]);
        let many = format!(r#"{{"errors":[{}]}}"#, vec![r#"{"code":"X"}"#; 100].join(","));
        assert_eq!(complaints(many.as_bytes()).len(), ERRORS_MAX);
    }

    #[test]
    fn an_absent_tag_is_told_with_the_registrys_words() {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        assert_eq!(
            refused(reply(404).body(body)),
            Failure {
                code: ErrorCode::NotFound,
                why: vec![
                    "`registry.example/a/b` has no tag `v1`".to_owned(),
                    "the registry says: manifest unknown (MANIFEST_UNKNOWN)".to_owned(),
                ],
                fix: None,
            }
        );
    }

    #[test]
    fn an_absent_repository_is_told_apart_from_an_absent_tag() {
        let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        let failure = refused(reply(404).body(body));
        assert_eq!(failure.why[0], "there is no repository `registry.example/a/b`");
        assert_eq!(failure.code, ErrorCode::NotFound);
    }

    #[test]
    fn other_refusals_are_final_and_told() {
        for (status, code, why) in [
            (400, ErrorCode::Invalid, "400 Bad Request"),
            (405, ErrorCode::Invalid, "405 Method Not Allowed"),
            (418, ErrorCode::Invalid, "418"),
            (451, ErrorCode::Denied, "451"),
            (501, ErrorCode::Unavailable, "501 Not Implemented"),
            (505, ErrorCode::Unavailable, "505 HTTP Version Not Supported"),
        ] {
            let failure = refused(reply(status));
            let why = format!("`registry.example` answered {why} to `GET /v2/a/b/manifests/v1`");
            assert_eq!(failure, Failure { code, why: vec![why], fix: None });
        }
    }

    #[test]
    fn a_forbidden_repository_hints_at_the_login() {
        let failure = refused(reply(403).body("{}"));
        assert_eq!(failure.code, ErrorCode::Denied);
        assert_eq!(
            failure.why,
            [
                "`registry.example/a/b` does not exist, or it takes a login to read it",
                "`registry.example` answered 403 Forbidden to `GET /v2/a/b/manifests/v1`",
            ]
        );
        assert_eq!(
            failure.fix.as_deref(),
            Some(
                "log in with `wharf login registry.example`; logins that docker and podman have stored are used as well"
            )
        );
    }

    #[test]
    fn a_rate_limit_that_stays_is_told_with_its_numbers() {
        let limited = || {
            reply(429)
                .header("retry-after", "2")
                .header("ratelimit-limit", "100;w=21600")
                .header("ratelimit-remaining", "0;w=21600")
        };
        let host = Script::new([limited(), limited(), limited(), limited(), limited()]);
        let failure = host.run(host.repository("registry.example/a/b").manifest("v1")).expect_err("the limit stays");
        assert_eq!(failure.code, ErrorCode::Unavailable);
        assert_eq!(
            failure.why,
            [
                "`registry.example` limits how often it may be asked",
                "`ratelimit-limit` is `100;w=21600`",
                "`ratelimit-remaining` is `0;w=21600`",
                "`retry-after` is `2`",
                "`registry.example` answered 429 Too Many Requests to `GET /v2/a/b/manifests/v1`",
                "gave up after 5 attempts in 8 s",
            ]
        );
        assert_eq!(host.slept(), [2_000; 4]);
    }

    #[test]
    fn an_endless_error_document_is_not_read() {
        let failure = refused(reply(400).body(vec![b'x'; ERROR_BYTES_MAX as usize + 1]));
        assert_eq!(failure.why, ["`registry.example` answered 400 Bad Request to `GET /v2/a/b/manifests/v1`"]);
    }
}
