//! What the header pass accepts, and what it makes of it: dialects, kinds, numbers, names, times, and ends.

use super::build::{Header, entry, pax, tar};
use super::{only, read, skim};
use wharf::layers::archive::{Entry, Error, Kind, Time};

fn file(path: &[u8], size: u64) -> Entry {
    Entry {
        path: path.to_vec(),
        kind: Kind::File { size, map: None },
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        xattrs: Vec::new(),
    }
}

#[test]
fn every_kind_is_read_with_its_content() {
    let archive = tar(&[
        entry(b'0', b"file", b"content"),
        entry(0, b"old", b"before POSIX"),
        entry(b'7', b"contiguous", b"in one piece"),
        entry(b'5', b"directory/", b""),
        entry(0, b"old/directory/", b""),
        Header::new(b'2', b"symlink", 0).with(157, b"to/where").done(),
        Header::new(b'1', b"link", 0).with(157, b"file").done(),
        Header::new(b'3', b"character", 0).with(329, b"0000001\0").with(337, b"0000003\0").done(),
        Header::new(b'4', b"block", 0).with(329, b"0000010\0").with(337, b"0000021\0").done(),
        entry(b'6', b"fifo", b""),
        entry(b'0', b"empty", b""),
        entry(b'0', b"block-sized", &[7; 512]),
    ]);
    let plain = |path: &str, content: &[u8]| (file(path.as_bytes(), content.len() as u64), content.to_vec());
    let other = |path: &[u8], kind| (Entry { kind, ..file(path, 0) }, Vec::new());
    assert_eq!(
        read(&archive).expect("it is accepted"),
        [
            plain("file", b"content"),
            plain("old", b"before POSIX"),
            plain("contiguous", b"in one piece"),
            other(b"directory/", Kind::Directory),
            other(b"old/directory/", Kind::Directory),
            other(b"symlink", Kind::Symlink(b"to/where".to_vec())),
            other(b"link", Kind::Link(b"file".to_vec())),
            other(b"character", Kind::Character(1, 3)),
            other(b"block", Kind::Block(8, 17)),
            other(b"fifo", Kind::Fifo),
            plain("empty", b""),
            plain("block-sized", &[7; 512]),
        ]
    );
    let skimmed = skim(&archive).expect("content need not be read");
    assert_eq!(skimmed, read(&archive).expect("again").into_iter().map(|(entry, _)| entry).collect::<Vec<_>>());
}

#[test]
fn dialects_differ_in_what_stands_before_the_name() {
    let plain = Header::new(b'0', b"name", 0);
    let times = plain.clone().gnu().with(345, b"00000000001\0").with(357, b"00000000002\0");
    for (header, path) in [
        (plain.clone().with(345, b"prefix"), &b"prefix/name"[..]),
        (plain.clone().with(345, &[b'p'; 155]), &[&[b'p'; 155][..], b"/name"].concat()),
        (Header::new(b'0', &[b'n'; 100], 0).with(345, b"prefix"), &[&b"prefix/"[..], &[b'n'; 100]].concat()),
        // Schilling's tar has times behind a shorter prefix.
        (
            plain.clone().with(345, &[b'p'; 131]).with(476, b"1").with(508, b"tar\0"),
            &[&[b'p'; 131][..], b"/name"].concat(),
        ),
        // GNU has times in its place.
        (times.clone(), b"name"),
        (times.clone().with(345, b"\x80\0\0\0\0\0\0\0\0\0\0\x01"), b"name"),
        // Go had not, before version 1.8.
        (plain.clone().gnu().with(345, b"usr/share"), b"usr/share/name"),
        (plain.clone().gnu().with(345, b"usr/sh\xc3\xa4re"), b"name"),
        // Before POSIX there was nothing of the kind.
        (plain.clone().with(257, &[0; 8]).with(345, b"prefix"), b"name"),
        (plain.clone().with(257, b"ustar\x20  "), b"name"),
    ] {
        let archive = tar(&[header.done()]);
        assert_eq!(only(&archive), file(path, 0), "{}", path.escape_ascii());
    }
}

