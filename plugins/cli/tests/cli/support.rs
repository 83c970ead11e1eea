//! A folder of one's own, the program, and arrays to feed it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder that the program is run in, and that it alone writes to.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Names of everything in the folder, unfinished files too.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program, not yet run, with nothing of the user's own models in reach.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baler"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.env("BALER_PLUGIN_PATH", Path::new(env!("CARGO_BIN_EXE_baler")).with_file_name("deps"));
        command.env("XDG_DATA_HOME", self.folder.path()).env_remove("BALER_MODEL_PATH").env_remove("HDF5_PLUGIN_PATH");
        command
    }

    /// Runs the program and expects this exit code; gives back what it printed.
    pub fn run(&self, code: i32, line: &str) -> String {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(status.code(), Some(code), "baler {line}\n{stdout}{stderr}");
        assert!(!stderr.contains("panicked"), "baler {line}\n{stderr}");
        if code == 0 { stdout.into_owned() } else { stdout.into_owned() + &stderr }
    }

    /// The same with `--json`.
    pub fn json(&self, code: i32, line: &str) -> Value {
        let output = self.command(line).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "baler {line}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("baler {line}: {e}\n{text}"))
    }
}

/// A `.npy` as numpy writes it. `descr` as in numpy (`<f4`); `shape` in Python (`(3, 4)`).
pub fn npy(descr: &str, fortran_order: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let order = if fortran_order { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    let used = 10 + text.len() + 1;
    text += &" ".repeat(used.next_multiple_of(64) - used);
    text.push('\n');
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), values].concat()
}

/// `rows` x 64 of float32 that are smooth with a little structure.
pub fn field(rows: usize) -> Vec<f32> {
    let value = |i: usize| {
        let (x, y) = ((i % 64) as f32 / 9.0, (i / 64) as f32 / 7.0);
        x.sin() * y.cos() + 0.1 * (3.0 * x + y).sin()
    };
    (0..rows * 64).map(value).collect()
}

pub fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// [`field`] as a `.npy`.
pub fn field_npy(rows: usize) -> Vec<u8> {
    npy("<f4", false, &format!("({rows}, 64)"), &le_bytes(&field(rows)))
}

/// An archive as `numpy.savez` writes it.
pub fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Numbers without structure, the same each time.
pub fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
