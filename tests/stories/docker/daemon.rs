//! `wharf serve` beside docker's own daemon: the same requests about the same images, answer by answer. What differs is
//! listed, with the reason; anything else that differs fails.

use super::{fields, served};
use crate::support::dockerd::Dockerd;
use crate::support::engine_api::{Reply, request};
use crate::support::ordered;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What docker's daemon tells and wharf does not, or tells otherwise, with the reason.
const OTHERWISE: [(&str, &str); 7] = [
    ("Size", "what is stored, compressed; docker's older store counts the files of the trees"),
    ("VirtualSize", "as `Size`"),
    ("GraphDriver", "where trees are is nobody's matter beyond the host"),
    ("LastTagTime", "each has tagged it at its own time"),
    ("RepoDigests", "docker forgets the digest of what it has loaded, wharf knows it"),
    ("Created", "a step without a time has 0 here, and the year 1 there"),
    ("Id", "only the first step of a history is an image here; docker keeps no others either"),
];

/// The names of all fields, with where they are.
fn shape(value: &Value, at: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !OTHERWISE.iter().any(|(name, _)| at.ends_with(&format!(".{name}"))) => {
            for (name, value) in map {
                names.insert(format!("{at}.{name}"));
                shape(value, &format!("{at}.{name}"), names);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| shape(value, &format!("{at}[]"), names)),
        _ => {}
    }
}

/// What docker's daemon tells of itself and wharf does not, with the reason.
const LEFT_OUT: [(&str, &str); 8] = [
    (".BuildTime", "wharf is built again byte for byte, and has no time"),
    (".Components[].Details.BuildTime", "as above"),
    (".Components[].Details.Experimental", "docker's own switch"),
    (".Components[].Details.GitCommit", "wharf has a version and no commit in it"),
    (".Components[].Details.GoVersion", "wharf is not written in Go"),
    (".KernelMemoryTCP", "docker leaves it out where it is false, too"),
    (".CgroupVersion", "wharf has no containers, and no control groups"),
    (".Runtimes.", "wharf has none, so that nothing stands below the name"),
];

/// Compares the order in which both name what both name, and returns the names that one has and the other has not.
#[track_caller]
fn in_the_same_order(ours: &Reply, theirs: &Reply, target: &str) -> [Vec<String>; 2] {
    let (ours, theirs) = (ordered::fields(&ours.text()), ordered::fields(&theirs.text()));
    let both = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).cloned().collect()
    };
    assert_eq!(both(&ours, &theirs), both(&theirs, &ours), "{target}");
    let only =
        |names: Vec<String>, others: &[String]| names.into_iter().filter(|name| !others.contains(name)).collect();
    [only(ours.clone(), &theirs), only(theirs, &ours)]
}

/// Takes away what is known to differ.
fn compared(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|name, _| !OTHERWISE.iter().any(|(known, _)| known == name));
            map.values_mut().for_each(|value| *value = compared(value.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| *value = compared(value.take())),
        _ => {}
    }
    value
}

