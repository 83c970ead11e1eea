//! Running the system's h5repack with our plugin.

use super::left_out;
use crate::failure::{Failure, Result};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the plugin, for those who keep it elsewhere.
const PATH_VARIABLE: &str = "BALER_PLUGIN_PATH";
const PLUGIN: &str = if cfg!(target_os = "macos") { "libbaler_hdf5.dylib" } else { "libbaler_hdf5.so" };
/// What has h5repack leave datasets alone, where it is found and the system's loader takes it.
const PRELOADED: &str = "libbaler_h5repack.so";
/// Linux takes no longer string into a program's environment than 32 pages.
const MOST_LIST_BYTES: usize = 100 << 10;

/// Where the plugin and the library are looked for.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os(PATH_VARIABLE).iter().flat_map(|v| std::env::split_paths(v).collect::<Vec<_>>()).collect();
    if let Ok(program) = std::env::current_exe()
        && let Some(beside) = program.parent()
    {
        folders.extend(["", "../lib", "../lib/baler"].map(|folder| beside.join(folder)));
    }
    folders
}

/// The folder that holds the plugin: `BALER_PLUGIN_PATH`, beside this program, or `../lib` of it.
pub fn plugin_folder() -> Result<PathBuf> {
    let folders = folders();
    folders.iter().find(|f| f.join(PLUGIN).is_file()).cloned().ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        Failure::runtime(format!(
            "{PLUGIN} is not found; looked in {}. Build it with `cargo build --release -p baler-hdf5`, or set \
             {PATH_VARIABLE} to its folder",
            looked.join(", ")
        ))
    })
}

/// Runs h5repack from `input` to `output`. Where values `follow` it leaves out those of these datasets, and at least the chunks of
/// our filter.
pub fn h5repack(
    arguments: &[String],
    input: &Path,
    output: &Path,
    model_folder: Option<&Path>,
    follow: Option<&[String]>,
) -> Result<()> {
    let mut command = Command::new("h5repack");
    if let Some(names) = follow {
        command.env(baler_hdf5::VALUES_FOLLOW, std::process::id().to_string());
        leave_out(&mut command, names);
    }
    command.env("HDF5_PLUGIN_PATH", plugin_folder()?);
    command.env(baler_fpga::offload::VARIABLE, baler_fpga::offload::host().choice().to_string());
    if let Some(folder) = model_folder {
        command.env(baler_models::zoo::PATH_VARIABLE, joined(folder));
    }
    command.arg("--enable-error-stack").args(arguments).arg(plain(input)).arg(plain(output));
    let run = command.output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::runtime(
            "h5repack is not installed: `apt-get install hdf5-tools`, or your system's package of the HDF5 tools",
        ),
        _ => Failure::runtime(format!("h5repack cannot be run: {e}")),
    })?;
    let messages = String::from_utf8_lossy(&run.stderr);
    if run.status.success() {
        return Ok(());
    }
    Err(Failure::runtime(format!("h5repack failed ({}): {}", run.status, reason(&messages))))
}

/// Has h5repack leave datasets alone, if it can be had: what is left to it is thrown away, and only takes time.
fn leave_out(command: &mut Command, names: &[String]) {
    let paths: Vec<String> = names.iter().map(|name| format!("/{name}")).collect();
    let list = format!("{}\n{}", std::process::id(), paths.join("\n"));
    let library = folders().into_iter().map(|folder| folder.join(PRELOADED)).find(|path| path.is_file());
    let Some(library) = library.and_then(|path| std::path::absolute(path).ok()) else { return };
    // The loader separates libraries with both.
    let is_one = !library.as_os_str().as_encoded_bytes().iter().any(|b| b" :".contains(b));
    if is_one && list.len() < MOST_LIST_BYTES && !names.iter().any(|name| name.contains(['\n', '\0'])) {
        let mut libraries = library.into_os_string();
        if let Some(others) = std::env::var_os("LD_PRELOAD") {
            libraries.push(":");
            libraries.push(others);
        }
        command.env("LD_PRELOAD", libraries).env(left_out::VARIABLE, list);
    }
}

/// A path that cannot be taken for a flag.
fn plain(path: &Path) -> OsString {
    if path.is_absolute() { path.as_os_str().to_owned() } else { Path::new(".").join(path).into_os_string() }
}

fn joined(folder: &Path) -> OsString {
    let before = std::env::var_os(baler_models::zoo::PATH_VARIABLE).unwrap_or_default();
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let all = std::iter::once(folder).chain(std::env::split_paths(&before).collect::<Vec<_>>());
    std::env::join_paths(all).unwrap_or_else(|_| OsStr::new("").to_owned())
}

/// The lines of HDF5's error stack that say something to a user.
fn reason(messages: &str) -> String {
    let lines: Vec<&str> = messages.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let ours: Vec<&str> = lines.iter().copied().filter(|l| l.contains("baler") || l.contains("Baler")).collect();
    let chosen = if ours.is_empty() { lines } else { ours };
    if chosen.is_empty() { "it gave no reason".into() } else { chosen.join("\n  ") }
}
