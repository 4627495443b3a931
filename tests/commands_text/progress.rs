//! What is told while a pull runs: a script of events and times in, whole texts
//! out.

use super::{CONFIG, HARMLESS, HOSTILE, INDEX, LAYER, MANIFEST, descriptor, digest, schema};
use indicatif::{InMemoryTerm, ProgressDrawTarget};
use serde_json::Value;
use std::time::Duration;
use wharf::images::{Descriptor, ErrorCode};
use wharf::images::{Event, Phase, Problem, Progress, Transfer};
use wharf::render::palette::Palette;
use wharf::render::problem;
use wharf::render::progress::{End, Lines, Plain, Reporter, Silent, Terminal};

/// An event after so many milliseconds, or that nothing happened.
type Script = Vec<(u64, Option<Event>)>;

fn progress(digit: char, size: u64, phase: Phase, received: u64) -> Option<Event> {
    Some(Event::Progress(Progress { blob: blob(digit, size), phase, received }))
}

fn blob(digit: char, size: u64) -> Descriptor {
    descriptor(if size < 2000 { CONFIG } else { LAYER }, digit, size)
}

/// How a blob came, from `endpoint` or from nobody.
fn transferred(digit: char, size: u64, endpoint: Option<&str>) -> Option<Event> {
    let (attempts, fetched_bytes) = if endpoint.is_some() { (2, size) } else { (0, 0) };
    Some(Event::Transferred(Transfer {
        blob: blob(digit, size),
        endpoint: endpoint.map(str::to_owned),
        attempts,
        resumed_from: 0,
        fetched_bytes,
        duration_ms: 450,
    }))
}

/// A pull of three blobs: one is here, one comes at once, one resumes, breaks
/// and comes in the second attempt.
fn script() -> Script {
    const SIZE: u64 = 50_000_000;
    vec![
        (100, Some(Event::Resolved(("docker.io/library/alpine:3.20".to_owned(), descriptor(INDEX, '1', 1853))))),
        (200, Some(Event::Selected(("linux/amd64".to_owned(), descriptor(MANIFEST, '2', 528))))),
        (200, progress('3', 1471, Phase::Waiting, 0)),
        (200, progress('4', SIZE, Phase::Waiting, 10_000_000)),
        (200, progress('5', 7_000_000, Phase::Present, 7_000_000)),
        (300, progress('3', 1471, Phase::Downloading, 0)),
        (300, progress('4', SIZE, Phase::Downloading, 10_000_000)),
        (400, progress('3', 1471, Phase::Verifying, 1471)),
        (450, progress('3', 1471, Phase::Complete, 1471)),
        (2_300, progress('4', SIZE, Phase::Downloading, 14_000_000)),
        (3_000, progress('4', SIZE, Phase::Retrying, 14_000_000)),
        (3_000, Some(Event::Warning(format!("the registry said {HOSTILE}")))),
        (5_000, progress('4', SIZE, Phase::Downloading, 14_000_000)),
        (9_900, None),
        (10_000, progress('4', SIZE, Phase::Downloading, 24_000_000)),
        (10_100, None),
        (20_000, progress('4', SIZE, Phase::Downloading, 49_000_000)),
        (20_300, progress('4', SIZE, Phase::Verifying, SIZE)),
        (20_800, progress('4', SIZE, Phase::Complete, SIZE)),
    ]
}

fn play(script: Script, reporter: &mut dyn Reporter) {
    for (ms, event) in script {
        let now = Duration::from_millis(ms);
        match event {
            Some(event) => reporter.event(&event, now),
            None => reporter.tick(now),
        }
        .expect("memory takes every write");
    }
}

