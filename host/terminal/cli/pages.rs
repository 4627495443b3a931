//! Documents made from the command line's declaration: completion scripts and
//! manual pages.
//!
//! It does not write files; `main` does.

use super::Cli;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

/// A manual page of section 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The name of its file, as in `wharf-pull.1`.
    pub file: String,
    /// Its text in roff.
    pub text: String,
}

/// Returns the script that completes the command line in `shell`.
pub fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut script);
    String::from_utf8(script).expect("scripts are made from the declaration, which is UTF-8")
}

/// Returns the manual: the page of the program first, then one for each verb, each followed by those of its parts.
pub fn manual() -> Vec<Page> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(program, &mut pages);
    pages
}

fn add(command: Command, pages: &mut Vec<Page>) {
    // clap's own `help` below a verb repeats what is there.
    let below: Vec<Command> =
        command.get_subcommands().filter(|part| !part.is_hide_set() && part.get_name() != "help").cloned().collect();
    pages.push(page(command));
    below.into_iter().for_each(|part| add(part, pages));
}

fn page(command: Command) -> Page {
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render(&mut text).expect("a vector takes every write");
    Page { file: man.get_filename(), text: String::from_utf8(text).expect("the declaration is UTF-8") }
}
