//! `wharf serve` as a service of systemd: sockets that were opened before, and who is told how it gets on.

use super::super::wharf;
use super::{TIMEOUT, connect, free_address};
use crate::support::engine_api::{Serving, exchange, request};
use crate::support::wharf::Wharf;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;

/// What systemd does: descriptor 3, and the two variables. The shell has the number of the process that follows it.
const PASS: [&str; 3] = ["sh", "-c", "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\""];

fn passed(wharf: &Wharf) -> Wharf {
    wharf.clone().under(PASS)
}

/// The next thing that it says.
#[track_caller]
fn told(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let count = socket.recv(&mut bytes).expect("it says how it gets on");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn a_socket_of_systemd_is_served_and_left_and_systemd_is_told() {
    let (directory, wharf) = wharf();
    let at = directory.path();
    let (path, notify) = (at.join("passed.sock"), at.join("notify.sock"));
    let listener = UnixListener::bind(&path).expect("the directory is writable");
    let systemd = UnixDatagram::bind(&notify).expect("the directory is writable");
    systemd.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
    let running = passed(&wharf).with("NOTIFY_SOCKET", &notify).spawn_with(&["serve"], OwnedFd::from(listener));
    assert_eq!(told(&systemd), "READY=1\n");
    assert_eq!(request(&path, "GET", "/_ping", &[], b"").text(), "OK");
    running.interrupt();
    assert_eq!(told(&systemd), "STOPPING=1\n");
    let output = running.wait(TIMEOUT);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("listening on unix://{}, which was passed", path.display())));
    // It has another end, which is systemd's.
    assert!(path.exists());
    assert!(!output.stderr.contains("docker.sock"), "{}", output.stderr);
}

/// What an administrator writes down once. The command line goes before it, and so do variables.
#[test]
fn options_stand_in_a_file_and_the_command_line_goes_before_it() {
    let (directory, wharf) = wharf();
    let (file, address) = (directory.path().join("serve.toml"), free_address());
    let config = file.to_string_lossy().into_owned();
    let write = |text: &str| fs::write(&file, text).expect("the directory is writable");
    write(&format!("unix = \"/nowhere/at/all.sock\"\nmetrics = \"{address}\"\nclient-timeout = \"9s\"\n"));
    let serving = Serving::start(&wharf, directory.path(), &["--config", &config]);
    assert_eq!(serving.get("/_ping").text(), "OK");
    assert_eq!(exchange(connect(address), "GET", "/metrics", &[], b"").status, 200);
    assert_eq!(serving.stop().status.code(), Some(0));
    let unix = directory.path().join("named.sock").to_string_lossy().into_owned();
    for (text, why) in [
        ("metrics = 9323", "invalid value '9323' for '--metrics <ADDRESS>'"),
        ("metric = \"127.0.0.1:9323\"", "`metric` is no option of `wharf serve`"),
        ("no-unpack = 1", "`no-unpack` is `true` or `false`"),
        ("tls-cert = \"cert.pem\"", "--tls-key <FILE>"),
        ("unix = ", "TOML parse error at line 1"),
    ] {
        write(text);
        let refused = wharf.run(&["serve", "--unix", &unix, "--config", &config]);
        assert_eq!(refused.status.code(), Some(2), "{text}: {}", refused.stderr);
        assert!(refused.stderr.contains(why), "{text}: {}", refused.stderr);
    }
    let absent = directory.path().join("absent.toml").to_string_lossy().into_owned();
    let refused = wharf.run(&["serve", "--config", &absent]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains(&format!("cannot use `{absent}`: No such file")), "{}", refused.stderr);
}

#[test]
fn an_address_that_was_passed_is_held_to_the_same_rule() {
    let (directory, wharf) = wharf();
    let everywhere = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let refused = passed(&wharf).spawn_with(&["serve"], OwnedFd::from(everywhere)).wait(TIMEOUT).failure();
    assert!(refused.contains("not of this machine alone"), "{refused}");
    let file = File::create(directory.path().join("file")).expect("the directory is writable");
    let refused = passed(&wharf).spawn_with(&["serve"], file).wait(TIMEOUT).failure();
    assert!(refused.contains("descriptor 3 cannot be listened on"), "{refused}");
    // What was passed to another process is not this one's.
    let others = ["sh", "-c", "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=1; exec \"$0\" \"$@\""];
    let serving = Serving::start(&wharf.under(others), directory.path(), &[]);
    assert_eq!(serving.get("/_ping").status, 200);
}

#[test]
fn the_unit_files_are_ones_that_systemd_reads() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join("systemd-analyze").is_file()) {
        println!("skipped: systemd is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/systemd");
    for name in ["wharf.service", "wharf.socket"] {
        let text = fs::read_to_string(units.join(name)).expect("the unit is here");
        // Where it is installed nothing is, on this machine.
        let text = text.replace("/usr/local/bin/wharf", env!("CARGO_BIN_EXE_wharf"));
        fs::write(directory.path().join(name), text).expect("the directory is writable");
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "./wharf.socket", "./wharf.service"]).current_dir(directory.path());
    let output = command.output().expect("systemd-analyze starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("wharf")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
