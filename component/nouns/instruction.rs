//! One instruction, as a line of a Dockerfile writes it, for what changes the config of an
//! image: its name, its flags and its words. Nothing is expanded here ([`expand`]), and
//! nothing is changed ([`apply`]).
//!
//! ```text
//! line  = name flag* rest
//! flag  = "--" word                              as in --interval=30s; "--" alone ends them
//! rest  = '["' … '"]'                            CMD, ENTRYPOINT, VOLUME, HEALTHCHECK: words as JSON
//!       | key "=" value …  |  key value          ENV, LABEL
//!       | word …                                 EXPOSE, VOLUME
//!       | text                                   anything else
//! ```
//!
//! Dockerfile reference, “Format”. Docker's parser is more than that text says, and where
//! it is, its tables are followed.

mod apply;
mod expand;
mod signal;

use super::json;
use serde_json::Value;

pub use apply::apply;
pub use expand::{expand, expand_words};

/// The longest text of a change, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// What a person gets to see of a text.
const SHOWN_BYTES_MAX: usize = 120;

/// Why an instruction is not one that is understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing.
    #[error("there is no instruction in it")]
    Empty,
    /// It is too long.
    #[error("it has more than {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing of a config is changed by it.
    #[error(
        "`{0}` changes no config; CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, \
         VOLUME and WORKDIR do"
    )]
    Unknown(String),
    /// It has too few words.
    #[error("{0} needs {1}")]
    Lacking(&'static str, &'static str),
    /// A word of several is not a key with a value.
    #[error("`{0}` has no `=`: several of {1} are written as in `key=value`")]
    NoValue(String, &'static str),
    /// An array of JSON has something else than texts.
    #[error("its words in brackets have to be texts")]
    NoTexts,
    /// It has a flag that it does not know.
    #[error("{0} has no flag `{1}`")]
    Flag(&'static str, String),
    /// A word cannot be expanded.
    #[error("`{0}`: {1}")]
    Word(String, &'static str),
    /// A value is not one that the instruction takes.
    #[error("`{0}` is {1}")]
    Value(String, &'static str),
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub(self) kind: Kind,
    /// As in `--interval=30s`.
    pub flags: Vec<String>,
    /// What follows; of ENV and LABEL a key and a value, one after the other.
    pub words: Vec<String>,
    /// Whether the words were written as JSON.
    pub is_json: bool,
}

/// Which instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Onbuild,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Cmd,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::Healthcheck,
        Self::Label,
        Self::Onbuild,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Cmd => "CMD",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Onbuild => "ONBUILD",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }
}

impl Instruction {
    /// As in `ENV`.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// Reads the instructions of a text, one a line: a line that ends in a backslash goes on in
/// the next one, and one that begins with `#` says nothing.
pub fn parse(text: &str) -> Result<Vec<Instruction>, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let (mut instructions, mut line) = (Vec::new(), String::new());
    for part in text.lines() {
        if part.trim_start().starts_with('#') || (!line.is_empty() && part.trim().is_empty()) {
            continue;
        }
        let part = part.trim_end_matches([' ', '\t']);
        match part.strip_suffix('\\') {
            Some(begun) => line.push_str(begun),
            None => {
                line.push_str(part);
                instructions.extend(parse_line(&std::mem::take(&mut line))?);
            }
        }
    }
    instructions.extend(parse_line(&line)?);
    if instructions.is_empty() { Err(Error::Empty) } else { Ok(instructions) }
}

/// Reads one line. None if it is empty.
pub fn parse_line(line: &str) -> Result<Option<Instruction>, Error> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let kind = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name));
    let kind = kind.ok_or_else(|| Error::Unknown(shown(name)))?;
    let (flags, rest) = flags(rest.trim());
    let (words, is_json) = match kind {
        Kind::Env => (pairs(rest, "ENV")?, false),
        Kind::Label => (pairs(rest, "LABEL")?, false),
        Kind::Expose => (rest.split_whitespace().map(str::to_owned).collect(), false),
        Kind::Cmd | Kind::Entrypoint => match array(rest)? {
            Some(words) => (words, true),
            None => (text(rest), false),
        },
        Kind::Volume => match array(rest)? {
            Some(words) => (words, true),
            None => (rest.split_whitespace().map(str::to_owned).collect(), false),
        },
        Kind::Healthcheck => {
            let (first, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let (words, is_json) = match array(rest)? {
                Some(words) => (words, true),
                None => (text(rest.trim()), false),
            };
            (text(first).into_iter().chain(words).collect(), is_json)
        }
        Kind::Onbuild | Kind::Stopsignal | Kind::User | Kind::Workdir => (text(rest), false),
    };
    Ok(Some(Instruction { kind, flags, words, is_json }))
}

fn text(rest: &str) -> Vec<String> {
    Some(rest.to_owned()).filter(|rest| !rest.is_empty()).into_iter().collect()
}

/// Takes what begins with `--` off the beginning.
fn flags(mut rest: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    while rest.starts_with("--") {
        let (mut flag, mut quote, mut end) = (String::new(), None, rest.len());
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match (letter, quote) {
                (space, None) if space.is_whitespace() => {
                    end = at;
                    break;
                }
                ('\\', _) => flag.extend(letters.next().map(|(_, next)| next)),
                ('\'' | '"', None) => quote = Some(letter),
                (same, Some(open)) if same == open => quote = None,
                (other, _) => flag.push(other),
            }
        }
        rest = rest[end..].trim_start();
        if flag == "--" {
            break;
        }
        flags.push(flag);
    }
    (flags, rest)
}

/// Reads an array of texts; none if it is no JSON, but a text that begins as one.
fn array(rest: &str) -> Result<Option<Vec<String>>, Error> {
    if !rest.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(rest) else { return Ok(None) };
    let words = values.into_iter().map(|value| match value {
        Value::String(word) => Ok(word),
        _ => Err(Error::NoTexts),
    });
    words.collect::<Result<_, _>>().map(Some)
}

/// Reads keys and values: `key=value` several times, or one key and all that follows.
fn pairs(rest: &str, name: &'static str) -> Result<Vec<String>, Error> {
    let words = words(rest);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let (key, value) =
            rest.split_once(char::is_whitespace).ok_or(Error::Lacking(name, "a key and a value, as in `key=value`"))?;
        return Ok(vec![key.to_owned(), value.trim_start().to_owned()]);
    }
    let mut pairs = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| Error::NoValue(shown(&word), name))?;
        pairs.extend([key.to_owned(), value.to_owned()]);
    }
    Ok(pairs)
}

/// Splits a text at white space that is neither quoted nor escaped. Quotes and backslashes
/// stay.
pub fn words(rest: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (space, None) if space.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(letter),
            (same, Some(open)) if same == open => quote = None,
            _ => {}
        }
        word.push(letter);
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// A text as a person gets to see it.
fn shown(text: &str) -> String {
    json::shown(text, SHOWN_BYTES_MAX)
}

#[cfg(test)]
mod tests;
