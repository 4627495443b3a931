//! `POST /images/create`: an image from a registry, or of an archive of files.

use super::{Context, client::Client, import::import, lines::Lines, pull::pull, refusal::Refusal};
use crate::host::Host;

/// Answers.
pub(super) async fn create<H: Host, C: Client>(context: &Context<'_, H>, body: H::Stream, client: C) {
    let lines = Lines::new(client);
    let outcome = match (context.query.text("fromImage"), context.query.text("fromSrc")) {
        (Some(from), None) => pull(context, from, &lines).await,
        (None, Some(from)) => import(context, from, body, &lines).await,
        (Some(_), Some(_)) => Err(Refusal::new(400, "`fromImage` and `fromSrc` exclude each other".to_owned())),
        (None, None) => Err(Refusal::new(400, "one of `fromImage` and `fromSrc` is needed".to_owned())),
    };
    lines.end(outcome).await;
}
