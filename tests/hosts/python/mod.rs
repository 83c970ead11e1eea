//! The Python wheel, installed into an environment of its own outside of the checkout.

use crate::bench::{Bench, Need, Outcome, checks, contains, success};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Functions of `cases.py`, the least number of checks they make, and what they need beyond the wheel.
const CASES: &[(&str, usize, &[Need])] = &[
    ("doctests", 45, &[Need::Zarr]),
    ("element_types", 300, &[]),
    ("memory", 20, &[]),
    ("special_values", 5, &[]),
    ("columns", 8, &[]),
    ("refusals", 35, &[]),
    ("models", 9, &[]),
    ("threads", 20, &[]),
    ("same_chunks", 200, &[]),
    ("carried_decoder", 2, &[]),
    ("coexistence", 12, &[]),
    ("netcdf", 8, &[]),
    ("zarr", 100, &[Need::Zarr]),
];

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES
        .iter()
        .map(|&(case, least, needs)| {
            let needs = [&[Need::H5py, Need::Wheel], needs].concat();
            bench.trial(format!("python::{case}"), &needs, move |bench, folder| {
                checks(success(&mut installed(bench, folder, case)?)?, least)
            })
        })
        .collect();
    trials.push(bench.trial("python::warns", &[Need::H5py, Need::Wheel], |bench, folder| {
        let bundle = baler_tests::fixed::broken("broken").to_bytes(baler_codec::bundle::Contents::Full);
        std::fs::write(folder.join("broken.bundle"), bundle).map_err(|e| e.to_string())?;
        checks(success(installed(bench, folder, "warns")?.arg("broken.bundle"))?, 6)
    }));
    let needs = [Need::H5py, Need::Wheel, Need::Program("h5dump")];
    trials.push(bench.trial("python::h5dump_reads_what_h5py_wrote", &needs, h5dump));
    let needs = [Need::H5py, Need::Wheel, Need::Program("cc")];
    trials.push(bench.trial("python::c_program_with_the_wheels_library", &needs, c_program));
    trials
}

/// A case with the wheel, in a new environment.
fn installed(bench: &Bench, folder: &Path, case: &str) -> Result<Command, String> {
    let mut command = environment(bench, folder, &install(bench, folder)?);
    command.arg(bench.root.join("tests/hosts/python/cases.py")).arg(case);
    Ok(command)
}

/// A command of the new environment: nothing of the checkout and no variable of HDF5's.
pub fn environment(bench: &Bench, folder: &Path, python: &Path) -> Command {
    let mut command = bench.command(folder, python);
    command.env_remove("HDF5_PLUGIN_PATH").env_remove("PYTHONPATH").env("PYTHONFAULTHANDLER", "1");
    command
}

/// A new environment in `folder` with the wheel in it; its Python. Other packages are those of the tests' Python.
pub fn install(bench: &Bench, folder: &Path) -> Result<PathBuf, String> {
    let others = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let others = success(bench.python(folder).args(["-c", others]))?;
    success(bench.python(folder).args(["-m", "venv", "--without-pip", "env"]))?;
    let python = folder.join("env/bin/python");
    let own = success(Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))?;
    let own = Path::new(own.trim());
    std::fs::write(own.join("others.pth"), &others).map_err(|e| e.to_string())?;
    let wheel = bench.wheel().ok_or("there is no wheel")?;
    let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"];
    success(Command::new(&python).current_dir(folder).args(pip).arg(wheel))?;
    if !own.join("baler/_baler.abi3.so").is_file() {
        return Err(format!("pip did not put the module into {}", own.display()));
    }
    Ok(python)
}

/// The promise: h5py writes and reads with no variable set, h5dump reads the same with the path that the wheel names.
fn h5dump(bench: &Bench, folder: &Path) -> Outcome {
    let output = success(installed(bench, folder, "write_for_others")?.arg("x.h5"))?;
    let plugins = output.lines().next().unwrap_or_default().to_owned();
    let dump = ["-d", "x", "-b", "LE", "-o", "dumped.bin", "x.h5"];
    let without = bench.command(folder, "h5dump").env("HDF5_PLUGIN_PATH", folder).args(dump).output();
    if without.is_ok_and(|output| output.status.success()) {
        return Err("h5dump reads the file without the plugin: it says nothing".into());
    }
    success(bench.command(folder, "h5dump").env("HDF5_PLUGIN_PATH", &plugins).args(dump))?;
    let n_bytes = crate::bench::same_bytes(&folder.join("x.h5.bin"), &folder.join("dumped.bin"))?;
    Ok(vec![format!("{n_bytes} bytes alike from h5py and h5dump; HDF5_PLUGIN_PATH={plugins}")])
}

/// A C program finds header and library where the wheel says.
fn c_program(bench: &Bench, folder: &Path) -> Outcome {
    let output = success(&mut installed(bench, folder, "paths")?)?;
    let [module, include, library, _] = output.lines().collect::<Vec<_>>()[..] else { return Err(output) };
    if !Path::new(module).starts_with(folder.canonicalize().map_err(|e| e.to_string())?) {
        return Err(format!("{module} is not of the new environment"));
    }
    let mut compile = bench.command(folder, "cc");
    compile.arg(bench.root.join("ffi/examples/roundtrip.c")).args(["-I", include, library, "-lm", "-o", "roundtrip"]);
    success(compile.arg(format!("-Wl,-rpath,{}", Path::new(library).parent().unwrap_or(folder).display())))?;
    let output = success(bench.command(folder, folder.join("roundtrip")).env_remove("LD_LIBRARY_PATH"))?;
    contains(&output, "bytes became")?;
    Ok(vec![output.trim().to_owned()])
}
