//! Where logins come from: each kind goes where that kind goes, and a login for something else is not used.

use super::case::Case;
use super::cast::{Cast, REPOSITORY, Who};
use Who::{Registry, Tokens};
use serde_json::{Value, json};
use wharf::credentials::Document;

pub(crate) fn cases() -> Vec<Case> {
    [kinds(), keys(), broken()].into_iter().flatten().collect()
}

/// A document whose entry for the registry is this.
fn entry(case: Case, entry: fn(&Cast) -> Value) -> Case {
    case.documents(move |cast| vec![Cast::document(&cast.authority(Registry), &entry(cast))])
}

/// A document whose entry with the password has this key.
fn key(case: Case, key: fn(&Cast) -> String) -> Case {
    case.documents(move |cast| vec![Cast::document(&key(cast), &cast.password())])
}

fn fields(cast: &Cast) -> Value {
    json!({ "username": cast.secrets.user.text, "password": cast.secrets.password.text })
}

fn registry_token(cast: &Cast) -> Value {
    json!({ "registrytoken": cast.secrets.registry.text })
}

fn kinds() -> Vec<Case> {
    vec![
        entry(Case::basic("`username` and `password`, by basic"), fields),
        entry(Case::bearer("`username` and `password`, for a token"), fields),
        entry(Case::bearer("`identitytoken`, for a token"), Cast::identity),
        entry(Case::basic("`identitytoken` is no password"), Cast::identity).login_at(&[]).fails(),
        entry(Case::bearer("`registrytoken` takes the place of a token"), registry_token)
            .login_at(&[Registry])
            .token_at(&[])
            .spares(&[Tokens]),
        entry(Case::basic("`registrytoken` is no password"), registry_token).login_at(&[]).fails(),
        entry(
            Case::bearer("`identitytoken` comes before the password"),
            |cast| json!({ "auth": cast.pair(), "identitytoken": cast.secrets.identity.text }),
        ),
    ]
}

fn keys() -> Vec<Case> {
    let fits = |name, which: fn(&Cast) -> String| key(Case::basic(name), which);
    let foreign = |name, which: fn(&Cast) -> String| key(Case::basic(name), which).login_at(&[]).fails();
    vec![
        fits("the key is a URL of docker's", |cast| format!("http://{}/v1/", cast.authority(Registry))),
        fits("the key is a namespace", |cast| format!("{}/quay", cast.authority(Registry))),
        fits("the key is the repository", |cast| format!("{}/{REPOSITORY}", cast.authority(Registry))),
        foreign("the key is another namespace", |cast| format!("{}/pier", cast.authority(Registry))),
        foreign("the key is the beginning of the namespace's name", |cast| format!("{}/qua", cast.authority(Registry))),
        foreign("the key is below the repository", |cast| format!("{}/{REPOSITORY}/x", cast.authority(Registry))),
        foreign("the key is another port", |cast| format!("127.0.0.1:{}", cast.port(Tokens))),
        foreign("the key is the host without the port", |_| "127.0.0.1".to_owned()),
        foreign("the key is another name of this machine", |cast| format!("localhost:{}", cast.port(Registry))),
        foreign("the key is another address of this machine", |cast| format!("127.0.0.2:{}", cast.port(Registry))),
        Case::basic("the most specific key is used").documents(|cast| {
            let registry = cast.authority(Registry);
            let auths = json!({
                registry.clone(): cast.stranger(),
                format!("{registry}/quay"): cast.stranger(),
                format!("{registry}/{REPOSITORY}"): cast.password(),
                format!("{registry}/pier"): cast.stranger(),
            });
            let bytes = json!({ "auths": auths }).to_string().into_bytes();
            vec![Document { label: "auth.json".to_owned(), bytes }]
        }),
        Case::bearer("the first document is used").documents(|cast| {
            let registry = cast.authority(Registry);
            vec![Cast::document(&registry, &cast.password()), Cast::document(&registry, &cast.stranger())]
        }),
    ]
}

/// Documents that cannot be used. What is said about them does not repeat them.
fn broken() -> Vec<Case> {
    let broken = |name, spoil: fn(&Cast) -> String| {
        Case::basic(name)
            .documents(move |cast| vec![Document { label: "config.json".to_owned(), bytes: spoil(cast).into_bytes() }])
            .login_at(&[])
            .fails()
    };
    vec![
        broken("the document ends in the middle of a password", |cast| {
            let text = json!({ "auths": { cast.authority(Registry): fields(cast) } }).to_string();
            text[..text.len() - 5].to_owned()
        }),
        broken("the document has the password where something else belongs", |cast| {
            json!({ "auths": cast.secrets.password.text }).to_string()
        }),
        broken("`auth` is not base64", |cast| {
            json!({ "auths": { cast.authority(Registry): { "auth": cast.secrets.password.text } } }).to_string()
        }),
        broken("`auth` has no colon", |cast| {
            use base64::Engine as _;
            let auth = base64::engine::general_purpose::STANDARD.encode(&cast.secrets.password.text);
            json!({ "auths": { cast.authority(Registry): { "auth": auth } } }).to_string()
        }),
        broken("the password is a list", |cast| {
            let entry = json!({ "username": "ann", "password": [cast.secrets.password.text] });
            json!({ "auths": { cast.authority(Registry): entry } }).to_string()
        }),
        broken("`registrytoken` has two lines", |cast| {
            let entry = json!({ "registrytoken": format!("{}\r\nx: y", cast.secrets.registry.text) });
            json!({ "auths": { cast.authority(Registry): entry } }).to_string()
        }),
    ]
}

#[test]
fn each_kind_of_login_goes_where_it_goes() {
    super::run::check(kinds());
    super::run::check(keys());
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    super::run::check(broken());
}
