//! Living with images on a stock runtime: names that come and go, plans, collections, leases, sizes, labels and events.

use super::{check_layout, check_tidy, index, json, open_registry, portable};
use serde_json::json as object;
use std::fs;
use wharf::demo::image::demo;

#[test]
fn an_image_gets_names_is_measured_and_goes_with_the_last_one() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let one = format!("{}/app:1", registry.address());
    let digest = demo().root().digest.to_string();
    let (_directory, wharf) = portable();
    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(wharf.run(&["tag", &one, "kept:2"]).success(), "tagged docker.io/library/kept:2\n");
    assert_eq!(index(&wharf.images())["manifests"].as_array().map(Vec::len), Some(2));
    let usage = json(&wharf.run(&["df", "--format", "json"]).success());
    let stored: u64 = check_layout(&wharf.images())
        .iter()
        .map(|digest| wharf.images().join("blobs").join(digest.replace(':', "/")))
        .map(|path| fs::metadata(path).expect("a blob").len())
        .sum();
    assert_eq!(usage["content"]["total"], object!(stored), "{usage}");
    assert_eq!(usage["unpacked"]["total"], object!(0), "there are no trees: {usage}");
    assert_eq!(usage["images"][0]["names"].as_array().map(Vec::len), Some(2), "{usage}");

    assert_eq!(wharf.run(&["rm", "kept:2"]).success(), "untagged docker.io/library/kept:2\n");
    let output = wharf.run(&["prune", "--all"]);
    assert!(output.stderr.starts_with("freed "), "{}", output.stderr);
    assert_eq!(output.success(), format!("untagged {one}\ndeleted {digest}\n"));
    assert_eq!(check_layout(&wharf.images()).len(), 0);
    check_tidy(&wharf.images());
}

#[test]
fn a_plan_is_saved_where_the_runtime_allows_it_and_carried_out() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let one = format!("{}/app:1", registry.address());
    let (directory, wharf) = portable();
    wharf.run(&["pull", "-q", &one]).success();
    let told = wharf.run(&["prune", "--all", "--plan", "plan.json"]).failure();
    assert!(told.contains("cannot write the plan to `plan.json`") && told.contains("--dir ./plans"), "{told}");

    let plans = directory.path().join("plans");
    fs::create_dir(&plans).expect("the temporary directory is writable");
    let wharf = wharf.give_directory(&plans, "plans");
    let shown = wharf.run(&["prune", "--all", "--plan", "plans/all.json"]).success();
    assert!(shown.starts_with(&format!("would untag {one}: ")), "{shown}");
    assert_eq!(json(&fs::read_to_string(plans.join("all.json")).expect("it is saved"))["verb"], "prune");
    wharf.run(&["label", &one, "team=web"]).success();
    let told = wharf.run(&["apply", "plans/all.json"]).failure();
    assert!(told.contains("has changed since the plan was made"), "{told}");
    wharf.run(&["prune", "--all", "--plan", "plans/all.json"]).success();
    let applied = json(&wharf.run(&["apply", "--format", "json", "plans/all.json"]).success());
    assert_eq!(applied["gone"], object!([demo().root().digest]), "{applied}");
    assert_eq!(check_layout(&wharf.images()).len(), 0);
}

#[test]
fn a_pull_is_planned_and_carried_out_here_as_far_as_it_can_be() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let one = format!("{}/app:1", registry.address());
    let (directory, wharf) = portable();
    let plans = directory.path().join("plans");
    fs::create_dir(&plans).expect("the temporary directory is writable");
    let wharf = wharf.give_directory(&plans, "plans");
    let shown = wharf.run(&["pull", "--plan", "plans/pull.json", &one]).success();
    assert!(shown.starts_with(&format!("{one}@{}\n", demo().root().digest)), "{shown}");
    let saved = fs::read_to_string(plans.join("pull.json")).expect("it is saved");
    assert_eq!(json(&saved)["unpack"], object!(false), "there are no trees here");

    fs::write(plans.join("native.json"), saved.replace(r#""unpack": false"#, r#""unpack": true"#)).expect("it is ours");
    let told = wharf.run(&["apply", "plans/native.json"]).failure();
    assert!(told.starts_with("error: cannot carry out the plan: it says that layers are extracted\n"), "{told}");
    assert_eq!(check_layout(&wharf.images()).len(), 0);

    let applied = json(&wharf.run(&["apply", "--format", "json", "plans/pull.json"]).success());
    assert_eq!(applied[0]["target"]["digest"], object!(demo().root().digest), "{applied}");
    let told = wharf.run(&["apply", "plans/pull.json"]).failure();
    assert!(told.contains(&format!("`{one}` is there by now")), "{told}");
    check_tidy(&wharf.images());
}

#[test]
fn leases_labels_downloads_and_events_are_the_same_here() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let one = format!("{}/app:1", registry.address());
    let (_directory, wharf) = portable();
    wharf.run(&["pull", "-q", &one]).success();
    let blobs = check_layout(&wharf.images());
    assert_eq!(wharf.run(&["lease", "create", "--id", "held", &one]).success(), "held\n");
    assert_eq!(wharf.run(&["lease", "ls", "-q"]).success(), "held\n");
    wharf.run(&["rm", &one]).success();
    wharf.run(&["gc"]).success();
    assert_eq!(check_layout(&wharf.images()), blobs);
    assert_eq!(wharf.run(&["lease", "rm", "held"]).success(), "held\n");
    wharf.run(&["gc"]).success();
    assert_eq!(check_layout(&wharf.images()).len(), 0);

    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(wharf.run(&["label", &one, "team=web", "why=x"]).success(), "team=web\nwhy=x\n");
    assert_eq!(wharf.run(&["label", &one, "why-"]).success(), "team=web\n");
    assert_eq!(wharf.run(&["ingest", "ls", "-q"]).success(), "");
    let told = wharf.run(&["ingest", "rm", "0000000000"]).failure();
    assert!(told.contains("wharf ingest ls"), "{told}");
    let events = wharf.run(&["events", "--since", "1h", "--until", "0s", "--format", "json"]).success();
    let actions: Vec<_> = events.lines().map(|line| json(line)["action"].clone()).collect();
    let expected = ["pull", "lease", "untag", "delete", "release", "pull", "label", "label"];
    assert_eq!(actions, expected.map(|action| object!(action)));
}
