//! The linear memories of the components that run in this process, read as an attacker would who could read all of
//! them: from outside of wasmtime, by what the kernel says is mapped.
//!
//! wasmtime reserves the whole address range of a 32-bit memory, so that an access beyond its end hits what is not
//! mapped and needs no check:
//!
//! ```text
//! ---p  guard │ rw-p  what the data segments made, then the rest of the memory │ ---p  4 GiB of reservation
//! ```
//!
//! Nothing else in a process has gigabytes that nobody may touch directly behind what may be written.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;

/// What is less is no reservation of wasmtime's, but a guard page or the arena of an allocator.
const RESERVATION_BYTES_MIN: u64 = 1 << 30;

struct Region {
    begin: u64,
    end: u64,
    /// As in `rw-p`.
    rights: String,
}

impl Region {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (begin, end) = words.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self { begin: number(begin)?, end: number(end)?, rights: words.next()?.to_owned() })
    }

    fn is_reservation(&self) -> bool {
        self.rights.starts_with("---") && self.end - self.begin >= RESERVATION_BYTES_MIN
    }
}

/// Returns the content of every linear memory that is there now.
pub(crate) fn linear_memories() -> Vec<Vec<u8>> {
    let maps = read_to_string("/proc/self/maps").expect("Linux says what is mapped");
    let regions: Vec<Region> = maps.lines().filter_map(Region::read).collect();
    let memory = File::open("/proc/self/mem").expect("a process may read itself");
    let mut found = Vec::new();
    for (number, reservation) in regions.iter().enumerate().filter(|(_, region)| region.is_reservation()) {
        let mut begin = reservation.begin;
        for region in regions[..number].iter().rev() {
            if region.end != begin || !region.rights.starts_with("rw") {
                break;
            }
            begin = region.begin;
        }
        let mut bytes = vec![0; usize::try_from(reservation.begin - begin).expect("addresses fit")];
        // A memory of another test may go away meanwhile.
        if !bytes.is_empty() && memory.read_exact_at(&mut bytes, begin).is_ok() {
            found.push(bytes);
        }
    }
    found
}
