//! F01 to F06, F44 and F45: answers that refuse, ask for patience, or say more than they should.

use super::case::{Ask, Before, Case, case};
use super::{GETS, objects};
use crate::support::fault_registry::{Auth, Object::*, What::*, always, body, first, once, set};

/// F01, F02: the registry says how long to wait.
fn named_waits() -> Vec<Case> {
    let limited = |after: &str| vec![Status(429), set("retry-after", after)];
    let mut cases: Vec<_> = objects(&GETS)
        .map(|(name, on)| case(format!("F01-{name}"), [first(2, on, limited("1"))]).apart_ms(1_000))
        .collect();
    cases.push(case("F01-token", [once(Token, limited("1"))]).auth(Auth::Token));
    cases.push(case("F01-tags", [once(Tags, limited("1"))]).ask(Ask::AllTags).apart_ms(1_000));
    cases.push(case("F01-head", [once(Head, limited("1"))]).before(Before::Pulled).apart_ms(1_000));
    // Longer than the longest wait of our own choice.
    cases.push(case("F01-layer-503", [once(Layer, vec![Status(503), set("retry-after", "2")])]).apart_ms(2_000));
    // A date is in whole seconds, so that "in two seconds" may be little more than one.
    cases.push(case("F02-index-date", [once(Index, limited("{soon}"))]).apart_ms(1_000));
    cases.push(case("F02-layer-date", [once(Layer, limited("{soon}"))]).apart_ms(1_000));
    for (what, after) in [("past", "{past}"), ("garbage", "soon"), ("negative", "-1"), ("zero", "0")] {
        cases.push(case(format!("F02-index-{what}"), [once(Index, limited(after))]).apart_ms(1_000));
        cases.push(case(format!("F02-layer-{what}"), [once(Layer, limited(after))]).apart_ms(1_000));
    }
    cases
}

/// F03 to F06: it does not say.
fn unnamed_waits() -> Vec<Case> {
    let mut cases: Vec<_> = objects(&GETS)
        .map(|(name, on)| case(format!("F03-{name}"), [first(2, on, Status(429))]).apart_ms(1_000))
        .collect();
    let limits = || vec![Status(429), set("ratelimit-limit", "100;w=21600"), set("ratelimit-remaining", "0;w=21600")];
    for (name, on) in objects(&[Index, Layer]) {
        cases.push(
            case(format!("F04-{name}"), [always(on, limits())])
                .retries(1)
                .fires(&[2])
                .apart_ms(1_000)
                .fails("unavailable", &["429", "limits how often it may be asked", "`ratelimit-remaining`"]),
        );
    }
    for ((name, on), status) in objects(&GETS).zip([500, 502, 503, 504]) {
        cases.push(case(format!("F05-{name}-{status}"), [first(3, on, Status(status))]));
    }
    for ((name, on), status) in objects(&GETS).zip([503, 504, 500, 502]) {
        cases.push(case(format!("F05-{name}-{status}"), [first(2, on, Status(status))]));
    }
    cases.push(case("F05-tags-503", [first(2, Tags, Status(503))]).ask(Ask::AllTags));
    cases.push(case("F05-token-503", [first(2, Token, Status(503))]).auth(Auth::Token));
    cases.push(case("F05-stored-503", [first(2, Stored, Status(503))]).storage());
    let last = [(500, "500 Internal"), (502, "502 Bad"), (503, "503 Service"), (504, "504 Gateway")];
    for ((name, on), (status, said)) in objects(&GETS).zip(last) {
        cases.push(
            case(format!("F06-{name}-{status}"), [always(on, Status(status))])
                .retries(1)
                .fires(&[2])
                .fails("unavailable", &["127.0.0.1", said]),
        );
    }
    cases.push(
        case("F06-token-500", [always(Token, Status(500))])
            .auth(Auth::Token)
            .retries(1)
            .fails("unavailable", &["token server"]),
    );
    cases.push(
        case("F06-tags-503", [always(Tags, Status(503))])
            .ask(Ask::AllTags)
            .retries(1)
            .fires(&[2])
            .fails("unavailable", &["503"]),
    );
    cases
}

/// F44: what the registry writes into an error.
fn words() -> Vec<Case> {
    let list = r#"{"errors":[{"code":"DENIED","message":"one"},{"code":"UNKNOWN","message":"two"}]}"#;
    let mut cases = Vec::new();
    for (name, on) in objects(&[Index, Layer]) {
        let said = |what: &str, more: Vec<_>| {
            let what = format!("F44-{name}-{what}");
            case(what, [always(on, [vec![Status(400)], more].concat())]).fires(&[1])
        };
        cases.push(said("list", vec![body(list)]).fails("invalid", &["one (DENIED)", "two (UNKNOWN)"]));
        cases.push(said("empty", vec![]).fails("invalid", &["400"]));
        cases.push(said("html", vec![body("<html><h1>no</h1></html>")]).fails("invalid", &["400"]));
        cases.push(
            said("endless", vec![body("{\"errors\":[]}"), Endless])
                .sent(on, super::slack(64 << 10))
                .fails("invalid", &["400"]),
        );
        cases.push(said("latin1", vec![body(&b"caf\xe9 closed"[..])]).fails("invalid", &["caf\u{fffd} closed"]));
        cases.push(said("ansi", vec![body("\u{1b}[31mred\u{1b}[0m\u{202e}\u{7}")]).fails("invalid", &["red"]));
        cases.push(said("long", vec![body("x".repeat(60_000))]).fails("invalid", &["xxxx"]));
    }
    cases.push(
        case("F44-manifest-404", [always(Manifest, vec![Status(404), body(list)])])
            .fires(&[1])
            .fails("not-found", &["has no manifest", "one (DENIED)"]),
    );
    cases.push(case("F44-config-403", [always(Config, vec![Status(403), body(list)])]).fails("denied", &["403"]));
    cases
}

/// F45: `Warning: 299`, which is for people.
fn warnings() -> Vec<Case> {
    let warn = |text: &str| set("warning", text);
    let mut cases: Vec<_> = objects(&GETS)
        .map(|(name, on)| {
            case(format!("F45-{name}"), [always(on, warn("299 - \"this tag goes away\""))])
                .says("this tag goes away", 1)
        })
        .collect();
    let everywhere = GETS.map(|on| always(on, warn("299 - \"the registry moves\"")));
    cases.push(case("F45-all-once", everywhere).says("the registry moves", 1));
    cases.push(case("F45-index-other-code", [always(Index, warn("199 - \"stale\""))]).says("stale", 0));
    cases.push(case("F45-index-ansi", [always(Index, warn("299 - \"\\\u{9b}31mred\u{9b}0m tide\""))]).says("tide", 1));
    cases.push(case("F45-tags", [always(Tags, warn("299 - \"old list\""))]).ask(Ask::AllTags).says("old list", 1));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [named_waits(), unnamed_waits(), words(), warnings()].concat()
}
