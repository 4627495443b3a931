//! `wharf tags`, `wharf catalog`, `wharf search` and `wharf referrers`: their arguments, and what they print.

use std::ffi::OsString;
use wharf::cli::{self, Catalog, Cli, RETRIES, SEARCH_LIMIT, Search, TableFormat, Tags, TextFormat, Verb};
use wharf::images::{Descriptor, Found, FoundRepository, Referral, Referrer};
use wharf::render::{found, lists, referrers};

fn parse(words: &str) -> Result<Cli, clap::Error> {
    cli::parse(std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from))
}

#[test]
fn a_list_is_asked_for_as_a_pull_asks() {
    let Verb::Tags(Tags { repository, asking }) =
        parse("tags --retries 9 --timeout 2m --plain-http lan:5000 --format json lan:5000/app")
            .expect("they are right")
            .verb
    else {
        panic!("these are the arguments of `tags`")
    };
    let access = asking.access();
    assert_eq!((repository.as_str(), asking.format), ("lan:5000/app", TextFormat::Json));
    assert_eq!((access.retries, access.silence_ms, access.plain_http), (9, 120_000, vec!["lan:5000".to_owned()]));

    let Verb::Catalog(Catalog { registry, asking }) = parse("catalog lan:5000").expect("they are right").verb else {
        panic!("these are the arguments of `catalog`")
    };
    assert_eq!((registry.as_str(), asking.format), ("lan:5000", TextFormat::Text));
    assert_eq!(asking.access().retries, RETRIES);
    for words in ["tags", "catalog", "tags a b"] {
        assert!(parse(words).is_err(), "{words}");
    }
}

#[test]
fn a_list_is_one_name_a_line_or_an_array() {
    let names = ["1.0", "\u{1b}[31mred"].map(str::to_owned);
    assert_eq!(lists::lines(&names), "1.0\n\\u{1b}[31mred\n");
    let read: Vec<String> = serde_json::from_str(&lists::json(&names)).expect("it is JSON");
    assert_eq!(read, names);
    assert!(!lists::json(&names).contains('\u{1b}'));
    assert_eq!((lists::lines(&[]), lists::json(&[])), (String::new(), "[]\n".to_owned()));
}

fn search(words: &str) -> Search {
    let Verb::Search(search) = parse(words).expect(words).verb else { panic!("these are the arguments of `search`") };
    search
}

#[test]
fn a_search_has_a_limit_and_filters() {
    let asked = search("search alpine");
    assert_eq!(
        (asked.options().limit, asked.options().filters, asked.format),
        (SEARCH_LIMIT, vec![], TableFormat::Table)
    );
    let asked = search("search --limit 100 -f stars=3 --filter is-official=true --no-trunc --retries 0 lan:5000/app");
    assert_eq!((asked.term.as_str(), asked.no_trunc, asked.access().retries), ("lan:5000/app", true, 0));
    assert_eq!(
        (asked.options().limit, asked.options().filters),
        (100, ["stars=3", "is-official=true"].map(str::to_owned).to_vec())
    );
    for words in ["search", "search --limit 0 a", "search --limit 101 a", "search --filter stars a", "search a b"] {
        assert!(parse(words).is_err(), "{words}");
    }
}

#[test]
fn what_was_found_is_dockers_table_or_an_array() {
    let one = |name: &str, stars, official| FoundRepository {
        name: name.to_owned(),
        description: "a\tlong\u{202e} description, with many more words than fit".to_owned(),
        stars,
        official,
        automated: false,
    };
    let found_two = Found {
        repositories: vec![one("alpine", Some(10), true), one("lan:5000/app", None, false)],
        notes: vec!["a note\u{7}".to_owned()],
    };
    let table = "\
NAME           DESCRIPTION                                     STARS   OFFICIAL
alpine         a long\\u{202e} description, with many more w…   10      [OK]
lan:5000/app   a long\\u{202e} description, with many more w…
";
    assert_eq!(found::table(&found_two, false), table);
    assert!(found::table(&found_two, true).contains("more words than fit   10      [OK]\n"));
    assert_eq!(found::talk(&found_two), "a note\\u{7}\n");
    let read: serde_json::Value = serde_json::from_str(&found::json(&found_two)).expect("it is JSON");
    let rows: Vec<_> = read.as_array().expect("an array").iter().map(|row| (&row["stars"], &row["official"])).collect();
    assert_eq!(
        rows,
        [(&serde_json::json!(10), &serde_json::json!(true)), (&serde_json::Value::Null, &serde_json::json!(false))]
    );
}

#[test]
fn what_refers_to_an_image_is_a_table_or_an_array() {
    let Verb::Referrers(asked) = parse("referrers --type a/b --no-trunc lan:5000/app:1").expect("they are right").verb
    else {
        panic!("these are the arguments of `referrers`")
    };
    assert_eq!(
        (asked.reference.as_str(), asked.artifact_type.as_deref(), asked.no_trunc),
        ("lan:5000/app:1", Some("a/b"), true)
    );
    for words in ["referrers", "referrers --type", "referrers a b"] {
        assert!(parse(words).is_err(), "{words}");
    }
    let one = |kind: Option<&str>, annotations: &[(&str, &str)]| Referrer {
        target: Descriptor { media_type: "a/b".to_owned(), digest: "sha256:00".to_owned(), size: 7 },
        artifact_type: kind.map(str::to_owned),
        annotations: annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let referral = Referral {
        repository: "lan:5000/app".to_owned(),
        subject: "sha256:11".to_owned(),
        referrers: vec![one(Some("x/y\n"), &[("k", "v"), ("l", &"w".repeat(80))]), one(None, &[])],
        notes: vec!["a note".to_owned()],
    };
    let table = format!(
        "DIGEST      ARTIFACT TYPE   SIZE   ANNOTATIONS\nsha256:00   x/y             7B     k=v, l={}…\nsha256:00   <none>          7B\n",
        "w".repeat(52)
    );
    assert_eq!(referrers::table(&referral, false), table);
    assert!(referrers::table(&referral, true).contains(&"w".repeat(80)));
    assert_eq!(referrers::talk(&referral), "a note\n");
    let read: serde_json::Value = serde_json::from_str(&referrers::json(&referral)).expect("it is JSON");
    assert_eq!(
        (&read[0]["annotations"]["k"], &read[1]["artifact_type"]),
        (&serde_json::json!("v"), &serde_json::Value::Null)
    );
}
