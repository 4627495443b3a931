//! containerd's wire contract, as far as wharf serves it: messages, servers and clients, generated from `proto/`.
//!
//! Names, numbers and types are containerd's, and nothing else of it is here. `tests/containerd` compares them with what
//! containerd's own client has.

#[allow(missing_docs, missing_debug_implementations, reason = "generated from proto/, where everything is documented")]
#[allow(unreachable_pub, clippy::all, reason = "generated")]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use contract::containerd::events as happenings;
pub use contract::containerd::services::containers::v1 as containers;
pub use contract::containerd::services::content::v1 as content;
pub use contract::containerd::services::diff::v1 as diff;
pub use contract::containerd::services::events::v1 as events;
pub use contract::containerd::services::images::v1 as images;
pub use contract::containerd::services::introspection::v1 as introspection;
pub use contract::containerd::services::leases::v1 as leases;
pub use contract::containerd::services::namespaces::v1 as namespaces;
pub use contract::containerd::services::snapshots::v1 as snapshots;
pub use contract::containerd::services::streaming::v1 as streaming;
pub use contract::containerd::services::transfer::v1 as transfer;
pub use contract::containerd::services::version::v1 as version;
pub use contract::containerd::types;
pub use contract::google::rpc;
pub use prost::Name;
pub use prost_types::{Any, FieldMask, Timestamp};

/// All of it as a `google.protobuf.FileDescriptorSet`, for the service of reflection.
pub const CONTRACT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));

/// Puts a message into what says which one it is: as containerd has it, by its name alone.
pub fn packed<M: Name>(message: &M) -> Any {
    Any { type_url: M::full_name(), value: message.encode_to_vec() }
}
