//! Filter expressions as containerd's clients write them, as in
//! `name~=/alpine/,labels."org.example.team"==web`.
//!
//! It decides about one object at a time, whose fields the caller knows. What
//! the grammar leaves open is as containerd has it: blanks between the parts are
//! passed over, and in quotes stand the escapes of a string in Go.
//!
//! ```text
//! expression = "" | selector ( "," selector )*      all of them have to match; nothing matches everything
//! selector   = path [ operator value ]              without one, the field has to be there
//! path       = field ( "." field )*
//! field      = [A-Za-z0-9_]+ | "\"" … "\""
//! operator   = "==" | "!=" | "~="                   equal, not equal, a regular expression finds something
//! value      = [^ ,]+ | "\"" … "\""                 after "~=" also in "/" or "|"
//! ```

use regex_lite::Regex;
use std::str::Chars;

/// Size of one expression.
pub const EXPRESSION_SIZE_BYTES_MAX: usize = 1024;

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than [`EXPRESSION_SIZE_BYTES_MAX`].
    #[error("an expression of {0} bytes is larger than {EXPRESSION_SIZE_BYTES_MAX}")]
    TooLong(usize),
    /// The rest, which may be empty, is not what may stand there.
    #[error("{wanted} is missing before `{}`", rest.escape_debug())]
    Missing {
        /// What may stand there.
        wanted: &'static str,
        /// What stands there.
        rest: String,
    },
    /// A quote is not closed on its line.
    #[error("the quote in `{}` is not closed", .0.escape_debug())]
    Open(String),
    /// An escape that Go's strings do not have, or bytes that are no UTF-8.
    #[error("`{}` has an escape that is none", .0.escape_debug())]
    Escape(String),
    /// It is no operator.
    #[error("there is no operator `{0}`, only `==`, `!=` and `~=`")]
    Operator(String),
    /// It is no regular expression.
    #[error("`{}` is no regular expression: {}", .0.escape_debug(), .1)]
    Pattern(String, String),
}

/// An expression that was read. Two are equal if they are written alike.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    selectors: Vec<Selector>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

#[derive(Clone, Debug)]
struct Selector {
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Present,
    Equal(String),
    NotEqual(String),
    Matches(Regex),
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > EXPRESSION_SIZE_BYTES_MAX {
            return Err(Error::TooLong(text.len()));
        }
        let mut scanner = Scanner { rest: text };
        let mut selectors = Vec::new();
        if !text.is_empty() {
            selectors.push(scanner.selector()?);
            while !scanner.is_at_end() {
                if !scanner.takes(',') {
                    return Err(scanner.missing("`,`"));
                }
                selectors.push(scanner.selector()?);
            }
        }
        Ok(Self { text: text.to_owned(), selectors })
    }

    /// The fields that are asked for, as paths.
    pub fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.selectors.iter().map(|selector| selector.path.as_slice())
    }

    /// Whether an object passes. `field` returns what is at a path of it, if
    /// there is something.
    pub fn pass<'a>(&self, field: impl Fn(&[String]) -> Option<&'a str>) -> bool {
        self.selectors.iter().all(|Selector { path, test }| {
            let found = field(path);
            match test {
                Test::Present => found.is_some(),
                Test::Equal(value) => found == Some(value),
                Test::NotEqual(value) => found.unwrap_or_default() != value,
                Test::Matches(pattern) => pattern.is_match(found.unwrap_or_default()),
            }
        })
    }
}

/// Whether `text` begins as an expression does that has an operator or more
/// than one selector, and with which path and operator.
pub fn begins(text: &str) -> Option<(Vec<String>, Option<&str>)> {
    let mut scanner = Scanner { rest: text };
    let path = scanner.path().ok()?;
    if scanner.takes(',') {
        return Some((path, None));
    }
    scanner.operator().ok().map(|operator| (path, Some(operator)))
}

struct Scanner<'t> {
    rest: &'t str,
}

impl<'t> Scanner<'t> {
    fn selector(&mut self) -> Result<Selector, Error> {
        let path = self.path()?;
        if self.is_at_end() || self.rest.starts_with(',') {
            return Ok(Selector { path, test: Test::Present });
        }
        let test = match self.operator()? {
            "==" => Test::Equal(self.value(&['"'])?),
            "!=" => Test::NotEqual(self.value(&['"'])?),
            _ => {
                let pattern = self.value(&['"', '/', '|'])?;
                let read = Regex::new(&pattern);
                Test::Matches(read.map_err(|error| Error::Pattern(pattern, error.to_string()))?)
            }
        };
        Ok(Selector { path, test })
    }

    fn path(&mut self) -> Result<Vec<String>, Error> {
        let mut path = vec![self.field()?];
        while self.takes('.') {
            path.push(self.field()?);
        }
        Ok(path)
    }

    fn field(&mut self) -> Result<String, Error> {
        self.skip_blanks();
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        match self.take_while(|it| it.is_ascii_alphanumeric() || it == '_') {
            "" => Err(self.missing("a field")),
            field => Ok(field.to_owned()),
        }
    }

