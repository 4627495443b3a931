//! containerd's `hosts.toml`.

use super::{Memory, rules, sites};

const FILE: &str = "/etc/containerd/certs.d/docker.io/hosts.toml";

fn docker_io(text: &str) -> Memory {
    Memory::of(&[(FILE, text)])
}

#[test]
fn hosts_are_asked_in_the_order_of_the_file_and_the_server_last() {
    let files = docker_io(
        r#"
        server = "https://registry-1.docker.io"
        [host."https://z.lan"]
          capabilities = ["pull"]
        [host."https://a.lan:5000/proxy/"]
          capabilities = ["Pull", "resolve"]
        [host."https://a.lan:5000/proxy/".header]
          x-team = "a"
        [host."https://m.lan/v2"]
        [host."https://n.lan/api/registry"]
          override_path = true
        [host."http://plain.lan:8080"]
        "#,
    );
    let excerpt = files.about("alpine").expect("the file is well");
    assert_eq!(
        rules(&excerpt),
        [
            r#""docker.io": /etc/containerd/certs.d/docker.io/hosts.toml"#,
            "mirror https://z.lan/v2 p ns",
            "mirror https://a.lan:5000/proxy/v2 rp ns",
            "mirror https://m.lan/v2 rpP ns",
            "mirror https://n.lan/api/registry rpP ns",
            "mirror http://plain.lan:8080/v2 rpP ns",
            "self https://registry-1.docker.io/v2 rpP ns",
        ]
    );
    assert_eq!(sites(&excerpt), ["http://plain.lan:8080", "https://a.lan:5000 x-team=a"]);
    assert_eq!(excerpt.warnings, [""; 0]);
}

#[test]
fn servers_are_written_in_several_ways() {
    for (server, expected) in [
        ("", None),
        ("https://docker.io", Some("self https://registry-1.docker.io/v2 rpP ns")),
        ("index.docker.io", Some("self https://registry-1.docker.io/v2 rpP ns")),
        ("mirror.lan:5000", Some("self https://mirror.lan:5000/v2 rpP ns")),
        ("http://mirror.lan", Some("self http://mirror.lan/v2 rpP ns")),
        ("https://MIRROR.lan:443/", Some("self https://mirror.lan:443/v2 rpP ns")),
        ("https://[0::1]:5000/a//b/", Some("self https://[::1]:5000/a/b/v2 rpP ns")),
    ] {
        let excerpt = docker_io(&format!("server = \"{server}\"\n")).about("alpine").expect(server);
        assert_eq!(rules(&excerpt).get(1).map(String::as_str), expected, "{server}");
    }
}

/// Each origin has its own settings, and the top of the file is the server's, or the registry's own.
#[test]
fn settings_belong_to_one_origin() {
    let text = |server: &str| {
        format!(
            r#"
            {server}
            ca = "ca.pem"
            skip_verify = false
            [header]
              authorization = "Bearer top"
            [host."https://mirror.lan"]
              ca = ["/certs/one.pem", "two.pem"]
              client = [["pair/a.cert", "pair/a.key"], ["more.pem", ""]]
              skip_verify = true
              dial_timeout = "1m30s"
              header = {{ x-a = ["1", "2"], X-B = "3" }}
            [host."https://other.lan"]
              client = "both.pem"
            [host."http://plain.lan"]
              header = {{ x-c = "4" }}
            "#
        )
    };
    let directory = "/etc/containerd/certs.d/docker.io";
    for (server, top) in [("", "https://registry-1.docker.io"), ("server = 'https://up.lan'", "https://up.lan")] {
        let mut files = docker_io(&text(server));
        for (file, content) in [
            (format!("{directory}/ca.pem"), "TOP"),
            ("/certs/one.pem".to_owned(), "ONE"),
            (format!("{directory}/two.pem"), "TWO"),
            (format!("{directory}/pair/a.cert"), "CERT"),
            (format!("{directory}/pair/a.key"), "KEY"),
            (format!("{directory}/more.pem"), "MORE"),
            (format!("{directory}/both.pem"), "BOTH"),
        ] {
            files.files.insert(file.into(), content.into());
        }
        let excerpt = files.about("docker.io/library/alpine").expect("the files are well");
        assert_eq!(
            sites(&excerpt),
            [
                "http://plain.lan x-c=4".to_owned(),
                "https://mirror.lan unverified ca=ONE+TWO client=CERT/KEY x-a=1 x-a=2 x-b=3 90s".to_owned(),
                "https://other.lan client=BOTH/BOTH".to_owned(),
                format!("{top} ca=TOP authorization=Bearer top"),
            ]
        );
        assert_eq!(
            excerpt.warnings,
            [format!("of 2 certificates of the client the first is used, `{directory}/pair/a.cert`")]
        );
    }
}

