//! ROOT: chunks in RNTuples and TTrees, written in cling and read by RDataFrame, by a macro, and by uproot.

use crate::bench::{Bench, Need, Outcome, contains, success};
use crate::python::{environment, install};
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let needs = [Need::H5py, Need::Wheel, Need::Root, Need::Baler];
    vec![bench.trial("root::jets", &needs, jets)]
}

/// The examples in `ffi/examples/root`: they compare values and histograms themselves. A real table where there is one.
fn jets(bench: &Bench, folder: &Path) -> Outcome {
    let table = match std::env::var_os("BALER_DATA").map(|data| Path::new(&data).join("hep_cms_dimuon_2011.npz")) {
        Some(real) if real.is_file() => real,
        _ => {
            let simulate = ["simulate", "jets", "-o", "jets.npz", "--rows", "20000", "--quiet"];
            success(bench.command(folder, bench.baler()).args(simulate))?;
            folder.join("jets.npz")
        }
    };
    let python = install(bench, folder)?;
    let examples = bench.root.join("ffi/examples/root");
    let mut script = environment(bench, folder, &python);
    let output = success(script.args(["-W", "ignore"]).arg(examples.join("jets.py")).arg(&table))?;
    contains(&output, "the same values from RDataFrame and uproot, RNTuple and TTree")?;
    // Fewer bytes than ROOT's own columns at the same largest error.
    let bytes = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    match (bytes("baler.root"), bytes("quantized.root"), bytes("truncated.root")) {
        (Some(ours), Some(quantized), Some(truncated)) if ours < quantized && ours < truncated => {}
        _ => return Err(format!("expected the fewest bytes for baler.root:\n{output}")),
    }

    // The macro, in ROOT's own program, which lies beside the Python that has it.
    let paths = success(
        environment(bench, folder, &python)
            .args(["-c", "import baler, os; print(baler.include_dir()); print(os.path.dirname(baler.library()))"]),
    )?;
    let [include, library] = paths.lines().collect::<Vec<_>>()[..] else { return Err(paths) };
    let columns = output.lines().find_map(|line| line.split_once(" columns,")?.0.rsplit(' ').next());
    let call = format!("{}(\"baler.root\", {}, 0)", examples.join("jets.C").display(), columns.unwrap_or_default());
    let mut macro_run = bench.command(folder, bench.beside_python("root"));
    macro_run.env("LD_LIBRARY_PATH", library).env("ROOT_INCLUDE_PATH", format!("{include}:{}", examples.display()));
    let drawn = success(macro_run.args(["-l", "-b", "-q", &call]))?;
    contains(&drawn, "rows, mean ")?;
    let drawn = drawn.lines().last().unwrap_or_default();
    Ok(output.lines().chain([drawn]).map(str::to_owned).collect())
}
