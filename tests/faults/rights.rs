//! F31 to F37 and F39: redirects, signed addresses, tokens and challenges. That no right is shown to anybody but its
//! registry is asserted of every case.

use super::case::{Ask, Case, Login, case};
use super::{objects, size, slack};
use crate::support::fault_registry::{At, Auth, How, Object::*, What::*, always, body, first, once, redirect, set};

/// F31, F39: redirects that are followed.
fn followed() -> Vec<Case> {
    let mut cases = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = redirect(status, "http://{storage}/store/{layer}?signature=f00d");
        for (what, auth) in [("open", Auth::Open), ("basic", Auth::Basic), ("token", Auth::TokenForLogin)] {
            cases.push(
                case(format!("F31-layer-{status}-{what}"), [always(Layer, elsewhere.clone())])
                    .auth(auth)
                    .sent(Stored, size(Layer)),
            );
        }
    }
    cases.push(case("F31-blobs-basic", []).storage().auth(Auth::Basic));
    cases.push(case("F31-blobs-token", []).storage().auth(Auth::TokenForLogin));
    for (name, on, path) in [("index", Index, "manifests/one"), ("tags", Tags, "tags/list?n=2&page=1")] {
        let ask = if on == Tags { Ask::AllTags } else { Ask::Tag("latest") };
        let here = redirect(307, &format!("/v2/harbour/demo/{path}"));
        cases.push(case(format!("F31-{name}-here"), [once(on, here)]).auth(Auth::Basic).ask(ask));
    }
    for (what, location) in [
        ("relative", "./{layer}?again=1"),
        ("dots", "../../demo/blobs/{layer}"),
        ("absolute", "http://{registry}/v2/harbour/demo/blobs/{layer}"),
        ("path", "/v2/harbour/demo/blobs/{layer}"),
        ("scheme-relative", "//{registry}/v2/harbour/demo/blobs/{layer}"),
        ("query", "?again=1"),
        ("fragment", "http://{registry}/v2/harbour/demo/blobs/{layer}#part"),
        ("other-host", "http://{storage}/store/{layer}?a=%2F&b=%20"),
        ("upper-case", "HTTP://{storage}/store/{layer}"),
    ] {
        let id = format!("F39-layer-{what}");
        cases.push(case(id, [once(Layer, redirect(307, location))]).auth(Auth::Basic).sent(Layer, size(Layer)));
    }
    cases
}

/// F32: those that are not.
fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&[Index, Layer]) {
        for (what, location, code, why) in [
            ("metadata", "http://169.254.169.254/latest/meta-data/", "denied", "169.254.169.254"),
            ("link-local", "http://[fe80::1]/", "denied", "fe80::1"),
            ("file", "file:///etc/passwd", "invalid", "not followed"),
            ("gopher", "gopher://{storage}/", "invalid", "not followed"),
            ("user", "http://a:b@{storage}/store/{layer}", "invalid", "not followed"),
            ("port", "http://127.0.0.1:99999/", "invalid", "not followed"),
            ("garbage", "http://[", "invalid", "not followed"),
        ] {
            let id = format!("F32-{name}-{what}");
            cases.push(case(id, [always(on, redirect(307, location))]).retries(1).fires(&[1]).fails(code, &[why]));
        }
        let bare = vec![Status(302)];
        cases.push(case(format!("F32-{name}-nowhere"), [always(on, bare)]).fires(&[1]).fails("invalid", &["where to"]));
        let two = [redirect(302, "/a"), vec![Add("location", "/b".to_owned())]].concat();
        cases.push(case(format!("F32-{name}-two"), [always(on, two)]).fires(&[1]).fails("invalid", &["where to"]));
        let round = redirect(302, "?round=1");
        cases.push(
            case(format!("F32-{name}-loop"), [always(on, round)])
                .fires(&[6])
                .fails("invalid", &["redirects more than 5 times"]),
        );
        cases.push(case(format!("F32-{name}-five"), [first(5, on, redirect(302, "?round=1"))]).asked(on, 6));
    }
    cases
}

/// F33: the address has expired, and the registry signs a new one.
fn signatures() -> Vec<Case> {
    let expired = || vec![Status(403), body("<Error><Code>AccessDenied</Code></Error>")];
    vec![
        case("F33-stored", [once(Stored, expired())]).storage(),
        case("F33-stored-basic", [once(Stored, expired())]).storage().auth(Auth::Basic),
        case("F33-stored-middle", [once(Stored, Cut(At::Middle, How::Reset)), once(Stored, expired())]).storage(),
        case("F33-stored-for-ever", [always(Stored, expired())]).storage().fails("denied", &["403"]),
    ]
}

/// F34: a token stops being good.
fn expiry() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, auth) in [("token", Auth::Token), ("login", Auth::TokenForLogin)] {
        for (object, on) in objects(&[Manifest, Config, Layer]) {
            let id = format!("F34-{object}-{name}");
            cases.push(case(id, [once(on, Revoke)]).auth(auth).asked(Token, 2));
        }
        for (object, on) in objects(&[Config, Layer]) {
            let broken = vec![Cut(At::Middle, How::Reset), RevokeAfter];
            let id = format!("F34-{object}-middle-{name}");
            // A reset takes away what has arrived and was not read.
            let most = size(on) * 3 / 2 + (16 << 10);
            cases.push(case(id, [once(on, broken)]).auth(auth).asked(Token, 2).sent(on, most));
        }
        for (object, on) in objects(&[Index, Manifest]) {
            cases.push(case(format!("F34-{object}-after-{name}"), [once(on, RevokeAfter)]).auth(auth).asked(Token, 2));
        }
    }
    let never = case("F34-manifest-never", [always(Manifest, Revoke)]).auth(Auth::Token).retries(1);
    cases.push(never.fires(&[2]).fails("denied", &["401"]));
    cases
}

