//! Whole answers of the verbs: tables and JSON.

use super::{CONFIG, DAY, INDEX, LAYER, MANIFEST, NOW, descriptor, digest, image};
use wharf::images::{Allowance, PlannedBlob, PullPlan, Pulled, Step, Transfer};
use wharf::render::images::ImagesStyle;
use wharf::render::{escape, history, images, inspect, plan, pulled};

#[test]
fn images_are_a_table_like_dockers() {
    let mut dangling = image("app", 'b');
    dangling.familiar = format!("registry.lan:5000/app@{}", digest('b'));
    dangling.id = digest('f');
    dangling.created = None;
    dangling.size = 528;
    let listed = [image("alpine:3.20", 'a'), dangling];
    assert_eq!(
        images::table(&listed, ImagesStyle::default(), NOW),
        "REPOSITORY              TAG      IMAGE ID       CREATED       SIZE
alpine                  3.20     eeeeeeeeeeee   3 weeks ago   77.8MB
registry.lan:5000/app   <none>   ffffffffffff   N/A           528B
"
    );
    assert_eq!(images::ids(&listed, false), "eeeeeeeeeeee\nffffffffffff\n");
    assert_eq!(images::ids(&listed, true), format!("{}\n{}\n", digest('e'), digest('f')));
    assert_eq!(images::table(&[], ImagesStyle::default(), NOW), "REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n");
    assert_eq!(images::json(&[]), "[]\n");
}

#[test]
fn platforms_are_a_column_when_an_image_has_several() {
    let mut many = image("busybox", 'a');
    many.platforms = ["linux/amd64", "linux/arm64/v8", "linux/s390x", "linux/386"].map(str::to_owned).to_vec();
    let listed = [image("alpine:3.20", 'b'), many];
    assert_eq!(
        images::table(&listed, ImagesStyle::default(), NOW),
        "REPOSITORY   TAG      IMAGE ID       CREATED       SIZE     PLATFORMS
alpine       3.20     eeeeeeeeeeee   3 weeks ago   77.8MB   linux/amd64
busybox      <none>   eeeeeeeeeeee   3 weeks ago   77.8MB   linux/amd64, linux/arm64/v8, linux/s390x, +1
"
    );
    let (a, b, e) = (digest('a'), digest('b'), digest('e'));
    assert_eq!(
        images::table(&listed, ImagesStyle { digests: true, whole: true }, NOW),
        format!(
            "REPOSITORY   TAG      {:74}{:74}CREATED       SIZE     PLATFORMS
alpine       3.20     {b}   {e}   3 weeks ago   77.8MB   linux/amd64
busybox      <none>   {a}   {e}   3 weeks ago   77.8MB   linux/amd64, linux/arm64/v8, linux/s390x, linux/386
",
            "DIGEST", "IMAGE ID"
        )
    );
}

#[test]
fn images_for_a_program_have_stable_names() {
    let (a, e) = (digest('a'), digest('e'));
    let mut bare = image("alpine", 'a');
    bare.familiar = format!("alpine@{a}");
    bare.created = None;
    bare.platforms.clear();
    bare.retention = wharf::images::Retention::Unpacked;
    assert_eq!(
        images::json(&[image("alpine:3.20", 'a'), bare]),
        format!(
            r#"[
  {{
    "name": "docker.io/library/alpine:3.20",
    "familiar": "alpine:3.20",
    "repository": "alpine",
    "tag": "3.20",
    "id": "{e}",
    "target": {{
      "media_type": "{INDEX}",
      "digest": "{a}",
      "size": 1853
    }},
    "created": "2026-01-10T12:00:00Z",
    "updated": "2026-01-30T12:00:00Z",
    "platforms": [
      "linux/amd64"
    ],
    "size": 77812345,
    "retention": "both"
  }},
  {{
    "name": "docker.io/library/alpine",
    "familiar": "alpine@{a}",
    "repository": "alpine",
    "tag": null,
    "id": "{e}",
    "target": {{
      "media_type": "{INDEX}",
      "digest": "{a}",
      "size": 1853
    }},
    "created": null,
    "updated": "2026-01-30T12:00:00Z",
    "platforms": [],
    "size": 77812345,
    "retention": "unpacked"
  }}
]
"#
        )
    );
}

