//! An engine on a thread of its own: a bounded queue in front of it, tickets, timeouts, and a way out when it hangs.

use super::{Capabilities, Driver, Engine, Fault, FaultKind, Settings, guest};
use crate::ir::Program;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rows on their way to a device and back. Its memory belongs to the device between submitting and collecting, so that
/// one that is late never writes into something else.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows to do; after collecting, rows done.
    pub rows: usize,
    /// Row by row.
    pub input: Vec<i32>,
    /// Row by row.
    pub output: Vec<i32>,
}

/// Names a batch that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Why a batch was not accepted.
#[derive(Debug)]
pub enum Refused {
    /// The queue is full: collect something first. The batch comes back.
    Busy(Batch),
    /// The device is gone.
    Fault(Fault),
}

enum Job {
    Check(Arc<Program>),
    Load(Arc<Program>),
    Alloc(usize),
    Run(Batch),
    Health,
}

enum Answer {
    Done(Capabilities),
    Ran(Batch),
}

type Reply = (Ticket, Result<Answer, Fault>);

/// A device in use. Nothing here waits longer than it is told to, whatever the device does.
pub struct Device {
    driver: &'static dyn Driver,
    settings: Settings,
    capabilities: Capabilities,
    jobs: SyncSender<(Ticket, Job)>,
    replies: Receiver<Reply>,
    /// Came while another was waited for.
    early: BTreeMap<Ticket, Result<Answer, Fault>>,
    next: u64,
}

/// Batches that may wait beside the one that runs.
pub(super) const QUEUE: usize = 2;
/// How long closing is waited for.
const CLOSING: Duration = Duration::from_millis(500);

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}

impl Device {
    /// Opens a device.
    pub fn open(driver: &'static dyn Driver, settings: &Settings, timeout: Duration) -> Result<Self, Fault> {
        claim()?;
        // A host that unloads this library must not pull the code from under the thread.
        guest::keep_loaded();
        let (jobs, inbox) = sync_channel(QUEUE);
        let (outbox, replies) = channel();
        let for_thread = settings.clone();
        std::thread::Builder::new()
            .name(format!("baler-{}", driver.name()))
            .spawn(move || serve(driver, for_thread, &inbox, |reply| outbox.send(reply).is_ok()))
            .map_err(|e| Fault::new(FaultKind::OutOfMemory, format!("no thread for the device: {e}")))?;
        let unknown = Capabilities {
            unit: String::new(),
            program: None,
            max_rows: 0,
            queue: QUEUE,
            alignment: 1,
            zero_copy: false,
            latency: None,
        };
        let mut device = Self {
            driver,
            settings: settings.clone(),
            capabilities: unknown,
            jobs,
            replies,
            early: BTreeMap::new(),
            next: 1,
        };
        device.await_done(Ticket(0), "opening", timeout)?;
        Ok(device)
    }

    /// What it can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Why it cannot run a program, if it cannot.
    pub fn check(&mut self, program: &Arc<Program>, timeout: Duration) -> Result<(), Fault> {
        self.call(Job::Check(program.clone()), "looking at the program", timeout)
    }

    /// Makes a program the one to run. Batches submitted before must have been collected.
    pub fn load(&mut self, program: &Arc<Program>, timeout: Duration) -> Result<(), Fault> {
        self.call(Job::Load(program.clone()), "loading", timeout)
    }

    /// A batch of so many rows, with its place on the device.
    pub fn alloc(&mut self, program: &Program, rows: usize, timeout: Duration) -> Result<Batch, Fault> {
        self.call(Job::Alloc(rows), "reserving memory", timeout)?;
        let mut batch = Batch::default();
        let lens = [(&mut batch.input, program.input_len()), (&mut batch.output, program.output_len())];
        for (buffer, row_len) in lens {
            let len = rows.saturating_mul(row_len);
            buffer
                .try_reserve_exact(len)
                .map_err(|_| Fault::new(FaultKind::OutOfMemory, format!("no memory for {rows} rows")))?;
            buffer.resize(len, 0);
        }
        batch.rows = rows;
        Ok(batch)
    }

    /// Hands a batch over, at once.
    ///
    /// # Errors
    /// [`Refused::Busy`] gives the batch back; otherwise the device is gone, and the batch with it.
    pub fn submit(&mut self, batch: Batch) -> Result<Ticket, Refused> {
        let ticket = self.ticket();
        match self.jobs.try_send((ticket, Job::Run(batch))) {
            Ok(()) => Ok(ticket),
            Err(TrySendError::Full((_, Job::Run(batch)))) => Err(Refused::Busy(batch)),
            Err(_) => Err(Refused::Fault(self.gone())),
        }
    }

    /// The batch of a ticket, when it is done.
    ///
    /// # Errors
    /// [`FaultKind::Late`] after `timeout`: it may be collected later. Any other fault has used the batch up.
    pub fn collect(&mut self, ticket: Ticket, timeout: Duration) -> Result<Batch, Fault> {
        match self.reply(ticket, "a batch", timeout)? {
            Answer::Ran(batch) => Ok(batch),
            Answer::Done(_) => Err(self.gone()),
        }
    }