#[test]
fn what_is_here_is_told_as_by_dockers_daemon() {
    let (registry, directory, wharf, serving) = served();
    let at = directory.path();
    let Some(dockerd) = Dockerd::start(at) else { return };
    let name = format!("{}/app:1", registry.address());
    wharf.run(&["pull", "-q", &name]).success();
    let both = |method: &str, target: &str, body: &[u8]| -> (Reply, Reply) {
        let target = format!("/v1.41{target}");
        let headers = [("content-type", "application/x-tar")];
        (
            request(serving.socket(), method, &target, &headers, body),
            request(&dockerd.socket(), method, &target, &headers, body),
        )
    };
    let archive = serving.get(&format!("/images/{name}/get")).body;
    let (ours, theirs) = both("POST", "/images/load?quiet=1", &archive);
    assert_eq!((ours.status, fields(&ours.lines(), "stream")), (theirs.status, fields(&theirs.lines(), "stream")));
    let rows = [
        "/images/json".to_owned(),
        format!("/images/json?filters=%7B%22reference%22%3A%5B%22{}%2F*%22%5D%7D", registry.address()),
        format!("/images/{name}/json"),
        format!("/images/{name}/history"),
    ];
    for target in rows {
        let (ours, theirs) = both("GET", &target, b"");
        assert_eq!(ours.header("content-type"), theirs.header("content-type"), "{target}");
        in_the_same_order(&ours, &theirs, &target);
        let (ours, theirs) = (ours.json(200), theirs.json(200));
        let [mut our_names, mut their_names] = [BTreeSet::new(), BTreeSet::new()];
        shape(&ours, "", &mut our_names);
        shape(&theirs, "", &mut their_names);
        assert_eq!(our_names, their_names, "{target}");
        assert_eq!(compared(ours), compared(theirs), "{target}");
    }
    for target in ["/version", "/info", "/system/df"] {
        let (ours, theirs) = both("GET", target, b"");
        assert_eq!((ours.status, ours.header("content-type")), (theirs.status, theirs.header("content-type")));
        let [more, less] = in_the_same_order(&ours, &theirs, target);
        let less: Vec<_> =
            less.iter().filter(|name| LEFT_OUT.iter().all(|(known, _)| !name.starts_with(known))).collect();
        assert!(more.is_empty() && less.is_empty(), "{target}: more {more:?}, less {less:?}");
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Nothing,
    /// A login for the registry, or for a push the words that there is none.
    Login,
    /// A root file system.
    Root,
    /// What `GET /images/get` of the image has told.
    Saved,
    /// No archive, no JSON.
    Noise,
}

use Sent::{Login, Noise, Nothing, Root, Saved};

/// What is asked of both, one after the other. `REGISTRY` has `app:1`; `OWN` is a repository of each server's own there.
const ROWS: &[(&str, &str, Sent)] = &[
    ("GET", "/_ping", Nothing),
    ("HEAD", "/_ping", Nothing),
    ("POST", "/images/create?fromImage=REGISTRY/app&tag=1", Login),
    ("POST", "/images/create?fromImage=REGISTRY/app&tag=1", Nothing),
    ("POST", "/images/create?fromImage=REGISTRY/app:1", Nothing),
    ("POST", "/images/create?fromImage=REGISTRY/app&tag=none", Nothing),
    ("POST", "/images/create?fromImage=REGISTRY/nothing&tag=1", Nothing),
    ("POST", "/images/create?fromImage=UPPER&tag=1", Nothing),
    ("POST", "/images/create?fromImage=REGISTRY/app&tag=1&platform=a/b/c/d", Nothing),
    ("POST", "/images/create?fromSrc=-&repo=made&tag=1&message=hello&changes=CMD%20ls", Root),
    ("POST", "/images/create?fromSrc=-", Root),
    ("POST", "/images/create?fromSrc=-&repo=made&changes=RUN%20ls", Root),
    ("POST", "/images/create?fromSrc=-&repo=UPPER", Root),
    ("GET", "/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D", Nothing),
    ("GET", "/images/json?filters=%7B%22dangling%22%3A%5B%22maybe%22%5D%7D", Nothing),
    ("GET", "/images/json?filters=%7B%22before%22%3A%5B%22nothing%22%5D%7D", Nothing),
    ("GET", "/images/json?filters=%7B%22label%22%3A%5B%22nobody%22%5D%7D", Nothing),
    ("GET", "/images/json?filters=%7B%22color%22%3A%5B%22red%22%5D%7D", Nothing),
    ("GET", "/images/made:1/json", Nothing),
    ("GET", "/images/made:1/history", Nothing),
    ("GET", "/images/made:2/json", Nothing),
    ("GET", "/images/made:2/history", Nothing),
    ("GET", "/images/sha256:00/json", Nothing),
    ("GET", "/images/UPPER/json", Nothing),
    ("GET", "/distribution/REGISTRY/app:1/json", Nothing),
    ("GET", "/distribution/REGISTRY/nothing:1/json", Nothing),
    ("GET", "/distribution/UPPER/json", Nothing),
    ("POST", "/images/REGISTRY/app:1/tag?repo=OWN&tag=2", Nothing),
    ("POST", "/images/REGISTRY/app:1/tag?repo=OWN&tag=3", Nothing),
    ("POST", "/images/REGISTRY/app:1/tag?repo=other", Nothing),
    ("POST", "/images/nothing/tag?repo=other", Nothing),
    ("POST", "/images/REGISTRY/app:1/tag?repo=UPPER", Nothing),
    ("POST", "/images/REGISTRY/app:1/tag?repo=other&tag=@@", Nothing),
    ("POST", "/images/OWN/push?tag=2", Login),
    ("POST", "/images/OWN/push?tag=2", Login),
    ("POST", "/images/OWN/push?tag=4", Login),
    ("GET", "/images/nothing/get", Nothing),
    ("GET", "/images/get?names=nothing", Nothing),
    ("POST", "/images/load", Noise),
    ("POST", "/images/load", Root),
    ("POST", "/images/load?quiet=1", Saved),
    ("POST", "/auth", Login),
    ("POST", "/auth", Noise),
    ("GET", "/events?since=0&until=1", Nothing),
    ("DELETE", "/images/nothing", Nothing),
    ("DELETE", "/images/UPPER", Nothing),
    ("DELETE", "/images/made:1", Nothing),
    ("DELETE", "/images/OWN:2", Nothing),
    ("DELETE", "/images/OWN:3", Nothing),
    ("POST", "/images/prune", Nothing),
    ("POST", "/images/prune?filters=%7B%22color%22%3A%5B%22red%22%5D%7D", Nothing),
    ("DELETE", "/images/other", Nothing),
    ("DELETE", "/images/REGISTRY/app:1", Nothing),
    ("GET", "/images/json", Nothing),
];

/// Where wharf answers something else: what is asked, its lines, docker's, and why.
type Difference = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

const CLIENTS_FAULT: &str =
    "a name that is none, or no JSON, is the client's mistake, and docker 20.10 takes it for its own";
const LATE: &str = "docker has begun to answer when it looks";
const DIGESTS: &str =
    "docker 20.10 knows no digest of what was made here or has another name only; wharf has one of every image";

const DIFFERENCES: &[Difference] = &[
    ("GET /images/made:1/json", &[".DockerVersion=\"\""], &[".DockerVersion=\"VERSION\""], "no docker has made it"),
    (
        "GET /distribution/REGISTRY/app:1/json",
        &[".Platforms[].architecture=\"amd64\"", ".Platforms[].os=\"linux\""],
        &[".Platforms=null"],
        "docker 20.10 does not look into the config of an OCI image",
    ),
    ("POST /images/REGISTRY/app:1/tag?repo=UPPER", &["400"], &["500"], CLIENTS_FAULT),
    ("POST /images/REGISTRY/app:1/tag?repo=other&tag=@@", &["400"], &["500"], CLIENTS_FAULT),
    (
        "POST /images/OWN/push?tag=2",
        &["Mounted from another repository", "Mounted from another repository"],
        &["Mounted from app", "Mounted from app"],
        "an upload does not say where it was mounted from",
    ),
    (
        "POST /images/OWN/push?tag=4",
        &["404", ".message"],
        &["200", "The push refers to repository [OWN]", "an error"],
        LATE,
    ),
    ("POST /images/load", &["400", ".message"], &["200", "an error"], LATE),
    ("POST /images/load", &["400", ".message"], &["200", "an error"], LATE),
    ("POST /auth", &["400"], &["500"], CLIENTS_FAULT),
    ("DELETE /images/made:1", &["[].Untagged=\"made@DIGEST\""], &[], DIGESTS),
    ("POST /images/prune", &[".ImagesDeleted[].Untagged=\"localhost/imported@DIGEST\""], &[], DIGESTS),
    ("DELETE /images/other", &["[].Untagged=\"other@DIGEST\""], &[], DIGESTS),
];

/// An answer in lines, without what is each server's own: digests of what it makes, sizes, times, and its words.
fn lines(reply: &Reply) -> Vec<String> {
    let kind = reply.header("content-type").unwrap_or_default();
    let mut lines = vec![reply.status.to_string(), kind.to_owned()];
    let text = reply.text();
    let documents: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    match documents {
        Ok(documents)
            if documents.iter().all(|one| ["status", "error", "aux"].iter().any(|name| !one[name].is_null())) =>
        {
            lines.extend(told(&documents));
        }
        Ok(documents) if !documents.is_empty() => {
            for document in documents {
                leaves(&compared(document), "", &mut lines);
            }
        }
        _ => lines.push(text),
    }
    lines
}

/// What a growing answer says: nothing of how far something has got, of which each server tells another part, and of
/// layers without which they are, because here a blob gives its name and there a DiffID.
fn told(documents: &[Value]) -> Vec<String> {
    const PROGRESS: [&str; 5] = ["Downloading", "Extracting", "Waiting", "Pushing", "Verifying Checksum"];
    let (mut layers, mut lines) = (Vec::new(), Vec::new());
    for document in documents {
        match (document["status"].as_str(), document["id"].as_str()) {
            (Some(status), Some(id)) if id.len() == 12 => layers.push(status.to_owned()),
            (Some(status), _) => lines.push(shown(status)),
            _ if document["aux"].is_object() => leaves(&compared(document["aux"].clone()), "aux", &mut lines),
            _ => lines.push("an error".to_owned()),
        }
    }
    layers.retain(|status| !PROGRESS.contains(&status.as_str()));
    layers.sort();
    layers.append(&mut lines);
    layers
}

/// The values of a document, with where they are.
fn leaves(value: &Value, at: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| leaves(value, &format!("{at}.{name}"), lines)),
        Value::Array(list) if !list.is_empty() => {
            list.iter().for_each(|value| leaves(value, &format!("{at}[]"), lines));
        }
        _ if at == ".message" => lines.push(at.to_owned()),
        _ if at.ends_with("SpaceReclaimed") => {}
        _ => lines.push(format!("{at}={}", shown(&value.to_string()))),
    }
}