#[test]
fn checksums_may_count_signed_bytes() {
    let right = Header::new(b'0', b"\xff\xfe", 0).with(148, b"        ");
    let signed: i32 = right
        .clone()
        .done()
        .iter()
        .enumerate()
        .map(|(at, &byte)| match at {
            148..156 => i32::from(b' '),
            _ => i32::from(byte.cast_signed()),
        })
        .sum();
    let mut block = right.done();
    block[148..156].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
    assert_eq!(only(&tar(&[block])), file(b"\xff\xfe", 0));
}

#[test]
fn numbers_reach_their_limits_in_every_notation() {
    let seconds = |seconds| Time { seconds, nanoseconds: 0 };
    let base_256 = |number: i64| {
        let fill = if number < 0 { 0xff } else { 0 };
        let field = [&[fill; 4][..], &number.to_be_bytes()].concat();
        [&[field[0] | 0x80], &field[1..]].concat()
    };
    for number in [0, 1, -1, 1 << 40, -(1 << 40), i64::MAX, i64::MIN] {
        let header = Header::new(b'0', b"a", 0).with(136, &base_256(number));
        assert_eq!(only(&tar(&[header.done()])), Entry { mtime: seconds(number), ..file(b"a", 0) });
    }
    for (field, uid) in [
        (&b"0000000\0"[..], 0),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"        ", 0),
        (b"   1750 ", 1000),
        (b"77777777", 0o77_777_777),
        (b"\x80\0\0\0\xff\xff\xff\xfe", u32::MAX - 1),
        (b"\x80\0\0\0\0\x01\0\0", 65_536),
    ] {
        let header = Header::new(b'0', b"a", 0).with(108, field).with(116, field);
        assert_eq!(only(&tar(&[header.done()])), Entry { uid, gid: uid, ..file(b"a", 0) });
    }
    for (mode, bits) in [(b"0100755\0", 0o755), (b"0007777\0", 0o7777), (b"77777777", 0o7777)] {
        let header = Header::new(b'0', b"a", 0).with(100, mode);
        assert_eq!(only(&tar(&[header.done()])), Entry { mode: bits, ..file(b"a", 0) });
    }
    let header = Header::new(b'0', b"a", 0).with(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x05");
    assert_eq!(only(&tar(&[header.content(b"bytes")])), file(b"a", 5));
}

