//! Rows 15, 16 and 19: which component runs, and that its decisions are functions of what it is asked.

use super::{Host, RUNTIME};
use wharf::engine::Stranger;
use wharf::images::{Access, Caller, Wanted, Wharf};
use wharf_hostile::COMPONENT;

/// The real component is a part of the binary, and nothing is ever read from a cache. What the loader refuses even so is
/// machine code for another machine, version or configuration.
#[test]
fn row_15_what_was_compiled_otherwise_is_refused() {
    let _host = Host::new();
    let machine = format!("{}-unknown-", std::env::consts::ARCH);
    let at = COMPONENT.windows(machine.len()).position(|window| window == machine.as_bytes());
    let mut otherwise = COMPONENT.to_vec();
    otherwise[at.expect("it says for which machine it is")] ^= 1;
    let half = COMPONENT[..COMPONENT.len() / 2].to_vec();
    let other_magic = [b"x", &COMPONENT[1..]].concat();
    for (what, bytes) in [("machine", otherwise), ("magic", other_magic), ("half", half), ("nothing", Vec::new())] {
        // SAFETY: it is refused before anything of it runs, which is what is tested.
        assert!(unsafe { Stranger::load(&bytes) }.is_err(), "{what}");
    }
    let wasm: &[u8] = b"\0asm\x0d\0\x01\0";
    // SAFETY: as above. There is no compiler that could make machine code of it.
    let refused = unsafe { Stranger::load(wasm) }.expect_err("it is not machine code");
    println!("{refused:#}");
}

#[test]
fn row_19_the_same_question_has_the_same_answer() {
    let host = Host::new();
    let caller = Caller { namespace: "default".to_owned(), machine: wharf::machine::machine("") };
    let access = |plain: &str| Access {
        plain_http: vec![plain.to_owned()],
        rules: Vec::new(),
        aliases: vec![("fedora".to_owned(), "registry.fedoraproject.org/fedora".to_owned())],
        retries: 3,
        silence_ms: 1_000,
    };
    let wharf = Wharf::new(host.services.clone()).expect("the component loads");
    for reference in ["alpine", "fedora:40", "ghcr.io/org/app@sha256:zz", "registry.lan:5000/a", "A", "", "a\u{1b}b"] {
        let ask = || {
            let answer =
                RUNTIME.block_on(wharf.explain(&caller, reference, &Wanted::Machine, &access("registry.lan:5000")));
            format!("{answer:?}")
        };
        let first = ask();
        for _ in 0..5 {
            assert_eq!(ask(), first, "{reference}");
        }
    }
}
