//! Blobs: hashed again, and brought again from the registry of an image that
//! needs them.

use super::{
    Look, REPAIR, UNNEEDED,
    needs::{Needed, Needs},
    several,
};
use crate::{
    host::{Blob, Host, Layer, Refusal},
    nouns::{access::Access, descriptor::Descriptor, digest::Digest, media_type::Kind, problem::ErrorCode},
    registry::{Failure, Phase, Repository},
    verbs::{
        contract::{Findings, Flaw, FlawKind},
        documents,
        failing::{because, fail},
        fetch,
        library::Entry,
        reach,
    },
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeSet;

/// How many blobs are hashed at once.
const AT_ONCE: usize = 4;
/// How many blobs are listed at once.
const PAGE_BLOBS: u32 = 1_000;
/// How often what images need is found out again, because documents came that
/// say more: an index, a manifest, a config.
const ROUNDS_MAX: usize = 4;
/// The type of a blob of which nobody says one.
const UNKNOWN: &str = "application/octet-stream";

impl<H: Host> Look<'_, H> {
    /// Looks at the blobs that `images` need, and at all others if `is_all`.
    /// Fills `needs`.
    pub(super) async fn blobs(
        &self,
        images: &[&Entry],
        is_all: bool,
        needs: &mut Needs,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let mut checked = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            *needs = Needs::default();
            for entry in images {
                needs.add(self.host, entry).await?;
            }
            let left = needs.blobs.iter().filter(|(digest, _)| !checked.contains(*digest));
            let left: Vec<_> = left.map(|(digest, needed)| (digest.clone(), needed)).collect();
            checked.extend(left.iter().map(|(digest, _)| digest.clone()));
            if !self.check(left, findings).await? {
                break;
            }
        }
        if !is_all {
            return Ok(());
        }
        let nobody = Needed::default();
        let mut last: Option<Digest> = None;
        loop {
            let page = self.host.blobs(last.as_ref(), PAGE_BLOBS).await?;
            let Some((end, _)) = page.last() else { return Ok(()) };
            last = Some(end.clone());
            let others = page.into_iter().filter(|(digest, _)| !checked.contains(digest));
            self.check(others.map(|(digest, _)| (digest, &nobody)).collect(), findings).await?;
        }
    }

    /// Hashes blobs, and repairs what is not right. Returns whether something
    /// came that may say more.
    async fn check(&self, blobs: Vec<(Digest, &Needed)>, findings: &mut Findings) -> Result<bool, Failure> {
        let hash = async |(digest, needed): (Digest, &Needed)| {
            let (size, wrong) = one(self.host, &digest, needed.descriptor.as_ref()).await?;
            // Whoever collects has removed what was listed a moment ago, and nobody misses it.
            let is_missed = |kind: FlawKind| kind != FlawKind::MissingBlob || !needed.images.is_empty();
            let wrong = match (wrong.filter(|(kind, _)| is_missed(*kind)), needed.instead()) {
                (Some((FlawKind::MissingBlob, why)), Some(diff_id)) => {
                    let lack = stand_in(self.host, diff_id).await?;
                    lack.map(|lack| (FlawKind::MissingBlob, format!("{why}, and {lack}")))
                }
                (wrong, _) => wrong,
            };
            let told = Descriptor::new(UNKNOWN, digest.clone(), size.unwrap_or_default());
            self.board.about(&told).announce(Phase::Complete, told.size);
            Ok::<_, Failure>((size, wrong.map(|(kind, why)| (digest, needed.clone(), kind, why))))
        };
        let mut wrong = Vec::new();
        {
            let mut hashed = std::pin::pin!(stream::iter(blobs).map(hash).buffered(AT_ONCE));
            while let Some((size, flaw)) = hashed.try_next().await? {
                findings.blobs += u64::from(size.is_some());
                findings.bytes += size.unwrap_or_default();
                wrong.extend(flaw);
            }
        }
        let mut has_come = false;
        for (digest, needed, kind, why) in wrong {
            let mut flaw = flaw(&digest, &needed, kind, why);
            if let Some(access) = self.repair
                && kind != FlawKind::DisputedSize
            {
                match self.again(&digest, &needed, kind, access).await {
                    Ok(done) => {
                        has_come |= !needed.images.is_empty();
                        flaw.repaired = Some(done.to_owned());
                    }
                    Err(failure) => {
                        flaw.why = format!("{}; it cannot be repaired now: {}", flaw.why, failure.why.join(": "));
                        if let (Some(fix), []) | (Some(fix), [_]) = (failure.fix, flaw.images.as_slice()) {
                            flaw.cure = fix;
                        }
                    }
                }
            }
            findings.flaws.push(flaw);
        }
        Ok(has_come)
    }

    /// Takes away what is damaged and brings it again. Returns what was done.
    async fn again(
        &self,
        digest: &Digest,
        needed: &Needed,
        kind: FlawKind,
        access: &Access,
    ) -> Result<&'static str, Failure> {
        if kind == FlawKind::DamagedBlob {
            documents::evict(self.host, digest).await.map_err(|code| match code {
                ErrorCode::InUse => fail(ErrorCode::InUse, "somebody uses it"),
                other => other.into(),
            })?;
        }
        if needed.images.is_empty() {
            return Ok("removed");
        }
        let what = needed.descriptor.as_ref();
        let what =
            what.ok_or_else(|| fail(ErrorCode::NotFound, "no manifest that can be read says how large it is"))?;
        let mut last = None;
        for (name, reference) in &needed.images {
            let fetched = async {
                let repository = Repository::open(self.host, reference, access)?;
                self.bring(&repository, what).await
            };
            match fetched.await {
                Ok(()) => return Ok("fetched again"),
                Err(failure) if failure.code == ErrorCode::NoSpace => return Err(failure),
                Err(failure) => last = Some(because(format!("`{name}`"))(failure)),
            }
        }
        Err(last.unwrap_or_else(|| fail(ErrorCode::NotFound, "no image needs it")))
    }

    async fn bring(&self, repository: &Repository<'_, H>, what: &Descriptor) -> Result<(), Failure> {
        if matches!(what.kind(), Kind::Index | Kind::Manifest) {
            let fetched = repository.manifest(what.digest.as_str()).await?;
            fetch::write(self.host, &what.digest, &fetched.bytes).await?;
        } else {
            repository.blob(what, &self.board.about(what), &|_| {}).await?;
        }
        Ok(())
    }
}

