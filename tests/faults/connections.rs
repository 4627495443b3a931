//! F07 to F09, F13, F18 and F19: connections that are refused, break, lie about lengths, or say nothing.

use super::case::{Ask, Before, Case, SILENCE_MS, case};
use super::{GETS, objects, size, slack};
use crate::support::fault_registry::{
    At, Auth, Fault, Framing, How, Object, Object::*, What, What::*, always, first, once,
};

/// Where a body is cut.
const PLACES: [(&str, At); 4] =
    [("first", At::Byte(0)), ("second", At::Byte(1)), ("middle", At::Middle), ("last", At::Last)];

/// What a cut of the object may cost: a blob goes on where it stopped, a document begins again.
fn most(on: Object, how: How) -> u64 {
    match (on, how) {
        (Index | Manifest, _) => 2 * size(on),
        // A reset takes away what has arrived and was not read, up to all of it.
        (_, How::Reset) => 2 * size(on) + (16 << 10),
        (_, How::Close) => size(on) + (16 << 10),
    }
}

fn refused() -> Vec<Case> {
    vec![
        case("F07-registry-refused", []).closed().retries(1).fails("unavailable", &["cannot connect", "127.0.0.1"]),
        case("F07-mirror-refused", []).mirror_with(super::closed(), []).asked(Index, 1),
        case("F07-mirror-untrusted", []).untrusted_mirror().asked(Index, 1),
    ]
}

/// F08, F09.
fn broken() -> Vec<Case> {
    let mut cases = Vec::new();
    for (row, how) in [("F08", How::Reset), ("F09", How::Close)] {
        for (name, on) in objects(&GETS) {
            for (place, at) in PLACES {
                cases.push(case(format!("{row}-{name}-{place}"), [once(on, Cut(at, how))]).sent(on, most(on, how)));
            }
            cases.push(case(format!("{row}-{name}-head"), [once(on, HangUp(how))]).sent(on, size(on)));
        }
        cases.push(case(format!("{row}-token-middle"), [once(Token, Cut(At::Middle, how))]).auth(Auth::Token));
        cases.push(case(format!("{row}-token-head"), [once(Token, HangUp(how))]).auth(Auth::Token));
        cases.push(case(format!("{row}-tags-middle"), [once(Tags, Cut(At::Middle, how))]).ask(Ask::AllTags));
        cases.push(case(format!("{row}-head-head"), [once(Head, HangUp(how))]).before(Before::Pulled));
        // Five breaks are more than the retries: progress renews the patience.
        let pieces = first(5, Layer, Cut(At::Byte(40 << 10), how));
        cases.push(case(format!("{row}-layer-pieces"), [pieces]).sent(Layer, size(Layer) + (80 << 10)).asked(Layer, 6));
        cases.push(
            case(format!("{row}-layer-for-ever"), [always(Layer, Cut(At::Byte(0), how))])
                .retries(1)
                .fires(&[2])
                .fails("unavailable", &["127.0.0.1"]),
        );
    }
    // All requests but the first one and the last ones are in a part of the layer.
    cases.push(case("F08-stored-middle", [once(Stored, Cut(At::Middle, How::Reset))]).storage());
    cases
}

/// F13.
fn lengths() -> Vec<Case> {
    let lies: [(&str, Framing); 7] = [
        ("high", Framing::Lengths(|length| vec![(length + 10).to_string()])),
        ("low", Framing::Lengths(|length| vec![(length - 10).to_string()])),
        ("negative", Framing::Lengths(|_| vec!["-1".to_owned()])),
        ("huge", Framing::Lengths(|_| vec!["99999999999999999999999".to_owned()])),
        ("text", Framing::Lengths(|_| vec!["many".to_owned()])),
        ("two", Framing::Lengths(|length| vec![length.to_string(), (length + 1).to_string()])),
        ("twice", Framing::Lengths(|length| vec![length.to_string(), length.to_string()])),
    ];
    let mut cases = Vec::new();
    for (name, on) in objects(&[Manifest, Config, Layer, Token]) {
        for (lie, framing) in lies {
            let what = vec![What::Framing(framing), Cut(At::End, How::Close)];
            let told = |faults: Vec<Fault>| {
                let auth = if on == Token { Auth::Token } else { Auth::Open };
                case(format!("F13-{name}-{lie}"), faults).auth(auth)
            };
            let blob = matches!(on, Config | Layer);
            cases.push(match lie {
                // The head of a blob tells that it is another one than was promised.
                "high" | "low" if blob => told(vec![always(on, what)]).retries(1).fails("size-mismatch", &["promised"]),
                "low" if on == Manifest => {
                    told(vec![always(on, what)]).retries(1).fails("digest-mismatch", &["hashes to"])
                }
                "low" => told(vec![always(on, what)]).retries(1).fails("unavailable", &["token server"]),
                _ => told(vec![once(on, what)]),
            });
        }
    }
    cases
}

/// F18, F19.
fn slow() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&GETS) {
        cases.push(case(format!("F19-{name}"), [once(on, Silence)]).sent(on, size(on)));
        cases.push(case(format!("F19-{name}-middle"), [once(on, Stall(At::Middle))]).sent(on, most(on, How::Close)));
        cases.push(case(format!("F18-{name}-head"), [once(on, DripHead(SILENCE_MS / 10))]).sent(on, size(on)));
        cases.push(
            case(format!("F18-{name}-body"), [once(on, DripBody(SILENCE_MS / 10))])
                .sent(on, most(on, How::Close) + slack(0)),
        );
    }
    for (name, on) in objects(&[Index, Layer]) {
        cases.push(
            case(format!("F19-{name}-for-ever"), [always(on, Silence)])
                .retries(1)
                .fires(&[2])
                .fails("unavailable", &["127.0.0.1", "in time"]),
        );
        cases.push(
            case(format!("F19-{name}-stalls-for-ever"), [always(on, Stall(At::Byte(0)))])
                .retries(1)
                .fires(&[2])
                .fails("unavailable", &["127.0.0.1"]),
        );
    }
    cases.push(case("F19-tags", [once(Tags, Silence)]).ask(Ask::AllTags));
    cases.push(case("F19-head", [once(Head, Silence)]).before(Before::Pulled));
    cases.push(case("F19-stored", [once(Stored, Silence)]).storage());
    cases.push(case("F19-mirror", []).mirror([always(Index, Silence)]).retries(0).mirror_fires(&[1]));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [refused(), broken(), lengths(), slow()].concat()
}
