//! Text from outside, made harmless for a terminal.
//!
//! Control characters could move the cursor, set the title or hide what was
//! said; invisible and bidirectional ones could make a name look like another.
//! They are replaced by their names in Rust's notation, as in `\u{1b}` or `\n`.
//! Letters of every script stay as they are. It does not shorten.

use std::borrow::Cow;

/// Returns `text` with every character that cannot be seen replaced.
pub fn text(text: &str) -> Cow<'_, str> {
    // Most text is ASCII, and the first test is quick.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_visible) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_visible(c) { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    Cow::Owned(out)
}

/// Returns `text` on one line: white space of any kind becomes one space, and
/// the rest is as in [`text`].
pub fn line(text: &str) -> String {
    let words: Vec<Cow<'_, str>> = text.split_whitespace().map(self::text).collect();
    words.join(" ")
}

/// Returns whether a character can be shown as it is: the space, and everything
/// that Unicode does not class as control, format, separator, private or
/// unassigned.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // `char::escape_debug` would also escape combining marks, without which
    // many scripts cannot be written. `str::escape_debug` does so only for the
    // first character, hence the letter in front.
    let mut pair = [b'a'; 5];
    let length = c.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..=length]).expect("a letter and a character");
    pair.escape_debug().nth(1) == Some(c)
}
