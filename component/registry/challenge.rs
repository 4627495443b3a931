//! The grammar of `WWW-Authenticate`, and the choice among what it offers. It
//! does not answer a challenge; the host does.
//!
//! ```text
//! header     = [ element ] *( "," [ element ] )
//! element    = scheme [ 1*SP ( token68 / parameter ) ]  /  parameter
//! parameter  = token BWS "=" BWS ( token / quoted-string )
//! ```
//!
//! RFC 9110 section 11.6.1. A comma separates both challenges and the
//! parameters of one challenge, so that what an element is depends on the `=`
//! after its first token. Where a registry breaks the grammar, what is broken
//! is dropped up to the next comma and the rest counts: an unquoted URL is
//! taken as it is, a value without an end is not taken.

use super::quoted;
use crate::host::Challenge;

/// A longer header is not read.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Further challenges of a header are not read.
const OFFERS_MAX: usize = 16;
/// Further parameters of a challenge are not read.
const PARAMETERS_MAX: usize = 32;
/// Further scopes of a challenge are not asked for.
const SCOPES_MAX: usize = 16;

/// One challenge, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// In lower case, as in `bearer`.
    pub scheme: String,
    /// In the order of the header. Names are in lower case, values unescaped.
    pub parameters: Vec<(String, String)>,
}

impl Offer {
    /// Returns the first parameter of this name that has a value.
    fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

/// Chooses what to answer among the headers of a response: the first bearer
/// challenge that has a realm, otherwise basic. Without a scope of the
/// registry's own, `scope` is asked for, as in `repository:library/alpine:pull`.
///
/// Fails with the schemes that were offered, when none of them is known here.
pub fn choose<'a>(headers: impl IntoIterator<Item = &'a str>, scope: Option<&str>) -> Result<Challenge, Vec<String>> {
    let offers: Vec<Offer> = headers.into_iter().flat_map(parse).take(OFFERS_MAX).collect();
    let bearer = offers.iter().filter(|offer| offer.scheme == "bearer").find_map(|offer| {
        let realm = offer.value("realm")?.to_owned();
        let service = offer.value("service").map(str::to_owned);
        let mut scopes: Vec<String> = offer
            .value("scope")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .take(SCOPES_MAX)
            .map(str::to_owned)
            .collect();
        if scopes.is_empty() {
            scopes.extend(scope.map(str::to_owned));
        }
        Some(Challenge::Bearer { realm, service, scopes })
    });
    match bearer {
        Some(bearer) => Ok(bearer),
        None if offers.iter().any(|offer| offer.scheme == "basic") => Ok(Challenge::Basic),
        None => Err(offers.into_iter().map(|offer| offer.scheme).collect()),
    }
}

/// Returns what to answer so that a grant is good for more than the one for
/// `known`, when a response says that its scope is not enough. None if it says
/// something else, or names no scope that was not asked for. RFC 6750 section 3.1.
pub fn wider<'a>(headers: impl IntoIterator<Item = &'a str>, known: &Challenge) -> Option<Challenge> {
    let Challenge::Bearer { realm, service, scopes } = known else { return None };
    let offers = headers.into_iter().flat_map(parse).take(OFFERS_MAX);
    let missing = offers
        .filter(|offer| offer.scheme == "bearer" && offer.value("error") == Some("insufficient_scope"))
        .find_map(|offer| offer.value("scope").map(str::to_owned))?;
    let mut wider = scopes.clone();
    for scope in missing.split_ascii_whitespace() {
        if wider.len() < SCOPES_MAX && !wider.iter().any(|known| known == scope) {
            wider.push(scope.to_owned());
        }
    }
    let (realm, service) = (realm.clone(), service.clone());
    (wider.len() > scopes.len()).then_some(Challenge::Bearer { realm, service, scopes: wider })
}

/// Adds rights to what a challenge asks for, as in `repository:a/b:pull,push`. One
/// for a resource that it names already stands in the place of that: registries ask
/// for what one request needs, and a push has many.
pub(super) fn with(challenge: Challenge, rights: &[String]) -> Challenge {
    let Challenge::Bearer { realm, service, mut scopes } = challenge else { return challenge };
    let resource = |scope: &str| scope.rsplit_once(':').map_or(scope, |(resource, _)| resource).to_owned();
    scopes.retain(|scope| !rights.iter().any(|right| resource(right) == resource(scope)));
    scopes.splice(0..0, rights.iter().take(SCOPES_MAX).cloned());
    scopes.truncate(SCOPES_MAX);
    Challenge::Bearer { realm, service, scopes }
}

