//! A client of the Docker Engine API, and wharf as its server.

use super::require;
use super::wharf::{Running, Wharf};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to listen, and an answer to come.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `wharf serve` on a socket. Dropping it kills it.
pub(crate) struct Serving {
    running: Running,
    socket: PathBuf,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Serving {
    /// Serves the images of `wharf` on a socket in `directory`.
    #[track_caller]
    pub(crate) fn start(wharf: &Wharf, directory: &Path, options: &[&str]) -> Self {
        let socket = directory.join("wharf.sock");
        let path = socket.to_string_lossy().into_owned();
        let running = wharf.spawn(&[&["serve", "--unix", &path], options].concat());
        let begin = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < TIMEOUT, "`wharf serve` does not listen");
            sleep(Duration::from_millis(5));
        }
        Self { running, socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.running.process()
    }

    /// Ends it as Ctrl-C does, and returns what it said.
    pub(crate) fn stop(self) -> super::wharf::Output {
        self.running.interrupt();
        self.running.wait(TIMEOUT)
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Reply {
        request(&self.socket, "GET", target, &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &[u8]) -> Reply {
        request(&self.socket, "POST", target, &[], body)
    }

    /// Runs docker's own program against it, and returns whether that succeeded, and what it wrote.
    pub(crate) fn docker(&self, directory: &Path, arguments: &[&str]) -> (bool, String) {
        docker(&self.socket, directory, arguments)
    }

    /// The same, of what has to succeed.
    #[track_caller]
    pub(crate) fn docker_tells(&self, directory: &Path, arguments: &[&str]) -> String {
        let (is_done, text) = self.docker(directory, arguments);
        assert!(is_done, "docker {arguments:?}: {text}");
        text
    }
}

/// Runs docker's own program against whoever listens on a socket.
pub(crate) fn docker(socket: &Path, directory: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(require("docker"));
    command.args(["--host", &format!("unix://{}", socket.display())]).args(arguments);
    command.env("HOME", directory).env_remove("DOCKER_CONTEXT").current_dir(directory);
    let output = command.output().expect("docker starts");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Sends a request to whoever listens on a socket, and reads the answer to its end.
#[track_caller]
pub(crate) fn request(socket: &Path, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let stream = UnixStream::connect(socket).expect("somebody listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
    exchange(stream, method, target, headers, body)
}

/// The same over a connection that there is.
#[track_caller]
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    // HTTP/1.0 has no chunks, so that the end of the answer is the end of the connection.
    let mut text = format!("{method} {target} HTTP/1.0\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(body)).expect("the request is read");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Who refuses a body has closed before it was read, and the answer is here.
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => {}
        read => drop(read.expect("the answer comes")),
    }
    Reply::parse(&answer)
}

impl Reply {
    #[track_caller]
    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status: status.expect("a status"), headers, body: answer[end + 4..].to_vec() }
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The lines of an answer that grew.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert_eq!(self.status, 200, "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