/// What a reporter wrote for a script that ended at so many milliseconds.
fn plain(script: Script, end: End, ms: u64) -> String {
    let mut out = Vec::new();
    let mut reporter = Plain::new(&mut out, Palette::PLAIN);
    play(script, &mut reporter);
    reporter.finish(end, Duration::from_millis(ms)).expect("memory takes every write");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_log_gets_a_line_a_change_and_one_every_ten_seconds() {
    assert_eq!(
        plain(script(), End::Done, 21_000),
        format!(
            "docker.io/library/alpine:3.20: index {}
linux/amd64: manifest {}
555555555555: here before, 7MB
333333333333: downloading 1.47kB
444444444444: downloading 50MB, 10MB are here
333333333333: complete, 1.47kB in 0.2s
444444444444: trying again, 14MB of 50MB are here
warning: the registry said {HARMLESS}
444444444444: downloading 50MB, 14MB are here
31MB of 57MB (54 %), 1.44MB/s, 19s left, 2 of 3 blobs
56MB of 57MB (98 %), 2.5MB/s, 1s left, 2 of 3 blobs
444444444444: complete, 50MB in 21s (1.95MB/s)
40MB in 21s (1.9MB/s): 2 downloaded, 1 here before
",
            digest('1'),
            digest('2')
        )
    );
}

#[test]
fn a_log_says_who_sent_a_blob_when_it_was_a_mirror() {
    let row = |name: &str, endpoint| {
        let script = vec![
            (0, Some(Event::Resolved((name.to_owned(), descriptor(INDEX, '1', 1853))))),
            (0, progress('3', 1471, Phase::Downloading, 0)),
            (450, transferred('3', 1471, endpoint)),
            (450, progress('3', 1471, Phase::Complete, 1471)),
        ];
        plain(script, End::Done, 500).lines().nth(2).map(str::to_owned)
    };
    let line = |end: &str| Some(format!("333333333333: complete, 1.47kB in 0.5s{end}"));
    let (hub, lan) = ("docker.io/library/alpine:3.20", "registry.lan:5000/app:1");
    assert_eq!(row(hub, Some("https://mirror.lan:5000")), line(" from https://mirror.lan:5000"));
    assert_eq!(row(hub, Some("https://\u{1b}[2J")), line(r" from https://\u{1b}[2J"));
    for (name, endpoint) in [
        (hub, Some("https://registry-1.docker.io")),
        (lan, Some("http://registry.lan:5000")),
        (lan, Some("https://Registry.lan:5000")),
        (lan, None),
    ] {
        assert_eq!(row(name, endpoint), line(""), "{name} {endpoint:?}");
    }
}

#[test]
fn a_log_shows_that_it_is_alive_before_there_is_anything_to_tell() {
    let script = vec![(9_999, None), (10_000, None), (12_000, None), (20_500, None)];
    assert_eq!(plain(script, End::Interrupted, 21_000), "waiting for the registry\nwaiting for the registry\n");
}

#[test]
fn a_rate_falls_to_nothing_when_nothing_comes() {
    let script = vec![
        (0, progress('4', 50_000_000, Phase::Downloading, 0)),
        (1_000, progress('4', 50_000_000, Phase::Downloading, 9_000_000)),
        (10_000, None),
        (20_000, None),
    ];
    assert_eq!(
        plain(script, End::Interrupted, 20_100),
        "444444444444: downloading 50MB
9MB of 50MB (18 %), 0B/s, 0 of 1 blobs
9MB of 50MB (18 %), 0B/s, 0 of 1 blobs
interrupted after 20s: 9MB of 50MB are here, and the next pull continues there
"
    );
}

#[test]
fn the_end_is_told_in_one_sentence() {
    let part = || {
        vec![
            (0, progress('4', 50_000_000, Phase::Downloading, 0)),
            (900, progress('4', 50_000_000, Phase::Downloading, 2_000_000)),
        ]
    };
    let present = || vec![(0, progress('4', 50_000_000, Phase::Present, 50_000_000))];
    let stored =
        || vec![(0, progress('3', 1471, Phase::Verifying, 1471)), (0, progress('3', 1471, Phase::Complete, 1471))];
    let resolved = || vec![(0, Some(Event::Resolved(("alpine".to_owned(), descriptor(INDEX, '1', 1853)))))];
    let rows = [
        (Vec::new(), End::Done, ""),
        (Vec::new(), End::Failed, ""),
        ([resolved(), present()].concat(), End::Done, "nothing to download, 1 here before"),
        ([resolved(), present()].concat(), End::Failed, "444444444444: here before, 50MB"),
        // Out of an archive that is here.
        (present(), End::Done, "1 here before"),
        (present(), End::Failed, "444444444444: here before, 50MB"),
        ([stored(), present()].concat(), End::Done, "1.47kB in 1s: 1 stored, 1 here before"),
        (stored(), End::Failed, "stopped after 1s"),
        (stored(), End::Interrupted, "interrupted after 1s"),
        (part(), End::Failed, "stopped after 1s: 2MB of 50MB had arrived"),
        (part(), End::Interrupted, "interrupted after 1s: 2MB of 50MB are here, and the next pull continues there"),
    ];
    for (script, end, expected) in rows {
        let told = plain(script, end, 1_000);
        assert_eq!(told.lines().last().unwrap_or_default(), expected, "{told}");
    }
}

/// The number of bytes falls when a server ignores `Range`; sums must not
/// underflow, and what came twice counts twice as fetched.
#[test]
fn a_blob_that_begins_again_is_counted_right() {
    let script = vec![
        (0, progress('4', 1_000_000, Phase::Downloading, 600_000)),
        (100, progress('4', 1_000_000, Phase::Downloading, 800_000)),
        (200, progress('4', 1_000_000, Phase::Retrying, 0)),
        (300, progress('4', 1_000_000, Phase::Downloading, 0)),
        (900, progress('4', 1_000_000, Phase::Complete, 1_000_000)),
    ];
    assert_eq!(
        plain(script, End::Done, 1_000),
        "444444444444: downloading 1MB, 600kB are here
444444444444: trying again, 0B of 1MB are here
444444444444: downloading 1MB
444444444444: complete, 1MB in 0.9s (1.33MB/s)
1.2MB in 1s (1.2MB/s): 1 downloaded, 0 here before
"
    );
}

#[test]
fn silence_is_broken_by_warnings_only() {
    let mut out = Vec::new();
    let mut reporter = Silent::new(&mut out, Palette::PLAIN);
    play(script(), &mut reporter);
    reporter.finish(End::Done, Duration::from_secs(21)).expect("memory takes every write");
    assert_eq!(String::from_utf8(out).expect("text"), format!("warning: the registry said {HARMLESS}\n"));
}

fn lines(script: Script, end: End, ms: u64) -> String {
    let mut out = Vec::new();
    let mut reporter = Lines::new(&mut out);
    play(script, &mut reporter);
    reporter.finish(end, Duration::from_millis(ms)).expect("memory takes every write");
    String::from_utf8(out).expect("text")
}

fn progress_schema() -> Value {
    serde_json::from_str(include_str!("../data/progress.schema.json")).expect("the schema is JSON")
}

#[test]
fn a_program_gets_exactly_these_lines() {
    let script = vec![
        (100, Some(Event::Resolved(("docker.io/library/alpine:3.20".to_owned(), descriptor(INDEX, '1', 1853))))),
        (200, Some(Event::Selected(("linux/amd64".to_owned(), descriptor(MANIFEST, '2', 528))))),
        (300, progress('4', 5000, Phase::Downloading, 1000)),
        // Too soon after the last one, and nothing new but bytes.
        (499, progress('4', 5000, Phase::Downloading, 2000)),
        (500, progress('4', 5000, Phase::Downloading, 3000)),
        (510, progress('4', 5000, Phase::Complete, 5000)),
        (510, transferred('4', 5000, Some("https://mirror.lan"))),
        (512, progress('4', 5000, Phase::Unpacking, 5000)),
        (514, progress('4', 5000, Phase::Unpacked, 5000)),
        (515, transferred('5', 7000, None)),
        (520, Some(Event::Warning("slow\u{9b}".to_owned()))),
        (530, Some(Event::Note("97 are left".to_owned()))),
    ];
    let (one, two, four) = (digest('1'), digest('2'), digest('4'));
    let blob = format!(r#"{{"media_type":"{LAYER}","digest":"{four}","size":5000}}"#);
    let here = format!(r#"{{"media_type":"{LAYER}","digest":"{}","size":7000}}"#, digest('5'));
    assert_eq!(
        lines(script, End::Done, 600),
        format!(
            r#"{{"type":"resolved","name":"docker.io/library/alpine:3.20","target":{{"media_type":"{INDEX}","digest":"{one}","size":1853}},"elapsed_ms":100}}
{{"type":"selected","platform":"linux/amd64","manifest":{{"media_type":"{MANIFEST}","digest":"{two}","size":528}},"elapsed_ms":200}}
{{"type":"progress","blob":{blob},"phase":"downloading","received":1000,"elapsed_ms":300}}
{{"type":"progress","blob":{blob},"phase":"downloading","received":3000,"elapsed_ms":500}}
{{"type":"progress","blob":{blob},"phase":"complete","received":5000,"elapsed_ms":510}}
{{"type":"transferred","blob":{blob},"endpoint":"https://mirror.lan","attempts":2,"resumed_from":0,"fetched_bytes":5000,"duration_ms":450,"cached":false,"elapsed_ms":510}}
{{"type":"progress","blob":{blob},"phase":"unpacking","received":5000,"elapsed_ms":512}}
{{"type":"progress","blob":{blob},"phase":"unpacked","received":5000,"elapsed_ms":514}}
{{"type":"transferred","blob":{here},"endpoint":null,"attempts":0,"resumed_from":0,"fetched_bytes":0,"duration_ms":450,"cached":true,"elapsed_ms":515}}
{{"type":"warning","message":"slow\u009b","elapsed_ms":520}}
{{"type":"note","message":"97 are left","elapsed_ms":530}}
{{"type":"summary","end":"done","blobs":1,"complete":1,"present":0,"unpacked":1,"size":5000,"received":5000,"fetched":4000,"elapsed_ms":600}}
"#
        )
    );
}

#[test]
fn every_line_for_a_program_keeps_to_the_schema() {
    let schema = progress_schema();
    let problems = [
        ErrorCode::NotFound,
        ErrorCode::DigestMismatch(digest('9')),
        ErrorCode::SizeMismatch(3),
        ErrorCode::TooLarge(u64::MAX),
        ErrorCode::Other("x".to_owned()),
    ];
    let mut text: String = [End::Done, End::Failed, End::Interrupted].map(|end| lines(script(), end, 21_000)).concat();
    for code in problems {
        let problem = Problem { code, what: "a".to_owned(), why: vec!["b".to_owned()], fix: Some("c".to_owned()) };
        text += &problem::json(&problem);
        text += &problem::json(&Problem { fix: None, ..problem });
    }
    for phase in
        [Phase::Waiting, Phase::Downloading, Phase::Verifying, Phase::Complete, Phase::Present, Phase::Retrying]
    {
        text += &lines(vec![(0, progress('4', 5000, phase, 0))], End::Done, 0);
    }
    for event in [transferred('4', 5000, Some("x")), transferred('4', 5000, None), Some(Event::Note("a".to_owned()))] {
        text += &lines(vec![(0, event)], End::Done, 0);
    }
    let mut types = std::collections::BTreeSet::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        schema::validate(&schema, &schema, &value).unwrap_or_else(|why| panic!("{why}: {line}"));
        types.insert(value["type"].as_str().expect("a type").to_owned());
    }
    assert_eq!(
        types.into_iter().collect::<Vec<_>>(),
        ["note", "problem", "progress", "resolved", "selected", "summary", "transferred", "warning"]
    );
}

/// A validator that accepts everything would make the test above worthless.
#[test]
fn the_schema_refuses_other_lines() {
    let schema = progress_schema();
    let rows = [
        r#"{}"#,
        r#"{"type":"other","elapsed_ms":1}"#,
        r#"{"type":"warning","message":"a"}"#,
        r#"{"type":"warning","message":1,"elapsed_ms":1}"#,
        r#"{"type":"warning","message":"a","elapsed_ms":-1}"#,
        r#"{"type":"warning","message":"a","elapsed_ms":1.5}"#,
        r#"{"type":"warning","message":"a","elapsed_ms":1,"more":1}"#,
        r#"{"type":"resolved","name":"a","target":{"media_type":"b","digest":"c"},"elapsed_ms":1}"#,
        r#"{"type":"progress","blob":{"media_type":"b","digest":"c","size":1},"phase":"gone","received":1,"elapsed_ms":1}"#,
        r#"{"type":"problem","code":"gone","what":"a","why":[],"fix":null}"#,
        r#"{"type":"problem","code":"denied","what":"a","why":[1],"fix":null}"#,
        r#""warning""#,
    ];
    for row in rows {
        let value: Value = serde_json::from_str(row).expect("it is JSON");
        assert!(schema::validate(&schema, &schema, &value).is_err(), "{row}");
    }
}

/// A screen of 12 lines, and a reporter that draws on it without a limit on
/// how often.
fn screen(columns: u16) -> (InMemoryTerm, Terminal) {
    let screen = InMemoryTerm::new(12, columns);
    let reporter = Terminal::on(ProgressDrawTarget::term_like(Box::new(screen.clone())), Palette::PLAIN);
    (screen, reporter)
}

#[test]
fn a_terminal_shows_what_moves_below_what_is_done() {
    let (screen, mut reporter) = screen(100);
    let script = script();
    let middle = script.iter().position(|(ms, _)| *ms == 3_000).expect("there is such a time");
    play(script[..middle].to_vec(), &mut reporter);
    assert_eq!(
        screen.contents(),
        format!(
            "docker.io/library/alpine:3.20: index {}
linux/amd64: manifest {}
555555555555: here before, 7MB
333333333333: complete, 1.47kB in 0.2s
444444444444 [=====>              ] downloading 14MB of 50MB, 2MB/s, 18s left
21MB of 57MB (36 %), 2MB/s, 18s left, 2 of 3 blobs",
            // The digests go over the edge of the screen.
            digest('1').split_at(63).0.to_owned() + "\n" + digest('1').split_at(63).1,
            digest('2')
        )
    );
    play(script[middle..].to_vec(), &mut reporter);
    reporter.finish(End::Done, Duration::from_secs(21)).expect("memory takes every write");
    let shown = screen.contents();
    let shown: Vec<&str> = shown.lines().skip(3).collect();
    assert_eq!(
        shown,
        [
            "555555555555: here before, 7MB",
            "333333333333: complete, 1.47kB in 0.2s",
            &format!("warning: the registry said {HARMLESS}"),
            "444444444444: complete, 50MB in 21s (1.95MB/s)",
            "40MB in 21s (1.9MB/s): 2 downloaded, 1 here before",
        ]
    );
}

#[test]
fn a_moving_line_is_cut_at_the_edge_of_a_narrow_terminal() {
    let (screen, mut reporter) = screen(50);
    let script = vec![
        (0, progress('4', 50_000_000, Phase::Downloading, 0)),
        (2_000, progress('4', 50_000_000, Phase::Downloading, 25_000_000)),
        (2_200, None),
    ];
    play(script, &mut reporter);
    assert_eq!(
        screen.contents(),
        "444444444444 [==========>         ] downloading 25
25MB of 50MB (50 %), 11.4MB/s, 3s left, 0 of 1 blo"
    );
}

#[test]
fn a_terminal_moves_no_more_lines_than_there_are_blobs_on_their_way() {
    let (screen, mut reporter) = screen(100);
    let mut script: Script = Vec::new();
    for digit in '0'..='9' {
        script.push((0, progress(digit, 5000, Phase::Waiting, 0)));
    }
    script.push((100, progress('7', 5000, Phase::Downloading, 0)));
    play(script, &mut reporter);
    assert_eq!(
        screen.contents(),
        "777777777777 [                    ] downloading 0B of 5kB\n0B of 50kB (0 %), 0 of 10 blobs"
    );
    reporter.finish(End::Interrupted, Duration::from_secs(1)).expect("memory takes every write");
    assert_eq!(screen.contents(), "interrupted after 1s: 0B of 50kB are here, and the next pull continues there");
}
