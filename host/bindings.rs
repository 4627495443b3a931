//! Bindings to `wit/`, generated. Nothing here is written by hand, and nothing
//! of it travels further inward than `imports`. The words of the contract are
//! generated once, in the crate `wharf-vocabulary`.

#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "manager",
    imports: { default: store | trappable },
    exports: { default: store },
    with: {
        "wharf:images/archives": wharf_vocabulary::archives,
        "wharf:images/changes": wharf_vocabulary::changes,
        "wharf:images/discovery": wharf_vocabulary::discovery,
        "wharf:images/types": wharf_vocabulary::types,
        "wharf:images/uploads": wharf_vocabulary::uploads,
        "wharf:images/vocabulary": wharf_vocabulary::vocabulary,
        "wharf:images/content.ingest": crate::imports::content::Ingest,
        "wharf:images/content.blob": crate::imports::content::Blob,
        "wharf:images/content.departure": crate::imports::departures::Departure,
        "wharf:images/content.claimed": crate::imports::content::Claimed,
        "wharf:images/layers.layer": crate::imports::layers::Layer,
        "wharf:images/layers.extraction": crate::imports::layers::Extraction,
        "wharf:images/layers.snapshot": crate::imports::layers::Snapshot,
        "wharf:images/layers.claimed": crate::imports::layers::Claimed,
        "wharf:images/writable.top": crate::imports::writable::Top,
        "wharf:images/metadata.transaction": crate::imports::metadata::Transaction,
        "wharf:images/credentials.grant": crate::imports::credentials::Grant,
    },
    require_store_data_send: true,
});
