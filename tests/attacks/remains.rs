//! What one store leaves behind in a pool: nothing that the next one finds.

use super::{Host, RUNTIME};
use wharf::engine::{Limits, Stranger, is_full};
use wharf_hostile::COMPONENT;

/// More than a slot keeps mapped, in pages of 64 KiB.
const PAGES: u64 = 100;
/// What the attack writes of its stack, in bytes.
const STACK_BYTES: u64 = 458_752;

/// Runs the attack twice in one store, and returns what each time was found.
async fn stain(host: &Host, pool: &Stranger) -> [Vec<String>; 2] {
    let (mut store, instance) = pool.instantiate(&host.services, &Limits::default()).await.expect("the place is free");
    let attack = instance
        .get_typed_func::<(String, Vec<String>, u64), (Vec<String>,)>(&mut store, "attack")
        .expect("the world has this export");
    let run = store.run_concurrent(async |accessor| {
        let arguments = || ("stain".to_owned(), Vec::new(), PAGES);
        let (first,) = attack.call_concurrent(accessor, arguments()).await?;
        let (second,) = attack.call_concurrent(accessor, arguments()).await?;
        Ok::<_, wasmtime::Error>([first, second])
    });
    run.await.flatten().expect("the attack comes to its end")
}

#[test]
fn what_one_store_wrote_the_next_one_in_its_place_does_not_find() {
    let host = Host::new();
    // SAFETY: the build script of `wharf-hostile` made it with the engine's configuration.
    let pool = unsafe { Stranger::pool(COMPONENT, 1) }.expect("a component with wharf's imports is linked");
    for _ in 0..4 {
        let found = RUNTIME.block_on(stain(&host, &pool));
        // The second time shows that what was written can be found.
        let expected = [["false", "0", "0"], ["true", &STACK_BYTES.to_string(), "0"]];
        assert_eq!(found, expected);
    }
}

#[test]
fn a_pool_that_is_full_says_so_and_has_room_again() {
    let host = Host::new();
    // SAFETY: as above.
    let pool = unsafe { Stranger::pool(COMPONENT, 2) }.expect("a component with wharf's imports is linked");
    let make = || RUNTIME.block_on(pool.instantiate(&host.services, &Limits::default()));
    let (first, second) = (make().expect("there are two places"), make().expect("there are two places"));
    let Err(error) = make() else { panic!("there is no third place") };
    assert!(is_full(&error), "{error:#}");
    drop(first);
    drop((make().expect("a place has become free"), second));
}
