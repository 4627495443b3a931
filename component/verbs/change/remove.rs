//! Remove: names go, or whole images, or single platforms of them, by docker's
//! rules. moby, daemon/containerd/image_delete.go, says them; the table
//! `docker_image_delete` holds them.

use super::{
    document::{Draft, Step, Verb},
    draft::Desk,
};
use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        platform::Platform,
        problem::ErrorCode,
        record::{ImageRecord, Present},
        reference::{self, Any},
    },
    registry::Failure,
    verbs::{
        contract::Removal,
        failing::{because, fail, invalid, try_this},
        roots::Root,
    },
};
use std::collections::{BTreeMap, BTreeSet};

const ASKED: &str = "it was asked for";
const SAME: &str = "it is a name of the same image";
const PINNED: &str = "no tag of its repository points there any more";

pub(super) async fn draft<H: Host>(desk: &Desk<'_, H>, removal: &Removal) -> Result<Draft, Failure> {
    let mut draft = Draft::new(&desk.caller.namespace, "remove");
    draft.no_prune = removal.no_prune;
    let mut going: BTreeMap<String, &Root> = BTreeMap::new();
    for text in &removal.references {
        let why = format!("`{}` cannot be removed", text.escape_debug());
        let names = meant(desk, text, removal).map_err(|failure| match removal.references.len() {
            1 => failure,
            _ => because(why)(failure),
        })?;
        going.extend(names.into_iter().map(|root| (root.name.to_string(), root)));
    }
    for root in going.values() {
        let step = step(desk, root, removal)?;
        if let Verb::Shrink { manifests } = &step.verb {
            draft.names.extend(alike(desk, root, manifests, &going));
        }
        draft.names.push(step);
    }
    if removal.platforms.is_empty() {
        pinned(desk, &mut draft);
    }
    draft.names.sort_by(|one, other| one.name.cmp(&other.name));
    draft.names.dedup_by(|one, other| one.name == other.name);
    desk.settle(&mut draft).await?;
    busy(desk, &mut draft, removal.force).await?;
    Ok(draft)
}

/// The names that a text means. A name means itself; a digest with a repository
/// all its names in that repository; an ID or a digest the whole image.
fn meant<'d, H: Host>(desk: &'d Desk<'_, H>, text: &str, removal: &Removal) -> Result<Vec<&'d Root>, Failure> {
    let found = match desk.library.find(text) {
        Ok(found) => found,
        Err(failure) => {
            let is_absent = failure.code == ErrorCode::NotFound;
            // What is not here need not be pulled to be removed.
            let failure = if is_absent { try_this(failure, "wharf images") } else { failure };
            return pointing_nowhere(desk, text).map(|root| vec![root]).ok_or(failure);
        }
    };
    let target = &found.entry.record.target.digest;
    let names: Vec<&Root> = desk.own().filter(|root| root.record.target.digest == *target).collect();
    match reference::parse_any(text) {
        Ok(Any::Reference(typed))
            if typed.digest().is_none() && found.entry.name == typed.clone().with_default_tag() =>
        {
            Ok(names.into_iter().filter(|root| root.name == found.entry.name).collect())
        }
        Ok(Any::Reference(typed)) if typed.digest().is_some() => {
            let repository = typed.repository();
            Ok(names.into_iter().filter(|root| root.name.repository() == repository).collect())
        }
        _ => {
            let repositories: BTreeSet<String> = names.iter().map(|root| root.name.repository().to_string()).collect();
            if repositories.len() > 1 && !removal.force {
                let failure = fail(
                    ErrorCode::InUse,
                    format!("the image has names in {} repositories: {}", repositories.len(), list(&names)),
                );
                return Err(try_this(failure, format!("wharf rm --force {text}, or remove it by name")));
            }
            Ok(names)
        }
    }
}

/// The name that a text is, if nothing of what it points to is here: nobody else finds that.
fn pointing_nowhere<'d, H: Host>(desk: &'d Desk<'_, H>, text: &str) -> Option<&'d Root> {
    let typed = reference::Reference::parse(text).ok()?.with_default_tag();
    desk.root(&typed).filter(|root| root.record.platforms.is_empty())
}

/// How a name goes: as a whole, or the platforms that are wanted away.
fn step<H: Host>(desk: &Desk<'_, H>, root: &Root, removal: &Removal) -> Result<Step, Failure> {
    if removal.platforms.is_empty() {
        return Ok(Desk::<H>::untag(root, ASKED));
    }
    let mut manifests: Vec<&Present> = Vec::new();
    for text in &removal.platforms {
        let machine = &desk.library.machine;
        let wanted = Platform::parse(text, machine)
            .map_err(|error| invalid(format!("`{}` is no platform: {error}", text.escape_debug())))?;
        let is_meant = |present: &&Present| {
            let platform = present.platform.as_deref().and_then(|text| Platform::parse(text, machine).ok());
            platform.is_some_and(|platform| platform.normalize() == wanted.normalize())
        };
        let found: Vec<&Present> = root.record.platforms.iter().filter(is_meant).collect();
        if found.is_empty() {
            let here: Vec<&str> =
                root.record.platforms.iter().filter_map(|present| present.platform.as_deref()).collect();
            let mut failure = fail(ErrorCode::NotFound, format!("no platform that is here is `{text}`"));
            failure.why.push(format!("of `{}` there is {}", root.name.familiar(), here.join(", ")));
            return Err(failure);
        }
        manifests.extend(found);
    }
    let digests: BTreeSet<Digest> = manifests.iter().map(|present| present.manifest.digest.clone()).collect();
    if root.record.platforms.iter().all(|present| digests.contains(&present.manifest.digest)) {
        return Ok(Desk::<H>::untag(root, "nothing else of it is here"));
    }
    Ok(shrink(root, digests.into_iter().collect(), ASKED))
}