    /// Whether it answers.
    pub fn health(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.call(Job::Health, "a sign of life", timeout)
    }

    /// Closes it, whatever it is doing, and opens it anew: nothing is loaded, tickets are void. An engine that hangs is
    /// left to itself, with its thread and its batches.
    pub fn reset(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.close();
        *self = Self::open(self.driver, &self.settings, timeout)?;
        Ok(())
    }

    /// Ends the thread, and waits a moment for it to close the engine.
    fn close(&mut self) {
        let (nobody, _) = sync_channel(0);
        self.jobs = nobody;
        let (_, nothing) = channel();
        let replies = std::mem::replace(&mut self.replies, nothing);
        if !has_ended(&replies, Instant::now() + CLOSING) {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.push((std::process::id(), replies));
            guest::at_exit(wait_for_left);
        }
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    fn gone(&self) -> Fault {
        Fault::dead(format!("the thread of device {} has ended", self.driver.name()))
    }

    /// A job that changes nothing but the device.
    fn call(&mut self, job: Job, doing: &str, timeout: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + timeout;
        let ticket = self.ticket();
        let mut job = (ticket, job);
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => job = back,
                Err(TrySendError::Full(_)) => return Err(self.late(doing, timeout)),
                Err(TrySendError::Disconnected(_)) => return Err(self.gone()),
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        self.await_done(ticket, doing, deadline.saturating_duration_since(Instant::now()))
    }

    fn await_done(&mut self, ticket: Ticket, doing: &str, timeout: Duration) -> Result<(), Fault> {
        match self.reply(ticket, doing, timeout)? {
            Answer::Done(capabilities) => {
                self.capabilities = capabilities;
                Ok(())
            }
            Answer::Ran(_) => Err(self.gone()),
        }
    }

    fn reply(&mut self, ticket: Ticket, doing: &str, timeout: Duration) -> Result<Answer, Fault> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(answer) = self.early.remove(&ticket) {
                return answer;
            }
            match self.replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((of, answer)) => {
                    self.early.insert(of, answer);
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.late(doing, timeout)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            }
        }
    }

    fn late(&self, doing: &str, timeout: Duration) -> Fault {
        Fault::new(FaultKind::Late, format!("device {}: {doing} took more than {timeout:?}", self.driver.name()))
    }
}

/// Threads that were left to themselves, inside a device's library perhaps, with their process.
static LEFT: Mutex<Vec<(u32, Receiver<Reply>)>> = Mutex::new(Vec::new());
/// How long they are waited for when the process ends.
const LEAVING: Duration = Duration::from_secs(10);

/// A library must not be at work in one thread while another takes it down.
extern "C" fn wait_for_left() {
    let deadline = Instant::now() + LEAVING;
    // A thread that holds the lock now is ending a device of its own.
    let Ok(left) = LEFT.try_lock() else { return };
    // A child made by `fork` has none of them.
    for (_, replies) in left.iter().filter(|(process, _)| *process == std::process::id()) {
        has_ended(replies, deadline);
    }
}

/// Whether nobody replies any more by then: a device's thread ends with its engine closed.
fn has_ended(replies: &Receiver<Reply>, deadline: Instant) -> bool {
    loop {
        match replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

/// Devices belong to the process that opened one first. In a child made by `fork` their libraries are there, but not the
/// threads these count on.
fn claim() -> Result<(), Fault> {
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
        Err(owner) if owner != own => {
            Err(Fault::absent(format!("process {own} was forked from {owner}, which has the device")))
        }
        _ => Ok(()),
    }
}

/// The device's thread. Ends when nobody sends or listens any more.
fn serve(
    driver: &'static dyn Driver,
    mut settings: Settings,
    inbox: &Receiver<(Ticket, Job)>,
    reply: impl Fn(Reply) -> bool,
) {
    guest::block_signals();
    let mut engine: Box<dyn Engine> = match driver.open(&mut settings) {
        Ok(engine) => engine,
        Err(fault) => {
            reply((Ticket(0), Err(fault)));
            return;
        }
    };
    if !reply((Ticket(0), Ok(Answer::Done(engine.capabilities())))) {
        return;
    }
    for (ticket, job) in inbox {
        let result = match job {
            Job::Check(program) => engine.check(&program).map(|()| None),
            Job::Load(program) => engine.check(&program).and_then(|()| engine.load(&program)).map(|()| None),
            Job::Alloc(rows) => engine.alloc(rows).map(|()| None),
            Job::Health => engine.health().map(|()| None),
            Job::Run(mut batch) => engine.run(batch.rows, &batch.input, &mut batch.output).map(|done| {
                batch.rows = done;
                Some(batch)
            }),
        };
        let answer = result.map(|batch| match batch {
            Some(batch) => Answer::Ran(batch),
            None => Answer::Done(engine.capabilities()),
        });
        if !reply((ticket, answer)) {
            return;
        }
    }
}