/// Reads one header. Never fails: a header that makes no sense offers nothing.
pub fn parse(header: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    if header.len() > HEADER_BYTES_MAX {
        return offers;
    }
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if rest.is_empty() {
            return offers;
        } else if name.is_empty() {
            rest = next_element(rest);
        } else if let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            let (value, after) = parameter_value(after.trim_start_matches([' ', '\t']));
            if let (Some(value), Some(offer)) = (value, offers.last_mut())
                && offer.parameters.len() < PARAMETERS_MAX
            {
                offer.parameters.push((name.to_ascii_lowercase(), value));
            }
            rest = next_element(after);
        } else if offers.len() == OFFERS_MAX {
            return offers;
        } else {
            offers.push(Offer { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
            rest = if begins_parameter(after) { after } else { next_element(after) };
        }
    }
}

/// Whether what follows a scheme is its first parameter; otherwise it is a
/// token68 or nothing.
fn begins_parameter(after_scheme: &str) -> bool {
    let (name, after) = token(after_scheme.trim_start_matches([' ', '\t']));
    !name.is_empty() && after.trim_start_matches([' ', '\t']).starts_with('=')
}

/// Splits off a token. RFC 9110 section 5.6.2.
fn token(text: &str) -> (&str, &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.split_at(text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len()))
}

/// Splits off a value: none if it is empty and unquoted, or never ends.
fn parameter_value(text: &str) -> (Option<String>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return ((end > 0).then(|| text[..end].to_owned()), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (Some(value), &quoted[at + 1..]),
            '\\' => match characters.next() {
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            _ => value.push(character),
        }
    }
    (None, "")
}