/// containerd does so where the port leaves it open, as in its own example of `skip_verify`.
#[test]
fn a_host_without_tls_that_has_settings_for_it_is_asked_by_tls_first() {
    for (host, expected) in [
        (
            "http://192.168.31.250:5000",
            &["mirror https://192.168.31.250:5000/v2 rpP ns", "mirror http://192.168.31.250:5000/v2 rpP ns"][..],
        ),
        ("http://mirror.lan:80", &["mirror http://mirror.lan:80/v2 rpP ns"]),
        ("https://mirror.lan", &["mirror https://mirror.lan/v2 rpP ns"]),
    ] {
        let excerpt = docker_io(&format!("[host.\"{host}\"]\nskip_verify = true\n")).about("alpine").expect(host);
        assert_eq!(rules(&excerpt)[1..], *expected, "{host}");
        for site in &excerpt.sites {
            assert_eq!(site.skip_verify, site.origin.is_secure(), "{host}: {site:?}");
        }
        assert_eq!(excerpt.sites.len(), expected.len(), "{host}");
    }
}

#[test]
fn the_directory_of_a_registry_is_found_by_its_name_and_port() {
    for (directory, reference, found) in [
        ("docker.io", "alpine", true),
        ("docker.io", "index.docker.io/library/alpine", true),
        ("docker.io", "ghcr.io/docker.io", false),
        ("lan:5000", "lan:5000/app", true),
        ("lan_5000_", "lan:5000/app", true),
        ("lan", "lan:5000/app", false),
        ("lan:5000", "lan.example/lan:5000", false),
        ("[::1]_5000_", "[::1]:5000/app", true),
        ("_default", "ghcr.io/org/app", true),
        ("..", "../etc/passwd", false),
        ("evil@host", "evil@host/app", false),
    ] {
        let file = format!("/etc/containerd/certs.d/{directory}/hosts.toml");
        let files = Memory::of(&[(&file, "[host.\"https://mirror.lan\"]\n")]);
        let excerpt = files.about(reference).expect("the file is well");
        assert_eq!(excerpt.sources.contains(&file), found, "{directory} for {reference}");
    }
}

#[test]
fn the_default_is_for_every_registry_and_less_specific_than_any_other() {
    let files = Memory::of(&[
        ("/etc/containerd/certs.d/_default/hosts.toml", "[host.\"https://mirror.lan\"]\n"),
        ("/etc/containerd/certs.d/ghcr.io/hosts.toml", "[host.\"https://ghcr.lan\"]\n"),
    ]);
    let every = r#""": /etc/containerd/certs.d/_default/hosts.toml"#;
    assert_eq!(
        rules(&files.about("ghcr.io/org/app").expect("the files are well")),
        [
            r#""ghcr.io": /etc/containerd/certs.d/ghcr.io/hosts.toml"#,
            "mirror https://ghcr.lan/v2 rpP ns",
            every,
            "mirror https://mirror.lan/v2 rpP ns",
        ]
    );
    let other = rules(&files.about("quay.io/org/app").expect("the files are well"));
    assert_eq!(other, [every, "mirror https://mirror.lan/v2 rpP ns"]);
}

