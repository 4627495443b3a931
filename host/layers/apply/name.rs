//! The names of entries: cleaned, split, and told apart from those that stand for what a layer removes. It opens nothing
//! and follows no links.
//!
//! ```text
//! ./usr//lib/../bin/ls    usr/bin/ls      cleaned as if it began at the root, so that it cannot climb
//! /../etc/passwd          etc/passwd
//! etc/.wh.passwd          whiteout        `etc/passwd` of the layers below is gone
//! etc/.wh..wh..opq        opaque          all of `etc` of the layers below is gone
//! etc/.wh..wh.plnk        ignored         notes that aufs kept for itself
//! ```
//!
//! OCI image-spec, layer.md, “Whiteouts”.

use std::borrow::Cow;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const OF_AUFS: &[u8] = b".wh..wh.";

/// The most bytes of a name that an error or a warning shows.
const SHOWN_BYTES_MAX: usize = 256;

/// What the last component of a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'n> {
    /// There is something of this name.
    Plain,
    /// What has this name in the layers below is gone.
    Whiteout(&'n [u8]),
    /// What the layers below have in this directory is gone.
    Opaque,
    /// Nothing that concerns an image.
    Ignored,
    /// It looks like a whiteout, of nothing or of a directory that it stands in.
    Invalid,
}

/// Returns what `base`, a component of a cleaned name, says.
pub(super) fn meaning(base: &[u8]) -> Meaning<'_> {
    match base.strip_prefix(WHITEOUT) {
        None => Meaning::Plain,
        Some(_) if base == OPAQUE => Meaning::Opaque,
        Some(_) if base.starts_with(OF_AUFS) => Meaning::Ignored,
        Some(b"" | b"." | b"..") => Meaning::Invalid,
        Some(name) => Meaning::Whiteout(name),
    }
}

/// Returns `name` relative to the root, as Go's `filepath.Clean` does with a slash before it: no empty component, no `.`,
/// no `..`. The root itself is empty. Links are not followed: `a/../b` is `b` whatever `a` is.
pub(in crate::layers) fn clean(name: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = trim(name);
    if components(trimmed).all(|component| !matches!(component, b"" | b"." | b"..")) || trimmed.is_empty() {
        return Cow::Borrowed(trimmed);
    }
    let mut cleaned = Vec::with_capacity(trimmed.len());
    for component in components(trimmed) {
        match component {
            b"" | b"." => {}
            b".." => cleaned.truncate(split(&cleaned).0.len()),
            component => push(&mut cleaned, component),
        }
    }
    Cow::Owned(cleaned)
}

/// Takes away what most writers put around every name.
fn trim(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"/").or_else(|| name.strip_prefix(b"./")) {
        name = rest;
    }
    while let Some(rest) = name.strip_suffix(b"/") {
        name = rest;
    }
    name
}

/// Returns the components of `path`. An empty path has one, which is empty.
pub(super) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
}

/// Splits a cleaned name into the directory and the last component. The directory of a name without a slash is the root.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (b"", name),
    }
}

/// Appends a component.
pub(super) fn push(path: &mut Vec<u8>, component: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(component);
}

/// Returns the two with a slash between them, if there is a need for one.
pub(super) fn join(directory: &[u8], base: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + base.len());
    path.extend_from_slice(directory);
    push(&mut path, base);
    path
}

/// Returns a name for people: whatever is no printable ASCII is escaped, and what is long is cut.
pub(super) fn shown(name: &[u8]) -> String {
    let (shown, dots) = match name.get(..SHOWN_BYTES_MAX) {
        Some(beginning) => (beginning, "…"),
        None => (name, ""),
    };
    format!("{}{dots}", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_from_the_root() {
        for (name, expected) in [
            (&b""[..], &b""[..]),
            (b".", b""),
            (b"./", b""),
            (b"/", b""),
            (b"///", b""),
            (b"..", b""),
            (b"../..", b""),
            (b"a", b"a"),
            (b"./a/", b"a"),
            (b"././/a", b"a"),
            (b"/a/b", b"a/b"),
            (b"a//b/./c", b"a/b/c"),
            (b"a/../b", b"b"),
            (b"a/b/..", b"a"),
            (b"../victim/x", b"victim/x"),
            (b"a/../../victim", b"victim"),
            (b"..a/b..", b"..a/b.."),
            (b"...", b"..."),
            (b"a\\..\\b", b"a\\..\\b"),
            (b"\xff/\xfe", b"\xff/\xfe"),
        ] {
            assert_eq!(clean(name), expected, "{}", shown(name));
        }
    }

    #[test]
    fn a_clean_name_stays_as_it_is() {
        for name in [&b"usr/lib/python3/x.py"[..], b"a", b""] {
            assert!(matches!(clean(name), Cow::Borrowed(same) if same == name));
        }
    }

    #[test]
    fn whiteouts_are_told_from_names_that_look_like_them() {
        for (base, expected) in [
            (&b"wh.a"[..], Meaning::Plain),
            (b".wh", Meaning::Plain),
            (b".wha", Meaning::Plain),
            (b".wh.a", Meaning::Whiteout(b"a")),
            (b".wh..a", Meaning::Whiteout(b".a")),
            (b".wh....", Meaning::Whiteout(b"...")),
            (b".wh..wh", Meaning::Whiteout(b".wh")),
            (b".wh..wh..opq", Meaning::Opaque),
            (b".wh..wh..opqx", Meaning::Ignored),
            (b".wh..wh.plnk", Meaning::Ignored),
            (b".wh.", Meaning::Invalid),
            (b".wh..", Meaning::Invalid),
            (b".wh...", Meaning::Invalid),
        ] {
            assert_eq!(meaning(base), expected, "{}", shown(base));
        }
    }

    #[test]
    fn a_name_is_split_and_joined() {
        for (name, parts) in [(&b"a"[..], (&b""[..], &b"a"[..])), (b"a/b", (b"a", b"b")), (b"a/b/c", (b"a/b", b"c"))] {
            assert_eq!(split(name), parts);
            assert_eq!(join(parts.0, parts.1), name);
        }
    }
}
