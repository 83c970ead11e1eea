//! Encoded tables in pyarrow, pandas, DuckDB, Polars, DataFusion, Dask, ROOT and Spark, with the wheel: the same query, the same answer.

use crate::bench::{Bench, Need, checks, success};
use crate::python::{environment, install};
use libtest_mimic::Trial;
use std::sync::Arc;

/// Functions of `cases.py`, modules whose examples are run, the least number of checks they make, and the modules they need.
const CASES: &[(&str, &[&str], usize, &[&str])] = &[
    ("arrow", &["baler.arrow", "baler.parquet"], 24, &[]),
    ("pandas", &[], 13, &["pandas"]),
    ("pyarrow", &[], 37, &[]),
    ("duckdb", &["baler.duckdb"], 27, &["duckdb"]),
    ("polars", &["baler.polars"], 19, &["polars"]),
    ("datafusion", &[], 15, &[]),
    ("dask", &[], 20, &["dask.dataframe", "distributed"]),
    ("root", &[], 6, &["dask.dataframe", "distributed", "ROOT"]),
    ("spark", &[], 24, &["pyspark"]),
    ("spark_cluster", &[], 21, &["pyspark"]),
];

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let trial = |&(case, arguments, least, modules): &(
        &'static str,
        &'static [&'static str],
        usize,
        &'static [&'static str],
    )| {
        let mut needs = vec![Need::Wheel, Need::PythonModule("pyarrow")];
        needs.extend(modules.iter().map(|name| Need::PythonModule(name)));
        if case.starts_with("spark") {
            needs.push(Need::Program("java"));
        }
        if case == "datafusion" {
            needs.push(Need::DataFusion);
        }
        bench.trial(format!("engines::{case}"), &needs, move |bench, folder| {
            let python = install(bench, folder)?;
            let mut command = environment(bench, folder, &python);
            command.env("BALER_DATAFUSION", bench.datafusion());
            // Spark's workers are to be of the same environment.
            command.env("PYSPARK_PYTHON", &python).env("PYSPARK_DRIVER_PYTHON", &python);
            command.arg(bench.root.join("tests/hosts/engines/cases.py")).arg(case).args(arguments);
            checks(success(&mut command)?, least)
        })
    };
    CASES.iter().map(trial).collect()
}
