//! Reads the project's own files and holds them to the rules of the house: who may know whom, where
//! authority is taken, how a file begins, what may lie at the top.
//!
//! It does not compile or parse Rust; it looks for words outside comments. Every rule has a planted
//! violation below that shows it can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lines that a source file may have.
const LINES_MAX: usize = 500;

/// What lies at the top of the project: exactly this.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "component",
    "deny.toml",
    "host",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "wit",
];

/// What git and cargo put there, which is not part of the project.
const NOT_OURS: &[&str] = &[".git", "target"];

/// Words that tell of unfinished work. Written in halves, so that this file does not contain them.
const UNFINISHED: &[&str] =
    &[concat!("to", "do!"), concat!("unimple", "mented!"), concat!("#[ig", "nore"), concat!("for ", "now")];

/// Directories of one machine, which mean nothing on another.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/var/", "tmp/")];

/// Where a rule does not hold: the file, the word, and why.
type Exception = (&'static str, &'static str, &'static str);

/// Every place of the project where a rule does not hold. An entry that nothing needs is itself an error.
const EXCEPTIONS: &[Exception] = &[];

/// The project in memory: path to text, for every file that is text.
#[derive(Clone, Debug, Default)]
struct Tree {
    files: BTreeMap<String, String>,
    /// Names of what lies at the top, files and directories.
    top: BTreeSet<String>,
    exceptions: &'static [Exception],
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut tree = Self { exceptions: EXCEPTIONS, ..Self::default() };
        let mut pending = vec![(root.to_owned(), String::new())];
        while let Some((directory, prefix)) = pending.pop() {
            for entry in std::fs::read_dir(&directory).expect("the project can be read") {
                let path = entry.expect("the project can be read").path();
                let file_name = path.file_name().expect("an entry has a name").to_str().expect("names are UTF-8");
                // Build output lies below every workspace, the fuzz targets' included.
                if NOT_OURS.contains(&file_name) {
                    continue;
                }
                let name = format!("{prefix}{file_name}");
                if prefix.is_empty() {
                    tree.top.insert(name.clone());
                }
                if path.is_dir() {
                    pending.push((path, format!("{name}/")));
                } else if let Ok(text) = String::from_utf8(std::fs::read(&path).expect("the project can be read")) {
                    tree.files.insert(name, text);
                }
            }
        }
        tree
    }

    /// Rust files below `prefix`.
    fn rust<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(prefix) && path.ends_with(".rs"))
    }

    fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }
}

/// Every broken rule, as sentences that name the file.
fn violations(tree: &Tree) -> Vec<String> {
    let rules = [
        top_is_exact,
        nouns_know_no_one,
        decisions_know_no_wit,
        host_and_component_are_strangers,
        services_know_no_wasm,
        shared_crates_know_no_host,
        authority_is_taken_in_main,
        files_say_what_they_are,
        files_are_short,
        nothing_is_unfinished,
        nothing_names_a_machine,
        dependencies_are_explained,
        exceptions_are_needed,
    ];
    rules.into_iter().flat_map(|rule| rule(tree)).collect()
}

fn top_is_exact(tree: &Tree) -> Vec<String> {
    let expected: BTreeSet<_> = TOP.iter().map(|name| (*name).to_owned()).collect();
    let extra = tree.top.difference(&expected).map(|name| format!("`{name}` does not belong at the top"));
    let missing = expected.difference(&tree.top).map(|name| format!("`{name}` is missing at the top"));
    extra.chain(missing).collect()
}

fn nouns_know_no_one(tree: &Tree) -> Vec<String> {
    let rust = tree.rust("component/nouns");
    // A brace after `crate::` and a climb by `super` would hide the name of what is used.
    let words = ["crate::host", "crate::registry", "crate::verbs", "crate::edge", "crate::{", "super::super", "edge"];
    rust.flat_map(|(path, text)| mentions(tree, path, text, &words, "nouns know only nouns")).collect()
}

fn decisions_know_no_wit(tree: &Tree) -> Vec<String> {
    let outside = tree.rust("component/").filter(|(path, _)| !path.starts_with("component/edge"));
    let bindings = outside.flat_map(|(path, text)| {
        mentions(tree, path, text, &["wit_bindgen", "wasip3"], "only the edge knows the bindings")
    });
    let inner = ["component/verbs", "component/registry", "component/host.rs"];
    let inner = inner.into_iter().flat_map(|prefix| tree.rust(prefix));
    let edge =
        inner.flat_map(|(path, text)| mentions(tree, path, text, &["edge"], "the edge calls, and is not called"));
    bindings.chain(edge).collect()
}

