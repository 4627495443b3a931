//! The platform of a machine, from facts.
//!
//! It does not find the facts; the host does that, natively.
//!
//! The variant of an ARM processor is read from `/proc/cpuinfo`, of which only
//! the first processor counts:
//!
//! ```text
//! model name       : ARMv6-compatible processor rev 7 (v6l)
//! CPU architecture : 7
//! ```
//!
//! Some kernels leave the architecture out, as emulators do; then the machine
//! as `uname -m` prints it decides.

use super::{Error, Platform};

/// What the host process knows about its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The system by Rust's or Go's name, as in `linux` or `macos`.
    pub os: &'a str,
    /// The version of the system; asked for on Windows only. May be empty.
    pub os_version: &'a str,
    /// The architecture by Rust's or Go's name, as in `x86_64` or `amd64`.
    pub architecture: &'a str,
    /// Whether the machine is big-endian. Rust's names do not tell.
    pub big_endian: bool,
    /// The level of an x86-64 processor by the psABI, 1 to 4, or 0 if nobody
    /// looked.
    pub amd64_level: u8,
    /// The text of `/proc/cpuinfo`; empty where there is none.
    pub cpuinfo: &'a str,
    /// The machine as `uname -m` prints it; empty where nobody asked.
    pub machine: &'a str,
}

/// Returns the platform of a machine in its normal spelling, as in
/// `linux/amd64/v3` or `linux/arm/v7`.
pub fn detect(facts: &Facts<'_>) -> Platform {
    let architecture = architecture(facts);
    let variant = match architecture {
        "amd64" if (2..=4).contains(&facts.amd64_level) => format!("v{}", facts.amd64_level),
        "arm" | "arm64" => arm_variant(facts, architecture).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let mut platform = Platform::new(facts.os, architecture).with_variant(&variant).normalize();
    if platform.os == "windows" {
        facts.os_version.clone_into(&mut platform.os_version);
    }
    platform
}

/// Translates Rust's names of architectures to Go's.
fn architecture<'a>(facts: &Facts<'a>) -> &'a str {
    match (facts.architecture, facts.big_endian) {
        ("x86", _) => "386",
        ("x86_64", _) => "amd64",
        ("aarch64", false) => "arm64",
        ("aarch64", true) => "arm64be",
        ("arm", true) => "armbe",
        ("powerpc", _) => "ppc",
        ("powerpc64", true) => "ppc64",
        ("powerpc64", false) => "ppc64le",
        ("mips" | "mips32r6", false) => "mipsle",
        ("mips32r6", true) => "mips",
        ("mips64" | "mips64r6", false) => "mips64le",
        ("mips64r6", true) => "mips64",
        ("loongarch64", _) => "loong64",
        ("riscv32", _) => "riscv",
        ("wasm32" | "wasm64", _) => "wasm",
        (other, _) => other,
    }
}

/// Returns the variant of an ARM machine, unless nothing tells it.
fn arm_variant(facts: &Facts<'_>, architecture: &str) -> Option<&'static str> {
    // Elsewhere there is no such file, and one variant runs everywhere.
    if facts.os != "linux" && facts.os != "android" {
        return Some(if architecture == "arm64" { "v8" } else { "v7" });
    }
    let written = match field(facts.cpuinfo, "cpu architecture") {
        Some(written) => written.to_ascii_lowercase(),
        None => arm_version(facts.machine).ok()?.to_owned(),
    };
    let variant = match written.as_str() {
        "8" | "aarch64" => "v8",
        // The kernel prints `?(12)` to `?(17)` for versions that it has no name for.
        "7" | "7m" | "?(12)" | "?(13)" | "?(14)" | "?(15)" | "?(16)" | "?(17)" => "v7",
        "6" | "6tej" => "v6",
        "5" | "5t" | "5te" | "5tej" => "v5",
        "4" | "4t" => "v4",
        "3" => "v3",
        _ => return None,
    };
    // The first Raspberry Pis have an ARMv6 whose kernel says 7.
    let is_v6 = field(facts.cpuinfo, "model name")
        .is_some_and(|model| model.to_ascii_lowercase().starts_with("armv6-compatible"));
    Some(if architecture == "arm" && variant == "v7" && is_v6 { "v6" } else { variant })
}

/// Returns the first value of a field; `name` is in lower case.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.split(':').next().unwrap_or_default().trim())
    })
}

/// Returns the version of ARM that `uname -m` tells, as in `7` for `armv7l`, or
/// `unknown` for one that has no images.
pub fn arm_version(machine: &str) -> Result<&'static str, Error> {
    let machine = machine.to_ascii_lowercase();
    if machine == "aarch64" {
        return Ok("8");
    }
    let version = machine.strip_prefix("armv").and_then(|rest| rest.chars().next());
    match version.ok_or(Error::Machine(machine))? {
        '8' => Ok("8"),
        '7' => Ok("7"),
        '6' => Ok("6"),
        '5' => Ok("5"),
        '4' => Ok("4"),
        '3' => Ok("3"),
        _ => Ok("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_recognised() {
        let linux = Facts { os: "linux", ..Facts::default() };
        let arm = Facts { architecture: "arm", ..linux };
        let rows = [
            (Facts { architecture: "x86_64", amd64_level: 3, ..linux }, "linux/amd64/v3"),
            (Facts { architecture: "amd64", amd64_level: 1, ..linux }, "linux/amd64"),
            (Facts { architecture: "x86_64", ..linux }, "linux/amd64"),
            (Facts { architecture: "x86_64", amd64_level: 9, ..linux }, "linux/amd64"),
            (Facts { architecture: "x86", ..linux }, "linux/386"),
            (Facts { architecture: "aarch64", cpuinfo: "CPU architecture: 8\n", ..linux }, "linux/arm64"),
            (Facts { architecture: "powerpc64", ..linux }, "linux/ppc64le"),
            (Facts { architecture: "mips64", big_endian: true, ..linux }, "linux/mips64"),
            (Facts { architecture: "loongarch64", ..linux }, "linux/loong64"),
            (Facts { architecture: "s390x", big_endian: true, ..linux }, "linux/s390x"),
            (Facts { cpuinfo: "processor\t: 0\nCPU architecture\t: 7\n", ..arm }, "linux/arm/v7"),
            (Facts { cpuinfo: "CPU architecture: 5TEJ\n\nCPU architecture: 7\n", ..arm }, "linux/arm/v5"),
            (Facts { cpuinfo: "CPU architecture: ?(13)\n", ..arm }, "linux/arm/v7"),
            (
                Facts { cpuinfo: "model name: ARMv6-compatible processor rev 7 (v6l)\nCPU architecture: 7\n", ..arm },
                "linux/arm/v6",
            ),
            (Facts { machine: "armv6l", ..arm }, "linux/arm/v6"),
            // Nothing tells, and plain `arm` is v7.
            (arm, "linux/arm/v7"),
            (Facts { os: "macos", architecture: "aarch64", ..Facts::default() }, "darwin/arm64"),
            (Facts { os: "freebsd", architecture: "arm", ..Facts::default() }, "freebsd/arm/v7"),
        ];
        for (facts, expected) in rows {
            assert_eq!(detect(&facts).to_string(), expected, "{facts:?}");
        }
    }

    #[test]
    fn only_windows_has_a_version() {
        let facts = Facts { os: "windows", os_version: "10.0.20348.3091", architecture: "x86_64", ..Facts::default() };
        assert_eq!(detect(&facts).format_all(), "windows(10.0.20348.3091)/amd64");
        assert_eq!(detect(&Facts { os: "linux", ..facts }).format_all(), "linux/amd64");
    }
}
