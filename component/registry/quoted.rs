//! Where a piece of a header ends when quoted strings may hold its delimiter,
//! RFC 9110 section 5.6.4. It does not unescape.

/// Returns the offset of the first `delimiter`, an ASCII byte, outside quoted
/// strings, or the length of `text`.
pub(super) fn find(text: &str, delimiter: u8) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == delimiter && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_inside_quotes_do_not_count() {
        for (text, expected) in
            [("a,b", 1), (r#""a,b",c"#, 5), (r#""a\",b",c"#, 7), (r#"a\,b"#, 2), (r#""never ends,"#, 12), ("", 0)]
        {
            assert_eq!(find(text, b','), expected, "{text}");
        }
    }
}
