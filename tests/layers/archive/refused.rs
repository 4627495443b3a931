//! What the header pass refuses, by name: what two readers understand differently, what cannot be, and what is too long.

use super::build::{Header, entry, pax, record, tar};
use super::{read, skim};
use std::io::{self, BufReader, Read};
use wharf::layers::archive::{Archive, Error};

/// Checks that each archive is refused, with an error that says `expected`.
fn check(rows: Vec<(Vec<u8>, &str)>) {
    for (at, (archive, expected)) in rows.into_iter().enumerate() {
        let error = read(&archive).expect_err(&format!("row {at}: {expected}")).to_string();
        assert!(error.contains(expected), "row {at}: `{error}` instead of `{expected}`");
        assert_eq!(skim(&archive).expect_err("also without its content").to_string(), error);
    }
}

fn file() -> Vec<u8> {
    entry(b'0', b"a", b"bytes")
}

fn extended(kind: u8, content: &[u8]) -> Vec<u8> {
    entry(kind, b"././@LongLink", content)
}

#[test]
fn blocks_that_are_no_headers_are_refused() {
    let mut wrong_sum = file();
    wrong_sum[0] = b'b';
    let mut no_sum = file();
    no_sum[148..156].copy_from_slice(b"00x000\0 ");
    check(vec![
        (tar(&[wrong_sum]), "checksum is wrong"),
        (tar(&[no_sum]), "checksum is wrong"),
        (vec![b'x'; 2_048], "checksum is wrong"),
        (tar(&[file(), vec![b'x'; 512]]), "checksum is wrong"),
    ]);
}

