//! A call that is stopped: what it has begun to record is recorded, or not, when it returns.

use crate::support::services;
use std::io::Cursor;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wharf::images::{Caller, Change, ImportOptions, Removal, Wharf};
use wharf::machine::machine;

/// Longer than a call takes to come to its commit, or to return.
const WHILE: Duration = Duration::from_millis(700);

fn archive() -> Cursor<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "file", &b"bytes"[..]).expect("memory can be written");
    Cursor::new(tar.into_inner().expect("memory can be written"))
}

#[tokio::test]
async fn what_has_returned_changes_nothing_any_more() {
    let (directory, services) = services();
    let caller = Caller { namespace: "default".to_owned(), machine: machine("") };
    let wharf = Wharf::new(services).expect("the component is loaded");
    let (stop, mut deaf) = (CancellationToken::new(), |_| {});
    let options = ImportOptions {
        name: Some("app:1".to_owned()),
        changes: Vec::new(),
        message: None,
        platform: Some("linux/amd64".to_owned()),
        created: None,
    };
    wharf.import(&caller, archive(), &options, &stop, &mut deaf).await.expect("it is imported");

    // Somebody else writes, so that the commit has to wait.
    let records = rusqlite::Connection::open(directory.path().join("metadata.sqlite")).expect("the records are there");
    records.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let removal = Removal { references: vec!["app:1".to_owned()], force: false, no_prune: true, platforms: Vec::new() };
    let change = Change::Remove(removal);
    let removing = wharf.perform(&caller, &change, &stop, &mut deaf);
    tokio::pin!(removing);
    assert!(timeout(WHILE, &mut removing).await.is_err(), "it waits");
    stop.cancel();
    assert!(timeout(WHILE, &mut removing).await.is_err(), "its commit is on its way");
    records.execute_batch("ROLLBACK").expect("it was begun");
    removing.await.expect_err("it was stopped");
    let names = async || wharf.entries(&caller, &[]).await.expect("they are listed").images.len();
    let there = names().await;
    sleep(WHILE).await;
    assert_eq!(names().await, there);
}
