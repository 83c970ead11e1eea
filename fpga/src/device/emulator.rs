//! `emulator`: the program on this processor. Always there.

use super::{Capabilities, Driver, Engine, Fault, Settings, queue};
use crate::ir::Program;
use crate::software::Software;
use std::sync::Arc;

pub(super) struct Emulator;

impl Driver for Emulator {
    fn name(&self) -> &'static str {
        "emulator"
    }

    fn about(&self) -> &'static str {
        "the program on this processor: what every other device must equal"
    }

    fn probe(&self) -> Result<String, Fault> {
        Ok("always there".into())
    }

    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault> {
        settings.finish("none of its own")?;
        Ok(Box::new(Emulated::default()))
    }
}

/// The emulator as an engine.
#[derive(Default)]
pub(super) struct Emulated {
    software: Option<(Software, [u8; 32])>,
}

impl Engine for Emulated {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: format!("this processor, {}", std::env::consts::ARCH),
            program: self.software.as_ref().map(|(_, digest)| *digest),
            max_rows: 1 << 20,
            queue: queue::QUEUE,
            alignment: align_of::<i32>(),
            zero_copy: true,
            latency: None,
        }
    }

    fn check(&self, program: &Program) -> Result<(), Fault> {
        super::fits_words(program)
    }

    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault> {
        self.software = Some((Software::new(program.clone()), program.digest()));
        Ok(())
    }

    fn alloc(&mut self, _rows: usize) -> Result<(), Fault> {
        Ok(())
    }

    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault> {
        let (software, _) = self.software.as_ref().ok_or_else(|| Fault::dead("no program is loaded"))?;
        software.run_words(input, output).map_err(|e| Fault::dead(e.to_string()))?;
        Ok(rows)
    }

    fn health(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
