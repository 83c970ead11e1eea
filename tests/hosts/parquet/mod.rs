//! Encoded Parquet tables in the programs that read and rewrite them, without our help.

use crate::bench::{Bench, Need, checks, success};
use libtest_mimic::Trial;
use std::sync::Arc;

/// Functions of `cases.py`, the module that each needs beside pyarrow, and the least number of checks it makes.
const CASES: &[(&str, &str, usize)] = &[
    ("pyarrow_reads_codes", "pyarrow", 8),
    ("pyarrow_rewrites", "pyarrow", 3),
    ("pyarrow_prunes", "pyarrow", 4),
    ("duckdb_copies", "duckdb", 5),
    ("polars_rewrites", "polars", 3),
    ("delta_compacts", "deltalake", 4),
];

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let trial = |&(case, module, least): &(&'static str, &'static str, usize)| {
        let needs = [Need::Baler, Need::PythonModule("pyarrow"), Need::PythonModule(module)];
        bench.trial(format!("parquet::{case}"), &needs, move |bench, folder| {
            let mut command = bench.python(folder);
            command.arg(bench.root.join("tests/hosts/parquet/cases.py")).args([case]).arg(bench.baler());
            checks(success(&mut command)?, least)
        })
    };
    CASES.iter().map(trial).collect()
}
