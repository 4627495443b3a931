//! A pull that is planned, saved, and carried out later.

use super::{json, open_registry, wharf};
use crate::support::push::large;
use serde_json::{Value, json as object};
use std::fs;
use wharf::demo::image::demo;

#[test]
fn a_pull_is_planned_saved_and_carried_out_exactly_or_not_at_all() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let one = format!("{}/app:1", registry.address());
    let (directory, wharf) = wharf();
    let file = directory.path().join("plan.json");
    let path = file.to_str().expect("UTF-8");

    let shown = wharf.run(&["pull", "--dry-run", &one]).success();
    assert_eq!(wharf.run(&["pull", "--plan", path, &one]).success(), shown);
    assert_eq!(wharf.run(&["images", "-q"]).success(), "");
    let saved = fs::read_to_string(&file).expect("it was saved");
    assert_eq!(wharf.run(&["pull", "--plan", "-", &one]).success(), saved);
    let read = json(&saved);
    assert_eq!(
        (&read["verb"], &read["reference"], &read["wanted"], &read["names"][0]["mark"]),
        (&object!("pull"), &object!(one), &object!("machine"), &Value::Null)
    );

    // The tag has moved.
    registry.push("app", "1", &large(7, 2, 10_000));
    let told = wharf.run(&["apply", path]).failure();
    let moved = format!(
        "`{one}` points to `{}` now, and the plan has `{}`",
        large(7, 2, 10_000).root().digest,
        demo().root().digest
    );
    assert!(told.starts_with("error: cannot carry out the plan\n") && told.contains(&moved), "{told}");
    assert_eq!(wharf.run(&["images", "-q"]).success(), "");

    registry.push("app", "1", &demo());
    let applied = wharf.run(&["apply", path]);
    assert!(applied.stderr.contains("Status: downloaded newer image for"), "{}", applied.stderr);
    assert_eq!(applied.success(), format!("{one}\n"));
    let told = wharf.run(&["apply", path]).failure();
    assert!(told.contains(&format!("`{one}` is there by now")) && told.contains("make a new plan"), "{told}");

    let plan = wharf.run(&["pull", "--plan", "-", &one]).success();
    let again = wharf.run_with_input(&["apply", "--format", "json", "-"], &plan).success();
    assert_eq!((&json(&again)[0]["name"], &json(&again)[0]["up_to_date"]), (&object!(one), &object!(true)));
    wharf.run(&["label", &one, "team=web"]).success();
    let told = wharf.run_with_input(&["apply", "--format", "json", "-"], &plan).failure();
    assert!(told.contains(&format!("`{one}` has changed since the plan was made")), "{told}");
}

#[test]
fn a_plan_is_carried_out_with_the_options_of_its_own_call() {
    let registry = open_registry();
    for (tag, image) in [("1", demo()), ("2", large(8, 2, 300_000))] {
        registry.push("app", tag, &image);
    }
    let repository = format!("{}/app", registry.address());
    let (_directory, wharf) = wharf();
    let plan = wharf.run(&["pull", "--all-tags", "--no-unpack", "--plan", "-", &repository]).success();
    let output = wharf.run_with_input(&["apply", "--progress", "json", "--retries", "0", "-"], &plan);
    let lines: Vec<Value> = output.stderr.lines().map(json).collect();
    assert_eq!(lines.iter().filter(|line| line["type"] == "resolved").count(), 2, "{}", output.stderr);
    assert_eq!(output.success(), format!("{repository}:1\n{repository}:2\n"));
}
