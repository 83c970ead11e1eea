//! Devices that run fixed-point encoders, and hosts that use them: the bytes of a file do not depend on the device.
//!
//! `BALER_TEST_CASES=1000` runs h5repack that many times with a device that fails in every way.

#[path = "../../../fpga/tests/common/mod.rs"]
mod programs;

use crate::bench::{Bench, Need, Outcome, contains, same_bytes, success, xrt_libraries};
use crate::fpga::VERILATOR;
use baler_codec::bundle::{Bundle, Contents, Normalisation};
use baler_codec::{Bound, ModelChoice};
use baler_fpga::device::{Batch, Device, FaultKind, Settings, driver, xrt};
use baler_fpga::ir::Program;
use baler_fpga::rtl::shell::kernel_name;
use baler_hdf5::cd_values::Request;
use baler_models::simulate::{cells, jets};
use baler_models::zoo;
use baler_tests::{fixed, walsh};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const REPACK: Need = Need::Program("h5repack");

/// Devices that are real: each must equal the reference, and write the same files. How many random programs each is tried
/// with: to make hardware of one takes seconds.
const DEVICES: &[(&str, &[Need], usize)] = &[("opencl", &[Need::OpenCl], 30), ("verilated", VERILATOR, 2)];

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &(name, needs, n_programs) in DEVICES {
        let run = move |_: &Bench, _: &Path| equals(name, n_programs);
        trials.push(bench.trial(format!("devices::{name}::equals_the_reference"), needs, run));
        let needs = [needs, &[REPACK, Need::H5py]].concat();
        let run = move |bench: &Bench, folder: &Path| same_files(bench, folder, name);
        trials.push(bench.trial(format!("devices::{name}::h5repack_writes_the_same"), &needs, run));
        let run = move |bench: &Bench, folder: &Path| {
            let mut words = Vec::new();
            let device = patient(name);
            built_in_model(bench, folder, PROTOTYPE, &[device.as_str()], &mut words)?;
            if words.concat().is_empty() { Ok(Vec::new()) } else { Err(words.concat()) }
        };
        trials.push(bench.trial(format!("devices::{name}::built_in_model"), &needs, run));
    }
    trials.push(bench.trial("devices::mock::h5repack_writes_the_same", &[REPACK, Need::H5py], faults));
    trials.push(bench.trial("devices::mock::every_built_in_model", &[REPACK, Need::H5py], every_built_in_model));
    trials.push(bench.trial("devices::xrt::noop", &[Need::Xrt, Need::Baler, REPACK, Need::H5py], noop));
    trials.push(bench.trial("devices::stream", &[Need::Baler, Need::H5py], stream));
    trials.push(bench.trial("devices::cli", &[Need::Baler, Need::H5py], cli));
    trials
}

/// On a machine that has other work too.
const SOON: Duration = Duration::from_secs(600);

/// Random programs of every kind of layer and cast, and the shapes of real encoders.
fn equals(name: &'static str, n_programs: usize) -> Outcome {
    let mut random = programs::Random(2026);
    let mut all: Vec<Program> = (0..n_programs).map(|i| programs::program(&mut random, 2..=20, i % 2 == 0)).collect();
    all.push(fixed::program());
    if n_programs > 10 {
        all.push(programs::tiny(&mut random));
        all.push(programs::dense_relu(&mut random, &[16, 20, 10, 8], 12));
    }
    let n_programs = all.len();
    let mut device = Device::open(driver(name).map_err(|f| f.to_string())?, &Settings::default(), SOON)
        .map_err(|f| f.to_string())?;
    let (mut n_values, mut refused) = (0, Vec::new());
    for (i, program) in all.into_iter().map(Arc::new).enumerate() {
        match device.load(&program, SOON) {
            Ok(()) => {}
            Err(fault) if fault.kind == FaultKind::Unsupported => {
                refused.push(format!("program {i}: {}", fault.message));
                continue;
            }
            Err(fault) => return Err(format!("program {i}: {fault}\n{}", program.to_json())),
        }
        // More than a block, so that buffers alternate.
        let rows = if i % 8 == 0 { 10_001 } else { 500 };
        let input: Vec<i64> = (0..rows).flat_map(|_| random.row(&program)).collect();
        let mut batch = device.alloc(&program, rows, SOON).map_err(|f| f.to_string())?;
        batch.input = input.iter().map(|&raw| raw as i32).collect();
        let ticket = device.submit(batch).map_err(|refused| format!("{refused:?}"))?;
        let Batch { rows: done, output, .. } = device.collect(ticket, SOON).map_err(|f| f.to_string())?;
        if done != rows {
            return Err(format!("program {i}: {done} of {rows} rows"));
        }
        for (r, (x, z)) in input.chunks(program.input_len()).zip(output.chunks(program.output_len())).enumerate() {
            let own = program.reference(x).map_err(|e| e.to_string())?;
            if !own.iter().zip(z).all(|(&a, &b)| a == i64::from(b)) {
                return Err(format!("program {i}, row {r} {x:?}: {z:?} instead of {own:?}\n{}", program.to_json()));
            }
            n_values += z.len();
        }
    }
    if refused.len() > n_programs / 3 {
        return Err(format!("too many programs refused: {refused:?}"));
    }
    Ok(vec![format!("{n_values} values equal, {} of {n_programs} programs refused: {refused:?}", refused.len())])
}

