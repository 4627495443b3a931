//! Redirects of manifests and blobs, and links between pages, to where the login must not follow. Who answers with a
//! redirect names any place he likes.

use super::case::Case;
use super::cast::{Cast, Who, redirect, unauthorized};
use super::listener::{Answer, Request};
use Who::{Far, Other, Registry, Tokens};

/// Which requests are steered.
type Which = (&'static str, fn(&Request) -> bool);

const MANIFEST: Which = ("a manifest", Request::is_manifest);
const BLOB: Which = ("a blob", Request::is_blob);

/// How the registry is logged in to.
/// Makes a case of a name.
type Make = fn(&str) -> Case;

const KINDS: [(&str, Make); 2] = [("basic", Case::basic), ("bearer", Case::bearer)];

/// Where the registry sends.
type Where = fn(&Cast, &str) -> String;

pub(crate) fn cases() -> Vec<Case> {
    [statuses(), places(), chains(), thieves(), before_login(), tricks(), pages()].into_iter().flatten().collect()
}

/// A case in which the registry answers these requests of who is welcome with a redirect.
fn steered(mut case: Case, (what, which): Which, status: u16, to: Where) -> Case {
    case.name = format!("{what}, {status}: {}", case.name);
    case.steers(move |cast, request| {
        let second = ["again", "returned"].iter().any(|word| request.target.contains(word));
        (which(request) && !second).then(|| redirect(status, to(cast, &request.target)))
    })
}

fn statuses() -> Vec<Case> {
    let all = [MANIFEST, BLOB].into_iter().flat_map(|which| [301, 302, 303, 307, 308].map(|status| (which, status)));
    all.map(|(which, status)| {
        let case = Case::basic("it is at another port");
        steered(case, which, status, |cast, target| cast.url(Other, target)).visits(&[Other])
    })
    .collect()
}

fn places() -> Vec<Case> {
    let mut cases = Vec::new();
    for which in [MANIFEST, BLOB] {
        for (kind, make) in KINDS {
            let to = |name, to: Where| steered(make(&format!("{kind}: {name}")), which, 307, to);
            cases.extend([
                to("it is at another address", |cast, target| cast.url(Far, target)).visits(&[Far]),
                to("it is at another port by another name", |cast, target| {
                    format!("http://localhost:{}{target}", cast.port(Other))
                })
                .visits(&[Other]),
                to("it is here by another name", |cast, target| {
                    format!("http://localhost:{}{target}?nameless", cast.port(Registry))
                })
                .at(Registry, |cast, request| request.target.contains("nameless").then(|| cast.content(request)))
                .bare("nameless"),
                to("it is here, and needs the login again", |_, target| format!("{target}?again")),
                to("it is here, by the whole URL", |cast, target| cast.url(Registry, &format!("{target}?again"))),
                to("it is there, without a scheme", |cast, target| format!("//{}{target}", cast.authority(Far)))
                    .visits(&[Far]),
            ]);
        }
        let same_wire = Case::basic("it is at another name below the registry's");
        cases.push(
            steered(same_wire.named(), which, 307, |cast, target| {
                format!("http://a.registry.test:{}{target}", cast.port(Other))
            })
            .access(|cast, access| access.plain_http.push(format!("a.registry.test:{}", cast.port(Other))))
            .network(|cast, settings| settings.plain_http.push(format!("a.registry.test:{}", cast.port(Other))))
            .visits(&[Other]),
        );
    }
    cases
}

fn chains() -> Vec<Case> {
    let mut cases = Vec::new();
    for which in [MANIFEST, BLOB] {
        for (name, between) in [("port", Other), ("address", Far)] {
            let case = Case::basic(&format!("it goes to another {name} and comes back without the login"));
            cases.push(
                steered(case, which, 307, if between == Other { other } else { far })
                    .at(between, |cast, request| {
                        let back = cast.url(Registry, &format!("{}?returned", request.target));
                        Some(redirect(307, back))
                    })
                    .at(Registry, |cast, request| request.target.contains("returned").then(|| cast.content(request)))
                    .bare("returned"),
            );
        }
        let case = Case::basic("it goes to another port and from there to another address");
        cases.push(
            steered(case, which, 307, other)
                .at(Other, |cast, request| Some(redirect(307, cast.url(Far, &request.target))))
                .visits(&[Other, Far]),
        );
        let case = Case::basic("it goes in a circle").fails().requests_max(40);
        cases.push(steered(case, which, 307, |_, target| target.to_owned()));
        let case = Case::basic("it goes in a circle over another port").fails().requests_max(40);
        cases.push(
            steered(case, which, 307, other)
                .at(Other, |cast, request| Some(redirect(307, cast.url(Registry, &request.target))))
                .visits(&[Other]),
        );
        let case = Case::basic("it goes from port to port without end").fails().requests_max(40);
        cases.push(
            steered(case, which, 302, other)
                .at(Other, |_, request| Some(redirect(302, format!("{}/on", request.target))))
                .visits(&[Other]),
        );
    }
    cases
}

fn other(cast: &Cast, target: &str) -> String {
    cast.url(Other, target)
}

fn far(cast: &Cast, target: &str) -> String {
    cast.url(Far, target)
}

/// The one to whom the redirect leads asks for a login himself. CVE-2020-15157.
fn thieves() -> Vec<Case> {
    let mut cases = Vec::new();
    for which in [MANIFEST, BLOB] {
        for (kind, make) in KINDS {
            let asks = |name, challenge: fn(&Cast) -> String| {
                steered(make(&format!("{kind}: {name}")), which, 307, far)
                    .at(Far, move |cast, _| Some(unauthorized(&challenge(cast))))
                    .visits(&[Far])
                    .fails()
            };
            cases.extend([
                asks("who is there asks for a login", |_| "Basic realm=\"harbour\"".to_owned()),
                asks("who is there has a token server", |cast| cast.bearer(&cast.url(Far, "/token"))),
                asks("who is there names the registry's token server", Cast::own_bearer),
            ]);
        }
        let case = Case::basic("it is at the token server").visits(&[Tokens]).fails();
        cases.push(steered(case, which, 307, |cast, _| cast.url(Tokens, "/token?service=harbour")));
    }
    cases
}

/// The registry sends away who has not logged in yet.
fn before_login() -> Vec<Case> {
    let away = |name, to: Who, answer: fn(&Cast) -> Answer| {
        Case::basic(name)
            .at(Registry, move |cast, request| Some(redirect(302, cast.url(to, &request.target))))
            .at(to, move |cast, _| Some(answer(cast)))
            .visits(&[to])
            .login_at(&[])
            .fails()
    };
    vec![
        away("before any login, to another port that asks for it", Other, |_| unauthorized("Basic realm=\"harbour\"")),
        away("before any login, to another address that asks for it", Far, |_| unauthorized("Basic realm=\"harbour\"")),
        away("before any login, to another address with a token server", Far, |cast| {
            unauthorized(&cast.bearer(&cast.url(Far, "/token")))
        }),
        away("before any login, to another address that names the registry's token server", Far, |cast| {
            unauthorized(&cast.own_bearer())
        }),
        Case::basic("before any login, to where it is for everybody")
            .at(Registry, |cast, request| Some(redirect(302, cast.url(Other, &request.target))))
            .visits(&[Other])
            .login_at(&[]),
    ]
}

/// `Location`s that one parser takes for another place than the next one does.
fn tricks() -> Vec<Case> {
    let refused =
        |name, to: Where| steered(Case::basic(name), BLOB, 307, to).spares(&[Other, Far]).fails().requests_max(40);
    vec![
        refused("a URL with a user", |cast, target| format!("http://ann@{}{target}", cast.authority(Far))),
        refused("a URL with a user and a password", |cast, target| {
            format!("http://ann:secret@{}{target}", cast.authority(Far))
        }),
        refused("a URL with the registry as its user", |cast, target| {
            format!("http://{}@{}{target}", cast.authority(Registry), cast.authority(Far))
        }),
        refused("a URL with a backslash before the real host", |cast, target| {
            format!("http://{}\\@{}{target}", cast.authority(Registry), cast.authority(Far))
        }),
        refused("a path that begins with backslashes", |cast, target| format!("\\\\{}{target}", cast.authority(Far))),
        refused("a scheme without slashes", |cast, target| format!("http:{}{target}", cast.authority(Far))),
        refused("a host that has a port and more", |cast, target| {
            format!("http://{}.evil.test{target}", cast.authority(Registry))
        }),
        refused("a file of this machine", |_, _| "file:///etc/passwd".to_owned()),
        refused("a scheme of another protocol", |cast, target| format!("ftp://{}{target}", cast.authority(Far))),
        refused("the metadata of a cloud", |_, _| "http://169.254.169.254/latest/meta-data/".to_owned()),
        refused("the metadata of a cloud as one number", |_, _| "http://2852039166/latest/meta-data/".to_owned()),
        refused("nothing at all", |_, _| String::new()),
        steered(Case::basic("the registry behind the sign of a fragment"), BLOB, 307, |cast, target| {
            format!("http://{}{target}#@{}/", cast.authority(Far), cast.authority(Registry))
        })
        .visits(&[Far]),
        steered(Case::basic("the registry in the query"), BLOB, 307, |cast, target| {
            format!("http://{}{target}?@{}/", cast.authority(Far), cast.authority(Registry))
        })
        .visits(&[Far]),
    ]
}

/// Tags, page by page.
fn pages() -> Vec<Case> {
    let away = |name, link: fn(&Cast) -> String| {
        Case::basic(name)
            .all_tags()
            .steers(move |cast, request| {
                request.target.contains("/tags/").then(|| cast.content(request).with("link", link(cast)))
            })
            .spares(&[Other, Far])
            .fails()
    };
    vec![
        away("the next page is at another port", |cast| {
            format!("<{}>; rel=\"next\"", cast.url(Other, "/v2/quay/demo/tags/list?last=away"))
        }),
        away("the next page is at another address", |cast| {
            format!("<{}>; rel=\"next\"", cast.url(Far, "/v2/quay/demo/tags/list?last=away"))
        }),
        Case::basic("a list of tags is at another port")
            .all_tags()
            .steers(|cast, request| {
                request.target.contains("/tags/").then(|| redirect(307, cast.url(Other, &request.target)))
            })
            .visits(&[Other]),
        Case::basic("a list of tags is at another port, and its next page here")
            .all_tags()
            .steers(|cast, request| {
                request.target.contains("/tags/").then(|| redirect(307, cast.url(Other, &request.target)))
            })
            .at(Other, |cast, request| {
                let back = cast.url(Registry, "/v2/quay/demo/tags/list?last=away");
                Some(cast.content(request).with("link", format!("<{back}>; rel=\"next\"")))
            })
            .visits(&[Other])
            .fails(),
    ]
}

#[test]
fn a_login_does_not_follow_redirects() {
    super::run::check(statuses());
    super::run::check(places());
}

#[test]
fn a_login_does_not_follow_chains_and_is_not_given_to_who_asks() {
    super::run::check(chains());
    super::run::check(thieves());
    super::run::check(before_login());
}

#[test]
fn a_login_does_not_follow_what_is_written_to_be_misread() {
    super::run::check(tricks());
    super::run::check(pages());
}
