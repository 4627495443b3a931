//! `push` and `copy`: from arguments to options, and what is told of what was done.

use super::{CONFIG, HARMLESS, HOSTILE, LAYER, MANIFEST, digest};
use std::ffi::OsString;
use wharf::cli::{self, Verb};
use wharf::images::{Descriptor, PushOptions, Pushed, PushedPart, Way};
use wharf::render::pushed;

fn options(words: &str) -> PushOptions {
    let words = std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from);
    match cli::parse(words).expect("the words are arguments").verb {
        Verb::Push(push) => push.options(),
        Verb::Copy(copy) => copy.options(),
        other => panic!("{other:?}"),
    }
}

fn part(media_type: &str, mark: char, size: u64, way: Way) -> PushedPart {
    let part = Descriptor { media_type: media_type.to_owned(), digest: digest(mark), size };
    let sent_bytes = if matches!(way, Way::Sent) { size } else { 0 };
    PushedPart { part, way, sent_bytes }
}

fn example() -> Pushed {
    let parts = vec![
        part(LAYER, '1', 42_000_000, Way::Sent),
        part(LAYER, '2', 3_000_000, Way::Mounted("team/base".to_owned())),
        part(LAYER, '3', 2_000_000, Way::Elsewhere),
        part(CONFIG, '4', 500, Way::There),
        part(MANIFEST, '5', 1_000, Way::Sent),
    ];
    Pushed {
        name: "lan.test/team/app:1".to_owned(),
        target: parts[4].part.clone(),
        reduced_from: Some(digest('6')),
        referrers: Vec::new(),
        sent_bytes: 42_001_000,
        parts,
        up_to_date: false,
        notes: vec![HOSTILE.to_owned()],
    }
}

#[test]
fn the_options_of_a_push_become_those_of_the_component() {
    let plain = options("push lan.test/app:1");
    assert_eq!((plain.platform, plain.all_tags, plain.referrers, plain.concurrent_uploads), (None, false, false, 5));
    assert!(
        options("push --referrers lan.test/app:1").referrers && options("copy --referrers --dry-run app b").referrers
    );
    for verb in ["push lan.test/app", "copy app lan.test/app"] {
        let asked = options(&format!("{verb} --platform linux/arm64 -a --max-concurrent-uploads 9 --retries 2"));
        assert_eq!(asked.platform.as_deref(), Some("linux/arm64"));
        assert_eq!((asked.all_tags, asked.concurrent_uploads, asked.access.retries), (true, 9, 2));
    }
    assert_eq!(options("push app:1 lan.test/app").destination.as_deref(), Some("lan.test/app"));
    for words in [
        "push",
        "push --all-tags app lan.test/app",
        "copy app",
        "push --platform a --all-platforms app",
        "push --max-concurrent-uploads 0 app",
        "copy -q --dry-run app b",
    ] {
        let words = std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from);
        assert!(cli::parse(words).is_err());
    }
}

#[test]
fn a_plan_of_a_push_says_what_becomes_of_each_part() {
    let text = pushed::plan(&[example()]);
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            format!("lan.test/team/app:1@{}", digest('5')),
            String::new(),
            "DIGEST KIND SIZE ACTION".to_owned(),
            "111111111111 layer 42MB send".to_owned(),
            "222222222222 layer 3MB mount from team/base".to_owned(),
            "333333333333 layer 2MB comes from elsewhere".to_owned(),
            "444444444444 config 500B is there".to_owned(),
            "555555555555 manifest 1kB send".to_owned(),
            "42MB to send in 2 parts, 1 to mount, 1 there".to_owned(),
            HARMLESS.to_owned(),
        ]
    );
}

#[test]
fn what_was_pushed_is_told_to_people_and_programs() {
    let one = example();
    assert_eq!(pushed::names(std::slice::from_ref(&one)), format!("lan.test/team/app:1@{}\n", digest('5')));
    assert_eq!(
        pushed::talk(std::slice::from_ref(&one)),
        format!("Digest: {}\nStatus: 42MB sent for lan.test/team/app:1\n", digest('5'))
    );
    let there = Pushed { up_to_date: true, name: format!("lan.test/app@{}", digest('7')), ..one.clone() };
    assert_eq!(pushed::names(std::slice::from_ref(&there)), format!("lan.test/app@{}\n", digest('7')));
    assert!(pushed::talk(&[there]).contains("Status: the registry is up to date for lan.test/app@"));
    let signed = Pushed { referrers: vec![part(MANIFEST, '8', 9, Way::Sent).part], ..one.clone() };
    assert!(pushed::talk(std::slice::from_ref(&signed)).ends_with("for lan.test/team/app:1 and what refers to it\n"));
    let json: serde_json::Value = serde_json::from_str(&pushed::json(&[signed])).expect("JSON");
    assert_eq!(json[0]["referrers"][0]["digest"], digest('8'));
    let json: serde_json::Value = serde_json::from_str(&pushed::json(&[one])).expect("JSON");
    assert_eq!(json[0]["target"]["media_type"], MANIFEST);
    assert_eq!(json[0]["reduced_from"], digest('6'));
    assert_eq!(json[0]["parts"][1]["way"], "mounted");
    assert_eq!(json[0]["parts"][1]["from"], "team/base");
    assert_eq!(json[0]["parts"][0]["sent_bytes"], 42_000_000);
}