/// Skips to behind the next comma that is not inside a quoted string.
fn next_element(text: &str) -> &str {
    text.get(quoted::find(text, b',') + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(scheme: &str, parameters: &[(&str, &str)]) -> Offer {
        let parameters = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Offer { scheme: scheme.to_owned(), parameters }
    }

    #[test]
    fn headers_are_read_by_the_grammar() {
        for (header, expected) in [
            ("", vec![]),
            (" , ,", vec![]),
            ("Basic", vec![offer("basic", &[])]),
            ("Basic  ", vec![offer("basic", &[])]),
            (r#"bAsIc rEaLm="Registry""#, vec![offer("basic", &[("realm", "Registry")])]),
            (
                r#"Bearer realm="https://a/token",service="x,y",scope="repository:a/b:pull,push repository:c/d:pull""#,
                vec![offer(
                    "bearer",
                    &[
                        ("realm", "https://a/token"),
                        ("service", "x,y"),
                        ("scope", "repository:a/b:pull,push repository:c/d:pull"),
                    ],
                )],
            ),
            (
                r#"Negotiate, Digest realm="x" , nonce = y,, Bearer realm="https://h/t", Basic realm="z""#,
                vec![
                    offer("negotiate", &[]),
                    offer("digest", &[("realm", "x"), ("nonce", "y")]),
                    offer("bearer", &[("realm", "https://h/t")]),
                    offer("basic", &[("realm", "z")]),
                ],
            ),
            ("Negotiate abc/def==, Basic", vec![offer("negotiate", &[]), offer("basic", &[])]),
            // A token68 that looks like a scheme is none.
            ("Negotiate Basic", vec![offer("negotiate", &[])]),
            (
                "Bearer realm = \"https://h/t\"\t,service=s, scope  =\"a\"  ",
                vec![offer("bearer", &[("realm", "https://h/t"), ("service", "s"), ("scope", "a")])],
            ),
            (
                r#"Bearer foo="foo\"bar",hello="\"hello\\""#,
                vec![offer("bearer", &[("foo", "foo\"bar"), ("hello", "\"hello\\")])],
            ),
            ("Bearer realm=https://h/t,service=", vec![offer("bearer", &[("realm", "https://h/t")])]),
            (r#"Bearer realm="https://h/t",service="cut"#, vec![offer("bearer", &[("realm", "https://h/t")])]),
            (r#"Bearer realm="https://h/t",service="cut\"#, vec![offer("bearer", &[("realm", "https://h/t")])]),
            // Without the comma the second one is dropped, and what comes after the next comma counts.
            (
                r#"Bearer realm="https://h/t" service="a,b", scope="c""#,
                vec![offer("bearer", &[("realm", "https://h/t"), ("scope", "c")])],
            ),
            (r#"realm="of nobody", Basic"#, vec![offer("basic", &[])]),
            (r#""quoted, Bearer realm=x", Basic"#, vec![offer("basic", &[])]),
            ("Bearer realm=\"https://ünïcode/\"", vec![offer("bearer", &[("realm", "https://ünïcode/")])]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn an_endless_header_is_bounded() {
        assert_eq!(parse(&format!("Basic realm=\"{}\"", "x".repeat(HEADER_BYTES_MAX))), vec![]);
        assert_eq!(parse(&"a, ".repeat(1000)).len(), OFFERS_MAX);
        assert_eq!(parse(&format!("a {}", "b=c, ".repeat(1000)))[0].parameters.len(), PARAMETERS_MAX);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "[Baer \\t,=\"\\\\é/;]{0,60}") {
            for offer in parse(&header) {
                prop_assert!(!offer.scheme.is_empty());
                prop_assert!(offer.parameters.iter().all(|(name, _)| !name.is_empty()));
            }
        }

        #[test]
        fn a_well_formed_challenge_survives_a_round_trip(values in prop::collection::vec("[ -~]{1,20}", 1..5)) {
            let quoted = |value: &String| format!("x=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            let header = format!("Negotiate abc=, Some {}, Basic", values.iter().map(quoted).collect::<Vec<_>>().join(" , "));
            let parameters = values.into_iter().map(|value| ("x".to_owned(), value)).collect();
            let some = Offer { scheme: "some".to_owned(), parameters };
            prop_assert_eq!(&parse(&header)[1..], &[some, offer("basic", &[])][..]);
        }
    }

    #[test]
    fn a_scope_that_is_missing_is_added() {
        let bearer = |scopes: &[&str]| Challenge::Bearer {
            realm: "https://h/t".to_owned(),
            service: None,
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        };
        let known = bearer(&["repository:a/b:pull"]);
        for (headers, expected) in [
            (
                &["Basic", r#"BEARER error="insufficient_scope",scope="repository:a/b:pull repository:c/d:pull""#][..],
                Some(bearer(&["repository:a/b:pull", "repository:c/d:pull"])),
            ),
            // It was asked for already: another grant would be no wider.
            (&[r#"Bearer error="insufficient_scope",scope="repository:a/b:pull""#], None),
            (&[r#"Bearer error="insufficient_scope""#], None),
            (&[r#"Bearer error="invalid_token",scope="repository:c/d:pull""#], None),
            (&[r#"Bearer scope="repository:c/d:pull""#], None),
            (&[], None),
        ] {
            assert_eq!(wider(headers.iter().copied(), &known), expected, "{headers:?}");
        }
        assert_eq!(wider([r#"Bearer error="insufficient_scope",scope="x""#], &Challenge::Basic), None);
    }

    #[test]
    fn bearer_is_preferred_then_basic_whatever_the_order() {
        let bearer = |service: Option<&str>, scopes: &[&str]| {
            Ok(Challenge::Bearer {
                realm: "https://h/t".to_owned(),
                service: service.map(str::to_owned),
                scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            })
        };
        for (headers, expected) in [
            (&["Basic realm=\"x\"", "Bearer realm=\"https://h/t\""][..], bearer(None, &["repository:a/b:pull"])),
            (&["Basic, BEARER REALM=\"https://h/t\", Digest"], bearer(None, &["repository:a/b:pull"])),
            (&["Bearer realm=\"https://h/t\",service=\"\",scope=\"\""], bearer(None, &["repository:a/b:pull"])),
            (
                &["Negotiate", "Bearer realm=\"https://h/t\",scope=\"s1 s2\",service=\"s\""],
                bearer(Some("s"), &["s1", "s2"]),
            ),
            (&["Bearer service=\"no realm\"", "Basic realm=\"x\""], Ok(Challenge::Basic)),
            (&["Bearer realm=\"\"", "Bearer realm=\"https://h/t\""], bearer(None, &["repository:a/b:pull"])),
            (&["Negotiate", "Digest realm=\"x\""], Err(vec!["negotiate".to_owned(), "digest".to_owned()])),
            (&[], Err(vec![])),
        ] {
            let scope = Some("repository:a/b:pull");
            assert_eq!(choose(headers.iter().copied(), scope), expected, "{headers:?}");
        }
    }
}
