//! Facts about the machine, for the component to name its platform by.
//!
//! It measures and does not judge: what `linux/amd64/v3` is, the component knows.

use crate::images::Machine;

/// Returns the facts. `cpuinfo` is the text of `/proc/cpuinfo`; it is passed on
/// where it tells something, which is on ARM.
pub fn machine(cpuinfo: &str) -> Machine {
    let arm = cfg!(any(target_arch = "arm", target_arch = "aarch64"));
    Machine {
        os: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        big_endian: cfg!(target_endian = "big"),
        amd64_level: amd64_level(),
        cpuinfo: if arm { first_processor(cpuinfo).to_owned() } else { String::new() },
        uname: rustix::system::uname().machine().to_string_lossy().into_owned(),
    }
}

/// The description of the first processor ends at the first empty line.
fn first_processor(cpuinfo: &str) -> &str {
    cpuinfo.split("\n\n").next().unwrap_or_default()
}

/// The features that each level of the x86-64 psABI adds, section 3.1.1
/// “Processor Architecture”, table 3.1.
#[cfg(target_arch = "x86_64")]
fn amd64_level() -> u8 {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("sse4.1") && has!("sse4.2") && has!("ssse3");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe")
        && has!("xsave");
    let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    1 + u8::from(v2) + u8::from(v3) + u8::from(v4)
}

#[cfg(not(target_arch = "x86_64"))]
fn amd64_level() -> u8 {
    0
}
