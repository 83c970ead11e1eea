//! A program with a device to run it: batches there and back, self-test, comparison, and what is done about faults.

use super::counters::Counts;
use super::{Choice, Warn};
use crate::device::{self, Batch, Capabilities, Device, Fault, FaultKind, Refused, Ticket};
use crate::ir::Program;
use crate::per_process::PerProcess;
use crate::software::Software;
use baler_codec::inference::Encoder;
use baler_codec::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

/// A program with a device to run it, and the means to do without.
pub struct Offloaded {
    software: Software,
    choice: Choice,
    warn: Warn,
    counts: Arc<Counts>,
    session: PerProcess<Mutex<Session>>,
}

/// What a device did when it was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// With the program loaded.
    pub capabilities: Capabilities,
    /// From handing one row over to having its latents, the shortest of some.
    pub latency: Duration,
    /// With batches of [`Choice::rows`] rows, one after the other on its way.
    pub rows_per_s: f64,
}

/// The device's side.
enum Session {
    /// Not opened yet.
    New,
    Open {
        device: Box<Device>,
        free: Vec<Batch>,
    },
    /// Never to be used again.
    Quarantined,
}

impl Offloaded {
    pub(super) fn new(program: Arc<Program>, choice: &Choice, warn: Warn, counts: Arc<Counts>) -> Self {
        Self { software: Software::new(program), choice: choice.clone(), warn, counts, session: PerProcess::new() }
    }

    /// What it runs.
    pub fn program(&self) -> &Arc<Program> {
        self.software.program()
    }

    /// Rows of network inputs to the integers of the program's input. Its boundary must be of 32 bits
    /// ([`device::fits_words`]).
    ///
    /// # Errors
    /// NaN and infinities.
    pub fn quantise(&self, input: &[f32], words: &mut [i32]) -> Result<()> {
        self.software.quantise(input, words)
    }

    /// Rows of integers in the formats of the program's input to those of its output.
    pub fn run(&self, input: &[i32], output: &mut [i32]) -> Result<()> {
        let (n_in, n_out) = (self.program().input_len(), self.program().output_len());
        let rows = input.len() / n_in;
        if input.len() != rows * n_in || output.len() != rows * n_out {
            return Err(Error::invalid(format!(
                "{} integers in, {} out: expected rows of {n_in} and {n_out}",
                input.len(),
                output.len()
            )));
        }
        let session = self.session.get(|| Mutex::new(self.first_session()));
        // While another thread has the device, this one's processor is as good.
        let session = match session.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        match session {
            Some(mut session) if !matches!(*session, Session::Quarantined) => {
                self.run_device(&mut session, input, output)
            }
            _ => self.here(0..rows, input, output),
        }
    }

    fn first_session(&self) -> Session {
        // The emulator needs no thread of its own.
        if self.choice.is_emulator() { Session::Quarantined } else { Session::New }
    }

    /// Computes some rows here.
    fn here(&self, rows: Range<usize>, input: &[i32], output: &mut [i32]) -> Result<()> {
        let (n_in, n_out) = (self.program().input_len(), self.program().output_len());
        self.counts.software_rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.software
            .run_words(&input[rows.start * n_in..rows.end * n_in], &mut output[rows.start * n_out..rows.end * n_out])
    }

