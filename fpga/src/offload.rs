//! Running encoders on a device that is not trusted.
//!
//! ```text
//! f32 rows -> integers -> batches -> device ----> same integers as the emulator? -> f32 latents
//!                            |          fault, late, wrong: ^ the batch again, here
//!                            +--------> emulator -----------+
//! ```
//!
//! The program defines the latents, so the bytes that come of them do not depend on the device, nor on what it gets
//! wrong. When a program is loaded the device has to give the emulator's integers for a set of golden rows. Later its
//! results are compared, all or a sample ([`Choice::check`]). A fault of any kind is counted and the batch computed
//! here; the device is reset and tested again. After [`Choice::faults`] of them, or a wrong result where only a sample is
//! compared, it is not used any more.

mod choice;
mod counters;
mod encoder;

pub use choice::{Choice, VARIABLE};
pub use counters::Counters;
pub use encoder::{Offloaded, Tried};

use crate::ir::Program;
use crate::per_process::PerProcess;
use baler_codec::inference::{Encoder, FixedEngine};
use baler_codec::{Error, Result};
use counters::Counts;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Whom a host tells of faults.
type Warn = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs fixed-point encoders for a host; give it to [`baler_codec::Registry::set_fixed_engine`].
pub struct Offload {
    choice: Choice,
    warn: Warn,
    counts: Arc<Counts>,
    loaded: PerProcess<Mutex<BTreeMap<[u8; 32], Arc<Offloaded>>>>,
}

/// Programs kept; more are made ready again each time.
const MOST_LOADED: usize = 64;

impl Offload {
    /// With a device. `warn` is told of the first fault of each kind, and of devices that are given up.
    pub fn new(choice: Choice, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { choice, warn: Arc::new(warn), counts: Arc::default(), loaded: PerProcess::new() }
    }

    /// For a host without arguments: the device that [`VARIABLE`] names, or the emulator with a warning; warnings go to
    /// standard error.
    pub fn from_environment() -> Self {
        let choice = Choice::from_environment().unwrap_or_else(|e| {
            to_stderr(&format!("{e}; the emulator is used"));
            Choice::emulator()
        });
        Self::new(choice, to_stderr)
    }

    /// The device it was made with.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counts.read()
    }

    /// The encoder of a program.
    pub fn load(&self, program: Program) -> Arc<Offloaded> {
        Arc::new(Offloaded::new(Arc::new(program), &self.choice, self.warn.clone(), self.counts.clone()))
    }
}

static HOST: OnceLock<Arc<Offload>> = OnceLock::new();

/// What runs the encoders of this process's hosts: made from [`VARIABLE`] unless [`set_host`] came first.
pub fn host() -> Arc<Offload> {
    HOST.get_or_init(|| Arc::new(Offload::from_environment())).clone()
}

/// Chooses the device of this process's hosts.
///
/// # Errors
/// Another has been chosen before, or used.
pub fn set_host(choice: Choice) -> Result<()> {
    let wanted = choice.to_string();
    let host = HOST.get_or_init(|| Arc::new(Offload::new(choice, to_stderr)));
    match host.choice.to_string() {
        found if found == wanted => Ok(()),
        found => Err(Error::invalid(format!("device {wanted}: this process uses {found} already"))),
    }
}

fn to_stderr(message: &str) {
    // `eprintln` would panic where nothing can be written there.
    let _ = writeln!(std::io::stderr(), "baler: {message}");
}

/// Opens a device, has it pass the self-test of a program, and measures it for a moment.
///
/// # Errors
/// What is wrong with it.
pub fn try_device(choice: &Choice, program: &Arc<Program>) -> std::result::Result<Tried, crate::device::Fault> {
    Offloaded::new(program.clone(), choice, Arc::new(|_: &str| ()), Arc::default()).try_device()
}

impl FixedEngine for Offload {
    fn encoder(&self, digest: &[u8; 32], program: &[u8]) -> Result<Arc<dyn Encoder>> {
        let loaded = self.loaded.get(Mutex::default);
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = loaded.get(digest) {
            return Ok(found.clone());
        }
        let text = std::str::from_utf8(program).map_err(|e| Error::model(format!("not UTF-8: {e}")))?;
        let made = self.load(Program::from_json(text)?);
        if loaded.len() >= MOST_LOADED {
            loaded.clear();
        }
        loaded.insert(*digest, made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::Format;
    use crate::ir::{Input, Layer, Op};

    /// A child process has no devices: it computes by itself, without the parent's threads and locks.
    #[test]
    fn a_forked_child_goes_on() {
        let format = Format::signed(8, 4).unwrap();
        let layers = vec![Layer { name: "relu".into(), op: Op::Relu, formats: vec![format; 3] }];
        let program = Program::new("relu", Input::plain(vec![format; 3]), layers).unwrap();
        let offload = Offload::new("mock:rows=2".parse().unwrap(), |_| ());
        let json = program.to_json();
        let encode = || -> Result<Vec<f32>> {
            let mut output = vec![0.0; 6];
            let encoder = offload.encoder(&[7; 32], json.as_bytes())?;
            encoder.encode(2, &[1.0, -1.0, 0.5, 2.0, 3.0, -4.0], &mut output)?;
            Ok(output)
        };
        let expected = [1.0, 0.0, 0.5, 2.0, 3.0, 0.0];
        assert_eq!(encode().unwrap(), expected);
        assert_eq!(offload.counters().device_rows, 2);
        // The parent's lock is held, as by another thread, while the child is made.
        let held = offload.loaded.get(Mutex::default).lock().unwrap();
        #[allow(unsafe_code)]
        // SAFETY: the child computes, allocates (which glibc allows) and ends.
        match unsafe { libc::fork() } {
            0 => {
                let is_same = encode().is_ok_and(|output| output == expected);
                let is_here = offload.counters().device_rows == 2;
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!(is_same && is_here))) }
            }
            child => {
                let mut status = -1;
                // SAFETY: waits for the child just made.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
        }
        drop(held);
        assert_eq!(encode().unwrap(), expected);
    }
}