/// An error unless two files are the same, but for the time at which h5repack says that it made the dataset: it writes that
/// with any filter, in seconds.
fn same_files_but_for_the_time(a: &Path, b: &Path) -> Result<(), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let (x, y) = (read(a)?, read(b)?);
    let Some(first) = x.iter().zip(&y).position(|(x, y)| x != y) else { return same_bytes(a, b).map(|_| ()) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let is_recent = |bytes: &[u8], at: usize| {
        let time = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        time.is_some_and(|time| now.abs_diff(time.into()) < 3600)
    };
    // The lowest byte of the two times may be the same.
    let is_time = |at: usize| is_recent(&x, at) && is_recent(&y, at) && x[at + 4..] == y[at + 4..];
    if x.len() == y.len() && (first.saturating_sub(3)..=first).any(is_time) {
        return Ok(());
    }
    same_bytes(a, b).map(|_| ())
}

/// A folder with the fixed-point bundle, `models/walsh.bundle`, and `in.h5` with dataset `d` for it.
fn set_up(bench: &Bench, folder: &Path) -> Result<Bundle, String> {
    let error = |e: std::io::Error| e.to_string();
    let bundle = fixed::bundle("walsh-fixed");
    std::fs::create_dir(folder.join("models")).map_err(error)?;
    std::fs::write(folder.join("models/walsh.bundle"), bundle.to_bytes(Contents::Full)).map_err(error)?;
    let tiles: Vec<u8> = walsh::tiles(512).iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("tiles.raw"), tiles).map_err(error)?;
    bench.case(folder, &["tiles", "tiles.raw", "in.h5"], 1)?;
    Ok(bundle)
}

/// h5repack with a device; what it said on standard error.
fn repack(bench: &Bench, folder: &Path, bundle: &Bundle, device: &str, to: &str) -> Result<String, String> {
    said(&mut repack_command(bench, folder, bundle, device, to)?)
}

fn repack_command(bench: &Bench, folder: &Path, bundle: &Bundle, device: &str, to: &str) -> Result<Command, String> {
    let request = Request { model: ModelChoice::Bundle(bundle.id()), ..Request::new(Bound::Rel(1e-3)) };
    let ud = request.ud_argument(true).map_err(|e| e.to_string())?;
    let mut command = bench.command(folder, "h5repack");
    command.args(["-l", "d:CHUNK=64x8x8", "-f", &ud, "in.h5", to]);
    command.env("BALER_MODEL_PATH", folder.join("models")).env("BALER_DEVICE", device);
    Ok(command)
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(stderr) } else { Err(format!("{command:?}: {}\n{stderr}", output.status)) }
}

/// A device that may take its time, on a machine that has other work too.
fn patient(device: &str) -> String {
    format!("{device}:timeout=120000")
}

fn same_files(bench: &Bench, folder: &Path, device: &str) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let quiet = repack(bench, folder, &bundle, "", "plain.h5")?;
    let patient = patient(device);
    for device in ["emulator", patient.as_str()] {
        let words = repack(bench, folder, &bundle, device, "out.h5")?;
        if words != quiet {
            return Err(format!("{device} said: {words}"));
        }
        same_files_but_for_the_time(&folder.join("plain.h5"), &folder.join("out.h5"))?;
        std::fs::remove_file(folder.join("out.h5")).map_err(|e| e.to_string())?;
    }
    bench.case(folder, &["models_in", "plain.h5", &bundle.id().to_string()], 1)?;
    bench.case(folder, &["within", "plain.h5", "d", "in.h5", "d", "2", "1e-3"], 1)
}

