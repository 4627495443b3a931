//! Secrets that are made to be found again, and the search for them in whatever form somebody might have put them.
//!
//! A secret has a core of letters and digits, which no escaping changes, and signs around it that every encoding has
//! to escape. What is searched for are both halves of the core, so that a secret that was cut is found as well:
//!
//! | form | as in |
//! | --- | --- |
//! | plain, also inside of URLs, JSON and HTML | `7f3k…` |
//! | in capitals, backwards | `7F3K…`, `…k3f7` |
//! | base64 of any text around it, at each of the three alignments, in both alphabets | `N2Yzay…` |
//! | hexadecimal, percent-encoded, JSON's `\u` | `37663…`, `%37%66…`, `\u0037\u0066…` |
//! | Rust's and Go's way to print bytes | `55, 102, 51`, `55 102 51` |
//! | UTF-16 | |
//!
//! It does not find what was encrypted, compressed or hashed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::HashMap;
use std::fmt::Write as _;

/// The length of a core in bytes. Both halves have to be long enough not to occur by chance.
const CORE_BYTES: usize = 24;

/// A secret that is known to nobody else.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    /// What it is, as in `password`.
    pub(crate) name: &'static str,
    /// The whole of it.
    pub(crate) text: String,
    core: String,
}

impl Secret {
    /// Makes a secret with every sign that an encoding may stumble over; for names and passwords.
    pub(crate) fn odd(name: &'static str) -> Self {
        let core = core();
        Self { name, text: format!("+/\"\\{core}&=% é<"), core }
    }

    /// Makes a secret of signs that a header may carry; for tokens. RFC 6750 section 2.1.
    pub(crate) fn token(name: &'static str) -> Self {
        let core = core();
        Self { name, text: format!("v.{core}~+/=="), core }
    }

    /// Makes a secret of lower-case letters and digits alone, which may stand in the name of a repository.
    pub(crate) fn plain(name: &'static str) -> Self {
        let core = core();
        Self { name, text: core.clone(), core }
    }

    fn needles(&self) -> Vec<Needle> {
        let (first, second) = self.core.as_bytes().split_at(CORE_BYTES / 2);
        let forms = [first, second].into_iter().flat_map(|half| {
            let reversed: Vec<u8> = half.iter().rev().copied().collect();
            let mut forms = vec![
                ("as it is", half.to_vec()),
                ("in capitals", half.to_ascii_uppercase()),
                ("backwards", reversed),
                ("in hexadecimal", printed(half, |byte| format!("{byte:02x}"))),
                ("in hexadecimal", printed(half, |byte| format!("{byte:02X}"))),
                ("percent-encoded", printed(half, |byte| format!("%{byte:02X}"))),
                ("percent-encoded", printed(half, |byte| format!("%{byte:02x}"))),
                ("in JSON's escapes", printed(half, |byte| format!("\\u{byte:04x}"))),
                ("as a list of numbers", printed(half, |byte| format!("{byte}, "))),
                ("as a list of numbers", printed(half, |byte| format!("{byte} "))),
                ("in UTF-16", half.iter().flat_map(|&byte| [byte, 0]).collect()),
            ];
            for alignment in 0..3 {
                forms.push(("in base64", aligned(&STANDARD_NO_PAD, half, alignment)));
                forms.push(("in base64", aligned(&URL_SAFE_NO_PAD, half, alignment)));
            }
            forms
        });
        forms.map(|(form, bytes)| Needle { label: format!("the {} {form}", self.name), bytes }).collect()
    }
}

/// Returns what nobody else has: 24 letters and digits.
fn core() -> String {
    let mut random = [0; CORE_BYTES];
    let source = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&source, &mut random).expect("the machine has entropy");
    random.map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)])).iter().collect()
}

fn printed(bytes: &[u8], print: impl Fn(u8) -> String) -> Vec<u8> {
    let mut text = String::new();
    for &byte in bytes {
        write!(text, "{}", print(byte)).expect("memory is writable");
    }
    text.trim_end_matches([',', ' ']).into()
}

