//! TOML with the places of its parts, so that what is wrong can be told with line and column. It knows no format that is
//! written in TOML.
//!
//! A value is never repeated in an error: it may be a secret.

use super::Error;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file, for saying where something is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    /// Takes the bytes of a file for text.
    pub(super) fn new(file: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let why = || "it is not text in UTF-8".to_owned();
        let text =
            std::str::from_utf8(bytes).map_err(|_| Error::Wrong { file: file.to_owned(), place: None, why: why() })?;
        // Editors of some systems put a byte order mark in front.
        Ok(Self { file, text: text.strip_prefix('\u{feff}').unwrap_or(text) })
    }

    /// Reads it as TOML.
    pub(super) fn parse(self) -> Result<Spanned<DeTable<'a>>, Error> {
        DeTable::parse(self.text).map_err(|error| {
            let why = format!("it is not TOML: {}", error.message().trim().replace('\n', ", "));
            self.wrong(error.span().map_or(0, |span| span.start), why)
        })
    }

    /// Returns the error about what stands at a byte.
    pub(super) fn wrong(self, at: usize, why: impl Into<String>) -> Error {
        Error::Wrong { file: self.file.to_owned(), place: Some((self.line(at), self.column(at))), why: why.into() }
    }

    /// Returns the line of a byte, from 1.
    pub(super) fn line(self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    fn column(self, at: usize) -> usize {
        let before = self.before(at);
        before[before.rfind('\n').map_or(0, |end| end + 1)..].chars().count() + 1
    }

    fn before(self, at: usize) -> &'a str {
        self.text.get(..at).unwrap_or(self.text)
    }
}

/// A value, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) source: Source<'a>,
    /// What it is the value of.
    pub(super) key: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Takes a whole file.
    pub(super) fn whole(source: Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { source, table: table.get_ref() }
    }

    /// Returns what stands there, in the order of the file.
    pub(super) fn entries(self) -> impl Iterator<Item = (Range<usize>, Value<'a>)> {
        self.table
            .iter()
            .map(move |(key, value)| (key.span(), Value { source: self.source, key: key.get_ref(), value }))
    }
}

impl<'a> Value<'a> {
    /// Returns the error about it.
    pub(super) fn wrong(self, why: impl Into<String>) -> Error {
        self.source.wrong(self.value.span().start, why)
    }

    fn expected(self, what: &str) -> Error {
        self.wrong(format!("`{}` has to be {what}", self.key.escape_debug()))
    }

    /// Returns a sentence about it that says where it is.
    pub(super) fn told(self, what: &str) -> String {
        format!("`{}`, line {}: {what}", self.source.file.display(), self.line())
    }

    /// Returns the line where it begins, from 1.
    pub(super) fn line(self) -> usize {
        self.source.line(self.value.span().start)
    }

    /// Returns its text, if it is one.
    pub(super) fn as_text(self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns its elements, if it has some.
    pub(super) fn as_list(self) -> Option<Vec<Self>> {
        match self.value.get_ref() {
            DeValue::Array(array) => Some(array.iter().map(|value| Self { value, ..self }).collect()),
            _ => None,
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Error> {
        self.as_text().ok_or_else(|| self.expected("a text"))
    }

    pub(super) fn flag(self) -> Result<bool, Error> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    pub(super) fn list(self) -> Result<Vec<Self>, Error> {
        self.as_list().ok_or_else(|| self.expected("a list"))
    }

    /// Returns the elements of a list of texts.
    pub(super) fn texts(self) -> Result<Vec<&'a str>, Error> {
        self.list()?.into_iter().map(Self::text).collect()
    }

    /// Returns a text as a list of one, or a list of texts.
    pub(super) fn text_or_texts(self) -> Result<Vec<&'a str>, Error> {
        if let Some(text) = self.as_text() {
            return Ok(vec![text]);
        }
        let texts = self.as_list().and_then(|list| list.into_iter().map(Self::as_text).collect());
        texts.ok_or_else(|| self.expected("a text or a list of texts"))
    }

    pub(super) fn table(self) -> Result<Table<'a>, Error> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(Table { source: self.source, table }),
            _ => Err(self.expected("a table")),
        }
    }
}
