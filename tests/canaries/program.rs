//! The same with the program as people run it: logins from the places where they are, and `--log trace`.
//!
//! The component's memory is another process here and is not looked at.

use super::case::Case;
use super::cast::{Cast, REPOSITORY, Who, redirect};
use super::listener::Answer;
use super::run::{Traces, judge, read_files, stage};
use super::scan::Scanner;
use crate::support::wharf::Wharf;
use Who::{Far, Registry, Tokens};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Puts a document where the program looks for it.
type Put = fn(Wharf, &[u8]) -> Wharf;

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file has a directory")).expect("the home can be written");
    fs::write(path, bytes).expect("the home can be written");
}

fn docker(wharf: Wharf, bytes: &[u8]) -> Wharf {
    write(&wharf.home().join(".docker/config.json"), bytes);
    wharf
}

fn docker_elsewhere(wharf: Wharf, bytes: &[u8]) -> Wharf {
    let directory = wharf.home().join("elsewhere");
    write(&directory.join("config.json"), bytes);
    wharf.with("DOCKER_CONFIG", directory)
}

fn podman(wharf: Wharf, bytes: &[u8]) -> Wharf {
    let directory = wharf.home().join("run");
    write(&directory.join("containers/auth.json"), bytes);
    wharf.with("XDG_RUNTIME_DIR", directory)
}

fn named(wharf: Wharf, bytes: &[u8]) -> Wharf {
    let file = wharf.home().join("logins");
    write(&file, bytes);
    wharf.with("REGISTRY_AUTH_FILE", file)
}

pub(crate) fn cases() -> Vec<(Case, Put)> {
    vec![
        (Case::basic("the program: docker's file"), docker),
        (Case::bearer("the program: docker's file, for a token"), docker),
        (
            Case::bearer("the program: docker's file elsewhere, with a registry token")
                .documents(|cast| {
                    let entry = json!({ "registrytoken": cast.secrets.registry.text });
                    vec![Cast::document(&cast.authority(Registry), &entry)]
                })
                .login_at(&[Registry])
                .token_at(&[])
                .spares(&[Tokens]),
            docker_elsewhere,
        ),
        (
            Case::bearer("the program: podman's file, with an identity token")
                .documents(|cast| vec![Cast::document(&cast.authority(Registry), &cast.identity())]),
            podman,
        ),
        (
            Case::basic("the program: a file that was named, for a namespace").documents(|cast| {
                vec![Cast::document(&format!("{}/{REPOSITORY}", cast.authority(Registry)), &cast.password())]
            }),
            named,
        ),
        (
            Case::bearer("the program: a blob is at another address")
                .steers(|cast, request| request.is_blob().then(|| redirect(307, cast.url(Far, &request.target))))
                .visits(&[Far]),
            docker,
        ),
        (
            Case::basic("the program: an error repeats the request")
                .steers(|_, request| Some(Answer::new(403, request.raw.clone())))
                .fails(),
            docker,
        ),
        (
            Case::bearer("the program: the token server is at another address")
                .challenges(|cast| cast.bearer(&cast.url(Far, "/token")))
                .login_at(&[])
                .token_at(&[])
                .spares(&[Far])
                .fails(),
            docker,
        ),
        (
            Case::basic("the program: the document is broken")
                .documents(|cast| {
                    let mut document = Cast::document(&cast.authority(Registry), &cast.password());
                    document.bytes.pop();
                    vec![document]
                })
                .login_at(&[])
                .fails(),
            docker,
        ),
    ]
}

/// Runs the program once, and returns what it left behind.
fn run(case: &Arc<Case>, put: Put) -> Traces {
    let (cast, listeners) = stage(case, || ());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let documents = case.documents_of(&cast);
    let wharf = put(Wharf::new(directory.path()), &documents[0].bytes);
    let reference = (case.reference)(&cast);
    let output = wharf.run(&["--log", "trace", "pull", "--retries", "0", "--format", "json", &reference]);
    let inspected = wharf.run(&["inspect", "--provenance", &reference]);
    let told = output.stdout + &inspected.stdout + &inspected.stderr;
    let mut files = Vec::new();
    read_files(&wharf.store(), &mut files);
    let log = output.stderr.into_bytes();
    Traces { cast, listeners, memories: None, log, told, files, pulled: output.status.success() }
}

