//! podman's `registries.conf` and its drop-ins.

use super::{Memory, rules, sites};

const FILE: &str = "/etc/containers/registries.conf";

fn conf(text: &str) -> Memory {
    Memory::of(&[(FILE, text)])
}

fn told(text: &str, reference: &str) -> (Vec<String>, Vec<String>) {
    let excerpt = conf(text).about(reference).unwrap_or_else(|error| panic!("{reference}: {error}"));
    (rules(&excerpt), sites(&excerpt))
}

#[test]
fn mirrors_are_asked_before_the_location() {
    let text = r#"unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.lan:5000/proxy/docker/"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "10.0.0.1"
insecure = true
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "all.lan"
"#;
    let (rules, sites) = told(text, "alpine");
    assert_eq!(
        rules,
        [
            r#""docker.io": /etc/containers/registries.conf:2"#,
            r#"mirror https://mirror.lan:5000/v2 path="proxy/docker" rp digests"#,
            "mirror https://10.0.0.1/v2 rp tags",
            "mirror http://10.0.0.1/v2 rp tags",
            "mirror https://all.lan/v2 rp",
        ]
    );
    assert_eq!(sites, ["http://10.0.0.1", "https://10.0.0.1 unverified"]);
}

#[test]
fn a_table_says_where_references_are() {
    for (table, reference, expected) in [
        ("location = 'quay.io'", "quay.io/a", &[r#""quay.io""#][..]),
        ("location = 'quay.io'\nblocked = true", "quay.io/a", &[r#""quay.io" blocked"#]),
        (
            "location = 'lan:5000'\ninsecure = true",
            "lan:5000/a",
            &[r#""lan:5000""#, "self https://lan:5000/v2 rpP", "self http://lan:5000/v2 rpP"],
        ),
        (
            "prefix = 'example.com/foo'\nlocation = 'internal.lan/bar'",
            "example.com/foo/a",
            &[r#""example.com/foo""#, r#"self https://internal.lan/v2 path="bar" rpP"#],
        ),
        (
            "prefix = 'docker.io/library'\nlocation = 'example.com'",
            "alpine",
            &[r#""docker.io/library""#, r#"self https://example.com/v2 path="" rpP"#],
        ),
        (
            "prefix = 'docker.io/library'\nlocation = 'example.com/library'",
            "alpine",
            &[r#""docker.io/library""#, "self https://example.com/v2 rpP"],
        ),
        ("prefix = 'docker.io/library'\nlocation = 'docker.io/library'", "alpine", &[r#""docker.io/library""#]),
        (
            "prefix = 'docker.io/old'\nlocation = 'docker.io/new'",
            "old/app",
            &[r#""docker.io/old""#, r#"self https://registry-1.docker.io/v2 path="new" rpP"#],
        ),
        (
            "prefix = 'lan:5000/app:v1'\nlocation = 'b.lan/app'",
            "lan:5000/app:v1",
            &[r#""lan:5000/app:v1""#, "self https://b.lan/v2 rpP"],
        ),
        (
            "prefix = '*.example.com'\ninsecure = true",
            "a.b.example.com:5000/app",
            &[
                r#""*.example.com""#,
                "self https://a.b.example.com:5000/v2 rpP",
                "self http://a.b.example.com:5000/v2 rpP",
            ],
        ),
        ("prefix = '*.example.com'\nblocked = true", "a.example.com/app", &[r#""*.example.com" blocked"#]),
        (
            "prefix = '*.io'\nlocation = 'example.com'",
            "docker.io/library/alpine",
            &[r#""*.io""#, "self https://example.com/v2 rpP"],
        ),
        // The port is no part of the domain, so that it stays.
        (
            "prefix = '*.sub.example.io'\nlocation = 'example.com'",
            "a.sub.example.io:5000/app",
            &[r#""*.sub.example.io""#, "self https://example.com:5000/v2 rpP"],
        ),
        ("location = 'quay.io'\nblocked = true", "quay.io.evil.example/a", &[]),
        ("location = 'quay.io'\nblocked = true", "quay.io:5000/a", &[]),
        ("prefix = '*.example.com'\nblocked = true", "example.com/a", &[]),
    ] {
        let (mut rules, _) = told(&format!("[[registry]]\n{table}\n"), reference);
        for rule in &mut rules {
            *rule = rule.trim_end_matches(": /etc/containers/registries.conf:1").to_owned();
        }
        assert_eq!(rules, expected, "{table}\n{reference}");
    }
}

#[test]
fn by_digest_only_is_for_all_mirrors_of_a_registry() {
    let text = "[[registry]]\nlocation = 'a.lan'\nmirror-by-digest-only = true\nmirror = [{ location = 'b.lan' }]\n";
    assert_eq!(told(text, "a.lan/app").0[1..], ["mirror https://b.lan/v2 rp digests"]);
}

#[test]
fn drop_ins_are_read_by_name_after_the_file() {
    let table =
        |mirror: &str| format!("[[registry]]\nlocation = 'a.lan'\n[[registry.mirror]]\nlocation = '{mirror}'\n");
    let (file, first, second) = (table("file.lan"), table("first.lan"), table("second.lan"));
    let d = "/etc/containers/registries.conf.d";
    let user = "/home/ann/.config/containers/registries.conf";
    let (zero, one, two, user_d) =
        (format!("{d}/00.conf"), format!("{d}/10.conf"), format!("{d}/20.conf.bak"), format!("{user}.d/50.conf"));
    for (files, expected) in [
        (&[(FILE, &file)][..], Some("file.lan")),
        (&[(FILE, &file), (&zero, &first)], Some("first.lan")),
        (&[(FILE, &file), (&one, &first), (&zero, &second)], Some("first.lan")),
        (&[(&zero, &first), (&two, &second)], Some("first.lan")),
        // A user's drop-ins are added; a user's file takes the place of all that the system has.
        (&[(FILE, &file), (&one, &first), (&user_d, &second)], Some("second.lan")),
        (&[(FILE, &file), (&one, &first), (user, &second)], Some("second.lan")),
        (&[(FILE, &file), (&one, &first), (user, &"# nothing\n".to_owned())], None),
        (&[(FILE, &file), (user, &first), (&user_d, &second)], Some("second.lan")),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let found = rules(&Memory::of(&files).about("a.lan/app").expect("the files are well"));
        let expected = expected.map(|host| format!("mirror https://{host}/v2 rp"));
        assert_eq!(found.get(1), expected.as_ref(), "{files:?}");
    }
}

#[test]
fn the_first_of_two_tables_in_a_file_counts() {
    let text =
        "[[registry]]\nlocation = 'a.lan'\nmirror = [{ location = 'b.lan' }]\n[[registry]]\nlocation = 'a.lan'\n";
    assert_eq!(told(text, "a.lan/app").0[1..], ["mirror https://b.lan/v2 rp"]);
}

#[test]
fn short_names_stand_for_what_the_last_file_says() {
    let d = "/etc/containers/registries.conf.d";
    let files = Memory::of(&[
        (FILE, "[aliases]\nfedora = 'registry.fedoraproject.org/fedora'\n'org/app' = 'lan:5000/x'\ngone = 'a.lan/a'\n"),
        (&format!("{d}/000-shortnames.conf"), "[aliases]\ngone = ''\n\"fedora\"  =  \"quay.io/fedora/fedora\"\n"),
    ]);
    let configuration = files.read().expect("the files are well");
    let pair = |short: &str, long: &str| (short.to_owned(), long.to_owned());
    assert_eq!(configuration.aliases, [pair("fedora", "quay.io/fedora/fedora"), pair("org/app", "lan:5000/x")]);
    assert_eq!(configuration.alias_sources, [format!("{d}/000-shortnames.conf:3"), format!("{FILE}:3")]);
}

#[test]
fn what_an_alias_stands_for_decides_whose_rules_apply() {
    let text = "[aliases]\nfedora = 'registry.lan/fedora'\n[[registry]]\nlocation = 'registry.lan'\nblocked = true\n";
    for (reference, blocked) in [("fedora:40", true), ("docker.io/library/fedora", false), ("fedora/tools", false)] {
        assert_eq!(!told(text, reference).0.is_empty(), blocked, "{reference}");
    }
}

#[test]
fn short_names_that_podman_looks_up_elsewhere_are_told_about_once() {
    let expected = "`/etc/containers/registries.conf:1` has short names looked up at `quay.io` first; \
                    here they are docker.io's, as in docker";
    let aliases = "[aliases]\nfedora = 'registry.lan/fedora'\n";
    for (registries, reference, warned) in [
        ("['quay.io', 'docker.io']", "alpine", true),
        ("['quay.io', 'docker.io']", "org/app:1", true),
        ("['quay.io', 'docker.io']", "fedora", false),
        ("['quay.io', 'docker.io']", "docker.io/library/alpine", false),
        ("['quay.io', 'docker.io']", "lan:5000/", false),
        ("['docker.io', 'quay.io']", "alpine", false),
        ("[]", "alpine", false),
    ] {
        let files = conf(&format!("unqualified-search-registries = {registries}\n{aliases}"));
        let warnings = files.about(reference).expect("the file is well").warnings;
        assert_eq!(warnings, if warned { vec![expected] } else { vec![] }, "{registries} {reference}");
    }
}

#[test]
fn helpers_are_listed_and_odd_keys_are_told_about() {
    let text = "credential-helpers = ['containers-auth.json', 'secretservice']\nshort-name-mode = 'enforcing'\n\
                additional-layer-store-auth-helper = 'x'\nmirrors = []\n\
                [[registry]]\nlocation = 'a.lan'\nproxy = 'socks5://u:canary@b.lan'\nskip-verify = true\n\
                [[registry]]\nprefix = 'a.*.lan'\nlocation = 'a.lan'\n";
    let configuration = conf(text).read().expect("the file is well");
    assert_eq!(configuration.credential_helpers, ["containers-auth.json", "secretservice"]);
    assert_eq!(
        configuration.warnings,
        [
            "`/etc/containers/registries.conf`, line 4: `mirrors` is not known, and left out",
            "`/etc/containers/registries.conf`, line 7: `proxy` is not supported; proxies are those of the environment",
            "`/etc/containers/registries.conf`, line 8: `skip-verify` is not known, and left out",
            "`/etc/containers/registries.conf`, line 10: `a.*.lan` fits nothing: a `*` can only be the first label",
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    for (text, expected) in [
        ("[[registry]\n", "1, column 12: it is not TOML: "),
        ("registry = 'a.lan'\n", "1, column 12: `registry` has to be a list"),
        ("[[registry]]\ninsecure = true\n", "1, column 1: a `[[registry]]` needs a `location` or a `prefix`"),
        ("[[registry]]\nlocation = '/'\n", "1, column 1: a `[[registry]]` needs a `location` or a `prefix`"),
        (
            "[[registry]]\nprefix = 'a.lan'\n",
            "1, column 1: a `[[registry]]` needs a `location`, unless its prefix begins with `*.`",
        ),
        (
            "[[registry]]\nlocation = 'https://a.lan'\n",
            "2, column 12: `https://a.lan` begins with a scheme, and a location has none",
        ),
        (
            "[[registry]]\nprefix = 'https://a.lan'\nlocation = 'a.lan'\n",
            "2, column 10: `https://a.lan` begins with a scheme, and a prefix has none",
        ),
        (
            "[[registry]]\nprefix = '*.a.lan/b'\n",
            "2, column 10: `*.a.lan/b` has to be a domain alone behind its `*`, as in `*.example.com`",
        ),
        ("[[registry]]\nlocation = 'a b'\n", "2, column 12: `a b` names no host"),
        (
            "[[registry]]\nlocation = 'u:canary@a.lan'\n",
            "2, column 12: an address carries no login; `wharf login` keeps those",
        ),
        ("[[registry]]\nlocation = 'a.lan'\nblocked = 1\n", "3, column 11: `blocked` has to be `true` or `false`"),
        (
            "[[registry]]\nlocation = 'a.lan'\npull-from-mirror = 'all'\n",
            "3, column 20: `pull-from-mirror` belongs into a `[[registry.mirror]]`",
        ),
        (
            "[[registry]]\nlocation = 'a.lan'\n[[registry.mirror]]\ninsecure = true\n",
            "3, column 1: a `[[registry.mirror]]` needs a `location`",
        ),
        (
            "[[registry]]\nlocation = 'a.lan'\n[[registry.mirror]]\nlocation = 'b.lan'\npull-from-mirror = 'never'\n",
            "5, column 20: `pull-from-mirror` is `all`, `digest-only` or `tag-only`",
        ),
        (
            "[[registry]]\nlocation = 'a.lan'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b.lan'\npull-from-mirror = 'all'\n",
            "6, column 20: `pull-from-mirror` contradicts `mirror-by-digest-only` of the registry",
        ),
        (
            "[[registry]]\nlocation = 'a.lan'\n[[registry]]\nprefix = 'b.lan'\nlocation = 'a.lan'\ninsecure = true\n",
            "3, column 1: `insecure` contradicts an earlier `[[registry]]` with the same location",
        ),
        (
            "[[registry]]\nprefix = '*.lan'\n[[registry]]\nprefix = '*.lan'\nblocked = true\n",
            "3, column 1: `blocked` contradicts an earlier `[[registry]]` with the same location",
        ),
        (
            "[registries.search]\nregistries = ['docker.io']\n",
            "2, column 14: this is version 1 of the format; write `[[registry]]` tables, see containers-registries.conf(5)",
        ),
        (
            "unqualified-search-registries = ['https://a']\n",
            "1, column 34: `https://a` is not a host with an optional port",
        ),
        (
            "[aliases]\n'a.lan/b' = 'a.lan/b'\n",
            "2, column 1: `a.lan/b` is no short name, which has neither registry nor tag",
        ),
        ("[aliases]\n'b:1' = 'a.lan/b'\n", "2, column 1: `b:1` is no short name, which has neither registry nor tag"),
        ("[aliases]\nb = 'b'\n", "2, column 5: `b` has to be a registry and a repository, without a tag"),
        (
            "[aliases]\nb = 'a.lan/b:1'\n",
            "2, column 5: `a.lan/b:1` has to be a registry and a repository, without a tag",
        ),
        ("[aliases]\nb = 1\n", "2, column 5: `b` has to be a text"),
    ] {
        let refusal = conf(text).refusal("alpine");
        assert!(refusal.starts_with(&format!("`{FILE}`, line {expected}")), "{text}\n{refusal}");
        assert!(!refusal.contains("canary"));
    }
    assert!(conf("[registries.search]\nregistries = []\n[registries.block]\nregistries = []\n").read().is_ok());
}

/// It can say that something is blocked, so that it is never passed over.
#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    let conf = conf("").deny(FILE);
    assert_eq!(conf.refusal("alpine"), format!("cannot read `{FILE}`: permission denied"));
    let d = Memory::default().deny("/etc/containers/registries.conf.d");
    assert_eq!(d.refusal("alpine"), "cannot read `/etc/containers/registries.conf.d`: permission denied");
}
