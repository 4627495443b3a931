//! One prune at a time: a record says who prunes, and is written again as long as
//! that lives. One whose writer has died stands for no longer than [`LIVE_S`].

use crate::{
    host::{Host, Transaction},
    nouns::problem::ErrorCode,
    registry::Failure,
    verbs::{
        contract::Caller,
        failing::{fail, try_this},
    },
};
use futures_util::future::{Either, select};
use std::{future::Future, pin::pin};

/// Where it is recorded.
const KEY: &str = "prune";
/// After so long without a sign of life nobody prunes, in seconds.
const LIVE_S: i64 = 30;
/// How often a sign of life is given.
const BEAT_MS: u64 = 10_000;
/// How much of a name is shown, in characters.
const WHO_CHARS_MAX: usize = 200;

/// Does the work if nobody else does the same, and says who does if not.
pub(super) async fn alone<H: Host, T>(
    host: &H,
    caller: &Caller,
    who: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let salt = format!("{:016x}", host.random());
    take(host, caller, who, &salt).await?;
    let beat = async {
        loop {
            host.sleep(BEAT_MS).await;
            // A sign that cannot be given is given the next time.
            let _ = write(host, caller, Some(&value(host, &salt, who))).await;
        }
    };
    let outcome = match select(pin!(work), pin!(beat)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((never, _)) => never,
    };
    // What stays says nothing after a while.
    let _ = write(host, caller, None).await;
    outcome
}

async fn take<H: Host>(host: &H, caller: &Caller, who: &str, salt: &str) -> Result<(), Failure> {
    let transaction = host.begin().await?;
    let found = transaction.get(&caller.namespace, KEY).await?;
    let text = found.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let mut lines = text.splitn(3, '\n');
    let seen: Option<i64> = lines.next().and_then(|line| line.parse().ok());
    let now = host.now();
    if let (Some(seen), Some(_), Some(other)) = (seen, lines.next(), lines.next())
        && (seen..seen.saturating_add(LIVE_S)).contains(&now)
    {
        return Err(refused(other));
    }
    transaction.put(&caller.namespace, KEY, value(host, salt, who));
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(ErrorCode::Conflict) => Err(refused("somebody who was faster")),
        Err(other) => Err(other.into()),
    }
}

fn refused(other: &str) -> Failure {
    let other: String = other.chars().take(WHO_CHARS_MAX).collect();
    let failure = fail(ErrorCode::InUse, format!("another prune runs: {}", other.escape_debug()));
    try_this(failure, format!("wait for it; if it has died, it is forgotten {LIVE_S} seconds later"))
}

fn value<H: Host>(host: &H, salt: &str, who: &str) -> Vec<u8> {
    format!("{}\n{salt}\n{who}", host.now()).into_bytes()
}

async fn write<H: Host>(host: &H, caller: &Caller, value: Option<&[u8]>) -> Result<(), ErrorCode> {
    let transaction = host.begin().await?;
    match value {
        Some(value) => transaction.put(&caller.namespace, KEY, value.to_vec()),
        None => transaction.delete(&caller.namespace, KEY),
    }
    transaction.commit().await
}
