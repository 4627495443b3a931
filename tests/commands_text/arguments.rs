//! From arguments to what they ask for, and the words for wrong ones.

use clap_complete::Shell;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use wharf::cli::{self, Cli, Color, Progress, Pull, Surroundings, TableFormat, TextFormat, Verb};
use wharf::images::ErrorCode;
use wharf::images::{Machine, Wanted};

fn parse(words: &str) -> Result<Cli, clap::Error> {
    cli::parse(std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from))
}

fn pull(words: &str) -> Pull {
    match parse(words).expect("the arguments are right").verb {
        Verb::Pull(pull) => pull,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_argument_is_told_with_what_was_probably_meant() {
    let rows = [
        (
            "pul alpine",
            "error: unrecognized subcommand 'pul'

  tip: some similar subcommands exist: 'push', 'pull'

Usage: wharf [OPTIONS] <COMMAND>

For more information, try '--help'.
",
        ),
        (
            "pull --platfrom linux/arm64 alpine",
            "error: unexpected argument '--platfrom' found

  tip: a similar argument exists: '--platform'

Usage: wharf pull [OPTIONS] <REFERENCE>

For more information, try '--help'.
",
        ),
        (
            "pull",
            "error: the following required arguments were not provided:
  <REFERENCE>

Usage: wharf pull [OPTIONS] <REFERENCE>

For more information, try '--help'.
",
        ),
        (
            "pull --max-concurrent-downloads 0 alpine",
            "error: invalid value '0' for '--max-concurrent-downloads <N>': 0 is not in 1..=64

For more information, try '--help'.
",
        ),
        (
            "pull --plain-http http://registry.lan alpine",
            "error: invalid value 'http://registry.lan' for '--plain-http <HOST[:PORT]>': expected a host and a port and \
             nothing else, as in `registry.lan:5000`

For more information, try '--help'.
",
        ),
        (
            "pull --all-platforms --platform linux/arm64 alpine",
            "error: the argument '--all-platforms' cannot be used with '--platform <P>'

Usage: wharf pull [OPTIONS] <REFERENCE>

For more information, try '--help'.
",
        ),
        (
            "pull --timeout 30 alpine",
            "error: invalid value '30' for '--timeout <DURATION>': expected a time with its unit, as in `30s`, `2m` or \
             `1m30s`

For more information, try '--help'.
",
        ),
        (
            "pull --limit-rate fast alpine",
            "error: invalid value 'fast' for '--limit-rate <RATE>': expected a number of bytes, as in `500k`, `10M` or \
             `1GiB`

For more information, try '--help'.
",
        ),
        (
            "pull --progress bar alpine",
            "error: invalid value 'bar' for '--progress <HOW>'
  [possible values: auto, tty, plain, json, none]

For more information, try '--help'.
",
        ),
        (
            "images --filter maintainer",
            "error: invalid value 'maintainer' for '--filter <KEY=VALUE>': expected a key and a value, as in \
             `reference=alpine:*`

For more information, try '--help'.
",
        ),
        (
            "images -q --format json",
            "error: the argument '--quiet' cannot be used with '--format <FORMAT>'

Usage: wharf images [OPTIONS] [NAME]

For more information, try '--help'.
",
        ),
        (
            "inspect",
            "error: the following required arguments were not provided:
  <REF>...

Usage: wharf inspect [OPTIONS] <REF>...

For more information, try '--help'.
",
        ),
        (
            "--namespace= images",
            "error: a value is required for '--namespace <NS>' but none was supplied

For more information, try '--help'.
",
        ),
    ];
    for (words, expected) in rows {
        let error = parse(words).expect_err(words);
        assert_eq!(error.render().to_string(), expected, "{words}");
        assert_eq!(error.exit_code(), i32::from(cli::exit::USAGE), "{words}");
    }
}

#[test]
fn quiet_excludes_what_it_would_silence() {
    for words in
        ["pull -q --progress tty a", "pull -q --dry-run a", "images -q --digests", "history -q --format json a"]
    {
        let error = parse(words).expect_err(words);
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{words}");
    }
}

/// In the order of `--help`.
const VERBS: [&str; 42] = [
    "pull",
    "push",
    "copy",
    "images",
    "inspect",
    "history",
    "unpack",
    "ls",
    "cat",
    "diff",
    "mount",
    "umount",
    "mounts",
    "snapshot",
    "tag",
    "retain",
    "save",
    "load",
    "import",
    "export",
    "manifest",
    "rm",
    "prune",
    "gc",
    "apply",
    "df",
    "lease",
    "ingest",
    "label",
    "events",
    "serve",
    "fsck",
    "explain",
    "tags",
    "catalog",
    "search",
    "referrers",
    "login",
    "logout",
    "whoami",
    "demo",
    "completion",
];

/// What stands below `snapshot`, `manifest`, `lease` and `ingest`.
const PARTS: [&str; 18] = [
    "snapshot ls",
    "snapshot prepare",
    "snapshot mount",
    "snapshot umount",
    "snapshot diff",
    "snapshot commit",
    "snapshot rm",
    "manifest create",
    "manifest add",
    "manifest remove",
    "manifest annotate",
    "manifest inspect",
    "manifest push",
    "lease ls",
    "lease create",
    "lease rm",
    "ingest ls",
    "ingest rm",
];

#[test]
fn help_is_data_and_the_lack_of_a_verb_is_a_mistake() {
    for (words, code, on_stderr) in [("--help", 0, false), ("--version", 0, false), ("", 2, true)] {
        let error = parse(words).expect_err(words);
        assert_eq!((error.exit_code(), error.use_stderr()), (code, on_stderr), "`{words}`");
    }
    let help = parse("--help").expect_err("help is told as an error").render().to_string();
    for needed in
        ["Examples:\n", "Exit codes:\n  0 ", "\n  1 ", "\n  2 ", "\n  130 ", "NO_COLOR", "WHARF_ROOT", "alias: list"]
    {
        assert!(help.contains(needed), "{needed}: {help}");
    }
}

#[test]
fn a_help_text_is_at_most_100_columns_wide_and_shows_no_values_of_the_environment() {
    for verb in VERBS.into_iter().chain(PARTS).chain(["", "man"]) {
        for flag in ["-h", "--help"] {
            let help = parse(&format!("{verb} {flag}")).expect_err("help is told as an error").render().to_string();
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{verb} {flag}: {widest:?} columns");
            assert!(!help.contains("[env: WHARF_ROOT="), "{help}");
        }
    }
}

#[test]
fn the_options_of_a_pull_become_those_of_the_component() {
    let options = pull("pull alpine").options();
    assert!(matches!(options.wanted, Wanted::Machine));
    assert!(!options.all_tags);
    assert_eq!(options.concurrent_downloads, 6);

    let options = pull(
        "pull --platform linux/arm64,linux/s390x --platform windows/amd64 -a --max-concurrent-downloads 64 \
         --plain-http registry.lan:5000,[fd00::1]:5000 --plain-http other.lan alpine",
    )
    .options();
    let Wanted::These(platforms) = options.wanted else { panic!("{:?}", options.wanted) };
    assert_eq!(platforms, ["linux/arm64", "linux/s390x", "windows/amd64"]);
    assert!(options.all_tags);
    assert_eq!(options.concurrent_downloads, 64);
    assert_eq!(options.access.plain_http, ["registry.lan:5000", "[fd00::1]:5000", "other.lan"]);

    assert!(matches!(pull("pull --all-platforms alpine").options().wanted, Wanted::All));
}

#[test]
fn an_empty_auth_file_or_registry_is_as_if_there_were_none() {
    let auth_file = |words: &str| pull(words).access.auth_file().map(Path::to_owned);
    assert_eq!(auth_file("pull --auth-file= alpine"), None);
    assert_eq!(auth_file("pull --auth-file /run/auth.json alpine").as_deref(), Some(Path::new("/run/auth.json")));
    assert_eq!(pull("pull --plain-http= alpine").options().access.plain_http, [""; 0]);
}

#[test]
fn configuration_is_named_by_options_of_which_an_empty_one_is_none() {
    let named = |words: &str| {
        let access = pull(words).access;
        [access.certs_d(), access.registries_conf(), access.daemon_json()].map(|path| path.map(Path::to_owned))
    };
    let some = |path: &str| Some(Path::new(path).to_owned());
    let words = "pull --certs-d /a --registries-conf /b --daemon-json c/d alpine";
    assert_eq!(named(words), [some("/a"), some("/b"), some("c/d")]);
    assert_eq!(named("pull --certs-d= --registries-conf= --daemon-json= alpine"), [None, None, None]);
}

#[test]
fn a_pull_is_as_patient_as_it_is_told_to_be() {
    let of = |words: &str| {
        let pull = pull(&format!("pull {words} alpine"));
        let access = pull.options().access;
        (access.retries, access.silence_ms, pull.patience.bytes_per_second().map(NonZeroU64::get))
    };
    for (words, expected) in [
        ("", (4, 60_000, None)),
        ("--retries 0 --timeout 2m --limit-rate 500k", (0, 120_000, Some(500_000))),
        ("--retries 100 --timeout 1m30s --limit-rate 10M", (100, 90_000, Some(10_000_000))),
        ("--timeout 1s --limit-rate 1GiB", (4, 1_000, Some(1 << 30))),
        ("--timeout 24h --limit-rate 64KiB", (4, 86_400_000, Some(65_536))),
        // As a variable of the environment that is set to nothing.
        ("--retries= --timeout= --limit-rate=", (4, 60_000, None)),
    ] {
        assert_eq!(of(words), expected, "{words}");
    }
    for words in [
        "--retries 101",
        "--retries -1",
        "--timeout 0s",
        "--timeout 999ms",
        "--timeout 25h",
        "--timeout -5s",
        "--timeout 1d",
        "--limit-rate 0",
        "--limit-rate 63KiB",
        "--limit-rate 1k/s",
        "--limit-rate k",
    ] {
        let error = parse(&format!("pull {words} alpine")).expect_err(words);
        assert_eq!(error.exit_code(), i32::from(cli::exit::USAGE), "{words}");
    }
}

#[test]
fn an_explanation_is_for_the_same_platforms_and_registries_as_a_pull() {
    let explain = |words: &str| match parse(words).expect("the arguments are right").verb {
        Verb::Explain(explain) => explain,
        other => panic!("{other:?}"),
    };
    assert!(matches!(explain("explain alpine").wanted(), Wanted::Machine));
    let asked = explain("explain --platform linux/arm64,windows/amd64 --plain-http lan:5000 --format json app");
    let Wanted::These(platforms) = asked.wanted() else { panic!("{asked:?}") };
    assert_eq!(platforms, ["linux/arm64", "windows/amd64"]);
    assert_eq!((asked.access.access().plain_http, asked.format), (vec!["lan:5000".to_owned()], TextFormat::Json));
}

#[test]
fn global_options_stand_before_or_after_the_verb() {
    for words in [
        "--root /srv --namespace ci --log debug --color never images",
        "list --root /srv --namespace ci --log debug --color=never",
    ] {
        let cli = parse(words).expect(words);
        assert_eq!(cli.global.root.as_deref(), Some(Path::new("/srv")), "{words}");
        assert_eq!((cli.global.log.as_str(), cli.global.color), ("debug", Color::Never), "{words}");
        let machine = Machine {
            os: "linux".to_owned(),
            architecture: "x86_64".to_owned(),
            big_endian: false,
            amd64_level: 3,
            cpuinfo: String::new(),
            uname: "x86_64".to_owned(),
        };
        let caller = cli.global.caller(machine);
        assert_eq!((caller.namespace.as_str(), caller.machine.amd64_level), ("ci", 3), "{words}");
    }
}

#[test]
fn a_name_is_one_more_filter() {
    let Verb::Images(images) = parse("list alpine:3.* -f label=a --filter label=b=c").expect("right").verb else {
        panic!()
    };
    assert_eq!(images.filters(), ["reference=alpine:3.*", "label=a", "label=b=c"]);
    assert_eq!((images.format, images.quiet, images.digests), (TableFormat::Table, false, false));
}

#[test]
fn a_problem_is_json_for_whoever_reads_json() {
    for (words, expected) in [
        ("pull alpine", false),
        ("pull --format json alpine", true),
        ("pull --progress json alpine", true),
        ("pull --progress plain alpine", false),
        ("fsck", false),
        ("fsck --format json", true),
        ("rm --format json app", true),
        ("prune", false),
        ("events --format json", true),
        ("df --format json", false),
    ] {
        let parsed = parse(words).expect("the arguments are right");
        assert_eq!(parsed.problem_is_json(), expected, "{words}");
    }
    assert_eq!(pull("pull --format json alpine").format, TextFormat::Json);
}

/// `NO_COLOR` counts when it is set and not empty, whatever its value:
/// <https://no-color.org>.
#[test]
fn colours_are_for_terminals_and_no_color_takes_them_away() {
    let rows = [
        (Color::Auto, true, None, None, true),
        (Color::Auto, true, None, Some("xterm"), true),
        (Color::Auto, true, None, Some("dumb"), false),
        (Color::Auto, true, Some("1"), None, false),
        (Color::Auto, true, Some("0"), None, false),
        (Color::Auto, true, Some(""), None, true),
        (Color::Auto, false, None, None, false),
        (Color::Always, false, Some("1"), Some("dumb"), true),
        (Color::Never, true, None, None, false),
    ];
    for (color, is_terminal, no_color, term, expected) in rows {
        let applies = color.applies(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new));
        assert_eq!(applies, expected, "{color:?} {is_terminal} {no_color:?} {term:?}");
    }
}

#[test]
fn progress_moves_only_on_terminals_that_can() {
    let rows = [
        (Progress::Auto, true, Some("xterm"), Progress::Tty),
        (Progress::Auto, true, Some("dumb"), Progress::Plain),
        (Progress::Auto, true, None, Progress::Plain),
        (Progress::Auto, false, Some("xterm"), Progress::Plain),
        (Progress::Tty, false, None, Progress::Tty),
        (Progress::Json, true, Some("xterm"), Progress::Json),
        (Progress::None, true, Some("xterm"), Progress::None),
    ];
    for (asked, is_terminal, term, expected) in rows {
        assert_eq!(asked.resolve(is_terminal, term.map(OsStr::new)), expected, "{asked:?} {is_terminal} {term:?}");
    }
}

/// XDG Base Directory Specification: a relative path is not to be used.
#[test]
fn the_store_is_where_the_user_or_the_system_says() {
    let rows = [
        (None, false, Some("/home/me"), None, "/home/me/.local/share/wharf"),
        (None, false, Some("/home/me"), Some("/data"), "/data/wharf"),
        (None, false, Some("/home/me"), Some("data"), "/home/me/.local/share/wharf"),
        (None, false, Some("/home/me"), Some(""), "/home/me/.local/share/wharf"),
        (None, true, Some("/root"), Some("/data"), "/var/lib/wharf"),
        (Some("images"), true, None, None, "images"),
        (Some("/srv/images"), false, None, None, "/srv/images"),
    ];
    for (given, superuser, home, data_home, expected) in rows {
        let around = Surroundings { superuser, home: home.map(PathBuf::from), data_home: data_home.map(PathBuf::from) };
        let root = around.root(given.map(Path::new)).expect("there is a place");
        assert_eq!(root, Path::new(expected), "{given:?} {around:?}");
    }
}

#[test]
fn a_user_without_a_home_is_told_how_to_name_a_store() {
    for home in [None, Some(PathBuf::new()), Some(PathBuf::from("home"))] {
        let problem = Surroundings { home, ..Surroundings::default() }.root(None).expect_err("there is no place");
        assert!(matches!(problem.code, ErrorCode::NotFound));
        assert_eq!(
            wharf::render::problem::text(&problem, wharf::render::palette::Palette::PLAIN),
            "error: cannot tell where images are kept
  because: neither `XDG_DATA_HOME` nor `HOME` is an absolute path

hint: name a directory with `--root DIR` or `WHARF_ROOT`
"
        );
    }
}

#[test]
fn every_verb_can_be_completed_in_every_shell() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = cli::completion(shell);
        for word in VERBS.into_iter().chain(["all-platforms", "no-trunc", "limit-rate", "provenance"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_verb() {
    let pages = cli::manual();
    let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
    let below = |verb| PARTS.into_iter().filter(move |part| part.starts_with(&format!("{verb} ")));
    let commands = VERBS.into_iter().flat_map(|verb| std::iter::once(verb).chain(below(verb)));
    let commands = commands.map(|command| format!("wharf-{}.1", command.replace(' ', "-")));
    assert_eq!(files, std::iter::once("wharf.1".to_owned()).chain(commands).collect::<Vec<_>>());
    for page in &pages {
        let title = page.file.trim_end_matches(".1");
        assert!(page.text.contains(&format!(".TH {title} 1")), "{}", page.text);
        assert!(page.text.contains(".SH NAME"), "{}", page.text);
    }
    assert!(pages[1].text.contains("\\-\\-max\\-concurrent\\-downloads"), "{}", pages[1].text);
}
