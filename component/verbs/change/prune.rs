//! Prune: images that nobody needs. Which ones is a pure function of the records,
//! the time and the options, in this order:
//!
//! 1. those that nobody has named, or with `all` every one;
//! 2. of them those that are not in use: not mounted, and held by no lease;
//! 3. of them those that pass the filters: by time of building, of last use, by
//!    label and by name;
//! 4. with a limit, of them those that were not used for longest, until what stays
//!    is small enough.
//!
//! Names go one by one, so that an image may keep some of its names.

use super::{document::Draft, draft::Desk};
use crate::{
    host::{Host, Layer, Snapshot},
    nouns::{
        digest::{Digest, Hash},
        filter::{Filters, Subject},
        problem::ErrorCode,
        record::{Labels, View},
        time,
    },
    registry::Failure,
    verbs::{
        contract::Pruning,
        failing::{invalid, try_this},
        images::{bounds, refused},
        library::best_present,
        reach::{Reach, sizes},
        roots::Root,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// A filter of prune's own: how long nobody has used it.
const UNUSED_FOR: &str = "unused-for=";
const DAY_S: i64 = 86_400;

/// A name that could go.
struct Candidate<'r> {
    root: &'r Root,
    /// In seconds since 1970.
    used: i64,
    why: &'static str,
}

pub(super) async fn draft<H: Host>(desk: &Desk<'_, H>, pruning: &Pruning) -> Result<Draft, Failure> {
    let mut draft = Draft::new(&desk.caller.namespace, "prune");
    draft.is_prune = true;
    let (is_all, filters, unused_before) = options(pruning, desk.host.now())?;
    let filters = Filters::parse(&filters, desk.host.now()).map_err(refused)?;
    let bounds = bounds(desk.host, desk.caller, &filters).await?;
    let mut candidates = Vec::new();
    for image in desk.images() {
        if desk.is_mounted(&image.names).await? || desk.is_leased(&image.names) {
            continue;
        }
        for root in image.names {
            let used = desk.used(root);
            let is_bare = root.name.dangles();
            if (is_all || is_bare)
                && unused_before.is_none_or(|before| used <= before)
                && passes(desk, root, &filters, bounds)
            {
                let why = if is_bare { "nobody has named it" } else { "nobody uses it" };
                candidates.push(Candidate { root, used, why });
            }
        }
    }
    // What was not used for longest goes first, and equals in order of name.
    candidates.sort_by(|one, other| (one.used, &one.root.name).cmp(&(other.used, &other.root.name)));
    if let Some(keep) = pruning.keep_bytes {
        candidates = shrink(desk, candidates, keep).await?;
    }
    draft.names = candidates.iter().map(|candidate| Desk::<H>::untag(candidate.root, candidate.why)).collect();
    draft.names.sort_by(|one, other| one.name.cmp(&other.name));
    desk.settle(&mut draft).await?;
    // With a filter a person has said which images are meant, and what has no name is none of them.
    if pruning.filters.is_empty() && pruning.keep_bytes.is_none() {
        desk.unneeded(&mut draft).await?;
    }
    Ok(draft)
}

/// Reads what concerns prune alone: whether names with a tag may go, the other
/// filters, and since when nobody may have used it.
fn options(pruning: &Pruning, now: i64) -> Result<(bool, Vec<String>, Option<i64>), Failure> {
    let (mut is_all, mut rest, mut unused_before) = (pruning.all || pruning.keep_bytes.is_some(), Vec::new(), None);
    for filter in &pruning.filters {
        if let Some(text) = filter.strip_prefix(UNUSED_FOR) {
            let moment = moment(text, now).ok_or_else(|| {
                let why = format!("`{}` is no duration", text.escape_debug());
                try_this(invalid(why), "write it as in `unused-for=12h` or `unused-for=30d`")
            })?;
            unused_before = Some(unused_before.map_or(moment, |before: i64| before.min(moment)));
            // Who names a time of use means images that people use.
            is_all = true;
        } else {
            match filter.as_str() {
                "dangling=false" | "dangling=0" => is_all = true,
                "dangling=true" | "dangling=1" => is_all = pruning.all,
                _ => rest.push(filter.clone()),
            }
        }
    }
    Ok((is_all, rest, unused_before))
}

/// Reads a duration before now, as Go writes it, or in days.
fn moment(text: &str, now: i64) -> Option<i64> {
    match text.strip_suffix('d') {
        Some(days) => days.parse::<u32>().ok().map(|days| now - i64::from(days) * DAY_S),
        None => time::parse_moment(text, now).filter(|_| text.ends_with(['s', 'm', 'h'])),
    }
}

fn passes<H: Host>(desk: &Desk<'_, H>, root: &Root, filters: &Filters, bounds: crate::nouns::filter::Bounds) -> bool {
    let view = View::from(&root.record);
    let labels: Vec<&Labels<'_>> = view.platforms.iter().map(|present| &present.labels).collect();
    let created = best_present(&view.platforms, &desk.library.machine).and_then(|present| present.created);
    let digest = Hash::from(&root.record.target.digest);
    let media_type = &root.record.target.media_type;
    filters.pass(Subject { name: &root.name, digest: &digest, media_type, created, labels: &labels }, bounds)
}

/// Takes the first candidates, until what stays takes no more than `keep` bytes.
async fn shrink<'r, H: Host>(
    desk: &Desk<'_, H>,
    candidates: Vec<Candidate<'r>>,
    keep: u64,
) -> Result<Vec<Candidate<'r>>, Failure> {
    let everything = desk.reader.all(&desk.roots, |_| false).await?;
    let blobs = sizes(desk.host, &everything.blobs).await?;
    let trees = tree_sizes(desk, &everything).await?;
    let mut total: u64 = blobs.values().chain(trees.values()).sum();
    // How many names need each blob and tree. Leases and other namespaces are names too.
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    let texts = |reach: &Reach| -> BTreeSet<String> {
        let blobs = reach.blobs.iter().map(Digest::to_string);
        let trees = reach.layers.iter().map(|name| format!("layer {name}"));
        blobs.chain(trees).chain(reach.snapshots.iter().map(|name| format!("snapshot {name}"))).collect()
    };
    for root in &desk.roots.images {
        for text in texts(&desk.reach(root).await?) {
            *users.entry(text).or_default() += 1;
        }
    }
    for root in &desk.roots.foreign {
        let mut reach = Reach::default();
        desk.reader.of_root(root).await?.iter().for_each(|parts| reach.add(parts));
        for text in texts(&reach) {
            *users.entry(text).or_default() += 1;
        }
    }
    let leased = desk.roots.leases.iter().flat_map(|lease| &lease.holds);
    for digest in leased.chain(desk.roots.marks.pins.keys()) {
        let mut reach = Reach::default();
        desk.reader.of_digest(digest).await?.iter().for_each(|parts| reach.add(parts));
        for text in texts(&reach) {
            *users.entry(text).or_default() += 1;
        }
    }
    // Snapshots of clients are one user together.
    for text in texts(&desk.reader.of_shots(&desk.roots).await?) {
        *users.entry(text).or_default() += 1;
    }
    let mut going = Vec::new();
    for candidate in candidates {
        if total <= keep {
            break;
        }
        for text in texts(&desk.reach(candidate.root).await?) {
            let left = users.get_mut(&text).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                let size =
                    text.parse::<Digest>().ok().and_then(|digest| blobs.get(&digest)).or_else(|| trees.get(&text));
                total = total.saturating_sub(size.copied().unwrap_or(0));
            }
        }
        going.push(candidate);
    }
    Ok(going)
}

