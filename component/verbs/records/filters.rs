//! Which records a list has: expressions as containerd has them, of which one has to match, and without one everything
//! does. What a record of the kind does not have is absent, as in containerd, and is no error.

use crate::{
    nouns::{expression::Expression, filter::FILTERS_MAX, problem::Problem},
    registry::Failure,
    verbs::failing::{because, invalid, problem},
};

/// Says whether something passes filters, by its fields. See `records.matches`.
pub fn matches(filters: &[String], fields: &[(String, String)]) -> Result<bool, Problem> {
    let filters = Filters::read(filters).map_err(problem("cannot read the filters"))?;
    Ok(filters.pass(|path| {
        let wanted = path.join(".");
        let found = fields.iter().find(|(path, _)| *path == wanted);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }))
}

/// Filters that were read.
pub(super) struct Filters(Vec<Expression>);

impl Filters {
    /// Reads filters.
    pub(super) fn read(texts: &[String]) -> Result<Self, Failure> {
        if texts.len() > FILTERS_MAX {
            return Err(invalid(format!("{} filters are more than {FILTERS_MAX}", texts.len())));
        }
        let read = |text: &String| {
            let told = because(format!("`{}` is no filter", text.escape_debug()));
            Expression::parse(text).map_err(invalid).map_err(told)
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a record passes. `field` returns what is at a path of it, if there is something.
    pub(super) fn pass<'a>(&self, field: impl Fn(&[String]) -> Option<&'a str>) -> bool {
        self.0.is_empty() || self.0.iter().any(|expression| expression.pass(&field))
    }
}

/// Returns the value of a label that a path names after its first part.
pub(super) fn labelled<'l>(labels: &'l [(String, String)], path: &[String]) -> Option<&'l str> {
    let wanted = path.get(1..)?.join(".");
    labels.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::problem::ErrorCode;

    #[test]
    fn one_filter_has_to_match_and_what_is_empty_is_absent() {
        let fields = [("topic", "/images/create"), ("event.labels.a.b", "c"), ("event.key", "")]
            .map(|(path, value)| (path.to_owned(), value.to_owned()));
        let rows: [(&[&str], bool); 9] = [
            (&[], true),
            (&[""], true),
            (&["topic==\"/images/create\""], true),
            (&["topic~=^/images/"], true),
            (&["topic==\"/images/delete\"", "event.labels.a.b==c"], true),
            (&["topic==\"/images/delete\",event.labels.a.b==c"], false),
            (&["event.labels.\"a.b\""], true),
            (&["event.key"], false),
            (&["other"], false),
        ];
        for (filters, expected) in rows {
            let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
            assert_eq!(matches(&filters, &fields), Ok(expected), "{filters:?}");
        }
        let refused = matches(&["topic=".to_owned()], &fields).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Invalid);
        assert!(refused.why[0].contains("is no filter"), "{refused:?}");
    }
}
