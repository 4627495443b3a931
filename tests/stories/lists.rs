//! What is in a registry: `wharf tags` and `wharf catalog`.

use super::{json, open_registry, wharf};
use serde_json::json as object;
use wharf::demo::image::demo;

#[test]
fn the_tags_of_a_repository_and_the_repositories_of_a_registry_are_listed_in_order() {
    let registry = open_registry();
    for (repository, tag) in [("org/app", "1"), ("library/demo", "2.0"), ("library/demo", "1.0")] {
        registry.push(repository, tag, &demo());
    }
    let (_directory, wharf) = wharf();
    let address = registry.address().to_string();
    let repository = format!("{address}/library/demo");

    assert_eq!(wharf.run(&["tags", &repository]).success(), "1.0\n2.0\n");
    let tags = wharf.run(&["tags", "--format", "json", &repository]).success();
    assert_eq!(json(&tags), object!(["1.0", "2.0"]));
    assert_eq!(wharf.run(&["catalog", &address]).success(), "library/demo\norg/app\n");
    let repositories = wharf.run(&["catalog", "--format", "json", &address]).success();
    assert_eq!(json(&repositories), object!(["library/demo", "org/app"]));
    assert!(wharf.run(&["images", "-q"]).success().is_empty(), "nothing was pulled");

    let told = wharf.run(&["tags", &format!("{address}/library/other")]).failure();
    assert!(told.contains(&format!("there is no repository `{address}/library/other`")), "{told}");
    let told = wharf.run(&["tags", &format!("{repository}:1.0")]).failure();
    assert!(told.contains(&format!("hint: wharf tags {repository}")), "{told}");
    let told = wharf.run(&["catalog", &repository]).failure();
    assert!(told.contains("is no registry, as `registry.lan:5000` is"), "{told}");
}
