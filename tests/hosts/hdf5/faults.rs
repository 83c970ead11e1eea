//! Trouble of the machine and of the process: a full disk, a kill at any moment, forks, small stacks, unloading.

use super::{plain, ud};
use crate::bench::{Bench, Need, Outcome, PLUGIN, checks, contains, failure, success};
use baler_codec::{Bound, Effort};
use baler_hdf5::cd_values::Request;
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let (h5py, repack) = (&[Need::H5py], &[Need::H5py, Need::Program("h5repack")]);
    let simple = |name: &'static str, least: usize| {
        bench.trial(format!("hdf5::faults::{name}"), h5py, move |bench, folder| fault(bench, folder, &[name], least))
    };
    let with_plugin = |name: &'static str| {
        bench.trial(format!("hdf5::faults::{name}"), h5py, move |bench, folder| {
            fault(bench, folder, &[name, &bench.plugin_dir.join(PLUGIN).to_string_lossy()], 1)
        })
    };
    let mut trials = vec![
        simple("thousands_of_chunks", 9),
        simple("fork_after_load", 9),
        simple("read_only", 2),
        with_plugin("hdf5_closes_first"),
        with_plugin("unloaded"),
        with_plugin("low_stack"),
        bench.trial("hdf5::faults::loaded_twice", h5py, loaded_twice),
        bench.trial("hdf5::faults::disk_full", repack, |bench, folder| {
            fault(bench, folder, &["disk_full", "h5repack", "-f", &ud(&plain(Bound::Abs(1e-6)))?], 2)
        }),
        bench.trial("hdf5::faults::killed_repack", repack, |bench, folder| {
            let argument = ud(&plain(Bound::Abs(1e-3)))?;
            fault(bench, folder, &["killed_repack", &kills(), "h5repack", "-f", &argument], 10)
        }),
        bench.trial("hdf5::faults::killed_appends", h5py, |bench, folder| {
            fault(bench, folder, &["killed_appends", &kills()], 2)
        }),
        bench.trial("cli::faults::disk_full", &[Need::Baler], cli_disk_full),
        bench.trial("cli::faults::encoder_fails", &[Need::Baler], cli_encoder_fails),
    ];
    // 12 GiB of memory and some minutes are not for every machine.
    if std::env::var_os("BALER_TEST_LARGE").is_some() {
        trials.push(simple("large_chunk", 60));
        trials.push(bench.trial("hdf5::faults::large_dataset", repack, |bench, folder| {
            let fast = Request { effort: Effort::Fast, ..plain(Bound::Abs(1e-2)) };
            fault(bench, folder, &["large_dataset", "h5repack", "-f", &ud(&fast)?], 130)
        }));
    }
    trials
}

/// How often a program is killed: `BALER_TEST_KILLS`, or 12.
fn kills() -> String {
    std::env::var("BALER_TEST_KILLS").unwrap_or_else(|_| "12".into())
}

/// Runs a function of `faults.py`.
fn fault(bench: &Bench, folder: &Path, arguments: &[&str], least: usize) -> Outcome {
    let mut command = bench.python(folder);
    command.arg(bench.root.join("tests/hosts/hdf5/faults.py")).args(arguments);
    checks(success(&mut command)?, least)
}

fn loaded_twice(bench: &Bench, folder: &Path) -> Outcome {
    let copies = ["first.so", "second.so"].map(|name| folder.join(name));
    for copy in &copies {
        std::fs::copy(bench.plugin_dir.join(PLUGIN), copy).map_err(|e| e.to_string())?;
    }
    fault(bench, folder, &["loaded_twice", &copies[0].to_string_lossy(), &copies[1].to_string_lossy()], 7)
}

/// The command line without room for its output: an error, and nothing half written left behind.
fn cli_disk_full(bench: &Bench, folder: &Path) -> Outcome {
    let mut npy = npy_header("<f8", "(200000,)");
    let mut random = 1u64;
    npy.extend((0..200_000).flat_map(|_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 11) as f64).to_le_bytes()
    }));
    std::fs::write(folder.join("in.npy"), npy).map_err(|e| e.to_string())?;
    let limited = "trap '' XFSZ; ulimit -f 100; exec \"$0\" compress in.npy out.baler --rel 1e-6";
    let text = failure(bench.command(folder, "sh").args(["-c", limited]).arg(bench.baler()))?;
    contains(&text, "cannot write out.baler: File too large")?;
    if text.contains("in.npy") {
        return Err(format!("the input is blamed: {text}"));
    }
    // Nor can it write where nobody can: the folder is named.
    let nowhere =
        failure(bench.command(folder, bench.baler()).args(["compress", "in.npy", "/sys/out.baler", "--rel", "1e-6"]))?;
    contains(&nowhere, "/sys: cannot write into it")?;
    let left: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| e.to_string())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "in.npy")
        .collect();
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}"));
    }
    Ok(vec![text.trim().to_owned()])
}

/// A model that fails: the file is written without it, within the bound, and it is said once.
fn cli_encoder_fails(bench: &Bench, folder: &Path) -> Outcome {
    let mut npy = npy_header("<f4", "(256, 64)");
    npy.extend((0..256 * 64).flat_map(|i| (i as f32 * 0.01).sin().to_le_bytes()));
    let bundle = baler_tests::fixed::broken("broken").to_bytes(baler_codec::bundle::Contents::Full);
    for (name, bytes) in [("in.npy", npy), ("broken.bundle", bundle)] {
        std::fs::write(folder.join(name), bytes).map_err(|e| e.to_string())?;
    }
    let arguments =
        ["compress", "in.npy", "out.baler", "--abs", "1e-3", "--model", "broken.bundle", "--chunk-mib", "0.01"];
    let output = bench.command(folder, bench.baler()).args(arguments).output().map_err(|e| e.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || told.matches("warning: model broken").count() != 1 {
        return Err(format!("{}: expected success and one warning:\n{told}", output.status));
    }
    contains(&told, "within the same bound")?;
    bench.run(folder, &bench.baler().to_string_lossy(), &["verify", "in.npy", "out.baler"])?;
    Ok(vec![told.trim().to_owned()])
}

fn npy_header(dtype: &str, shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut npy = b"\x93NUMPY\x01\0\x76\0".to_vec();
    npy.extend(header.as_bytes());
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy
}
