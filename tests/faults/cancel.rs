//! A person who stops a pull does not wait for the registry: not while it is silent, not while it drips, and not while
//! the next request has to wait.

use super::case::{Case, case};
use super::engines::{Engine, Sandbox};
use super::run::{Where, World};
use crate::support::fault_registry::{At, Object, Object::*, What::*, always, set};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use wharf_component::nouns::problem::ErrorCode;

/// How long a pull may go on after it was stopped.
const STOPS_WITHIN: Duration = Duration::from_secs(1);
/// How often the person looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long it takes at most to begin to wait.
const BEGUN: Duration = Duration::from_millis(200);
/// A registry that is never given up.
const NEVER_MS: u64 = 600_000;

/// Pulls, stops as soon as the fault has struck and `seen` is content with what was said, and returns how the pull
/// ended, how long after, and what was said.
fn stopped(case: &Case, place: Where, seen: fn(&[String]) -> bool) -> (ErrorCode, Duration, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(case);
        match place {
            Where::Sandbox => stop(case, &world, &Sandbox::new(&world.services), seen).await,
            Where::Native => stop(case, &world, &world.native(), seen).await,
        }
    })
}

async fn stop(
    case: &Case,
    world: &World,
    engine: &impl Engine,
    seen: fn(&[String]) -> bool,
) -> (ErrorCode, Duration, Vec<String>) {
    let (reference, stop) = (world.reference(&case.ask, case), CancellationToken::new());
    let told = Mutex::new(Vec::new());
    let mut tell = |text| told.lock().expect("no holder panics").push(text);
    let pull = async {
        let end = engine.pull(&reference, false, &case.access, &stop, &mut tell).await;
        (end.expect_err("the registry does not get this far").code, Instant::now())
    };
    let person = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let struck = world.registry.fired().iter().all(|times| *times > 0);
            if struck && seen(&told.lock().expect("no holder panics")) {
                break;
            }
        }
        // So that what is waited for has begun to be waited for.
        tokio::time::sleep(BEGUN).await;
        stop.cancel();
        Instant::now()
    };
    let ((code, ended), stopped) = futures::future::join(pull, person).await;
    let told = told.lock().expect("no holder panics").clone();
    (code, ended.duration_since(stopped), told)
}

/// A registry that wants to be left alone for 30 years.
fn closed_for_years(id: &str, on: Object) -> Case {
    let years = vec![Status(503), set("retry-after", "1000000000")];
    case(id, [always(on, years)]).silence_ms(NEVER_MS)
}

/// What is said about a wait of 30 years.
pub(super) fn announced_wait(place: Where) -> String {
    let waits: fn(&[String]) -> bool = |told| told.iter().any(|text| text.contains("to wait"));
    let (_, _, told) = stopped(&closed_for_years("F02-index-years", Index), place, waits);
    told.join("\n")
}

#[test]
fn a_pull_stops_within_a_second_whatever_the_registry_does() {
    let patient = |id, faults: Vec<_>| case(id, faults).silence_ms(NEVER_MS);
    let anything: fn(&[String]) -> bool = |_| true;
    let waiting: fn(&[String]) -> bool = |told| told.iter().any(|text| text.contains("wait 300 s"));
    let cases = [
        (patient("F19-index-stopped", vec![always(Index, Silence)]), anything),
        (patient("F19-layer-stopped", vec![always(Layer, Silence)]), anything),
        (patient("F19-layer-stopped-middle", vec![always(Layer, Stall(At::Middle))]), anything),
        (patient("F18-manifest-stopped", vec![always(Manifest, DripBody(300))]), anything),
        (patient("F18-layer-stopped", vec![always(Layer, DripBody(300))]), anything),
        // F02: a wait of 30 years is one of five minutes, and a person can end it.
        (closed_for_years("F02-index-stopped", Index), waiting),
        (closed_for_years("F02-layer-stopped", Layer), waiting),
    ];
    std::thread::scope(|scope| {
        let running: Vec<_> =
            cases.iter().map(|(case, seen)| (case, scope.spawn(|| stopped(case, Where::Sandbox, *seen)))).collect();
        for (case, running) in running {
            let (code, after, _) = running.join().expect("the story has an end");
            assert_eq!(code, ErrorCode::Cancelled, "{}", case.id);
            assert!(after < STOPS_WITHIN, "{}: {after:?}", case.id);
        }
    });
}