/// The built-in model of 16-20-10-8.
const PROTOTYPE: &str = "autoencoder-fpga-prototype-fixed";

/// Every built-in model with a fixed-point encoder, by a device that is wrong now and then: it is asked, and not believed.
fn every_built_in_model(bench: &Bench, folder: &Path) -> Outcome {
    let all = zoo::builtin().list();
    let fixed: Vec<_> = all.iter().filter(|bundle| bundle.fixed_program().is_some()).collect();
    let mut lines = Vec::new();
    for bundle in &fixed {
        let name = &bundle.manifest().name;
        let mut words = Vec::new();
        built_in_model(bench, folder, name, &["emulator", "mock:wrong=0.5,rows=50,faults=1000,seed=3"], &mut words)?;
        contains(&words.concat(), "device mock: wrong")?;
        lines.push(name.clone());
    }
    if fixed.len() < 4 { Err(format!("{} models have a fixed-point encoder", fixed.len())) } else { Ok(lines) }
}

/// h5repack with a built-in model and devices writes what it writes without; adds what it said.
fn built_in_model(
    bench: &Bench,
    folder: &Path,
    name: &str,
    devices: &[&str],
    words: &mut Vec<String>,
) -> Result<(), String> {
    let error = |e: std::io::Error| e.to_string();
    let bundle =
        zoo::builtin().list().into_iter().find(|bundle| bundle.manifest().name == name).ok_or("no such model")?;
    let columns = bundle.manifest().tile_values();
    let rows = match (columns, &bundle.manifest().input.normalisation) {
        (16, _) => jets(1000, 3),
        (48, _) => cells(1000, 3),
        (_, Normalisation::Columns { columns }) => {
            let mut random = programs::Random(5);
            let mut input = || random.bits() as f64 / u64::MAX as f64 * 3.0 - 1.5;
            let row = |_| columns.iter().map(|t| t.inverse(input()) as f32).collect::<Vec<f32>>();
            (0..1000).flat_map(row).collect()
        }
        _ => return Err(format!("no rows for {name}")),
    };
    let raw: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("rows.raw"), raw).map_err(error)?;
    bench.case(folder, &["rows", "rows.raw", "rows.h5", &columns.to_string()], 1)?;
    let request = Request { model: ModelChoice::Bundle(bundle.id()), ..Request::new(Bound::Rel(0.1)) };
    let ud = request.ud_argument(true).map_err(|e| e.to_string())?;
    let chunk = format!("d:CHUNK=500x{columns}");
    let repack = |device: &str, to: &str| {
        let mut command = bench.command(folder, "h5repack");
        said(command.args(["-l", &chunk, "-f", &ud, "rows.h5", to]).env("BALER_DEVICE", device))
    };
    repack("", "plain.h5")?;
    for device in devices {
        words.push(repack(device, "out.h5")?);
        same_files_but_for_the_time(&folder.join("plain.h5"), &folder.join("out.h5"))
            .map_err(|e| format!("{name}, {device}: {e}"))?;
        std::fs::remove_file(folder.join("out.h5")).map_err(error)?;
    }
    std::fs::remove_file(folder.join("plain.h5")).map_err(error)
}

