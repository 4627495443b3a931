//! TLS and proxies: a login that is meant to be encrypted stays so, and a proxy hears what is for the proxy.

use super::case::Case;
use super::cast::{Cast, Who, redirect, unauthorized};
use super::listener::{Answer, Request};
use Who::{Far, Other, Proxy, Registry, Tokens};
use wharf::images::Access;
use wharf::network::{Proxies, Settings};

pub(crate) fn cases() -> Vec<Case> {
    [secure(), proxies()].into_iter().flatten().collect()
}

/// A blob, by TLS, is somewhere else.
fn moved(name: &str, to: fn(&Cast, &Request) -> String) -> Case {
    Case::basic(name).secure().steers(move |cast, request| request.is_blob().then(|| redirect(307, to(cast, request))))
}

/// A person listed the host, so that its address does not forbid it.
fn listed(_: &Cast, settings: &mut Settings) {
    settings.plain_http.extend(["cdn.test".to_owned(), "a.registry.test".to_owned()]);
}

/// The component is told so as well.
fn listed_ports(cast: &Cast, access: &mut Access) {
    access.plain_http.extend([cast.authority(Far), cast.authority(Other)]);
}

fn secure() -> Vec<Case> {
    vec![
        Case::basic("by TLS, to the registry").secure(),
        moved("by TLS, a blob is at another port", |cast, request| cast.url(Other, &request.target)).visits(&[Other]),
        moved("by TLS, a blob is at another host", |cast, request| cast.url(Far, &request.target))
            .network(listed)
            .visits(&[Far]),
        moved("by TLS, a blob is at a name below the registry's", |cast, request| {
            format!("https://a.registry.test:{}{}", cast.port(Other), request.target)
        })
        .network(listed)
        .visits(&[Other]),
        moved("by TLS, a blob is at another host without it", |cast, request| {
            cast.url(Far, &request.target).replace("https:", "http:")
        })
        .network(listed)
        .spares(&[Far])
        .fails(),
        moved("by TLS, a blob is without it at a host that may be so reached", |cast, request| {
            cast.url(Far, &request.target).replace("https:", "http:")
        })
        .network(listed)
        .access(listed_ports)
        .spares(&[Far])
        .fails(),
        moved("by TLS, a blob is at a host that nobody asked for", |cast, request| cast.url(Far, &request.target))
            .spares(&[Far])
            .fails(),
        moved("by TLS, a blob is where the certificate does not fit", |cast, request| {
            format!("https://127.0.0.1:{}{}", cast.port(Other), request.target)
        })
        .network(|_, settings| settings.plain_http.push("127.0.0.1".to_owned()))
        .spares(&[Other])
        .fails(),
        Case::basic("TLS is wanted and is not spoken").unlisted().login_at(&[]).visits_only(&[]).fails(),
        Case::basic("the certificate is nobody's")
            .secure()
            .network(|_, settings| settings.certificates.clear())
            .login_at(&[])
            .visits_only(&[])
            .fails(),
    ]
}

/// A proxy with a login, for names.
fn through(case: Case) -> Case {
    case.network(|cast, settings| {
        let proxy = format!("http://gate:{}@127.0.0.1:{}", cast.secrets.proxy.text, cast.port(Proxy));
        settings.proxies = Proxies { http: Some(proxy.clone()), https: Some(proxy), ..Proxies::default() };
    })
}

fn proxies() -> Vec<Case> {
    /// Does for the registry what it would do itself.
    fn stand_in(cast: &Cast, request: &Request) -> Option<Answer> {
        Some(cast.guarded(request, "Basic realm=\"harbour\""))
    }
    vec![
        through(Case::basic("without TLS, a proxy hears what is for the registry").named())
            .at(Proxy, stand_in)
            .login_at(&[Proxy])
            .proxy_at(&[Proxy])
            .visits_only(&[Proxy]),
        through(Case::basic("without TLS, a proxy sends to this machine").named())
            .at(Proxy, |cast, request| {
                let moved = cast.is_welcome(request) && request.is_blob();
                moved.then(|| redirect(307, format!("http://127.0.0.1:{}{}", cast.port(Other), request.target)))
            })
            .at(Proxy, stand_in)
            .login_at(&[Proxy])
            .proxy_at(&[Proxy])
            .visits_only(&[Proxy])
            .spares(&[Other])
            .fails(),
        through(Case::basic("by TLS, a proxy hears nothing that is for the registry").secure())
            .proxy_at(&[Proxy])
            .visits(&[Proxy]),
        through(Case::bearer("by TLS, a proxy hears nothing that is for the token server").secure())
            .proxy_at(&[Proxy])
            .visits(&[Proxy, Tokens]),
        through(moved("by TLS through a proxy, a blob is at another host", |cast, request| {
            cast.url(Far, &request.target)
        }))
        .network(listed)
        .proxy_at(&[Proxy])
        .visits(&[Proxy, Far]),
        through(Case::basic("a proxy refuses its login").named())
            .at(Proxy, |_, _| Some(Answer::new(407, "").with("proxy-authenticate", "Basic realm=\"gate\"")))
            .login_at(&[])
            .proxy_at(&[Proxy])
            .visits_only(&[Proxy])
            .fails(),
        through(Case::basic("a proxy asks for the login of the registry").named())
            .at(Proxy, |cast, _| Some(unauthorized(&cast.bearer(&cast.url(Far, "/token")))))
            .login_at(&[])
            .proxy_at(&[Proxy])
            .visits_only(&[Proxy])
            .fails(),
        through(Case::basic("a proxy is not asked for this machine")).spares(&[Proxy]),
        through(Case::basic("a proxy is not asked for what is excepted").named())
            .network(|_, settings| settings.proxies.except = Some("registry.test".to_owned()))
            .spares(&[Proxy])
            .visits(&[Registry]),
    ]
}

#[test]
fn what_tls_protects_stays_protected() {
    super::run::check(secure());
}

#[test]
fn a_proxy_hears_what_is_for_the_proxy() {
    super::run::check(proxies());
}
