//! `wasi:http/handler`: a request comes in, and `docker` answers it. The same for
//! both components; what differs is the host, and who moves the bytes of archives.

use crate::docker::{self, Ask, Body, Client, Head, Refusal, Settings};
use crate::host::Host;
use crate::verbs::save::Piece;
use futures_channel::oneshot;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wit_bindgen::rt::async_support::StreamResult;
use wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter};

/// Whom a request meets: a host, how it is answered, and the stream of its body.
pub(super) type Met<H> = (H, Settings, <H as Host>::Stream);

/// Answers a request. `meet` makes what answers it, and `archive` a body of the pieces
/// of an archive.
pub(super) async fn answer<H: Host + 'static>(
    request: Request,
    meet: impl AsyncFnOnce(&Ask, Fields, StreamReader<u8>) -> Result<Met<H>, Refusal> + 'static,
    archive: fn(Vec<Piece<H::Blob>>) -> StreamReader<u8>,
) -> Result<Response, ErrorCode> {
    let headers = request.get_headers();
    let ask = Ask {
        method: name(request.get_method()),
        target: request.get_path_with_query().unwrap_or_else(|| "/".to_owned()),
        accept: accepted(&headers),
    };
    // The writer of this future is dropped at once, which says that all is well at this end.
    let (_, received) = wasip3::wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, received);
    let (sender, receiver) = oneshot::channel();
    wit_bindgen::spawn_local(async move {
        let client = Asking { sender, archive };
        match meet(&ask, headers, body).await {
            Ok((host, settings, body)) => docker::serve(&host, &settings, &ask, body, client).await,
            Err(refusal) => docker::refuse(refusal, client).await,
        }
        drop(trailers);
    });
    receiver.await.map_err(|_| ErrorCode::InternalError(None))
}

/// The values of `Accept`.
fn accepted(headers: &Fields) -> String {
    let values = headers.get("accept");
    values.iter().filter_map(|value| std::str::from_utf8(value).ok()).collect::<Vec<_>>().join(",")
}

/// As in `GET`.
fn name(method: Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    }
    .to_owned()
}

/// Whoever waits for the head of the answer.
struct Asking<B> {
    sender: oneshot::Sender<Response>,
    archive: fn(Vec<Piece<B>>) -> StreamReader<u8>,
}

impl<B> Client for Asking<B> {
    type Blob = B;
    type Body = Writing;

    async fn begin(self, head: Head) -> Writing {
        let (writer, reader) = wasip3::wit_stream::new();
        // What is said if the body is given up: the runtime breaks the answer off then.
        let (ending, ended) = wasip3::wit_future::new(|| Err(ErrorCode::InternalError(None)));
        // Whoever went away is noticed by the first write.
        let _ = self.sender.send(response(head, reader, ended));
        Writing { writer: Some(writer), ending }
    }

    async fn send(self, head: Head, pieces: Vec<Piece<B>>) {
        // The writer is dropped at once, which says that all is well: the client learns by the length what is missing.
        let (_, ended) = wasip3::wit_future::new(|| Ok(None));
        let _ = self.sender.send(response(head, (self.archive)(pieces), ended));
    }
}

/// How the body of an answer ended: well, and without trailers, or not.
type Ended = Result<Option<Fields>, ErrorCode>;

/// The rest of an answer.
struct Writing {
    /// It is taken while a write is on its way.
    writer: Option<StreamWriter<u8>>,
    ending: FutureWriter<Ended>,
}

impl Body for Writing {
    async fn write(&mut self, bytes: Vec<u8>) -> bool {
        let Some(mut writer) = self.writer.take() else { return false };
        let is_open = if bytes.is_empty() {
            // A write of nothing asks whether somebody reads.
            !matches!(writer.write(Vec::new()).await.0, StreamResult::Dropped)
        } else {
            writer.write_all(bytes).await.is_empty()
        };
        if is_open {
            self.writer = Some(writer);
        }
        is_open
    }

    async fn finish(self) {
        drop(self.writer);
        // Whoever went away needs no end.
        let _ = self.ending.write(Ok(None)).await;
    }
}

fn response(Head { status, headers }: Head, body: StreamReader<u8>, ended: FutureReader<Ended>) -> Response {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).expect("the headers of an answer are its own");
    }
    let (response, _) = Response::new(fields, Some(body), ended);
    response.set_status_code(status).expect("the statuses of an answer are its own");
    response
}