#[test]
fn a_hostile_name_stays_in_its_cell() {
    let mut hostile = image("a", 'a');
    hostile.familiar = "evil\t\u{1b}[31m\nname:tag\u{7}".to_owned();
    hostile.platforms = vec!["linux/\u{1b}c".to_owned(), "b".to_owned()];
    assert_eq!(
        images::table(&[hostile.clone()], ImagesStyle::default(), NOW),
        r"REPOSITORY               TAG        IMAGE ID       CREATED       SIZE     PLATFORMS
evil\t\u{1b}[31m\nname   tag\u{7}   eeeeeeeeeeee   3 weeks ago   77.8MB   linux/\u{1b}c, b
"
    );
    let json = images::json(&[hostile]);
    assert!(json.chars().all(|c| c == '\n' || escape::is_visible(c)), "{json}");
}

fn steps() -> Vec<Step> {
    vec![
        Step {
            layer: None,
            created: Some(NOW - 21 * DAY),
            created_by: "CMD [\"/bin/sh\"]".to_owned(),
            comment: "buildkit.dockerfile.v0".to_owned(),
            size: 0,
        },
        Step {
            layer: Some(digest('a')),
            created: None,
            created_by: "RUN /bin/sh -c apk add\t--no-cache \\\n  curl jq openssl # \u{1b}[2J".to_owned(),
            comment: String::new(),
            size: 3_626_897,
        },
    ]
}

#[test]
fn history_is_a_table_with_short_commands() {
    assert_eq!(
        history::table(&steps(), false, NOW),
        r#"LAYER          CREATED       CREATED BY                                      SIZE     COMMENT
<none>         3 weeks ago   CMD ["/bin/sh"]                                 0B       buildkit.dockerfile.v0
aaaaaaaaaaaa   N/A           RUN /bin/sh -c apk add --no-cache \ curl jq …   3.63MB
"#
    );
    let whole = history::table(&steps(), true, NOW);
    let last = whole.lines().last().expect("there are lines");
    assert_eq!(
        last,
        format!(
            r"{}   N/A           RUN /bin/sh -c apk add\t--no-cache \\n  curl jq openssl # \u{{1b}}[2J   3.63MB",
            digest('a')
        )
    );
    assert_eq!(history::layers(&steps(), false), "aaaaaaaaaaaa\n");
    assert_eq!(history::layers(&steps(), true), format!("{}\n", digest('a')));
}

#[test]
fn history_for_a_program_is_exact() {
    assert_eq!(
        history::json(&steps()),
        format!(
            r#"[
  {{
    "layer": null,
    "created": "2026-01-10T12:00:00Z",
    "created_by": "CMD [\"/bin/sh\"]",
    "comment": "buildkit.dockerfile.v0",
    "size": 0
  }},
  {{
    "layer": "{}",
    "created": null,
    "created_by": "RUN /bin/sh -c apk add\t--no-cache \\\n  curl jq openssl # \u001b[2J",
    "comment": "",
    "size": 3626897
  }}
]
"#,
            digest('a')
        )
    );
}

#[test]
fn inspected_documents_keep_their_numbers_their_order_and_their_doubled_keys() {
    let objects = [
        r#"{"b":1.50,"a":18446744073709551616,"b":{},"c":[],"d":[1,{"e":"x, y: {\"z\\"}],"f":null}"#.to_owned(),
        "{ \"name\" :\n\t\"\u{9b}2J\" }".to_owned(),
    ];
    assert_eq!(
        inspect::json(&objects),
        r#"[
  {
    "b": 1.50,
    "a": 18446744073709551616,
    "b": {},
    "c": [],
    "d": [
      1,
      {
        "e": "x, y: {\"z\\"
      }
    ],
    "f": null
  },
  {
    "name": "\u009b2J"
  }
]
"#
    );
    assert_eq!(inspect::json(&[]), "[]\n");
}

fn planned(media_type: &str, digit: char, size: u64, received: u64, present: bool) -> PlannedBlob {
    PlannedBlob { blob: descriptor(media_type, digit, size), received, present }
}

fn a_plan() -> PullPlan {
    PullPlan {
        name: "docker.io/library/alpine:3.20".to_owned(),
        target: descriptor(INDEX, '1', 1853),
        manifests: vec![("linux/amd64".to_owned(), descriptor(MANIFEST, '2', 528))],
        blobs: vec![
            planned(INDEX, '1', 1853, 1853, true),
            planned(MANIFEST, '2', 528, 528, true),
            planned(CONFIG, '3', 1471, 0, false),
            planned(LAYER, '4', 3_626_897, 1_200_000, false),
            planned("application/vnd.example+\u{1b}", '5', 10, 0, false),
        ],
        fetch_bytes: 2_428_378,
        unpack_layers: Some(1),
        up_to_date: false,
    }
}

#[test]
fn a_plan_shows_what_is_here_and_what_would_come() {
    let one = format!(
        r"docker.io/library/alpine:3.20@{}
linux/amd64: {}

DIGEST         KIND                             SIZE     HERE
111111111111   index                            1.85kB   yes
222222222222   manifest                         528B     yes
333333333333   config                           1.47kB   no
444444444444   layer                            3.63MB   1.2MB of it
555555555555   application/vnd.example+\u{{1b}}   10B      no

total: 5 blobs, 3.63MB, of which 2.43MB to download
1 layer to extract
",
        digest('1'),
        digest('2')
    );
    assert_eq!(plan::table(&[a_plan()]), one);
    // The second name shares every blob, so that together they cost the same.
    let both = plan::table(&[a_plan(), a_plan()]);
    assert_eq!(both, format!("{one}\n{one}\nall 2 names: 5 blobs, 3.63MB, of which 2.43MB to download\n"));

    let nothing = PullPlan {
        manifests: Vec::new(),
        blobs: vec![planned(INDEX, '1', 1853, 1853, true)],
        fetch_bytes: 0,
        unpack_layers: Some(0),
        up_to_date: true,
        ..a_plan()
    };
    assert_eq!(
        plan::table(&[nothing]),
        format!(
            "docker.io/library/alpine:3.20@{}

DIGEST         KIND    SIZE     HERE
111111111111   index   1.85kB   yes

total: 1 blob, 1.85kB, of which 0B to download
up to date
",
            digest('1')
        )
    );
}

