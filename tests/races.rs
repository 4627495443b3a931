//! What judges the races of sixteen processes, judged: histories that must be rejected, tricky ones that must not, and
//! whether every verb takes part. The races themselves are a program of their own, `races/main.rs`.

mod checker;
mod history;
mod planted;
mod register;

use clap::CommandFactory as _;
use history::{Event, Line, Operation, Outcome, read};
use std::collections::BTreeSet;
use wharf_terminal::cli::Cli;

/// How a verb takes part.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// By these operations.
    By(&'static [&'static str]),
    /// Not, because of this.
    Out(&'static str),
}

use Part::{By, Out};

const LOGINS: Part = Out("files and programs of the caller's; no store is opened");
const TEXT: Part = Out("no store is opened");

/// Every verb of the command line.
const PARTS: &[(&str, Part)] = &[
    ("pull", By(&["Pull", "Plan"])),
    ("images", By(&["Images"])),
    ("inspect", By(&["Inspect"])),
    ("history", By(&["History"])),
    ("save", By(&["Save"])),
    ("load", By(&["Load"])),
    ("import", By(&["Import"])),
    ("manifest", By(&["Compose"])),
    ("export", By(&["Export"])),
    ("copy", By(&["Copy"])),
    ("push", By(&["Push"])),
    ("unpack", By(&["Unpack"])),
    ("ls", By(&["List"])),
    ("cat", By(&["Unpack"])),
    ("diff", By(&["Compare"])),
    ("mount", By(&["Mount"])),
    ("umount", By(&["Mount"])),
    ("mounts", By(&["Mount"])),
    ("fsck", By(&["Fsck"])),
    ("snapshot", By(&["Prepare", "Commit", "Leave"])),
    ("tag", By(&["Tag", "Draft"])),
    ("retain", By(&["Retain", "Draft"])),
    ("rm", By(&["Untag", "Draft"])),
    ("prune", By(&["Prune", "Draft"])),
    ("gc", By(&["Collect", "Draft"])),
    ("apply", By(&["Apply"])),
    ("df", By(&["Usage"])),
    ("lease", By(&["Lease", "Release"])),
    ("ingest", By(&["Ingests", "Discard"])),
    ("label", By(&["Label", "Expire"])),
    ("events", By(&["Events"])),
    ("serve", Out("it is a door before the verbs that take part")),
    ("explain", Out("it asks neither the store nor a registry")),
    ("tags", By(&["Tags"])),
    ("catalog", Out("it asks the registry alone, as `tags` does")),
    ("search", Out("it asks the registry alone, as `tags` does")),
    ("referrers", Out("it asks the registry alone, as `tags` does")),
    ("login", LOGINS),
    ("logout", LOGINS),
    ("whoami", LOGINS),
    ("demo", Out("it has a store of its own")),
    ("completion", TEXT),
    ("man", TEXT),
];

/// What no verb does: the calls of other parts, and the disk.
const NO_VERBS: [&str; 4] = ["Put", "Hold", "Remove", "Damage"];

/// What is wrong with a table.
fn faults(parts: &[(&str, Part)], verbs: &BTreeSet<String>, kinds: &[&str]) -> Vec<String> {
    let named: BTreeSet<String> = parts.iter().map(|(verb, _)| (*verb).to_owned()).collect();
    let missing = verbs.difference(&named).map(|verb| format!("`{verb}` neither takes part nor is left out"));
    let unknown = named.difference(verbs).map(|verb| format!("`{verb}` is no verb"));
    let wrong = parts.iter().flat_map(|(verb, part)| match part {
        By([]) | Out("") => vec![format!("`{verb}` has no operation and no reason")],
        Out(_) => Vec::new(),
        By(names) => {
            let unknown = names.iter().filter(|name| !kinds.contains(name));
            unknown.map(|name| format!("`{verb}`: there is no operation `{name}`")).collect()
        }
    });
    missing.chain(unknown).chain(wrong).collect()
}

#[test]
fn every_verb_takes_part_or_is_left_out_for_a_reason() {
    let verbs = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(faults(PARTS, &verbs, &Operation::KINDS), [""; 0]);
    let used: BTreeSet<&str> = PARTS
        .iter()
        .flat_map(|(_, part)| match part {
            By(kinds) => *kinds,
            Out(_) => &[],
        })
        .copied()
        .chain(NO_VERBS)
        .collect();
    assert_eq!(used, Operation::KINDS.into(), "every operation is one of a verb's, or of none");
}

#[test]
fn a_table_with_a_hole_is_noticed() {
    let verbs = ["pull", "rm"].map(str::to_owned).into();
    let parts = [("pull", By(&["Pull", "Fetch"])), ("fly", Out(""))];
    let expected = [
        "`rm` neither takes part nor is left out",
        "`fly` is no verb",
        "`pull`: there is no operation `Fetch`",
        "`fly` has no operation and no reason",
    ];
    assert_eq!(faults(&parts, &verbs, &["Pull"]), expected);
}

#[test]
fn the_log_of_a_process_that_was_killed_ends_with_what_it_was_at() {
    let text = |line: &Line| serde_json::to_string(line).expect("a line") + "\n";
    let (images, tags) = (Operation::Images, Operation::Tags { repository: "race/a".to_owned() });
    let began = |at, operation: &Operation| text(&Line::Began { at, operation: operation.clone() });
    let ended = text(&Line::Ended { at: 2, outcome: Outcome::Done(Vec::new()) });
    let whole = [began(1, &images), ended.clone(), began(3, &tags)].concat();
    let first = Event { worker: 7, began: 1, ended: 2, operation: images.clone(), outcome: Outcome::Done(Vec::new()) };
    let killed = Event { worker: 7, began: 3, ended: 9, operation: tags, outcome: Outcome::Killed };
    assert_eq!(read(7, &whole, 9), Ok(vec![first.clone(), killed.clone()]));
    // What it was about to write when it was killed.
    assert_eq!(read(7, &format!("{whole}{}", &ended[..9]), 9), Ok(vec![first, killed]));
    assert!(read(7, &format!("{ended}{whole}"), 9).is_err(), "an end without a beginning");
    assert!(read(7, &[began(1, &images), began(2, &images)].concat(), 9).is_err(), "two at once");
}
