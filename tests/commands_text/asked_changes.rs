//! From arguments to changes, leases, labels and plans.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use wharf::cli::{self, Cli, IngestCommand, LeaseCommand, PlanFile, Planning, TextFormat, Verb};
use wharf::images::{Change, Collecting, Pruning, Removal, Tagging};

fn parse(words: &str) -> Result<Cli, clap::Error> {
    cli::parse(std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from))
}

fn verb(words: &str) -> Verb {
    parse(words).expect(words).verb
}

/// The change that words ask for, and how it is planned and told.
fn change(words: &str) -> (Change, Planning) {
    match verb(words) {
        Verb::Tag(tag) => (tag.change(), tag.plan),
        Verb::Rm(rm) => (rm.change(), rm.plan),
        Verb::Prune(prune) => (prune.change("process 4711".to_owned()), prune.plan),
        Verb::Gc(gc) => (gc.change(), gc.plan),
        other => panic!("{other:?}"),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_change_is_asked_for_as_it_was_typed() {
    let Change::Tag(Tagging { source, names }) = change("tag 4bcff63911fc app:1 app:2").0 else { panic!() };
    assert_eq!((source.as_str(), names), ("4bcff63911fc", texts(&["app:1", "app:2"])));

    for (words, references, force, no_prune, platforms) in [
        ("rm app", &["app"] as &[_], false, false, &[] as &[_]),
        ("rmi -f app:1 4bcf", &["app:1", "4bcf"], true, false, &[]),
        ("rm --force --no-prune app", &["app"], true, true, &[]),
        (
            "rm --platform linux/arm64,linux/386 --platform linux/s390x app",
            &["app"],
            false,
            false,
            &["linux/arm64", "linux/386", "linux/s390x"],
        ),
    ] {
        let Change::Remove(Removal { references: read, force: forced, no_prune: kept, platforms: only }) =
            change(words).0
        else {
            panic!("{words}")
        };
        assert_eq!((read, forced, kept, only), (texts(references), force, no_prune, texts(platforms)), "{words}");
    }

    for (words, all, filters, keep_bytes) in [
        ("prune", false, &[] as &[_], None),
        // Whoever comes from docker types it so that nothing is asked.
        ("prune -af", true, &[], None),
        ("prune --all --filter until=24h --filter label!=keep", true, &["until=24h", "label!=keep"], None),
        ("prune --keep-storage 20GB", false, &[], Some(20_000_000_000)),
        ("prune --keep-storage 1.5KiB", false, &[], Some(1_536)),
        ("prune --keep-storage 0", false, &[], Some(0)),
    ] {
        let Change::Prune(Pruning { all: read, filters: kept, keep_bytes: bytes, who }) = change(words).0 else {
            panic!("{words}")
        };
        assert_eq!((read, kept, bytes), (all, texts(filters), keep_bytes), "{words}");
        assert_eq!(who, "process 4711");
    }

    for (words, seconds) in [
        ("gc", 7 * 86_400),
        ("gc --ingest-age 90m", 5_400),
        ("gc --ingest-age 1w2d", 9 * 86_400),
        ("gc --ingest-age 0s", 0),
    ] {
        let Change::Collect(Collecting { ingest_age_s }) = change(words).0 else { panic!("{words}") };
        assert_eq!(ingest_age_s, seconds, "{words}");
    }
}

/// The defaults are those of containerd, docs/garbage-collection.md.
#[test]
fn a_schedule_is_that_of_containerd_unless_it_was_typed() {
    for (words, scheduled, pause, mutations, deletions, delay_ms, startup_ms) in [
        ("gc", false, 0.02, 100, 0, 0, 100),
        ("gc --scheduled", true, 0.02, 100, 0, 0, 100),
        (
            "gc --scheduled --pause-threshold 0.5 --mutation-threshold 7 --deletion-threshold 3 --delay 1.5s \
             --startup-delay 1m",
            true,
            0.5,
            7,
            3,
            1_500,
            60_000,
        ),
    ] {
        let Verb::Gc(cli::Gc { schedule, .. }) = verb(words) else { panic!("{words}") };
        let counts = (schedule.mutation_threshold, schedule.deletion_threshold);
        let delays = [schedule.delay, schedule.startup_delay].map(|delay| delay.as_millis());
        assert_eq!((schedule.scheduled, schedule.pause_threshold), (scheduled, pause), "{words}");
        assert_eq!((counts, delays), ((mutations, deletions), [delay_ms, startup_ms]), "{words}");
    }
}

#[test]
fn each_change_can_be_planned_and_the_plan_goes_to_a_file_or_to_a_pipe() {
    for verb in ["tag a b", "rm a", "prune", "gc"] {
        let (_, plan) = change(verb);
        assert_eq!((plan.dry_run, plan.file(), plan.quiet, plan.format), (false, None, false, TextFormat::Text));
        let (_, plan) = change(&format!("{verb} --dry-run --format json"));
        assert_eq!((plan.dry_run, plan.file(), plan.format), (true, None, TextFormat::Json), "{verb}");
        let (_, plan) = change(&format!("{verb} --plan plans/a.json"));
        assert_eq!(plan.file(), Some(PlanFile::Named(Path::new("plans/a.json"))), "{verb}");
        let (_, plan) = change(&format!("{verb} --plan -"));
        assert_eq!(plan.file(), Some(PlanFile::Standard), "{verb}");
        for conflict in ["-q --dry-run", "-q --plan a"] {
            let error = parse(&format!("{verb} {conflict}")).expect_err(verb);
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{verb} {conflict}");
        }
    }
    let Verb::Pull(pull) = verb("pull --plan plans/a.json app") else { panic!() };
    assert_eq!(pull.plan_file(), Some(PlanFile::Named(Path::new("plans/a.json"))));
    let Verb::Pull(pull) = verb("pull --plan - app") else { panic!() };
    assert_eq!(pull.plan_file(), Some(PlanFile::Standard));
    let Verb::Apply(apply) = verb("apply --retries 1 --timeout 5s --plain-http lan --progress json -") else {
        panic!()
    };
    let access = apply.patience.apply(apply.access.access());
    assert_eq!((access.retries, access.silence_ms, &*access.plain_http), (1, 5_000, &["lan".to_owned()][..]));
    assert_eq!((apply.progress, apply.quiet), (cli::Progress::Json, false));
    let Verb::Apply(apply) = verb("apply -") else { panic!() };
    assert_eq!(apply.file(), PlanFile::Standard);
    let Verb::Apply(apply) = verb("apply ./-") else { panic!() };
    assert_eq!(apply.file(), PlanFile::Named(Path::new("./-")));
}

#[test]
fn a_lease_has_what_it_was_given() {
    let Verb::Lease(lease) = verb("lease create --expires 24h --id ci.1 --label for=ci --label a=b=c app:1 4bcf")
    else {
        panic!()
    };
    let LeaseCommand::Create(create) = lease.command else { panic!() };
    assert_eq!(create.references, ["app:1", "4bcf"]);
    assert_eq!((create.id.as_deref(), create.expires), (Some("ci.1"), Some(Duration::from_secs(86_400))));
    assert_eq!(create.labels, [("for", "ci"), ("a", "b=c")].map(|(key, value)| (key.to_owned(), value.to_owned())));

    let Verb::Lease(lease) = verb("lease create app") else { panic!() };
    let LeaseCommand::Create(create) = lease.command else { panic!() };
    assert_eq!((create.id, create.expires, create.labels.len()), (None, None, 0));
}

#[test]
fn a_label_is_set_with_a_value_and_taken_away_with_a_dash() {
    let Verb::Label(label) = verb("label app:1 team=web empty= dash=a- gone- a-b-") else { panic!() };
    assert_eq!(label.reference, "app:1");
    let set = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    let gone = |key: &str| (key.to_owned(), None);
    assert_eq!(label.labels, [set("team", "web"), set("empty", ""), set("dash", "a-"), gone("gone"), gone("a-b")]);
    let Verb::Label(label) = verb("label app:1") else { panic!() };
    assert_eq!(label.labels, []);
}

#[test]
fn ingests_are_named_in_any_number() {
    let Verb::Ingest(ingest) = verb("ingest rm 0a1b sha256:4bcf") else { panic!() };
    let IngestCommand::Rm(rm) = ingest.command else { panic!() };
    assert_eq!(rm.which, ["0a1b", "sha256:4bcf"]);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    for words in [
        "tag app",
        "rm",
        "rm --platform= app",
        "prune app",
        "prune --filter dangling",
        "prune --keep-storage much",
        "prune --keep-storage -1",
        // Months and years have no length of their own.
        "gc --ingest-age 1mo",
        "gc --ingest-age 7",
        "gc --ingest-age -1d",
        "gc --scheduled --dry-run",
        "gc --scheduled --plan a",
        "gc --scheduled --pause-threshold 0",
        "gc --scheduled --pause-threshold 0.6",
        "gc --scheduled --pause-threshold NaN",
        "gc --scheduled --mutation-threshold -1",
        "gc --scheduled --delay 5",
        "gc --delay 5s",
        "gc --deletion-threshold 1",
        "apply",
        "apply -q --progress plain -",
        "pull -q --plan a app",
        "lease",
        "lease create",
        "lease create --label for app",
        "lease create --label =ci app",
        "lease create --id= app",
        "lease rm",
        "lease ls -q --format json",
        "ingest rm",
        "label",
        "label app team",
        "label app =web",
        "label app -- -",
        "events --filter pull",
        "events --since=",
    ] {
        let error = parse(words).expect_err(words);
        assert_eq!(error.exit_code(), i32::from(cli::exit::USAGE), "{words}");
    }
}

/// Who reads about a size has to be able to know what it is of, and that the parts are all there is.
#[test]
fn the_help_of_df_says_what_each_word_means() {
    let help = parse("df --help").expect_err("help is told as an error").render().to_string();
    for word in ["content", "unpacked", "shared", "unique", "others", "unneeded", "reclaimable", "ingests"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(word)), "{word}: {help}");
    }
    assert!(help.contains("total         unique + shared + others + unneeded, to the byte"), "{help}");
}