#[test]
fn a_plan_for_a_program_has_stable_names() {
    let plan = PullPlan {
        blobs: vec![planned(LAYER, '4', 100, 40, false), planned(LAYER, '5', 7, 0, false)],
        fetch_bytes: 67,
        unpack_layers: None,
        ..a_plan()
    };
    let (one, two, four, five) = (digest('1'), digest('2'), digest('4'), digest('5'));
    assert_eq!(
        plan::json(&[plan]),
        format!(
            r#"[
  {{
    "name": "docker.io/library/alpine:3.20",
    "target": {{
      "media_type": "{INDEX}",
      "digest": "{one}",
      "size": 1853
    }},
    "manifests": [
      {{
        "platform": "linux/amd64",
        "manifest": {{
          "media_type": "{MANIFEST}",
          "digest": "{two}",
          "size": 528
        }}
      }}
    ],
    "blobs": [
      {{
        "media_type": "{LAYER}",
        "digest": "{four}",
        "size": 100,
        "received": 40,
        "state": "partial"
      }},
      {{
        "media_type": "{LAYER}",
        "digest": "{five}",
        "size": 7,
        "received": 0,
        "state": "missing"
      }}
    ],
    "fetch_bytes": 67,
    "unpack_layers": null,
    "up_to_date": false
  }}
]
"#
        )
    );
}

#[test]
fn a_pull_answers_with_names_and_talks_beside() {
    let transfer = Transfer {
        blob: descriptor(LAYER, '4', 100),
        endpoint: Some("https://mirror.lan".to_owned()),
        attempts: 2,
        resumed_from: 40,
        fetched_bytes: 60,
        duration_ms: 7,
    };
    let here =
        Transfer { endpoint: None, attempts: 0, resumed_from: 0, fetched_bytes: 0, duration_ms: 0, ..transfer.clone() };
    let allowance = Allowance { registry: "docker.io".to_owned(), limit: 100, remaining: 97, window_s: Some(21_600) };
    let pulled = [
        Pulled {
            image: image("alpine:3.20", 'a'),
            fetched_bytes: 3_628_368,
            up_to_date: false,
            transfers: vec![transfer],
            allowance: Some(allowance),
        },
        Pulled {
            image: image("alpine:3.19", 'b'),
            fetched_bytes: 0,
            up_to_date: true,
            transfers: vec![here],
            allowance: None,
        },
    ];
    assert_eq!(pulled::names(&pulled), "docker.io/library/alpine:3.20\ndocker.io/library/alpine:3.19\n");
    assert_eq!(
        pulled::talk(&pulled),
        format!(
            "Digest: {}\nStatus: downloaded newer image for alpine:3.20\n\
             Digest: {}\nStatus: image is up to date for alpine:3.19\n",
            digest('a'),
            digest('b')
        )
    );
    let back: serde_json::Value = serde_json::from_str(&pulled::json(&pulled)).expect("it is JSON");
    let mut expected: serde_json::Value =
        serde_json::from_str(&images::json(&[image("alpine:3.20", 'a'), image("alpine:3.19", 'b')]))
            .expect("it is JSON");
    for (at, fetched, up_to_date) in [(0, 3_628_368, false), (1, 0, true)] {
        expected[at]["fetched_bytes"] = fetched.into();
        expected[at]["up_to_date"] = up_to_date.into();
    }
    let blob = serde_json::json!({
        "media_type": LAYER, "digest": digest('4'), "size": 100, "endpoint": "https://mirror.lan", "attempts": 2,
        "resumed_from": 40, "fetched_bytes": 60, "duration_ms": 7, "cached": false,
    });
    let here = serde_json::json!({
        "media_type": LAYER, "digest": digest('4'), "size": 100, "endpoint": null, "attempts": 0,
        "resumed_from": 0, "fetched_bytes": 0, "duration_ms": 0, "cached": true,
    });
    (expected[0]["transfers"], expected[1]["transfers"]) = ([blob].into(), [here].into());
    expected[0]["rate_limit"] =
        serde_json::json!({ "registry": "docker.io", "limit": 100, "remaining": 97, "window_s": 21_600 });
    expected[1]["rate_limit"] = serde_json::Value::Null;
    assert_eq!(back, expected);
}
