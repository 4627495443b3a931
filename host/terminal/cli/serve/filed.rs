//! Options of `wharf serve` that stand in a file: the same words, without dashes. Where one stands on the command line, or
//! its variable is set, that holds.

use super::super::Cli;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory};
use std::ffi::OsString;
use std::path::PathBuf;

const VERB: &str = "serve";
/// What cannot stand in the file.
const OUTSIDE: [&str; 3] = ["config", "help", "version"];

/// What a file says of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whether it is wanted.
    Wanted(bool),
    /// What it is.
    Value(String),
    /// What it is, several times.
    Values(Vec<String>),
}

/// Returns the file that the arguments name, if they ask for `serve` with one. They need not be right otherwise.
pub fn config_file(arguments: &[OsString]) -> Option<PathBuf> {
    let (_, matches) = known(arguments)?;
    matches.try_get_one::<PathBuf>("config").ok().flatten().cloned()
}

/// Returns what is to be added to the arguments for these options of a file, in order, or why one of them cannot stand there.
pub fn added(arguments: &[OsString], said: &[(String, Setting)]) -> Result<Vec<OsString>, String> {
    let Some((verb, matches)) = known(arguments) else { return Ok(Vec::new()) };
    let mut added = Vec::new();
    for (key, said) in said {
        let option = verb.get_arguments().find(|option| option.get_long() == Some(key) && !OUTSIDE.contains(&&**key));
        let option = option.ok_or_else(|| format!("`{}` is no option of `wharf serve`", key.escape_debug()))?;
        let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
        let texts = match said {
            Setting::Wanted(is_wanted) if is_flag => is_wanted.then(|| format!("--{key}")).into_iter().collect(),
            Setting::Value(value) if !is_flag => vec![format!("--{key}={value}")],
            Setting::Values(values) if matches!(option.get_action(), ArgAction::Append) => {
                values.iter().map(|value| format!("--{key}={value}")).collect()
            }
            _ if is_flag => return Err(format!("`{key}` is `true` or `false`")),
            Setting::Values(_) => return Err(format!("`{key}` has one value")),
            _ => return Err(format!("`{key}` is a text or a number")),
        };
        let is_said = |source| matches!(source, ValueSource::CommandLine | ValueSource::EnvVariable);
        // What the command line or a variable says holds.
        if !matches.value_source(option.get_id().as_str()).is_some_and(is_said) {
            added.extend(texts.into_iter().map(OsString::from));
        }
    }
    Ok(added)
}

/// The declaration of `serve`, and what the arguments say of it, as far as they can be read.
fn known(arguments: &[OsString]) -> Option<(Command, ArgMatches)> {
    let mut command = Cli::command().ignore_errors(true);
    command.build();
    let verb = command.find_subcommand(VERB)?.clone();
    let mut matches = command.try_get_matches_from(arguments).ok()?;
    let (name, matches) = matches.remove_subcommand()?;
    (name == VERB).then_some((verb, matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn value(key: &str, value: &str) -> (String, Setting) {
        (key.to_owned(), Setting::Value(value.to_owned()))
    }

    #[test]
    fn the_file_is_found_whatever_else_is_wrong() {
        for (text, expected) in [
            ("wharf serve --config a.toml", Some("a.toml")),
            ("wharf --root r serve --config=a.toml --tcp nowhere", Some("a.toml")),
            ("wharf serve --no-gc --config a.toml", Some("a.toml")),
            ("wharf serve", None),
            ("wharf images", None),
            ("wharf", None),
        ] {
            assert_eq!(config_file(&words(text)), expected.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn what_is_said_nowhere_else_is_added() {
        let said = [
            value("tcp", "127.0.0.1:2375"),
            ("no-gc".to_owned(), Setting::Wanted(true)),
            ("no-unpack".to_owned(), Setting::Wanted(false)),
            ("plain-http".to_owned(), Setting::Values(vec!["a.lan".to_owned(), "b.lan".to_owned()])),
            value("root", "/r"),
        ];
        let added = |text: &str| added(&words(text), &said).unwrap().join(OsString::from(" ").as_os_str());
        assert_eq!(
            added("wharf serve --config f"),
            "--tcp=127.0.0.1:2375 --no-gc --plain-http=a.lan --plain-http=b.lan --root=/r"
        );
        assert_eq!(
            added("wharf serve --config f --tcp 127.0.0.1:1 --no-gc --plain-http=c.lan --no-unpack --root /s"),
            ""
        );
    }

    #[test]
    fn what_is_no_option_or_has_another_shape_is_refused() {
        for (said, why) in [
            (value("tpc", "127.0.0.1:2375"), "`tpc` is no option of `wharf serve`"),
            (value("config", "b.toml"), "`config` is no option of `wharf serve`"),
            (value("no-gc", "yes"), "`no-gc` is `true` or `false`"),
            (("tcp".to_owned(), Setting::Wanted(true)), "`tcp` is a text or a number"),
            (("tcp".to_owned(), Setting::Values(Vec::new())), "`tcp` has one value"),
        ] {
            assert_eq!(added(&words("wharf serve --config f"), &[said]).unwrap_err(), why);
        }
    }
}
