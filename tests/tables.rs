//! The tables of other projects (`tests/data/vectors`), against the same crate
//! natively and compiled to WebAssembly in an engine with wharf's configuration.

mod registry_client;

use crate::support::{RUNTIME, services};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use wasmtime::Store;
use wasmtime::component::TypedFunc;
use wharf::engine::state::State;
use wharf::engine::{Limits, instantiate};
use wharf_vectors::{COMPONENT, FILES, Report};

/// Rows that are not compared, over all files. Each has its reason in the
/// report; more would have to be argued here.
const EXCLUDED: usize = 224 + registry_client::EXCLUDED;
/// Rows of all files.
const ROWS: usize = 4_671 + registry_client::ROWS;

fn read(file: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/vectors", &format!("{file}.json")].iter().collect();
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn judge(reports: &[Report]) {
    let (mut rows, mut excluded, mut elsewhere) = (0, 0, 0);
    for report in reports {
        assert!(report.failed.is_empty(), "{}: {} rows fail: {:#?}", report.file, report.failed.len(), report.failed);
        let counted = report.passed + report.excluded.len() + report.elsewhere.len();
        assert_eq!(report.rows, counted, "{}: every row is counted", report.file);
        let left = report.elsewhere.len();
        println!("{}: {} rows, {} passed, {left} left to other tests", report.file, report.rows, report.passed);
        for (row, reason) in &report.excluded {
            println!("  excluded {row}: {reason}");
            assert!(!reason.is_empty());
        }
        rows += report.rows;
        excluded += report.excluded.len();
        elsewhere += left;
    }
    assert_eq!((rows, excluded, elsewhere), (ROWS, EXCLUDED, registry_client::ELSEWHERE));
}

#[test]
fn every_row_passes_natively() {
    judge(&FILES.map(|file| wharf_vectors::run(file, &read(file)).expect("the file is a table")));
}

#[test]
fn every_row_passes_inside_the_sandbox() {
    let mut sandbox = Sandbox::new();
    for file in FILES {
        let text = read(file);
        let native = wharf_vectors::run(file, &text).expect("the file is a table");
        let native = serde_json::to_value(&native).expect("a report is JSON");
        let inside: Value = serde_json::from_str(&sandbox.run(file, &text)).expect("a report is JSON");
        assert_eq!(inside["failed"], Value::Array(Vec::new()), "{file}");
        assert_eq!(inside, native, "{file}: the same report on both sides");
    }
}

/// The crate as a component, in a store with wharf's rights and limits.
struct Sandbox {
    store: Store<State>,
    run: TypedFunc<(String, String), (Result<String, String>,)>,
    _directory: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let (directory, services) = services();
        let limits = Limits::default();
        let (mut store, instance) = RUNTIME
            // SAFETY: the build script of `wharf-vectors` made it with the engine's configuration.
            .block_on(unsafe { instantiate(COMPONENT, &services, &limits) })
            .expect("the component runs with wharf's rights");
        let run = instance.get_typed_func(&mut store, "run").expect("the world has this export");
        Self { store, run, _directory: directory }
    }

    fn run(&mut self, file: &str, json: &str) -> String {
        let arguments = (file.to_owned(), json.to_owned());
        let (report,) = RUNTIME.block_on(self.run.call_async(&mut self.store, arguments)).expect("no trap");
        report.expect("the file is a table")
    }
}
