//! Where the crate meets WebAssembly. [`guest`] is the component for wharf's own
//! host, [`portable`] the one for stock runtimes; everything that `wit-bindgen`
//! generates stays below this module.

mod access;
mod convert;
mod door;
#[cfg(feature = "guest")]
mod guest;
mod http;
#[cfg(feature = "guest")]
mod imports;
#[cfg(feature = "portable")]
mod portable;

#[cfg(all(feature = "guest", feature = "portable"))]
compile_error!("`guest` and `portable` are two components: choose one of the features");