/// The sizes of layers and snapshots, of those that are here.
async fn tree_sizes<H: Host>(desk: &Desk<'_, H>, reach: &Reach) -> Result<BTreeMap<String, u64>, Failure> {
    let mut sizes = BTreeMap::new();
    for name in &reach.layers {
        match desk.host.layer(name).await {
            Ok(layer) => drop(sizes.insert(format!("layer {name}"), layer.usage().0)),
            Err(ErrorCode::NotFound | ErrorCode::Unsupported) => {}
            Err(other) => return Err(other.into()),
        }
    }
    for name in &reach.snapshots {
        match desk.host.snapshot(name).await {
            Ok(snapshot) => drop(sizes.insert(format!("snapshot {name}"), snapshot.usage().0)),
            Err(ErrorCode::NotFound | ErrorCode::Unsupported) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_use_is_a_duration_in_gos_way_or_in_days() {
        let now = 100 * DAY_S;
        let rows = [
            ("30d", Some(70 * DAY_S)),
            ("12h", Some(now - 43_200)),
            ("1h30m", Some(now - 5_400)),
            ("0d", Some(now)),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("2024-01-01", None),
        ];
        for (text, expected) in rows {
            assert_eq!(moment(text, now), expected, "{text}");
        }
    }

    #[test]
    fn names_with_a_tag_go_only_if_that_is_asked_for() {
        let asked = |all, filters: &[&str], keep_bytes| {
            let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
            let pruning = Pruning { all, filters, keep_bytes, who: String::new() };
            options(&pruning, 0).map(|(is_all, rest, _)| (is_all, rest.len())).map_err(|failure| failure.code)
        };
        assert_eq!(asked(false, &[], None), Ok((false, 0)));
        assert_eq!(asked(true, &[], None), Ok((true, 0)));
        assert_eq!(asked(false, &["dangling=false"], None), Ok((true, 0)));
        assert_eq!(asked(false, &["dangling=true", "until=24h"], None), Ok((false, 1)));
        assert_eq!(asked(false, &["unused-for=1h", "label=a"], None), Ok((true, 1)));
        assert_eq!(asked(false, &[], Some(7)), Ok((true, 0)));
        assert_eq!(asked(false, &["unused-for=soon"], None), Err(ErrorCode::Invalid));
    }
}