    fn operator(&mut self) -> Result<&'t str, Error> {
        self.skip_blanks();
        match self.take_while(|it| matches!(it, '=' | '!' | '~')) {
            operator @ ("==" | "!=" | "~=") => Ok(operator),
            "" => Err(self.missing("an operator")),
            other => Err(Error::Operator(other.to_owned())),
        }
    }

    fn value(&mut self, quotes: &[char]) -> Result<String, Error> {
        self.skip_blanks();
        if self.rest.starts_with(quotes) {
            return self.quoted();
        }
        // These begin something else.
        if self.rest.starts_with(['"', '/', '|', '.', '=', '!', '~']) {
            return Err(self.missing("a value"));
        }
        match self.take_while(|it| it != ',' && !it.is_whitespace() && it != '\0') {
            "" => Err(self.missing("a value")),
            value => Ok(value.to_owned()),
        }
    }

    /// Reads what stands in quotes. Go's specification, “String literals”.
    fn quoted(&mut self) -> Result<String, Error> {
        let begin = self.rest;
        let mut letters = begin.chars();
        let quote = letters.next().unwrap_or_default();
        let mut bytes = Vec::new();
        loop {
            match letters.next() {
                None | Some('\n' | '\0') => return Err(Error::Open(begin.to_owned())),
                Some(end) if end == quote => break,
                Some('\\') => {
                    let escaped = escape(&mut letters, quote).ok_or_else(|| Error::Escape(begin.to_owned()))?;
                    match escaped {
                        Escaped::Byte(byte) => bytes.push(byte),
                        Escaped::Letter(letter) => bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                Some(letter) => bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        self.rest = letters.as_str();
        String::from_utf8(bytes).map_err(|_| Error::Escape(begin.to_owned()))
    }

    fn takes(&mut self, separator: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(separator) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn missing(&self, wanted: &'static str) -> Error {
        Error::Missing { wanted, rest: self.rest.to_owned() }
    }
}

/// What an escape stands for.
enum Escaped {
    /// A byte, which need not be a letter by itself.
    Byte(u8),
    Letter(char),
}

/// Reads what follows a backslash.
fn escape(letters: &mut Chars<'_>, quote: char) -> Option<Escaped> {
    let first = letters.next()?;
    let byte = match first {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        'x' => u8::try_from(number(letters, 2, 16)?).ok()?,
        'u' => return char::from_u32(number(letters, 4, 16)?).map(Escaped::Letter),
        'U' => return char::from_u32(number(letters, 8, 16)?).map(Escaped::Letter),
        '0'..='7' => u8::try_from(first.to_digit(8)? * 64 + number(letters, 2, 8)?).ok()?,
        other if other == quote => return Some(Escaped::Letter(quote)),
        _ => return None,
    };
    Some(Escaped::Byte(byte))
}

/// Reads so many digits, and no sign. At most eight hexadecimal ones.
fn number(letters: &mut Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(0, |sum, _| Some(sum * radix + letters.next()?.to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str, name: &str, label: Option<&str>) -> bool {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        expression.pass(|path| match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["name"] => Some(name),
            ["labels", "a.b c"] => label,
            _ => None,
        })
    }

    #[test]
    fn an_object_passes_if_every_selector_does() {
        let rows = [
            ("", true),
            ("name", true),
            ("nobody", false),
            ("name==x:1", true),
            ("  name == x:1 , labels.\"a.b c\" ", true),
            ("name==x", false),
            ("name!=x", true),
            ("nobody!=x", true),
            ("nobody==\"\"", false),
            ("nobody!=\"\"", false),
            ("name~=^x", true),
            ("name~=\"^\\x78:\\061$\"", true),
            ("name~=/^x:[0-9]$/", true),
            ("name~=|x/|", false),
            ("name==x:1,labels.\"a.b c\"==\"one, two\"", true),
            ("labels.\"\\u0061.b\\x20c\"==other", false),
        ];
        for (text, expected) in rows {
            assert_eq!(passes(text, "x:1", Some("one, two")), expected, "{text}");
        }
        assert!(!passes("labels.\"a.b c\"", "x:1", None));
    }

    #[test]
    fn what_is_no_expression_is_named() {
        let missing = |wanted, rest: &str| Error::Missing { wanted, rest: rest.to_owned() };
        let rows = [
            (",", missing("a field", ",")),
            ("name,", missing("a field", "")),
            ("name.", missing("a field", "")),
            ("name x", missing("an operator", "x")),
            ("name==x y", missing("`,`", "y")),
            ("name==", missing("a value", "")),
            ("name==/x/", missing("a value", "/x/")),
            ("name=x", Error::Operator("=".to_owned())),
            ("name===x", Error::Operator("===".to_owned())),
            ("name==\"x", Error::Open("\"x".to_owned())),
            ("name==\"x\ny\"", Error::Open("\"x\ny\"".to_owned())),
            (r#"name=="\d""#, Error::Escape(r#""\d""#.to_owned())),
            (r#"name=="\xff""#, Error::Escape(r#""\xff""#.to_owned())),
            (r#"name=="\x+f""#, Error::Escape(r#""\x+f""#.to_owned())),
            (r#"name=="\777""#, Error::Escape(r#""\777""#.to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(Expression::parse(text).map(|_| ()), Err(expected), "{text}");
        }
        assert!(matches!(Expression::parse("name~=["), Err(Error::Pattern(..))));
        assert_eq!(Expression::parse(&"x".repeat(2000)).map(|_| ()), Err(Error::TooLong(2000)));
    }

    #[test]
    fn the_beginning_tells_an_expression_from_a_filter() {
        let rows = [
            ("name==x", Some((["name"].as_slice(), Some("==")))),
            ("label!=x=y", Some((&["label"], Some("!=")))),
            ("labels.\"a\" ~= x", Some((&["labels", "a"], Some("~=")))),
            ("labels.a,name==x", Some((&["labels", "a"], None))),
            ("label=a==b", None),
            ("reference=alpine", None),
            ("labels.a", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(path, operator)| (path.iter().map(|&it| it.to_owned()).collect(), operator));
            assert_eq!(begins(text), expected, "{text}");
        }
    }
}
