//! What `wit/content.wit` says about streams that are archives, and about parts of blobs on their way out, kept by the
//! machine in memory and the real services. How it is kept in the sandbox is tested with `load` and `push` themselves.

use super::subject::{Real, Subject, pattern, put};
use super::suite;
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use wharf_component::host::{Departure, Host};
use wharf_component::nouns::problem::ErrorCode;

suite! {
    [simulated: Simulated, real: Real];
    what_is_taken_comes_in_order_and_the_rest_is_given_back,
    a_stream_that_ends_early_gives_what_there_is,
    more_than_a_document_is_not_taken,
    what_is_passed_over_is_counted,
    what_is_not_compressed_stays_as_it_is,
    a_part_of_a_blob_departs_with_these_bytes,
    what_is_not_in_a_blob_cannot_depart,
}

/// The most that is taken at once.
const TAKEN_BYTES_MAX: u64 = 4 << 20;

fn what_is_taken_comes_in_order_and_the_rest_is_given_back<S: Subject>() {
    let subject = S::new();
    let (host, bytes) = (subject.host(), pattern(5_000));
    subject.run(async {
        let (first, rest) = host.take(host.stream(bytes.clone()), 512).await.unwrap();
        assert_eq!(first, bytes[..512]);
        let (second, rest) = host.take(rest.expect("there is more"), 0).await.unwrap();
        assert_eq!(second, b"", "nothing is asked for, and nothing goes");
        let (third, rest) = host.take(rest.expect("there is more"), 1_000).await.unwrap();
        assert_eq!(third, bytes[512..1_512]);
        let rest = host.collect(rest.expect("there is more"), 1 << 20).await.unwrap();
        assert_eq!(rest, bytes[1_512..]);
    });
}

fn a_stream_that_ends_early_gives_what_there_is<S: Subject>() {
    let subject = S::new();
    let (host, bytes) = (subject.host(), pattern(700));
    subject.run(async {
        let (taken, rest) = host.take(host.stream(bytes.clone()), 701).await.unwrap();
        assert_eq!((taken.as_slice(), rest.is_none()), (&bytes[..], true));
        // That it has ended is not known before somebody reads on.
        let (taken, rest) = host.take(host.stream(bytes.clone()), 700).await.unwrap();
        assert_eq!(taken, bytes);
        if let Some(rest) = rest {
            let (more, rest) = host.take(rest, 1).await.unwrap();
            assert_eq!((more.len(), rest.is_none()), (0, true));
        }
    });
}

fn more_than_a_document_is_not_taken<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let refused = host.take(host.stream(pattern(9)), TAKEN_BYTES_MAX + 1).await;
        assert_eq!(refused.err(), Some(ErrorCode::TooLarge(TAKEN_BYTES_MAX)));
        assert!(host.take(host.stream(pattern(9)), TAKEN_BYTES_MAX).await.is_ok());
    });
}

fn what_is_passed_over_is_counted<S: Subject>() {
    let subject = S::new();
    let (host, bytes) = (subject.host(), pattern(5_000));
    subject.run(async {
        let (passed, rest) = host.skip(host.stream(bytes.clone()), 4_321).await.unwrap();
        assert_eq!(passed, 4_321);
        let (taken, rest) = host.take(rest.expect("there is more"), 9).await.unwrap();
        assert_eq!(taken, bytes[4_321..4_330]);
        let (passed, rest) = host.skip(rest.expect("there is more"), u64::MAX).await.unwrap();
        assert_eq!((passed, rest.is_none()), (5_000 - 4_330, true));
    });
}

fn what_is_not_compressed_stays_as_it_is<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        for length in [0, 1, 9, 10, 11, 70_000] {
            let (stream, end) = host.inflate(host.stream(pattern(length)));
            assert_eq!(host.collect(stream, 1 << 20).await.unwrap(), pattern(length));
            assert_eq!(end.await, Ok(()), "{length} bytes");
        }
    });
}

/// What comes out of a stream, and what is said at its end.
fn inflated(compressed: Vec<u8>) -> (Vec<u8>, Result<(), ErrorCode>) {
    let subject = Real::new();
    subject.run(async {
        let host = subject.host();
        let (stream, end) = host.inflate(host.stream(compressed));
        (host.collect(stream, 1 << 20).await.unwrap(), end.await)
    })
}

/// The machine in memory inflates nothing.
#[test]
fn what_is_compressed_is_so_no_more_and_damage_is_told_at_the_end() {
    let plain = pattern(70_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    let zstd = zstd::encode_all(&plain[..], 1).expect("memory takes it");
    for compressed in [&gzip, &zstd] {
        assert_eq!(inflated(compressed.clone()), (plain.clone(), Ok(())));
        let (_, end) = inflated(compressed[..compressed.len() - 1].to_vec());
        assert_eq!(end, Err(ErrorCode::Invalid), "it ends too early");
        let (_, end) = inflated([compressed, &b"more"[..]].concat());
        assert_eq!(end, Err(ErrorCode::Invalid), "something comes after its end");
    }
    let mut damaged = gzip;
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert_eq!(inflated(damaged).1, Err(ErrorCode::Invalid), "its checksum is another");
    assert_eq!(inflated(b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F".to_vec()).1, Err(ErrorCode::Unsupported), "xz");
    // A frame whose window is 64 MiB. RFC 8878, 3.1.1.1.2.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, (26 - 10) << 3, 1, 0, 0];
    assert_eq!(inflated(window.to_vec()).1, Err(ErrorCode::TooLarge(32 << 20)), "a large window");
}

fn a_part_of_a_blob_departs_with_these_bytes<S: Subject>() {
    let subject = S::new();
    let (host, bytes) = (subject.host(), pattern(10_000));
    subject.run(async {
        let blob = put(host, &bytes).await;
        for (offset, length) in [(0, 10_000), (0, 0), (17, 300), (9_999, 1), (10_000, 0)] {
            let Departure { body, taken, end } = host.depart(&blob, offset, length);
            let (start, stop) = (offset as usize, (offset + length) as usize);
            assert_eq!(host.collect(body, 1 << 20).await.unwrap(), bytes[start..stop], "{length} at {offset}");
            assert_eq!((taken(), end.await), (length, Ok(())), "{length} at {offset}");
        }
    });
}

fn what_is_not_in_a_blob_cannot_depart<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let blob = put(host, &pattern(100)).await;
        for (offset, length) in [(0, 101), (100, 1), (101, 1), (50, 51)] {
            let Departure { body, end, .. } = host.depart(&blob, offset, length);
            drop(host.collect(body, 1 << 20).await);
            assert_eq!(end.await, Err(ErrorCode::SizeMismatch(100)), "{length} at {offset}");
        }
    });
}