fn flaw(digest: &Digest, needed: &Needed, kind: FlawKind, why: String) -> Flaw {
    let images: Vec<String> = needed.images.keys().cloned().collect();
    let (consequence, cure) = match (kind, images.first()) {
        (_, None) => (UNNEEDED.to_owned(), REPAIR.to_owned()),
        (FlawKind::DisputedSize, Some(name)) => {
            (format!("{} cannot be copied as the manifest says", several(&images)), format!("wharf pull {name}"))
        }
        (_, Some(_)) => {
            let what = match needed.descriptor.as_ref().map(Descriptor::kind) {
                Some(Kind::Layer { .. }) => "cannot be extracted again",
                _ => "cannot be read",
            };
            (format!("{} {what}", several(&images)), REPAIR.to_owned())
        }
    };
    Flaw { kind, subject: digest.to_string(), why, images, consequence, cure, repaired: None }
}

/// Says why a layer does not stand for its blob, if it does not.
async fn stand_in<H: Host>(host: &H, diff_id: &Digest) -> Result<Option<String>, Failure> {
    let Some(layer) = reach::found(host.layer(diff_id).await)? else {
        return Ok(Some("its layer is not extracted".to_owned()));
    };
    if layer.recipe().await?.is_none() {
        return Ok(Some("its tree does not say how to make it again".to_owned()));
    }
    // A tree may be another one in what no archive is made of: then it is extracted again, and that takes the blob.
    for looked in [layer.verify().await, layer.rebuild().await] {
        match looked {
            Ok(()) => {}
            Err(Refusal { code: ErrorCode::DigestMismatch(_), .. }) => {
                return Ok(Some("its tree makes another archive".to_owned()));
            }
            Err(Refusal { code: ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Other(_), why }) => {
                return Ok(Some(format!("its tree does not make it again: {why}")));
            }
            Err(Refusal { code, .. }) => return Err(code.into()),
        }
    }
    Ok(None)
}

/// Hashes one blob. Returns its size if it is there, and what is wrong.
async fn one<H: Host>(
    host: &H,
    digest: &Digest,
    what: Option<&Descriptor>,
) -> Result<(Option<u64>, Option<(FlawKind, String)>), Failure> {
    let missing = || Ok((None, Some((FlawKind::MissingBlob, "it is not here".to_owned()))));
    let unreadable = |why: String| Some((FlawKind::DamagedBlob, format!("it cannot be read: {why}")));
    let blob = match host.open(digest).await {
        Ok(blob) => blob,
        Err(ErrorCode::NotFound) => return missing(),
        Err(ErrorCode::Other(why)) => return Ok((None, unreadable(why))),
        Err(other) => return Err(other.into()),
    };
    let size = blob.size();
    Ok(match blob.verify().await {
        Ok(()) => {
            let promised = what.map(|what| what.size).filter(|promised| *promised != size);
            let why = promised.map(|promised| format!("it has {size} bytes, and a manifest says {promised}"));
            (Some(size), why.map(|why| (FlawKind::DisputedSize, why)))
        }
        Err(ErrorCode::DigestMismatch(actual)) => {
            (Some(size), Some((FlawKind::DamagedBlob, format!("its bytes hash to `{actual}`"))))
        }
        // Somebody has removed it meanwhile.
        Err(ErrorCode::NotFound) => return missing(),
        // What a disk says of bytes that it has lost.
        Err(ErrorCode::Other(why)) => (Some(size), unreadable(why)),
        Err(other) => return Err(other.into()),
    })
}
