//! What is known about the blobs of a pull: the sums that all forms of progress
//! tell, and the sentences that two of them share.
//!
//! It does not write.

use super::End;
use crate::render::{age, escape, names, size};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use wharf_vocabulary::vocabulary::{Event, Phase, Progress, Transfer};

/// A rate is measured over this time.
const WINDOW: Duration = Duration::from_secs(8);
/// Measurements are at least so far apart, which bounds their number.
const SPACING: Duration = Duration::from_millis(250);
/// Below this time a rate would be noise.
const RATE_AFTER: Duration = Duration::from_millis(500);

/// The blobs of a pull, each by its digest.
#[derive(Debug, Default)]
pub(super) struct Tally {
    blobs: HashMap<String, Blob>,
    /// The name that was resolved last, as in `docker.io/library/alpine:3.20`.
    name: String,
    sums: Sums,
    speed: Speed,
    /// Whether blobs go to a registry, and do not come from one.
    is_push: bool,
    /// Whether blobs come from a registry or an address, and not out of an archive that is here.
    is_download: bool,
}

/// Where one blob stands.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) size: u64,
    pub(super) phase: Phase,
    pub(super) received: u64,
    /// Whether it is here and verified, and how: `Complete` or `Present`.
    here: Option<Phase>,
    /// When its download began, for the first time in this run.
    started: Option<Duration>,
    /// When its extraction was first seen to go on alone.
    unpacking: Option<Duration>,
    /// What came in this run.
    fetched: u64,
    /// Who sent it, if it was a mirror.
    mirror: Option<String>,
    /// Whether it goes to a registry.
    is_out: bool,
    speed: Speed,
}

/// Sums over all blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) blobs: u64,
    /// Blobs that came in this run and are verified.
    pub(super) complete: u64,
    /// Blobs that were here before.
    pub(super) present: u64,
    /// Layers that were extracted in this run.
    pub(super) unpacked: u64,
    /// Bytes of all blobs.
    pub(super) size: u64,
    /// Bytes of them that are here.
    pub(super) received: u64,
    /// Bytes that came in this run.
    pub(super) fetched: u64,
}

impl Tally {
    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    /// Takes a report about a blob. Returns how the blob stands, and its phase
    /// before if it was known.
    pub(super) fn record(&mut self, report: &Progress, now: Duration) -> (&Blob, Option<Phase>) {
        let Progress { blob: descriptor, phase, received } = report;
        let (phase, received) = (*phase, *received);
        let is_out = matches!(phase, Phase::Uploading | Phase::Uploaded | Phase::There | Phase::Mounted);
        self.is_push |= is_out;
        self.is_download |= matches!(phase, Phase::Waiting | Phase::Downloading | Phase::Retrying);
        let known = self.blobs.contains_key(&descriptor.digest);
        let blob = self.blobs.entry(descriptor.digest.clone()).or_insert_with(|| {
            // What an unfinished blob has when it is first heard of came in an
            // earlier run; a finished one came at once.
            let from_before = match phase {
                Phase::Waiting | Phase::Downloading | Phase::Retrying | Phase::Present => received,
                Phase::Unpacking | Phase::Unpacked | Phase::There | Phase::Mounted => received,
                Phase::Verifying | Phase::Complete | Phase::Uploading | Phase::Uploaded => 0,
            };
            self.sums.blobs += 1;
            self.sums.size = self.sums.size.saturating_add(descriptor.size);
            self.sums.received = self.sums.received.saturating_add(from_before);
            let speed = Speed::default();
            Blob {
                size: descriptor.size,
                phase,
                received: from_before,
                here: None,
                started: None,
                unpacking: None,
                fetched: 0,
                mirror: None,
                is_out,
                speed,
            }
        });
        let before = known.then_some(blob.phase);

        // A retry may begin again at 0, so that the number can fall.
        // A blob that waits tells what earlier runs left.
        let came = match phase {
            // What the registry has by itself did not go there.
            Phase::Waiting | Phase::There | Phase::Mounted => 0,
            _ => received.saturating_sub(blob.received),
        };
        blob.is_out |= is_out;
        self.sums.received = self.sums.received.saturating_sub(blob.received).saturating_add(received);
        self.sums.fetched = self.sums.fetched.saturating_add(came);
        blob.fetched = blob.fetched.saturating_add(came);
        blob.received = received;

        let here = match phase {
            Phase::Complete | Phase::Present => Some(phase),
            Phase::Uploaded => Some(Phase::Complete),
            Phase::There | Phase::Mounted => Some(Phase::Present),
            // Only what is here is unpacked. Of reports that follow each other fast the last one is told alone.
            Phase::Unpacking | Phase::Unpacked => {
                blob.here.or(Some(if blob.started.is_some() { Phase::Complete } else { Phase::Present }))
            }
            Phase::Waiting | Phase::Downloading | Phase::Verifying | Phase::Retrying | Phase::Uploading => None,
        };
        let is = |phase: Option<Phase>, which| u64::from(phase == Some(which));
        for (sum, which) in [(&mut self.sums.complete, Phase::Complete), (&mut self.sums.present, Phase::Present)] {
            *sum = sum.saturating_sub(is(blob.here, which)) + is(here, which);
        }
        let unpacked = &mut self.sums.unpacked;
        *unpacked = unpacked.saturating_sub(is(before, Phase::Unpacked)) + is(Some(phase), Phase::Unpacked);
        blob.here = here;
        blob.phase = phase;
        if phase == Phase::Unpacking {
            blob.unpacking.get_or_insert(now);
        }

        let is_begun = matches!(phase, Phase::Downloading | Phase::Verifying | Phase::Complete);
        if blob.started.is_none() && (is_begun || matches!(phase, Phase::Uploading | Phase::Uploaded)) {
            blob.started = Some(now);
        }
        if blob.started.is_some() {
            blob.speed.record(blob.fetched, now);
            self.speed.record(self.sums.fetched, now);
        }
        (blob, before)
    }

