//! What each host service promises, on real files. One module a service.

mod content;
mod metadata;