/// Returns what is left of `bytes` in the base64 of a text where `before` bytes modulo 3 stand before them: without the
/// signs that also depend on the neighbours.
fn aligned(alphabet: &base64::engine::GeneralPurpose, bytes: &[u8], before: usize) -> Vec<u8> {
    let padded = [&vec![0; before][..], bytes].concat();
    let encoded = alphabet.encode(&padded);
    let whole = padded.len() * 8 / 6;
    let spoiled = (before * 8).div_ceil(6);
    encoded.as_bytes()[spoiled..whole].to_vec()
}

struct Needle {
    label: String,
    bytes: Vec<u8>,
}

/// A search for several secrets in one pass.
pub(crate) struct Scanner {
    needles: Vec<Needle>,
    /// Which needles begin with these four bytes.
    begins: HashMap<[u8; 4], Vec<usize>>,
    /// Whether any begins with these two.
    pairs: Vec<bool>,
}

impl Scanner {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let needles: Vec<Needle> = secrets.into_iter().flat_map(Secret::needles).collect();
        let mut begins: HashMap<_, Vec<usize>> = HashMap::new();
        let mut pairs = vec![false; 1 << 16];
        for (number, needle) in needles.iter().enumerate() {
            let begin: [u8; 4] = needle.bytes[..4].try_into().expect("every form of half a core is longer");
            begins.entry(begin).or_default().push(number);
            pairs[pair(begin[0], begin[1])] = true;
        }
        Self { needles, begins, pairs }
    }

    /// Returns what is in `bytes`, each form once.
    pub(crate) fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (at, window) in bytes.windows(4).enumerate() {
            if !self.pairs[pair(window[0], window[1])] {
                continue;
            }
            let candidates = self.begins.get(window).into_iter().flatten().map(|&number| &self.needles[number]);
            let hits = candidates.filter(|needle| bytes[at..].starts_with(&needle.bytes));
            found.extend(hits.map(|needle| needle.label.as_str()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = Secret::odd("password");
        let scanner = Scanner::new([&secret]);
        let half = |text: &str| text[text.len() / 2 - 3..].to_owned();
        let json = serde_json::json!({ "a": secret.text }).to_string();
        let percent: String = secret.text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = reqwest::Url::parse_with_params("http://a/", [("a", &secret.text)]).expect("a URL").to_string();
        let escaped: String = secret.text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let mut rows = vec![
            ("as it is", secret.text.clone()),
            ("as it is", half(&secret.core)),
            ("as it is", json),
            ("as it is", form),
            ("as it is", format!("{:?}", bytes::Bytes::from(secret.text.clone()))),
            ("in capitals", secret.text.to_uppercase()),
            ("backwards", secret.text.chars().rev().collect()),
            ("percent-encoded", percent),
            ("in JSON's escapes", escaped),
            ("as a list of numbers", format!("{:?}", secret.text.as_bytes())),
            ("in UTF-16", secret.text.chars().flat_map(|sign| [sign, '\0']).collect()),
            ("in hexadecimal", secret.text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ];
        for user in ["u", "us", "use", "user"] {
            rows.push(("in base64", STANDARD_NO_PAD.encode(format!("{user}:{}", secret.text))));
            rows.push(("in base64", URL_SAFE_NO_PAD.encode(format!("{user}:{}", secret.text))));
        }
        for (form, text) in rows {
            let hidden = format!("some words before {text} and after");
            assert!(scanner.find(hidden.as_bytes()).contains(&&*format!("the password {form}")), "{form}: {text}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let scanner = Scanner::new(&[Secret::odd("user"), Secret::token("token")]);
        let other = Secret::odd("password");
        let noise = wharf::demo::image::noise(7, 1 << 20);
        assert_eq!(scanner.find(&noise), [""; 0]);
        assert_eq!(scanner.find(other.text.as_bytes()), [""; 0]);
    }
}
