//! Why a request to a registry failed, for the verb that tells it to a person,
//! and text of the other end made fit to be shown. It does not read responses.

use super::{endpoint::Endpoint, retry::Again};
use crate::{
    host::{Flaw, HttpError, Origin},
    nouns::problem::{ErrorCode, Problem},
    planted::{Bug, has},
};

/// No more of a text that the registry wrote is shown.
pub(super) const SHOWN_BYTES_MAX: usize = 2 * 1024;

/// A failure without the sentence that says what failed: the verb adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The condition, for programs.
    pub code: ErrorCode,
    /// Why, nearest cause first.
    pub why: Vec<String>,
    /// What to try.
    pub fix: Option<String>,
}

impl Failure {
    pub(super) fn new(code: ErrorCode, why: impl Into<String>) -> Self {
        Failure { code, why: vec![why.into()], fix: None }
    }

    /// Adds what failed, as in ``cannot pull `docker.io/library/alpine:3.20` ``.
    pub fn of(self, what: impl Into<String>) -> Problem {
        Problem { code: self.code, what: what.into(), why: self.why, fix: self.fix }
    }
}

/// A failure of the content store, the credentials or another part of the host.
impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        let (why, fix) = match &code {
            ErrorCode::NoSpace => (
                "there is no space left where the store is".to_owned(),
                Some("free space where the store is; what has arrived of other blobs is kept".to_owned()),
            ),
            other => (other.to_string(), None),
        };
        Failure { why: vec![why], code, fix }
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// It answers, but not with what was asked for.
    Nobody,
    /// It does not do its work: it does not answer, or answers that it cannot.
    Server,
    /// It cannot be reached by TLS, for other reasons than its certificate.
    Tls,
    /// Something on this machine. No other server would do better.
    Here,
}

/// A failure of one attempt, and whether there may be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    pub(super) again: Again,
    pub(super) blame: Blame,
}

impl Fault {
    /// A failure that would only repeat itself.
    pub(super) fn last(code: ErrorCode, why: impl Into<String>) -> Self {
        Fault { failure: Failure::new(code, why), again: Again::Never, blame: Blame::Nobody }
    }

    /// A failure that may pass.
    pub(super) fn passing(code: ErrorCode, why: impl Into<String>) -> Self {
        Fault { failure: Failure::new(code, why), again: Again::Soon, blame: Blame::Server }
    }

    /// What it means that no whole response came from `origin`, which has
    /// `answered` an earlier request or has not.
    pub(super) fn of_http(error: &HttpError, origin: &Origin, endpoint: &Endpoint, answered: bool) -> Self {
        let authority = &origin.authority;
        let typed = *origin == endpoint.origin;
        let plain_http = || {
            typed.then(|| {
                format!("if `{authority}` speaks plain HTTP, allow that with `--plain-http {}`", endpoint.registry)
            })
        };
        let (code, again, why, fix) = match error {
            HttpError::Name(text) => (
                ErrorCode::Unavailable,
                // A name that led somewhere a moment ago exists: the name server has a bad moment.
                if answered { Again::Soon } else { Again::Once },
                format!("the name `{authority}` does not resolve: {}", shown(text)),
                Some(match typed && !answered {
                    true => "check the spelling of the registry's name, and the connection to the network".to_owned(),
                    false => "check the connection to the network and its name server".to_owned(),
                }),
            ),
            HttpError::Connect(text) => (
                ErrorCode::Unavailable,
                Again::Soon,
                format!("cannot connect to `{authority}`: {}", shown(text)),
                Some(format!("check that a registry listens at `{authority}`, and that a proxy lets it through")),
            ),
            HttpError::Certificate(flaw, text) => (
                ErrorCode::Unavailable,
                Again::Never,
                format!("the certificate of `{authority}` is not acceptable: {}", shown(text)),
                Some(match flaw {
                    Flaw::Authority => format!(
                        "add the authority that signed it to `ca` in the `hosts.toml` of `{authority}`, or to the \
                         certificates of the system"
                    ),
                    Flaw::Time => "have the certificate renewed, and check the clock of this machine".to_owned(),
                    Flaw::Name => {
                        format!("use a name that the certificate is for, or have it made for `{authority}` as well")
                    }
                    Flaw::Other => "have the certificate replaced".to_owned(),
                }),
            ),
            HttpError::Client(text) => (
                ErrorCode::Unavailable,
                Again::Never,
                format!("`{authority}` wants to know who the client is: {}", shown(text)),
                Some(format!("name a certificate and its key as `client` in the `hosts.toml` of `{authority}`")),
            ),
            HttpError::Tls(text) => (
                ErrorCode::Unavailable,
                Again::Never,
                format!("`{authority}` does not speak TLS as expected: {}", shown(text)),
                plain_http(),
            ),
            HttpError::Denied(text) => (
                ErrorCode::Denied,
                Again::Never,
                format!("this host does not allow requests to `{authority}`: {}", shown(text)),
                None,
            ),
            HttpError::Timeout => {
                (ErrorCode::Unavailable, Again::Soon, format!("`{authority}` did not answer in time"), None)
            }
            HttpError::Broken(text) => (
                ErrorCode::Unavailable,
                Again::Soon,
                format!("the connection to `{authority}` broke: {}", shown(text)),
                None,
            ),
        };
        let blame = match error {
            HttpError::Connect(_) | HttpError::Tls(_) if origin.secure && typed => Blame::Tls,
            _ => Blame::Server,
        };
        Fault { failure: Failure { code, why: vec![why], fix }, again, blame }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Fault { failure, again: Again::Never, blame: Blame::Nobody }
    }
}

