//! `wharf push` and `wharf copy`.

use super::program::{offline, online_all, print, talk};
use super::screen::Screen;
use crate::edge::convert::each;
use crate::verbs;
use crate::verbs::contract::Caller;
use std::path::Path;
use wharf_terminal::render::palette::Palette;
use wharf_terminal::{answer, cli};
use wharf_vocabulary::uploads::Pushed;
use wharf_vocabulary::vocabulary::Problem;

/// `wharf push`.
pub(super) async fn push(asked: &cli::Push, caller: &Caller, root: &Path, palette: Palette) -> Result<(), Problem> {
    let options = asked.options();
    let mut names = vec![asked.named().to_owned()];
    if asked.referrers {
        // What refers to the image may be where something else of its names is.
        let listing = verbs::images::entries(&offline(root).await?, caller, &[]).await?;
        names.extend(listing.images.into_iter().map(|image| image.name));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let host = online_all(&asked.access, &names, &options.access, root).await?;
    let (reference, options) = (&asked.reference, options.into());
    let outcome = if asked.dry_run {
        verbs::plan_push(&host, caller, reference, &options).await
    } else {
        let screen = Screen::of(asked.progress, asked.quiet, palette);
        screen.watch(verbs::push(&host, caller, reference, &options, &screen)).await
    };
    let pushed: Vec<Pushed> = each(host.explained(outcome)?);
    match asked.dry_run {
        true => print(&answer::push_plan(asked.format, &pushed)),
        false => tell(asked.quiet, asked.progress, asked.format, &pushed),
    }
}

/// `wharf copy`.
pub(super) async fn copy(asked: &cli::Copy, caller: &Caller, root: &Path, palette: Palette) -> Result<(), Problem> {
    let options = asked.options();
    let names = [&*asked.source, &*asked.destination];
    let host = online_all(&asked.access, &names, &options.access, root).await?;
    let screen = Screen::of(asked.progress, asked.quiet, palette);
    let options = options.into();
    if asked.dry_run {
        let plan = verbs::plan_copy(&host, caller, &asked.source, &asked.destination, &options).await;
        let plan: Vec<Pushed> = each(host.explained(plan)?);
        return print(&answer::push_plan(asked.format, &plan));
    }
    let copy = verbs::copy(&host, caller, &asked.source, &asked.destination, &options, &screen);
    let copied: Vec<Pushed> = each(host.explained(screen.watch(copy).await)?);
    tell(asked.quiet, asked.progress, asked.format, &copied)
}

/// Tells what is in a registry now.
fn tell(quiet: bool, progress: cli::Progress, format: cli::TextFormat, pushed: &[Pushed]) -> Result<(), Problem> {
    if let Some(text) = answer::pushed_talk(quiet, progress, pushed) {
        talk(&text);
    }
    print(&answer::pushed(format, pushed))
}
