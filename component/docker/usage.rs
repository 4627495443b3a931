//! `GET /system/df`: how much space everything takes. There are images and nothing
//! else; of other kinds it tells that there are none.

use super::{
    Context,
    client::Answer,
    list::{Details, Summary, shares, summaries},
    refusal::Refusal,
    version::Version,
};
use crate::{
    host::Host,
    verbs::{self, contract::Usage},
};
use serde::Serialize;

/// A list of what wharf has not.
type Nothing = [(); 0];

/// The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DiskUsage {
    layers_size: u64,
    images: Vec<Summary>,
    containers: Nothing,
    volumes: Nothing,
    build_cache: Nothing,
    /// Gone from API 1.42.
    #[serde(skip_serializing_if = "Option::is_none")]
    builder_size: Option<u64>,
}

/// Answers.
pub(super) async fn disk_usage<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let usage = verbs::usage::disk_usage(context.host, &context.settings.caller).await?;
    let images = summaries(context, &[], &details(&usage)).await?;
    Ok(Answer::json(200, &told(context.version, &usage, images)))
}

/// Every version tells here what is shared, and that nothing runs: clients take images of which that is not told for
/// such that cannot be removed.
fn details(usage: &Usage) -> Details {
    Details { shares: shares(usage), manifests: false, containers: 0 }
}

fn told(version: Version, usage: &Usage, images: Vec<Summary>) -> DiskUsage {
    let sums = [&usage.content, &usage.unpacked];
    let layers_size =
        sums.iter().flat_map(|sum| [sum.unique, sum.shared, sum.others, sum.unneeded]).fold(0, u64::saturating_add);
    let builder_size = (!version.since(42)).then_some(0);
    DiskUsage { layers_size, images, containers: [], volumes: [], build_cache: [], builder_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        docker::list::tests::summary,
        nouns::digest::{Algorithm, Digest},
        verbs::contract::{ImageUsage, Share, Sum},
    };
    use serde_json::{Value, json};

    /// A store with one image, some of which another one needs as well.
    fn usage() -> Usage {
        let image = ImageUsage {
            names: vec!["docker.io/library/app:1".to_owned()],
            target: Digest::of(Algorithm::Sha256, b"app"),
            created: 1,
            used: 1,
            content: Share { shared: 40, unique: 60 },
            unpacked: Share::default(),
            mounted: false,
            leased: false,
        };
        let content = Sum { unique: 60, shared: 40, unneeded: 5, reclaimable: 65, ..Sum::default() };
        Usage { images: vec![image], content, ..Usage::default() }
    }

    fn answer(minor: u32) -> Value {
        let version = Version::of(minor);
        let images = vec![summary(version, "app", &details(&usage()))];
        serde_json::to_value(told(version, &usage(), images)).unwrap()
    }

    /// Clients before 1.42 had no number in `SharedSize`, and all of them -1 in `Containers`, which docker's program takes
    /// for images in use: nothing could be reclaimed.
    #[test]
    fn every_version_tells_what_is_shared_and_that_nothing_is_in_use() {
        for minor in [24, 41, 42, 50, 51, 52] {
            let answer = answer(minor);
            let image = &answer["Images"][0];
            let found = (&image["Containers"], &image["SharedSize"], &image["Size"], &answer["LayersSize"]);
            assert_eq!(found, (&json!(0), &json!(40), &json!(100), &json!(105)), "1.{minor}");
        }
    }
}
