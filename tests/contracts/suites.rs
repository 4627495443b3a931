//! Contracts that every host keeps, written once over the component's trait `Host` and run on three: the machine in
//! memory, the real services, and the store of the portable component. A host that has not a service at all does not
//! run its suite. What only real files show (full disks, processes that are killed, damage) is beside this. A map:
//!
//! - `subject`, `portable`: what a suite is run on.
//! - `content`, `layers`, `tops`, `metadata`, `credentials`: the suites, after the interfaces of `wit/`.
//! - `archives`, `recipes`: the parts of them that a load, a push and an image without blobs rely on.
//! - `collection`: what a collection needs of them, for those that have locks.
//! - `containerd`: the cases of containerd's suites, and which test here is for which.

mod archives;
mod collection;
mod containerd;
mod content;
mod credentials;
mod layers;
mod metadata;
mod portable;
mod recipes;
mod subject;
mod tops;

/// Makes a test of each case on each subject, as in `native::a_held_blob_is_not_removed`.
macro_rules! suite {
    ($subjects:tt; $($case:ident,)+) => {
        suite!(@each $subjects [$($case)+]);
    };
    (@each [$($module:ident: $subject:ident),+] $cases:tt) => {
        $(suite!(@one $module $subject $cases);)+
    };
    (@one $module:ident $subject:ident [$($case:ident)+]) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    super::$case::<super::super::subject::$subject>();
                }
            )+
        }
    };
}
use suite;
