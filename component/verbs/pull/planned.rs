//! A pull that is planned, saved, and carried out later: exactly that, or nothing of it. As JSON:
//!
//! ```json
//! {"wharf-plan": 1, "namespace": "default", "verb": "pull",
//!  "reference": "docker.io/library/alpine:3.20", "wanted": "machine", "all-tags": false,
//!  "unpack": true, "retain": "unpacked", "concurrent-downloads": 6,
//!  "names": [{"name": "docker.io/library/alpine:3.20", "mark": null, "target": "sha256:…",
//!             "manifests": ["sha256:…"]}]}
//! ```
//!
//! `reference` is a full name, whatever alias it came from; with `all-tags` that of a
//! repository, and `names` are its tags. `wanted` is `machine`, `all`, or a list of
//! platforms. `mark` is what the bytes of the record here hash to; null if there is none.
//! `manifests` are those that are chosen of the target, one if it is no index. `retain`
//! is there if it was asked for.
//!
//! How to speak to registries is not in it: that is the caller's, at the time.

use super::{Call, PLANNED_BLOBS_MAX, stopped};
use crate::{
    host::Host,
    nouns::{
        problem::{ErrorCode, Problem},
        reference::Reference,
    },
    registry::Failure,
    verbs::{
        contract::{Access, Caller, PullOptions, Pulled, Wanted},
        expected::Expected,
        failing::{because, fail, invalid, problem, try_this},
        filed::{self, AGAIN, Kind, PULL, VERSION},
        listen::{Board, Listener, accompany},
        plan::Plan,
        transfers,
    },
};
use serde::{Deserialize, Serialize};

/// A plan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Draft {
    wharf_plan: u32,
    namespace: String,
    verb: String,
    reference: String,
    wanted: Platforms,
    all_tags: bool,
    unpack: bool,
    /// The word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retain: Option<String>,
    concurrent_downloads: u32,
    names: Vec<Expected>,
}

/// Which platforms are wanted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Platforms {
    /// One word for them.
    Word(Word),
    /// By their names.
    These(Vec<String>),
}

/// See [`Wanted`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Machine,
    All,
}

/// Carries out a plan that was made earlier: exactly that, or nothing of it. See
/// `images.pull-planned`.
///
/// Stops as [`pull`](super::pull) does. Of several names nothing is changed if one is
/// not as the plan has it; then they are pulled one after the other, as by `pull`.
pub async fn pull_planned<H: Host>(
    host: &H,
    caller: &Caller,
    document: &str,
    access: &Access,
    listener: &impl Listener,
) -> Result<Vec<Pulled>, Problem> {
    let board = Board::default();
    let work = async {
        let draft: Draft = filed::read(document, caller, Kind::Pull)?;
        let options = draft.options(access)?;
        let call = Call::new(host, caller, &draft.reference, &options, &board)?;
        let names = draft.names(&call)?;
        let pulled = match &*names {
            [(name, expected)] if !draft.all_tags => vec![call.pull(name.clone(), Some(expected)).await?],
            _ => {
                let deaf = Board::deaf();
                for (name, expected) in &names {
                    let why = format!("`{}` cannot be pulled as planned", name.familiar());
                    let plan = call.plan(name.clone(), Some(expected), &deaf).await;
                    plan.map_err(|failure| match failure.code {
                        ErrorCode::Conflict => try_this(failure, AGAIN),
                        _ => because(why)(failure),
                    })?;
                }
                call.pull_each(names.into_iter().map(|(name, expected)| (name, Some(expected))).collect()).await?
            }
        };
        call.allowance().iter().for_each(|allowance| board.note(transfers::sentence(allowance)));
        Ok(pulled)
    };
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem("cannot carry out the plan"))
}

impl Draft {
    /// A plan of no names yet.
    pub(super) fn new<H: Host>(call: &Call<'_, H>, options: &PullOptions) -> Self {
        Self {
            wharf_plan: VERSION,
            namespace: call.caller.namespace.clone(),
            verb: PULL.to_owned(),
            reference: call.name.to_string(),
            wanted: match &options.wanted {
                Wanted::Machine => Platforms::Word(Word::Machine),
                Wanted::All => Platforms::Word(Word::All),
                Wanted::These(platforms) => Platforms::These(platforms.clone()),
            },
            all_tags: options.all_tags,
            unpack: options.unpack,
            retain: options.retention.map(|retention| retention.to_string()),
            concurrent_downloads: options.concurrent_downloads,
            names: Vec::new(),
        }
    }

    /// Adds a name.
    pub(super) fn add<H: Host>(&mut self, plan: &Plan<H>) {
        self.names.push(Expected {
            name: plan.name.to_string(),
            mark: plan.mark.clone(),
            target: plan.target.digest.clone(),
            manifests: plan.choices.iter().map(|chosen| chosen.selected.held.descriptor.digest.clone()).collect(),
        });
    }

    /// As `pull-planned` takes it.
    pub(super) fn document(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers can always be written")
    }

    fn options(&self, access: &Access) -> Result<PullOptions, Failure> {
        let retention = self.retain.as_deref().map(str::parse).transpose();
        Ok(PullOptions {
            wanted: match &self.wanted {
                Platforms::Word(Word::Machine) => Wanted::Machine,
                Platforms::Word(Word::All) => Wanted::All,
                Platforms::These(platforms) => Wanted::These(platforms.clone()),
            },
            all_tags: self.all_tags,
            concurrent_downloads: self.concurrent_downloads,
            unpack: self.unpack,
            retention: retention.map_err(invalid).map_err(filed::refused)?,
            access: access.clone(),
        })
    }

    /// Returns the names with what is to be found, all of them of the reference:
    /// the host lets the call speak to that one's registry.
    fn names<H: Host>(&self, call: &Call<'_, H>) -> Result<Vec<(Reference, &Expected)>, Failure> {
        if call.name.to_string() != self.reference {
            return Err(filed::refused(invalid(format!("`reference` is not the full name `{}`", call.name))));
        }
        if self.names.is_empty() || !self.all_tags && self.names.len() > 1 {
            return Err(filed::refused(invalid(format!("it has {} names", self.names.len()))));
        }
        if self.names.len() > PLANNED_BLOBS_MAX {
            let why = format!("it has {} names; a plan has at most {PLANNED_BLOBS_MAX}", self.names.len());
            return Err(filed::refused(fail(ErrorCode::TooLarge(PLANNED_BLOBS_MAX as u64), why)));
        }
        let read = |expected| Ok((self.name(call, expected)?, expected));
        self.names.iter().map(read).collect::<Result<_, _>>().map_err(filed::refused)
    }

    fn name<H: Host>(&self, call: &Call<'_, H>, expected: &Expected) -> Result<Reference, Failure> {
        let name = Reference::parse_canonical(&expected.name).map_err(invalid)?;
        let meant = match name.tag().filter(|_| self.all_tags) {
            Some(tag) => call.name.clone().with_tag(tag).map_err(invalid)?,
            None => call.name.clone(),
        };
        if name == meant {
            return Ok(name);
        }
        Err(invalid(format!("`{name}` is no name of `{}`", self.reference)))
    }
}
