//! Requests over `wasi:http/client@0.3`.

use crate::host::{Flaw, HttpError, Method, Origin, Request, Response};
use wasip3::http::types::{self, ErrorCode, Fields, Scheme};

/// The response with its body as a handle.
pub(super) type Received = Response<wit_bindgen::StreamReader<u8>>;

/// Sends `request` and returns the head of the response.
pub(super) async fn send(request: Request) -> Result<Received, HttpError> {
    receive(self::request(request, None)?).await
}

/// Sends `request` with a body, which the runtime reads, and returns the head of the response.
#[cfg(feature = "guest")]
pub(super) async fn send_body(request: Request, body: wit_bindgen::StreamReader<u8>) -> Result<Received, HttpError> {
    receive(self::request(request, Some(body))?).await
}

fn request(request: Request, body: Option<wit_bindgen::StreamReader<u8>>) -> Result<types::Request, HttpError> {
    let method = match request.method {
        Method::Get => types::Method::Get,
        Method::Head => types::Method::Head,
        Method::Post => types::Method::Post,
        Method::Put => types::Method::Put,
        Method::Patch => types::Method::Patch,
        Method::Delete => types::Method::Delete,
    };
    let headers = request.headers.into_iter().map(|(name, value)| (name, value.into_bytes()));
    Ok(outgoing(&method, &request.origin, &request.path, headers, body)?.0)
}

/// Sends `request` with a body that comes in pieces, and returns the head of the response.
#[cfg(feature = "portable")]
pub(super) async fn send_chunks(
    request: Request,
    mut next: impl AsyncFnMut() -> Option<Vec<u8>>,
) -> Result<Received, HttpError> {
    let (mut writer, reader) = wasip3::wit_stream::new();
    let request = self::request(request, Some(reader))?;
    let write = async move {
        while let Some(chunk) = next().await {
            // A server that has read enough answers, and that is what counts.
            if !writer.write_all(chunk).await.is_empty() {
                break;
            }
        }
    };
    let (mut receive, mut write) = (std::pin::pin!(receive(request)), std::pin::pin!(write));
    match futures_util::future::select(receive.as_mut(), write.as_mut()).await {
        // What it has not read by now it does not need.
        futures_util::future::Either::Left((received, _)) => received,
        futures_util::future::Either::Right(((), receive)) => receive.await,
    }
}

/// Sends a request with a body that is in memory, and returns the head of the response.
#[cfg(feature = "portable")]
pub(super) async fn send_bytes(
    method: &types::Method,
    origin: &Origin,
    path: &str,
    headers: impl Iterator<Item = (String, Vec<u8>)>,
    body: Vec<u8>,
) -> Result<Received, HttpError> {
    let (mut writer, reader) = wasip3::wit_stream::new();
    let (outgoing, _) = outgoing(method, origin, path, headers, Some(reader))?;
    let write = async move {
        // A server that has read enough answers, and that is what counts.
        let _ = writer.write_all(body).await;
    };
    let (received, ()) = futures_util::future::join(receive(outgoing), write).await;
    received
}

async fn receive(outgoing: types::Request) -> Result<Received, HttpError> {
    let response = wasip3::http::client::send(outgoing).await.map_err(failure)?;
    let status = response.get_status_code();
    let headers = response
        .get_headers()
        .copy_all()
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()))
        .collect();
    // The writer of this future is dropped at once, which says that all is well at this end.
    let (_, received) = wasip3::wit_future::new(|| Ok(()));
    let (body, trailers) = types::Response::consume_body(response, received);
    let end = Box::pin(async move { trailers.await.map(drop).map_err(failure) });
    Ok(Response { status, headers, body, end })
}

/// What tells how the sending of a body went.
type Sent = wit_bindgen::FutureReader<Result<(), ErrorCode>>;

fn outgoing(
    method: &types::Method,
    origin: &Origin,
    path: &str,
    headers: impl Iterator<Item = (String, Vec<u8>)>,
    body: Option<wit_bindgen::StreamReader<u8>>,
) -> Result<(types::Request, Sent), HttpError> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(&name, &value).map_err(|error| HttpError::Denied(format!("the header `{name}`: {error:?}")))?;
    }
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let (outgoing, sent) = types::Request::new(fields, body, trailers, None);
    let scheme = if origin.secure { Scheme::Https } else { Scheme::Http };
    outgoing
        .set_method(method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&origin.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(path)))
        .map_err(|()| HttpError::Denied(format!("`{}{path}` is no address", origin.authority)))?;
    Ok((outgoing, sent))
}

/// Sorts the codes of wasi:http by what a registry client does about them.
fn failure(code: ErrorCode) -> HttpError {
    match code {
        ErrorCode::DnsError(said) => HttpError::Name(match (said.rcode, said.info_code) {
            (Some(rcode), _) => rcode,
            (None, Some(code)) => format!("the name server answered with the code {code}"),
            (None, None) => "the name server does not say why".to_owned(),
        }),
        ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused => HttpError::Connect("connection refused".to_owned()),
        ErrorCode::TlsProtocolError => HttpError::Tls("the handshake failed".to_owned()),
        ErrorCode::TlsCertificateError => HttpError::Certificate(Flaw::Other, "the host does not say why".to_owned()),
        ErrorCode::TlsAlertReceived(alert) => {
            let why = alert.alert_message.unwrap_or_else(|| "the other end sent an alert".to_owned());
            // RFC 8446 section 6.2: what this host says of a server's certificate, and a server of the client's.
            match alert.alert_id {
                Some(42) => HttpError::Certificate(Flaw::Name, why),
                Some(45) => HttpError::Certificate(Flaw::Time, why),
                Some(46) => HttpError::Certificate(Flaw::Other, why),
                Some(48) => HttpError::Certificate(Flaw::Authority, why),
                Some(116) => HttpError::Client(why),
                _ => HttpError::Tls(why),
            }
        }
        ErrorCode::DestinationIpProhibited | ErrorCode::HttpRequestDenied => {
            HttpError::Denied("the address or the request is against the host's policy".to_owned())
        }
        ErrorCode::ConfigurationError => {
            HttpError::Denied("what is configured for it cannot be used; the log says why".to_owned())
        }
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => HttpError::Timeout,
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => {
            HttpError::Broken("the other end closed it early".to_owned())
        }
        ErrorCode::InternalError(Some(what)) => HttpError::Broken(what),
        other => HttpError::Broken(format!("{other:?}")),
    }
}
