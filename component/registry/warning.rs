//! The grammar of the `Warning` header, as far as registries use it. It tells
//! nobody.
//!
//! ```text
//! header  = warning *( OWS "," OWS warning )
//! warning = "299" SP "-" SP DQUOTE *( qdtext / quoted-pair ) DQUOTE
//! ```
//!
//! RFC 9111 section 5.5 has dropped the header, RFC 7234 section 5.5 defined
//! it, and the distribution-spec takes this much of it: code 299, no agent, no
//! date. A text may be percent-encoded, as containerd reads it. What breaks the
//! grammar is not a warning, and ends the header.

/// A longer header is not read.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Returns the texts of a header, unescaped. They are the other end's words:
/// make them fit to be shown.
pub fn texts(header: impl AsRef<[u8]>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = header.as_ref();
    if rest.len() > HEADER_BYTES_MAX {
        return texts;
    }
    while let Some((text, after)) = rest.strip_prefix(b"299 - \"").and_then(quoted) {
        let after = after.trim_ascii_start();
        if !after.is_empty() && after[0] != b',' {
            break;
        }
        texts.extend(decoded(text));
        rest = after.get(1..).unwrap_or_default().trim_ascii_start();
    }
    texts
}

/// Splits off a quoted string whose first quote is gone, RFC 9110 section
/// 5.6.4. None if it never ends, or holds what it may not.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some((value, &text[at + 1..])),
            b'\\' => {
                at += 1;
                value.push(*text.get(at).filter(|byte| is_text(**byte))?);
            }
            byte if is_text(byte) => value.push(byte),
            _ => return None,
        }
        at += 1;
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Takes percent-encoding back. None if that brings out what would have ended
/// the text, or the line.
fn decoded(text: Vec<u8>) -> Option<String> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut value = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let encoded = if text[at] == b'%' { digit(at + 1).zip(digit(at + 2)) } else { None };
        match encoded {
            Some((high, low)) => {
                let byte = u8::try_from(high * 16 + low).expect("two digits of 16 are a byte");
                if byte == b'"' || !is_text(byte) {
                    return None;
                }
                value.push(byte);
                at += 3;
            }
            None => {
                value.push(text[at]);
                at += 1;
            }
        }
    }
    Some(String::from_utf8_lossy(&value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_header_are_unescaped() {
        for (header, expected) in [
            (r#"299 - "message""#, &["message"][..]),
            (r#"299 - "one, two", 299 - "three""#, &["one, two", "three"]),
            ("299 - \"a\",299 - \"b\" \t, 299 - \"c\"", &["a", "b", "c"]),
            (r#"299 - "a \"b\" \\ \c""#, &[r#"a "b" \ c"#]),
            (r#"299 - "100%25 of%20it, and 5%""#, &["100% of it, and 5%"]),
            ("299 - \"ünïcode\"", &["ünïcode"]),
            (r#"299 - """#, &[""]),
            (r#"299 - "line%0aline""#, &[]),
            (r#"299 - "%22""#, &[]),
            (r#"199 - "another code""#, &[]),
            (r#"299 registry "an agent""#, &[]),
            (r#"299 - "a date" "Sat, 25 Aug 2012 23:34:45 GMT""#, &[]),
            (r#"299 - "good", 299 - "never ends"#, &["good"]),
            (r#"299 - "never ends\""#, &[]),
            ("299 - \"\u{7}\"", &[]),
            ("299 - \"\\\u{7f}\"", &[]),
            ("299  -  \"spaces\"", &[]),
            ("", &[]),
        ] {
            assert_eq!(texts(header), expected, "{header}");
        }
        assert_eq!(texts(b"299 - \"caf\xe9\""), ["caf\u{fffd}"]);
        assert_eq!(texts(format!("299 - \"{}\"", "x".repeat(HEADER_BYTES_MAX))), [""; 0]);
    }
}
