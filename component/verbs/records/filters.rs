//! Which records a list has: expressions as containerd has them, of which one has to match, and without one everything
//! does. What a record of the kind does not have is absent, as in containerd, and is no error.

use crate::{
    nouns::{expression::Expression, filter::FILTERS_MAX},
    registry::Failure,
    verbs::failing::{because, invalid},
};

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
