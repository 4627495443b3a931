//! `wharf snapshot`: trees that can be written to.
//!
//! What is recorded of them the component knows; their trees are mounted and read here, by the name that it says.

use super::{Trees, command, wrong};
use crate::archives::Place;
use crate::watch::{reporter, watch};
use crate::{Failed, now, print, problem, report, talk};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use wharf::cli::{self, SnapshotCommand, TableFormat, TextFormat, exit};
use wharf::images::{Problem, SnapshotKind, SnapshotRecord};
use wharf::layers::{self, Top};
use wharf::{answer, render};

/// Collections keep what has it. containerd, docs/garbage-collection.md.
const ROOT_LABEL: &str = "containerd.io/gc.root";
/// Collections keep what it names, by the same page: here the manifest of the image that it stands on.
const BASE_LABEL: &str = "containerd.io/gc.ref.content.base";

impl Trees<'_> {
    /// `wharf snapshot`.
    pub(crate) async fn snapshots(&self, asked: &cli::Snapshot) -> Result<u8, Failed> {
        match &asked.command {
            SnapshotCommand::Ls(ls) => self.list_snapshots(ls).await,
            SnapshotCommand::Prepare(prepare) => self.prepare_snapshot(prepare).await,
            SnapshotCommand::Mount(mount) => self.mount_snapshot(mount).await,
            SnapshotCommand::Umount(umount) => self.unmount(umount),
            SnapshotCommand::Diff(diff) => self.diff_snapshot(diff).await,
            SnapshotCommand::Commit(commit) => self.commit_snapshot(commit).await,
            SnapshotCommand::Rm(rm) => self.remove_snapshots(rm).await,
        }
    }

    async fn list_snapshots(&self, asked: &cli::SnapshotLs) -> Result<u8, Failed> {
        let found = self.wharf.list_snapshots(self.caller, &asked.filters).await?;
        print(&match (asked.quiet, asked.format) {
            (true, _) => render::snapshots::names(&found),
            (false, TableFormat::Json) => render::snapshots::json(&found),
            (false, TableFormat::Table) => render::snapshots::table(&found, asked.no_trunc, now()),
        });
        Ok(exit::DONE)
    }

    async fn prepare_snapshot(&self, asked: &cli::SnapshotPrepare) -> Result<u8, Failed> {
        let cli::SnapshotPrepare { name, reference, platform, view, labels } = asked.clone();
        let (mut parent, mut labels) = (None, labels);
        labels.push((ROOT_LABEL.to_owned(), "true".to_owned()));
        if let Some(reference) = reference {
            let tree = self.tree(&cli::Which { reference, platform }, cli::Progress::Auto).await?;
            labels.push((BASE_LABEL.to_owned(), tree.manifest));
            parent = tree.snapshot;
        }
        labels.sort();
        self.wharf.prepare_snapshot(self.caller, &name, parent.as_deref(), !view, &labels).await?;
        print(&render::lists::lines(&[name]));
        Ok(exit::DONE)
    }

    async fn mount_snapshot(&self, asked: &cli::SnapshotMount) -> Result<u8, Failed> {
        let what = format!("cannot mount the snapshot `{}`", asked.name);
        let top = self.top(&asked.name, &what).await?;
        let Some(at) = &asked.directory else {
            let at = self.inside(&what)?;
            let entrance = self.layers.entrance_top(&top, &at).map_err(|error| wrong(&what, error))?;
            return command::run(entrance, None, &at, &asked.command, &what).await;
        };
        let what = format!("{what} on `{}`", at.display());
        let directory = self.place(at, &what)?;
        top.mount(directory.as_fd()).map_err(|error| {
            let command = format!("wharf snapshot mount {} -- COMMAND", asked.name);
            let fix = matches!(error, layers::Error::Unsupported(_)).then_some(command);
            Problem { fix, ..wrong(&what, error) }
        })?;
        Ok(exit::DONE)
    }

    async fn diff_snapshot(&self, asked: &cli::SnapshotDiff) -> Result<u8, Failed> {
        let what = format!("cannot tell what was written to the snapshot `{}`", asked.name);
        let top = self.top(&asked.name, &what).await?;
        if let Some(output) = asked.output() {
            let place = Place::of(output, false)?;
            self.write(place, &what, "the layer", move |out| top.diff(out).map(|changes| changes.archived)).await?;
            return Ok(exit::DONE);
        }
        let (below, all) = top.views().map_err(|error| wrong(&what, error))?;
        let absolute = |(change, path): (_, Vec<u8>)| (change, [b"/", path.as_slice()].concat());
        let changes: Result<Vec<_>, _> = below.difference(&all).map(|change| change.map(absolute)).collect();
        let mut changes = changes.map_err(|error| wrong(&what, error))?;
        // Nothing has no root that could have changed.
        changes.retain(|(_, path)| top.parent().is_some() || path != b"/");
        print(&match asked.format {
            TextFormat::Json => render::tree::changes_json(&changes),
            TextFormat::Text => render::tree::changes(&changes),
        });
        Ok(exit::DONE)
    }

    async fn commit_snapshot(&self, asked: &cli::SnapshotCommit) -> Result<u8, Failed> {
        let reporter = reporter(asked.progress, asked.quiet, self.palette, self.screen.clone());
        let options = asked.options();
        let committed = watch(reporter, "the commit", async |stop, tell| {
            self.wharf.commit(self.caller, &asked.name, &options, stop, tell).await
        });
        let committed = committed.await?;
        report(answer::committed_talk(asked, &committed).as_deref(), &answer::committed(asked, &committed));
        Ok(exit::DONE)
    }

    /// Removes those that can be removed, and says which cannot.
    async fn remove_snapshots(&self, asked: &cli::SnapshotRm) -> Result<u8, Failed> {
        let names: BTreeSet<&String> = asked.names.iter().collect();
        let mut failed = None;
        for name in names {
            match self.wharf.remove_snapshot(self.caller, name).await {
                Ok(()) => print(&render::lists::lines(std::slice::from_ref(name))),
                Err(failure) => {
                    if let Some(Failed { problem, .. }) = failed.replace(Failed::from(failure)) {
                        talk(&render::problem::text(&problem, self.palette));
                    }
                }
            }
        }
        failed.map_or(Ok(exit::DONE), Err)
    }

    /// Opens what is mounted and read.
    async fn top(&self, name: &str, what: &str) -> Result<Top, Failed> {
        let SnapshotRecord { kind, tree, .. } = self.wharf.stat_snapshot(self.caller, name).await?;
        if kind == SnapshotKind::Committed {
            let fix = Some(format!("wharf snapshot prepare --view NAME, on what `{name}` was made for"));
            let why = "it is committed: others stand on it, and it never changes";
            return Err(Problem { fix, ..problem(what, &why) }.into());
        }
        self.layers.find_top(&tree).map_err(|error| match error {
            layers::Error::NotFound => {
                problem(what, &"its tree is not here: it was removed or committed just now").into()
            }
            other => wrong(what, other).into(),
        })
    }
}
