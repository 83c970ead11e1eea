//! `baler fpga hls`: HLS C++.

use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, bytes};
use baler_fpga::hls;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Writes HLS C++ (ap_fixed types) and a test of it with rows
#[derive(Args, Debug)]
pub struct HlsArgs {
    /// A program (.json), or a model with one: a .bundle file or a name
    program: PathBuf,
    /// Folder for the files
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Rows of the test
    #[arg(long, default_value_t = 1000, value_name = "N")]
    vectors: usize,
}

impl HlsArgs {
    pub fn run(&self) -> Result<Outcome> {
        let program = super::read_program(&self.program)?;
        let files = hls::generate(&program, self.vectors).in_file(&self.program)?;
        std::fs::create_dir_all(&self.output).in_file(&self.output)?;
        let mut lines = Vec::new();
        for (name, content) in &files {
            let path = self.output.join(name);
            std::fs::write(&path, content).in_file(&path)?;
            lines.push(format!("{}: {}", path.display(), bytes(content.len() as u64)));
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        Ok(Outcome::new(lines.join("\n"), json!({ "files": names })))
    }
}
