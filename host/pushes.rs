//! The verbs that bring images to a registry. It is a part of `main`, and takes no authority of its own.

use crate::watch::{reporter, watch};
use crate::{Failed, connect_all, known, log, print, report};
use wharf::answer;
use wharf::cli::{self, Cli, exit};
use wharf::images::{Caller, Pushed};
use wharf::render::palette::Palette;

/// `wharf push`.
pub(crate) async fn push(
    cli: &Cli,
    asked: &cli::Push,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let mut options = asked.options();
    // What refers to the image may be where something else of its names is.
    let origins = if asked.referrers { known(cli, caller).await? } else { Vec::new() };
    let names: Vec<String> = std::iter::once(asked.named().to_owned()).chain(origins.iter().cloned()).collect();
    let (wharf, access) = connect_all(cli, &names, &asked.access, &asked.patience, options.access)?;
    options.access = access;
    let reference = &asked.reference;
    let pushed = if asked.dry_run {
        wharf.plan_push(caller, reference, &origins, &options).await?
    } else {
        let reporter = reporter(asked.progress, asked.quiet, palette, screen);
        let what = format!("the push of `{reference}`");
        let call = watch(reporter, &what, async |stop, tell| {
            wharf.push(caller, reference, &origins, &options, stop, tell).await
        });
        call.await?
    };
    if asked.dry_run {
        print(&answer::push_plan(asked.format, &pushed));
    } else {
        tell(asked.quiet, asked.progress, asked.format, &pushed);
    }
    Ok(exit::DONE)
}

/// `wharf copy`.
pub(crate) async fn copy(
    cli: &Cli,
    asked: &cli::Copy,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let mut options = asked.options();
    let names = [asked.source.clone(), asked.destination.clone()];
    let (wharf, access) = connect_all(cli, &names, &asked.access, &asked.patience, options.access)?;
    options.access = access;
    if asked.dry_run {
        let plan = wharf.plan_copy(caller, &asked.source, &asked.destination, &options).await?;
        print(&answer::push_plan(asked.format, &plan));
        return Ok(exit::DONE);
    }
    let reporter = reporter(asked.progress, asked.quiet, palette, screen);
    let what = format!("the copy of `{}`", asked.source);
    let copied = watch(reporter, &what, async |stop, tell| {
        wharf.copy(caller, &asked.source, &asked.destination, &options, stop, tell).await
    });
    tell(asked.quiet, asked.progress, asked.format, &copied.await?);
    Ok(exit::DONE)
}

/// Tells what is in a registry now.
fn tell(quiet: bool, progress: cli::Progress, format: cli::TextFormat, pushed: &[Pushed]) {
    report(answer::pushed_talk(quiet, progress, pushed).as_deref(), &answer::pushed(format, pushed));
}