#[test]
fn numbers_that_readers_cut_or_wrap_are_refused() {
    let header = || Header::new(b'0', b"a", 0);
    let mut rows = Vec::new();
    for (at, length, name) in [(100, 8, "mode"), (108, 8, "uid"), (116, 8, "gid"), (124, 12, "size")] {
        for digits in [&b"-1"[..], b"0x1", b"8", b"1 1", b"1\x001", b"\x001", b"+1", b"1.", b"\t1"] {
            let mut field = digits.to_vec();
            field.resize(length, 0);
            rows.push((tar(&[header().with(at, &field).done()]), name));
        }
        rows.push((tar(&[header().with(at, &vec![0xff; length]).done()]), name));
    }
    for (field, name) in [
        (&b"\x80\0\0\0\xff\xff\xff\xff"[..], "uid"),
        (b"\x80\0\0\x01\0\0\0\0", "uid"),
        (b"\xbf\xff\xff\xff\xff\xff\xff\xff", "uid"),
    ] {
        rows.push((tar(&[header().with(108, field).done()]), name));
        rows.push((tar(&[header().with(116, field).done()]), "gid"));
    }
    rows.push((tar(&[header().with(124, b"\x80\0\0\0\x80\0\0\0\0\0\0\0").done()]), "size"));
    rows.push((tar(&[header().with(124, b"\x80\x01\0\0\0\0\0\0\0\0\0\0").done()]), "size"));
    rows.push((tar(&[header().with(136, b"\x80\0\0\0\x80\0\0\0\0\0\0\0").done()]), "mtime"));
    rows.push((tar(&[header().with(136, b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff").done()]), "mtime"));
    check(rows);
}

#[test]
fn records_that_readers_understand_differently_are_refused() {
    let with = |records: &[(&str, &[u8])]| tar(&[pax(records), file()]);
    let body = |body: &[u8]| tar(&[extended(b'x', body), file()]);
    let mut rows = vec![
        (with(&[("size", b"5"), ("size", b"6")]), "says `size` twice"),
        (with(&[("path", b"b"), ("path", b"b")]), "says `path` twice"),
        (with(&[("comment", b""), ("comment", b"")]), "says `comment` twice"),
        (with(&[("SCHILY.xattr.user.x", b""), ("SCHILY.xattr.user.x", b"1")]), "says `SCHILY.xattr.user.x` twice"),
        (with(&[("path", b"a\0b")]), "value of `path`"),
        (with(&[("linkpath", b"a\0b")]), "value of `linkpath`"),
        (with(&[("SCHILY.xattr.", b"x")]), "malformed"),
        (body(b"5 a=b"), "malformed"),
        (body(b"6 a=b\n\n"), "malformed"),
        (body(b"99 a=b\n"), "malformed"),
        (body(b"99999999999999999999 a=b\n"), "malformed"),
        (body(b"6 abc\n"), "malformed"),
        (body(b"5 =b\n"), "malformed"),
        (body(b"+6 a=b\n"), "malformed"),
        (body(b"-6 a=b\n"), "malformed"),
        (body(b" 6 a=b\n"), "malformed"),
        (body(b"6\0a=b\n"), "malformed"),
        (body(b"7 \0a=b\n"), "malformed"),
        (body(b"0 a=b\n"), "malformed"),
        (body(b"6 a=bc"), "malformed"),
        (body(&[record(b"a", b"b"), vec![0]].concat()), "malformed"),
    ];
    for key in ["size", "uid", "gid"] {
        for value in ["-1", "+1", " 1", "1 ", "0x10", "1.5", "18446744073709551616", "18446744073709551615", "1e3"] {
            let named = if value == "18446744073709551615" { "no number that it can be" } else { "value of" };
            rows.push((with(&[(key, value.as_bytes())]), named));
        }
    }
    rows.push((with(&[("uid", b"4294967295")]), "field `uid`"));
    rows.push((with(&[("gid", b"4294967296")]), "field `gid`"));
    for value in ["1e9", "1.x", "1.-5", "--1", "+1", ".5", "", " 1", "9223372036854775808", "1.5.5", "\u{661}"] {
        if !value.is_empty() {
            rows.push((with(&[("mtime", value.as_bytes())]), "value of `mtime`"));
        }
    }
    check(rows);
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let (long, link) = (|| extended(b'L', b"long\0"), || extended(b'K', b"long\0"));
    let (some, path) = (|| pax(&[("mtime", b"1")]), || pax(&[("path", b"b")]));
    let symlink = || Header::new(b'2', b"a", 0).with(157, b"b").done();
    let order = "repeat or contradict each other, or no entry follows";
    check(vec![
        (tar(&[some(), some(), file()]), order),
        (tar(&[some(), long(), some(), file()]), order),
        (tar(&[long(), long(), file()]), order),
        (tar(&[link(), link(), symlink()]), order),
        (tar(&[path(), long(), file()]), order),
        (tar(&[long(), path(), file()]), order),
        (tar(&[link(), pax(&[("linkpath", b"b")]), symlink()]), order),
        (tar(&[some(), extended(b'g', b""), file()]), order),
        (tar(&[long(), extended(b'g', b""), file()]), order),
        (tar(&[vec![extended(b'g', b""); 9].concat(), file()]), order),
        (tar(&[file(), some()]), order),
        (tar(&[file(), long()]), order),
        ([file(), link()].concat(), order),
    ]);
}

#[test]
fn entries_that_cannot_be_are_refused() {
    let mut rows = Vec::new();
    for (kind, name) in [
        (b'1', "a hard link has content"),
        (b'2', "a symbolic link has content"),
        (b'3', "a device has content"),
        (b'4', "a device has content"),
        (b'5', "a directory has content"),
        (b'6', "a pipe has content"),
    ] {
        let header = Header::new(kind, b"a", 5).with(157, b"b").with(337, b"0000001\0");
        rows.push((tar(&[header.content(b"bytes")]), name));
        // The record is what counts, whatever the block says.
        let header = Header::new(kind, b"a", 0).with(157, b"b").with(337, b"0000001\0");
        rows.push((tar(&[pax(&[("size", b"5")]), header.content(b"bytes")]), name));
    }
    rows.push((tar(&[entry(0, b"a/", b"bytes")]), "a directory has content"));
    rows.push((tar(&[entry(b'0', b"a/", b"")]), "ends with `/`"));
    rows.push((tar(&[entry(b'7', b"a/", b"bytes")]), "ends with `/`"));
    rows.push((tar(&[pax(&[("path", b"b/")]), file()]), "ends with `/`"));
    for kind in [b'V', b'M', b'D', b'N', b'X', b'A', b'8', b' ', 0xff] {
        rows.push((tar(&[entry(kind, b"a", b"")]), "which layers do not have"));
    }
    check(rows);
}

#[test]
fn names_that_no_path_has_are_refused() {
    let long = [b'n'; 4_097];
    let symlink = || Header::new(b'2', b"a", 0).done();
    let limit = "has 4097 bytes, and 1 to 4096 are possible";
    check(vec![
        (tar(&[entry(b'0', b"", b"")]), "has 0 bytes"),
        (tar(&[extended(b'L', b"\0"), file()]), "has 0 bytes"),
        (tar(&[symlink()]), "has 0 bytes"),
        (tar(&[Header::new(b'1', b"a", 0).done()]), "has 0 bytes"),
        (tar(&[extended(b'L', &long), file()]), limit),
        (tar(&[extended(b'K', &long), symlink()]), limit),
        (tar(&[pax(&[("path", &long)]), file()]), limit),
        (tar(&[pax(&[("linkpath", &long)]), symlink()]), limit),
        (
            tar(&[pax(&[("GNU.sparse.name", &long), ("GNU.sparse.map", b"0,5"), ("GNU.sparse.size", b"5")]), file()]),
            limit,
        ),
    ]);
}

/// Expectations: the table of device numbers that moby's own library refuses.
#[test]
fn device_numbers_out_of_range_are_refused() {
    #[derive(serde::Deserialize)]
    struct Row {
        name: String,
        devmajor: i64,
        devminor: i64,
    }
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../data/vectors/layer_and_store.json")).expect("a table");
    let rows: Vec<Row> = serde_json::from_value(table["vectors"]["device_numbers_out_of_range"].clone()).expect("rows");
    assert_eq!(rows.len(), 4);
    for row in rows {
        for kind in [b'3', b'4'] {
            let field = |number: i64| [&[0x80 | number.to_be_bytes()[0]], &number.to_be_bytes()[1..]].concat();
            let header = Header::new(kind, b"a", 0).with(329, &field(row.devmajor)).with(337, &field(row.devminor));
            let error = read(&tar(&[header.done()])).expect_err(&row.name);
            assert!(matches!(error, Error::Number("devmajor" | "devminor")), "{}: {error}", row.name);
        }
    }
}

#[test]
fn what_is_cut_off_is_refused() {
    let whole = tar(&[pax(&[("path", b"b")]), extended(b'K', b"link\0"), file(), file()]);
    let mut complete = Vec::new();
    for length in 0..=whole.len() {
        match read(&whole[..length]) {
            Ok(entries) => complete.push((length, entries.len())),
            Err(Error::Truncated | Error::Order) => {}
            Err(other) => panic!("{length} bytes: {other}"),
        }
    }
    // Between entries, after one block of zeros, and after an end that is cut short.
    let end = whole.len() - 1_024;
    let padding = (end + 512..=whole.len()).map(|length| (length, 2));
    let expected: Vec<_> = [(0, 0), (end - 1_024, 1), (end, 2)].into_iter().chain(padding).collect();
    assert_eq!(complete, expected);
}

#[test]
fn only_zeros_follow_the_end() {
    let trailing = "something other than zeros follows";
    check(vec![
        ([tar(&[file()]), vec![1]].concat(), trailing),
        ([tar(&[file()]), tar(&[file()])].concat(), trailing),
        ([tar(&[file()]), vec![0; 100_000], vec![1]].concat(), trailing),
        (tar(&[file(), vec![0; 512], file()]), trailing),
        (tar(&[file(), vec![0; super::PADDING_BYTES_MAX as usize]]), "more than 1048576 zeros"),
    ]);
}

/// A reader of zeros without end, or of whatever: what is refused is refused before it is read.
#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let refused = |bytes: Vec<u8>| {
        let mut archive = Archive::new(BufReader::new(io::Read::chain(&bytes[..], io::repeat(b'a'))));
        (archive.next().expect_err("it is refused"), archive.offset())
    };
    for kind in [b'x', b'g', b'L', b'K'] {
        for size in [(1 << 20) + 1, 8 << 30, 0o77_777_777_777] {
            let (error, offset) = refused(Header::new(kind, b"a", size).done());
            assert!(matches!(error, Error::Extended(bytes) if bytes == size), "{error}");
            assert_eq!(offset, 512);
        }
        let (error, _) =
            refused(Header::new(kind, b"a", 0).with(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff").done());
        assert!(matches!(error, Error::Extended(_)), "{error}");
    }
    // What is as long as it may be is read.
    let comment = record(b"comment", &vec![b'c'; (1 << 20) - 17]);
    assert_eq!(comment.len(), 1 << 20);
    assert_eq!(read(&tar(&[extended(b'x', &comment), file()])).expect("it is accepted").len(), 1);
}

#[test]
fn nothing_comes_after_a_failure() {
    let bytes = tar(&[entry(b'V', b"a", b""), file()]);
    let mut archive = Archive::new(&bytes[..]);
    archive.next().expect_err("it is refused");
    assert!(archive.next().expect("it is over").is_none());
}

/// What the reader below says is passed on, and is no end.
#[test]
fn failures_below_are_passed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer hung up"))
        }
    }
    let whole = tar(&[file()]);
    for length in [0, 100, 512, 514, 1_024, 1_536, 2_048] {
        let mut archive = Archive::new(BufReader::new(whole[..length].chain(Broken)));
        let mut failed = None;
        while failed.is_none() {
            failed = match archive.next() {
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(error) => Some(error),
            };
        }
        let error = failed.unwrap_or_else(|| archive.finish(1 << 20).map(drop).expect_err("it fails"));
        assert!(matches!(&error, Error::Io(_)), "{length}: {error:?}");
        assert_eq!(error.to_string(), "the peer hung up");
    }
}
