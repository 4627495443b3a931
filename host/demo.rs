//! The demonstration: an image and a registry that exist only in memory, so that the first command
//! of the README works on a machine without a network, and so that the tests have a registry whose
//! every byte is known.
//!
//! Nothing here decides about images or leaves the loopback interface.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`image`] | a small multi-platform OCI image, the same bytes on every machine |
//! | [`registry`] | a read-only distribution registry on `127.0.0.1` that counts what it sends |
//! | [`story`] | what `wharf demo` does and says |

pub mod image;
pub mod registry;
pub mod story;
