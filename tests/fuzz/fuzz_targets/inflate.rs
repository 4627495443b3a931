//! The framing of compressed bytes, whatever they are: reading ends, gives the same in whichever pieces they arrive, and
//! never blames the reader below. Bytes that are packed first come out again.

#![no_main]

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use std::io::{BufRead, BufReader, Read, Write};
use wharf_fuzz::layers::inflate::{Error, Inflate};

/// More is a bomb, and not this target's business.
const BYTES_MAX: u64 = 1 << 22;

fuzz_target!(|bytes: &[u8]| {
    let (whole, pieces) = (inflate(bytes), inflate(BufReader::with_capacity(3, bytes)));
    assert_eq!(whole, pieces);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for pack in [gzip, zstd] {
        let packed = [pack(first), pack(second)].concat();
        assert_eq!(inflate(&packed[..]).as_deref(), Ok(bytes));
        // A frame that follows counts, and anything else is refused.
        let followed = [pack(b"first"), bytes.to_vec()].concat();
        if let Ok(both) = inflate(&followed[..]) {
            let rest = both.strip_prefix(b"first").expect("the first frame is whole");
            assert!(rest.is_empty() || inflate(bytes).as_deref() == Ok(rest));
        }
    }
});

fn inflate(reader: impl BufRead) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = Inflate::new(reader).and_then(|inflate| inflate.take(BYTES_MAX).read_to_end(&mut bytes));
    match result {
        Ok(_) => Ok(bytes),
        Err(failure) => Err(Error::of(&failure).expect("the bytes are the reason").to_string()),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("memory takes it")
}
