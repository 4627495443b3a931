//! The file of `wharf serve --config`, in TOML: every key is an option of the command line without its dashes.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wharf::cli::{Setting, added, config_file};

/// More than all options with a thousand registries.
const BYTES_MAX: u64 = 64 * 1024;

/// Adds what the file says, if the arguments name one and say nothing else themselves. The error is a sentence.
pub(crate) fn with_file(mut arguments: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let Some(path) = config_file(&arguments) else { return Ok(arguments) };
    let more = read(&path).and_then(|text| added(&arguments, &said(&text)?));
    arguments.extend(more.map_err(|why| format!("cannot use `{}`: {why}", path.display()))?);
    Ok(arguments)
}

fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| error.to_string();
    if fs::metadata(path).map_err(told)?.len() > BYTES_MAX {
        return Err(format!("it has more than {BYTES_MAX} bytes"));
    }
    fs::read_to_string(path).map_err(told)
}

/// Returns what stands in the file, in its order.
fn said(text: &str) -> Result<Vec<(String, Setting)>, String> {
    let table = DeTable::parse(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let options = table.into_inner().into_iter().map(|(key, value)| {
        let key = key.into_inner().into_owned();
        let said = match value.into_inner() {
            DeValue::Boolean(is_wanted) => Setting::Wanted(is_wanted),
            DeValue::Array(values) => {
                let values: Option<Vec<_>> = values.into_iter().map(Spanned::into_inner).map(scalar).collect();
                Setting::Values(values.ok_or_else(|| format!("`{}` is a list of texts", key.escape_debug()))?)
            }
            value => Setting::Value(
                scalar(value).ok_or_else(|| format!("`{}` has no text and no number", key.escape_debug()))?,
            ),
        };
        Ok((key, said))
    });
    options.collect()
}

fn scalar(value: DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_texts_numbers_flags_and_lists() {
        let text = "tcp = \"127.0.0.1:2375\"\nretries = 3\nno-gc = true\nplain-http = [\"a.lan\"] # here\n";
        let options = [
            ("tcp", Setting::Value("127.0.0.1:2375".to_owned())),
            ("retries", Setting::Value("3".to_owned())),
            ("no-gc", Setting::Wanted(true)),
            ("plain-http", Setting::Values(vec!["a.lan".to_owned()])),
        ];
        assert_eq!(said(text).unwrap(), options.map(|(key, said)| (key.to_owned(), said)));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (text, why) in [
            ("tcp", "TOML parse error at line 1"),
            ("tcp = 1\ntcp = 2", "duplicate key"),
            ("a = { b = 1 }", "`a` has no text and no number"),
            ("[metrics]\nb = 1", "`metrics` has no text and no number"),
            ("a = [[1]]", "`a` is a list of texts"),
        ] {
            let told = said(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
