//! Uploads images to a registry for a test, as distribution-spec “Pushing” says, and makes large ones.
//!
//! It is no model of how wharf pushes: no retries, no chunks, one connection a request.

use super::token_server::Signer;
use super::wait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use wharf::demo::image::{self, File, Image, Layer, Variant};

/// How long the token of one push lives.
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// How a push logs in.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// Not at all.
    None,
    /// This value of `Authorization`.
    Basic(String),
    /// A token that this key signs.
    Token(Arc<Signer>),
}

/// Uploads `image` to `repository` and points `tag` to it.
///
/// # Panics
///
/// If the registry refuses anything.
pub(crate) fn push(registry: SocketAddr, credentials: &Credentials, repository: &str, tag: &str, image: &Image) {
    let authorization = match credentials {
        Credentials::None => None,
        Credentials::Basic(value) => Some(value.clone()),
        Credentials::Token(signer) => {
            let access = json!([{ "actions": ["pull", "push"], "name": repository, "type": "repository" }]);
            Some(format!("Bearer {}", signer.sign(super::USER, &access, TOKEN_LIFETIME)))
        }
    };
    let (repository, tag, image) = (repository.to_owned(), tag.to_owned(), image.clone());
    wait(async move {
        let target = Target { registry, authorization };
        for (digest, bytes) in &image.blobs {
            let place = target.send(Method::POST, format!("/v2/{repository}/blobs/uploads/"), "", Bytes::new()).await;
            let join = if place.contains('?') { '&' } else { '?' };
            target
                .send(Method::PUT, format!("{place}{join}digest={digest}"), "application/octet-stream", bytes.clone())
                .await;
        }
        for document in &image.documents {
            let name = if document == image.root() { &tag } else { &document.digest };
            let path = format!("/v2/{repository}/manifests/{name}");
            target.send(Method::PUT, path, document.media_type, document.bytes.clone()).await;
        }
    });
}

struct Target {
    registry: SocketAddr,
    authorization: Option<String>,
}

impl Target {
    /// Sends one request, which has to succeed, and returns the path and query of its `Location`, if any.
    async fn send(&self, method: Method, path: String, kind: &str, body: Bytes) -> String {
        let socket = TcpStream::connect(self.registry).await.expect("the registry listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("the registry speaks HTTP");
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(&method)
            .uri(&path)
            .header(header::HOST, self.registry.to_string())
            .header(header::CONTENT_TYPE, kind);
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).expect("the request is well formed");
        let (head, body) = sender.send_request(request).await.expect("the registry answers").into_parts();
        let text = body.collect().await.expect("the answer is whole").to_bytes();
        drop(sender);
        // The registry may close first or last; the answer is here either way.
        let _ = driver.await;
        assert!(
            matches!(head.status, StatusCode::ACCEPTED | StatusCode::CREATED),
            "{method} {path}: {} {}",
            head.status,
            String::from_utf8_lossy(&text)
        );
        let location = head.headers.get(header::LOCATION).map_or("/", |value| value.to_str().expect("it is a URL"));
        let location: Uri = location.parse().expect("it is a URL");
        location.path_and_query().map_or("/", |place| place.as_str()).to_owned()
    }
}

/// An image of `layers` layers of `layer_bytes` incompressible bytes each, for one platform. Another seed gives
/// other layers.
pub(crate) fn large(seed: u64, layers: usize, layer_bytes: usize) -> Image {
    let layers = (0..layers)
        .map(|number| {
            let bytes = image::noise(seed.wrapping_mul(0x1_0001).wrapping_add(number as u64) << 8, layer_bytes);
            let path = format!("srv/{number}");
            Layer::new(&format!("COPY {number} /srv"), &[File { path: &path, mode: 0o644, bytes: &bytes }])
        })
        .collect();
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers })
}

#[test]
fn a_large_image_has_the_layers_asked_for() {
    let image = large(1, 3, 100_000);
    let mut sizes: Vec<_> = image.blobs.values().map(Bytes::len).collect();
    sizes.sort_unstable();
    // A config, and three layers: a tar header, the content in blocks of 512 bytes, two empty blocks.
    assert_eq!((sizes.len(), &sizes[1..]), (4, &[512 + 100_352 + 1024; 3][..]));
    assert_ne!(large(2, 3, 100_000).root().digest, image.root().digest);
}
