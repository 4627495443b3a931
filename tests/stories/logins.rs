//! Registries that ask who is there.

use super::{json, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::token_server::{Policy, TokenServer};
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER, basic};
use serde_json::json as object;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;
use wharf::demo::image::demo;

/// Puts a login into docker's `config.json` in wharf's home.
fn log_in(wharf: &Wharf, registry: SocketAddr, password: &str) {
    let encoded = basic(USER, password);
    let encoded = encoded.strip_prefix("Basic ").expect("it is a basic login");
    let config = object!({ "auths": { registry.to_string(): { "auth": encoded } } });
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");
}

/// No text that wharf wrote or keeps has the secret in it.
fn check_secret(wharf: &Wharf, texts: &[&str]) {
    let encoded = basic(USER, PASSWORD);
    let encoded = encoded.strip_prefix("Basic ").expect("it is a basic login");
    for text in texts {
        assert!(!text.contains(PASSWORD) && !text.contains(encoded), "{text}");
    }
    let mut files = 0;
    let mut directories = vec![wharf.store()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the store can be read") {
            let entry = entry.expect("the store can be read");
            if entry.file_type().expect("it is there").is_dir() {
                directories.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).expect("the store can be read");
            let found = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found(PASSWORD) && !found(encoded), "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 2, "the store was searched");
}

#[test]
fn basic_authentication_needs_the_right_login_and_says_so() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/private/demo", registry.address());

    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains(&format!("error: cannot pull `{reference}:latest`")), "{error}");
    assert!(error.contains(&format!("wharf login {}", registry.address())), "it says what to do: {error}");

    log_in(&wharf, registry.address(), "wrong");
    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains("rejected") || error.contains("denied"), "{error}");

    log_in(&wharf, registry.address(), PASSWORD);
    let pulled = wharf.run(&["--log", "trace", "pull", &reference]);
    assert_eq!(pulled.clone().success(), format!("{reference}:latest\n"));
    check_secret(&wharf, &[&pulled.stdout, &pulled.stderr]);
}

#[test]
fn a_token_server_is_asked_once_for_a_pull_without_a_login() {
    let tokens = TokenServer::start(Policy { anonymous: true, lifetime: Duration::from_secs(300) });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("public/demo", "latest", &demo());
    let before = tokens.requests().len();
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "--all-platforms", &format!("{}/public/demo", registry.address())]).success();
    let requests = tokens.requests();
    assert_eq!(requests.len(), before + 1, "{requests:#?}");
    let last = requests.last().expect("there is one");
    assert_eq!((last.authorization.as_deref(), last.status), (None, 200));
    assert!(
        last.query.contains("scope=repository") && last.query.contains("public%2Fdemo%3Apull")
            || last.query.contains("public/demo:pull"),
        "{}",
        last.query
    );
}

#[test]
fn a_token_server_gets_the_login_and_the_registry_gets_the_token() {
    let tokens = TokenServer::start(Policy { anonymous: false, lifetime: Duration::from_secs(300) });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/private/demo", registry.address());

    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains("login"), "{error}");

    log_in(&wharf, registry.address(), PASSWORD);
    let pulled = wharf.run(&["--log", "trace", "pull", "--format", "json", &reference]);
    let object = json(&pulled.clone().success());
    assert_eq!(object[0]["up_to_date"], object!(false));
    let last = tokens.requests().pop().expect("it was asked");
    assert_eq!((last.authorization, last.status), (Some(basic(USER, PASSWORD)), 200));
    check_secret(&wharf, &[&pulled.stdout, &pulled.stderr]);
}

#[test]
fn a_login_that_another_program_keeps_is_named_and_not_skipped() {
    let registry = DockerRegistry::start(Access::Login);
    let (_directory, wharf) = wharf();
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    let config = object!({ "credHelpers": { registry.address().to_string(): "vault" } });
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");
    let output = wharf.run(&["pull", "-q", &format!("{}/private/demo", registry.address())]);
    let expected = format!(
        "`docker-credential-vault`, which `{}` names, failed for `{}`: there is no such program in `PATH`",
        directory.join("config.json").display(),
        registry.address()
    );
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
    output.failure();
}

/// The login that `wharf login` stores, as docker writes it.
fn encoded() -> String {
    basic(USER, PASSWORD).strip_prefix("Basic ").expect("it is a basic login").to_owned()
}

