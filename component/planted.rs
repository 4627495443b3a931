//! Defences that a test can take away, to show that it would notice. The
//! component that wharf embeds is built without the feature `planted`: there
//! every defence is always in place, and [`has`] is a constant.
//!
//! ```
//! # #[cfg(feature = "planted")] {
//! use wharf_component::planted::{Bug, plant};
//! let _planted = plant(Bug::AnnouncedDigestIgnored);
//! // Until it is dropped, this thread believes a manifest whatever the registry announced.
//! # }
//! ```

/// What goes wrong while it is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The records are not read again after blobs were claimed.
    SweepUnchecked,
    /// A lease holds nothing.
    LeaseIgnored,
    /// What a name needs is removed before the name is.
    CollectedEarly,
    /// The blob of a layer is given up although nothing can make its archive again.
    RecipeUnwritten,
    /// A load is recorded before what it has brought is durable.
    LoadUnsynced,
    /// A failed request is sent again at once.
    NoBackOff,
    /// `Retry-After` is not read.
    RetryAfterIgnored,
    /// A registry may make a client wait for as long as it likes.
    RetryAfterUnbounded,
    /// What could pass is not tried again.
    TransientIsFinal,
    /// What cannot pass is tried again.
    FinalIsTransient,
    /// Which part of a blob a 206 sends is not looked at.
    ContentRangeUnchecked,
    /// A 200 is appended as if it were the part that was asked for.
    WholeAppended,
    /// Whether a body arrived whole is not asked.
    EndUnawaited,
    /// A body that is longer than promised is cut and taken.
    ExcessTaken,
    /// The length that a response declares is not compared.
    DeclaredLengthIgnored,
    /// What the registry says that a manifest's digest is, is not compared.
    AnnouncedDigestIgnored,
    /// The digest that was asked for is not compared.
    WantedDigestIgnored,
    /// A manifest that was compressed on the way is taken.
    EncodingIgnored,
    /// A redirect may lead from TLS to plain HTTP.
    RedirectDowngrades,
    /// Redirects are followed for ever.
    RedirectsUnbounded,
    /// A grant is sent wherever a redirect leads.
    GrantOffOrigin,
    /// A grant that was refused is sent again.
    StaleGrantKept,
    /// A server that sends nothing is waited for.
    SilenceUnbounded,
    /// A server that sends next to nothing is waited for.
    PaceUnbounded,
    /// What a registry writes is shown as it is.
    TextShownRaw,
    /// When a mirror fails, nobody else is asked.
    MirrorIsFinal,
    /// HEAD without an answer is not followed by GET.
    HeadIsFinal,
    /// Pages may go round in a circle.
    PagesGoRound,
    /// The next page may be on another host.
    PagesLeaveHome,
    /// Plain HTTP is tried whatever TLS failed of.
    PlainAfterTls,
    /// A blob with the wrong digest is not asked for once more.
    MismatchIsFinal,
    /// A login that is refused is not done without.
    LoginInsisted,
    /// Documents have no limit.
    DocumentsUnbounded,
    /// A commit that another one has overtaken is taken for done.
    ConflictTaken,
    /// A record is written before its blobs have durable names.
    BlobsUnsynced,
    /// A record is written before its layers are durable.
    LayersUnsynced,
    /// Layers that another process has extracted are taken for durable.
    OthersLayersUnsynced,
    /// What is up to date is taken for durable.
    UpToDateUnsynced,
    /// A tree that is there is taken for durable.
    TreeUnsynced,
    /// Blobs are given up before the record that needs them is written.
    BlobsReleased,
    /// A tree is given up before the record that needs it is written.
    TreeReleased,
    /// A record is believed without a look at the blobs.
    BlobsBelieved,
    /// A slow pull may move a name backwards.
    NameMovesBack,
    /// A record is made from what was read when the pull began.
    StaleRecordMerged,
    /// What was found damaged is removed although somebody may have made it good.
    EvictedUnheld,
    /// An upload that broke goes on where this end thinks that it did.
    UploadOffsetTrusted,
    /// A manifest is pushed before what it needs.
    ManifestEarly,
    /// What is to get a name back is not held meanwhile.
    StrayUnheld,
}

#[cfg(feature = "planted")]
mod planting {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Takes a bug out again when it is dropped.
    #[derive(Debug)]
    #[must_use = "the bug is gone as soon as this is dropped"]
    pub struct Planted(());

    /// Plants a bug on this thread, in the place of any other.
    pub fn plant(bug: Bug) -> Planted {
        PLANTED.set(Some(bug));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }

    pub(crate) fn has(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub(crate) use planting::has;
#[cfg(feature = "planted")]
pub use planting::{Planted, plant};

/// Whether a bug is planted: never, in what wharf embeds.
#[cfg(not(feature = "planted"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
