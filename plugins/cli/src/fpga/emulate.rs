//! `baler fpga emulate`: rows through a program, with the bits of the hardware.

use super::rows::{RowsArgs, transformed};
use crate::failure::{Failure, Result};
use crate::outcome::{Outcome, number};
use baler_codec::Dtype;
use baler_fpga::emulate::Emulator;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Runs rows of values through a program and writes its integers
#[derive(Args, Debug)]
pub struct EmulateArgs {
    /// A program (.json), or a model with one: a .bundle file or a name
    program: PathBuf,
    #[command(flatten)]
    rows: RowsArgs,
    /// Where to write the integers: .npy, .npz or .h5, rows x outputs of int32 (int64 where they need it)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compare every row with the plain interpreter too
    #[arg(long)]
    check: bool,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

impl EmulateArgs {
    pub fn run(&self) -> Result<Outcome> {
        let program = super::read_program(&self.program)?;
        let (n_in, n_out) = (program.input_len(), program.output_len());
        let Some(values) = self.rows.read(n_in)? else {
            return Err(Failure::usage("name the rows to run with --data"));
        };
        let rows = values.len() / n_in;
        let emulator = Emulator::new(&program);
        let (mut input, mut codes) = (vec![0i64; rows * n_in], vec![0i64; rows * n_out]);
        emulator.quantise(rows, &transformed(&values, &program.input().transforms), &mut input)?;
        let start = Instant::now();
        emulator.run(rows, &input, &mut codes)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut lines = vec![format!(
            "{rows} rows through {}: {:.2} million a second on one core ({})",
            program.name(),
            rows as f64 / seconds / 1e6,
            emulator.describe()
        )];
        if self.check {
            for (r, (row, codes)) in input.chunks(n_in).zip(codes.chunks(n_out)).enumerate() {
                if program.reference(row)? != codes {
                    return Err(Failure::runtime(format!("row {r}: the emulator and the plain interpreter disagree")));
                }
            }
            lines.push("the plain interpreter gives the same integers".to_owned());
        }
        if let Some(path) = &self.output {
            let is_short = codes.iter().all(|&c| i32::try_from(c).is_ok());
            let (dtype, bytes): (Dtype, Vec<u8>) = match is_short {
                true => (Dtype::I32, codes.iter().flat_map(|&c| (c as i32).to_le_bytes()).collect()),
                false => (Dtype::I64, codes.iter().flat_map(|c| c.to_le_bytes()).collect()),
            };
            lines.push(crate::simulate::write(path, self.force, dtype, &[rows, n_out], &bytes, &[])?.text);
        }
        let json = json!({
            "rows": rows,
            "rows_per_second": number(rows as f64 / seconds),
            "engine": emulator.describe(),
            "digest": program.digest_hex(),
        });
        Ok(Outcome::new(lines.join("\n"), json))
    }
}
