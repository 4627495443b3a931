//! Logins that other programs keep: who is asked, in which order, and what happens if the program is broken.

use super::{CANARY, bearer, document, password, registry, tokens};
use crate::network::listener::Listener;
use crate::network::network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use wharf::credentials::helper::{Action, Helpers, OUTPUT_BYTES_MAX, Said};
use wharf::credentials::{Challenge, Credentials, Error, Settings, Visit};
use wharf::network::Origin;
use zeroize::Zeroizing;

/// What a program does: its exit code, standard output and standard error.
pub(super) type Ended = io::Result<(i32, String, String)>;

/// What the programs do: the name of one, the act and the input, as text.
type Answer = dyn Fn(&str, Action, &str) -> Ended + Send + Sync;

/// Programs that are a function of the test. It keeps what they were asked.
pub(super) struct Programs {
    answer: Box<Answer>,
    calls: Mutex<Vec<(String, Action, String)>>,
}

impl Programs {
    pub(super) fn new(answer: impl Fn(&str, Action, &str) -> Ended + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), calls: Mutex::default() })
    }

    /// Every call so far, as in `docker-credential-vault get registry.lan`.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.calls.lock().expect("no test panics while it holds the lock");
        calls.iter().map(|(program, action, input)| format!("{program} {} {input}", action.argument())).collect()
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Programs")
    }
}

impl Helpers for Programs {
    fn run(&self, program: &str, action: Action, input: Zeroizing<Vec<u8>>) -> BoxFuture<'static, io::Result<Said>> {
        let input = String::from_utf8(input.to_vec()).expect("helpers are given text");
        let ended = (self.answer)(program, action, &input);
        self.calls.lock().expect("no test panics while it holds the lock").push((program.to_owned(), action, input));
        Box::pin(async move {
            ended.map(|(code, stdout, stderr)| Said {
                code: (code >= 0).then_some(code),
                stdout: Zeroizing::new(stdout.into_bytes()),
                stderr: Zeroizing::new(stderr.into_bytes()),
            })
        })
    }
}

