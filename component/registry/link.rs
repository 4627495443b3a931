//! The grammar of the `Link` header, as far as paging needs it. It does not
//! resolve what it finds.
//!
//! ```text
//! header  = link *( "," link )
//! link    = "<" URI-reference ">" *( OWS ";" OWS parameter )
//! ```
//!
//! RFC 8288 section 3; distribution-spec, “Listing Tags”.

use super::quoted;

/// Returns the first link of `header` whose relation is `next`. None if there
/// is none, or if the header breaks the grammar before it.
pub fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<')?;
        let (reference, after) = rest.split_once('>')?;
        let (mut parameters, after) = after.split_at(quoted::find(after, b','));
        while !parameters.is_empty() {
            let (parameter, further) = parameters.split_at(quoted::find(parameters, b';'));
            if is_relation_next(parameter) {
                return Some(reference);
            }
            parameters = further.get(1..).unwrap_or_default();
        }
        rest = after;
    }
}

/// Whether a parameter is `rel` and has `next` among its relations.
fn is_relation_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel")
        && value.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_and_others_are_not() {
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=1>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=1")),
            ("<p?n=1>;rel=next", Some("p?n=1")),
            ("<p>; title=\"a, <b>; rel=\\\"x\\\"\"; REL=\"first NEXT\"", Some("p")),
            ("<one>; rel=\"prev\", <two>; rel=\"next\"", Some("two")),
            ("<a,b;c>; rel=next", Some("a,b;c")),
            ("<>; rel=next", Some("")),
            ("<one>; title=\"x; rel=next\"; rel=prev", None),
            ("<one>; rel=\"prev\"", None),
            ("<one>", None),
            ("</v2/_catalog", None),
            ("/v2/_catalog>; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(header), expected, "{header}");
        }
    }
}
