//! Sparse files in GNU's four forms: the same map from each, and none that is inconsistent, endless, or told in two ways.

use super::build::{Header, entry, padded, pax, tar};
use super::{only, read, skim};
use wharf::layers::archive::Kind;

/// A file of 20 bytes with data at 2, at 10, and nothing at its end, as GNU tar writes it down.
const MAP: &[(u64, u64)] = &[(2, 3), (10, 4), (20, 0)];
const DATA: &[u8] = b"abcdefg";
const SIZE: u64 = 20;

/// A field of twelve bytes, in base 256 if octal does not reach.
fn number(number: u64) -> Vec<u8> {
    match number {
        0..0o100_000_000_000 => format!("{number:011o}\0").into_bytes(),
        _ => [&b"\x80\0\0\0"[..], &number.to_be_bytes()].concat(),
    }
}

/// The old form: four pieces in the header, 21 in every block after it.
fn old(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let piece = |&(offset, length): &(u64, u64)| [number(offset), number(length)].concat();
    let (first, rest) = map.split_at(map.len().min(4));
    let mut header = Header::new(b'S', b"sparse", data.len() as u64).gnu().with(483, &number(size));
    header = header.with(386, &first.iter().flat_map(piece).collect::<Vec<u8>>());
    header = header.with(482, &[u8::from(!rest.is_empty())]);
    let mut archive = header.done();
    let mut blocks = rest.chunks(21).peekable();
    while let Some(block) = blocks.next() {
        let mut block: Vec<u8> = block.iter().flat_map(piece).collect();
        block.resize(504, 0);
        block.push(u8::from(blocks.peek().is_some()));
        archive.extend(padded(&block));
    }
    [archive, padded(data)].concat()
}

fn pax_0_0(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let numbers: Vec<(String, String)> =
        map.iter().map(|(offset, length)| (offset.to_string(), length.to_string())).collect();
    let (size, count) = (size.to_string(), map.len().to_string());
    let mut records: Vec<(&str, &[u8])> =
        vec![("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.numblocks", count.as_bytes())];
    for (offset, length) in &numbers {
        records.push(("GNU.sparse.offset", offset.as_bytes()));
        records.push(("GNU.sparse.numbytes", length.as_bytes()));
    }
    [pax(&records), entry(b'0', b"sparse", data)].concat()
}

fn pax_0_1(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let numbers: Vec<String> = map.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
    let header = pax(&[
        ("GNU.sparse.size", size.to_string().as_bytes()),
        ("GNU.sparse.numblocks", map.len().to_string().as_bytes()),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.map", numbers.join(",").as_bytes()),
    ]);
    [header, entry(b'0', b"GNUSparseFile.1/sparse", data)].concat()
}

fn pax_1_0(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let lines: String = map.iter().map(|(offset, length)| format!("{offset}\n{length}\n")).collect();
    content(format!("{}\n{lines}", map.len()).as_bytes(), size, data)
}

/// Form 1.0 with whatever stands in the place of the map.
fn content(map: &[u8], size: u64, data: &[u8]) -> Vec<u8> {
    let header = pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", size.to_string().as_bytes()),
    ]);
    let name = b"GNUSparseFile.1/sparse";
    [header, entry(b'0', name, &[padded(map), data.to_vec()].concat())].concat()
}

type Pieces<'a> = &'a [(u64, u64)];
type Records<'a> = &'a [(&'a str, &'a [u8])];
type Form = fn(Pieces, u64, &[u8]) -> Vec<u8>;
const FORMS: [(&str, Form); 4] = [("old", old), ("0.0", pax_0_0), ("0.1", pax_0_1), ("1.0", pax_1_0)];

fn refused(archive: &[u8], row: &str) {
    let error = read(archive).expect_err(row).to_string();
    assert!(error.contains("sparse file is inconsistent"), "{row}: {error}");
    assert!(skim(archive).is_err(), "{row}");
}

#[test]
fn each_form_is_the_same_file() {
    let following = entry(b'0', b"after", b"bytes");
    for (name, form) in FORMS {
        let entries = read(&tar(&[form(MAP, SIZE, DATA), following.clone()])).expect(name);
        let [(sparse, data), (after, _)] = &entries[..] else { panic!("{name}: {entries:?}") };
        assert_eq!((&sparse.path[..], &data[..], &after.path[..]), (&b"sparse"[..], DATA, &b"after"[..]), "{name}");
        assert_eq!(sparse.kind, Kind::File { size: SIZE, map: Some(MAP.to_vec()) }, "{name}");
    }
}

