//! Files that the program `baler` is given: `.npy`, `.npz`, CSV, HDF5, and `.baler`. Each runs in a process of its own, which may
//! take 2 GiB of addresses and 10 s.

use super::{Target, as_it_is};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

pub const TARGET: Target = Target { name: "files", seeds, mend: as_it_is, run, memory: |_| 64 << 20 };

/// Of the process that reads, in KiB.
const ADDRESSES_KIB: u64 = 2 << 20;
const SECONDS: u64 = 10;

/// A folder for the files, gone with the process that made it.
static FOLDER: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).ok() } else { tempfile::tempdir().ok() }
});

/// The program, built beside this one.
fn baler() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name("baler");
    beside.is_file().then_some(beside)
}

/// The corpus of this target has the formats that are not made here.
fn seeds() -> Vec<Vec<u8>> {
    let npy = |descr: &str, shape: &str, bytes: Vec<u8>| {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\0".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    };
    let floats: Vec<u8> = (0..60).flat_map(|i| (i as f32 * 0.1).sin().to_le_bytes()).collect();
    vec![
        npy("<f4", "(6, 10)", floats.clone()),
        npy(">i2", "(3, 4, 10)", floats[..240].to_vec()),
        npy("<f8", "()", floats[..8].to_vec()),
    ]
}

fn suffix(input: &[u8]) -> &'static str {
    match input {
        [b'P', b'K', ..] => "npz",
        [0x89, b'H', ..] => "h5",
        [0x8a, b'B', ..] => "baler",
        [b'P', b'A', b'R', b'1', ..] => "parquet",
        [first, ..] if first.is_ascii_graphic() => "csv",
        _ => "npy",
    }
}

fn run(input: &[u8]) -> Result<String, String> {
    let Some(program) = baler() else {
        return Err("the program is not built: cargo build -p baler-cli".into());
    };
    let folder = FOLDER.as_ref().ok_or("no temporary folder")?.path();
    let path = folder.join(format!("in.{}", suffix(input)));
    std::fs::write(&path, input).map_err(|e| e.to_string())?;
    let (arguments, output): (&[&str], _) = match suffix(input) {
        "baler" => (&["decompress", "--force"], "out.npz"),
        _ => (&["compress", "--force", "--abs", "0.01"], "out.baler"),
    };
    let found = limited(&program, arguments, &path, &folder.join(output));
    std::fs::remove_file(&path).map_err(|e| e.to_string())?;
    found
}

/// A process within its limits; what it says on standard error.
fn limited(program: &Path, arguments: &[&str], input: &Path, out: &Path) -> Result<String, String> {
    let limits = format!("ulimit -v {ADDRESSES_KIB} && ulimit -t {SECONDS} && exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &limits])
        .arg(program)
        .args(arguments)
        .arg(input)
        .arg(out)
        .env("HOME", "/nonexistent")
        .env("XDG_DATA_HOME", "/nonexistent")
        .output()
        .map_err(|e| e.to_string())?;
    let folder = out.parent().unwrap_or(out).to_string_lossy();
    let text = String::from_utf8_lossy(&output.stderr).replace(&*folder, "");
    if output.status.code().is_none() || text.contains("panicked") {
        return Err(format!("{}: {text}", output.status));
    }
    Ok(format!("{} {text}", output.status))
}
