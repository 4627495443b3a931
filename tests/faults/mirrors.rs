//! F47: a mirror is asked first, and what it cannot do well the registry does, object by object. The login for the
//! registry is never shown to the mirror.

use super::case::{Ask, Before, Case, case};
use super::{objects, size, slack};
use crate::support::fault_registry::{
    At, Auth, Fault, How, Object::*, Options, Stock, What::*, always, body, once, redirect, set,
};
use serde_json::json;
use std::sync::Arc;
use wharf::demo::image::INDEX;

/// A case of the mirror. The registry wants its login, which the machine has.
fn of(what: &str, faults: impl Into<Vec<Fault>>) -> Case {
    case(format!("F47-{what}"), []).auth(Auth::Basic).mirror(faults)
}

fn lacks() -> Vec<Case> {
    let missing = |on| always(on, Status(404));
    let mut cases = vec![
        of("well", []).asked(Index, 0).asked(Manifest, 0).asked(Config, 0).asked(Layer, 0),
        of("nothing", [missing(Index)]).asked(Index, 1),
        of("index-only", [missing(Manifest), missing(Config), missing(Layer), missing(Small)])
            .asked(Index, 0)
            .asked(Manifest, 1)
            .asked(Config, 1)
            .asked(Layer, 1),
        of("by-digest", [missing(Index)]).ask(Ask::Digest).asked(Index, 1),
        of("neither", [missing(Layer)]).fails("not-found", &["has no blob"]),
    ];
    if let Some(neither) = cases.last_mut() {
        neither.faults = vec![always(Layer, Status(404))];
    }
    for (name, on) in objects(&[Manifest, Config, Layer]) {
        cases.push(of(&format!("no-{name}"), [missing(on)]).asked(Index, 0).asked(on, 1));
        for status in [401, 403, 500] {
            let faults = [always(on, Status(status))];
            cases.push(of(&format!("{name}-{status}"), faults).retries(1).asked(Index, 0).asked(on, 1));
        }
    }
    cases
}

fn refuses() -> Vec<Case> {
    let wants = |auth| Options { auth, ..Options::default() };
    let mut silent = of("registry-refuses", []).retries(1);
    silent.options.closed = true;
    vec![
        of("basic", []).mirror_with(wants(Auth::Basic), []).asked(Index, 1).asked(Layer, 1),
        of("token-for-login", []).mirror_with(wants(Auth::TokenForLogin), []).asked(Index, 1).asked(Layer, 1),
        of("token", []).mirror_with(wants(Auth::Token), []).asked(Index, 0).asked(Layer, 0),
        of("closed", []).mirror_with(super::closed(), []).asked(Index, 1),
        of("limits", [always(Index, vec![Status(429), set("retry-after", "1")])]).retries(1).asked(Index, 1),
        of("html", [always(Index, body("<html>"))]).retries(1).asked(Index, 1),
        of("redirects-away", [always(Index, redirect(302, "http://169.254.169.254/"))]).retries(1).asked(Index, 1),
        // What a mirror has is enough, whatever the registry does.
        silent,
    ]
}

fn lies() -> Vec<Case> {
    let other = || json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
    let mut cases = vec![
        of("wrong-digest", [always(Index, set("docker-content-digest", format!("sha256:{}", "1".repeat(64))))])
            .retries(1)
            .asked(Index, 1),
        of("other-manifest", [always(Manifest, vec![body(other()), Remove("docker-content-digest")])])
            .retries(1)
            .asked(Manifest, 1),
        of("other-index", [always(Index, vec![body(other()), Remove("docker-content-digest")])])
            .ask(Ask::Digest)
            .retries(1)
            .asked(Index, 1),
    ];
    for (name, on) in objects(&[Config, Layer]) {
        let flips = of(&format!("{name}-flips"), [always(on, Flip(At::Middle))]).retries(1).asked(on, 1);
        cases.push(flips.sent(on, size(on)).mirror_sent(on, 2 * size(on)));
        let short = of(&format!("{name}-short"), [always(on, Truncate(At::Middle))]).retries(1).asked(on, 1);
        cases.push(short.sent(on, size(on)));
        let endless = of(&format!("{name}-endless"), [always(on, Endless)]).retries(1).asked(on, 1);
        cases.push(endless.sent(on, size(on)).mirror_sent(on, 2 * size(on) + slack(0)));
    }
    // An image that the registry has not had for a while: the mirror is believed about tags, and what it lacks of
    // its image the registry lacks as well.
    let mut stock = (*Stock::usual()).clone();
    let (index, manifest) = (stock.index().clone(), stock.manifest().clone());
    let stale =
        String::from_utf8_lossy(&index.bytes).replace("\"schemaVersion\":2", "\"annotations\":{},\"schemaVersion\":2");
    stock.add(Some("latest"), INDEX, stale);
    assert_eq!(stock.manifest().digest, manifest.digest, "only the index is another one");
    let options = Options { stock: Arc::new(stock), ..Options::default() };
    cases.push(of("stale", []).mirror_with(options.clone(), []).asked(Index, 0));
    cases.push(of("stale-no-layer", []).mirror_with(options, [always(Layer, Status(404))]).asked(Layer, 1));
    cases
}

fn dies() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&[Config, Layer]) {
        // The registry sends the other half.
        for (what, dies) in [
            ("resets", Cut(At::Middle, How::Reset)),
            ("closes", Cut(At::Middle, How::Close)),
            ("stalls", Stall(At::Middle)),
        ] {
            let half = of(&format!("{name}-half-{what}"), [once(on, dies)]).retries(0).asked(on, 1);
            cases.push(half.sent(on, size(on) / 2 + 1));
        }
    }
    cases.push(of("silent", [always(Index, Silence)]).retries(0).asked(Index, 1));
    cases.push(of("head", [always(Head, Status(500))]).before(Before::Pulled));
    cases.push(of("storage", []).mirror_with(Options { storage: true, ..Options::default() }, []).asked(Layer, 0));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    [lacks(), refuses(), lies(), dies()].concat()
}
