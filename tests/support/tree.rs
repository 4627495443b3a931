//! Trees of files as they are on disk, and how two of them differ: type, mode, owner, times, attributes, groups of hard
//! links, content. Holes are content. What overlay takes for a removed file has no properties but that.

use rustix::fs::{AtFlags, CWD, FileType, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What has one name in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// As `ls` shows it: `-dlcbps`, and `w` for a whiteout.
    pub(crate) kind: char,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
    pub(crate) size: u64,
    pub(crate) names: u64,
    /// The major and the minor number.
    pub(crate) device: (u32, u32),
    /// Of a symbolic link.
    pub(crate) target: Option<PathBuf>,
    /// The first of several names of one file.
    pub(crate) first: Option<PathBuf>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of a file.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// By the path below the root, which itself is empty.
pub(crate) type Tree = BTreeMap<PathBuf, Node>;

/// Reads a tree.
pub(crate) fn read(root: &Path) -> Tree {
    let (mut tree, mut firsts) = (Tree::new(), BTreeMap::new());
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        // Overlay lists whiteouts of directories that it does not merge, although nothing is there.
        let Some(mut node) = node(&full) else { continue };
        if node.kind == 'd' {
            let entries = fs::read_dir(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
            left.extend(entries.map(|entry| path.join(entry.expect("a directory can be read").file_name())));
        } else if node.names > 1 && node.kind != 'w' {
            let stat = statat(CWD, &full, AtFlags::SYMLINK_NOFOLLOW).expect("it was there");
            firsts.entry((stat.st_dev, stat.st_ino)).or_insert_with(Vec::new).push(path.clone());
        }
        if node.kind == 'd' {
            // Not every file system counts directories in the same way.
            node.names = 0;
        }
        tree.insert(path, node);
    }
    for group in firsts.values() {
        let first = group.iter().min().expect("a group has one");
        for path in group {
            tree.get_mut(path).expect("every path has a node").first = Some(first.clone());
        }
    }
    tree
}

fn node(path: &Path) -> Option<Node> {
    let stat = match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return None,
        stat => stat.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice if stat.st_rdev == 0 => 'w',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        _ => 's',
    };
    let mut node = Node {
        kind,
        mode: 0,
        owner: (0, 0),
        mtime: (0, 0),
        size: 0,
        names: 0,
        device: (0, 0),
        target: None,
        first: None,
        xattrs: BTreeMap::new(),
        sha256: None,
    };
    if kind == 'w' {
        return Some(node);
    }
    node.mode = stat.st_mode & 0o7777;
    node.owner = (stat.st_uid, stat.st_gid);
    node.mtime = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).expect("less than a second"));
    node.names = stat.st_nlink;
    node.xattrs = xattrs(path);
    match kind {
        'c' | 'b' => node.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        'l' => node.target = Some(fs::read_link(path).expect("a link can be read")),
        '-' => {
            node.size = u64::try_from(stat.st_size).expect("sizes are positive");
            node.sha256 = Some(sha256(path));
        }
        _ => {}
    }
    Some(node)
}

/// Hashes a file.
fn sha256(path: &Path) -> [u8; 32] {
    let mut file = fs::File::open(path).expect("a file can be opened");
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer).expect("a file can be read") {
            0 => return hash.finalize().into(),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// Reads the extended attributes of whatever is at a path.
fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).expect("a listed attribute can be read");
        value[..length].to_vec()
    };
    names.map(|name| (name.to_vec(), value(name))).collect()
}

/// Says how two trees differ, a line each. `is_excused` is asked about nodes of one path that are not the same.
pub(crate) fn differences(
    left: &Tree,
    right: &Tree,
    mut is_excused: impl FnMut(&Path, &Node, &Node) -> bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    let shown = |path: &Path| path.as_os_str().as_bytes().escape_ascii().to_string();
    for (path, node) in left {
        match right.get(path) {
            None => lines.push(format!("{}: only on the left: {node:?}", shown(path))),
            Some(other) if node != other && !is_excused(path, node, other) => {
                lines.push(format!("{}:\n  left  {node:?}\n  right {other:?}", shown(path)));
            }
            Some(_) => {}
        }
    }
    for (path, node) in right.iter().filter(|(path, _)| !left.contains_key(*path)) {
        lines.push(format!("{}: only on the right: {node:?}", shown(path)));
    }
    lines
}
