//! The HDF5 plugin in the programs that load it.

mod faults;
mod models;
mod programs;
mod repack;

use crate::bench::{Bench, Need, PLUGIN, checks, success};
use baler_codec::Bound;
use baler_hdf5::cd_values::Request;
use libtest_mimic::Trial;
use std::sync::Arc;

/// Functions of `cases.py` that need nothing but h5py, and the least number of checks they make.
const CASES: &[(&str, usize)] = &[
    ("element_types", 330),
    ("special_values", 90),
    ("ranks", 36),
    ("growing", 4),
    ("small", 50),
    ("refusals", 80),
    ("other_filters", 6),
    ("incompressible", 4),
    ("foreign_chunks", 36),
    ("flipped_bits", 10_000),
    ("cut_chunks", 1_500),
    ("noise_chunks", 3_000),
    ("threads", 64),
];

/// Those of them that are run with HDF5 1.14 too, between the system's 1.10 and the newest h5py's.
const CASES_OF_HDF5_1_14: &[&str] = &["element_types", "special_values", "ranks", "growing", "refusals", "threads"];

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES
        .iter()
        .map(|&(case, least)| {
            bench.trial(format!("hdf5::h5py::{case}"), &[Need::H5py], move |bench, folder| {
                bench.case(folder, &[case], least)
            })
        })
        .collect();
    for &(case, least) in CASES.iter().filter(|(case, _)| CASES_OF_HDF5_1_14.contains(case)) {
        let needs = [Need::H5py, Need::H5pyOfHdf5_1_14];
        trials.push(bench.trial(format!("hdf5::h5py_of_hdf5_1_14::{case}"), &needs, move |bench, folder| {
            let mut command = bench.case_command(folder, &[case]);
            command.env("PYTHONPATH", bench.h5py_of_hdf5_1_14().unwrap_or_default());
            checks(success(&mut command)?, least)
        }));
    }
    trials.push(bench.trial("hdf5::direct_calls_from_8_threads", &[Need::H5py], |bench, folder| {
        let plugin = bench.plugin_dir.join(PLUGIN);
        bench.case(folder, &["direct", &plugin.to_string_lossy()], 1_000)
    }));
    trials.extend(faults::trials(bench));
    trials.extend(programs::trials(bench));
    trials.extend(models::trials(bench));
    trials.extend(repack::trials(bench));
    trials
}

/// A request without models.
fn plain(bound: Bound) -> Request {
    Request { model: baler_codec::ModelChoice::None, ..Request::new(bound) }
}

/// Its words, as arguments.
fn words(request: &Request) -> Result<Vec<String>, String> {
    Ok(request.to_words().map_err(|e| e.to_string())?.iter().map(u32::to_string).collect())
}

/// The argument of `h5repack -f`, mandatory.
fn ud(request: &Request) -> Result<String, String> {
    request.ud_argument(true).map_err(|e| e.to_string())
}
