//! The ids that a user may give to others in a namespace, subuid(5) and subgid(5), and the programs that have the right
//! to map them. It is a part of `main`, and as such takes ambient authority: it reads files of `/etc` and runs
//! `newuidmap` and `newgidmap`.

use rustix::process::{getgid, getuid};
use std::env;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::str;
use wharf::layers::{Extent, Subordinate};

/// No such file is larger, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How many ranges are mapped: the kernel takes 340 lines, and one is the user's own.
const RANGES_MAX: usize = 300;

const USERS: &str = "newuidmap";
const GROUPS: &str = "newgidmap";

/// Returns the ids that the user of this process has got, if the programs are there that map them.
pub(crate) fn subordinate() -> Option<Subordinate> {
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    if user == 0 || ![USERS, GROUPS].iter().all(|program| is_in_path(program)) {
        return None;
    }
    let names = names(&read("/etc/passwd")?, user);
    let of = |path| ranges(&read(path)?, user, &names);
    let (users, groups) = (of("/etc/subuid")?, of("/etc/subgid")?);
    Some(Subordinate::new(user, &users, group, &groups))
}

/// Has `newuidmap` and `newgidmap` map the ids of the process `pid`. Says what is wrong.
pub(crate) fn map(pid: u32, users: &[Extent], groups: &[Extent]) -> Result<(), String> {
    for (program, extents) in [(GROUPS, groups), (USERS, users)] {
        let numbers = extents.iter().flat_map(|extent| [extent.inside, extent.outside, extent.count]);
        let arguments: Vec<_> = std::iter::once(pid).chain(numbers).map(|number| number.to_string()).collect();
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("`{program}` does not run: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(if said.is_empty() { format!("`{program}`: {}", output.status) } else { said });
        }
    }
    Ok(())
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The names of a user, passwd(5).
fn names(passwd: &[u8], user: u32) -> Vec<Vec<u8>> {
    let named = passwd.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        (number(fields.nth(1)?)? == user).then(|| name.to_vec())
    });
    named.collect()
}

/// The ranges of a user, who is named or told by number: the first id and how many there are. None if there are none.
fn ranges(table: &[u8], user: u32, names: &[Vec<u8>]) -> Option<Vec<(u32, u32)>> {
    let mut ranges = Vec::new();
    let _ = table.split(|&byte| byte == b'\n').try_for_each(|line| {
        let fields: Vec<_> = line.split(|&byte| byte == b':').collect();
        if let [owner, first, count] = fields[..]
            && (names.iter().any(|name| name == owner) || number(owner) == Some(user))
            && let (Some(first @ 1..), Some(count @ 1..)) = (number(first), number(count))
            && first.checked_add(count).is_some()
        {
            ranges.push((first, count));
        }
        if ranges.len() < RANGES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    (!ranges.is_empty()).then_some(ranges)
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_user_by_name_or_by_number() {
        let passwd = b"root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nann2:x:1000:5::/:/bin/sh\nbroken";
        let names = names(passwd, 1000);
        assert_eq!(names, [b"ann".to_vec(), b"ann2".to_vec()]);
        let table =
            b"bob:100000:65536\nann:165536:65536\n1000:300000:10\n# ann:1:1\nann:0:5\nann:7:0\nann:4294967295:9\n\
            ann:x:1\nann2:400000:1";
        let expected = [(165_536, 65_536), (300_000, 10), (400_000, 1)];
        assert_eq!(ranges(table, 1000, &names), Some(expected.to_vec()));
        assert_eq!(ranges(table, 1001, &[]), None);
    }
}