/// It may not be readable, and what is in it is nobody's business now.
#[test]
fn directories_of_other_registries_are_not_read() {
    let files = Memory::of(&[
        ("/etc/containerd/certs.d/lan/hosts.toml", "this is not TOML"),
        ("/etc/docker/certs.d/other.lan/client.cert", "CERT"),
        ("/etc/docker/certs.d/other.lan/client.key", "KEY"),
    ])
    .deny("/etc/docker/certs.d/other.lan");
    let excerpt = files.about("alpine").expect("nothing concerns it");
    assert_eq!((rules(&excerpt), sites(&excerpt), excerpt.warnings), (vec![], vec![], vec![]));
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    for (text, expected) in [
        ("server = \"https://a.lan\"\n[host.\n", ", line 2, column 7: it is not TOML: "),
        ("server = 1\n", ", line 1, column 10: `server` has to be a text"),
        ("server = 'ftp://a.lan'\n", ", line 1, column 10: `https://ftp://a.lan` names no host"),
        ("[host.\"a.lan\"]\n", ", line 1, column 1: `a.lan` has no scheme, as in `https://mirror.example.com`"),
        ("[host.\"ftp://a.lan\"]\n", ", line 1, column 1: `ftp://a.lan` begins with neither `https://` nor `http://`"),
        ("[host.\"https://a.lan?x\"]\n", ", line 1, column 1: `https://a.lan?x` has a query or a fragment"),
        ("[host.\"https://a.lan/../b\"]\n", ", line 1, column 1: `https://a.lan/../b` has a path that is none"),
        ("[host.\"https://a b\"]\n", ", line 1, column 1: `https://a b` names no host"),
        ("host = 3\n", ", line 1, column 8: `host` has to be a table"),
        ("\n\ncapabilities = ['pull', 'fetch']\n", ", line 3, column 25: a capability is `pull`, `resolve` or `push`"),
        ("capabilities = 'pull'\n", ", line 1, column 16: `capabilities` has to be a list"),
        ("ca = 1\n", ", line 1, column 6: `ca` has to be a text or a list of texts"),
        ("ca = [['a']]\n", ", line 1, column 6: `ca` has to be a text or a list of texts"),
        (
            "client = true\n",
            ", line 1, column 10: `client` has to be a file, a list of files, or a list of pairs of files",
        ),
        (
            "client = [['a']]\n",
            ", line 1, column 10: `client` has to be a file, a list of files, or a list of pairs of files",
        ),
        ("skip_verify = 'yes'\n", ", line 1, column 15: `skip_verify` has to be `true` or `false`"),
        ("dial_timeout = 5\n", ", line 1, column 16: `dial_timeout` has to be a text"),
        ("dial_timeout = '5'\n", ", line 1, column 16: `dial_timeout` has to be a time with its unit, as in `10s`"),
        ("dial_timeout = '-5s'\n", ", line 1, column 16: `dial_timeout` has to be a time with its unit, as in `10s`"),
        ("header = { 'a b' = 'c' }\n", ", line 1, column 20: `a b` is no name of a header"),
        ("skip_verify = true\nskip_verify = true\n", ", line 2, column 1: it is not TOML: duplicate key"),
    ] {
        let refusal = docker_io(text).refusal("alpine");
        let expected = format!("`{FILE}`{expected}");
        assert!(refusal.starts_with(&expected), "{text:?}\n{refusal}\n{expected}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    for (text, expected) in [
        ("ca = 'ca.pem'\n", "cannot read `/etc/containerd/certs.d/docker.io/ca.pem`: there is no such file"),
        ("client = '/root/k'\n", "cannot read `/root/k`: permission denied"),
        ("[host.\"https://a.lan\"]\nca = '/large'\n", "`/large` is larger than 1048576 bytes"),
    ] {
        let mut files = docker_io(text).deny("/root");
        files.files.insert("/large".into(), vec![b' '; 1024 * 1024 + 1]);
        assert_eq!(files.refusal("alpine"), expected);
    }
    let mut files = docker_io("");
    files.files.insert(FILE.into(), vec![b'\n'; 1024 * 1024 + 1]);
    assert_eq!(files.refusal("alpine"), format!("`{FILE}` is larger than 1048576 bytes"));
    files.files.insert(FILE.into(), vec![b'#', 0xff]);
    assert_eq!(files.refusal("alpine"), format!("`{FILE}`: it is not text in UTF-8"));
}

#[test]
fn what_is_not_known_is_left_out_with_a_warning() {
    let files = docker_io(
        "skip-verify = true\nproxy = 'http://user:secret@proxy.lan'\n[host.\"https://a.lan\"]\nplugins = {}\nproxy = ''\n",
    );
    let excerpt = files.about("alpine").expect("the rest is well");
    assert_eq!(
        excerpt.warnings,
        [
            format!("`{FILE}`, line 1: `skip-verify` is not known, and left out"),
            format!("`{FILE}`, line 2: `proxy` is not supported; proxies are those of the environment"),
            format!("`{FILE}`, line 4: `plugins` is not known, and left out"),
            format!("`{FILE}`, line 5: `proxy` is not supported; proxies are those of the environment"),
        ]
    );
    assert_eq!(sites(&excerpt), [""; 0]);
}

#[test]
fn secrets_stand_in_sites_and_nowhere_else() {
    const CANARY: &str = "canary-5f3a";
    let well = format!(
        "[host.\"https://a.lan\"]\nclient = 'pair.pem'\n[host.\"https://a.lan\".header]\nauthorization = 'Basic {CANARY}'\n"
    );
    let mut files = docker_io(&well);
    files.files.insert("/etc/containerd/certs.d/docker.io/pair.pem".into(), CANARY.into());
    let configuration = files.read().expect("the files are well");
    let excerpt = configuration.about(&files, "alpine").expect("the files are well");
    let planted = excerpt.sites.iter().filter(|site| {
        let header = site.headers.get("authorization").and_then(|value| value.to_str().ok());
        header == Some(&format!("Basic {CANARY}"))
            && site.identity.as_ref().is_some_and(|pair| pair.key == CANARY.as_bytes())
    });
    assert_eq!(planted.count(), 1, "the canary is there");
    let shown = format!("{excerpt:?} {configuration:?} {:?}", excerpt.rules);
    assert!(!shown.contains(CANARY) && !shown.contains(&format!("{:?}", CANARY.as_bytes())), "{shown}");

    for text in [
        format!("header = {{ a = '{CANARY}\n"),
        format!("header = {{ a = '{CANARY}' "),
        format!("header = {{ a = \"{CANARY}\\u0000\" }}\n"),
        format!("header = '{CANARY}'\n"),
        format!("header = {{ a = [['{CANARY}']] }}\n"),
        format!("[header]\na = '{CANARY}'\na = '{CANARY}'\n"),
        format!("server = 'https://user:{CANARY}@a.lan'\n"),
        format!("[host.\"https://{CANARY}@a.lan\"]\n"),
        format!("[host.\"ftp://user:{CANARY}@a.lan\"]\n"),
        format!("client = '{CANARY}"),
    ] {
        let error = docker_io(&text).about("alpine").expect_err("it is not well");
        let told = format!("{error} {error:?}");
        assert!(!told.contains(CANARY), "{text:?}: {told}");
    }
}