/// A device that is late, wrong, dead, partial and out of memory, another seed each time; also devices that are not here
/// and words that name none.
fn faults(bench: &Bench, folder: &Path) -> Outcome {
    let runs = std::env::var("BALER_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let bundle = set_up(bench, folder)?;
    repack(bench, folder, &bundle, "emulator", "plain.h5")?;
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..runs {
        let device = format!(
            "mock:late=0.05,delay=40,timeout=20,wrong=0.1,dead=0.1,partial=0.1,oom=0.05,load_wrong=0.05,rows=16,faults=6,seed={seed}"
        );
        let words = repack(bench, folder, &bundle, &device, "out.h5")?;
        same_files_but_for_the_time(&folder.join("plain.h5"), &folder.join("out.h5"))
            .map_err(|e| format!("seed {seed}: {e}\n{words}"))?;
        std::fs::remove_file(folder.join("out.h5")).map_err(|e| e.to_string())?;
        for kind in FaultKind::ALL {
            *counts.entry(kind.name()).or_insert(0) += words.matches(&format!("device mock: {}", kind.name())).count();
        }
    }
    for (device, says) in
        [("abacus", "expected one of"), ("opencl:unit=1000", "device opencl"), ("mock:x=1", "unknown")]
    {
        let words = repack(bench, folder, &bundle, device, "out.h5")?;
        contains(&words, says)?;
        same_files_but_for_the_time(&folder.join("plain.h5"), &folder.join("out.h5"))
            .map_err(|e| format!("{device}: {e}"))?;
        std::fs::remove_file(folder.join("out.h5")).map_err(|e| e.to_string())?;
    }
    if counts.values().sum::<usize>() < runs / 2 {
        return Err(format!("hardly any fault was reported: {counts:?}"));
    }
    Ok(vec![format!("{runs} runs, identical bytes; runs that reported a fault, by kind: {counts:?}")])
}

/// `--device` of the command line, its counters, and `fpga devices`.
fn cli(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let baler = |arguments: &[&str]| {
        let mut command = bench.command(folder, bench.baler());
        success(command.args(arguments).env("BALER_MODEL_PATH", folder.join("models")).env_remove("BALER_DEVICE"))
    };
    let compress = |device: &str, to: &str| {
        let arguments =
            ["--json", "compress", "in.h5", to, "--rel", "1e-3", "--model", "walsh-fixed", "--device", device];
        baler(&arguments).and_then(|text| serde_json::from_str::<serde_json::Value>(&text).map_err(|e| e.to_string()))
    };
    let plain = compress("emulator", "plain.baler")?;
    let faulty = compress("mock:wrong=0.3,dead=0.1,rows=16", "faulty.baler")?;
    same_bytes(&folder.join("plain.baler"), &folder.join("faulty.baler"))?;
    let (n, faults) = (&plain["device"]["software_rows"], &faulty["device"]["faults"]);
    if n.as_u64().is_none_or(|n| n < 512) || faults.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(format!("{plain}\n{faulty}"));
    }
    baler(&["decompress", "faulty.baler", "back.npz"])?;
    let list = baler(&["fpga", "devices", "--model", "walsh-fixed"])?;
    for part in ["emulator", "rows/s", "xrt", &fixed::program().digest_hex()] {
        contains(&list, part)?;
    }
    contains(&baler(&["models", "show", "walsh-fixed"])?, &bundle.id().to_string())?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// XRT's real library, which computes nothing in this mode: the whole sequence of calls goes through, the self-test notices,
/// and the file is the same. Where XRT would end the process, there is no device.
fn noop(bench: &Bench, folder: &Path) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    let bundle = set_up(bench, folder)?;
    let root = folder.join("xrt");
    std::fs::create_dir(&root).map_err(error)?;
    let libraries = xrt_libraries().ok_or("no XRT")?;
    std::os::unix::fs::symlink(libraries, root.join("lib")).map_err(error)?;
    let empty = folder.join("empty");
    std::fs::create_dir_all(empty.join("lib")).map_err(error)?;
    let name = kernel_name(&fixed::program());
    std::fs::write(folder.join("walsh.xclbin"), xrt::xclbin::pack(&name, [7; 16])).map_err(error)?;
    std::fs::write(folder.join("other.xclbin"), xrt::xclbin::pack("other", [8; 16])).map_err(error)?;
    let whole = xrt::xclbin::pack(&name, [7; 16]);
    std::fs::write(folder.join("cut.xclbin"), &whole[..whole.len() / 2]).map_err(error)?;
    repack(bench, folder, &bundle, "emulator", "plain.h5")?;
    let mut lines = Vec::new();
    for (container, root, mode, says) in [
        ("walsh.xclbin", Some(&root), Some("noop"), "wrong: self-test"),
        ("other.xclbin", Some(&root), Some("noop"), "has no kernel"),
        ("cut.xclbin", Some(&root), Some("noop"), "the container is cut"),
        ("none.xclbin", Some(&root), Some("noop"), "No such file"),
        ("walsh.xclbin", None, Some("noop"), "XILINX_XRT is not set"),
        ("walsh.xclbin", Some(&empty), Some("noop"), "is not there"),
        ("walsh.xclbin", Some(&root), Some("dream"), "expected noop"),
        ("walsh.xclbin", Some(&root), None, "XRT finds no such card"),
    ] {
        let set = |command: &mut Command| {
            for (key, value) in
                [("XILINX_XRT", root.map(|r| r.as_os_str())), ("XCL_EMULATION_MODE", mode.map(AsRef::as_ref))]
            {
                match value {
                    Some(value) => command.env(key, value),
                    None => command.env_remove(key),
                };
            }
        };
        let device = format!("xrt:xclbin={container}");
        let mut command = repack_command(bench, folder, &bundle, &device, "out.h5")?;
        set(&mut command);
        let words = said(&mut command)?;
        contains(&words, says)?;
        same_files_but_for_the_time(&folder.join("plain.h5"), &folder.join("out.h5"))?;
        std::fs::remove_file(folder.join("out.h5")).map_err(error)?;
        let mut command = bench.command(folder, bench.baler());
        command.args(["fpga", "devices", "--model", "walsh-fixed", "--device", &device]);
        command.env("BALER_MODEL_PATH", folder.join("models"));
        set(&mut command);
        contains(&success(&mut command)?, says)?;
        lines.push(format!("{container}, {mode:?}: {}", words.lines().next().unwrap_or_default()));
    }
    Ok(lines)
}

