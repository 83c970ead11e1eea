//! Fixed-point programs in JSON. Its corpus holds one of every layer.

use super::{MIB, Target, as_it_is};
use baler_fpga::ir::Program;

pub const TARGET: Target = Target { name: "program", seeds: Vec::new, mend: as_it_is, run, memory };

fn memory(len: usize) -> usize {
    64 * MIB + 1024 * len
}

fn run(input: &[u8]) -> Result<String, String> {
    let program = match Program::from_json(&String::from_utf8_lossy(input)) {
        Ok(program) => program,
        Err(e) => return Ok(e.to_string()),
    };
    let again = Program::from_json(&program.to_json()).map_err(|e| format!("its own JSON: {e}"))?;
    if again.digest() != program.digest() {
        return Err("the digest changes when a program is written and read".into());
    }
    if program.input_len() > 1 << 12 || program.multiplications() > 1 << 20 {
        return Ok("large".into());
    }
    let row: Vec<f64> = (0..program.input_len()).map(|i| i as f64 - 3.5).collect();
    let ran = program.input().quantise(&row).and_then(|input| program.reference(&input));
    Ok(ran.map_or_else(|e| e.to_string(), |output| format!("run: {} outputs", output.len())))
}
