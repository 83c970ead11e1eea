//! Files that the program `baler` is given: `.npy`, `.npz`, CSV, HDF5, Parquet, `.baler`, bundles and ONNX. Each runs in a process of
//! its own, which may take 2 GiB of addresses and 10 s; the input decides whether it is compressed, restored, or described.

use super::{Target, as_it_is};
use baler_codec::bundle::Contents;
use baler_tests::walsh;
use std::ffi::OsString;
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
    let bundle = walsh::bundle("walsh");
    vec![
        bundle.to_bytes(Contents::Full),
        bundle.decoder_onnx().to_vec(),
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
        [b'B', b'A', b'L', b'B', ..] => "bundle",
        [8, ..] => "onnx",
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
    let is_described = xxhash_rust::xxh3::xxh3_64(input).is_multiple_of(3);
    let (words, output): (&[&str], _) = match suffix(input) {
        "onnx" => (&["models", "import", "--force", "--name", "fuzzed", "--decoder"], Some("out.bundle")),
        "bundle" => (&["info"], None),
        _ if is_described => (&["info", "-v"], None),
        "baler" => (&["decompress", "--force"], Some("out.npz")),
        _ => (&["compress", "--force", "--abs", "0.01"], Some("out.baler")),
    };
    let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    arguments.push(path.clone().into());
    if let Some(name) = output {
        arguments.extend((suffix(input) == "onnx").then(|| "-o".into()));
        arguments.push(folder.join(name).into());
    }
    let found = limited(&program, &arguments, folder);
    std::fs::remove_file(&path).map_err(|e| e.to_string())?;
    found
}

/// A process within its limits; what it says on standard error.
fn limited(program: &Path, arguments: &[OsString], folder: &Path) -> Result<String, String> {
    let limits = format!("ulimit -v {ADDRESSES_KIB} && ulimit -t {SECONDS} && exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &limits])
        .arg(program)
        .args(arguments)
        .env("HOME", "/nonexistent")
        .env("XDG_DATA_HOME", "/nonexistent")
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).replace(&*folder.to_string_lossy(), "");
    if output.status.code().is_none() || text.contains("panicked") {
        return Err(format!("{}: {text}", output.status));
    }
    Ok(format!("{} {text}", output.status))
}
