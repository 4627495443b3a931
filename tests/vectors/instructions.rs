//! The check of the instructions that change a config against buildkit's parser and lexer,
//! and against tables of docker's builder.
//!
//! It does not check instructions that make layers, which nothing here understands.

use crate::{Report, equal, row, vectors};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::config::Execution;
use wharf_component::nouns::instruction::{apply, expand, expand_words, parse_line, words};

/// One line, and what buildkit makes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "from")]
    _from: String,
    original: String,
    value: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    json_form: bool,
}

/// Checks `dockerfile_parse`.
pub(crate) fn dockerfile_parse(json: &str) -> Result<Report, String> {
    let mut report = Report::new("dockerfile_parse");
    for line in vectors::<Vec<Line>>(json)? {
        report.count(&line.original, check_line(&line));
    }
    Ok(report)
}

fn check_line(line: &Line) -> Result<(), String> {
    let found = parse_line(&line.original).map_err(|error| error.to_string())?.ok_or("the line is not empty")?;
    equal("the name", &found.name(), &&*line.value.to_ascii_uppercase())?;
    equal("the flags", &found.flags, &line.flags)?;
    equal("JSON", &found.is_json, &line.json_form)?;
    let expected = match found.name() {
        // The third of three says whether there was a `=`.
        "ENV" | "LABEL" => line.args.chunks(3).flat_map(|three| &three[..2]).cloned().collect(),
        // There it is a node of its own; here it is kept as it is.
        "ONBUILD" => line.original.split_once(char::is_whitespace).into_iter().map(|(_, rest)| rest.into()).collect(),
        _ => line.args.clone(),
    };
    equal("the words", &found.words, &expected)
}

/// One text, and what buildkit expands it to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    input: String,
    envs: Vec<String>,
    escape_token: char,
    #[serde(default)]
    word: Option<String>,
    #[serde(default)]
    word_error: Option<String>,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    words_error: Option<String>,
    #[serde(default, rename = "unmatched")]
    _unmatched: Vec<String>,
    #[serde(rename = "from")]
    _from: String,
    #[serde(rename = "windows_only")]
    _windows_only: bool,
}

/// Checks `dockerfile_shell_lex`.
pub(crate) fn dockerfile_shell_lex(json: &str) -> Result<Report, String> {
    let mut report = Report::new("dockerfile_shell_lex");
    for text in vectors::<Vec<Text>>(json)? {
        let row = format!("{} with {}", text.input, text.escape_token);
        let found = expand(&text.input, &text.envs, text.escape_token);
        if found.as_ref().is_err_and(|error| error.to_string().ends_with("patterns in braces are not understood here"))
        {
            report.exclude(row, "values are not cut by patterns, which is said");
            continue;
        }
        if loses(&text) {
            report.exclude(row, "there, what stands before such a variable is lost in one of two functions");
            continue;
        }
        report.count(row, check_text(&text));
    }
    Ok(report)
}

/// Whether the words of a row lack what its word begins with: what stands before `${name:-word}`
/// and its like.
fn loses(text: &Text) -> bool {
    let (Some((before, _)), Some(word)) = (text.input.split_once("${"), &text.word) else { return false };
    !before.is_empty() && word.strip_prefix(before) == Some(&*text.words.concat())
}

fn check_text(text: &Text) -> Result<(), String> {
    let Text { input, envs, escape_token, .. } = text;
    let word = expand(input, envs, *escape_token);
    equal("whether it is refused", &word.is_err(), &text.word_error.is_some())?;
    equal("the word", &word.ok(), &text.word)?;
    let words = expand_words(input, envs, *escape_token);
    equal("whether the words are refused", &words.is_err(), &text.words_error.is_some())?;
    equal("the words", &words.unwrap_or_default(), &text.words)
}

/// Checks `dockerfile_tables`.
pub(crate) fn dockerfile_tables(json: &str) -> Result<Report, String> {
    let mut report = Report::new("dockerfile_tables");
    for (table, rows) in vectors::<BTreeMap<String, Vec<Value>>>(json)? {
        for value in rows {
            let name = format!("{table} {value}");
            let outcome = match &*table {
                "json_arrays_valid" => valid_array(value),
                "json_arrays_invalid" => invalid_array(value),
                "parse_words" => split(value),
                "normalize_workdir" => directory(value),
                _ => Err("there is no check for the table".to_owned()),
            };
            report.count(name, outcome);
        }
    }
    Ok(report)
}

fn valid_array(value: Value) -> Result<(), String> {
    let (text, expected): (String, Vec<String>) = row(value)?;
    let found = parse_line(&format!("CMD {text}")).map_err(|error| error.to_string())?.ok_or("it is no line")?;
    equal("the array", &(found.words, found.is_json), &(expected, true))
}

fn invalid_array(value: Value) -> Result<(), String> {
    let text: String = row(value)?;
    equal("whether it is refused", &parse_line(&format!("CMD {text}")).is_err(), &true)
}

fn split(value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Row {
        input: Vec<String>,
        expect: Vec<String>,
    }
    let Row { input, expect } = row(value)?;
    equal("the words", &words(&input.concat()), &expect)
}

fn directory(value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        current: String,
        requested: String,
        expected: String,
        expected_error: String,
    }
    let Row { current, requested, expected, expected_error } = row(value)?;
    let line =
        parse_line(&format!("WORKDIR {requested}")).map_err(|error| error.to_string())?.ok_or("it is no line")?;
    let mut execution = Execution { working_dir: current.clone(), ..Execution::default() };
    let outcome = apply(&mut execution, &line);
    equal("whether it is refused", &outcome.is_err(), &!expected_error.is_empty())?;
    equal("the directory", &execution.working_dir, if expected.is_empty() { &current } else { &expected })
}
