//! What one call tells a person by the log: each text once, and not without end. Registries have a say in the texts and
//! in how many there are.
//!
//! It does not write; who warns does, under a target of his own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// How many different warnings one call may log.
const WARNINGS_MAX: usize = 20;

/// What has been told. Clones are the same record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    texts: HashSet<String>,
    full: bool,
}

impl Warnings {
    /// Has `write` log `text` if it is new, or once that more is left out.
    pub(crate) fn tell(&self, text: &str, write: impl FnOnce(&str)) {
        let mut told = self.told.lock().expect("nothing panics while it holds the lock");
        if told.full || told.texts.contains(text) {
            return;
        }
        let line = if told.texts.len() < WARNINGS_MAX {
            told.texts.insert(text.to_owned());
            text
        } else {
            told.full = true;
            "further warnings are left out"
        };
        drop(told);
        write(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_once_and_too_many_are_left_out() {
        let warnings = Warnings::default();
        let mut lines = Vec::new();
        for number in 0..1000 {
            for _ in 0..3 {
                warnings.clone().tell(&format!("`host-{number}` is this machine"), |line| lines.push(line.to_owned()));
            }
        }
        let mut expected: Vec<_> = (0..20).map(|number| format!("`host-{number}` is this machine")).collect();
        expected.push("further warnings are left out".to_owned());
        assert_eq!(lines, expected);

        let mut lines = 0;
        Warnings::default().tell("another call begins anew", |_| lines += 1);
        assert_eq!(lines, 1);
    }
}