    /// Takes an event that is not about a blob's bytes. Returns what to say of
    /// it, unless it is a warning.
    pub(super) fn announcement(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Resolved((name, target)) => {
                self.is_download = true;
                self.name.clone_from(name);
                let kind = names::kind(&target.media_type);
                Some(format!("{}: {kind} {}", escape::text(name), escape::text(&target.digest)))
            }
            Event::Selected((platform, manifest)) => {
                Some(format!("{}: manifest {}", escape::text(platform), escape::text(&manifest.digest)))
            }
            Event::Note(sentence) => Some(escape::text(sentence).into_owned()),
            Event::Progress(_) | Event::Warning(_) | Event::Transferred(_) | Event::Happened(_) => None,
        }
    }

    /// Takes how a blob came. It is told before the blob is complete.
    pub(super) fn sent(&mut self, transfer: &Transfer) {
        let mirror = transfer.endpoint.as_deref().filter(|endpoint| !names::is_registry_of(endpoint, &self.name));
        if let (Some(mirror), Some(blob)) = (mirror, self.blobs.get_mut(&transfer.blob.digest)) {
            blob.mirror = Some(mirror.to_owned());
        }
    }

    /// Returns where a blob stands.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "only lines that move ask"))]
    pub(super) fn blob(&self, digest: &str) -> Option<&Blob> {
        self.blobs.get(digest)
    }

    /// As in `12.3MB of 45MB (27 %), 1.2MB/s, 28s left, 2 of 5 blobs`.
    pub(super) fn totals(&self, now: Duration) -> String {
        let Sums { blobs, complete, present, unpacked, size, received, .. } = self.sums;
        let percent = if size == 0 { 100 } else { u128::from(received.min(size)) * 100 / u128::from(size) };
        let pace = pace(self.speed.rate(now), size.saturating_sub(received));
        let (here, all) = (size::si(received), size::si(size));
        format!("{here} of {all} ({percent} %){pace}, {} of {blobs} blobs{}", complete + present, extracted(unpacked))
    }

    /// One sentence about the whole pull, unless no blob was heard of.
    pub(super) fn summary(&self, end: End, now: Duration) -> Option<String> {
        let Sums { blobs, complete, present, unpacked, size, received, fetched } = self.sums;
        let extracted = extracted(unpacked);
        if blobs == 0 {
            return None;
        }
        let took = age::duration(now);
        let (here, all) = (size::si(received), size::si(size));
        if self.is_push {
            let rate = average(fetched, now).map(|rate| format!(" ({})", size::rate(rate))).unwrap_or_default();
            return Some(match end {
                End::Done if complete == 0 => format!("nothing to upload, {present} there before"),
                End::Done => {
                    let sent = size::si(fetched);
                    format!("{sent} in {took}{rate}: {complete} uploaded, {present} there before")
                }
                End::Failed => format!("stopped after {took}: {here} of {all} are there"),
                End::Interrupted => {
                    format!("interrupted after {took}: {here} of {all} are there, and the next push goes on there")
                }
            });
        }
        if !self.is_download {
            let stored = size::si(fetched);
            return Some(match end {
                End::Done if complete == 0 => format!("{present} here before{extracted}"),
                End::Done => format!("{stored} in {took}: {complete} stored, {present} here before{extracted}"),
                End::Failed if complete == 0 => return None,
                End::Failed => format!("stopped after {took}"),
                End::Interrupted => format!("interrupted after {took}"),
            });
        }
        Some(match end {
            End::Done if complete == 0 && fetched == 0 => {
                format!("nothing to download, {present} here before{extracted}")
            }
            End::Done => {
                let rate = average(fetched, now).map(|rate| format!(" ({})", size::rate(rate))).unwrap_or_default();
                let fetched = size::si(fetched);
                format!("{fetched} in {took}{rate}: {complete} downloaded, {present} here before{extracted}")
            }
            // Everything was here before, and what failed is something else.
            End::Failed if complete == 0 && fetched == 0 && received == size => return None,
            // What is kept after a failure depends on the failure: a full disk is given its space back.
            End::Failed => format!("stopped after {took}: {here} of {all} had arrived"),
            End::Interrupted => {
                format!("interrupted after {took}: {here} of {all} are here, and the next pull continues there")
            }
        })
    }
}

