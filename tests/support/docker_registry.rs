//! Debian's `docker-registry`, started for one test: open, behind a login, or behind a token server.
//!
//! It does not speak TLS and keeps nothing: its storage is a temporary directory.

use super::token_server::TokenServer;
use super::{PASSWORD, USER, basic, push, require};
use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wharf::demo::image::Image;

/// How long a registry may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A free port may be taken before the registry binds it, so it is tried this often.
const ATTEMPTS: usize = 5;

/// [`USER`] and [`PASSWORD`], and `user` with `pass`, as `htpasswd -nbB -C 5` writes them.
const HTPASSWD: &str = "\
harbour:$2y$05$M8PzwGzlSvVEk6GE3qcE7ecpX3lYitTP/PkMT414yNEv2yu8M4jhW
user:$2y$05$M8PzwGzlSvVEk6GE3qcE7eoFqL9jcTRWQ8Ts4k4uHq0oRYZrdgshW
";

/// Who may use a registry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access<'a> {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`], and the `user` with `pass` of documentation, by `Basic`.
    Login,
    /// Whoever has a token of this server.
    Token(&'a TokenServer),
}

/// A registry that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct DockerRegistry {
    address: SocketAddr,
    credentials: push::Credentials,
    process: Child,
    directory: TempDir,
}

impl DockerRegistry {
    /// Starts a registry with empty storage, and returns when it listens.
    pub(crate) fn start(access: Access<'_>) -> Self {
        let program = require("docker-registry");
        for _ in 0..ATTEMPTS {
            if let Some(registry) = Self::attempt(&program, access) {
                return registry;
            }
        }
        panic!("no port stayed free for `docker-registry`");
    }

    /// Returns `None` if the registry ended before it listened.
    fn attempt(program: &Path, access: Access<'_>) -> Option<Self> {
        let directory = TempDir::with_prefix("wharf-registry-").expect("there is a temporary directory");
        let address = free_port();
        let (config, credentials) = configure(directory.path(), address, access);
        std::fs::write(directory.path().join("config.yml"), config).expect("the temporary directory is writable");
        let process = spawn(program, directory.path());
        let mut registry = Self { address, credentials, process, directory };
        registry.listens().then_some(registry)
    }

    /// Waits until it listens. Returns whether it does; otherwise it ended.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.address).is_err() {
            if self.process.try_wait().expect("the process is our child").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "`docker-registry` does not listen: {}", self.messages());
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Ends the process, and with it every connection. What was pushed stays.
    pub(crate) fn stop(&mut self) {
        self.process.kill().expect("the process is our child");
        self.process.wait().expect("the process is our child");
    }

    /// Starts it again after [`stop`](Self::stop), at the same address, and returns when it listens.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&require("docker-registry"), self.directory.path());
        assert!(self.listens(), "the port was taken meanwhile: {}", self.messages());
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Uploads `image` to `repository`, as in `library/demo`, and points `tag` to it.
    pub(crate) fn push(&self, repository: &str, tag: &str, image: &Image) {
        push::push(self.address, &self.credentials, repository, tag, image);
    }

    /// The requests so far that contain `text`, as in `"GET /v2/`, one line each in Apache's combined form.
    pub(crate) fn accesses(&self, text: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.directory.path().join("access.log")).expect("the access log is there");
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// What the registry says about itself.
    pub(crate) fn messages(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("registry.log")).expect("the log is there")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It fails only if the process ended by itself, and then there is nothing left to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a registry on its directory.
fn spawn(program: &Path, directory: &Path) -> Child {
    let log = |name| {
        let file = File::options().create(true).append(true).open(directory.join(name));
        file.expect("the temporary directory is writable")
    };
    Command::new(program)
        .arg("serve")
        .arg(directory.join("config.yml"))
        .env_remove("OTEL_TRACES_EXPORTER")
        .stdin(Stdio::null())
        .stdout(log("access.log"))
        .stderr(log("registry.log"))
        .spawn()
        .expect("`docker-registry` starts")
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine has a free port");
    listener.local_addr().expect("a listener has an address")
}

