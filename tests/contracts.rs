//! What each host service promises: `suites` on every host, the others on real files. One module a service.

mod content;
mod metadata;
mod suites;
