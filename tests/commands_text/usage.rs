//! What is printed about space, leases, downloads, labels and events.

use super::{DAY, HARMLESS, HOSTILE, NOW, digest};
use serde_json::{Value, json};
use wharf::images::{Action, Happening, ImageUsage, IngestInfo, Lease, Share, Sum, Usage};
use wharf::render::{happenings, ingests, labels, leases, usage};

fn image(names: &[&str], digit: char) -> ImageUsage {
    ImageUsage {
        names: names.iter().map(|name| format!("docker.io/library/{name}")).collect(),
        target: digest(digit),
        created: NOW - 21 * DAY,
        used: NOW - 3_600,
        content: Share { unique: 3_000_000, shared: 1_000_000 },
        unpacked: Share { unique: 9_000_000, shared: 2_000_000 },
        mounted: false,
        leased: false,
    }
}

fn measured() -> Usage {
    let mut used = image(&["app:1", "app:2"], 'a');
    (used.mounted, used.leased) = (true, true);
    Usage {
        images: vec![used, image(&[], 'b')],
        content: Sum { unique: 6_000_000, shared: 1_000_000, others: 20, unneeded: 500, reclaimable: 3_000_500 },
        unpacked: Sum { unique: 18_000_000, shared: 2_000_000, others: 0, unneeded: 0, reclaimable: 9_000_000 },
        written: (3, 1_000_000),
        ingests: (2, 12_300_000),
        notes: vec![HOSTILE.to_owned()],
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn sizes_are_a_table_whose_parts_are_all_there_is() {
    assert_eq!(
        usage::table(&measured()),
        "              UNIQUE   SHARED   OTHERS   UNNEEDED   TOTAL    RECLAIMABLE
content       6MB      1MB      20B      500B       7MB      3MB
unpacked      18MB     2MB      0B       0B         20MB     9MB
written (3)   -        -        -        -          1MB      -
ingests (2)   -        -        -        -          12.3MB   -
all           24MB     3MB      20B      500B       40.3MB   12MB
"
    );
    assert_eq!(usage::talk(&measured()), format!("{HARMLESS}\n"));
    let object = read(&usage::json(&measured()));
    assert_eq!(object["written"], serde_json::json!({ "count": 3, "bytes": 1_000_000 }));
    for kind in ["content", "unpacked"] {
        let parts = ["unique", "shared", "others", "unneeded"].map(|part| object[kind][part].as_u64().expect(part));
        assert_eq!(object[kind]["total"], parts.iter().sum::<u64>(), "{kind}");
    }
}

#[test]
fn each_image_has_a_row_with_what_is_its_own() {
    let head = "NAMES                                              DIGEST         CREATED       USED         ";
    let rows = [
        "docker.io/library/app:1, docker.io/library/app:2   aaaaaaaaaaaa   3 weeks ago   1 hour ago   ",
        "<none>                                             bbbbbbbbbbbb   3 weeks ago   1 hour ago   ",
    ];
    assert_eq!(
        usage::images(&measured().images, NOW),
        format!(
            "{head}CONTENT UNIQUE   SHARED   UNPACKED UNIQUE   SHARED   IN USE
{}3MB              1MB      9MB               2MB      mounted, leased
{}3MB              1MB      9MB               2MB
",
            rows[0], rows[1]
        )
    );
}

#[test]
fn programs_read_sizes_by_stable_names() {
    let share = |unique: u64, shared: u64| json!({"unique": unique, "shared": shared});
    let object = |names: &[&str], target: char, used: bool| {
        json!({
            "names": names, "target": digest(target), "created": "2026-01-10T12:00:00Z", "used": "2026-01-31T11:00:00Z",
            "content": share(3_000_000, 1_000_000), "unpacked": share(9_000_000, 2_000_000),
            "mounted": used, "leased": used,
        })
    };
    assert_eq!(
        read(&usage::json(&measured())),
        json!({
            "content": {
                "unique": 6_000_000, "shared": 1_000_000, "others": 20, "unneeded": 500, "total": 7_000_520,
                "reclaimable": 3_000_500,
            },
            "unpacked": {
                "unique": 18_000_000, "shared": 2_000_000, "others": 0, "unneeded": 0, "total": 20_000_000,
                "reclaimable": 9_000_000,
            },
            "written": {"count": 3, "bytes": 1_000_000},
            "ingests": {"count": 2, "bytes": 12_300_000},
            "images": [
                object(&["docker.io/library/app:1", "docker.io/library/app:2"], 'a', true), object(&[], 'b', false),
            ],
            "notes": [HOSTILE],
        })
    );
}

fn lease(expires: Option<i64>) -> Lease {
    let labels = vec![("for".to_owned(), "ci".to_owned()), ("why".to_owned(), HOSTILE.to_owned())];
    Lease { id: "ci.1".to_owned(), created: NOW - DAY, expires, labels, holds: vec![digest('a'), digest('b')] }
}

#[test]
fn a_lease_says_when_it_ends() {
    for (expires, told, stamp) in [
        (None, "never", None),
        (Some(NOW + 3 * DAY), "in 3 days", Some("2026-02-03T12:00:00Z")),
        (Some(NOW), "expired", Some("2026-01-31T12:00:00Z")),
    ] {
        let lease = lease(expires);
        let table = leases::table(std::slice::from_ref(&lease), NOW);
        let row = table.lines().nth(1).expect("a row");
        let cells: Vec<&str> = row.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let labels = format!("for=ci, why={}", HARMLESS.replace(r"\n", " "));
        assert_eq!(cells, ["ci.1", "24 hours ago", told, "aaaaaaaaaaaa, bbbbbbbbbbbb", &labels]);
        let expected = json!({
            "id": "ci.1", "created": "2026-01-30T12:00:00Z", "expires": stamp,
            "labels": {"for": "ci", "why": HOSTILE}, "holds": [digest('a'), digest('b')],
        });
        assert_eq!(read(&leases::one_json(&lease)), expected);
        assert_eq!(read(&leases::json(&[lease])), json!([expected]));
    }
    assert_eq!(leases::ids(&[lease(None)]), "ci.1\n");
}

#[test]
fn downloads_that_nobody_has_finished_are_listed_with_what_has_arrived() {
    let ingest = |key: char, name: Option<String>, held| IngestInfo {
        key: key.to_string().repeat(64),
        name,
        size: 1_500,
        age_s: 7_200,
        held,
    };
    let all = [ingest('1', Some(digest('a')), true), ingest('2', None, false)];
    assert_eq!(
        ingests::table(&all, false),
        "KEY            NAME           SIZE    LAST BYTE     STATE
111111111111   aaaaaaaaaaaa   1.5kB   2 hours ago   on its way
222222222222   <none>         1.5kB   2 hours ago   given up
"
    );
    let whole = ingests::table(&all, true);
    assert!(whole.contains(&"1".repeat(64)) && whole.contains(&digest('a')), "{whole}");
    assert_eq!(ingests::keys(&all), format!("{}\n{}\n", "1".repeat(64), "2".repeat(64)));
    assert_eq!(ingests::talk(&all), "freed 3kB: 2 unfinished downloads\n");
    assert_eq!(ingests::talk(&all[..1]), "freed 1.5kB: 1 unfinished download\n");
    assert_eq!(
        read(&ingests::json(&all)),
        json!([
            {"key": "1".repeat(64), "name": digest('a'), "size": 1_500, "age_s": 7_200, "held": true},
            {"key": "2".repeat(64), "name": null, "size": 1_500, "age_s": 7_200, "held": false},
        ])
    );
}

#[test]
fn labels_are_lines_or_an_object() {
    let all = [("team", "web"), ("why", HOSTILE)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(labels::lines(&all), format!("team=web\nwhy={HARMLESS}\n"));
    assert_eq!(read(&labels::json(&all)), json!({"team": "web", "why": HOSTILE}));
    assert_eq!((labels::lines(&[]), labels::json(&[])), (String::new(), "{}\n".to_owned()));
}

#[test]
fn an_event_is_a_line_with_its_time_to_the_nanosecond() {
    let happening = |action, target: Option<String>| Happening {
        time: (NOW, 120),
        action,
        subject: "docker.io/library/app:1".to_owned(),
        target,
    };
    let words = [
        (Action::Pull, "pull"),
        (Action::Tag, "tag"),
        (Action::Untag, "untag"),
        (Action::Delete, "delete"),
        (Action::Prune, "prune"),
        (Action::Lease, "lease"),
        (Action::Release, "release"),
        (Action::Expire, "expire"),
        (Action::Label, "label"),
        (Action::Push, "push"),
        (Action::Import, "import"),
    ];
    let time = "2026-01-31T12:00:00.000000120Z";
    for (action, word) in words {
        let target = digest('a');
        let told = happening(action, Some(target.clone()));
        assert_eq!(happenings::line(&told), format!("{time} {word} docker.io/library/app:1 ({target})\n"));
        let object = json!({
            "time": time, "action": word, "subject": "docker.io/library/app:1", "target": target,
        });
        let line = happenings::json(&told);
        assert_eq!((read(&line), line.lines().count()), (object, 1));
    }
    let mut bare = happening(Action::Prune, None);
    bare.subject = HOSTILE.to_owned();
    assert_eq!(happenings::line(&bare), format!("{time} prune {HARMLESS}\n"));
    assert_eq!(read(&happenings::json(&bare))["target"], Value::Null);
    let mut own = happening(Action::Delete, Some(digest('a')));
    own.subject = digest('a');
    assert_eq!(happenings::line(&own), format!("{time} delete {}\n", digest('a')));
}