/// Rows by file, pipe and socket give the program's latents; a `.baler` keeps its bound; nothing is lost uncounted.
fn stream(bench: &Bench, folder: &Path) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    set_up(bench, folder)?;
    let tiles = walsh::tiles(512);
    let program = fixed::program();
    let mut expected = Vec::new();
    for row in tiles.chunks(64) {
        let raw = program.input().quantise_transformed(row).and_then(|raw| program.reference(&raw));
        expected.extend(raw.map_err(|e| e.to_string())?.iter().flat_map(|&z| (z as i16).to_le_bytes()));
    }
    let command = |arguments: &[&str]| {
        let mut command = bench.command(folder, bench.baler());
        command.args(["stream", "--model", "walsh-fixed", "--block", "100"]).args(arguments);
        command.env("BALER_MODEL_PATH", folder.join("models")).env_remove("BALER_DEVICE");
        command
    };
    let read = |name: &str| std::fs::read(folder.join(name)).map_err(error);
    let counters = |text: String| serde_json::from_str::<serde_json::Value>(&text).map_err(|e| format!("{e}: {text}"));
    let input = || std::fs::File::open(folder.join("tiles.raw")).map_err(error);

    let report = counters(success(&mut command(&["--json", "tiles.raw", "-o", "file.bin"]))?)?;
    let piped = command(&["-o", "-"]).stdin(input()?).output().map_err(error)?;
    let socket = folder.join("rows.sock");
    let mut listener = command(&["--listen", "rows.sock", "-o", "socket.bin", "--device", "mock:wrong=0.2,rows=10"]);
    let mut listener = listener.stdout(std::process::Stdio::null()).spawn().map_err(error)?;
    let connection = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    std::io::copy(&mut input()?, &mut connection.ok_or("nobody listens")?).map_err(error)?;
    let listened = listener.wait().map_err(error)?;
    for (way, latents) in [("file", read("file.bin")?), ("pipe", piped.stdout), ("socket", read("socket.bin")?)] {
        if latents != expected {
            return Err(format!(
                "by {way}: {} bytes, not the {} of the reference; {listened}",
                latents.len(),
                expected.len()
            ));
        }
    }
    if (report["rows_in"].as_u64(), report["rows_out"].as_u64(), &report["latent_type"])
        != (Some(512), Some(512), &"i16".into())
    {
        return Err(report.to_string());
    }
    success(&mut command(&["tiles.raw", "-o", "all.baler", "--abs", "1e-3"]))?;
    let mut decompress = bench.command(folder, bench.baler());
    success(decompress.args(["decompress", "all.baler", "all.npz"]))?;

    // Blocks are framed, and every row is either in one or counted as dropped.
    let dropped = ["--json", "tiles.raw", "--policy", "drop", "--buffer", "0.0001", "--block", "8", "-o", "drop.bin"];
    let mut command = bench.command(folder, bench.baler());
    command
        .args(["stream", "--model", "walsh-fixed", "--device", "mock:late,delay=3,rows=8,faults=1000"])
        .args(dropped);
    command.env("BALER_MODEL_PATH", folder.join("models"));
    let report = counters(success(&mut command)?)?;
    let (framed, mut rows) = (read("drop.bin")?, 0);
    let mut rest = &framed[..];
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i])) as usize;
        let (first, n) = (number(0), number(8));
        if tail.len() < 6 * n || expected[6 * first..6 * (first + n)] != tail[..6 * n] {
            return Err(format!("the block of rows {first}, {n} is not the reference's"));
        }
        rows += n as u64;
        rest = &tail[6 * n..];
    }
    let count = |key: &str| report[key].as_u64().unwrap_or(0);
    if count("rows_dropped") == 0 || count("rows_out") != rows || rows + count("rows_dropped") != 512 {
        return Err(report.to_string());
    }
    Ok(vec![format!("of 512 rows {} were dropped", count("rows_dropped"))])
}