#[test]
fn maps_may_be_long() {
    // Every second byte is data; the old form needs four blocks.
    let map: Vec<(u64, u64)> = (0..80).map(|at| (2 * at, 1)).collect();
    for (name, form) in FORMS {
        let archive = tar(&[form(&map, 160, &[b'x'; 80])]);
        assert_eq!(only(&archive).kind, Kind::File { size: 160, map: Some(map.clone()) }, "{name}");
    }
    // A map that just fills its blocks ends with them.
    for pieces in [4, 25, 46] {
        let map = &map[..pieces];
        let archive = tar(&[old(map, 160, &vec![b'x'; pieces])]);
        assert_eq!(only(&archive).kind, Kind::File { size: 160, map: Some(map.to_vec()) });
    }
}

#[test]
fn a_file_of_one_hole_costs_nothing() {
    let tib = 1 << 40;
    for (name, form) in FORMS {
        let archive = tar(&[form(&[(tib, 0)], tib, b"")]);
        assert_eq!(only(&archive).kind, Kind::File { size: tib, map: Some(vec![(tib, 0)]) }, "{name}");
    }
    for (name, form) in [FORMS[0], FORMS[3]] {
        let archive = tar(&[form(&[], tib, b"")]);
        assert_eq!(only(&archive).kind, Kind::File { size: tib, map: Some(Vec::new()) }, "{name}");
    }
}

#[test]
fn inconsistent_maps_are_refused_in_each_form() {
    let max = u64::MAX;
    let rows: &[(&str, Pieces, u64, &[u8])] = &[
        ("overlap", &[(0, 4), (3, 3)], 20, DATA),
        ("out of order", &[(10, 4), (2, 3)], 20, DATA),
        ("beyond the end", &[(2, 3), (17, 4)], 20, DATA),
        ("hole beyond the end", &[(2, 7), (21, 0)], 20, DATA),
        ("too little data", &[(2, 3), (10, 5)], 20, DATA),
        ("too much data", &[(2, 3), (10, 3)], 20, DATA),
        ("no data for the map", &[(2, 3)], 20, b""),
        ("data without a map", &[(20, 0)], 20, DATA),
        ("overflow", &[(max >> 1, 7)], max >> 1, DATA),
    ];
    for (row, map, size, data) in rows {
        for (name, form) in FORMS {
            refused(&tar(&[form(map, *size, data)]), &format!("{row} in form {name}"));
        }
    }
    for (name, form) in &FORMS[1..] {
        refused(&tar(&[form(&[(0, 7), (max, 1)], max, DATA)]), &format!("a size above any in form {name}"));
        refused(&tar(&[form(&[(0, 7), (max, max)], 20, DATA)]), &format!("a wrapping length in form {name}"));
    }
}

#[test]
fn forms_that_are_none_are_refused() {
    let with = |records: &[(&str, &[u8])], kind: u8| {
        let header = Header::new(kind, b"sparse", 7).with(157, b"b").with(337, b"0000001\0");
        tar(&[pax(records), header.content(DATA)])
    };
    let size = ("GNU.sparse.size", &b"20"[..]);
    let map = ("GNU.sparse.map", &b"2,3,10,4"[..]);
    let (offset, length) = (("GNU.sparse.offset", &b"2"[..]), ("GNU.sparse.numbytes", &b"7"[..]));
    let one = ("GNU.sparse.major", &b"1"[..]);
    let zero = ("GNU.sparse.minor", &b"0"[..]);
    assert!(read(&with(&[size, map], b'0')).is_ok(), "the rows below differ from this one");
    let rows: &[(&str, Records)] = &[
        ("a map without a size", &[map]),
        ("a size without a map", &[size]),
        ("a name without a map", &[("GNU.sparse.name", b"x")]),
        ("a count without a map", &[("GNU.sparse.numblocks", b"0")]),
        ("a version without a map", &[("GNU.sparse.major", b"0"), ("GNU.sparse.minor", b"1"), size]),
        ("an unknown version", &[("GNU.sparse.major", b"2"), zero, size, map]),
        ("an unknown minor version", &[one, ("GNU.sparse.minor", b"1"), size, map]),
        ("half a version", &[one, size, map]),
        ("1.0 without a name", &[one, zero, ("GNU.sparse.realsize", b"20")]),
        ("1.0 without a size", &[one, zero, ("GNU.sparse.name", b"x")]),
        ("1.0 with another map", &[one, zero, ("GNU.sparse.name", b"x"), ("GNU.sparse.realsize", b"20"), map]),
        ("two maps", &[size, map, offset, length]),
        ("a wrong count", &[size, map, ("GNU.sparse.numblocks", b"3")]),
        ("an empty name", &[size, map, ("GNU.sparse.name", b"")]),
        ("a name with a zero byte", &[size, map, ("GNU.sparse.name", b"a\0b")]),
        ("two sizes", &[size, map, ("GNU.sparse.realsize", b"21")]),
        ("an unknown key", &[size, map, ("GNU.sparse.more", b"1")]),
        ("a length before its offset", &[size, length, offset]),
        ("an offset without a length", &[size, offset]),
        ("two offsets", &[size, offset, offset]),
        ("an odd map", &[size, ("GNU.sparse.map", b"2,3,10")]),
        ("an empty map", &[size, ("GNU.sparse.map", b"")]),
        ("a map with a sign", &[size, ("GNU.sparse.map", b"+2,7")]),
        ("a map with spaces", &[size, ("GNU.sparse.map", b"2, 7")]),
        ("a map with an end", &[size, ("GNU.sparse.map", b"2,7,")]),
        ("a negative size", &[("GNU.sparse.size", b"-1"), map]),
    ];
    for (row, records) in rows {
        refused(&with(records, b'0'), row);
    }
    for kind in [b'1', b'2', b'3', b'4', b'5', b'6', b'S'] {
        refused(&with(&[size, map], kind), "a kind that has no content, or a map of its own");
    }
}

