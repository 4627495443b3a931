//! Extended attributes of files in trees, by open file or by directory and name.
//!
//! It does not know which ones a layer may have; it only tells overlay's own from the rest.

use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};

/// A name and a value.
pub(super) type Attribute = (CString, Vec<u8>);

/// The name of the attribute that hides what lower directories have.
pub(super) fn opaque(user: bool) -> &'static CStr {
    if user { c"user.overlay.opaque" } else { c"trusted.overlay.opaque" }
}

/// Whether the attribute is for overlay and not for who reads the image.
pub(super) fn is_overlays(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Returns the attributes of an open file, in order of name.
pub(super) fn read(file: impl AsFd) -> Result<Vec<Attribute>> {
    let names = grown(|buffer| rustix::fs::flistxattr(&file, buffer))?;
    collect(&names, |name, buffer| rustix::fs::fgetxattr(&file, name, buffer))
}

/// Returns the attributes of the file `name` in `directory`, no link followed.
pub(super) fn read_at(directory: impl AsFd, name: &CStr) -> Result<Vec<Attribute>> {
    let path = through_proc(directory, name);
    let names = grown(|buffer| rustix::fs::llistxattr(path.as_c_str(), buffer))?;
    collect(&names, |name, buffer| rustix::fs::lgetxattr(path.as_c_str(), name, buffer))
}

/// Sets the attributes of an open file. Those that the file system, or this user, cannot set are left out.
pub(super) fn write(file: impl AsFd, attributes: &[Attribute]) -> Result<()> {
    let set = |name: &CStr, value: &[u8]| rustix::fs::fsetxattr(&file, name, value, rustix::fs::XattrFlags::empty());
    attributes.iter().try_for_each(|(name, value)| possible(set(name, value)))
}

/// Sets the attributes of the file `name` in `directory`, no link followed, in the same way.
pub(super) fn write_at(directory: impl AsFd, name: &CStr, attributes: &[Attribute]) -> Result<()> {
    let path = through_proc(directory, name);
    let set = |name: &CStr, value: &[u8]| {
        rustix::fs::lsetxattr(path.as_c_str(), name, value, rustix::fs::XattrFlags::empty())
    };
    attributes.iter().try_for_each(|(name, value)| possible(set(name, value)))
}

/// Whether an open directory has overlay's mark.
pub(super) fn is_opaque(directory: impl AsFd, user: bool) -> Result<bool> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(directory, opaque(user), &mut value[..]) {
        Ok(length) => Ok(value[..length] == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

fn possible(set: Result<()>) -> Result<()> {
    match set {
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        other => other,
    }
}

/// There is no call that takes a directory and a name.
fn through_proc(directory: impl AsFd, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).expect("neither part has a zero byte")
}

fn collect(names: &[u8], get: impl Fn(&CStr, &mut [u8]) -> Result<usize>) -> Result<Vec<Attribute>> {
    let names = names.split_inclusive(|&byte| byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    let mut attributes = Vec::new();
    for name in names {
        match grown(|buffer| get(name, buffer)) {
            Ok(value) => attributes.push((name.to_owned(), value)),
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// Calls until the buffer is large enough.
fn grown(call: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // The kernel's limit for either is 64 KiB.
            Err(Errno::RANGE) if buffer.len() < 64 << 10 => buffer.resize(buffer.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}
