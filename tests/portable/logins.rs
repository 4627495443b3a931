//! Logins by file, by variable and beside the images; and that nobody gets one that is not for him.

use super::{json, names, portable};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::fault_registry::{Auth, FaultRegistry, Options, Place, REPOSITORY, SINGLE};
use crate::support::portable::Portable;
use crate::support::token_server::{Policy, TokenServer};
use crate::support::wharf::Output;
use crate::support::{PASSWORD, USER, basic};
use serde_json::json as object;
use std::fs;
use std::path::Path;
use wharf::demo::image::demo;

/// The text of a `config.json` with one login.
fn config(registry: &str, password: &str) -> String {
    let login = basic(USER, password);
    let login = login.strip_prefix("Basic ").expect("it is a basic login");
    object!({ "auths": { registry: { "auth": login } } }).to_string()
}

/// A way to give a login.
#[derive(Clone, Copy, Debug)]
enum Way {
    AuthFile,
    Variable,
    BesideTheImages,
}

impl Way {
    /// Gives the text of a `config.json`. Returns wharf, and the arguments to put before the others.
    fn give(self, wharf: Portable, place: &Path, config: &str) -> (Portable, &'static [&'static str]) {
        match self {
            Self::AuthFile => {
                let logins = place.join("logins");
                fs::create_dir_all(&logins).expect("the temporary directory is writable");
                fs::write(logins.join("auth.json"), config).expect("it is writable");
                (wharf.give_directory(&logins, "logins"), &["--auth-file", "logins/auth.json"])
            }
            Self::Variable => (wharf.with("DOCKER_AUTH_CONFIG", config), &[]),
            Self::BesideTheImages => {
                // A layout that is there is not a directory of somebody else.
                wharf.run(&["images"]).success();
                fs::write(wharf.images().join("config.json"), config).expect("it is writable");
                (wharf, &[])
            }
        }
    }
}

/// The password and the login are nowhere in what was said and written, but where the test has put them.
#[track_caller]
fn check_secret(output: &Output, images: &Path) {
    let login = basic(USER, PASSWORD);
    let login = login.strip_prefix("Basic ").expect("it is a basic login");
    let mut texts = vec![output.stdout.clone(), output.stderr.clone()];
    let mut pending = vec![images.to_owned()];
    while let Some(directory) = pending.pop() {
        for name in names(&directory) {
            let path = directory.join(&name);
            if path.is_dir() {
                pending.push(path);
            } else if name != "config.json" {
                texts.push(String::from_utf8_lossy(&fs::read(&path).expect("it can be read")).into_owned());
            }
        }
    }
    for text in texts {
        assert!(!text.contains(PASSWORD) && !text.contains(login), "{text}");
    }
}

const WAYS: [Way; 3] = [Way::AuthFile, Way::Variable, Way::BesideTheImages];

#[test]
fn a_login_is_taken_from_each_place_for_basic_and_for_tokens() {
    let tokens = TokenServer::start(Policy::default());
    for access in [Access::Login, Access::Token(&tokens)] {
        let registry = DockerRegistry::start(access);
        registry.push("team/demo", "latest", &demo());
        let address = registry.address().to_string();
        let reference = format!("{address}/team/demo");
        let (_directory, wharf) = portable();
        let refused = wharf.run(&["pull", "-q", &reference]).failure();
        assert!(refused.contains("cannot pull") && refused.contains(&address), "{refused}");
        for way in WAYS {
            let (directory, wharf) = portable();
            let (wharf, option) = way.give(wharf, directory.path(), &config(&address, PASSWORD));
            let output = wharf.run(&[&["pull", "-q"], option, &[&*reference]].concat());
            check_secret(&output, &wharf.images());
            assert_eq!(output.success(), format!("{reference}:latest\n"), "{way:?}, {access:?}");
            let explained = wharf.run(&[&["explain"], option, &[&*reference]].concat()).success();
            let source = match way {
                Way::AuthFile => "logins/auth.json",
                Way::Variable => "DOCKER_AUTH_CONFIG",
                Way::BesideTheImages => "store/config.json",
            };
            assert!(explained.contains(source), "{way:?}: {explained}");
        }
    }
    let sent = tokens.requests();
    assert!(sent.iter().any(|request| request.authorization.as_deref() == Some(&*basic(USER, PASSWORD))), "{sent:?}");
}