/// A text without digests and sizes.
fn shown(text: &str) -> String {
    let pieces: Vec<&str> = text.split("sha256:").collect();
    let rest = pieces[1..].iter().map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    let text = pieces[..1].iter().copied().chain(rest).collect::<Vec<_>>().join("DIGEST");
    match text.rsplit_once(" size: ") {
        Some((before, _)) => format!("{before} size: SIZE"),
        None if text.contains("+dfsg") => "\"VERSION\"".to_owned(),
        None => text,
    }
}

/// What only the first has, and what only the second has.
fn apart(mut ours: Vec<String>, mut theirs: Vec<String>) -> (Vec<String>, Vec<String>) {
    ours.retain(|line| match theirs.iter().position(|other| other == line) {
        Some(at) => {
            theirs.remove(at);
            false
        }
        None => true,
    });
    (ours, theirs)
}

#[test]
fn requests_are_answered_as_by_dockers_daemon() {
    let (registry, directory, _, serving) = served();
    let Some(dockerd) = Dockerd::start(directory.path()) else { return };
    let address = registry.address().to_string();
    let login = json!({"username": "ann", "password": "lighthouse", "serveraddress": address}).to_string();
    let root = root();
    let docker_socket = dockerd.socket();
    let mut different = Vec::new();
    let mut saved = [Vec::new(), Vec::new()];
    for (method, target, sent) in ROWS {
        let [ours, theirs] =
            [(serving.socket(), "ours", 0), (&docker_socket, "theirs", 1)].map(|(socket, name, at)| {
                let own = format!("{address}/{name}");
                let full = format!("/v1.41{}", target.replace("REGISTRY", &address).replace("OWN", &own));
                let (kind, body) = match sent {
                    Nothing => ("text/plain", &b""[..]),
                    Login => ("application/json", login.as_bytes()),
                    Root => ("application/x-tar", &root[..]),
                    Saved => ("application/x-tar", &saved[at][..]),
                    Noise => ("application/x-tar", &b"noise"[..]),
                };
                let kind = if *target == "/auth" { "application/json" } else { kind };
                let headers = [("content-type", kind), ("x-registry-auth", "e30=")];
                let reply = request(socket, method, &full, &headers, body);
                if target.starts_with("/images/create?fromImage=REGISTRY/app:1") {
                    let name = format!("/v1.41/images/{address}/app:1/get");
                    saved[at] = request(socket, "GET", &name, &[], b"").body;
                }
                (reply, own)
            });
        let row = format!("{method} {target}");
        if ours.0.status < 300 && theirs.0.text().starts_with(['{', '[']) && ours.0.text().lines().count() == 1 {
            in_the_same_order(&ours.0, &theirs.0, &row);
        }
        let plain = |(reply, own): (Reply, String)| -> Vec<String> {
            lines(&reply).iter().map(|line| line.replace(&own, "OWN").replace(&address, "REGISTRY")).collect()
        };
        let (ours, theirs) = apart(plain(ours), plain(theirs));
        if !ours.is_empty() || !theirs.is_empty() {
            different.push((row, ours, theirs));
        }
    }
    let listed = DIFFERENCES.iter().map(|(row, ours, theirs, _)| {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        ((*row).to_owned(), owned(ours), owned(theirs))
    });
    assert_eq!(different, listed.collect::<Vec<_>>(), "the differences are those that are listed");
}

/// The archive of a root file system.
fn root() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    tar.append_data(&mut header, "hello", &b"hi\n"[..]).expect("memory takes it");
    tar.into_inner().expect("memory takes it")
}
