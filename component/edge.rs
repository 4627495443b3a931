//! Where the crate meets WebAssembly. [`guest`] is the component for wharf's
//! own host; everything that `wit-bindgen` generates stays below this module.

mod access;
mod convert;
mod guest;
mod http;
mod imports;