/// F35, F36: what the token server says.
fn tokens() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, answer) in [
        ("token", r#"{"token":"{token}"}"#),
        ("access-token", r#"{"access_token":"{token}"}"#),
        ("both", r#"{"token":"{token}","access_token":"{token}"}"#),
        ("expires-0", r#"{"token":"{token}","expires_in":0}"#),
        ("expires-negative", r#"{"token":"{token}","expires_in":-300}"#),
        ("expires-huge", r#"{"token":"{token}","expires_in":999999999999999999}"#),
        ("issued-later", r#"{"token":"{token}","expires_in":300,"issued_at":"2999-01-01T00:00:00Z"}"#),
        ("issued-garbage", r#"{"token":"{token}","expires_in":300,"issued_at":"yesterday"}"#),
        ("more", r#"{"token":"{token}","refresh_token":"other","scope":"x","extra":[{}]}"#),
    ] {
        cases.push(case(format!("F35-token-{what}"), [always(Token, body(answer))]).auth(Auth::Token));
    }
    for (what, answer) in [
        ("neither", r#"{"expires_in":300}"#),
        ("empty", r#"{"token":""}"#),
        ("number", r#"{"token":7}"#),
        ("header", "{\"token\":\"a\\r\\nx: y\"}"),
    ] {
        let of = case(format!("F35-token-{what}"), [always(Token, body(answer))]).auth(Auth::Token).retries(0);
        cases.push(of.fails("unavailable", &["token server"]));
    }
    for (what, code, answer) in [
        ("401", "denied", vec![Status(401)]),
        ("403", "denied", vec![Status(403)]),
        ("404", "unavailable", vec![Status(404)]),
        ("429", "unavailable", vec![Status(429), set("retry-after", "1")]),
        ("500", "unavailable", vec![Status(500)]),
        ("html", "unavailable", vec![body("<html>welcome</html>")]),
        ("nothing", "unavailable", vec![body("")]),
        ("redirect", "unavailable", redirect(302, "http://{storage}/token")),
    ] {
        for (who, auth) in [("open", Auth::Token), ("login", Auth::TokenForLogin)] {
            let of = case(format!("F36-token-{what}-{who}"), [always(Token, answer.clone())]).auth(auth).retries(0);
            cases.push(of.fails(code, &[]));
        }
    }
    cases.push(
        case("F36-token-wrong-login", [])
            .auth(Auth::Token)
            .login(Login::Wrong)
            .says("refused the login", 1)
            .asked(Layer, 1),
    );
    let huge = vec![body("{\"token\":\"x\""), Endless];
    let huge = case("F36-token-huge", [always(Token, huge)]).auth(Auth::TokenForLogin).retries(0);
    cases.push(huge.fails("unavailable", &["token server"]).sent(Token, slack(64 << 10)));
    cases
}

/// F37: what the registry asks for, and how it says so.
fn challenges() -> Vec<Case> {
    let realm = "realm=\"http://{registry}/token\",service=\"registry.test\"";
    let bearer = format!("Bearer {realm},scope=\"repository:harbour/demo:pull\"");
    let both = format!("Basic realm=\"harbour\", {bearer}");
    let wide = format!("Bearer {realm},scope=\"repository:harbour/demo:pull,push\"");
    let shouted = "BEARER REALM=\"http://{registry}/token\" , SERVICE=\"registry.test\"".to_owned();
    let error = format!("{bearer},error=\"invalid_token\",error_description=\"a, \\\"b\\\"\"");
    let mut cases = Vec::new();
    for (what, offers, auth) in [
        ("negotiate-first", vec!["Negotiate", &bearer], Auth::Token),
        ("digest-first", vec!["Digest realm=\"x\", nonce=\"a,b\", qop=\"auth\"", &bearer], Auth::TokenForLogin),
        ("basic-first", vec!["Basic realm=\"harbour\"", &bearer], Auth::TokenForLogin),
        ("bearer-first", vec![&bearer, "Basic realm=\"harbour\""], Auth::TokenForLogin),
        ("one-header", vec![&both], Auth::TokenForLogin),
        ("negotiate-and-basic", vec!["Negotiate", "Basic realm=\"harbour\""], Auth::Basic),
        ("basic-shouted", vec!["BASIC REALM=harbour"], Auth::Basic),
        ("basic-bare", vec!["Basic"], Auth::Basic),
        ("scope-with-comma", vec![&wide], Auth::Token),
        ("shouted", vec![&shouted], Auth::Token),
        ("error", vec![&error], Auth::Token),
        ("token68", vec!["Negotiate YII==", &bearer], Auth::Token),
    ] {
        cases.push(case(format!("F37-index-{what}"), []).challenges(&offers).auth(auth));
    }
    let no = |what: &str, offers: &[&str], auth| case(format!("F37-index-{what}"), []).challenges(offers).auth(auth);
    cases.push(no("only-negotiate", &["Negotiate"], Auth::Basic).fails("denied", &["negotiate"]));
    cases.push(no("empty", &[""], Auth::Basic).fails("denied", &["no way to log in"]));
    cases.push(no("no-login", &[], Auth::Basic).login(Login::None).fails("denied", &["log in"]));
    cases.push(
        no("realm-elsewhere", &["Bearer realm=\"http://localhost:9/token\""], Auth::TokenForLogin)
            .fails("denied", &["token server"]),
    );
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [followed(), refused(), signatures(), expiry(), tokens(), challenges()].concat()
}
