//! `containerd.services.streaming.v1.Streaming`: streams that have names, which the requests of `transfer` use.
//!
//! The first message of a client is a `StreamInit` with the name, and the answer to it an empty message: from then on a
//! request can take the stream, once. A name belongs to one stream of a namespace for as long as the client has it
//! open. containerd, `plugins/services/streaming` and `core/streaming`.

use super::{Answers, Services};
use futures::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming as Messages};
use wharf_containerd_api::streaming::StreamInit;
use wharf_containerd_api::streaming::streaming_server::Streaming;
use wharf_containerd_api::{Any, Name, packed};

/// How many streams there are at once, of all clients.
const STREAMS_MAX: usize = 256;
/// The length of a name, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// How many messages wait for a client that reads slowly.
const WAITING_MAX: usize = 4;
/// The largest message of a stream, in bytes: a chunk is 32 KiB, and some clients send more at once.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How long a client may say nothing that is waited for, and how long a stream may wait for a request.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The namespace, and the name.
type Key = (String, String);

/// The streams that are open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    /// Empty is a place whose stream somebody has taken.
    open: Arc<Mutex<BTreeMap<Key, Option<Line>>>>,
}

/// One stream, for whoever has taken it. The client sees its end when it is dropped.
#[derive(Debug)]
pub(super) struct Line {
    messages: Messages<Any>,
    sender: mpsc::Sender<Result<Any, Status>>,
}

/// Frees a name when the client has gone.
struct Place {
    streams: Streams,
    key: Key,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The stream that was not taken is dropped without the lock.
        let _line = self.streams.lock().remove(&self.key);
    }
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Option<Line>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a stream a name.
    fn enter(&self, key: Key, line: Line) -> Result<Place, Status> {
        let mut open = self.lock();
        if open.contains_key(&key) {
            return Err(Status::already_exists(format!("there is a stream `{}` already", key.1.escape_debug())));
        }
        if open.len() >= STREAMS_MAX {
            return Err(Status::resource_exhausted(format!("{STREAMS_MAX} streams are open, and more are not served")));
        }
        open.insert(key.clone(), Some(line));
        Ok(Place { streams: self.clone(), key })
    }

    /// Takes a stream for a request.
    pub(super) fn take(&self, namespace: &str, name: &str) -> Result<Line, Status> {
        let key = (namespace.to_owned(), name.to_owned());
        match self.lock().get_mut(&key) {
            Some(line) => line.take().ok_or_else(|| {
                Status::failed_precondition(format!("another request uses the stream `{}`", name.escape_debug()))
            }),
            None => Err(Status::not_found(format!("there is no stream `{}`", name.escape_debug()))),
        }
    }

    /// Ends a stream that nobody has taken for too long.
    fn give_up(&self, key: &Key) {
        let line = self.lock().get_mut(key).and_then(Option::take);
        if let Some(line) = line {
            let why = format!("no request has used the stream for {} s", SILENCE_MAX.as_secs());
            // Whoever does not read hears of it by the end.
            let _ = line.sender.try_send(Err(Status::deadline_exceeded(why)));
        }
    }
}

impl Line {
    /// Returns the next message of the client; none once it has said that there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Any>, Status> {
        let silent = |_| Status::deadline_exceeded(format!("the client was silent for {} s", SILENCE_MAX.as_secs()));
        timeout(SILENCE_MAX, self.messages.message()).await.map_err(silent)?
    }

    /// Sends a message once there is room for it.
    pub(super) async fn send<M: Name>(&self, message: &M) -> Result<(), Status> {
        match timeout(SILENCE_MAX, self.sender.send(Ok(packed(message)))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the client has ended the stream")),
            Err(_) => {
                Err(Status::deadline_exceeded(format!("the client took nothing for {} s", SILENCE_MAX.as_secs())))
            }
        }
    }
}

/// Reads a message that has to be of this kind.
pub(super) fn unpacked<M: Name + Default>(any: &Any) -> Result<M, Status> {
    if !is::<M>(any) {
        let (found, wanted) = (any.type_url.escape_debug(), M::full_name());
        return Err(Status::invalid_argument(format!("`{found}` came where `{wanted}` was expected")));
    }
    M::decode(any.value.as_slice())
        .map_err(|error| Status::invalid_argument(format!("a `{}` cannot be read: {error}", M::full_name())))
}

/// Whether a message says that it is of this kind. Some clients put a host before its name.
pub(super) fn is<M: Name>(any: &Any) -> bool {
    any.type_url.rsplit('/').next() == Some(M::full_name().as_str())
}

#[tonic::async_trait]
impl Streaming for Services {
    type StreamStream = Answers<Any>;

    async fn stream(&self, request: Request<Messages<Any>>) -> Result<Response<Self::StreamStream>, Status> {
        let namespace = self.asked(request.metadata())?.namespace;
        let mut messages = request.into_inner();
        let late = |_| Status::deadline_exceeded("the stream has not said its name");
        let first = timeout(SILENCE_MAX, messages.message()).await.map_err(late)??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream has no message"))?;
        let StreamInit { id } = unpacked(&first)?;
        if id.is_empty() || id.len() > NAME_BYTES_MAX {
            let why = format!("the name of a stream has 1 to {NAME_BYTES_MAX} bytes, and this one {}", id.len());
            return Err(Status::invalid_argument(why));
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let empty = Any { type_url: "google.protobuf.Empty".to_owned(), value: Vec::new() };
        sender.try_send(Ok(empty)).expect("nothing waits yet");
        let key = (namespace, id);
        let place = self.streams.enter(key.clone(), Line { messages, sender })?;
        let (streams, over) = (self.streams.clone(), self.exchange.over.clone());
        let gone = CancellationToken::new();
        let watch = gone.clone().drop_guard();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(SILENCE_MAX) => streams.give_up(&key),
                () = over.cancelled() => streams.give_up(&key),
                () = gone.cancelled() => {}
            }
        });
        let answers = stream::unfold((receiver, place, watch), |(mut receiver, place, watch)| async move {
            let answer = receiver.recv().await?;
            Some((answer, (receiver, place, watch)))
        });
        Ok(Response::new(answers.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_containerd_api::types::transfer::{Data, WindowUpdate};

    #[test]
    fn a_message_is_read_only_as_what_it_says_to_be() {
        let mut any = packed(&WindowUpdate { update: 7 });
        assert_eq!(unpacked::<WindowUpdate>(&any).unwrap().update, 7);
        assert_eq!(unpacked::<Data>(&any).unwrap_err().code(), tonic::Code::InvalidArgument);
        any.type_url = format!("type.googleapis.com/{}", any.type_url);
        assert_eq!(unpacked::<WindowUpdate>(&any).unwrap().update, 7);
        any.value = vec![0xff];
        assert_eq!(unpacked::<WindowUpdate>(&any).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