#[test]
fn the_old_form_has_one_end() {
    let piece = |offset: &[u8; 12], length: &[u8; 12]| [&offset[..], &length[..]].concat();
    let (two, seven) = (b"00000000002\0", b"00000000007\0");
    let header = || Header::new(b'S', b"sparse", 7).gnu().with(483, &number(SIZE)).with(386, &piece(two, seven));
    assert_eq!(only(&tar(&[header().content(DATA)])).kind, Kind::File { size: SIZE, map: Some(vec![(2, 7)]) });
    let zero = b"\0\0\0\0\0\0\0\0\0\0\0\0";
    let rows: &[(&str, Header)] = &[
        ("an offset without a length", header().with(410, two)),
        ("a length without an offset", header().with(422, seven)),
        (
            "a piece after the end",
            header().with(410, &piece(zero, zero)).with(434, &piece(b"00000000024\0", b"00000000000\0")),
        ),
        ("a block after the end", header().with(482, b"\x01")),
        ("no number", header().with(386, b"0000000000x\0")),
        ("a negative number", header().with(386, &[0xff; 12])),
        ("no size", header().with(483, b"x")),
        ("another dialect", header().with(257, b"ustar\x0000")),
        ("Schilling's", header().with(257, b"ustar\x0000").with(508, b"tar\0")),
    ];
    for (row, header) in rows {
        let archive = tar(&[header.clone().content(DATA)]);
        assert!(read(&archive).is_err(), "{row}");
    }
    // The map goes on where the archive ends.
    let map: Vec<(u64, u64)> = (0..5).map(|at| (2 * at, 1)).collect();
    let whole = old(&map, 20, b"abcde");
    for length in [512, 600, 1_023] {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_map_in_the_content_is_read_strictly() {
    for (row, map) in [
        ("no newline", "1 2\n7"),
        ("no number", "\n2\n7\n"),
        ("a sign", "1\n+2\n7\n"),
        ("a negative number", "1\n-2\n7\n"),
        ("too large a number", "1\n18446744073709551616\n7\n"),
        ("fewer lines than it says", "2\n2\n7\n"),
        ("more pieces than there may be", "262145\n"),
        ("more pieces than there are bytes", "18446744073709551615\n"),
    ] {
        refused(&tar(&[content(map.as_bytes(), SIZE, DATA)]), row);
    }
    refused(&tar(&[content(b"", SIZE, b"")]), "no map at all");
    // Leading zeros make a number no larger, however many there are.
    let zeros = [&b"1\n"[..], &[b'0'; 600], b"2\n7\n"].concat();
    assert_eq!(only(&tar(&[content(&zeros, SIZE, DATA)])).kind, Kind::File { size: SIZE, map: Some(vec![(2, 7)]) });
}

/// As many pieces as there may be take a few MiB and no more; one more is refused.
#[test]
fn maps_have_a_limit() {
    let most: Vec<(u64, u64)> = (0..1 << 18).map(|at| (at, 0)).collect();
    let more = [&most[..], &[(1 << 18, 0)]].concat();
    for (name, form) in [FORMS[0], FORMS[3]] {
        let size = 1 << 20;
        assert_eq!(only(&tar(&[form(&most, size, b"")])).kind, Kind::File { size, map: Some(most.clone()) }, "{name}");
        refused(&tar(&[form(&more, size, b"")]), name);
    }
}
