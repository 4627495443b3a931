//! How a layer is compressed is seen from its bytes, and a stream that is not whole and alone is refused.

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use std::io::{self, BufReader, Read, Write};
use wharf::layers::inflate::{Compression, Error, Inflate, ZSTD_WINDOW_LOG_MAX};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::new(6));
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("level 3 exists");
    encoder.include_checksum(true).expect("it can");
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A frame that readers skip. RFC 8878, 3.1.2.
fn skippable(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("it is short");
    [&[0x5a, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes(), content].concat()
}

/// Bytes that hardly compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn inflate(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
    let whole = inflate_from(Inflate::new(bytes));
    // It makes no difference in which pieces bytes arrive.
    let pieces = inflate_from(Inflate::new(BufReader::with_capacity(3, bytes)));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    whole
}

fn inflate_from<R: io::BufRead>(inflate: io::Result<Inflate<R>>) -> io::Result<(Compression, Vec<u8>)> {
    let mut inflate = inflate?;
    let mut uncompressed = Vec::new();
    inflate.read_to_end(&mut uncompressed)?;
    assert_eq!(inflate.read(&mut [0])?, 0, "the end stays the end");
    Ok((inflate.compression(), uncompressed))
}

fn refused(bytes: &[u8], expected: &str) {
    let failure = inflate(bytes).expect_err(expected);
    let error = Error::of(&failure).expect("the bytes are the reason").to_string();
    assert!(error.contains(expected), "`{error}` instead of `{expected}`");
}

#[test]
fn the_bytes_say_how_they_are_compressed() {
    let text = [&b"BZh91AY&SX is how a name may begin"[..], &noise(100_000)].concat();
    let halves = text.split_at(50_000);
    for (bytes, compression, uncompressed) in [
        (text.clone(), Compression::None, &text[..]),
        (gzip(&text), Compression::Gzip, &text),
        (zstd(&text), Compression::Zstd, &text),
        (b"BZh is no header".to_vec(), Compression::None, b"BZh is no header"),
        (vec![0x1f], Compression::None, &[0x1f]),
        (vec![0; 1_024], Compression::None, &[0; 1_024]),
        (Vec::new(), Compression::None, b""),
        (gzip(b""), Compression::Gzip, b""),
        (zstd(b""), Compression::Zstd, b""),
        ([gzip(halves.0), gzip(halves.1)].concat(), Compression::Gzip, &text),
        ([gzip(b""), gzip(&text), gzip(b""), gzip(b"")].concat(), Compression::Gzip, &text),
        ([zstd(halves.0), zstd(halves.1)].concat(), Compression::Zstd, &text),
        ([zstd(b""), zstd(&text), zstd(b"")].concat(), Compression::Zstd, &text),
        (
            [skippable(b"x"), zstd(halves.0), skippable(&text), zstd(halves.1), skippable(b"")].concat(),
            Compression::Zstd,
            &text,
        ),
        (skippable(b"nothing else"), Compression::Zstd, b""),
    ] {
        let (found, inflated) = inflate(&bytes).expect("it decompresses");
        assert_eq!(found, compression);
        assert!(inflated == uncompressed, "{compression} of {} bytes", uncompressed.len());
    }
}

/// RFC 1952, 2.3.1: a header may have fields before the data, and a checksum of its own.
#[test]
fn gzip_headers_may_have_every_field() {
    let plain = gzip(b"content");
    let mut header = plain[..10].to_vec();
    header[3] = 0b1_1110;
    header.extend(b"\x04\0more");
    header.extend(b"name\0comment\0");
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    header.extend(&crc.sum().to_le_bytes()[..2]);
    let whole = [&header[..], &plain[10..]].concat();
    assert_eq!(inflate(&whole).expect("it decompresses"), (Compression::Gzip, b"content".to_vec()));
    let mut wrong = whole.clone();
    wrong[header.len() - 1] ^= 1;
    refused(&wrong, "the gzip stream is damaged");
    for length in 2..whole.len() {
        refused(&whole[..length], "the gzip stream ends too early");
    }
}

#[test]
fn other_formats_are_named() {
    refused(b"\xfd7zXZ\0\0\x04\xe6\xd6", "compressed with xz; gzip and zstd are supported");
    refused(b"BZh91AY&SY rest", "compressed with bzip2");
    refused(b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0", "compressed with bzip2");
}

#[test]
fn streams_that_are_cut_off_are_refused_at_every_byte() {
    let text = [&b"some text, some text, some text"[..], &noise(500)].concat();
    let (gzip, zstd) = (gzip(&text), zstd(&text));
    // The first two bytes, or four, are what says that it is compressed.
    for length in 2..gzip.len() {
        refused(&gzip[..length], "the gzip stream ends too early");
        refused(&[&gzip[..], &gzip[..length]].concat(), "the gzip stream ends too early");
    }
    for length in 4..zstd.len() {
        refused(&zstd[..length], "the zstd stream ends too early");
        refused(&[&zstd[..], &zstd[..length]].concat(), "the zstd stream ends too early");
    }
    refused(&skippable(b"content")[..10], "the zstd stream ends too early");
}

#[test]
fn damage_and_whatever_follows_are_refused() {
    let text = [&b"some text, some text, some text"[..], &noise(500)].concat();
    let (gzip, zstd) = (gzip(&text), zstd(&text));
    for (whole, damaged) in [(&gzip, "the gzip stream is damaged"), (&zstd, "the zstd stream is damaged")] {
        // Zeros, as tapes are padded; text; a plain tar; the other format.
        let other = if whole == &gzip { &zstd } else { &gzip };
        for rest in [&[0; 512][..], b"trailing garbage", &noise(2_000), other] {
            refused(&[whole, rest].concat(), damaged);
        }
        // The checksum, and in gzip the length after it.
        for back in 1..=if whole == &gzip { 8 } else { 4 } {
            let mut bytes = whole.clone();
            let at = bytes.len() - back;
            bytes[at] ^= 1;
            refused(&bytes, damaged);
        }
    }
    let mut method = gzip.clone();
    method[2] = 7;
    refused(&method, "the gzip stream is damaged");
    // A bit anywhere is noticed, except in what gzip's header says about the file it was, and in the bits that fill up
    // the header of a stored block.
    for at in 11..gzip.len() {
        let mut bytes = gzip.clone();
        bytes[at] ^= 0x10;
        assert!(inflate(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn a_window_has_a_limit() {
    let frame = |log: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("level 1 exists");
        encoder.window_log(log).expect("it can");
        encoder.write_all(b"content").expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let most = inflate(&frame(ZSTD_WINDOW_LOG_MAX)).expect("it decompresses");
    assert_eq!(most, (Compression::Zstd, b"content".to_vec()));
    for log in [ZSTD_WINDOW_LOG_MAX + 1, 27] {
        refused(&frame(log), "needs a window of more than 32 MiB");
    }
    // RFC 8878, 3.1.1.1.2: the largest that a header can say.
    refused(b"\x28\xb5\x2f\xfd\x00\xff\x01\0\0", "needs a window of more than 32 MiB");
}

/// The reader below may break at any point; then it is what broke, and not the stream.
#[test]
fn failures_below_are_passed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer hung up"))
        }
    }
    let text = noise(500);
    for whole in [gzip(&text), zstd(&text), text.clone()] {
        for length in 0..=whole.len() {
            let reader = BufReader::new(whole[..length].chain(Broken));
            let failure = inflate_from(Inflate::new(reader)).expect_err("it breaks");
            assert_eq!(failure.to_string(), "the peer hung up");
            assert!(Error::of(&failure).is_none());
        }
    }
}