#[test]
fn extended_headers_say_what_the_block_cannot() {
    let header = Header::new(b'0', b"short", 9).with(136, b"00000000001\0");
    let records: &[(&str, &[u8])] = &[
        ("path", b"l\xc3\xa4nger/\xff=\n"),
        ("size", b"5"),
        ("uid", b"4294967294"),
        ("gid", b"65536"),
        ("mtime", b"4294967296.000000001999"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0=\n"),
        ("SCHILY.xattr.user.empty", b""),
        ("LIBARCHIVE.xattr.user.other", b"AAAA"),
        ("comment", b"of nobody"),
    ];
    let expected = Entry {
        path: b"l\xc3\xa4nger/\xff=\n".to_vec(),
        uid: u32::MAX - 1,
        gid: 65_536,
        mtime: Time { seconds: 1 << 32, nanoseconds: 1 },
        xattrs: vec![
            (b"security.capability".to_vec(), b"\x01\0\0\x02\0=\n".to_vec()),
            (b"user.empty".to_vec(), Vec::new()),
        ],
        ..file(b"", 5)
    };
    assert_eq!(only(&tar(&[pax(records), header.content(b"bytes")])), expected);
    // What is empty says nothing.
    let empty = pax(&[("path", b""), ("size", b""), ("uid", b""), ("gid", b""), ("mtime", b"")]);
    assert_eq!(only(&tar(&[empty, entry(b'0', b"a", b"bytes")])), file(b"a", 5));
    for (text, seconds, nanoseconds) in [
        (&b"0"[..], 0, 0),
        (b"-1", -1, 0),
        (b"-0.25", -1, 750_000_000),
        (b"-1.000000001", -2, 999_999_999),
        (b"1.", 1, 0),
        (b"1.5", 1, 500_000_000),
        (b"9223372036854775807.999999999", i64::MAX, 999_999_999),
        (b"-9223372036854775807.999999999", i64::MIN, 1),
    ] {
        let archive = tar(&[pax(&[("mtime", text)]), entry(b'0', b"a", b"")]);
        assert_eq!(only(&archive), Entry { mtime: Time { seconds, nanoseconds }, ..file(b"a", 0) });
    }
}

#[test]
fn gnu_names_and_links_are_as_long_as_a_path_may_be() {
    let long = [b'n'; 4_096];
    let (name, link) = ([&long[..], b"\0"].concat(), [&long[..4_095], b"\0"].concat());
    let symlink = Header::new(b'2', b"cut", 0).gnu().with(157, b"cut").done();
    let expected = Entry { kind: Kind::Symlink(long[..4_095].to_vec()), ..file(&long, 0) };
    for order in [["L", "K"], ["K", "L"]] {
        let headers = order.map(|kind| match kind {
            "L" => Header::new(b'L', b"././@LongLink", name.len() as u64).gnu().content(&name),
            _ => Header::new(b'K', b"././@LongLink", link.len() as u64).gnu().content(&link),
        });
        assert_eq!(only(&tar(&[headers.concat(), symlink.clone()])), expected);
    }
    // A PAX header may stand beside them, if it says nothing about the same name.
    let other = pax(&[("mtime", b"1")]);
    let long = Header::new(b'L', b"././@LongLink", 5).content(b"long\0");
    let expected = Entry { mtime: Time { seconds: 1, nanoseconds: 0 }, ..file(b"long", 0) };
    for parts in [[&other[..], &long[..]], [&long[..], &other[..]]] {
        assert_eq!(only(&tar(&[parts.concat(), entry(b'0', b"a", b"")])), expected);
    }
}

#[test]
fn global_headers_are_read_and_not_believed() {
    let global = |records: &[(&str, &[u8])]| {
        let mut header = pax(records);
        header[156] = b'g';
        let sum: u32 = header[..512].iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let field: u32 = header[148..156].iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{:06o}\0 ", sum - field + 8 * 32).as_bytes());
        header
    };
    let archive = tar(&[
        global(&[("path", b"everything"), ("size", b"1"), ("uid", b"7")]),
        entry(b'0', b"a", b"bytes"),
        global(&[("comment", b"a commit")]),
        global(&[]),
        entry(b'0', b"b", b""),
        vec![global(&[("comment", b"at the end")]); 8].concat(),
    ]);
    assert_eq!(skim(&archive).expect("it is accepted"), [file(b"a", 5), file(b"b", 0)]);
}

/// A DiffID is the digest of everything, also of what follows the end, so a reader has to read it.
#[test]
fn an_archive_ends_with_as_many_zeros_as_its_writer_likes() {
    let file = entry(b'0', b"a", b"bytes");
    for zeros in [0, 512, 1_024, 1_536, 10_240, 100, 1_124, super::PADDING_BYTES_MAX as usize] {
        let archive = [file.clone(), vec![0; zeros]].concat();
        match zeros {
            100 => assert!(matches!(read(&archive), Err(Error::Truncated)), "a block is whole"),
            _ => assert_eq!(read(&archive).expect("it is accepted").len(), 1, "{zeros} zeros"),
        }
    }
    assert_eq!(read(b"").expect("an empty archive is one"), []);
    assert_eq!(read(&[0; 1_024]).expect("an empty archive is one"), []);
}
