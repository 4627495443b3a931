//! F10 to F12, F14 to F17 and F20: bodies of another length than was promised, parts that were not asked for, bytes
//! that are others.

use super::case::{Ask, Before, Case, case};
use super::{GETS, objects, size, slack};
use crate::support::fault_registry::{
    At, Auth, Fault, Framing, How, Object::*, What, What::*, always, body, once, set,
};

/// The largest manifest.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// The largest answer of a token server.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// F10 to F12.
fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&[Config, Layer]) {
        let of = |what: &str, faults: Vec<What>| case(format!("{what}-{name}"), [always(on, faults)]).retries(1);
        cases.push(of("F10", vec![Truncate(At::Middle)]).fails("size-mismatch", &["promised"]).sent(on, size(on)));
        cases.push(
            case(
                format!("F10-{name}-chunked"),
                [always(on, vec![Truncate(At::Middle), What::Framing(Framing::Chunked)])],
            )
            .retries(1)
            .fails("size-mismatch", &["bytes"]),
        );
        cases.push(of("F11", vec![Extend(1)]).fails("size-mismatch", &["promised"]));
        for (what, framing) in [("chunked", Framing::Chunked), ("close", Framing::Close)] {
            let faults = vec![Extend(100), What::Framing(framing)];
            cases.push(
                case(format!("F11-{name}-{what}"), [always(on, faults)])
                    .retries(1)
                    .fails("size-mismatch", &["more than"])
                    .sent(on, 2 * size(on) + slack(0)),
            );
        }
        cases.push(
            case(format!("F11-{name}-endless"), [always(on, Endless)])
                .retries(1)
                .fails("size-mismatch", &["more than"])
                .sent(on, 2 * size(on) + slack(0)),
        );
        cases.push(
            case(format!("F11-{name}-endless-once"), [once(on, Cut(At::Middle, How::Reset)), once(on, Endless)])
                .sent(on, 3 * size(on) + slack(0)),
        );
    }
    for (name, on) in objects(&[Index, Manifest]) {
        let short = vec![Truncate(At::Middle)];
        cases
            .push(case(format!("F10-{name}"), [always(on, short)]).retries(1).fails("digest-mismatch", &["hashes to"]));
        let endless = always(on, Endless);
        cases.push(
            case(format!("F11-{name}-endless"), [endless])
                .retries(0)
                .fails("too-large", &["4194304"])
                .sent(on, slack(MANIFEST_BYTES_MAX)),
        );
    }
    cases.push(
        case("F10-token", [always(Token, Truncate(At::Middle))])
            .auth(Auth::Token)
            .retries(0)
            .fails("unavailable", &["token server"]),
    );
    cases.push(
        case("F11-token-endless", [always(Token, Endless)])
            .auth(Auth::Token)
            .retries(0)
            .fails("unavailable", &["token server"])
            .sent(Token, slack(TOKEN_BYTES_MAX)),
    );
    cases.push(
        case("F11-tags-endless", [always(Tags, Endless)])
            .ask(Ask::AllTags)
            .retries(0)
            .fails("too-large", &["4194304"])
            .sent(Tags, slack(MANIFEST_BYTES_MAX)),
    );
    for (what, framing) in [("chunked", Framing::Chunked), ("close", Framing::Close)] {
        for (name, on) in objects(&GETS) {
            cases.push(case(format!("F12-{name}-{what}"), [always(on, What::Framing(framing))]).sent(on, size(on)));
        }
        let faults = [always(Token, What::Framing(framing))];
        cases.push(case(format!("F12-token-{what}"), faults).auth(Auth::Token));
    }
    cases.push(case("F12-tags-chunked", [always(Tags, What::Framing(Framing::Chunked))]).ask(Ask::AllTags));
    cases
}

