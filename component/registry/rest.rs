//! What is left of a blob from some byte on, as it comes, for whoever passes it on. It
//! is not kept, not read, and not compared with its digest: whoever takes it does that.
//!
//! RFC 9110 section 14.

use super::{Failure, Repository, failure::Fault, range, refusal::Subject, rounds::Need};
use crate::{
    host::{Host, HttpError, Method},
    nouns::{descriptor::Descriptor, problem::ErrorCode},
};
use futures_util::future::LocalBoxFuture;

/// The bytes, what says whether they came whole, and who sends them, as in
/// `https://registry.lan`.
type Rest<S> = (S, LocalBoxFuture<'static, Result<(), HttpError>>, String);

impl<H: Host> Repository<'_, H> {
    /// Asks for a blob from `offset` on.
    ///
    /// Fails with [`ErrorCode::Unsupported`] if nobody begins there: ask for all of it
    /// then.
    pub(super) async fn rest(&self, what: &Descriptor, offset: u64) -> Result<Rest<H::Stream>, Failure> {
        self.persist(Need::Pull, self.common.attempts_max, async |server| {
            let mut headers = vec![("accept", "*/*".to_owned())];
            if offset > 0 {
                headers.push(("range", format!("bytes={offset}-")));
            }
            let ask = server.ask(Method::Get, &format!("blobs/{}", what.digest), headers);
            let answer = server.exchange(&ask).await?;
            let from = server.url();
            let found = match answer.response.status {
                200 if offset > 0 => {
                    return Err(Fault::last(ErrorCode::Unsupported, format!("`{from}` cannot send a part of a blob")));
                }
                // What was compressed on the way has another length.
                200 => answer.length()?.or(answer.is_encoded().then_some(u64::MAX)),
                206 => {
                    let range = answer.header("content-range").and_then(range::parse);
                    let size = range.filter(|range| range.first == offset && offset > 0).map(|range| range.last + 1);
                    Some(size.unwrap_or(u64::MAX))
                }
                _ => return Err(server.refusal(answer, Subject::Blob(&what.digest)).await),
            };
            if let Some(found) = found.filter(|&found| found != what.size) {
                let why =
                    format!("`{from}` does not send the {} bytes of `{}` that were promised", what.size, what.digest);
                return Err(Fault::last(ErrorCode::SizeMismatch(found), why));
            }
            Ok((answer.response.body, answer.response.end, from))
        })
        .await
    }
}