fn host_and_component_are_strangers(tree: &Tree) -> Vec<String> {
    let host = tree.rust("host/").flat_map(|(path, text)| {
        mentions(
            tree,
            path,
            text,
            &["use wharf_component", "wharf_component::"],
            "the host does not link the component",
        )
    });
    let manifests = [("Cargo.toml", "wharf-component"), ("component/Cargo.toml", "wharf")];
    let manifests = manifests.into_iter().filter_map(|(path, name)| {
        let found = dependencies(tree.text(path)).contains(&name);
        found.then(|| format!("{path} depends on `{name}`: host and component are strangers"))
    });
    host.chain(manifests).collect()
}

fn services_know_no_wasm(tree: &Tree) -> Vec<String> {
    let services = ["content", "hash", "layers", "metadata", "credentials", "network", "configuration"];
    let files = services.into_iter().flat_map(|service| {
        let (file, inner) = (format!("host/{service}.rs"), format!("host/{service}/"));
        let ours = move |path: &str| path == file || path.starts_with(&inner);
        tree.rust("host/").filter(move |(path, _)| ours(path)).map(move |(path, text)| (service, path, text))
    });
    files
        .flat_map(|(service, path, text)| {
            // Configuration is handed to the component as the types of a rule.
            let front_door: &[_] = if service == "configuration" { &[] } else { &["crate::images"] };
            let words = [&["wasmtime*", "bindings"], front_door].concat();
            mentions(tree, path, text, &words, "services know neither wasm nor WIT")
        })
        .collect()
}

fn shared_crates_know_no_host(tree: &Tree) -> Vec<String> {
    const RULE: &str = "crates that every host has know none";
    // They build for every host, so that what sends, waits, runs and prints is on the other side.
    let words =
        ["wharf_component*", "wharf::", "reqwest*", "hyper*", "wasip3*", "tokio::net", "tokio::spawn", "std::fs"];
    let strangers = ["wharf", "wharf-component", "reqwest", "hyper", "wasip3", "wasmtime", "wit-bindgen"];
    let crates = ["host/credentials/", "host/terminal/"].into_iter();
    let broken = crates.flat_map(|home| {
        let code = tree.rust(home).flat_map(|(path, text)| mentions(tree, path, text, &words, RULE));
        let manifest = format!("{home}Cargo.toml");
        let names = dependencies(tree.text(&manifest)).into_iter().filter(|name| strangers.contains(name));
        code.chain(names.map(|name| format!("{manifest} depends on `{name}`: {RULE}"))).collect::<Vec<_>>()
    });
    broken.collect()
}

fn authority_is_taken_in_main(tree: &Tree) -> Vec<String> {
    let words = ["open_ambient_dir", "ambient_authority", "env::var*", "process::Command"];
    let rust = tree.rust("host/").filter(|(path, _)| {
        let parts = ["host/main.rs", "host/ambient.rs", "host/trees.rs", "host/logins/programs.rs", "host/build.rs"];
        let is_below = ["host/build/", "host/trees/"].iter().any(|folder| path.starts_with(folder));
        !is_below && !parts.contains(path) && *path != "host/containerd/api/build.rs"
    });
    let rust = rust.filter(|(path, _)| !path.ends_with("/tests.rs"));
    rust.flat_map(|(path, text)| {
        // Unit tests stand at the end of a file and may touch the machine.
        let work = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        mentions(tree, path, work, &words, "only host/main.rs takes authority")
    })
    .collect()
}

fn files_say_what_they_are(tree: &Tree) -> Vec<String> {
    let silent = tree.rust("").filter(|(_, text)| !text.starts_with("//!"));
    silent.map(|(path, _)| format!("{path} does not open with `//!`")).collect()
}

fn files_are_short(tree: &Tree) -> Vec<String> {
    let wit = tree.files.iter().filter(|(path, _)| path.ends_with(".wit"));
    let sources = tree.rust("").chain(wit.map(|(path, text)| (path.as_str(), text.as_str())));
    let mut long: Vec<_> = sources.map(|(path, text)| (text.lines().count(), path)).collect();
    long.retain(|(lines, _)| *lines > LINES_MAX);
    long.sort_unstable();
    long.into_iter().rev().map(|(lines, path)| format!("{path} has {lines} lines, over {LINES_MAX}")).collect()
}

