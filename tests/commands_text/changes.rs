//! What the verbs that change what is here print: plans, and what was done.

use super::{HARMLESS, HOSTILE, digest};
use serde_json::{Value, json};
use wharf::images::{Changed, Garbage, NameChange, Plan};
use wharf::render::changes;
use wharf::render::palette::Palette;

fn renamed(name: &str, before: Option<char>, after: Option<char>, why: &str) -> NameChange {
    let name = format!("docker.io/library/{name}");
    NameChange {
        retention: None,
        name,
        before: before.map(digest),
        after: after.map(digest),
        platforms: Vec::new(),
        why: why.to_owned(),
    }
}

fn nothing() -> Garbage {
    Garbage { blobs: Vec::new(), layers: Vec::new(), snapshots: Vec::new(), ingests: Vec::new() }
}

fn some() -> Garbage {
    Garbage {
        blobs: vec![(digest('a'), 1_000), (digest('b'), 200)],
        layers: vec![(digest('c'), 1_000_000)],
        snapshots: vec![("sha256:top".to_owned(), 0)],
        ingests: vec![("0a1b".to_owned(), 7)],
    }
}

fn changed(names: Vec<NameChange>, removed: Garbage, gone: &[char]) -> Changed {
    let gone = gone.iter().map(|digit| digest(*digit)).collect();
    Changed { names, leases: Vec::new(), removed, gone, failed: Vec::new(), left: Vec::new() }
}

fn plan(changed: Changed, risks: &[&str]) -> Plan {
    let risks = risks.iter().map(|risk| (*risk).to_owned()).collect();
    let Changed { names, leases, removed: garbage, gone, .. } = changed;
    Plan { names, leases, garbage, gone, risks, document: "{\"verb\":\"prune\"}".to_owned() }
}

#[test]
fn one_of_several_collections_is_told_with_its_time_if_it_did_something() {
    const NOW: i64 = 1_769_860_800;
    let expired = changed(vec![renamed("app:1", Some('a'), None, "it has expired")], some(), &['a']);
    let text = format!(
        "2026-01-31T12:00:00Z untagged docker.io/library/app:1\n2026-01-31T12:00:00Z deleted {}\n\
         2026-01-31T12:00:00Z freed 1MB: 2 blobs, 1 layer, 1 snapshot, 1 unfinished download\n",
        digest('a')
    );
    assert_eq!(changes::collected(&expired, NOW), text);
    let line = changes::collected_json(&expired, NOW);
    assert_eq!(line.lines().count(), 1, "{line}");
    let mut object: Value = serde_json::from_str(&line).expect("it is JSON");
    let time = object.as_object_mut().expect("an object").remove("time");
    assert_eq!(time, Some(json!("2026-01-31T12:00:00Z")));
    assert_eq!(object, serde_json::from_str::<Value>(&changes::json(&expired)).expect("it is JSON"));

    let mut idle = changed(Vec::new(), nothing(), &[]);
    idle.left.push("a blob is in use".to_owned());
    assert_eq!((changes::collected(&idle, NOW), changes::collected_json(&idle, NOW)), (String::new(), String::new()));
    assert_eq!(changes::left(&idle), "a blob is in use\n");
}

#[test]
fn each_change_has_its_words_before_and_after() {
    let mut platform = renamed("many:1", Some('d'), Some('d'), "asked for");
    platform.platforms = vec!["linux/arm64/v8".to_owned(), "linux/386".to_owned()];
    let (a, b) = (digest('a'), digest('b'));
    let rows = [
        (
            changed(vec![renamed("app:1", Some('a'), None, "it has no tag")], some(), &['a']),
            format!("untagged docker.io/library/app:1\ndeleted {a}\n"),
            "freed 1MB: 2 blobs, 1 layer, 1 snapshot, 1 unfinished download\n",
            format!(
                "would untag docker.io/library/app:1: it has no tag\nwould delete {a}\n\
                 would free 1MB: 2 blobs, 1 layer, 1 snapshot, 1 unfinished download\n"
            ),
        ),
        // What a name has moved away from is here, and has no name.
        (
            changed(
                vec![renamed("app:1", Some('b'), Some('a'), ""), renamed("app:2", None, Some('a'), "")],
                nothing(),
                &['b'],
            ),
            format!("tagged docker.io/library/app:1\ntagged docker.io/library/app:2\nleft without a name {b}\n"),
            "",
            format!(
                "would tag docker.io/library/app:1\nwould tag docker.io/library/app:2\n\
                 would leave without a name {b}\n"
            ),
        ),
        (
            changed(vec![renamed("app:1", Some('a'), None, "")], nothing(), &[]),
            "untagged docker.io/library/app:1\n".to_owned(),
            "freed nothing\n",
            "would untag docker.io/library/app:1\nwould free nothing\n".to_owned(),
        ),
        (
            changed(vec![platform], nothing(), &[]),
            "removed linux/arm64/v8, linux/386 of docker.io/library/many:1\n".to_owned(),
            "freed nothing\n",
            "would remove linux/arm64/v8, linux/386 of docker.io/library/many:1: asked for\nwould free nothing\n"
                .to_owned(),
        ),
        (changed(Vec::new(), nothing(), &[]), String::new(), "freed nothing\n", "nothing would change\n".to_owned()),
    ];
    for (done, lines, talk, planned) in rows {
        assert_eq!(changes::lines(&done), lines);
        assert_eq!(changes::talk(&done), talk, "{lines}");
        assert_eq!(changes::plan(&plan(done, &[])), planned);
    }
}

