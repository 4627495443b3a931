//! `wharf tags` and `wharf catalog`: their arguments, and what they print.

use std::ffi::OsString;
use wharf::cli::{self, Catalog, Cli, RETRIES, Tags, TextFormat, Verb};
use wharf::render::lists;

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