    fn run_device(&self, session: &mut Session, input: &[i32], output: &mut [i32]) -> Result<()> {
        let n_in = self.program().input_len();
        let rows = input.len() / n_in;
        let mut waiting: VecDeque<(Ticket, Range<usize>)> = VecDeque::new();
        let mut next = 0;
        while next < rows || !waiting.is_empty() {
            let (device, free) = match self.open(session) {
                Some(open) => open,
                None => return self.here(next..rows, input, output),
            };
            let step = self.choice.rows.min(device.capabilities().max_rows).max(1);
            // Fill the queue, then wait for the oldest.
            let mut fault = None;
            while next < rows {
                let Some(mut batch) = free.pop() else { break };
                let range = next..(next + step).min(rows);
                batch.rows = range.len();
                batch.input.clear();
                batch.input.extend_from_slice(&input[range.start * n_in..range.end * n_in]);
                batch.output.clear();
                batch.output.resize(range.len() * self.program().output_len(), 0);
                match device.submit(batch) {
                    Ok(ticket) => {
                        next = range.end;
                        waiting.push_back((ticket, range));
                    }
                    Err(Refused::Busy(batch)) => {
                        free.push(batch);
                        break;
                    }
                    Err(Refused::Fault(f)) => {
                        fault = Some(f);
                        break;
                    }
                }
            }
            if fault.is_none() {
                let Some((ticket, range)) = waiting.pop_front() else {
                    // Nothing on its way, and nothing taken: a device that is busy with nothing.
                    self.give_up(session, &Fault::dead("it takes no batch"));
                    continue;
                };
                fault = match device.collect(ticket, self.choice.timeout) {
                    Ok(batch) => {
                        let result = self.accept(&batch, range.clone(), input, output)?;
                        free.push(batch);
                        result.err()
                    }
                    Err(fault) => Some(fault),
                };
                if fault.is_some() {
                    self.here(range, input, output)?;
                }
            }
            if let Some(fault) = fault {
                self.on_fault(session, &fault);
                // Whatever else it was doing is void.
                for (_, range) in waiting.drain(..) {
                    self.here(range, input, output)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a batch's results over if they stand up to comparison.
    fn accept(
        &self,
        batch: &Batch,
        range: Range<usize>,
        input: &[i32],
        output: &mut [i32],
    ) -> Result<std::result::Result<(), Fault>> {
        let (n_in, n_out) = (self.program().input_len(), self.program().output_len());
        if batch.rows != range.len() || batch.output.len() != range.len() * n_out {
            let message = format!("{} of {} rows are done", batch.rows, range.len());
            return Ok(Err(Fault::new(FaultKind::Partial, message)));
        }
        let of = |i: usize| (i - range.start) * n_out..(i + 1 - range.start) * n_out;
        let compared: Vec<usize> = range.clone().filter(|i| i % self.choice.check == 0).collect();
        let own = if self.choice.check == 1 {
            let mut own = vec![0; range.len() * n_out];
            self.software.run_words(&input[range.start * n_in..range.end * n_in], &mut own)?;
            own
        } else {
            let some: Vec<i32> = compared.iter().flat_map(|i| &input[i * n_in..(i + 1) * n_in]).copied().collect();
            let mut own = vec![0; compared.len() * n_out];
            self.software.run_words(&some, &mut own)?;
            own
        };
        self.counts.checked_rows.fetch_add(compared.len() as u64, Ordering::Relaxed);
        for (i, own) in compared.into_iter().zip(own.chunks_exact(n_out)) {
            let theirs = &batch.output[of(i)];
            if let Some(k) = (0..n_out).find(|&k| own[k] != theirs[k]) {
                let message = format!("row {i}, latent {k}: {} instead of {}", theirs[k], own[k]);
                return Ok(Err(Fault::new(FaultKind::Wrong, message)));
            }
        }
        output[range.start * n_out..range.end * n_out].copy_from_slice(&batch.output);
        self.counts.device_rows.fetch_add(range.len() as u64, Ordering::Relaxed);
        Ok(Ok(()))
    }

    /// The device, opened, loaded and tested if it is not yet; none if that fails.
    fn open<'a>(&self, session: &'a mut Session) -> Option<(&'a mut Device, &'a mut Vec<Batch>)> {
        if matches!(session, Session::New) {
            let opened = Device::open(self.choice.driver(), self.choice.settings(), self.choice.driver().patience())
                .and_then(|mut device| self.prepare(&mut device).map(|free| (device, free)));
            match opened {
                Ok((device, free)) => *session = Session::Open { device: Box::new(device), free },
                Err(fault) => {
                    self.count(&fault);
                    self.give_up(session, &fault);
                }
            }
        }
        match session {
            Session::Open { device, free } => Some((device, free)),
            Session::New | Session::Quarantined => None,
        }
    }

    /// Loads the program, reserves batches, and has the golden rows computed.
    fn prepare(&self, device: &mut Device) -> std::result::Result<Vec<Batch>, Fault> {
        let program = self.program();
        device.load(program, self.choice.driver().patience())?;
        let rows = self.choice.rows.min(device.capabilities().max_rows).max(1);
        let n_batches = device.capabilities().queue + 1;
        let mut free = Vec::with_capacity(n_batches);
        for _ in 0..n_batches {
            free.push(device.alloc(program, rows, self.choice.timeout)?);
        }
        let golden = golden_rows(program);
        let (n_in, n_out) = (program.input_len(), program.output_len());
        for rows in golden.chunks(rows.min(GOLDEN_ROWS) * n_in) {
            let n = rows.len() / n_in;
            let batch = Batch { rows: n, input: rows.to_vec(), output: vec![0; n * n_out] };
            let ticket = device.submit(batch).map_err(refused)?;
            let batch = device.collect(ticket, self.choice.timeout)?;
            let mut own = vec![0; n * n_out];
            self.software.run_words(rows, &mut own).map_err(|e| Fault::unsupported(e.to_string()))?;
            if batch.rows != n {
                return Err(Fault::new(FaultKind::Partial, format!("self-test: {} of {n} rows are done", batch.rows)));
            }
            if let Some(i) = (0..own.len()).find(|&i| own[i] != batch.output[i]) {
                let (row, latent, theirs) = (i / n_out, i % n_out, batch.output[i]);
                let message = format!("self-test, row {row}, latent {latent}: {theirs} instead of {}", own[i]);
                return Err(Fault::new(FaultKind::Wrong, message));
            }
        }
        Ok(free)
    }

    pub(super) fn try_device(&self) -> std::result::Result<Tried, Fault> {
        let (program, timeout) = (self.program(), self.choice.timeout);
        let mut device = Device::open(self.choice.driver(), self.choice.settings(), self.choice.driver().patience())?;
        let mut free = self.prepare(&mut device)?;
        let golden = golden_rows(program);
        let mut latency = Duration::MAX;
        for row in golden.chunks(program.input_len()) {
            let began = Instant::now();
            let batch = Batch { rows: 1, input: row.to_vec(), output: vec![0; program.output_len()] };
            let ticket = device.submit(batch).map_err(refused)?;
            device.collect(ticket, timeout)?;
            latency = latency.min(began.elapsed());
        }
        let rows = free.first().map_or(0, |batch| batch.rows);
        for batch in &mut free {
            batch.input = golden.iter().copied().cycle().take(rows * program.input_len()).collect();
        }
        // A device may prepare itself for batches of this size when it meets the first.
        if let Some(batch) = free.pop() {
            let ticket = device.submit(batch).map_err(refused)?;
            free.push(device.collect(ticket, timeout)?);
        }
        let (began, mut n_rows) = (Instant::now(), 0);
        let mut waiting = VecDeque::new();
        while began.elapsed() < MEASURED || !waiting.is_empty() {
            while let Some(batch) = free.pop().filter(|_| began.elapsed() < MEASURED) {
                match device.submit(batch) {
                    Ok(ticket) => waiting.push_back(ticket),
                    Err(Refused::Busy(batch)) => {
                        free.push(batch);
                        break;
                    }
                    Err(Refused::Fault(fault)) => return Err(fault),
                }
            }
            let Some(ticket) = waiting.pop_front() else { continue };
            let batch = device.collect(ticket, timeout)?;
            n_rows += batch.rows;
            free.push(batch);
        }
        let rows_per_s = n_rows as f64 / began.elapsed().as_secs_f64();
        Ok(Tried { capabilities: device.capabilities().clone(), latency, rows_per_s })
    }

    fn count(&self, fault: &Fault) {
        if self.counts.fault(fault) {
            let name = self.choice.driver().name();
            (self.warn)(&format!(
                "device {name}: {fault}; these rows are computed here. Further faults of this kind are only counted"
            ));
        }
    }

    /// Resets the device, or gives it up.
    fn on_fault(&self, session: &mut Session, fault: &Fault) {
        self.count(fault);
        let Session::Open { device, free } = session else { return };
        // Between the rows of a sample there may be more that are wrong.
        let is_liar = fault.kind == FaultKind::Wrong && self.choice.check > 1;
        if is_liar || self.counts.read().n_faults() >= self.choice.faults {
            return self.give_up(session, fault);
        }
        self.counts.resets.fetch_add(1, Ordering::Relaxed);
        match device.reset(self.choice.driver().patience()).and_then(|()| self.prepare(device)) {
            Ok(batches) => *free = batches,
            Err(second) => {
                self.count(&second);
                self.give_up(session, &second);
            }
        }
    }

    fn give_up(&self, session: &mut Session, fault: &Fault) {
        *session = Session::Quarantined;
        self.counts.quarantined.fetch_add(1, Ordering::Relaxed);
        let (name, program) = (self.choice.driver().name(), self.program().name());
        (self.warn)(&format!("device {name} is not used any more for {program} ({fault}): the emulator is"));
    }
}

const GOLDEN_ROWS: usize = 64;
/// For how long a device is measured when it is tried.
const MEASURED: Duration = Duration::from_millis(300);

fn refused(refused: Refused) -> Fault {
    match refused {
        Refused::Busy(_) => Fault::dead("busy before it was given anything"),
        Refused::Fault(fault) => fault,
    }
}

/// Rows that every device has to get right before it is used: the ends of each format, zeros, alternating, and arbitrary
/// ones.
fn golden_rows(program: &Program) -> Vec<i32> {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut rows = Vec::with_capacity(GOLDEN_ROWS * program.input_len());
    for row in 0..GOLDEN_ROWS {
        for (i, format) in program.input().formats.iter().enumerate() {
            let (min, max) = (format.min_raw() as i64, format.max_raw() as i64);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let raw = match row {
                0 => min.max(0),
                1 => min,
                2 => max,
                3 if i % 2 == 0 => min,
                3 => max,
                4 => i64::from(max > 0),
                5 => -i64::from(min < 0),
                _ => min + (random % (max - min + 1) as u64) as i64,
            };
            rows.push(raw as i32);
        }
    }
    rows
}

impl Encoder for Offloaded {
    fn input_len(&self) -> usize {
        self.program().input_len()
    }

    fn output_len(&self) -> usize {
        self.program().output_len()
    }

    fn engine(&self) -> &'static str {
        "fixed"
    }

    fn encode(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        let (n_in, n_out) = (self.input_len(), self.output_len());
        if input.len() != rows * n_in || output.len() != rows * n_out {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{} values in, {} out: expected {rows} rows of {n_in} and {n_out}", input.len(), output.len()),
            ));
        }
        if device::fits_words(self.program()).is_err() {
            return self.software.run_wide(input, output);
        }
        let mut words = vec![0; input.len()];
        self.software.quantise(input, &mut words)?;
        let mut latents = vec![0; output.len()];
        self.run(&words, &mut latents)?;
        self.software.dequantise(&latents, output);
        Ok(())
    }
}
