//! The demonstration registry, spoken to over a socket as a client would.

use super::*;
use crate::demo::image::{self, MANIFEST, Variant, digest};
use http_body_util::Empty;

#[test]
fn a_range_is_read_as_http_says() {
    let rows = [
        ("bytes=0-0", Asked::Part(0..1)),
        ("bytes=2-5", Asked::Part(2..6)),
        ("bytes=8-100", Asked::Part(8..10)),
        ("bytes=9-", Asked::Part(9..10)),
        ("bytes=-3", Asked::Part(7..10)),
        ("bytes=-30", Asked::Part(0..10)),
        ("bytes=0-18446744073709551615", Asked::Part(0..10)),
        ("bytes=10-", Asked::Nothing),
        ("bytes=10-12", Asked::Nothing),
        ("bytes=-0", Asked::Nothing),
        ("bytes=5-4", Asked::Everything),
        ("bytes=-", Asked::Everything),
        ("bytes=0-1,3-4", Asked::Everything),
        ("bytes=x-4", Asked::Everything),
        ("lines=0-1", Asked::Everything),
        ("", Asked::Everything),
    ];
    for (header, expected) in rows {
        assert_eq!(range(header, 10), expected, "{header:?}");
    }
    assert_eq!(range("bytes=0-", 0), Asked::Nothing);
}

/// An image of one platform without layers, small enough to write its bytes down.
fn bare() -> Image {
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: Vec::new() })
}

fn registry() -> (Registry, Image) {
    let image = bare();
    let images = Images::new().with("library/bare", "1", &image).with("library/bare", "2", &image);
    (Registry::start(images.with("library/bare", "latest", &image)).expect("a port is free"), image)
}

/// Sends one request on its own connection. A broken body gives the bytes before the break and `false`.
async fn send(at: &Registry, method: Method, path: &str, range: Option<&str>) -> (Response<()>, Vec<u8>, bool) {
    let socket = tokio::net::TcpStream::connect(at.address()).await.expect("the registry listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("the registry speaks HTTP");
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, at.address().to_string());
    if let Some(range) = range {
        request = request.header(header::RANGE, range);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("the request is well formed");
    let (head, mut body) = sender.send_request(request).await.expect("the registry answers").into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().expect("there are no trailers")),
            Err(_) => return (Response::from_parts(head, ()), bytes, false),
        }
    }
    (Response::from_parts(head, ()), bytes, true)
}

fn header<'a>(response: &'a Response<()>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("the header is text"))
}

#[tokio::test]
async fn a_manifest_has_the_same_answer_by_tag_and_by_digest() {
    let (registry, image) = registry();
    let root = image.root();
    for name in ["latest", &root.digest] {
        for method in [Method::GET, Method::HEAD] {
            let path = format!("/v2/library/bare/manifests/{name}");
            let (response, bytes, whole) = send(&registry, method.clone(), &path, None).await;
            assert_eq!(response.status(), 200);
            assert_eq!(header(&response, "content-type"), MANIFEST);
            assert_eq!(header(&response, "docker-content-digest"), root.digest);
            assert_eq!(header(&response, "content-length"), root.bytes.len().to_string());
            assert!(whole);
            assert_eq!(bytes, if method == Method::HEAD { &b""[..] } else { &root.bytes });
        }
    }
    let sent_bytes = 2 * root.bytes.len() as u64;
    assert_eq!(registry.traffic(), Traffic { requests: 4, blob_requests: 0, sent_bytes });
}

#[tokio::test]
async fn a_blob_is_served_whole_or_in_part() {
    let (registry, image) = registry();
    let (name, blob) = image.blobs.first_key_value().expect("there is a config");
    let size = blob.len();
    let part = format!("bytes 5-9/{size}");
    let past = format!("bytes */{size}");
    let end = format!("bytes={size}-");
    let rows = [
        (None, 200, "", Some(&blob[..])),
        (Some("bytes=5-9"), 206, part.as_str(), Some(&blob[5..10])),
        (Some("bytes=0-1,3-4"), 200, "", Some(&blob[..])),
        (Some(end.as_str()), 416, past.as_str(), None),
    ];
    for (range, status, position, expected) in rows {
        let path = format!("/v2/library/bare/blobs/{name}");
        let (response, bytes, whole) = send(&registry, Method::GET, &path, range).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-range")), (status, position), "{range:?}");
        assert!(whole);
        if let Some(expected) = expected {
            assert_eq!(bytes, expected, "{range:?}");
            assert_eq!(header(&response, "docker-content-digest"), name);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_404_that_says_so() {
    let (registry, _) = registry();
    let absent = digest(b"absent");
    let rows = [
        (Method::GET, "/v2/other/manifests/latest".to_owned(), 404, "NAME_UNKNOWN"),
        (Method::GET, "/v2/library/bare/manifests/3".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (Method::GET, format!("/v2/library/bare/manifests/{absent}"), 404, "MANIFEST_UNKNOWN"),
        (Method::GET, format!("/v2/library/bare/blobs/{absent}"), 404, "BLOB_UNKNOWN"),
        (Method::GET, "/v1/search".to_owned(), 404, "UNSUPPORTED"),
        (Method::POST, "/v2/library/bare/blobs/uploads/".to_owned(), 405, "UNSUPPORTED"),
    ];
    for (method, path, status, code) in rows {
        let (response, bytes, _) = send(&registry, method, &path, None).await;
        let errors: serde_json::Value = serde_json::from_slice(&bytes).expect("the body is JSON");
        assert_eq!((response.status().as_u16(), errors["errors"][0]["code"].as_str()), (status, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn tags_come_in_pages() {
    let (registry, _) = registry();
    let next = r#"</v2/library/bare/tags/list?n=2&last=2>; rel="next""#;
    let rows = [
        ("", r#"["1","2","latest"]"#, ""),
        ("?n=2", r#"["1","2"]"#, next),
        ("?n=2&last=2", r#"["latest"]"#, ""),
        ("?n=3", r#"["1","2","latest"]"#, ""),
        ("?n=0", "[]", ""),
    ];
    for (query, tags, link) in rows {
        let path = format!("/v2/library/bare/tags/list{query}");
        let (response, bytes, _) = send(&registry, Method::GET, &path, None).await;
        let expected = format!(r#"{{"name":"library/bare","tags":{tags}}}"#);
        assert_eq!((bytes, header(&response, "link")), (expected.into_bytes(), link), "{query}");
    }
}

#[tokio::test]
async fn a_cut_breaks_one_blob_and_then_no_more() {
    let image = image::demo();
    let registry = Registry::start(Images::new().with("demo", "latest", &image)).expect("a port is free");
    let (name, blob) = image.blobs.iter().max_by_key(|blob| blob.1.len()).expect("there are layers");
    let path = format!("/v2/demo/blobs/{name}");
    registry.cut_blob_after(500_000);

    let (response, first, whole) = send(&registry, Method::GET, &path, None).await;
    assert_eq!((response.status().as_u16(), whole), (200, false));
    assert!((1..=500_000).contains(&first.len()), "{} bytes arrived", first.len());
    assert_eq!(first, blob[..first.len()]);

    let range = format!("bytes={}-", first.len());
    let (response, rest, whole) = send(&registry, Method::GET, &path, Some(&range)).await;
    assert_eq!((response.status().as_u16(), whole), (206, true));
    assert_eq!([first, rest].concat(), blob[..]);
}

#[tokio::test]
async fn a_dropped_registry_no_longer_listens() {
    let (registry, _) = registry();
    let address = registry.address();
    drop(registry);
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the listener closes");
}