/// F14 to F17: a blob breaks, and what comes next is not its rest.
fn parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&[Config, Layer]) {
        let (whole, last) = (size(on), size(on) - 1);
        let half = whole / 2;
        let after_a_cut =
            |what: Vec<What>| -> Vec<Fault> { vec![once(on, Cut(At::Middle, How::Reset)), once(on, what)] };
        // A reset takes away what has arrived and was not read, up to all of it: then there are two whole answers more.
        let most = half + 2 * whole + (32 << 10);
        let of = |id: &str, what| case(id.replace("{}", name), after_a_cut(what)).sent(on, most);
        cases.push(of("F14-{}", vec![WholeRange]).asked(on, 2));
        cases.push(of("F14-{}-chunked", vec![WholeRange, What::Framing(Framing::Chunked)]).asked(on, 2));
        for (what, range) in [
            ("start", format!("bytes 0-{last}/{whole}")),
            ("late", format!("bytes {}-{last}/{whole}", half + 1)),
            ("total", format!("bytes {half}-{last}/{}", whole + 1)),
            ("beyond", format!("bytes {half}-{whole}/{}", whole + 1)),
            ("garbage", "bytes soon".to_owned()),
            ("unit", format!("lines {half}-{last}/{whole}")),
        ] {
            cases.push(of(&format!("F15-{{}}-{what}"), vec![set("content-range", range)]).asked(on, 3));
        }
        cases.push(of("F15-{}-absent", vec![Remove("content-range")]).asked(on, 3));
        cases.push(of("F15-{}-empty", vec![body("")]));
        cases.push(of("F16-{}", vec![Status(416), set("content-range", format!("bytes */{whole}"))]).asked(on, 3));
        cases.push(of("F16-{}-bare", vec![Status(416)]).asked(on, 3));
        // All bytes are here, and they are the wrong ones: no request would bring more of them.
        cases.push(
            case(format!("F16-{name}-full"), []).before(Before::Junk(on, whole as usize)).sent(on, whole).asked(on, 1),
        );
        cases.push(case(format!("F16-{name}-over"), []).before(Before::Junk(on, whole as usize + 9)).sent(on, whole));
        cases.push(
            of("F17-{}", vec![Flip(At::Byte(3)), set("etag", "\"other\"")]).says("downloading the blob again", 1),
        );
        cases.push(case(format!("F17-{name}-left"), []).before(Before::Junk(on, half as usize)).sent(on, 2 * whole));
        cases.push(
            case(
                format!("F17-{name}-for-ever"),
                [once(on, Cut(At::Middle, How::Reset)), always(on, Flip(At::Byte(3)))],
            )
            .fails("digest-mismatch", &["was asked for"])
            .sent(on, 3 * whole),
        );
    }
    cases.push(
        case("F14-stored", [once(Stored, Cut(At::Last, How::Reset)), once(Stored, WholeRange)])
            .storage()
            .sent(Stored, 2 * (size(Config) + size(Layer) + size(Small))),
    );
    cases
}

/// F20.
fn flips() -> Vec<Case> {
    let mut cases = Vec::new();
    let flip = || Flip(At::Middle);
    for (name, on) in objects(&[Config, Layer]) {
        let of = |id: &str, faults: Vec<Fault>| case(id.replace("{}", name), faults).sent(on, 2 * size(on));
        cases.push(of("F20-{}", vec![once(on, flip())]).says("downloading the blob again", 1).asked(on, 2));
        cases.push(
            of("F20-{}-for-ever", vec![always(on, flip())]).fails("digest-mismatch", &["was asked for"]).fires(&[2]),
        );
    }
    for (name, on) in objects(&[Index, Manifest]) {
        cases.push(
            case(format!("F20-{name}-for-ever"), [always(on, flip())])
                .fails("digest-mismatch", &["hashes to"])
                .retries(1),
        );
    }
    cases.push(case("F20-stored", [once(Stored, flip())]).storage().says("downloading the blob again", 1));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [lengths(), parts(), flips()].concat()
}