/// What is named alone counts, then the variable, then the file beside the images.
#[test]
fn the_first_place_decides_alone() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("demo", "latest", &demo());
    let address = registry.address().to_string();
    let reference = format!("{address}/demo");
    for (better, worse) in [(0, 1), (1, 2), (0, 2)] {
        for (passwords, works) in [([PASSWORD, "wrong"], true), (["wrong", PASSWORD], false)] {
            let (directory, wharf) = portable();
            let (wharf, last) = WAYS[worse].give(wharf, directory.path(), &config(&address, passwords[1]));
            let (wharf, first) = WAYS[better].give(wharf, directory.path(), &config(&address, passwords[0]));
            let output = wharf.run(&[&["pull", "-q"], first, last, &[&*reference]].concat());
            assert_eq!(output.status.success(), works, "{:?} over {:?}: {output:?}", WAYS[better], WAYS[worse]);
        }
    }
}

#[test]
fn a_login_that_cannot_be_read_is_told() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("demo", "latest", &demo());
    let address = registry.address().to_string();
    let reference = format!("{address}/demo");
    let (_directory, wharf) = portable();
    let missing = wharf.run(&["pull", "--auth-file", "logins/auth.json", &reference]).failure();
    assert!(missing.contains("cannot read the logins in `logins/auth.json`") && missing.contains("--dir"), "{missing}");
    // A program that keeps logins cannot be started, and nobody becomes anonymous without being told.
    let helper = object!({ "credHelpers": { &*address: "desktop" } }).to_string();
    for (text, expected) in [("{\"auths\": 7}", "store/config.json"), (&helper, "desktop")] {
        let (directory, wharf) = portable();
        let (wharf, _) = Way::BesideTheImages.give(wharf, directory.path(), text);
        let told = wharf.run(&["pull", &reference]).failure();
        assert!(told.contains(expected), "{told}");
    }
}

/// Each server but the registry that the login is for is looked at: nobody else has seen any.
#[test]
fn a_login_goes_to_its_registry_and_to_nobody_else() {
    let pull = |registry: &FaultRegistry, logins: &FaultRegistry| {
        let (directory, wharf) = portable();
        let config = config(&logins.authority(), PASSWORD);
        let (wharf, option) = Way::AuthFile.give(wharf, directory.path(), &config);
        let reference = format!("{}/{REPOSITORY}:{SINGLE}", registry.authority());
        let output = wharf.run(&[&["pull", "-q"], option, &[&*reference]].concat());
        check_secret(&output, &wharf.images());
        output
    };
    let shown = |registry: &FaultRegistry, place: Option<Place>| -> Vec<String> {
        let seen = registry.seen().into_iter().filter(|seen| place.is_none_or(|place| seen.place == place));
        seen.filter_map(|seen| seen.request.header("authorization").map(str::to_owned)).collect()
    };
    let start = |options: Options| FaultRegistry::start(options, Vec::new());

    // Another registry asks for one.
    let (known, other) = (start(Options::default()), start(Options { auth: Auth::Basic, ..Options::default() }));
    assert!(!pull(&other, &known).status.success());
    assert_eq!(shown(&other, None), [""; 0]);

    // The registry sends it on to where its blobs are.
    let storing = start(Options { auth: Auth::Basic, storage: true, ..Options::default() });
    assert!(pull(&storing, &storing).status.success());
    assert!(shown(&storing, Some(Place::Registry)).contains(&basic(USER, PASSWORD)), "it was needed");
    assert_eq!(shown(&storing, Some(Place::Storage)), [""; 0]);

    // A registry names a token server on another host.
    let elsewhere = other.authority().replace("127.0.0.1", "localhost");
    let realm = format!("Bearer realm=\"http://{elsewhere}/token\",service=\"registry.test\"");
    let sly = start(Options { auth: Auth::TokenForLogin, challenges: vec![realm], ..Options::default() });
    let output = pull(&sly, &sly);
    assert!(!output.status.success());
    assert_eq!(shown(&other, None), [""; 0]);
    assert!(output.stderr.contains(&elsewhere), "it is told who wanted it: {}", output.stderr);
}

#[test]
fn lists_take_a_login_too() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("demo", "1", &demo());
    let address = registry.address().to_string();
    let (directory, wharf) = portable();
    let (wharf, option) = Way::AuthFile.give(wharf, directory.path(), &config(&address, PASSWORD));
    assert_eq!(wharf.run(&[&["tags"], option, &[&*format!("{address}/demo")]].concat()).success(), "1\n");
    assert_eq!(wharf.run(&[&["catalog"], option, &[&*address]].concat()).success(), "demo\n");
    let listed = wharf.run(&[&["catalog", "--format", "json"], option, &[&*address]].concat()).success();
    assert_eq!(json(&listed), object!(["demo"]));
}