impl Blob {
    /// As in `downloading 1.2MB of 3.6MB, 1.2MB/s, 2s left`.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "only lines that move ask"))]
    pub(super) fn state(&self, now: Duration) -> String {
        let (here, all) = (size::si(self.received), size::si(self.size));
        match self.phase {
            Phase::Downloading => {
                let pace = pace(self.speed.rate(now), self.size.saturating_sub(self.received));
                format!("downloading {here} of {all}{pace}")
            }
            Phase::Unpacking => format!("extracting {all}"),
            Phase::Uploading => {
                let pace = pace(self.speed.rate(now), self.size.saturating_sub(self.received));
                format!("uploading {here} of {all}{pace}")
            }
            phase => format!("{} {here} of {all}", super::word(phase)),
        }
    }

    /// What to say about a blob that has come to this phase, if that is worth a
    /// line that stays.
    pub(super) fn news(&self, now: Duration) -> Option<String> {
        let all = size::si(self.size);
        match self.phase {
            Phase::Waiting | Phase::Verifying | Phase::Unpacking => None,
            Phase::Unpacked => {
                let took = now.saturating_sub(self.unpacking.or(self.started).unwrap_or(now));
                Some(format!("extracted, {} after it was here", age::duration(took)))
            }
            Phase::Downloading if self.received == 0 => Some(format!("downloading {all}")),
            Phase::Downloading => Some(format!("downloading {all}, {} are here", size::si(self.received))),
            Phase::Retrying => {
                let place = if self.is_out { "there" } else { "here" };
                Some(format!("trying again, {} of {all} are {place}", size::si(self.received)))
            }
            Phase::Uploading if self.received == 0 => Some(format!("uploading {all}")),
            Phase::Uploading => Some(format!("uploading {all}, {} are there", size::si(self.received))),
            Phase::There => Some(format!("there before, {all}")),
            Phase::Mounted => Some(format!("mounted from another repository there, {all}")),
            Phase::Uploaded => {
                let took = now.saturating_sub(self.started.unwrap_or(now));
                let rate =
                    average(self.fetched, took).map(|rate| format!(" ({})", size::rate(rate))).unwrap_or_default();
                Some(format!("uploaded, {all} in {}{rate}", age::duration(took)))
            }
            Phase::Present => Some(format!("here before, {all}")),
            Phase::Complete => {
                let took = now.saturating_sub(self.started.unwrap_or(now));
                let rate =
                    average(self.fetched, took).map(|rate| format!(" ({})", size::rate(rate))).unwrap_or_default();
                let from = self.mirror.as_deref().map(|mirror| format!(" from {}", escape::text(mirror)));
                Some(format!("complete, {all} in {}{rate}{}", age::duration(took), from.unwrap_or_default()))
            }
        }
    }
}

/// The measured bytes of the last [`WINDOW`].
#[derive(Debug, Default)]
struct Speed {
    /// Invariant: in order of time, [`SPACING`] apart.
    samples: VecDeque<(Duration, u64)>,
    latest: u64,
}

impl Speed {
    fn record(&mut self, total: u64, now: Duration) {
        self.latest = total;
        if self.samples.back().is_some_and(|(at, _)| now.saturating_sub(*at) < SPACING) {
            return;
        }
        self.samples.push_back((now, total));
        // One sample from before the window stays: the rate is measured from it.
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Returns bytes a second, once that can be said. It falls to 0 when
    /// nothing comes any more.
    fn rate(&self, now: Duration) -> Option<u64> {
        let before = |(at, _): &&(Duration, u64)| now.saturating_sub(*at) >= WINDOW;
        let (at, total) = self.samples.iter().rev().find(before).or_else(|| self.samples.front())?;
        average(self.latest.saturating_sub(*total), now.saturating_sub(*at))
    }
}

fn average(bytes: u64, time: Duration) -> Option<u64> {
    if time < RATE_AFTER {
        return None;
    }
    Some(u64::try_from(u128::from(bytes) * 1000 / time.as_millis()).unwrap_or(u64::MAX))
}

/// As in `, 3 extracted`.
fn extracted(layers: u64) -> String {
    if layers == 0 { String::new() } else { format!(", {layers} extracted") }
}

/// As in `, 1.2MB/s, 28s left`.
fn pace(rate: Option<u64>, remaining: u64) -> String {
    match rate {
        None => String::new(),
        Some(0) => format!(", {}", size::rate(0)),
        Some(rate) => {
            format!(", {}, {} left", size::rate(rate), age::duration(Duration::from_secs(remaining.div_ceil(rate))))
        }
    }
}