/// A failure of this machine.
impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Fault { failure: code.into(), again: Again::Never, blame: Blame::Here }
    }
}

/// Returns `text`, which the other end wrote, as one line of at most 2 KiB that
/// cannot steer a terminal: without escape sequences, control characters and
/// marks that change the direction of writing.
pub fn shown(text: &str) -> String {
    shown_within(text, SHOWN_BYTES_MAX)
}

/// The same, with at most `bytes_max`.
pub(super) fn shown_within(text: &str, bytes_max: usize) -> String {
    if has(Bug::TextShownRaw) {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // ECMA-48: a control sequence ends with a byte from `@` to `~`, a control string with BEL or ST.
            '\u{1b}' => match characters.next() {
                Some('[') => _ = characters.find(|end| ('@'..='~').contains(end)),
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    _ = characters.find(|&end| matches!(end, '\u{7}' | '\u{9c}' | '\u{1b}'));
                    characters.next_if_eq(&'\\');
                }
                _ => {}
            },
            '\u{9b}' => _ = characters.find(|end| ('@'..='~').contains(end)),
            _ if character.is_whitespace() => {
                if !shown.is_empty() && !shown.ends_with(' ') {
                    shown.push(' ');
                }
            }
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            _ if character.is_control() => {}
            _ if shown.len() + character.len_utf8() + '…'.len_utf8() > bytes_max => {
                shown.push('…');
                break;
            }
            _ => shown.push(character),
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nouns::access::Access, registry::endpoint};

    #[test]
    fn text_of_the_other_end_cannot_steer_a_terminal() {
        for (text, expected) in [
            ("manifest unknown", "manifest unknown"),
            ("  two\r\n\tlines ", "two lines"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;https://x/\u{1b}\\link", "link"),
            ("\u{9b}2Jcleared", "cleared"),
            ("\u{1b}(0x", "0x"),
            ("a\u{0}b\u{8}c\u{7f}", "abc"),
            ("user\u{202e}txt.exe", "usertxt.exe"),
            ("never ends \u{1b}[31", "never ends"),
            ("ünïcode ✓", "ünïcode ✓"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let cut = shown(&"é".repeat(SHOWN_BYTES_MAX));
        assert!(cut.len() <= SHOWN_BYTES_MAX && cut.ends_with("é…"), "{} bytes", cut.len());
    }

    #[test]
    fn failures_to_connect_are_told_apart() {
        let name = "registry.lan:5000/app".parse().expect("a reference");
        let endpoint = endpoint::choose(&name, &Access::default()).endpoints.remove(0);
        let plain = "if `registry.lan:5000` speaks plain HTTP, allow that with `--plain-http registry.lan:5000`";
        let listens = "check that a registry listens at `registry.lan:5000`, and that a proxy lets it through";
        for (error, code, again, why, fix) in [
            (
                HttpError::Name("no such host".to_owned()),
                ErrorCode::Unavailable,
                Again::Once,
                "the name `registry.lan:5000` does not resolve: no such host",
                Some("check the spelling of the registry's name, and the connection to the network"),
            ),
            (
                HttpError::Connect("connection refused".to_owned()),
                ErrorCode::Unavailable,
                Again::Soon,
                "cannot connect to `registry.lan:5000`: connection refused",
                Some(listens),
            ),
            (
                HttpError::Tls("received corrupt message of type InvalidContentType".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "`registry.lan:5000` does not speak TLS as expected: received corrupt message of type InvalidContentType",
                Some(plain),
            ),
            (
                HttpError::Certificate(Flaw::Time, "it expired at 2001-01-01T00:00:00Z".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "the certificate of `registry.lan:5000` is not acceptable: it expired at 2001-01-01T00:00:00Z",
                Some("have the certificate renewed, and check the clock of this machine"),
            ),
            (
                HttpError::Certificate(Flaw::Authority, "it is self-signed".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "the certificate of `registry.lan:5000` is not acceptable: it is self-signed",
                Some(
                    "add the authority that signed it to `ca` in the `hosts.toml` of `registry.lan:5000`, or to the \
                     certificates of the system",
                ),
            ),
            (
                HttpError::Certificate(Flaw::Name, "it is for `other.lan`".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "the certificate of `registry.lan:5000` is not acceptable: it is for `other.lan`",
                Some("use a name that the certificate is for, or have it made for `registry.lan:5000` as well"),
            ),
            (
                HttpError::Client("it demands a certificate of the client".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "`registry.lan:5000` wants to know who the client is: it demands a certificate of the client",
                Some("name a certificate and its key as `client` in the `hosts.toml` of `registry.lan:5000`"),
            ),
            (
                HttpError::Denied("a link-local address".to_owned()),
                ErrorCode::Denied,
                Again::Never,
                "this host does not allow requests to `registry.lan:5000`: a link-local address",
                None,
            ),
            (
                HttpError::Timeout,
                ErrorCode::Unavailable,
                Again::Soon,
                "`registry.lan:5000` did not answer in time",
                None,
            ),
            (
                HttpError::Broken("reset".to_owned()),
                ErrorCode::Unavailable,
                Again::Soon,
                "the connection to `registry.lan:5000` broke: reset",
                None,
            ),
        ] {
            let failure = Failure { code, why: vec![why.to_owned()], fix: fix.map(str::to_owned) };
            let fault = Fault::of_http(&error, &endpoint.origin, &endpoint, false);
            assert_eq!((fault.failure, fault.again), (failure, again));
        }
        let elsewhere = Origin { secure: true, authority: "cdn.example".to_owned() };
        let fault = Fault::of_http(&HttpError::Tls("closed".to_owned()), &elsewhere, &endpoint, false);
        assert_eq!(fault.failure.fix, None, "plain HTTP is for registries, not for what they redirect to");

        let network = Some("check the connection to the network and its name server".to_owned());
        for (origin, answered, again) in
            [(&endpoint.origin, true, Again::Soon), (&elsewhere, true, Again::Soon), (&elsewhere, false, Again::Once)]
        {
            let fault = Fault::of_http(&HttpError::Name("server failure".to_owned()), origin, &endpoint, answered);
            assert_eq!((fault.again, fault.failure.fix), (again, network.clone()), "nobody misspelled `{origin:?}`");
        }
    }

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        assert_eq!(
            Failure::from(ErrorCode::NoSpace),
            Failure {
                code: ErrorCode::NoSpace,
                why: vec!["there is no space left where the store is".to_owned()],
                fix: Some("free space where the store is; what has arrived of other blobs is kept".to_owned()),
            }
        );
    }
}
