//! The answer of `wharf events`: what has happened to images and leases, one line each.

use super::{age, escape, json};
use serde::Serialize;
use wharf_vocabulary::changes::{Action, Happening};

#[derive(Serialize)]
struct HappeningObject<'a> {
    time: Option<String>,
    action: &'static str,
    subject: &'a str,
    target: Option<&'a str>,
}

/// Returns a line as docker has them: `2026-01-31T12:00:00.000000000Z tag docker.io/library/app:1 (sha256:4bcf…)`.
pub fn line(Happening { time, action, subject, target }: &Happening) -> String {
    let time = age::nanoseconds(time.0, time.1).unwrap_or_else(|| time.0.to_string());
    // What has no name is its own target.
    let target = target.as_deref().filter(|target| target != subject);
    let target = target.map(|target| format!(" ({})", escape::text(target))).unwrap_or_default();
    format!("{time} {} {}{target}\n", word(*action), escape::text(subject))
}

/// Returns an object on one line.
pub fn json(Happening { time, action, subject, target }: &Happening) -> String {
    json::line(&HappeningObject {
        time: age::nanoseconds(time.0, time.1),
        action: word(*action),
        subject,
        target: target.as_deref(),
    })
}

/// As in `wit/changes.wit`.
const fn word(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull",
        Action::Tag => "tag",
        Action::Untag => "untag",
        Action::Delete => "delete",
        Action::Prune => "prune",
        Action::Label => "label",
        Action::Push => "push",
        Action::Load => "load",
        Action::Lease => "lease",
        Action::Release => "release",
        Action::Expire => "expire",
        Action::Import => "import",
    }
}
