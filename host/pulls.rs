//! The verbs that pull: what was typed, or what a plan says that was saved; and that plan. It is a part of `main`, and
//! takes no authority of its own: the files with plans are read and written by `ambient`.

use crate::ambient::read_plan;
use crate::changes::{Changes, save};
use crate::watch::{reporter, watch};
use crate::{Failed, connect, log, report};
use wharf::cli::{self, Cli, exit};
use wharf::images::{Caller, Pulled};
use wharf::render::palette::Palette;
use wharf::{answer, filed, render};

/// `wharf pull`.
pub(crate) async fn pull(
    cli: &Cli,
    asked: &cli::Pull,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let mut options = asked.options();
    let (wharf, access) = connect(cli, &asked.reference, &asked.access, &asked.patience, options.access)?;
    options.access = access;
    if asked.dry_run || asked.plan_file().is_some() {
        let plans = wharf.plan_pull(caller, &asked.reference, &options).await?;
        save(asked.plan_file(), &plans.document, || answer::plans(asked, &plans.names))?;
        return Ok(exit::DONE);
    }
    let reporter = reporter(asked.progress, asked.quiet, palette, screen);
    let what = format!("the pull of `{}`", asked.reference);
    let pulled =
        watch(reporter, &what, async |stop, tell| wharf.pull(caller, &asked.reference, &options, stop, tell).await);
    tell(asked.quiet, asked.progress, asked.format, &pulled.await?);
    Ok(exit::DONE)
}

/// `wharf apply`.
pub(crate) async fn apply(
    cli: &Cli,
    asked: &cli::Apply,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let document = read_plan(asked.file())?;
    let Some(planned) = filed::pull(&document) else {
        return Changes::open(cli, caller, palette)?.apply(asked, &document).await;
    };
    let access = asked.patience.apply(asked.access.access());
    let (wharf, access) = connect(cli, &planned.reference, &asked.access, &asked.patience, access)?;
    let reporter = reporter(asked.progress, asked.quiet, palette, screen);
    let what = format!("the pull of `{}`", render::escape::text(&planned.reference));
    let pulled =
        watch(reporter, &what, async |stop, tell| wharf.pull_planned(caller, &document, &access, stop, tell).await);
    tell(asked.quiet, asked.progress, asked.format, &pulled.await?);
    Ok(exit::DONE)
}

/// Tells what was pulled.
fn tell(quiet: bool, progress: cli::Progress, format: cli::TextFormat, pulled: &[Pulled]) {
    report(answer::pulled_talk(quiet, progress, pulled).as_deref(), &answer::pulled(format, pulled));
}
