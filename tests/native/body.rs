//! Bytes on their way, as the component's code holds them when it runs natively.

use super::failure;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use http_body_util::BodyExt as _;
use std::io::Read as _;
use tokio::sync::oneshot;
use wharf::layers::inflate::{self, Inflate};
use wharf::network::Incoming;
use wharf_component::host::HttpError;
use wharf_component::nouns::problem::ErrorCode;

/// How a body ended.
type End = Result<(), HttpError>;

/// A stream of bytes. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Option<Incoming>,
    /// What was received and not taken.
    rest: Option<Bytes>,
    ended: Option<oneshot::Sender<End>>,
}

impl Body {
    /// These bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { incoming: None, rest: Some(bytes.into()), ended: None }
    }

    /// The body of a response, and how it will have ended. One that is dropped before its end has ended well.
    pub(super) fn arriving(incoming: Incoming) -> (Self, LocalBoxFuture<'static, End>) {
        let (ended, end) = oneshot::channel();
        let body = Self { incoming: Some(incoming), rest: None, ended: Some(ended) };
        (body, end.map(|end| end.unwrap_or(Ok(()))).boxed_local())
    }

    /// Returns some bytes, none at the end. A body that was cut short just ends.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(rest) = self.rest.take().filter(|rest| !rest.is_empty()) {
            return Some(rest);
        }
        loop {
            let end = match self.incoming.as_mut()?.frame().await {
                None => Ok(()),
                Some(Err(error)) => Err(failure(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Some(data),
                    _ => continue,
                },
            };
            self.incoming = None;
            if let Some(ended) = self.ended.take() {
                // Nobody asks: then nobody needs to know.
                let _ = ended.send(end);
            }
        }
    }

    /// Shows the next bytes, and returns how many there were, and what comes after them.
    pub(super) async fn pass(mut self, length: u64, mut show: impl FnMut(&[u8])) -> (u64, Option<Self>) {
        let mut passed = 0;
        while passed < length {
            let Some(mut chunk) = self.next().await else { return (passed, None) };
            let room = usize::try_from(length - passed).unwrap_or(usize::MAX);
            if chunk.len() > room {
                self.put_back(chunk.split_off(room));
            }
            show(&chunk);
            passed += chunk.len() as u64;
        }
        (passed, Some(self))
    }

    /// What it is without its compression, and how that ended. It has to be here as a whole.
    pub(super) fn inflated(self) -> (Self, Result<(), ErrorCode>) {
        assert!(self.incoming.is_none(), "what is inflated in tests has arrived");
        let (compressed, mut bytes) = (self.rest.unwrap_or_default(), Vec::new());
        let inflated = Inflate::new(&compressed[..]).and_then(|mut reader| reader.read_to_end(&mut bytes));
        let end = inflated.map(drop).map_err(|error| match inflate::Error::of(&error) {
            Some(inflate::Error::Unsupported(_)) => ErrorCode::Unsupported,
            Some(inflate::Error::Window) => ErrorCode::TooLarge(1 << inflate::ZSTD_WINDOW_LOG_MAX),
            Some(inflate::Error::Truncated(_) | inflate::Error::Damaged(..)) => ErrorCode::Invalid,
            None => ErrorCode::Other(error.to_string()),
        });
        (Self::of(bytes), end)
    }

    /// Gives back what [`next`](Self::next) returned and nobody took.
    pub(super) fn put_back(&mut self, rest: Bytes) {
        self.rest = Some(rest);
    }
}
