//! The tables of other projects about whiteouts and paths (`layer_and_store.json`), as far as they are about applying.

use super::write::{Entry, directory, file, layer, symlink};
use super::{applied, refusal};
use crate::support::tree::Tree;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Tables that are not about applying a layer, and why.
const ELSEWHERE: [(&str, &str); 14] = [
    ("rebase_archive_entries", "docker cp renames entries; a layer's are what they are"),
    ("device_numbers_out_of_range", "numbers are read by the archive, whose tests have them"),
    ("ggcr_whiteout_dir", "flattens an image into one archive"),
    ("oras_resolve_write_path", "the caller of oras chooses where files go; an entry cannot"),
    ("oras_ensure_base_path", "oras refuses what leads out; here it stays inside, as in containerd"),
    ("oras_ensure_link_path", "the same for the targets of links, which are kept as they are"),
    ("layer_id_valid_moby", "names of docker's directories"),
    ("podman_parse_override_xattr", "podman's way to keep owners aside, in an attribute"),
    ("content_identifiers_valid", "names of containerd's content"),
    ("content_identifiers_invalid", "the same"),
    ("docker_image_lookup", "names of images"),
    ("docker_image_delete", "names of images"),
    ("containerd_image_store_names", "names of images"),
    ("cri_user_string", "users of containers"),
];

fn table() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/layer_and_store.json");
    let text = std::fs::read_to_string(path).expect("the table exists");
    serde_json::from_str::<Value>(&text).expect("the table is JSON")["vectors"].take()
}

fn rows(table: &str) -> Vec<Value> {
    self::table()[table].as_array().unwrap_or_else(|| panic!("there is a table `{table}`")).clone()
}

fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap_or_else(|| panic!("{row} has `{key}`"))
}

/// An entry for a name: a directory if it ends with a slash.
fn entry(name: &str) -> Entry {
    if name.ends_with('/') { directory(name) } else { file(name, b"") }
}

#[test]
fn every_table_is_here_or_is_not_about_applying() {
    let here = [
        "moby_apply_layer_whiteouts",
        "moby_invalid_whiteout_names",
        "umoci_whiteout_entries",
        "canonical_tar_name",
        "chmod_tar_entry",
        "ggcr_extract_unsafe_paths",
        "ggcr_extract_symlink_filtering",
    ];
    let known: BTreeSet<_> = here.into_iter().chain(ELSEWHERE.map(|(name, _)| name)).collect();
    let table = table();
    let tables: BTreeSet<_> = table.as_object().expect("tables by name").keys().map(String::as_str).collect();
    assert_eq!(tables, known);
    for (name, reason) in ELSEWHERE {
        println!("{name}: {} rows, elsewhere: {reason}", rows(name).len());
    }
}

/// What overlay shows of a layer on what is below it.
fn over(below: &Tree, layer: &Tree, is_opaque: bool) -> Tree {
    let opaque = b"trusted.overlay.opaque".as_slice();
    let hides = |hidden: &Path| {
        is_opaque
            || layer.get(hidden).is_some_and(|node| node.kind != 'd')
            || hidden
                .ancestors()
                .skip(1)
                .any(|path| layer.get(path).is_some_and(|node| node.kind != 'd' || node.xattrs.contains_key(opaque)))
    };
    let mut merged: Tree = below.iter().filter(|(path, _)| !hides(path)).map(|(k, v)| (k.clone(), v.clone())).collect();
    merged.extend(layer.iter().filter(|(_, node)| node.kind != 'w').map(|(k, v)| (k.clone(), v.clone())));
    merged
}

#[test]
fn whiteouts_remove_what_docker_s_remove() {
    let mut merged = Tree::new();
    let rows = rows("moby_apply_layer_whiteouts");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let names = |key: &str| {
            row[key].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned())
        };
        let entries: Vec<_> = names("change").map(|name| entry(&name)).collect();
        let (_directory, applied, tree) = applied(&layer(&entries));
        merged = over(&merged, &tree, applied.is_opaque);
        let expected: BTreeSet<PathBuf> = names("expected").map(|name| name.trim_end_matches('/').into()).collect();
        let actual: BTreeSet<PathBuf> = merged.keys().filter(|path| **path != PathBuf::new()).cloned().collect();
        assert_eq!(actual, expected, "{row}");
    }
}

#[test]
fn invalid_whiteouts_are_refused() {
    for row in rows("moby_invalid_whiteout_names") {
        assert!(refusal(&layer(&[entry(text(&row, "name"))])).contains("is a whiteout of nothing"), "{row}");
    }
}

#[test]
fn whiteouts_are_made_where_umoci_makes_them() {
    for row in rows("umoci_whiteout_entries") {
        let path = text(&row, "path");
        let (parent, base) = path.rsplit_once('/').unwrap_or(("", path));
        let name = format!("{parent}/.wh.{base}");
        match &row["error"] {
            Value::Null => {
                let (_directory, _, tree) = applied(&layer(&[entry(&name)]));
                assert_eq!(tree[Path::new(path)].kind, 'w', "{row}");
            }
            _ => assert!(refusal(&layer(&[entry(&name)])).contains("is a whiteout of nothing"), "{row}"),
        }
    }
}

#[test]
fn names_and_modes_are_those_of_docker() {
    for row in rows("canonical_tar_name") {
        let entry = entry(text(&row, "expected"));
        let kind = if row["isDir"] == true { 'd' } else { '-' };
        let (_directory, _, tree) = applied(&layer(&[entry]));
        assert_eq!(tree[Path::new(text(&row, "in"))].kind, kind, "{row}");
    }
    for row in rows("chmod_tar_entry") {
        let mode = |key: &str| u32::try_from(row[key].as_u64().expect("a mode")).expect("twelve bits");
        let (_directory, _, tree) = applied(&layer(&[file("f", b"").mode(mode("in"))]));
        assert_eq!(tree[Path::new("f")].mode, mode("expected"), "{row}");
    }
}

/// Where go-containerregistry refuses, containerd cleans, and a backslash is a letter to both kernels and wharf.
#[test]
fn unsafe_paths_stay_inside() {
    for row in rows("ggcr_extract_unsafe_paths") {
        let path = text(&row, "path");
        let (_directory, _, tree) = applied(&layer(&[entry(path)]));
        let cleaned = path.trim_start_matches("../");
        let expected = if cleaned == "." { Path::new("") } else { Path::new(cleaned) };
        assert!(tree.contains_key(expected), "{row}: {tree:?}");
    }
}

#[test]
fn targets_of_links_are_kept_as_they_are() {
    for row in rows("ggcr_extract_symlink_filtering") {
        let (name, target) = (text(&row, "name"), text(&row, "linkname"));
        let (_directory, _, tree) = applied(&layer(&[symlink(name, target)]));
        assert_eq!(tree[Path::new(name)].target.as_deref(), Some(Path::new(target)), "{row}");
    }
}