#[test]
fn what_is_at_risk_stands_below_the_plan() {
    let planned = plan(changed(Vec::new(), nothing(), &[]), &["one", HOSTILE]);
    assert_eq!(changes::plan(&planned), format!("nothing would change\nat risk: one\nat risk: {HARMLESS}\n"));
}

#[test]
fn a_name_that_stays_is_a_failure_and_a_blob_that_stays_is_none() {
    let mut done = changed(Vec::new(), nothing(), &[]);
    done.left = vec![format!("a blob is being read {HOSTILE}")];
    assert!(changes::is_whole(&done));
    assert_eq!(changes::failures(&done, Palette::PLAIN), "");
    assert_eq!(changes::talk(&done), format!("a blob is being read {HARMLESS}\nfreed nothing\n"));
    done.failed = vec![("docker.io/library/app:1".to_owned(), "somebody else has moved it".to_owned())];
    assert!(!changes::is_whole(&done));
    let expected = "error: `docker.io/library/app:1` stays as it was\n  because: somebody else has moved it\n";
    assert_eq!(changes::failures(&done, Palette::PLAIN), expected);
}

#[test]
fn a_hostile_name_or_platform_moves_no_cursor() {
    let mut platform = renamed(HOSTILE, Some('a'), Some('a'), HOSTILE);
    platform.platforms = vec!["linux/\u{1b}c".to_owned()];
    let mut done = changed(vec![renamed(HOSTILE, Some('a'), None, HOSTILE), platform], nothing(), &[]);
    done.gone = vec![HOSTILE.to_owned()];
    done.leases = vec![HOSTILE.to_owned()];
    done.failed = vec![(HOSTILE.to_owned(), HOSTILE.to_owned())];
    let failures = changes::failures(&done, Palette::PLAIN);
    let texts = [changes::lines(&done), changes::json(&done), failures, changes::plan(&plan(done, &[HOSTILE]))];
    for text in texts {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn programs_read_changes_and_plans_by_stable_names() {
    let mut done = changed(
        vec![renamed("app:1", Some('a'), None, "it has no tag"), renamed("app:2", None, Some('b'), "")],
        some(),
        &['a'],
    );
    done.failed = vec![("docker.io/library/app:3".to_owned(), "moved".to_owned())];
    done.left = vec!["in use".to_owned()];
    done.leases = vec!["build-1".to_owned()];
    let names = json!([
        {"name": "docker.io/library/app:1", "before": digest('a'), "after": null, "platforms": [], "why": "it has no tag"},
        {"name": "docker.io/library/app:2", "before": null, "after": digest('b'), "platforms": [], "why": ""},
    ]);
    let garbage = json!({
        "blobs": [{"digest": digest('a'), "size": 1_000}, {"digest": digest('b'), "size": 200}],
        "layers": [{"digest": digest('c'), "size": 1_000_000}],
        "snapshots": [{"name": "sha256:top", "size": 0}],
        "ingests": [{"key": "0a1b", "size": 7}],
        "bytes": 1_001_207,
    });
    let read = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    assert_eq!(
        read(changes::json(&done)),
        json!({
            "names": names, "leases": ["build-1"], "gone": [digest('a')], "removed": garbage,
            "failed": [{"name": "docker.io/library/app:3", "why": "moved"}], "left": ["in use"],
        })
    );
    assert_eq!(
        read(changes::plan_json(&plan(done, &["risky"]))),
        json!({"names": names, "leases": ["build-1"], "gone": [digest('a')], "garbage": garbage, "risks": ["risky"]})
    );
}