/// The permissions of a file or directory.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn who_logs_in_can_pull_until_he_logs_out() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let here = registry.address().to_string();
    let reference = format!("{here}/private/demo");
    let config = wharf.home().join(".docker/config.json");
    let login = ["--log", "trace", "login", &here, "-u", USER, "--password-stdin"];

    let error = wharf.run_with_input(&login, "wrong\n").failure();
    assert!(error.contains(&format!("error: cannot log in to `{here}`")), "{error}");
    assert!(!config.exists(), "what the registry does not accept is not stored");
    let missing = wharf.run(&["whoami", &here]).failure();
    assert_eq!(missing, format!("error: not logged in to `{here}`\n\nhint: log in with `wharf login {here}`\n"));

    let output = wharf.run_with_input(&login, &format!("{PASSWORD}\n"));
    assert_eq!(output.clone().success(), "");
    let file = config.display();
    let told = format!("logged in to `{here}` as `{USER}`; the login is kept in `{file}`\n");
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    assert!(output.stderr.contains("the password is stored unencrypted"), "{}", output.stderr);
    let written = fs::read_to_string(&config).expect("it was written");
    assert_eq!(json(&written), object!({ "auths": { here.as_str(): { "auth": encoded() } } }));
    assert_eq!((mode(&config), mode(config.parent().expect("it has one"))), (0o600, 0o700));
    assert_eq!(fs::read_dir(config.parent().expect("it has one")).expect("a directory").count(), 1);

    wharf.run(&["pull", "-q", &reference]).success();
    check_secret(&wharf, &[&output.stdout, &output.stderr]);
    let who = json(&wharf.run(&["whoami", &here, "--format", "json"]).success());
    let expected = object!([{
        "registry": here, "user": USER, "kind": "password", "program": null, "file": config, "key": here,
    }]);
    assert_eq!(who, expected);
    assert_eq!(json(&wharf.run(&["whoami", "--format", "json"]).success()), expected);
    let table = wharf.run(&["whoami"]).success();
    let words: Vec<_> = table.split_whitespace().collect();
    let path = config.to_str().expect("the path is text");
    assert_eq!(words, ["REGISTRY", "USER", "KIND", "SOURCE", &here, USER, "password", path]);
    let explained = json(&wharf.run(&["explain", &reference, "--format", "json"]).success());
    assert_eq!(explained["endpoints"][0]["login"], object!(path));

    let output = wharf.run(&["logout", &here]);
    assert_eq!(output.stderr, format!("logged out of `{here}`: removed from `{file}`\n"));
    output.success();
    assert_eq!(json(&fs::read_to_string(&config).expect("it is there")), object!({ "auths": {} }));
    wharf.run(&["pull", "-q", &format!("{reference}:other")]).failure();
    let output = wharf.run(&["logout", &here]);
    assert_eq!(output.stderr, format!("not logged in to `{here}` by `{file}`\n"));
    output.success();
    let output = wharf.run(&["whoami"]);
    assert_eq!((output.clone().success().as_str(), output.stderr.as_str()), ("", "not logged in anywhere\n"));
}

#[test]
fn a_login_is_tried_at_the_token_server_before_it_is_stored() {
    let tokens = TokenServer::start(Policy { anonymous: true, lifetime: Duration::from_secs(300) });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    let (_directory, wharf) = wharf();
    let here = registry.address().to_string();
    let login = ["login", &here, "-u", USER, "--password-stdin"];
    // Anonymous visitors are welcome there, so that only a login that is sent can be refused.
    wharf.run_with_input(&login, "wrong").failure();
    assert_eq!(tokens.requests().pop().map(|asked| asked.status), Some(401));
    wharf.run_with_input(&login, PASSWORD).success();
    let last = tokens.requests().pop().expect("it was asked");
    assert_eq!((last.authorization, last.status), (Some(basic(USER, PASSWORD)), 200));
}

/// A program that keeps one login in a file of the home.
const VAULT: &str = r#"#!/bin/sh
vault="$HOME/vault"
case "$1" in
    store) cat > "$vault" ;;
    erase) cat > /dev/null; rm "$vault" ;;
    get)
        server=$(cat)
        if grep -qs "\"ServerURL\":\"$server\"" "$vault"; then cat "$vault"; exit; fi
        echo "credentials not found in native keychain"
        exit 1
        ;;
    list) echo '{}' ;;
esac
"#;