/// A program that has a login for `user`.
pub(super) fn has(server: &str, user: &str) -> Ended {
    Ok((0, format!(r#"{{"ServerURL":"{server}","Username":"{user}","Secret":"{CANARY}"}}"#), String::new()))
}

/// A program that has no such login.
pub(super) fn has_none() -> Ended {
    Ok((1, "credentials not found in native keychain\n".to_owned(), String::new()))
}

pub(super) fn credentials(json: &str, programs: &Arc<Programs>, server: &Listener) -> Credentials {
    let network = network(&server.authority());
    let settings = Settings { documents: vec![document(json)], helpers: Some(programs.clone()), ..Settings::default() };
    Credentials::new(settings, network).expect("the settings are good").named(&[server.authority()])
}

/// Authorizes a pull and returns the user whose login went to the token server.
async fn user(json: &str, programs: &Arc<Programs>, server: &Listener) -> Result<Option<String>, Error> {
    let credentials = credentials(json, programs, server);
    let challenge = bearer(server, &["repository:a/b:pull"]);
    credentials.authorize(&server.origin(), Some("a/b"), &challenge, Visit::WithLogin).await?;
    let asked = tokens(server).pop().expect("a token request");
    let Some(login) = asked.header("authorization") else { return Ok(None) };
    let login = STANDARD.decode(login.strip_prefix("Basic ").expect("a basic login")).expect("base64");
    let login = String::from_utf8(login).expect("text");
    Ok(login.strip_suffix(&format!(":{CANARY}")).map(str::to_owned))
}

#[tokio::test]
async fn the_program_of_a_registry_is_asked_then_that_of_all_then_the_document() {
    let server = registry();
    let here = server.authority();
    let login = password("file");
    for (json, has_it, expected, calls) in [
        (format!(r#"{{"credHelpers":{{"{here}":"own"}}}}"#), "own", Some("own"), vec![format!("own get {here}")]),
        (
            format!(r#"{{"credHelpers":{{"http://{here}/v1/":"own"}}}}"#),
            "own",
            Some("own"),
            vec![format!("own get http://{here}/v1/")],
        ),
        (
            format!(r#"{{"credHelpers":{{"{here}":"own"}},"credsStore":"all","auths":{{"{here}":{login}}}}}"#),
            "own",
            Some("own"),
            vec![format!("own get {here}")],
        ),
        // Docker does not ask the store for a registry that has a program of its own.
        (
            format!(r#"{{"credHelpers":{{"{here}":"own"}},"credsStore":"all","auths":{{"{here}":{login}}}}}"#),
            "all",
            Some("file"),
            vec![format!("own get {here}")],
        ),
        (
            r#"{"credHelpers":{"other.example":"own"},"credsStore":"all"}"#.to_owned(),
            "all",
            Some("all"),
            vec![format!("all get {here}")],
        ),
        (format!(r#"{{"credHelpers":{{"{here}":""}},"auths":{{"{here}":{login}}}}}"#), "own", Some("file"), vec![]),
        (
            format!(r#"{{"credsStore":"all","auths":{{"{here}":{{}}}}}}"#),
            "all",
            Some("all"),
            vec![format!("all get {here}")],
        ),
        (
            format!(r#"{{"credsStore":"all","auths":{{"http://{here}/v2/":{{}}}}}}"#),
            "all",
            Some("all"),
            vec![format!("all get http://{here}/v2/")],
        ),
        (
            format!(r#"{{"credsStore":"all","auths":{{"{here}":{login}}}}}"#),
            "all",
            Some("all"),
            vec![format!("all get {here}")],
        ),
        (
            format!(r#"{{"credsStore":"all","auths":{{"{here}":{login}}}}}"#),
            "nobody",
            Some("file"),
            vec![format!("all get {here}")],
        ),
        (r#"{"credsStore":"all"}"#.to_owned(), "nobody", None, vec![format!("all get {here}")]),
        (r#"{"credHelpers":{"other.example":"own"}}"#.to_owned(), "own", None, vec![]),
        (r#"{"auths":null,"credHelpers":null,"credsStore":null}"#.to_owned(), "own", None, vec![]),
        (r#"{"credsStore":""}"#.to_owned(), "own", None, vec![]),
        (String::new(), "own", None, vec![]),
    ] {
        let programs = Programs::new(move |program, _, server| match program.strip_prefix("docker-credential-") {
            Some(helper) if helper == has_it => has(server, helper),
            _ => has_none(),
        });
        let seen = user(&json, &programs, &server).await;
        assert_eq!(seen, Ok(expected.map(str::to_owned)), "{json}");
        let calls: Vec<_> = calls.iter().map(|call| format!("docker-credential-{call}")).collect();
        assert_eq!(programs.calls(), calls, "{json}");
    }
}

#[tokio::test]
async fn docker_hub_is_asked_for_by_the_name_that_docker_gives_it() {
    let server = registry();
    for (authority, asked) in
        [("registry-1.docker.io", "https://index.docker.io/v1/"), ("registry.example:8443", "registry.example:8443")]
    {
        let programs = Programs::new(|_, _, server| has(server, "ann"));
        let credentials = credentials(r#"{"credsStore":"all"}"#, &programs, &server).named(&[authority.to_owned()]);
        let origin = Origin::new(true, authority).expect("an authority");
        let grant = credentials.authorize(&origin, None, &Challenge::Basic, Visit::WithLogin).await;
        assert!(grant.is_ok_and(|grant| !grant.anonymous()), "{authority}");
        assert_eq!(programs.calls(), [format!("docker-credential-all get {asked}")]);
    }
}

#[tokio::test]
async fn the_user_name_of_a_token_makes_it_an_identity_token() {
    let server = registry();
    let programs = Programs::new(|_, _, server| has(server, "<token>"));
    let credentials = credentials(r#"{"credsStore":"all"}"#, &programs, &server);
    let origin = server.origin();
    let grant = credentials.authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await.expect("a grant");
    assert!(!grant.anonymous());
    let body = String::from_utf8_lossy(&tokens(&server)[0].body).into_owned();
    assert!(body.starts_with("grant_type=refresh_token&") && body.contains("refresh_token=hunter2"), "{body}");
    let basic = credentials.authorize(&origin, None, &Challenge::Basic, Visit::WithLogin).await.map(|_| ());
    assert_eq!(basic, Err(Error::NotFound { registry: server.authority() }));
}

/// A person may have to type a passphrase for each run of a program.
#[tokio::test]
async fn a_program_is_asked_once() {
    let server = registry();
    let origin = server.origin();
    for answer in ["login", "none", "failure"] {
        let programs = Programs::new(move |_, _, server| match answer {
            "login" => has(server, "ann"),
            "none" => has_none(),
            _ => Ok((2, String::new(), "no display".to_owned())),
        });
        let credentials = credentials(r#"{"credsStore":"all"}"#, &programs, &server);
        let mut seen = Vec::new();
        for scope in ["repository:a:pull", "repository:b:pull"] {
            let outcome = credentials.authorize(&origin, Some("a"), &bearer(&server, &[scope]), Visit::WithLogin).await;
            seen.push(outcome.is_ok());
        }
        assert_eq!(seen, [answer != "failure"; 2], "{answer}");
        assert_eq!(programs.calls().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_broken_program_is_named_and_never_passed_over_in_silence() {
    let server = registry();
    let here = server.authority();
    let json = format!(r#"{{"credsStore":"all","auths":{{"{here}":{}}}}}"#, password("file"));
    let too_much = "x".repeat(OUTPUT_BYTES_MAX + 1);
    let rows: [(Ended, &str); 17] = [
        (Err(io::ErrorKind::NotFound.into()), "there is no such program in `PATH`"),
        (Err(io::Error::other("permission denied")), "it cannot be run: permission denied"),
        (Ok((1, String::new(), String::new())), "it ended with status 1"),
        (Ok((-1, String::new(), String::new())), "a signal ended it"),
        (Ok((2, "no keyring\n".into(), String::new())), "it ended with status 2 and said `no keyring`"),
        (
            Ok((2, "a\n".into(), "gpg: decryption failed:\n No secret key".into())),
            "it ended with status 2 and said `a; gpg: decryption failed: No secret key`",
        ),
        (Ok((1, String::new(), "\u{1b}[2J\u{202e}".into())), "it ended with status 1 and said `\\u{1b}[2J\\u{202e}`"),
        (
            Ok((1, format!(r#"{{"Username":"ann","Secret":"{CANARY}"}}"#), String::new())),
            "it ended with status 1 and said `(what may hold a secret is not shown)`",
        ),
        (
            Ok((1, String::new(), format!(r#"answering "Secret": "{CANARY}""#))),
            "it ended with status 1 and said `(what may hold a secret is not shown)`",
        ),
        // This is how a program says that it has none, and then it does not end well.
        (
            Ok((0, "credentials not found in native keychain".into(), String::new())),
            "its answer is not the JSON of a login",
        ),
        (Ok((0, CANARY.into(), String::new())), "its answer is not the JSON of a login"),
        (Ok((0, format!(r#"{{"Secret":"{CANARY}"}}"#), String::new())), "its answer is not the JSON of a login"),
        (Ok((0, format!(r#"{{"Username":["{CANARY}"]}}"#), String::new())), "its answer is not the JSON of a login"),
        (has("other.example", "ann"), "its answer is the login of another registry"),
        (has("https://index.docker.io/v1/", "ann"), "its answer is the login of another registry"),
        (has("not a registry", "ann"), "its answer is the login of another registry"),
        (Ok((0, too_much, String::new())), "it wrote more than 65536 bytes"),
    ];
    for (number, (ended, why)) in rows.into_iter().enumerate() {
        let ended = Mutex::new(Some(ended));
        let programs = Programs::new(move |_, _, _| ended.lock().expect("no panic").take().expect("one call"));
        let credentials = credentials(&json, &programs, &server);
        let challenge = bearer(&server, &[]);
        let outcome = credentials.authorize(&server.origin(), None, &challenge, Visit::WithLogin).await.map(|_| ());
        let expected = Error::Helper {
            program: "docker-credential-all".to_owned(),
            registry: here.clone(),
            file: "config.json".to_owned(),
            why: why.to_owned(),
        };
        assert_eq!(outcome, Err(expected.clone()), "{number}");
        assert!(!format!("{expected} {expected:?}").contains(CANARY), "{expected}");
        // Who asks without a login needs no program.
        let outcome = credentials.authorize(&server.origin(), None, &challenge, Visit::Anonymous).await;
        assert!(outcome.is_ok_and(|grant| grant.anonymous()), "{number}");
    }
    let text = Error::Helper {
        program: "docker-credential-all".to_owned(),
        registry: "registry.lan".to_owned(),
        file: "/home/ann/.docker/config.json".to_owned(),
        why: "there is no such program in `PATH`".to_owned(),
    };
    assert_eq!(
        text.to_string(),
        "`docker-credential-all`, which `/home/ann/.docker/config.json` names, failed for `registry.lan`: there is no \
         such program in `PATH`"
    );
    assert_eq!(server.requests().iter().filter(|request| request.header("authorization").is_some()).count(), 0);
}

#[tokio::test]
async fn what_is_said_is_shortened() {
    let server = registry();
    let programs = Programs::new(|_, _, _| Ok((1, "x".repeat(60_000), String::new())));
    let credentials = credentials(r#"{"credsStore":"all"}"#, &programs, &server);
    let challenge = bearer(&server, &[]);
    match credentials.authorize(&server.origin(), None, &challenge, Visit::WithLogin).await {
        Err(Error::Helper { why, .. }) => {
            assert_eq!(why, format!("it ended with status 1 and said `{}`", "x".repeat(300)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_could_be_a_path_starts_nothing() {
    let server = registry();
    let long = "a".repeat(129);
    for name in ["../../tmp/evil", "a/b", "a b", "a\\u0000b", "ä", &*long] {
        let programs = Programs::new(|_, _, server| has(server, "ann"));
        let credentials = credentials(&format!(r#"{{"credsStore":"{name}"}}"#), &programs, &server);
        match credentials.authorize(&server.origin(), None, &bearer(&server, &[]), Visit::WithLogin).await {
            Err(Error::Helper { why, .. }) => assert_eq!(why, "that is no name of a program", "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(programs.calls(), <[String; 0]>::default(), "{name}");
    }
}

/// A library that embeds the host may not want programs to be started.
#[tokio::test]
async fn without_somebody_who_runs_programs_a_helper_is_an_error() {
    let server = registry();
    let credentials = super::with_documents(&network(&server.authority()), vec![document(r#"{"credsStore":"all"}"#)])
        .named(&[server.authority()]);
    let challenge = bearer(&server, &[]);
    match credentials.authorize(&server.origin(), None, &challenge, Visit::WithLogin).await {
        Err(Error::Helper { why, .. }) => assert_eq!(why, "nobody runs programs here"),
        other => panic!("{other:?}"),
    }
}

/// A program that never ends, as one whose window nobody sees.
#[derive(Debug)]
struct Endless;

impl Helpers for Endless {
    fn run(&self, _: &str, _: Action, _: Zeroizing<Vec<u8>>) -> BoxFuture<'static, io::Result<Said>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_not_end_is_given_up() {
    let server = registry();
    let settings = Settings {
        documents: vec![document(r#"{"credsStore":"all"}"#)],
        helpers: Some(Arc::new(Endless)),
        ..Settings::default()
    };
    let credentials = Credentials::new(settings, network(&server.authority())).expect("the settings are good");
    let credentials = credentials.named(&[server.authority()]);
    match credentials.authorize(&server.origin(), None, &Challenge::Basic, Visit::WithLogin).await {
        Err(Error::Helper { why, .. }) => assert_eq!(why, "it did not end within 30 s"),
        other => panic!("{other:?}"),
    }
}
