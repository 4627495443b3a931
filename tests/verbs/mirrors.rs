//! Pulls where configuration names mirrors, aliases and what is blocked: who is
//! asked, and what is said about it.

use super::{Access, Ear, PullOptions, Recipe, World, options};
use wharf_component::{
    nouns::{
        access::{AskedFor, Capabilities, Endpoint, Origin, Rule},
        digest::Digest,
        problem::ErrorCode,
    },
    verbs::contract::{Allowance, Pulled},
};
use wharf_sim::memory::registry::Registry;

const HUB: &str = "https://registry-1.docker.io";

impl World {
    /// Another registry that the same machine reaches.
    fn beside(&self, authority: &str) -> Self {
        Self { memory: self.memory.clone(), registry: Registry::start(&self.memory, authority) }
    }
}

fn mirror(authority: &str) -> Endpoint {
    Endpoint {
        origin: Origin { secure: true, authority: authority.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: true,
        names_registry: false,
    }
}

fn with_rule(prefix: &str, blocked: bool, endpoints: Vec<Endpoint>) -> PullOptions {
    let rules = vec![Rule { prefix: prefix.to_owned(), blocked, endpoints }];
    PullOptions { access: Access { rules, retries: 0, ..Access::default() }, ..options() }
}

fn sender<'p>(pulled: &'p Pulled, digest: &Digest) -> Option<&'p str> {
    let transfer = pulled.transfers.iter().find(|transfer| transfer.blob.digest == *digest).expect("it was needed");
    transfer.endpoint.as_deref()
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_for_what_it_does_not_have() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let part = world.beside("mirror.lan");
    // It has one of the layers, and not the tag.
    let manifest = part.image("library/app", None, Recipe { layers: &["base"], ..Recipe::default() });
    assert_eq!(manifest.layers[0], built.layers[0]);
    let pulled = world.pull("app:1", &with_rule("docker.io", false, vec![mirror("mirror.lan")])).unwrap().remove(0);
    assert_eq!(sender(&pulled, &built.manifest), Some(HUB), "the mirror does not know the tag");
    assert_eq!(sender(&pulled, &built.layers[0]), Some("https://mirror.lan"));
    assert_eq!(sender(&pulled, &built.layers[1]), Some(HUB));
}

#[test]
fn with_a_whole_mirror_the_registry_is_not_asked() {
    let world = World::new();
    let copy = world.beside("mirror.lan");
    let built = copy.image("proxy/app", Some("1"), Recipe::default());
    let endpoint = Endpoint { path: Some("proxy".to_owned()), names_registry: true, ..mirror("mirror.lan") };
    let pulled = world.pull("app:1", &with_rule("docker.io/library", false, vec![endpoint])).unwrap().remove(0);
    assert_eq!(pulled.image.name, "docker.io/library/app:1");
    assert_eq!(sender(&pulled, &built.layers[0]), Some("https://mirror.lan"));
    for request in world.memory.network().requests_with_origin() {
        assert!(request.starts_with("https://mirror.lan/v2/proxy/app/"), "{request}");
        assert!(request.ends_with("?ns=docker.io"), "{request}");
    }
}

#[test]
fn an_endpoint_for_digests_is_not_asked_for_a_tag() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let copy = world.beside("mirror.lan");
    copy.image("library/app", Some("1"), Recipe::default());
    let options = || {
        let endpoint = Endpoint { asked_for: AskedFor::Digests, ..mirror("mirror.lan") };
        with_rule("docker.io", false, vec![endpoint])
    };
    let by_tag = world.pull("app:1", &options()).unwrap().remove(0);
    assert!(by_tag.transfers.iter().all(|transfer| transfer.endpoint.as_deref() == Some(HUB)));

    let other = World::new();
    other.image("library/app", Some("1"), Recipe::default());
    other.beside("mirror.lan").image("library/app", Some("1"), Recipe::default());
    let by_digest = other.pull(&format!("app@{}", built.manifest), &options()).unwrap().remove(0);
    assert!(by_digest.transfers.iter().all(|transfer| transfer.endpoint.as_deref() == Some("https://mirror.lan")));
}

#[test]
fn what_is_blocked_is_not_asked_for() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    let blocked = with_rule("docker.io/library", true, vec![mirror("mirror.lan")]);
    let problem = world.pull("app:1", &blocked).unwrap_err();
    assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::Denied, "cannot pull `docker.io/library/app:1`"));
    assert_eq!(world.plan("app:1", &blocked).unwrap_err().code, ErrorCode::Denied);
    assert!(world.memory.network().requests().is_empty());
}

#[test]
fn a_failed_pull_lists_everybody_who_was_asked() {
    let world = World::new();
    let problem = world.pull("app:1", &with_rule("docker.io", false, vec![mirror("mirror.lan")])).unwrap_err();
    let asked = |url: &str| problem.why.iter().any(|why| why.contains(url));
    assert!(asked("https://mirror.lan") && asked(HUB), "{problem:?}");
}

#[test]
fn how_many_more_pulls_there_are_is_told_once_a_pull() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.registry.tag("library/app", &built.manifest, "2");
    let ear = Ear::default();
    assert_eq!(world.listen("app:1", &options(), &ear).unwrap()[0].allowance, None);
    assert_eq!(ear.notes(), [""; 0]);

    world.registry.say("ratelimit-limit", "100;w=21600");
    world.registry.say("ratelimit-remaining", "97;w=21600");
    let expected =
        Allowance { registry: "docker.io".to_owned(), limit: 100, remaining: 97, window_s: Some(6 * 60 * 60) };
    for all_tags in [false, true] {
        let (ear, name) = (Ear::default(), if all_tags { "app" } else { "app:1" });
        let pulled = world.listen(name, &PullOptions { all_tags, ..options() }, &ear).unwrap();
        assert!(pulled.iter().all(|pulled| pulled.allowance.as_ref() == Some(&expected)), "{pulled:?}");
        assert_eq!(ear.notes(), ["`docker.io` allows 100 pulls in 6 h; 97 are left"]);
    }
}

#[test]
fn an_alias_is_told_and_its_name_is_recorded() {
    let world = World::new();
    let lan = world.beside("registry.lan");
    lan.image("org/app", Some("1"), Recipe::default());
    let aliases = vec![("app".to_owned(), "registry.lan/org/app".to_owned())];
    let options = PullOptions { access: Access { aliases, ..Access::default() }, ..options() };
    let ear = Ear::default();
    let pulled = world.listen("app:1", &options, &ear).unwrap().remove(0);
    assert_eq!(pulled.image.name, "registry.lan/org/app:1");
    assert_eq!(ear.notes(), ["`app` stands for `registry.lan/org/app` by an alias of this machine"]);
    assert_eq!(world.plan("app:1", &options).unwrap()[0].name, "registry.lan/org/app:1");
    let problem = world.pull("app:2", &options).unwrap_err();
    assert_eq!(problem.what, "cannot pull `registry.lan/org/app:2`");
}