/// Writes what the configuration needs beside it, and returns the configuration and how a push logs in.
fn configure(directory: &Path, address: SocketAddr, access: Access<'_>) -> (String, push::Credentials) {
    let storage = directory.join("storage");
    let mut config = format!(
        "version: 0.1\n\
         log: {{level: warn, accesslog: {{disabled: false}}}}\n\
         storage: {{filesystem: {{rootdirectory: {storage:?}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"{address}\", secret: one-registry}}\n"
    );
    let credentials = match access {
        Access::Open => push::Credentials::None,
        Access::Login => {
            let path = directory.join("htpasswd");
            std::fs::write(&path, HTPASSWD).expect("the temporary directory is writable");
            writeln!(config, "auth: {{htpasswd: {{realm: harbour, path: {path:?}}}}}").expect("memory is writable");
            push::Credentials::Basic(basic(USER, PASSWORD))
        }
        Access::Token(tokens) => {
            let path = directory.join("issuer.pem");
            std::fs::write(&path, tokens.signer().certificate()).expect("the temporary directory is writable");
            let (realm, service, issuer) = (tokens.realm(), super::token_server::SERVICE, super::token_server::ISSUER);
            writeln!(
                config,
                "auth: {{token: {{realm: {realm:?}, service: {service:?}, issuer: {issuer:?}, rootcertbundle: {path:?}}}}}"
            )
            .expect("memory is writable");
            push::Credentials::Token(Arc::clone(tokens.signer()))
        }
    };
    (config, credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::skopeo::skopeo;
    use crate::support::token_server::Policy;
    use wharf::demo::image::{self, digest};

    #[test]
    fn skopeo_finds_what_was_pushed() {
        let image = image::demo();
        let tokens = TokenServer::start(Policy::default());
        let login = format!("{USER}:{PASSWORD}");
        for access in [Access::Open, Access::Login, Access::Token(&tokens)] {
            let registry = DockerRegistry::start(access);
            registry.push("library/demo", "latest", &image);
            let name = format!("docker://{}/library/demo:latest", registry.address());
            let login = (!matches!(access, Access::Open)).then_some(login.as_str());
            let (success, text) = skopeo(&["inspect", "--raw", &name], login);
            assert!(success, "{access:?}: {text}");
            assert_eq!(digest(text.as_bytes()), image.root().digest);
            let pulls = registry.accesses("\"GET /v2/library/demo/manifests/latest ");
            assert!(pulls.iter().any(|line| line.contains("skopeo/")), "{pulls:?}");
        }
    }

    #[test]
    fn a_registry_that_starts_again_has_what_it_had() {
        let mut registry = DockerRegistry::start(Access::Open);
        registry.push("library/demo", "latest", &image::demo());
        let address = registry.address();
        registry.stop();
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
        registry.start_again();
        assert_eq!(registry.address(), address);
        let (success, text) = skopeo(&["inspect", "--raw", &format!("docker://{address}/library/demo:latest")], None);
        assert!(success, "{text}");
        assert!(registry.accesses("PUT /v2/library/demo/manifests/").len() > 1, "the log goes on");
    }

    #[test]
    fn a_wrong_password_opens_nothing() {
        let tokens = TokenServer::start(Policy::default());
        for access in [Access::Login, Access::Token(&tokens)] {
            let registry = DockerRegistry::start(access);
            registry.push("library/demo", "latest", &image::demo());
            let name = format!("docker://{}/library/demo:latest", registry.address());
            for login in [None, Some("harbour:wrong")] {
                let (success, text) = skopeo(&["inspect", "--raw", &name], login);
                assert!(!success && text.contains("unauthorized"), "{access:?}, {login:?}: {text}");
            }
        }
    }

    #[test]
    fn a_token_server_may_let_everybody_pull() {
        let tokens = TokenServer::start(Policy { anonymous: true, ..Policy::default() });
        let registry = DockerRegistry::start(Access::Token(&tokens));
        registry.push("library/demo", "latest", &image::demo());
        assert_eq!(tokens.requests(), [], "a push signs its own token");
        let name = format!("docker://{}/library/demo:latest", registry.address());
        let (success, text) = skopeo(&["inspect", "--raw", &name], None);
        assert!(success, "{text}");
        let requests = tokens.requests();
        let [request] = &requests[..] else { panic!("one token is enough: {requests:?}") };
        assert_eq!((&request.authorization, request.status), (&None, 200));
        assert!(request.query.contains("scope=repository%3Alibrary%2Fdemo%3Apull"), "{}", request.query);
    }
}
