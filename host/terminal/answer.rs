//! What a verb answers with, in the form that its arguments ask for: the one
//! place that chooses between table, JSON and names. It prints nothing.
//!
//! `now` is in seconds since 1970.

use crate::cli::{self, TableFormat, TextFormat};
use crate::render::{self, images::ImagesStyle};
use wharf_vocabulary::vocabulary::{Explanation, Findings, Image, PullPlan, Pulled, Step};

/// `wharf images`.
pub fn images(asked: &cli::Images, found: &[Image], now: i64) -> String {
    match (asked.quiet, asked.format) {
        (true, _) => render::images::ids(found, asked.no_trunc),
        (false, TableFormat::Json) => render::images::json(found),
        (false, TableFormat::Table) => {
            let style = ImagesStyle { digests: asked.digests, whole: asked.no_trunc };
            render::images::table(found, style, now)
        }
    }
}

/// `wharf history`.
pub fn history(asked: &cli::History, steps: &[Step], now: i64) -> String {
    match (asked.quiet, asked.format) {
        (true, _) => render::history::layers(steps, asked.no_trunc),
        (false, TableFormat::Json) => render::history::json(steps),
        (false, TableFormat::Table) => render::history::table(steps, asked.no_trunc, now),
    }
}

/// `wharf pull --dry-run`.
pub fn plans(asked: &cli::Pull, plans: &[PullPlan]) -> String {
    match asked.format {
        TextFormat::Json => render::plan::json(plans),
        TextFormat::Text => render::plan::table(plans),
    }
}

/// `wharf pull`, for standard output.
pub fn pulled(asked: &cli::Pull, pulled: &[Pulled]) -> String {
    match asked.format {
        TextFormat::Json => render::pulled::json(pulled),
        TextFormat::Text => render::pulled::names(pulled),
    }
}

/// `wharf pull`, for standard error, unless nothing is to be said.
pub fn pulled_talk(asked: &cli::Pull, pulled: &[Pulled]) -> Option<String> {
    // Whoever reads JSON there reads nothing else.
    let wanted = !asked.quiet && asked.progress != cli::Progress::Json;
    wanted.then(|| render::pulled::talk(pulled))
}

/// `wharf fsck`.
pub fn findings(asked: &cli::Fsck, found: &Findings) -> String {
    match asked.format {
        TextFormat::Json => render::findings::json(found),
        TextFormat::Text => render::findings::lines(found),
    }
}

/// `wharf explain`.
pub fn explanation(asked: &cli::Explain, explanation: &Explanation, sources: &render::explain::Sources<'_>) -> String {
    match asked.format {
        TextFormat::Json => render::explain::json(explanation, sources),
        TextFormat::Text => render::explain::text(explanation, sources),
    }
}

/// `wharf tags` and `wharf catalog`.
pub fn list(format: TextFormat, names: &[String]) -> String {
    match format {
        TextFormat::Json => render::lists::json(names),
        TextFormat::Text => render::lists::lines(names),
    }
}
