//! What a failure of TLS is called, for somebody who has not read RFC 8446.
//!
//! It judges no certificate. Names and times of a certificate are the server's claims, and are repeated on one line.

use super::{Error, Flaw, brief};
use crate::network::tls::Doubt;
use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage, OtherError, PeerIncompatible};
use std::collections::BTreeSet;

/// How many names of a certificate are told.
const NAMES_MAX: usize = 3;

/// What servers say that want another certificate of the client, or any at all. RFC 8446 section 6.2.
const ABOUT_THE_CLIENT: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
];

/// Says what failed between here and `authority`.
pub(super) fn of_tls(authority: String, error: &TlsError) -> Error {
    match error {
        TlsError::InvalidCertificate(error) => {
            let (flaw, why) = of_certificate(error);
            Error::Certificate { authority, flaw, why }
        }
        TlsError::NoCertificatesPresented => {
            Error::Certificate { authority, flaw: Flaw::Other, why: "there is none".to_owned() }
        }
        TlsError::AlertReceived(alert) if ABOUT_THE_CLIENT.contains(alert) => of_client(authority, *alert),
        TlsError::AlertReceived(AlertDescription::ProtocolVersion)
        | TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Error::Tls { authority, why: "it speaks neither TLS 1.2 nor TLS 1.3".to_owned() },
        TlsError::AlertReceived(alert) => Error::Tls { authority, why: format!("it sent the alert {alert:?}") },
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Error::Tls { authority, why: "what answers does not speak TLS".to_owned() }
        }
        error => Error::Tls { authority, why: brief(&error.to_string()) },
    }
}

/// The same for the text of an error. HTTP/2 keeps no more of an I/O error than that, and with TLS 1.3 the server
/// looks at the client's certificate when the client is done with the handshake: RFC 8446 section 4.4.
pub(super) fn of_tls_text(authority: &str, text: &str) -> Option<Error> {
    let says = |alert: &&AlertDescription| text.contains(&TlsError::AlertReceived(**alert).to_string());
    ABOUT_THE_CLIENT.iter().find(says).map(|alert| of_client(authority.to_owned(), *alert))
}

fn of_client(authority: String, alert: AlertDescription) -> Error {
    let why = match alert {
        AlertDescription::CertificateRequired => "it demands a certificate of the client".to_owned(),
        alert => format!("it lets in no client without a certificate that it accepts, and sent the alert {alert:?}"),
    };
    Error::Client { authority, why }
}

fn of_certificate(error: &CertificateError) -> (Flaw, String) {
    match error {
        CertificateError::UnknownIssuer => {
            (Flaw::Authority, "it is signed by an authority that is not trusted here".to_owned())
        }
        CertificateError::Expired => (Flaw::Time, "it has expired".to_owned()),
        CertificateError::ExpiredContext { not_after, .. } => (Flaw::Time, format!("it expired at {}", at(*not_after))),
        CertificateError::NotValidYet => (Flaw::Time, "it is not valid yet".to_owned()),
        CertificateError::NotValidYetContext { time, not_before } => {
            (Flaw::Time, format!("it is valid from {}, and it is {} here", at(*not_before), at(*time)))
        }
        CertificateError::NotValidForName => (Flaw::Name, "it is for another name".to_owned()),
        CertificateError::NotValidForNameContext { expected, presented } => {
            (Flaw::Name, format!("it is for {}, and not for `{}`", names(presented), expected.to_str()))
        }
        CertificateError::Revoked => (Flaw::Other, "it is revoked".to_owned()),
        CertificateError::BadSignature => (Flaw::Other, "its signature is wrong".to_owned()),
        CertificateError::BadEncoding => (Flaw::Other, "it cannot be read".to_owned()),
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(doubt @ (Doubt::SelfSigned | Doubt::Authority)) => (Flaw::Authority, doubt.to_string()),
            None => (Flaw::Other, brief(&other.to_string())),
        },
        error => (Flaw::Other, brief(&error.to_string())),
    }
}

fn at(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| "a time beyond the calendar".to_owned(), |timestamp| timestamp.to_string())
}

/// Returns the names of a certificate, of which the verifier gives a description each.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        format!("`{}`", brief(inner.trim_matches('"')))
    };
    let names: BTreeSet<_> = presented.iter().map(bare).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut told: Vec<_> = names.into_iter().take(NAMES_MAX).collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    match told.pop() {
        None => "no host".to_owned(),
        Some(last) if told.is_empty() => last,
        Some(last) => format!("{} and {last}", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_a_short_list() {
        for (presented, expected) in [
            (&[][..], "no host"),
            (&["DnsName(\"a.example\")"], "`a.example`"),
            (&["DnsName(\"*.a.example\")", "IpAddress(127.0.0.1)"], "`*.a.example` and `127.0.0.1`"),
            (&["DnsName(\"c\")", "DnsName(\"a\")", "DnsName(\"b\")", "DnsName(\"a\")"], "`a`, `b` and `c`"),
            (&["DnsName(\"a\")", "DnsName(\"b\")", "DnsName(\"c\")", "DnsName(\"d\")"], "`a`, `b`, `c` and 1 more"),
            (&["DnsName(\"a\u{1b}[31m\")"], "`a\\u{1b}[31m`"),
        ] {
            let presented: Vec<_> = presented.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(&presented), expected);
        }
    }

    #[test]
    fn only_alerts_about_the_client_are_its_fault() {
        let of = |alert| of_tls_text("a", &format!("io: {}", TlsError::AlertReceived(alert)));
        for alert in ABOUT_THE_CLIENT {
            assert!(matches!(of(alert), Some(Error::Client { .. })), "{alert:?}");
        }
        assert_eq!(of(AlertDescription::HandshakeFailure), None);
        assert_eq!(of_tls_text("a", "connection reset by peer"), None);
    }
}
