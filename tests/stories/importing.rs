//! Archives of files that become images: trees that are what was packed, configs that are those of docker and podman,
//! addresses, and what is refused. Mounting takes root.

use super::loading::tell;
use super::trees::{Place, kept};
use super::{json, open_registry, wharf};
use crate::layers::apply::write::{self, Entry, directory, file, symlink};
use crate::support::dockerd::Dockerd;
use crate::support::require;
use crate::support::tree;
use crate::support::wharf::Wharf;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use wharf::demo::image::digest;

/// Every instruction that changes a config.
const CHANGES: [&str; 13] = [
    "ENV PATH=/bin:/usr/bin A='b c'",
    "ENV D $A and more",
    "CMD [\"serve\", \"--port\", \"80\"]",
    "ENTRYPOINT /bin/app $0",
    "EXPOSE 80 53/udp",
    "LABEL maintainer=me \"a b\"=\"c d\"",
    "LABEL old style",
    "USER nobody:nogroup",
    "VOLUME [\"/data\", \"/more data\"]",
    "VOLUME /logs",
    "WORKDIR /srv",
    "WORKDIR app",
    "STOPSIGNAL SIGQUIT",
];

/// What a program that compresses makes of bytes.
pub(super) fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new(require(program));
    let mut child = command.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut input, bytes) = (child.stdin.take().expect("a pipe"), bytes.to_vec());
    let writing = thread::spawn(move || input.write_all(&bytes).expect("it reads everything"));
    let mut out = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut out).expect("it writes");
    writing.join().expect("the thread ends");
    assert!(child.wait().expect("it ends").success(), "{program}");
    out
}

/// Writes a tree of all kinds, and returns it as an archive.
fn archived(at: &Path) -> Vec<u8> {
    let script = "mkdir -p root/etc root/empty && cd root && printf hello >etc/greeting && ln etc/greeting etc/again \
                  && ln -s greeting etc/link && printf x >tool && chmod 4755 tool && chown 1000:70000 tool \
                  && mkfifo pipe && mknod null c 1 3 && truncate -s 100000 holes && chmod 700 empty && chmod 755 .";
    tell(at, "sh", &["-c", script]);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(at.join("root/tool"), "user.kept", b"1", flags).expect("attributes can be set");
    let options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--format=posix"];
    tell(at, "tar", &[&options[..], &["-C", "root", "-cf", "root.tar", "."]].concat());
    fs::read(at.join("root.tar")).expect("the archive")
}

fn inspected(wharf: &Wharf, name: &str) -> Value {
    json(&wharf.run(&["inspect", name]).success())[0].clone()
}

fn is_untouched(wharf: &Wharf) -> bool {
    let left = |part: &str| fs::read_dir(wharf.store().join(part)).map_or(0, Iterator::count);
    let parts = ["blobs/sha256", "ingest", "layers"];
    parts.iter().all(|part| left(part) == 0) && json(&wharf.run(&["images", "--format", "json"]).success()) == json!([])
}

#[test]
fn an_archive_is_imported_and_its_tree_is_that_of_the_archive() {
    let (place_of_files, _) = wharf();
    let at = place_of_files.path();
    let plain = archived(at);
    let expected = tree::read(&at.join("root"));
    for (program, kind) in [("cat", "tar"), ("gzip", "tar+gzip"), ("zstd", "tar+zstd"), ("bzip2", "tar"), ("xz", "tar")]
    {
        let bytes = if program == "cat" { plain.clone() } else { packed(program, &plain) };
        let (directory, wharf) = wharf();
        let path = directory.path().join("archive");
        fs::write(&path, &bytes).expect("a file");
        let text = wharf.run(&["import", "--format", "json", &path.to_string_lossy(), "app:1"]).success();
        let imported = json(&text);
        assert_eq!(imported["name"], "docker.io/library/app:1");
        let layer = if ["bzip2", "xz"].contains(&program) { &plain } else { &bytes };
        let descriptor = json!({
            "media_type": format!("application/vnd.oci.image.layer.v1.{kind}"),
            "digest": digest(layer), "size": layer.len(),
        });
        assert_eq!((&imported["layer"], &imported["diff_id"]), (&descriptor, &json!(digest(&plain))), "{program}");
        let image = inspected(&wharf, "app:1");
        assert_eq!((&image["Id"], &image["Comment"]), (&imported["id"], &json!("Imported from -")));
        assert_eq!(image["RootFS"]["Layers"], json!([digest(&plain)]));
        wharf.run(&["fsck"]).success();
        assert_eq!(kept(&wharf, "blobs/sha256"), 3, "{program}: manifest, config and layer");
        let place = Place::new(directory.path());
        wharf.run(&["mount", "app:1", place.text()]).success();
        let found = tree::read(Path::new(place.text()));
        assert_eq!(tree::differences(&expected, &found, |_, _, _| false), [""; 0], "{program}");
        wharf.run(&["umount", place.text()]).success();
        // From a pipe it is the same, under another name, and nothing more is kept.
        let created = image["Created"].as_str().expect("a time").to_owned();
        let piped = format!("cat {} | exec \"$@\"", path.display());
        let piped = wharf.clone().under(["sh", "-c", &piped, "sh"]);
        let id = piped.run(&["import", "-q", "--created", &created, "-", "piped:1"]).success();
        assert_eq!(id.trim_end(), image["Id"].as_str().expect("an ID"), "{program}");
        assert_eq!(kept(&wharf, "blobs/sha256"), 3, "{program}");
        let events = wharf.run(&["events", "--since", "1h", "--until", "0s", "--filter", "event=import"]).success();
        assert_eq!(events.lines().count(), 2, "{events}");
    }
}