fn nothing_is_unfinished(tree: &Tree) -> Vec<String> {
    // Test data is somebody else's text.
    let ours = tree.files.iter().filter(|(path, _)| !path.starts_with("tests/") || path.ends_with(".rs"));
    ours.flat_map(|(path, text)| containing(path, text, UNFINISHED, "finish it")).collect()
}

fn nothing_names_a_machine(tree: &Tree) -> Vec<String> {
    let files = tree.files.iter();
    files.flat_map(|(path, text)| containing(path, text, MACHINE_PATHS, "it exists on one machine only")).collect()
}

fn dependencies_are_explained(tree: &Tree) -> Vec<String> {
    let table = tree.text("ARCHITECTURE.md");
    let explained = |name: &str| {
        let quoted = format!("`{name}`");
        table.lines().any(|line| line.starts_with('|') && line.contains(&quoted))
    };
    let manifests = [
        "Cargo.toml",
        "component/Cargo.toml",
        "host/containerd/api/Cargo.toml",
        "host/credentials/Cargo.toml",
        "host/terminal/Cargo.toml",
        "wit/Cargo.toml",
    ];
    let names: BTreeSet<_> = manifests.into_iter().flat_map(|path| dependencies(tree.text(path))).collect();
    let unexplained = names.into_iter().filter(|name| !explained(name));
    unexplained.map(|name| format!("ARCHITECTURE.md has no row for the dependency `{name}`")).collect()
}

fn exceptions_are_needed(tree: &Tree) -> Vec<String> {
    let needed = |path: &str, word: &str| tree.text(path).lines().any(|line| code(line).contains(word));
    let stale = tree.exceptions.iter().filter(|(path, word, _)| !needed(path, word));
    stale.map(|(path, word, _)| format!("{path} does not mention `{word}`: remove the exception")).collect()
}

/// Names in the `dependencies` tables of a `Cargo.toml`, those for one target included; not what only builds or
/// tests need.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table == "dependencies]" || (table.starts_with("target.") && table.ends_with(".dependencies]"));
        } else if inside && !line.starts_with('#') {
            names.extend(line.split_once('=').map(|(name, _)| name.trim().trim_end_matches(".workspace")));
        }
    }
    names
}

/// Which of `words` stand in the code of `text`, as whole words. A `*` at the end of one allows more letters.
fn mentions(tree: &Tree, path: &str, text: &str, words: &[&str], rule: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = code(line);
        for word in words {
            let (stem, open) = word.strip_suffix('*').map_or((*word, false), |stem| (stem, true));
            let hits = line.match_indices(stem).filter_map(|(at, _)| whole(line, at, at + stem.len(), open));
            let hits = hits.filter(|hit| !tree.exceptions.iter().any(|(file, name, _)| *file == path && name == hit));
            found.extend(hits.map(|hit| format!("{path}:{} mentions `{hit}`: {rule}", number + 1)));
        }
    }
    found
}

/// The part of a line that is no comment. `://` begins none.
fn code(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Returns `line[start..end]` if no identifier goes on before it or after it; what goes on after it belongs to it if
/// `open`.
fn whole(line: &str, start: usize, end: usize, open: bool) -> Option<&str> {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let more = line[end..].find(|letter| !part(letter)).unwrap_or(line.len() - end);
    // A word that ends in punctuation, as `crate::{`, has no letters that could go on.
    let closed = more == 0 || open || !line[start..end].ends_with(part);
    let fresh = !line[..start].ends_with(part);
    (fresh && closed).then(|| &line[start..if open { end + more } else { end }])
}

/// Which of `needles` stand anywhere in `text`, comments included.
fn containing(path: &str, text: &str, needles: &[&str], rule: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(number, line)| {
        let needles = needles.iter().filter(move |needle| line.contains(**needle));
        needles.map(move |needle| format!("{path}:{} contains `{needle}`: {rule}", number + 1))
    });
    found.collect()
}

