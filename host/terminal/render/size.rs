//! Bytes as people read them: decimal units and three digits, as in `77.8MB`,
//! which is how `docker images` writes them.
//!
//! It does not know binary units.

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Returns `bytes` with a unit, as in `528B`, `1.85kB` or `77.8MB`.
pub fn si(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().expect("there are units");
    // From here on the value would round to 1000.
    while value >= 999.5 {
        // 2^64 bytes are 18.4EB, so that the units do not run out.
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    let digits = if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{unit}")
}

/// Returns a rate, as in `1.2MB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", si(bytes_per_second))
}