#[test]
fn the_program_keeps_a_login_to_itself_too() {
    let mut complaints = Vec::new();
    for (case, put) in cases() {
        let case = Arc::new(case);
        let traces = run(&case, put);
        let told = String::from_utf8_lossy(&traces.log).lines().last().unwrap_or_default().to_owned();
        let wrong = judge(&case.expected, &traces);
        complaints.extend(wrong.into_iter().map(|line| format!("- {}: {line}\n      {told}", case.name)));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// A program on the path keeps the login.
#[test]
fn the_program_asks_a_helper_and_does_not_repeat_what_it_said() {
    let case = Arc::new(Case::basic("a helper of the machine").documents(|cast| {
        let bytes = json!({ "credHelpers": { cast.authority(Registry): "vault" } }).to_string().into_bytes();
        vec![wharf::credentials::Document { label: "config.json".to_owned(), bytes }]
    }));
    let (cast, listeners) = stage(&case, || ());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bin = directory.path().join("bin");
    let program = bin.join("docker-credential-vault");
    let (user, secret) = (&cast.secrets.user.text, &cast.secrets.password.text);
    let login = json!({ "ServerURL": cast.authority(Registry), "Username": user, "Secret": secret });
    let answer = directory.path().join("answer");
    write(&answer, login.to_string().as_bytes());
    let script = format!("#!/bin/sh\ncat > /dev/null\n[ \"$1\" = get ] && exec cat '{}'\n", answer.display());
    write(&program, script.as_bytes());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let path = std::env::var("PATH").expect("there is a path");
    let wharf = Wharf::new(directory.path()).with("PATH", format!("{}:{path}", bin.display()));
    let wharf = docker(wharf, &case.documents_of(&cast)[0].bytes);
    let output = wharf.run(&["--log", "trace", "pull", "--format", "json", &(case.reference)(&cast)]);
    let mut files = Vec::new();
    read_files(&wharf.store(), &mut files);
    let (pulled, told, log) = (output.status.success(), output.stdout, output.stderr.into_bytes());
    let traces = Traces { cast, listeners, memories: None, log, told, files, pulled };
    assert_eq!(judge(&case.expected, &traces), [""; 0], "{}", String::from_utf8_lossy(&traces.log));
}

/// The login is typed in, checked, kept, used, told and forgotten.
#[test]
fn a_login_that_is_typed_in_is_not_repeated() {
    let case = Arc::new(Case::bearer("a login of wharf's"));
    let (cast, listeners) = stage(&case, || ());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let wharf = Wharf::new(directory.path());
    let registry = cast.authority(Registry);
    let (user, password) = (&cast.secrets.user.text, &cast.secrets.password.text);
    let reference = (case.reference)(&cast);
    let login = ["--log", "trace", "login", "--username", user, "--password-stdin", &registry];
    let mut told = Vec::new();
    let mut pulled = false;
    for (arguments, input) in [
        (&login[..], &**password),
        (&["--log", "trace", "pull", "--format", "json", &reference], ""),
        (&["--log", "trace", "explain", &reference], ""),
        (&["--log", "trace", "logout", &registry], ""),
    ] {
        let output = wharf.run_with(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", output.stderr);
        pulled |= arguments.contains(&"pull");
        told.extend([output.stdout, output.stderr]);
    }
    // Who somebody is, is no secret to himself.
    let mut files = Vec::new();
    read_files(&wharf.store(), &mut files);
    let mut home = Vec::new();
    read_files(&wharf.home(), &mut home);
    let scanner = Scanner::new([&cast.secrets.password, &cast.secrets.tokens[0]]);
    let left: Vec<_> = home.iter().filter(|(_, bytes)| !scanner.find(bytes).is_empty()).collect();
    assert!(left.is_empty(), "{left:?}");
    let text = told.join("\n");
    assert_eq!(scanner.find(text.as_bytes()), [""; 0], "{text}");
    let traces = Traces { cast, listeners, memories: None, log: Vec::new(), told: String::new(), files, pulled };
    let wrong: Vec<_> = judge(&case.expected, &traces).into_iter().filter(|line| !line.contains("the log")).collect();
    assert_eq!(wrong, [""; 0]);
}