#[test]
fn a_program_keeps_the_login_and_the_file_does_not() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let here = registry.address().to_string();
    let programs = wharf.home().join("bin");
    fs::create_dir(&programs).expect("the home can be written");
    let program = programs.join("docker-credential-vault");
    fs::write(&program, VAULT).expect("the home can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it was just written");
    let path = std::env::var("PATH").expect("there is a path");
    let wharf = wharf.with("PATH", format!("{}:{path}", programs.display()));
    let (vault, config) = (wharf.home().join("vault"), wharf.home().join("config.json"));
    let home = wharf.home();
    let wharf = wharf.with("DOCKER_CONFIG", home);

    // The file is a link into somebody's collection of configuration, has fields that wharf does not know, and an order.
    let real = wharf.home().join("dotfiles/docker.json");
    fs::create_dir(real.parent().expect("it has one")).expect("the home can be written");
    let before = "{\n  \"zebra\": 1.0,\n  \"credsStore\": \"vault\",\n  \"apple\": [1,2]\n}\n";
    fs::write(&real, before).expect("the home can be written");
    symlink("dotfiles/docker.json", &config).expect("the home can be written");

    let output = wharf.run_with_input(&["login", &here, "-u", USER, "--password-stdin"], PASSWORD);
    let told = format!("logged in to `{here}` as `{USER}`; `docker-credential-vault` keeps the login\n");
    assert_eq!(output.stderr, told, "nothing is unencrypted");
    output.success();
    assert!(fs::symlink_metadata(&config).expect("it is there").is_symlink());
    let after = format!(
        "{{\n  \"zebra\": 1.0,\n  \"credsStore\": \"vault\",\n  \"apple\": [1,2],\n  \"auths\": {{\n    \"{here}\": {{}}\n  }}\n}}\n"
    );
    assert_eq!(fs::read_to_string(&real).expect("it is there"), after);
    assert!(fs::read_to_string(&vault).expect("it was written").contains(PASSWORD));

    wharf.run(&["pull", "-q", &format!("{here}/private/demo")]).success();
    let who = json(&wharf.run(&["whoami", "--format", "json"]).success());
    assert_eq!((&who[0]["user"], &who[0]["program"]), (&object!(USER), &object!("docker-credential-vault")));

    let output = wharf.run(&["logout", "--all"]);
    let files = config.display();
    assert_eq!(
        output.stderr,
        format!("logged out of all registries: removed from `docker-credential-vault` and `{files}`\n")
    );
    output.success();
    assert!(!vault.exists());
    wharf.run(&["whoami", &here]).failure();
}

#[test]
fn a_program_that_writes_without_end_is_given_up() {
    let registry = DockerRegistry::start(Access::Login);
    let (_directory, wharf) = wharf();
    let program = wharf.home().join("docker-credential-noise");
    fs::write(&program, "#!/bin/sh\nyes\n").expect("the home can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it was just written");
    let path = std::env::var("PATH").expect("there is a path");
    let home = wharf.home();
    let wharf = wharf.with("PATH", format!("{}:{path}", home.display()));
    let file = wharf.home().join("auth.json");
    fs::write(&file, object!({ "credsStore": "noise" }).to_string()).expect("the home can be written");
    let file = file.to_str().expect("the path is text");
    let reference = format!("{}/private/demo", registry.address());
    let error = wharf.run(&["pull", "-q", "--auth-file", file, &reference]).failure();
    assert!(error.contains("it writes more than 65536 bytes"), "{error}");
}

#[test]
fn a_password_in_the_arguments_is_refused_and_not_repeated() {
    let (_directory, wharf) = wharf();
    for password in [&["-p", "hunter2"][..], &["--password", "hunter2"], &["--password=hunter2"], &["-phunter2"]] {
        let output = wharf.run(&[&["login", "registry.lan", "-u", "ann"], password].concat());
        assert_eq!(output.status.code(), Some(2));
        let error = output.failure();
        assert!(error.contains("`--password-stdin`") && !error.contains("hunter2"), "{error}");
    }
    let error = wharf.run(&["login", "registry.lan"]).failure();
    assert!(error.contains("there is no terminal") && error.contains("`--username USER --password-stdin`"), "{error}");
    for (password, why) in [("", "a login needs a password"), ("\n", "a login needs a password")] {
        let error =
            wharf.run_with_input(&["login", "registry.lan", "-u", "ann", "--password-stdin"], password).failure();
        assert!(error.contains(why), "{error}");
    }
}

/// Podman's file is read before docker's, so that a login that is put into docker's may never be used.
#[test]
fn a_login_that_is_hidden_by_another_is_told() {
    let registry = DockerRegistry::start(Access::Login);
    let (_directory, wharf) = wharf();
    let here = registry.address().to_string();
    let podman = wharf.home().join(".config/containers/auth.json");
    let login = ["login", &here, "-u", USER, "--password-stdin"];
    let file = podman.to_str().expect("the path is text").to_owned();
    wharf.run_with_input(&[&login[..], &["--auth-file", &file]].concat(), PASSWORD).success();
    let output = wharf.run_with_input(&login, PASSWORD);
    let told = format!("warning: another login for `{here}` comes before it: that of {file}\n");
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    let output = wharf.run(&["logout", &here]);
    assert!(output.stderr.contains(&format!("a login for `{here}` is left: that of {file}")), "{}", output.stderr);
    let output = wharf.run(&["logout", &here, "--auth-file", &file]);
    assert_eq!(output.stderr, format!("logged out of `{here}`: removed from `{file}`\n"));
    wharf.run(&["whoami", &here]).failure();
}
