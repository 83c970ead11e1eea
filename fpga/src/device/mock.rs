//! `mock`: the emulator with faults put in, from a seed: what tests of everything above a device use.
//!
//! Settings are probabilities for each batch: `late` (answers after `delay` ms, 50 by itself), `wrong`, `dead` (from then on,
//! until reset), `partial`, `oom`; `seed`; `load_wrong` (all its results are wrong from the start: the self-test's affair).

use super::emulator::Emulated;
use super::{Capabilities, Driver, Engine, Fault, FaultKind, Settings};
use crate::ir::Program;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) struct Mock;

impl Driver for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn about(&self) -> &'static str {
        "the emulator with faults put in, for tests: mock:late=0.1,wrong=0.1,dead=0.1,partial=0.1,oom=0.1,seed=1"
    }

    fn probe(&self) -> Result<String, Fault> {
        Ok("always there".into())
    }

    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault> {
        // Otherwise a device that was reset would repeat what it did.
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let mut chance = |key| -> Result<f64, Fault> {
            let p = settings.take::<f64>(key, "a probability")?.unwrap_or(0.0);
            if (0.0..=1.0).contains(&p) { Ok(p) } else { Err(Fault::absent(format!("{key}={p}: expected 0 to 1"))) }
        };
        let [late, wrong, dead, partial, oom, load_wrong] = [
            chance("late")?,
            chance("wrong")?,
            chance("dead")?,
            chance("partial")?,
            chance("oom")?,
            chance("load_wrong")?,
        ];
        let delay = settings.take("delay", "milliseconds")?.unwrap_or(50);
        let seed = settings.take::<u64>("seed", "an integer")?.unwrap_or(1);
        settings.finish("late, wrong, dead, partial, oom, load_wrong, delay, seed")?;
        let nth = OPENED.fetch_add(1, Ordering::Relaxed);
        let mut engine = Mocked {
            inner: Emulated::default(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ nth.wrapping_mul(0xd1b5_4a32_d192_ed03) | 1,
            late,
            wrong,
            dead,
            partial,
            oom,
            delay: Duration::from_millis(delay),
            is_dead: false,
            always_wrong: false,
        };
        engine.always_wrong = engine.happens(load_wrong);
        Ok(Box::new(engine))
    }
}

struct Mocked {
    inner: Emulated,
    random: u64,
    late: f64,
    wrong: f64,
    dead: f64,
    partial: f64,
    oom: f64,
    delay: Duration,
    is_dead: bool,
    always_wrong: bool,
}

impl Mocked {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    fn alive(&self) -> Result<(), Fault> {
        if self.is_dead { Err(Fault::dead("put in by the mock")) } else { Ok(()) }
    }
}

impl Engine for Mocked {
    fn capabilities(&self) -> Capabilities {
        Capabilities { unit: "mock".into(), ..self.inner.capabilities() }
    }

    fn check(&self, program: &Program) -> Result<(), Fault> {
        self.inner.check(program)
    }

    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault> {
        self.alive()?;
        self.inner.load(program)
    }

    fn alloc(&mut self, rows: usize) -> Result<(), Fault> {
        self.alive()?;
        if self.happens(self.oom) {
            return Err(Fault::new(FaultKind::OutOfMemory, "put in by the mock"));
        }
        self.inner.alloc(rows)
    }

    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault> {
        self.is_dead |= self.happens(self.dead);
        self.alloc(rows)?;
        if self.happens(self.late) {
            std::thread::sleep(self.delay);
        }
        let done = if self.happens(self.partial) { self.next() as usize % rows.max(1) } else { rows };
        let n_out = output.len() / rows.max(1);
        let n_in = input.len() / rows.max(1);
        self.inner.run(done, &input[..done * n_in], &mut output[..done * n_out])?;
        if (self.always_wrong || self.happens(self.wrong)) && done > 0 {
            // The hardest to see: a single bit.
            let i = self.next() as usize % (done * n_out);
            output[i] ^= 1 << (self.next() % 8);
        }
        Ok(done)
    }

    fn health(&mut self) -> Result<(), Fault> {
        self.alive()
    }
}