fn project() -> Tree {
    Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn the_project_keeps_its_rules() {
    let broken = violations(&project());
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn each_rule_finds_what_is_planted() {
    let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
    let unfinished = format!("//! Unfinished.\nfn f() {{ {}() }}\n", UNFINISHED[0]);
    let later = format!("Good enough {}.\n", UNFINISHED[3]);
    let machine = format!("built in {}main\n", MACHINE_PATHS[0]);
    let rows: &[(&str, &str, &[&str])] = &[
        ("notes.txt", "", &["`notes.txt` does not belong at the top"]),
        (
            "component/nouns/digest.rs",
            "//! A noun.\nuse crate::host::Host;\n",
            &["component/nouns/digest.rs:2 mentions `crate::host`: nouns know only nouns"],
        ),
        (
            "component/nouns/a/b.rs",
            "//! A noun.\nuse crate::{nouns, verbs};\nuse super::super::registry;\n",
            &[
                "component/nouns/a/b.rs:2 mentions `crate::{`: nouns know only nouns",
                "component/nouns/a/b.rs:3 mentions `super::super`: nouns know only nouns",
            ],
        ),
        (
            "component/verbs/pull.rs",
            "//! A verb.\nuse crate::edge::guest;\n",
            &["component/verbs/pull.rs:2 mentions `edge`: the edge calls, and is not called"],
        ),
        (
            "component/registry/retry.rs",
            "//! The protocol.\nuse wasip3::http;\nuse wit_bindgen::generate;\n",
            &[
                "component/registry/retry.rs:2 mentions `wasip3`: only the edge knows the bindings",
                "component/registry/retry.rs:3 mentions `wit_bindgen`: only the edge knows the bindings",
            ],
        ),
        (
            "host/engine.rs",
            "//! The engine.\nuse wharf_component::nouns;\n",
            &[
                "host/engine.rs:2 mentions `use wharf_component`: the host does not link the component",
                "host/engine.rs:2 mentions `wharf_component::`: the host does not link the component",
            ],
        ),
        (
            "component/Cargo.toml",
            "[dependencies]\nwharf = { path = \"..\" }\n",
            &[
                "component/Cargo.toml depends on `wharf`: host and component are strangers",
                "ARCHITECTURE.md has no row for the dependency `wharf`",
            ],
        ),
        (
            "host/content/ingest.rs",
            "//! A service.\nuse crate::bindings::x;\nuse wasmtime_wasi::y;\n",
            &[
                "host/content/ingest.rs:2 mentions `bindings`: services know neither wasm nor WIT",
                "host/content/ingest.rs:3 mentions `wasmtime_wasi`: services know neither wasm nor WIT",
            ],
        ),
        (
            "host/network.rs",
            "//! A service.\nuse wasmtime_wasi_http::p3;\n",
            &["host/network.rs:2 mentions `wasmtime_wasi_http`: services know neither wasm nor WIT"],
        ),
        (
            "host/credentials/store.rs",
            "//! A service.\nuse crate::images::Rule;\n",
            &["host/credentials/store.rs:2 mentions `crate::images`: services know neither wasm nor WIT"],
        ),
        (
            "host/credentials/token.rs",
            "//! A request.\nuse reqwest::Url;\n",
            &["host/credentials/token.rs:2 mentions `reqwest`: crates that every host has know none"],
        ),
        (
            "host/credentials/Cargo.toml",
            "[dependencies]\nwharf = { path = \"../..\" }\n",
            &[
                "host/credentials/Cargo.toml depends on `wharf`: crates that every host has know none",
                "ARCHITECTURE.md has no row for the dependency `wharf`",
            ],
        ),
        (
            "host/configuration/hosts.rs",
            "//! A format.\nuse crate::bindings::x;\n",
            &["host/configuration/hosts.rs:2 mentions `bindings`: services know neither wasm nor WIT"],
        ),
        (
            "host/cli.rs",
            "//! Arguments.\nlet a = std::env::var_os(\"A\");\nlet b = tokio::process::Command::new(\"b\");\n",
            &[
                "host/cli.rs:2 mentions `env::var_os`: only host/main.rs takes authority",
                "host/cli.rs:3 mentions `process::Command`: only host/main.rs takes authority",
            ],
        ),
        (
            "host/store.rs",
            "//! A store.\nDir::open_ambient_dir(path, ambient_authority());\n",
            &[
                "host/store.rs:2 mentions `open_ambient_dir`: only host/main.rs takes authority",
                "host/store.rs:2 mentions `ambient_authority`: only host/main.rs takes authority",
            ],
        ),
        ("tests/silent.rs", "fn f() {}\n", &["tests/silent.rs does not open with `//!`"]),
        ("host/long.rs", &long, &["host/long.rs has 501 lines, over 500"]),
        ("tests/a.rs", &unfinished, &[&format!("tests/a.rs:2 contains `{}`: finish it", UNFINISHED[0])]),
        ("wit/later.wit", &later, &[&format!("wit/later.wit:1 contains `{}`: finish it", UNFINISHED[3])]),
        (
            "tests/data/made.json",
            &machine,
            &[&format!("tests/data/made.json:1 contains `{}`: it exists on one machine only", MACHINE_PATHS[0])],
        ),
        (
            "Cargo.toml",
            "[dependencies]\nserde = \"1\"\nbytes = \"1\"\n\n[dev-dependencies]\ntempfile = \"3\"\n",
            &["ARCHITECTURE.md has no row for the dependency `bytes`"],
        ),
    ];
    for (path, text, expected) in rows {
        assert_eq!(violations(&planted(path, text)), *expected, "{path}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let rows = [
        ("component/nouns/name.rs", "//! A noun of a `crate::host`.\n// crate::verbs\nlet knowledge = registry;\n"),
        ("component/edge/guest.rs", "//! The edge.\nwit_bindgen::generate!();\nuse wasip3::http;\n"),
        ("host/main.rs", "//! The program.\nstd::env::var(\"A\");\nstd::process::Command::new(\"a\");\n"),
        ("host/build.rs", "//! The build.\nlet wasm = \"wharf_component.wasm\";\nstd::env::var(\"OUT_DIR\");\n"),
        (
            "host/cli.rs",
            "//! Arguments.\nlet url = \"https://a\"; // env::var\n#[cfg(test)]\nmod tests { env::var(\"A\"); }\n",
        ),
        ("host/configuration/hosts.rs", "//! A format.\nuse crate::images::Rule;\n"),
        ("host/ambient.rs", "//! A part of the program.\nstd::env::var(\"A\");\n"),
        ("host/contents.rs", "//! Not the service `content`.\nuse wasmtime::Store;\n"),
        ("tests/data/dockerfile.txt", concat!("# good enough for ", "now\n")),
        (
            "Cargo.toml",
            "[dependencies]\n# A comment = 1.\nserde.workspace = true\n[dev-dependencies]\nwharf-component = \"1\"\n",
        ),
    ];
    for (path, text) in rows {
        assert_eq!(violations(&planted(path, text)), [""; 0], "{path}");
    }
}

#[test]
fn what_is_missing_at_the_top_is_found() {
    let mut tree = planted("host/lib.rs", "//! The host.\n");
    tree.top.remove("LICENSE");
    assert_eq!(violations(&tree), ["`LICENSE` is missing at the top"]);
}

#[test]
fn an_exception_allows_one_word_in_one_file_while_it_is_needed() {
    let exceptions: &[Exception] = &[("host/network.rs", "wasmtime_wasi_http", "its hooks are a trait of that crate")];
    let mut tree = planted("host/network.rs", "//! A service.\nuse wasmtime_wasi_http::p3;\nuse wasmtime::Store;\n");
    tree.exceptions = exceptions;
    assert_eq!(violations(&tree), ["host/network.rs:3 mentions `wasmtime`: services know neither wasm nor WIT"]);
    let mut tree = planted("host/network.rs", "//! A service. // wasmtime_wasi_http\n");
    tree.exceptions = exceptions;
    assert_eq!(violations(&tree), ["host/network.rs does not mention `wasmtime_wasi_http`: remove the exception"]);
}

/// A project that keeps every rule, with one file added.
fn planted(path: &str, text: &str) -> Tree {
    let mut tree = Tree { top: TOP.iter().map(|name| (*name).to_owned()).collect(), ..Tree::default() };
    tree.files.insert("ARCHITECTURE.md".to_owned(), "| crate | why |\n| --- | --- |\n| `serde` | JSON |\n".to_owned());
    tree.files.insert(path.to_owned(), text.to_owned());
    tree.top.insert(path.split('/').next().unwrap_or_default().to_owned());
    tree
}
