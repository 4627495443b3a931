//! The two ways to run a pull: the component in its sandbox, and the same code natively. Both work on the same
//! services and tell the same things.

use crate::native::{Native, code};
use std::cell::RefCell;
use std::str::FromStr as _;
use tokio_util::sync::CancellationToken;
use wharf::engine::Services;
use wharf::images::{self, Wharf};
use wharf_component::nouns::access::{Access, AskedFor, Endpoint, Rule};
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::Problem;
use wharf_component::verbs::contract::{Caller, Event, PullOptions, Wanted};
use wharf_component::verbs::{self, listen::Listener};

/// How many blobs are on their way at once.
const AT_ONCE: u32 = 3;

/// What a pull says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pulled {
    pub(super) name: String,
    pub(super) target: Digest,
    pub(super) fetched_bytes: u64,
    pub(super) up_to_date: bool,
}

/// Somebody who pulls.
pub(super) trait Engine {
    /// Pulls, and tells warnings and notes.
    async fn pull(
        &self,
        reference: &str,
        all_tags: bool,
        access: &Access,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<Vec<Pulled>, Problem>;

    /// The names that are recorded, and what they point to.
    async fn names(&self) -> Vec<(String, Digest)>;
}

/// The component in its sandbox.
pub(super) struct Sandbox(Wharf);

impl Sandbox {
    pub(super) fn new(services: &Services) -> Self {
        Self(Wharf::new(services.clone()).expect("the embedded component loads"))
    }
}

fn caller() -> images::Caller {
    let machine = images::Machine {
        os: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        big_endian: false,
        amd64_level: 3,
        cpuinfo: String::new(),
        uname: String::new(),
    };
    images::Caller { namespace: "default".to_owned(), machine }
}

fn digest(text: &str) -> Digest {
    Digest::from_str(text).expect("the component writes digests")
}

impl Engine for Sandbox {
    async fn pull(
        &self,
        reference: &str,
        all_tags: bool,
        access: &Access,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<Vec<Pulled>, Problem> {
        let options = images::PullOptions {
            wanted: images::Wanted::Machine,
            all_tags,
            concurrent_downloads: AT_ONCE,
            unpack: false,
            retention: None,
            access: outside(access),
        };
        let mut hear = |event: images::Event| {
            if let images::Event::Warning(text) | images::Event::Note(text) = event {
                tell(text);
            }
        };
        match self.0.pull(&caller(), reference, &options, stop, &mut hear).await {
            Ok(pulled) => Ok(pulled.into_iter().map(told).collect()),
            Err(images::Failure::Problem(images::Problem { code: told, what, why, fix })) => {
                Err(Problem { code: code(told), what, why, fix })
            }
            Err(images::Failure::Sandbox(error)) => panic!("the sandbox stopped: {error:#}"),
        }
    }

    async fn names(&self) -> Vec<(String, Digest)> {
        let listing = self.0.entries(&caller(), &[]).await.expect("the records can be listed");
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        listing.images.into_iter().map(|image| (image.name, digest(&image.target.digest))).collect()
    }
}

fn told(pulled: images::Pulled) -> Pulled {
    let images::Pulled { image, fetched_bytes, up_to_date, .. } = pulled;
    Pulled { target: digest(&image.target.digest), name: image.name, fetched_bytes, up_to_date }
}

fn outside(access: &Access) -> images::Access {
    let Access { plain_http, rules, aliases, retries, silence_ms } = access.clone();
    let endpoint = |endpoint: Endpoint| images::Endpoint {
        origin: images::Origin { secure: endpoint.origin.secure, authority: endpoint.origin.authority },
        base: endpoint.base,
        path: endpoint.path,
        capabilities: images::Capabilities::all(),
        asked_for: match endpoint.asked_for {
            AskedFor::All => images::AskedFor::All,
            AskedFor::Digests => images::AskedFor::Digests,
            AskedFor::Tags => images::AskedFor::Tags,
        },
        mirror: endpoint.mirror,
        names_registry: endpoint.names_registry,
    };
    let rule = |Rule { prefix, blocked, endpoints }: Rule| images::Rule {
        prefix,
        blocked,
        endpoints: endpoints.into_iter().map(endpoint).collect(),
    };
    images::Access { plain_http, rules: rules.into_iter().map(rule).collect(), aliases, retries, silence_ms }
}

impl Engine for Native {
    async fn pull(
        &self,
        reference: &str,
        all_tags: bool,
        access: &Access,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<Vec<Pulled>, Problem> {
        let options = PullOptions {
            wanted: Wanted::Machine,
            all_tags,
            concurrent_downloads: AT_ONCE,
            unpack: false,
            retention: None,
            access: access.clone(),
        };
        let ear = Ear { stop, tell: RefCell::new(tell) };
        let pulled = verbs::pull(self, &inside(), reference, &options, &ear).await?;
        Ok(pulled
            .into_iter()
            .map(|pulled| Pulled {
                name: pulled.image.name,
                target: pulled.image.target.digest,
                fetched_bytes: pulled.fetched_bytes,
                up_to_date: pulled.up_to_date,
            })
            .collect())
    }

    async fn names(&self) -> Vec<(String, Digest)> {
        let listing = verbs::entries(self, &inside(), &[]).await.expect("the records can be listed");
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        listing.images.into_iter().map(|image| (image.name, image.target.digest)).collect()
    }
}

fn inside() -> Caller {
    Caller { namespace: "default".to_owned(), machine: "linux/amd64/v3".to_owned() }
}

/// Hears until it is stopped.
struct Ear<'t> {
    stop: &'t CancellationToken,
    tell: RefCell<&'t mut (dyn FnMut(String) + Send)>,
}

impl Listener for Ear<'_> {
    async fn hear(&self, events: Vec<Event>) -> bool {
        for event in events {
            if let Event::Warning(text) | Event::Note(text) = event {
                (*self.tell.borrow_mut())(text);
            }
        }
        !self.stop.is_cancelled()
    }
}
