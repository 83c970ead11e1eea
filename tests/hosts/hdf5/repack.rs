//! `baler h5 repack` and `restore`, which put chunks into files themselves: the same as HDF5's own way, whatever is in the file.

use crate::bench::{Bench, Need, Outcome, checks, success};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let needs = [Need::H5py, Need::Baler, Need::Program("h5repack")];
    vec![
        bench.trial("hdf5::repack::same_as_h5repack", &needs, same_as_h5repack),
        bench.trial("hdf5::repack::what_is_not_asked_for_stays", &needs, stays),
        bench.trial("hdf5::repack::restore", &needs, restore),
        bench.trial("hdf5::repack::decompress", &needs, decompress),
        #[cfg(target_os = "linux")]
        bench.trial("hdf5::repack::what_follows_is_left_out", &needs, left_out),
    ]
}

fn script(bench: &Bench, folder: &Path, arguments: &[&str], least: usize) -> Outcome {
    let mut command = bench.python(folder);
    command.arg(bench.root.join("tests/hosts/hdf5/repack.py")).args(arguments);
    checks(success(&mut command)?, least)
}

fn baler(bench: &Bench, folder: &Path, arguments: &str) -> Command {
    let mut command = bench.command(folder, bench.baler());
    command.env("BALER_PLUGIN_PATH", &bench.plugin_dir).args(arguments.split(' '));
    command
}

fn same_as_h5repack(bench: &Bench, folder: &Path) -> Outcome {
    script(bench, folder, &["make", "in.h5"], 0)?;
    let filter = success(&mut baler(bench, folder, "h5 args --abs 0.01 --quiet"))?;
    bench.run(folder, "h5repack", &["-f", filter.trim(), "in.h5", "by_h5repack.h5"])?;
    for threads in ["1", "2", "8"] {
        let arguments = format!("h5 repack in.h5 by_{threads}.h5 --abs 0.01 --threads {threads}");
        success(&mut baler(bench, folder, &arguments))?;
    }
    script(bench, folder, &["same", "by_h5repack.h5", "by_1.h5", "by_2.h5", "by_8.h5"], 400)
}

fn stays(bench: &Bench, folder: &Path) -> Outcome {
    script(bench, folder, &["make", "in.h5"], 0)?;
    success(&mut baler(bench, folder, "h5 repack in.h5 out.h5 --abs 0.5 --array even --array gzip"))?;
    script(bench, folder, &["keeps", "in.h5", "out.h5", "ours", "deep/partly", "edges", "outside"], 8)
}

/// Out of HDF5 altogether, on one thread and on several.
fn decompress(bench: &Bench, folder: &Path) -> Outcome {
    script(bench, folder, &["make", "in.h5"], 0)?;
    success(&mut baler(bench, folder, "h5 repack in.h5 out.h5 --abs 0.01"))?;
    for threads in ["1", "2", "8"] {
        let arguments = format!("decompress out.h5 back.npz --force --threads {threads}");
        success(&mut baler(bench, folder, &arguments))?;
        script(bench, folder, &["arrays", "out.h5", "back.npz"], 15)?;
    }
    Ok(Vec::new())
}

fn restore(bench: &Bench, folder: &Path) -> Outcome {
    script(bench, folder, &["make", "in.h5"], 0)?;
    success(&mut baler(bench, folder, "h5 repack in.h5 out.h5 --abs 0.01"))?;
    for threads in ["1", "2", "8"] {
        let arguments = format!("h5 restore out.h5 back.h5 --force --threads {threads}");
        success(&mut baler(bench, folder, &arguments))?;
        script(bench, folder, &["plain", "out.h5", "back.h5"], 20)?;
    }
    Ok(Vec::new())
}

/// The library that `baler h5` puts into h5repack: it leaves alone what this process says, and nothing that another one says.
#[cfg(target_os = "linux")]
fn left_out(bench: &Bench, folder: &Path) -> Outcome {
    script(bench, folder, &["make", "in.h5"], 0)?;
    let library = bench.baler().with_file_name("libbaler_h5repack.so");
    let list = "/contiguous\n/gzip\n/no such";
    let own = std::process::id();
    for (process, output) in [(own, "out.h5"), (own + 1, "all.h5")] {
        let mut command = bench.command(folder, "h5repack");
        command.env("LD_PRELOAD", &library).env("BALER_H5REPACK_LEAVES_OUT", format!("{process}\n{list}"));
        success(command.args(["-f", "contiguous,even,gzip:GZIP=1", "-l", "contiguous:CHUNK=20x50", "in.h5", output]))?;
    }
    script(bench, folder, &["left_out", "in.h5", "out.h5", "contiguous", "gzip"], 12)?;
    script(bench, folder, &["left_out", "in.h5", "all.h5"], 12)
}
