//! What a verb answers with, in the form that its arguments ask for: the one
//! place that chooses between table, JSON and names. It prints nothing.
//!
//! `now` is in seconds since 1970.

use crate::cli::{self, TableFormat, TextFormat};
use crate::render::{self, images::ImagesStyle};
use wharf_vocabulary::archives::{Imported, Loaded};
use wharf_vocabulary::changes::Usage;
use wharf_vocabulary::changes::{Changed, Composed, Happening, IngestInfo, Lease, Plan, Retention};
use wharf_vocabulary::discovery::{Found, Referral};
use wharf_vocabulary::uploads::Pushed;
use wharf_vocabulary::vocabulary::{Explanation, Findings, Image};
use wharf_vocabulary::vocabulary::{PullPlan, Pulled, Step};

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

/// `wharf retain` about names that come.
pub fn retention(format: TextFormat, usual: Retention) -> String {
    match format {
        TextFormat::Json => render::retention::json(usual),
        TextFormat::Text => render::retention::line(usual),
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

/// `--dry-run` and `--plan` of `wharf pull`, for standard output.
pub fn plans(asked: &cli::Pull, plans: &[PullPlan]) -> String {
    match asked.format {
        TextFormat::Json => render::plan::json(plans),
        TextFormat::Text => render::plan::table(plans),
    }
}

/// `wharf pull`, and `wharf apply` of the plan of one, for standard output.
pub fn pulled(format: TextFormat, pulled: &[Pulled]) -> String {
    match format {
        TextFormat::Json => render::pulled::json(pulled),
        TextFormat::Text => render::pulled::names(pulled),
    }
}

/// The same for standard error, unless nothing is to be said.
pub fn pulled_talk(quiet: bool, progress: cli::Progress, pulled: &[Pulled]) -> Option<String> {
    // Whoever reads JSON there reads nothing else.
    let wanted = !quiet && progress != cli::Progress::Json;
    wanted.then(|| render::pulled::talk(pulled))
}

/// `--dry-run` of `wharf push`, for standard output.
pub fn push_plan(format: TextFormat, pushed: &[Pushed]) -> String {
    match format {
        TextFormat::Json => render::pushed::json(pushed),
        TextFormat::Text => render::pushed::plan(pushed),
    }
}

/// `wharf push` and `wharf copy`, for standard output.
pub fn pushed(format: TextFormat, pushed: &[Pushed]) -> String {
    match format {
        TextFormat::Json => render::pushed::json(pushed),
        TextFormat::Text => render::pushed::names(pushed),
    }
}

/// The same for standard error, unless nothing is to be said.
pub fn pushed_talk(quiet: bool, progress: cli::Progress, pushed: &[Pushed]) -> Option<String> {
    let wanted = !quiet && progress != cli::Progress::Json;
    wanted.then(|| render::pushed::talk(pushed))
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

/// `wharf load`, for standard output.
pub fn loaded(asked: &cli::Load, loaded: &Loaded) -> String {
    match asked.format {
        TextFormat::Json => render::loaded::json(loaded),
        TextFormat::Text => render::loaded::lines(loaded),
    }
}

/// The same for standard error, unless nothing is to be said.
pub fn loaded_talk(asked: &cli::Load, loaded: &Loaded) -> Option<String> {
    let wanted = !asked.quiet && asked.progress != cli::Progress::Json && !loaded.notes.is_empty();
    wanted.then(|| render::loaded::talk(loaded))
}

/// `wharf import`, for standard output.
pub fn imported(asked: &cli::Import, imported: &Imported) -> String {
    match asked.format {
        TextFormat::Json => render::imported::json(imported),
        TextFormat::Text => format!("{}\n", imported.id),
    }
}

/// The same for standard error, unless nothing is to be said.
pub fn imported_talk(asked: &cli::Import, imported: &Imported) -> Option<String> {
    let wanted = !asked.quiet && asked.progress != cli::Progress::Json;
    wanted.then(|| render::imported::talk(imported))
}

/// `wharf snapshot commit`, for standard output.
pub fn committed(asked: &cli::SnapshotCommit, committed: &Imported) -> String {
    match asked.format {
        TextFormat::Json => render::imported::json(committed),
        TextFormat::Text => format!("{}\n", committed.id),
    }
}

/// The same for standard error, unless nothing is to be said.
pub fn committed_talk(asked: &cli::SnapshotCommit, committed: &Imported) -> Option<String> {
    let wanted = !asked.quiet && asked.progress != cli::Progress::Json;
    wanted.then(|| render::imported::talk_committed(committed))
}

/// `wharf manifest create` and what changes an index.
pub fn composed(format: TextFormat, composed: &Composed) -> String {
    match format {
        TextFormat::Json => render::composed::json(composed),
        TextFormat::Text => format!("{}\n", composed.target.digest),
    }
}

/// `wharf manifest inspect`.
pub fn manifest(asked: &cli::ManifestInspect, text: &str) -> String {
    if asked.raw { text.to_owned() } else { render::composed::document(text) }
}

/// `wharf tags` and `wharf catalog`.
pub fn list(format: TextFormat, names: &[String]) -> String {
    match format {
        TextFormat::Json => render::lists::json(names),
        TextFormat::Text => render::lists::lines(names),
    }
}

/// `wharf search`.
pub fn found(asked: &cli::Search, found: &Found) -> String {
    match asked.format {
        TableFormat::Json => render::found::json(found),
        TableFormat::Table => render::found::table(found, asked.no_trunc),
    }
}

/// `wharf referrers`.
pub fn referrers(asked: &cli::Referrers, referral: &Referral) -> String {
    match asked.format {
        TableFormat::Json => render::referrers::json(referral),
        TableFormat::Table => render::referrers::table(referral, asked.no_trunc),
    }
}

/// `--dry-run` and `--plan` of the verbs that change what is here, for standard output.
pub fn plan(asked: &cli::Planning, plan: &Plan) -> String {
    match asked.format {
        TextFormat::Json => render::changes::plan_json(plan),
        TextFormat::Text => render::changes::plan(plan),
    }
}

/// `--plan` of them, and of `wharf pull`: what `wharf apply` reads.
pub fn document(plan: &str) -> String {
    format!("{plan}\n")
}

/// The verbs that change what is here, for standard output.
pub fn changed(format: TextFormat, changed: &Changed) -> String {
    match format {
        TextFormat::Json => render::changes::json(changed),
        TextFormat::Text => render::changes::lines(changed),
    }
}

/// A collection of `wharf gc --scheduled`, for standard output; nothing if it has changed nothing.
pub fn collected(format: TextFormat, changed: &Changed, now: i64) -> String {
    match format {
        TextFormat::Json => render::changes::collected_json(changed, now),
        TextFormat::Text => render::changes::collected(changed, now),
    }
}

/// `wharf df`.
pub fn usage(asked: &cli::Df, usage: &Usage, now: i64) -> String {
    let mut text = match asked.format {
        TableFormat::Json => return render::usage::json(usage),
        TableFormat::Table => render::usage::table(usage),
    };
    if asked.verbose {
        text.push('\n');
        text.push_str(&render::usage::images(&usage.images, now));
    }
    text
}

/// `wharf lease ls`.
pub fn leases(asked: &cli::LeaseLs, leases: &[Lease], now: i64) -> String {
    match (asked.quiet, asked.format) {
        (true, _) => render::leases::ids(leases),
        (false, TableFormat::Json) => render::leases::json(leases),
        (false, TableFormat::Table) => render::leases::table(leases, now),
    }
}

/// `wharf lease create`.
pub fn lease(asked: &cli::LeaseCreate, lease: &Lease) -> String {
    match asked.format {
        TextFormat::Json => render::leases::one_json(lease),
        TextFormat::Text => render::leases::ids([lease]),
    }
}

/// `wharf ingest ls`.
pub fn ingests(asked: &cli::IngestLs, ingests: &[IngestInfo]) -> String {
    match (asked.quiet, asked.format) {
        (true, _) => render::ingests::keys(ingests),
        (false, TableFormat::Json) => render::ingests::json(ingests),
        (false, TableFormat::Table) => render::ingests::table(ingests, asked.no_trunc),
    }
}

/// `wharf label`.
pub fn labels(asked: &cli::Label, labels: &[(String, String)]) -> String {
    match asked.format {
        TextFormat::Json => render::labels::json(labels),
        TextFormat::Text => render::labels::lines(labels),
    }
}

/// One line of `wharf events`.
pub fn happening(asked: &cli::Events, happening: &Happening) -> String {
    match asked.format {
        TextFormat::Json => render::happenings::json(happening),
        TextFormat::Text => render::happenings::line(happening),
    }
}
