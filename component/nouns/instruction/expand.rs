//! Words of an instruction, expanded: quotes go, backslashes go, and variables become their
//! values.
//!
//! ```text
//! word     = ( letter | "\" letter | "'" … "'" | '"' … '"' | variable )*
//! variable = "$" name  |  "${" name "}"  |  "${" name [":"] ( "-" | "+" | "?" ) word "}"
//! name     = letter ( letter | digit | "_" )*  |  digits  |  one of  @ * # ? - $ ! 0
//! ```
//!
//! Dockerfile reference, “Environment replacement”. What cuts a value by a pattern, as
//! `${name#pattern}`, is refused: no instruction here needs it.

use super::{Error, TEXT_BYTES_MAX, shown};

/// How deep variables may stand in each other.
const DEPTH_MAX: usize = 32;

/// Returns a word expanded. `variables` are as in `PATH=/bin`; of one that is there twice
/// the last counts, and one that is not there is empty. `escape` is the backslash, unless a
/// Dockerfile says otherwise.
pub fn expand(word: &str, variables: &[String], escape: char) -> Result<String, Error> {
    process(word, variables, escape).map(|(text, _)| text)
}

/// The same, split at white space that was not quoted, that of values included.
pub fn expand_words(text: &str, variables: &[String], escape: char) -> Result<Vec<String>, Error> {
    process(text, variables, escape).map(|(_, words)| words.finish())
}

fn process(word: &str, variables: &[String], escape: char) -> Result<(String, Words), Error> {
    let mut lexer = Lexer { rest: word.chars().peekable(), variables, escape };
    lexer.until(None, 0).map_err(|why| Error::Word(shown(word), why))
}

/// What has been read, split into words.
#[derive(Default)]
struct Words {
    words: Vec<String>,
    /// None between words.
    word: Option<String>,
}

impl Words {
    /// Adds what cannot end a word.
    fn quoted(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    /// Adds what ends a word where it has white space.
    fn plain(&mut self, text: &str) {
        for letter in text.chars() {
            match letter.is_whitespace() {
                true => self.words.extend(self.word.take()),
                false => self.word.get_or_insert_default().push(letter),
            }
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.words.extend(self.word.take());
        self.words
    }
}

struct Lexer<'l> {
    rest: std::iter::Peekable<std::str::Chars<'l>>,
    variables: &'l [String],
    escape: char,
}

type Read<T> = Result<T, &'static str>;

impl Lexer<'_> {
    /// Reads to `stop`, which is taken too, or to the end.
    fn until(&mut self, stop: Option<char>, depth: usize) -> Read<(String, Words)> {
        if depth > DEPTH_MAX {
            return Err("variables stand in each other too deep");
        }
        let (mut text, mut words) = (String::new(), Words::default());
        while let Some(&letter) = self.rest.peek() {
            // A variable that is made of itself, twice, is soon very long.
            if text.len() > TEXT_BYTES_MAX {
                return Err("it becomes too long");
            }
            if Some(letter) == stop {
                self.rest.next();
                return Ok((text, words));
            }
            match letter {
                '\'' => {
                    let quoted = self.single()?;
                    words.quoted(&quoted);
                    text.push_str(&quoted);
                }
                '"' => {
                    let quoted = self.double(depth)?;
                    words.quoted(&quoted);
                    text.push_str(&quoted);
                }
                '$' => {
                    let value = self.variable(depth)?;
                    words.plain(&value);
                    text.push_str(&value);
                }
                _ => {
                    self.rest.next();
                    let mut is_plain = true;
                    let mut letter = letter;
                    if letter == self.escape {
                        let Some(next) = self.rest.next() else { break };
                        (letter, is_plain) = (next, false);
                    }
                    let mut bytes = [0; 4];
                    let one = letter.encode_utf8(&mut bytes);
                    if is_plain {
                        words.plain(one)
                    } else {
                        words.quoted(one)
                    }
                    text.push(letter);
                }
            }
        }
        match stop {
            Some(_) => Err("a `}` is missing"),
            None => Ok((text, words)),
        }
    }

    fn single(&mut self) -> Read<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err("a single quote is not closed"),
                Some('\'') => return Ok(text),
                Some(letter) => text.push(letter),
            }
        }
    }

    fn double(&mut self, depth: usize) -> Read<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            if text.len() > TEXT_BYTES_MAX {
                return Err("it becomes too long");
            }
            match self.rest.peek() {
                None => return Err("a double quote is not closed"),
                Some('"') => {
                    self.rest.next();
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.variable(depth)?),
                Some(&letter) => {
                    self.rest.next();
                    match self.rest.peek() {
                        // Only these are escaped by it here; before others it stays.
                        Some(&next) if letter == self.escape && (next == '"' || next == '$' || next == letter) => {
                            self.rest.next();
                            text.push(next);
                        }
                        None if letter == self.escape => {}
                        _ => text.push(letter),
                    }
                }
            }
        }
    }

    fn variable(&mut self, depth: usize) -> Read<String> {
        self.rest.next();
        if self.rest.peek() != Some(&'{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name).unwrap_or_default().to_owned() });
        }
        self.rest.next();
        if matches!(self.rest.peek(), None | Some('{' | '}' | ':')) {
            return Err("what stands in the braces is no variable");
        }
        let name = self.name();
        let mut kind = self.rest.next();
        let counts_empty = kind != Some(':');
        if !counts_empty {
            kind = self.rest.next();
        }
        match kind {
            Some('}') if counts_empty => return Ok(self.value(&name).unwrap_or_default().to_owned()),
            Some('-' | '+' | '?') => {}
            Some('#' | '%' | '/') => return Err("patterns in braces are not understood here"),
            None => return Err("a `}` is missing"),
            Some(_) => return Err("what follows the variable in the braces is not understood"),
        }
        let (word, _) = self.until(Some('}'), depth + 1)?;
        let value = self.value(&name).filter(|value| counts_empty || !value.is_empty());
        match (kind, value) {
            (Some('-'), None) | (Some('+'), Some(_)) => Ok(word),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err("a variable that it insists on is empty or not set"),
            (_, Some(value)) => Ok(value.to_owned()),
            (_, None) => Ok(String::new()),
        }
    }

    /// Takes a name; an empty one if there is none.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.rest.peek() {
            Some(digit) if digit.is_ascii_digit() => {
                while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
                return name;
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                name.extend(self.rest.next());
                return name;
            }
            _ => {}
        }
        while let Some(letter) = self.rest.next_if(|&letter| letter == '_' || letter.is_alphanumeric()) {
            name.push(letter);
        }
        name
    }

    fn value(&self, name: &str) -> Option<&str> {
        let value = |variable: &'_ String| variable.split_once('=').is_some_and(|(key, _)| key == name);
        let found = self.variables.iter().rfind(|variable| value(variable))?;
        found.split_once('=').map(|(_, value)| value)
    }
}