#[test]
fn a_name_moves_and_what_has_none_gets_one() {
    let (directory, wharf) = wharf();
    let path = directory.path().join("root.tar");
    fs::write(&path, write::layer(&[file("one", b"1")])).expect("a file");
    let path = path.to_string_lossy();
    let first = json(&wharf.run(&["import", "--format", "json", &path, "app"]).success());
    assert_eq!((&first["name"], &first["moved"]), (&json!("docker.io/library/app:latest"), &Value::Null));
    let again = wharf.run(&["import", "--format", "json", "-m", "by hand", &path, "app"]);
    let again = json(&again.success());
    assert_eq!(again["moved"], first["target"]["digest"]);
    assert_eq!(inspected(&wharf, "app")["Comment"], "by hand");
    let nameless = wharf.run(&["import", &path]);
    assert!(nameless.stderr.contains("imported `localhost/imported@sha256:"), "{}", nameless.stderr);
    let id = nameless.success();
    wharf.run(&["tag", id.trim_end(), "mine:1"]).success();
    assert_eq!(inspected(&wharf, "mine:1")["Id"], id.trim_end());
}

/// The fields of a config that an instruction changes.
fn fields(config: &Value) -> Value {
    let names = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "User", "Volumes", "WorkingDir", "StopSignal"];
    names.iter().map(|name| ((*name).to_owned(), config[*name].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn changes_make_the_config_that_docker_and_podman_make() {
    let (directory, wharf) = wharf();
    let at = directory.path();
    fs::write(at.join("root.tar"), write::layer(&[file("one", b"1")])).expect("a file");
    let with = |changes: &[&'static str]| changes.iter().flat_map(|change| ["--change", *change]).collect::<Vec<_>>();
    let path = at.join("root.tar").to_string_lossy().into_owned();
    wharf
        .run(&[&["import", "-q", "--platform", "linux/arm64"][..], &with(&CHANGES), &[&path, "app:1"]].concat())
        .success();
    let image = inspected(&wharf, "app:1");
    let expected = json!({
        "Cmd": ["serve", "--port", "80"], "Entrypoint": ["/bin/sh", "-c", "/bin/app $0"],
        "Env": ["PATH=/bin:/usr/bin", "A=b c", "D=b c and more"], "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Labels": {"maintainer": "me", "a b": "c d", "old": "style"}, "User": "nobody:nogroup",
        "Volumes": {"/data": {}, "/more data": {}, "/logs": {}}, "WorkingDir": "/srv/app", "StopSignal": "SIGQUIT",
    });
    assert_eq!(fields(&image["Config"]), expected);
    assert_eq!((&image["Architecture"], &image["Os"]), (&json!("arm64"), &json!("linux")));

    // podman takes what is written as text for words, knows no quotes, and writes signals as numbers: the rest is compared.
    let plain = [
        "ENV A=b",
        "CMD [\"serve\", \"80\"]",
        "ENTRYPOINT [\"/bin/app\"]",
        "EXPOSE 80",
        "LABEL maintainer=me",
        "USER nobody",
        "VOLUME /data",
        "WORKDIR /srv",
    ];
    wharf.run(&[&["import", "-q"][..], &with(&plain), &[&path, "plain:1"]].concat()).success();
    let storage = ["--root", "podman/storage", "--runroot", "podman/run", "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| tell(at, "podman", &[&storage, arguments].concat());
    podman(&[&["import", "-q"][..], &with(&plain), &["root.tar", "plain:1"]].concat());
    let theirs = json(&podman(&["image", "inspect", "plain:1", "--format", "json"]));
    assert_eq!(fields(&inspected(&wharf, "plain:1")["Config"]), fields(&theirs[0]["Config"]));
    assert_eq!(inspected(&wharf, "plain:1")["RootFS"]["Layers"], theirs[0]["RootFS"]["Layers"]);

    let Some(docker) = Dockerd::start(at) else { return };
    let more = ["ONBUILD RUN make", "HEALTHCHECK --interval=30s --timeout=1m --retries=3 CMD [\"/check\", \"a b\"]"];
    // docker knows no signals there.
    let changes = [&CHANGES[..CHANGES.len() - 1], &more].concat();
    docker.tell(&[&["import", "--platform", "linux/arm64"][..], &with(&changes), &["root.tar", "full:1"]].concat());
    wharf.run(&[&["import", "-q"][..], &with(&changes), &[&path, "full:1"]].concat()).success();
    let (ours, theirs) = (inspected(&wharf, "full:1"), json(&docker.tell(&["image", "inspect", "full:1"]))[0].clone());
    assert_eq!(fields(&ours["Config"]), fields(&theirs["Config"]));
    for name in ["OnBuild", "Healthcheck"] {
        assert_eq!(ours["Config"][name], theirs["Config"][name], "{name}");
    }
    assert_eq!((&ours["Comment"], &ours["RootFS"]["Layers"]), (&theirs["Comment"], &theirs["RootFS"]["Layers"]));
    // And it goes to docker as it is.
    wharf.run(&["save", "-q", "full:1", "-o", &at.join("full.tar").to_string_lossy()]).success();
    docker.tell(&["rmi", "full:1"]);
    docker.tell(&["load", "-i", "full.tar"]);
    assert_eq!(docker.tell(&["image", "inspect", "--format", "{{.Id}}", "full:1"]).trim(), ours["Id"]);
}

#[test]
fn what_cannot_be_imported_leaves_nothing_and_says_why() {
    let good = write::layer(&[directory("etc"), file("etc/a", &[7; 100_000])]);
    let of = |entries: &[Entry]| write::layer(entries);
    let packed = |program| packed(program, &good);
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() * 2 / 3].to_vec();
    let damaged = "its compressed bytes are damaged, or end too early";
    let rows = [
        ("a hard link that leads out", of(&[file("a", b"x"), write::link("b", "../../../etc/passwd")]), "etc/passwd"),
        ("an archive that was cut off", cut(good.clone()), ""),
        ("gzip that was cut off", cut(packed("gzip")), damaged),
        ("zstd that was cut off", cut(packed("zstd")), damaged),
        ("bzip2 that was cut off", cut(packed("bzip2")), damaged),
        ("xz that was cut off", cut(packed("xz")), damaged),
        ("gzip with something after it", [packed("gzip"), b"more".to_vec()].concat(), damaged),
        ("what only begins as gzip", [&b"\x1f\x8b"[..], &good].concat(), damaged),
        ("gzip in xz", super::importing::packed("xz", &packed("gzip")), ""),
        ("no archive", b"no archive at all".repeat(100), ""),
        ("a page", b"<!DOCTYPE html><html></html>".to_vec(), ""),
        ("nothing", Vec::new(), "it is empty"),
    ];
    for (what, bytes, expected) in rows {
        let (directory, wharf) = wharf();
        let path = directory.path().join("archive");
        fs::write(&path, bytes).expect("a file");
        let error = wharf.run(&["import", "--progress", "none", &path.to_string_lossy(), "app:1"]).failure();
        assert!(error.starts_with("error: cannot import the archive") && error.contains(expected), "{what}: {error}");
        assert!(is_untouched(&wharf), "{what}");
    }
    let (directory, wharf) = wharf();
    let at = directory.path().to_string_lossy().into_owned();
    let error = wharf.run(&["import", &at, "app:1"]).failure();
    assert!(error.contains("it is a directory") && error.contains("hint: `tar -C "), "{error}");
    let error = wharf.run(&["import", "/nowhere/root.tar"]).failure();
    assert!(error.contains("No such file or directory"), "{error}");
    let path = directory.path().join("root.tar");
    fs::write(&path, good).expect("a file");
    let error = wharf.run(&["import", "-c", "RUN make", &path.to_string_lossy()]).failure();
    assert!(
        error.contains("because: the change `RUN make` is not usable\n  because: `RUN` changes no config"),
        "{error}"
    );
    assert!(is_untouched(&wharf));
    // A path that leads out, or is absolute, is one below the root, as in docker.
    let outside =
        [("/outside-1", "outside-1"), ("../../outside-2", "outside-2"), ("link/../../outside-3", "outside-3")];
    for (path_there, name) in outside {
        fs::write(&path, of(&[symlink("link", "/etc"), file(path_there, b"x")])).expect("a file");
        wharf.run(&["import", "-q", &path.to_string_lossy(), "app:1"]).success();
        assert_eq!(wharf.run(&["cat", "app:1", &format!("/{name}")]).success(), "x");
        assert!(!Path::new("/").join(name).exists() && !wharf.store().join(name).exists());
        assert!(!directory.path().join(name).exists());
    }
}

#[test]
fn an_archive_is_downloaded_from_an_address_without_a_login() {
    let archive = packed("gzip", &write::layer(&[file("one", &[7; 300_000])]));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    let (length, half) = (archive.len(), archive.len() / 2);
    // The first answer breaks off, and the second one is the rest.
    let serving = thread::spawn(move || {
        let mut requests = Vec::new();
        for part in [0, half] {
            let (mut peer, _) = listener.accept().expect("somebody asks");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                peer.read_exact(&mut byte).expect("a request has an end");
                request.push(byte[0]);
            }
            requests.push(String::from_utf8(request).expect("a request is text"));
            let head = match part {
                0 => format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: \"1\"\r\n\r\n"),
                _ => format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {half}-{}/{length}\r\ncontent-length: {}\r\n\r\n",
                    length - 1,
                    length - half
                ),
            };
            peer.write_all(head.as_bytes()).expect("it is there");
            peer.write_all(if part == 0 { &archive[..half] } else { &archive[half..] }).expect("it is there");
        }
        requests
    });
    let (_directory, wharf) = wharf();
    let login = format!(r#"{{"auths": {{"{address}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#);
    fs::create_dir_all(wharf.home().join(".docker")).expect("a directory");
    fs::write(wharf.home().join(".docker/config.json"), login).expect("a file");
    let url = format!("http://{address}/files/root.tar.gz?key=hidden");
    let imported = json(&wharf.run(&["import", "--format", "json", &url, "app:1"]).success());
    assert_eq!(imported["layer"]["size"], length);
    let requests = serving.join().expect("it was asked twice");
    assert!(requests[0].starts_with("GET /files/root.tar.gz?key=hidden HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[1].to_lowercase().contains(&format!("\r\nrange: bytes={half}-\r\n")), "{requests:?}");
    assert!(requests.iter().all(|request| !request.to_lowercase().contains("authorization")), "{requests:?}");
    let comment = format!("Imported from http://{address}/files/root.tar.gz");
    assert_eq!(inspected(&wharf, "app:1")["Comment"], comment);

    // A registry is a server of files like any other.
    let registry = open_registry();
    let nothing = format!("http://{}/v2/nothing", registry.address());
    let error = wharf.run(&["import", &nothing]).failure();
    assert!(error.contains("answered 404 to `GET /v2/nothing`"), "{error}");
    for (url, expected) in [
        ("http://169.254.169.254/latest", "does not allow"),
        ("https://me:secret@127.0.0.1/a", "it carries a user name"),
        ("file:///etc/passwd", "it is neither `http` nor `https`"),
    ] {
        let error = wharf.run(&["import", url]).failure();
        assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
    }
}

#[test]
fn an_import_is_stopped_while_nothing_more_comes_and_leaves_nothing() {
    let (directory, wharf) = wharf();
    tell(directory.path(), "mkfifo", &["pipe"]);
    let path = directory.path().join("pipe");
    // It has a reader as well, so that nobody waits for the other end.
    let mut pipe = File::options().read(true).write(true).open(&path).expect("a pipe");
    let import = wharf.spawn(&["import", "--progress", "none", &path.to_string_lossy(), "app:1"]);
    // More than a pipe holds: afterwards somebody has read, and listens to Ctrl-C.
    pipe.write_all(&[0; 512 << 10]).expect("somebody reads");
    import.interrupt();
    let output = import.wait(Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
    assert!(output.stderr.contains("nothing is left of it"), "{}", output.stderr);
    assert!(is_untouched(&wharf));
    assert_eq!(json(&wharf.run(&["ingest", "ls", "--format", "json"]).success()), json!([]));
}
