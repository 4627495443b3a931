//! How messages follow each other, as a client says by `Accept` from API 1.52 on.
//! RFC 9110, section 12.5.1.
//!
//! ```text
//! application/json      one object a line, and docker's oldest name for it; so without `Accept`
//! application/x-ndjson  the same
//! application/json-seq  a mark, an object, the end of the line: RFC 7464
//! ```

use crate::docker::version::Version;

/// The types, the best first where a client has no preference.
const FORMS: [Form; 3] = [Form::Lines, Form::Sequence, Form::Json];
/// What stands before each object of a sequence.
const MARK: u8 = 0x1e;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Lines,
    Sequence,
}

impl Form {
    /// Returns what a client wants that sends this `Accept`, which may be empty.
    pub(super) fn wanted(accept: &str, version: Version) -> Self {
        if !version.since(52) {
            return Self::Json;
        }
        let mut best = (0, 0, Self::Json);
        for form in FORMS {
            // The range that says most of a type says how much it is wanted.
            let of_form = ranges(accept).filter_map(|(range, weight)| Some((form.precision(range)?, weight)));
            let Some((precision, weight)) = of_form.max_by_key(|(precision, _)| *precision) else { continue };
            if weight > 0 && (weight, precision) > (best.0, best.1) {
                best = (weight, precision, form);
            }
        }
        best.2
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Sequence => "application/json-seq",
        }
    }

    /// What stands before an object.
    pub(super) fn mark(self) -> Option<u8> {
        (self == Self::Sequence).then_some(MARK)
    }

    /// How precisely a range means this type, if it does.
    fn precision(self, range: &str) -> Option<u8> {
        let is = |text: &str| range.eq_ignore_ascii_case(text);
        if is(self.content_type()) {
            Some(3)
        } else if is("application/*") {
            Some(2)
        } else {
            is("*/*").then_some(1)
        }
    }
}

/// Returns each range of types with its weight in thousandths. One whose weight is none is not wanted.
fn ranges(accept: &str) -> impl Iterator<Item = (&str, u32)> {
    accept.split(',').map(|part| {
        let mut parts = part.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let weight = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
        });
        (range, (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_how_messages_follow_each_other() {
        let rows = [
            ("", Form::Json),
            ("application/json-seq", Form::Sequence),
            ("application/x-ndjson", Form::Lines),
            ("application/json", Form::Json),
            ("text/html", Form::Json),
            ("*/*", Form::Lines),
            ("application/*;q=0.5", Form::Lines),
            ("Application/JSON-Seq; q=1, application/x-ndjson;q=0.9", Form::Sequence),
            ("application/json-seq;q=0.1, application/x-ndjson;q=0.2", Form::Lines),
            ("application/json-seq, */*", Form::Sequence),
            ("application/json, */*;q=0.8", Form::Json),
            ("application/x-ndjson;q=0, */*", Form::Sequence),
            ("application/json-seq;q=0", Form::Json),
            ("application/json-seq;q=nonsense, application/x-ndjson;q=0.001", Form::Lines),
            (",;,=,q=", Form::Json),
        ];
        for (accept, expected) in rows {
            assert_eq!(Form::wanted(accept, Version::of(52)), expected, "{accept}");
            assert_eq!(Form::wanted(accept, Version::of(51)), Form::Json, "{accept}");
        }
    }
}
