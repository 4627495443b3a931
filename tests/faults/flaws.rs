//! That the cases notice: for each defence of the component that can be taken away (`component/planted.rs`), cases that
//! pass with it and fail without it. They run natively, because the component in its sandbox has no such switch.
//!
//! Not shown here: `RedirectDowngrades` and `PlainAfterTls` need a registry that speaks TLS, and are shown by the
//! component's own tests. `EndUnawaited` is a second guard: a blob is held to its size and digest besides.

use super::cancel;
use super::case::Case;
use super::run::{HANG, Where, run};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;
use wharf_component::planted::{Bug, plant};

/// A pull without a defence hangs if it takes longer. None of these cases takes half of it otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many run at once.
const AT_ONCE: usize = 24;

/// What is taken away, and which cases notice, each of them.
const FLAWS: &[(Bug, &[&str])] = &[
    (Bug::NoBackOff, &["F03-index", "F03-layer"]),
    (Bug::RetryAfterIgnored, &["F01-layer-503"]),
    (Bug::TransientIsFinal, &["F05-index-500", "F08-layer-middle", "F19-manifest"]),
    (Bug::FinalIsTransient, &["F44-layer-empty", "F32-index-nowhere"]),
    (Bug::ContentRangeUnchecked, &["F15-layer-start", "F15-config-total"]),
    (Bug::WholeAppended, &["F14-layer", "F14-config"]),
    (Bug::ExcessTaken, &["F11-layer-chunked", "F11-config-close"]),
    (Bug::DeclaredLengthIgnored, &["F13-layer-high", "F13-config-high"]),
    (Bug::AnnouncedDigestIgnored, &["F21-index", "F21-manifest", "F21-index-weak"]),
    (Bug::WantedDigestIgnored, &["F23-manifest-silent", "F23-index-silent"]),
    (Bug::EncodingIgnored, &["F28-index-unannounced"]),
    (Bug::RedirectsUnbounded, &["F32-layer-loop", "F32-index-loop"]),
    (Bug::GrantOffOrigin, &["F31-layer-307-basic", "F31-blobs-token"]),
    (Bug::StaleGrantKept, &["F34-layer-token", "F34-manifest-login"]),
    (Bug::SilenceUnbounded, &["F19-index", "F19-layer"]),
    (Bug::PaceUnbounded, &["F18-layer-body"]),
    (Bug::TextShownRaw, &["F44-layer-ansi", "F44-index-long"]),
    (Bug::MirrorIsFinal, &["F47-no-layer", "F47-silent"]),
    (Bug::HeadIsFinal, &["F24-head-405", "F24-head-reset"]),
    (Bug::PagesGoRound, &["F46-tags-loop", "F46-tags-self"]),
    (Bug::PagesLeaveHome, &["F46-tags-other-host"]),
    (Bug::MismatchIsFinal, &["F20-layer", "F17-config"]),
    (Bug::LoginInsisted, &["F36-token-wrong-login"]),
    (Bug::DocumentsUnbounded, &["F11-index-endless", "F11-tags-endless"]),
];

/// One run: a case, and what is taken away.
type Job<'c> = (&'c Case, Option<Bug>);

/// Whether a case complains, natively.
fn complaints((case, bug): &Job<'_>) -> Vec<String> {
    let Some(bug) = *bug else { return run(case, Where::Native, HANG) };
    let _planted = plant(bug);
    // To break a promise in the code is one way to be noticed.
    catch_unwind(AssertUnwindSafe(|| run(case, Where::Native, PATIENCE)))
        .unwrap_or_else(|_| vec![format!("{}: it panics", case.id)])
}

#[test]
fn cases_that_pass_with_a_defence_fail_without_it() {
    let cases = super::all();
    let find =
        |id: &&str| cases.iter().find(|case| case.id == **id).unwrap_or_else(|| panic!("there is no case `{id}`"));
    let named: BTreeSet<&str> = FLAWS.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let whole = named.iter().map(|id| (find(id), None));
    let flawed = FLAWS.iter().flat_map(|(bug, ids)| ids.iter().map(|id| (find(id), Some(*bug))));
    let jobs: Vec<Job<'_>> = whole.chain(flawed).collect();
    let (queue, wrong) = (Mutex::new(jobs.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no holder panics").next();
                    let Some(job) = next else { return };
                    let (found, (case, bug)) = (complaints(job), job);
                    let mut wrong = wrong.lock().expect("no holder panics");
                    match bug {
                        None => wrong.extend(found),
                        Some(bug) if found.is_empty() => wrong.push(format!("{} does not notice `{bug:?}`", case.id)),
                        Some(_) => {}
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("no holder panics");
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(FLAWS.len() >= 20);
}

/// `RetryAfterUnbounded`: who is to wait for 30 years waits for 5 minutes.
#[test]
fn a_wait_without_a_limit_is_noticed() {
    let wait = |bug: Option<Bug>| {
        let _planted = bug.map(plant);
        cancel::announced_wait(Where::Native)
    };
    assert!(wait(None).contains(" 300 s"));
    assert!(!wait(Some(Bug::RetryAfterUnbounded)).contains(" 300 s"));
}
