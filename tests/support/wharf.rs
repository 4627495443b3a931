//! The binary that was built, run as a person would run it, on a store of its own.
//!
//! It inherits nothing of the machine's environment but `PATH`, so that a test meets the same logins,
//! proxies and settings everywhere: none. It never runs without a time limit.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a command may run. Generous: it bounds a hang, it measures nothing.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(2);

/// What was built.
const PROGRAM: &str = env!("CARGO_BIN_EXE_wharf");

/// The user and the group without rights, as in every distribution.
const NOBODY: u32 = 65_534;

/// wharf with one store and one home directory.
#[derive(Clone, Debug)]
pub(crate) struct Wharf {
    root: PathBuf,
    /// The program, or what starts it, with its arguments.
    program: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Wharf {
    /// wharf whose store is `root`/store and whose home is `root`/home.
    pub(crate) fn new(root: &Path) -> Self {
        let home = root.join("home");
        std::fs::create_dir_all(&home).expect("the temporary directory is writable");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let environment = vec![("HOME".into(), home.into()), ("PATH".into(), path)];
        Self { root: root.to_owned(), program: vec![PROGRAM.into()], environment }
    }

    /// The same as a user without rights, to whom `root` is given. Takes root.
    #[must_use]
    pub(crate) fn run_by_nobody(mut self) -> Self {
        // The program may lie where only its builder can look. Another process copies it: what this one has open for
        // writing, a command of another test could inherit for a moment, and a file that is written to does not start.
        let copy = self.root.join("wharf");
        let copied = Command::new("cp").args([OsStr::new(PROGRAM), copy.as_os_str()]).status();
        assert!(copied.is_ok_and(|status| status.success()), "`cp` does not copy the program");
        for path in [&self.root, &self.home(), &copy] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("this test needs root");
        }
        let (setpriv, nobody) = (super::require("setpriv"), NOBODY.to_string());
        let options = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups"];
        self.program = vec![OsString::from(setpriv)];
        self.program.extend(options.map(OsString::from));
        self.program.push(copy.into());
        self
    }

    /// The same, started by another program: its name and its arguments.
    #[must_use]
    pub(crate) fn under<A: Into<OsString>>(mut self, before: impl IntoIterator<Item = A>) -> Self {
        self.program = before.into_iter().map(Into::into).chain(self.program).collect();
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The directory of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The home directory, where a login may be put.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Runs `wharf --root STORE` with `arguments` to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        self.spawn(arguments).wait(TIMEOUT)
    }

    /// Runs it to its end with `input` as its standard input.
    pub(crate) fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Output {
        let mut file = tempfile::tempfile().expect("there is a temporary directory");
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).expect("a temporary file is writable");
        Running::start_with(self.wharf(arguments), file.into()).wait(TIMEOUT)
    }

    /// Runs `wharf --root STORE` with `arguments` to its end, with `input` as its standard input.
    pub(crate) fn run_with_input<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Output {
        let path = self.root.join("input");
        std::fs::write(&path, input).expect("the temporary directory is writable");
        let input = std::fs::File::open(&path).expect("it was just written");
        std::fs::remove_file(path).expect("it was just written");
        Running::start_with(self.wharf(arguments), input.into()).wait(TIMEOUT)
    }

    /// Starts `wharf --root STORE` with `arguments`.
    pub(crate) fn spawn<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        Running::start(self.wharf(arguments))
    }

    /// The same with something else as its standard input.
    pub(crate) fn spawn_with<A: AsRef<OsStr>>(&self, arguments: &[A], stdin: impl Into<Stdio>) -> Running {
        Running::start_with(self.wharf(arguments), stdin.into())
    }

    fn wharf<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let (program, before) = self.program.split_first().expect("a program has a name");
        let mut command = self.command(program);
        command.args(before).arg("--root").arg(self.store()).args(arguments);
        command
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Data.
    pub(crate) stdout: String,
    /// Talk.
    pub(crate) stderr: String,
}

impl Output {
    /// Returns stdout of a command that has to have succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Returns stderr of a command that has to have failed by itself, with no data written.
    #[track_caller]
    pub(crate) fn failure(self) -> String {
        let failed = self.status.code().is_some_and(|code| code != 0);
        assert!(failed && self.stdout.is_empty(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stderr
    }
}

/// A command that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    readers: Option<[JoinHandle<String>; 2]>,
}

impl Running {
    /// Starts a command without input.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    fn start_with(mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = process.stdout.take().expect("stdout is a pipe");
        let stderr = process.stderr.take().expect("stderr is a pipe");
        Self { process, readers: Some([read(stdout), read(stderr)]) }
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Sends `SIGINT`, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), rustix::process::Signal::INT)
            .expect("the process has not been waited for");
    }

    /// Kills the command with `SIGKILL` and returns what it had written.
    pub(crate) fn kill(mut self) -> Output {
        self.process.kill().expect("the process is our child");
        self.wait(TIMEOUT)
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// If that takes longer than `timeout`. The command is killed then.
    pub(crate) fn wait(mut self, timeout: Duration) -> Output {
        let deadline = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("the process is our child") {
                break status;
            }
            if Instant::now() >= deadline {
                self.process.kill().expect("the process is our child");
                let [stdout, stderr] = self.texts();
                panic!("still running after {timeout:?}\n{stdout}{stderr}");
            }
            thread::sleep(POLL);
        };
        let [stdout, stderr] = self.texts();
        Output { status, stdout, stderr }
    }

    /// Reads what was written to the end.
    fn texts(&mut self) -> [String; 2] {
        let readers = self.readers.take().expect("the texts are read once");
        readers.map(|reader| reader.join().expect("reading does not panic"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process ended and was waited for, which is what they are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("commands write UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command)
    }

    #[test]
    fn the_binary_says_which_version_it_is() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let stdout = Wharf::new(directory.path()).run(&["--version"]).success();
        assert_eq!(stdout, concat!("wharf ", env!("CARGO_PKG_VERSION"), "\n"));
    }

    #[test]
    fn an_option_that_does_not_exist_is_a_failure() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let stderr = Wharf::new(directory.path()).run(&["--no-such-option"]).failure();
        assert!(stderr.contains("`--no-such-option`") || stderr.contains("'--no-such-option'"), "{stderr}");
    }

    #[test]
    fn nothing_of_the_machine_leaks_in_but_the_path() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let wharf = Wharf::new(directory.path()).with("NO_COLOR", "1");
        let stdout = Running::start(wharf.command("env")).wait(TIMEOUT).success();
        let mut lines: Vec<_> = stdout.lines().collect();
        lines.sort_unstable();
        let home = format!("HOME={}", wharf.home().display());
        let path = format!("PATH={}", std::env::var("PATH").expect("there is a path"));
        assert_eq!(lines, [&*home, "NO_COLOR=1", &*path]);
    }

    #[test]
    fn data_and_talk_are_kept_apart() {
        let output = shell("echo data; echo talk >&2; exit 3").wait(TIMEOUT);
        assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(3), "data\n", "talk\n"));
    }

    #[test]
    #[should_panic(expected = "still running after 100ms\nbegun")]
    fn a_command_that_hangs_is_killed_and_told() {
        shell("echo begun; exec sleep 60").wait(Duration::from_millis(100));
    }

    #[test]
    fn a_kill_arrives() {
        use std::os::unix::process::ExitStatusExt as _;
        // `interrupt` is for wharf alone: where the tests run in the background of a shell, other
        // programs inherit that SIGINT is ignored.
        assert_eq!(shell("exec sleep 60").kill().status.signal(), Some(9));
    }
}
