//! A program on this processor: the answer that every device is held against.

use crate::emulate::Emulator;
use crate::ir::Program;
use baler_codec::Result;
use std::sync::Arc;

/// Runs a program on this processor.
pub struct Software {
    program: Arc<Program>,
    emulator: Emulator,
}

impl Software {
    /// Makes ready to run a program.
    pub fn new(program: Arc<Program>) -> Self {
        Self { emulator: Emulator::new(&program), program }
    }

    /// What it runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Rows of 32-bit integers, for programs whose boundary is that narrow ([`crate::device::fits_words`]).
    pub fn run_words(&self, input: &[i32], output: &mut [i32]) -> Result<()> {
        self.emulator.run(input.len() / self.program.input_len(), input, output)
    }

    /// Rows of network inputs to integers of such a program.
    ///
    /// # Errors
    /// NaN and infinities, with their place.
    pub fn quantise(&self, input: &[f32], words: &mut [i32]) -> Result<()> {
        self.emulator.quantise(input.len() / self.program.input_len(), input, words)
    }

    /// Integers of such a program's output to the floats nearest to what they stand for.
    pub fn dequantise(&self, words: &[i32], output: &mut [f32]) {
        let steps: Vec<f64> = self.program.output_formats().iter().map(|f| power_of_two(-f.fraction_bits())).collect();
        for (words, output) in words.chunks_exact(steps.len()).zip(output.chunks_exact_mut(steps.len())) {
            for ((z, &word), step) in output.iter_mut().zip(words).zip(&steps) {
                *z = (f64::from(word) * step) as f32;
            }
        }
    }

    /// Rows of network inputs to latents, for any program.
    pub fn run_wide(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        self.emulator.encode(input.len() / self.program.input_len(), input, output)
    }
}

/// `2^e`, 0 or infinite beyond the range of a double.
fn power_of_two(e: i32) -> f64 {
    match e {
        -1022..=1023 => f64::from_bits(((e + 1023) as u64) << 52),
        ..-1022 => 0.0,
        1024.. => f64::INFINITY,
    }
}
