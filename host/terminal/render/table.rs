//! Columns of text, aligned with spaces, as docker's tables are.
//!
//! It draws no lines and cuts nothing. Cells have been escaped before: a tab or
//! a line break in one would be a second cell.

use std::io::Write;
use tabwriter::TabWriter;

/// The space between columns.
const GAP: usize = 3;

/// Returns a table that begins with `header`. Every row has as many cells.
pub fn table<Row: AsRef<[String]>>(header: &[&str], rows: impl IntoIterator<Item = Row>) -> String {
    let mut writer = TabWriter::new(Vec::new()).minwidth(0).padding(GAP);
    write_row(&mut writer, header);
    for row in rows {
        debug_assert_eq!(row.as_ref().len(), header.len(), "every row has a cell in every column");
        write_row(&mut writer, row.as_ref());
    }
    let bytes = writer.into_inner().expect("a vector takes every write");
    let aligned = String::from_utf8(bytes).expect("spaces between texts");
    // An empty last cell leaves the gap before it behind.
    let mut out = String::with_capacity(aligned.len());
    for line in aligned.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn write_row(writer: &mut impl Write, cells: &[impl AsRef<str>]) {
    for (at, cell) in cells.iter().enumerate() {
        let cell = cell.as_ref();
        debug_assert!(!cell.contains(['\t', '\n']), "cells are escaped");
        if at > 0 {
            writer.write_all(b"\t").expect("a vector takes every write");
        }
        writer.write_all(cell.as_bytes()).expect("a vector takes every write");
    }
    writer.write_all(b"\n").expect("a vector takes every write");
}