/// The other names of the same image lose the platforms too: they belong to the
/// image, and would keep them here. One that has nothing else keeps what it has.
fn alike<H: Host>(desk: &Desk<'_, H>, root: &Root, manifests: &[Digest], going: &BTreeMap<String, &Root>) -> Vec<Step> {
    let is_going = |present: &Present| manifests.contains(&present.manifest.digest);
    let others = desk.own().filter(move |other| {
        other.record.target.digest == root.record.target.digest
            && !going.contains_key(&other.name.to_string())
            && other.record.platforms.iter().any(is_going)
            && !other.record.platforms.iter().all(is_going)
    });
    others.map(|other| shrink(other, manifests.to_vec(), SAME)).collect()
}

/// The step by which platforms of a name go.
fn shrink(root: &Root, manifests: Vec<Digest>, why: &str) -> Step {
    let platforms = root.record.platforms.iter().filter(|present| manifests.contains(&present.manifest.digest));
    Step {
        name: root.name.to_string(),
        mark: Some(root.mark.clone()),
        before: Some(root.record.target.digest.clone()),
        after: Some(root.record.target.digest.clone()),
        platforms: platforms.filter_map(|present| present.platform.clone()).collect(),
        why: why.to_owned(),
        verb: Verb::Shrink { manifests },
    }
}

/// Adds the names by digest of a repository that has lost its last tag of the
/// image.
fn pinned<H: Host>(desk: &Desk<'_, H>, draft: &mut Draft) {
    let going: BTreeSet<String> = draft.names.iter().map(|step| step.name.clone()).collect();
    let touched: BTreeSet<(String, &Digest)> = desk
        .own()
        .filter(|root| going.contains(&root.name.to_string()) && root.name.tag().is_some())
        .map(|root| (root.name.repository().to_string(), &root.record.target.digest))
        .collect();
    let is_of = |root: &&Root| touched.contains(&(root.name.repository().to_string(), &root.record.target.digest));
    let staying: Vec<&Root> = desk.own().filter(is_of).filter(|root| !going.contains(&root.name.to_string())).collect();
    let is_tagged = |root: &Root| {
        let repository = root.name.repository();
        staying.iter().any(|other| {
            other.name.tag().is_some()
                && other.name.repository() == repository
                && other.record.target.digest == root.record.target.digest
        })
    };
    let steps: Vec<Step> =
        staying.iter().filter(|root| !is_tagged(root)).map(|root| Desk::<H>::untag(root, PINNED)).collect();
    draft.names.extend(steps);
}

/// Refuses to take the last name of what is mounted, unless by force.
async fn busy<H: Host>(desk: &Desk<'_, H>, draft: &mut Draft, is_forced: bool) -> Result<(), Failure> {
    let mut risks = Vec::new();
    for image in desk.images().iter().filter(|image| draft.gone.contains(&image.target)) {
        if !desk.is_mounted(&image.names).await? {
            continue;
        }
        let names = list(&image.names);
        if !is_forced {
            let failure = fail(ErrorCode::InUse, format!("{names} is mounted"));
            return Err(try_this(
                failure,
                "unmount it first, or use `--force`: the tree stays as long as it is mounted",
            ));
        }
        risks.push(format!("{names} is mounted: the tree stays until it is unmounted and collected"));
    }
    draft.risks.extend(risks);
    Ok(())
}

fn list(names: &[&Root]) -> String {
    names.iter().map(|root| format!("`{}`", root.name.familiar())).collect::<Vec<_>>().join(", ")
}

/// A record without these manifests. Its size is what the others have.
pub(super) fn shrunk(record: &ImageRecord, manifests: &[Digest], now: i64) -> ImageRecord {
    let mut shrunk = record.clone();
    shrunk.platforms.retain(|present| !manifests.contains(&present.manifest.digest));
    let rest: u64 = shrunk.platforms.iter().map(|present| present.size).sum();
    let index = if shrunk.platforms.iter().any(|present| present.manifest.digest == record.target.digest) {
        0
    } else {
        record.target.size
    };
    // Layers that platforms share are counted once for each: it is what `weight` would need the manifests for.
    shrunk.size = record.size.min(rest + index);
    shrunk.updated = now;
    shrunk
}
