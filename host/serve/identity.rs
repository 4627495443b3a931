//! Who this server is, for clients of containerd.

use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wharf::containerd::Identity;

/// Says who serves the store at `root`. The UUID is the same as long as machine and store are, and does not say which
/// machine that is: machine-id(5).
pub(super) fn identity(root: &Path) -> Identity {
    let read = |path: &str| fs::read_to_string(path).ok().filter(|text| !text.trim().is_empty());
    // Without a name a machine is another one after its next start.
    let machine = read("/etc/machine-id").or_else(|| read("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let hash = Sha256::new()
        .chain_update("wharf serve --containerd\n")
        .chain_update(machine.trim())
        .chain_update(root.as_os_str().as_encoded_bytes())
        .finalize();
    Identity {
        uuid: uuid(hash[..16].try_into().expect("a hash is longer")),
        process: std::process::id().into(),
        process_namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino()),
    }
}

/// Writes numbers of one's own as a UUID. RFC 9562 section 5.8.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_its_numbers_are_ones_own() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-8000-8000-000000000000");
        assert_eq!(identity(Path::new("/")).uuid, identity(Path::new("/")).uuid);
        assert_ne!(identity(Path::new("/")).uuid, identity(Path::new("/etc")).uuid);
    }
}
