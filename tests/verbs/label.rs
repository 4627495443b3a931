//! `label`: what a person writes on a name.

use super::{Recipe, World, caller, options};
use wharf_component::{
    nouns::{
        problem::{ErrorCode, Problem},
        record::EVENT_PREFIX,
    },
    verbs,
};
use wharf_sim::memory::Call;

const APP: &str = "docker.io/library/app:1";

fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world
}

impl World {
    fn label(&self, reference: &str, labels: &[(&str, Option<&str>)]) -> Result<Vec<(String, String)>, Problem> {
        let labels: Vec<_> = labels.iter().map(|&(key, value)| (key.to_owned(), value.map(str::to_owned))).collect();
        let all = self.memory.run(verbs::label::label(&self.memory, &caller(), reference, &labels))?;
        Ok(all.into_iter().collect())
    }

    /// How many happenings are recorded.
    fn happenings(&self) -> usize {
        self.memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with(EVENT_PREFIX)).count()
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn labels_are_set_replaced_and_taken_away_together() {
    let world = world();
    let before = world.record(APP).unwrap();
    world.memory.clock().pass(10_000);
    assert_eq!(world.label("app:1", &[("b", Some("2")), ("a", Some(""))]).unwrap(), pairs(&[("a", ""), ("b", "2")]));
    assert_eq!(world.happenings(), 2, "the pull and this");
    assert_eq!(world.label("app:1", &[("a", None), ("b", Some("3")), ("c", None)]).unwrap(), pairs(&[("b", "3")]));
    assert_eq!(world.label("app:1", &[]).unwrap(), pairs(&[("b", "3")]));
    assert_eq!(world.label("app:1", &[("b", Some("3"))]).unwrap(), pairs(&[("b", "3")]));
    assert_eq!(world.happenings(), 3, "what changes nothing has not happened");
    let after = world.record(APP).unwrap();
    assert_eq!(after.labels, pairs(&[("b", "3")]).into_iter().collect());
    let labels = before.labels.clone();
    assert_eq!(wharf_component::nouns::record::ImageRecord { labels, ..after }, before, "nothing else has changed");
}

#[test]
fn labels_stay_when_the_name_is_pulled_again() {
    let world = world();
    world.label("app:1", &[("team", Some("web"))]).unwrap();
    world.image("library/app", Some("1"), Recipe { layers: &["new"], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.label("app:1", &[]).unwrap(), pairs(&[("team", "web")]));
}

#[test]
fn an_id_means_a_name_if_there_is_one() {
    let world = world();
    let id = world.record(APP).unwrap().platforms[0].config.clone();
    world.label(&id.encoded()[..12], &[("a", Some("1"))]).unwrap();
    let record = world.record(APP).unwrap().encode().unwrap();
    world.memory.write_row("default", "image/docker.io/library/app:2", &record);
    let problem = world.label(id.as_str(), &[("a", None)]).unwrap_err();
    assert_eq!(
        (problem.code, problem.why[1..].join(", ")),
        (ErrorCode::Invalid, "it may be `app:1`, it may be `app:2`".to_owned())
    );
    world.label("app:2", &[("a", None)]).unwrap();
    assert_eq!(world.label("app", &[]).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(world.record(APP).unwrap().labels.len(), 1, "each name has its own");
}

#[test]
fn what_is_no_label_changes_nothing() {
    let world = world();
    let long = "x".repeat(4_096);
    for (key, value) in [("", "a"), ("a", long.as_str()), (long.as_str(), "a")] {
        let problem = world.label("app:1", &[("fine", Some("1")), (key, Some(value))]).unwrap_err();
        assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::Invalid, "cannot label `app:1`"));
    }
    assert_eq!(world.record(APP).unwrap().labels.len(), 0);
}

#[test]
fn what_others_write_meanwhile_stays() {
    let world = world();
    let mut theirs = world.record(APP).unwrap();
    theirs.labels.insert("theirs".to_owned(), "1".to_owned());
    let row = theirs.encode().unwrap();
    world.memory.interfere(Call::Commit, move |memory| {
        memory.write_row("default", &format!("image/{APP}"), &row);
        Ok(())
    });
    assert_eq!(world.label("app:1", &[("mine", Some("2"))]).unwrap(), pairs(&[("mine", "2"), ("theirs", "1")]));
}
