//! Whole layers, from any bytes: nothing outside the layer's directory changes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    wharf_fuzz::sum(&mut bytes);
    wharf_fuzz::cage::check(&bytes);
});
