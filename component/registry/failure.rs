//! Why a request to a registry failed, for the verb that tells it to a person,
//! and text of the other end made fit to be shown. It does not read responses.

use super::{endpoint::Endpoint, retry::Again};
use crate::{
    host::{HttpError, Origin},
    nouns::problem::{ErrorCode, Problem},
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

/// A failure of one attempt, and whether there may be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    pub(super) again: Again,
}

impl Fault {
    /// A failure that would only repeat itself.
    pub(super) fn last(code: ErrorCode, why: impl Into<String>) -> Self {
        Fault { failure: Failure::new(code, why), again: Again::Never }
    }

    /// A failure that may pass.
    pub(super) fn passing(code: ErrorCode, why: impl Into<String>) -> Self {
        Fault { failure: Failure::new(code, why), again: Again::Soon }
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
            HttpError::Tls(text) if text.to_ascii_lowercase().contains("certificate") => (
                ErrorCode::Unavailable,
                Again::Never,
                format!("the certificate of `{authority}` is not acceptable: {}", shown(text)),
                Some(format!("make the machine trust the authority that signed the certificate of `{authority}`")),
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
        Fault { failure: Failure { code, why: vec![why], fix }, again }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Fault { failure, again: Again::Never }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Failure::from(code).into()
    }
}

/// Returns `text`, which the other end wrote, as one line of at most 2 KiB that
/// cannot steer a terminal: without escape sequences, control characters and
/// marks that change the direction of writing.
pub(super) fn shown(text: &str) -> String {
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
            _ if shown.len() + character.len_utf8() > SHOWN_BYTES_MAX - '…'.len_utf8() => {
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
        let endpoint = Endpoint {
            registry: "registry.lan:5000".to_owned(),
            origin: Origin { secure: true, authority: "registry.lan:5000".to_owned() },
        };
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
                HttpError::Tls("invalid peer certificate: Expired".to_owned()),
                ErrorCode::Unavailable,
                Again::Never,
                "the certificate of `registry.lan:5000` is not acceptable: invalid peer certificate: Expired",
                Some("make the machine trust the authority that signed the certificate of `registry.lan:5000`"),
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
            assert_eq!(Fault::of_http(&error, &endpoint.origin, &endpoint, false), Fault { failure, again });
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
