//! From something that delivers bytes to something that takes rows, in bounded memory.
//!
//! A thread reads blocks into buffers from a pool that grows to a limit. When all are in use the policy decides: wait, so that
//! the sender feels it, or read on and count what is lost.

use clap::ValueEnum;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What happens to rows that come faster than they are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// The sender waits
    Wait,
    /// The newest block is lost, and counted
    Drop,
}

/// Sizes of the pump.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub row_bytes: usize,
    /// Rows of a block.
    pub block_rows: usize,
    /// Blocks in memory, at most.
    pub n_blocks: usize,
    pub policy: Policy,
    /// Rows a second at which a file is replayed; as fast as it can be read if none.
    pub rate: Option<f64>,
}

/// Rows one after the other.
pub struct Block {
    /// Number of the first, counting those that were lost.
    pub first_row: u64,
    pub rows: usize,
    /// `rows` rows.
    pub bytes: Vec<u8>,
}

/// What came and went.
#[derive(Debug, Default)]
pub struct Counters {
    pub rows_in: AtomicU64,
    pub rows_dropped: AtomicU64,
    pub rows_out: AtomicU64,
    /// After the last whole row.
    pub bytes_left: AtomicU64,
}

impl Counters {
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Pumps until the input ends or `sink` fails. `each` is called now and then.
pub fn pump<E: From<io::Error>>(
    input: &mut (dyn Read + Send),
    settings: &Settings,
    counters: &Counters,
    sink: &mut dyn FnMut(&Block) -> Result<(), E>,
    each: &mut dyn FnMut(),
) -> Result<(), E> {
    // The pool bounds both.
    let (full_in, full) = channel::<Block>();
    let (free_in, free) = channel::<Vec<u8>>();
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(input, settings, counters, &free, &full_in));
        for block in &full {
            sink(&block)?;
            counters.rows_out.fetch_add(block.rows as u64, Ordering::Relaxed);
            each();
            // The reader may have ended.
            let _ = free_in.send(block.bytes);
        }
        drop((full, free_in));
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(E::from)
    })
}

fn read(
    input: &mut (dyn Read + Send),
    settings: &Settings,
    counters: &Counters,
    free: &Receiver<Vec<u8>>,
    full: &Sender<Block>,
) -> io::Result<()> {
    let block_bytes = settings.block_rows * settings.row_bytes;
    let (mut lost, mut n_made) = (Vec::new(), 0);
    let (began, mut first_row) = (Instant::now(), 0u64);
    loop {
        let buffer = match (free.try_recv(), settings.policy) {
            (Ok(buffer), _) => Some(buffer),
            (Err(TryRecvError::Empty), _) if n_made < settings.n_blocks => {
                n_made += 1;
                Some(Vec::new())
            }
            (Err(TryRecvError::Empty), Policy::Drop) => None,
            (Err(TryRecvError::Empty), Policy::Wait) => match free.recv() {
                Ok(buffer) => Some(buffer),
                Err(_) => return Ok(()),
            },
            (Err(TryRecvError::Disconnected), _) => return Ok(()),
        };
        let is_lost = buffer.is_none();
        let mut bytes = buffer.unwrap_or_else(|| std::mem::take(&mut lost));
        bytes.resize(block_bytes, 0);
        if let Some(rate) = settings.rate {
            // A block is there when its last row is.
            let due = Duration::from_secs_f64((first_row + settings.block_rows as u64) as f64 / rate);
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let n = fill(input, &mut bytes)?;
        let rows = n / settings.row_bytes;
        counters.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
        if is_lost {
            counters.rows_dropped.fetch_add(rows as u64, Ordering::Relaxed);
            lost = bytes;
        } else if rows > 0 {
            bytes.truncate(rows * settings.row_bytes);
            if full.send(Block { first_row, rows, bytes }).is_err() {
                return Ok(());
            }
        }
        first_row += rows as u64;
        if n < block_bytes {
            counters.bytes_left.store((n % settings.row_bytes) as u64, Ordering::Relaxed);
            return Ok(());
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match input.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(policy: Policy, slow: Duration, rows: usize) -> (Counters, Vec<(u64, usize)>) {
        let bytes: Vec<u8> = (0..rows * 2 + 1).map(|i| i as u8).collect();
        let settings = Settings { row_bytes: 2, block_rows: 4, n_blocks: 2, policy, rate: None };
        let (counters, mut seen) = (Counters::default(), Vec::new());
        let mut sink = |block: &Block| -> io::Result<()> {
            assert_eq!(block.bytes.len(), block.rows * 2);
            assert_eq!(block.bytes[0], (block.first_row * 2) as u8);
            seen.push((block.first_row, block.rows));
            thread::sleep(slow);
            Ok(())
        };
        pump(&mut &bytes[..], &settings, &counters, &mut sink, &mut || ()).unwrap();
        (counters, seen)
    }

    #[test]
    fn a_patient_sender_loses_nothing() {
        let (counters, seen) = run(Policy::Wait, Duration::from_millis(1), 30);
        assert_eq!(seen, [(0, 4), (4, 4), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4), (28, 2)]);
        assert_eq!([&counters.rows_in, &counters.rows_out].map(Counters::get), [30, 30]);
        assert_eq!([&counters.rows_dropped, &counters.bytes_left].map(Counters::get), [0, 1]);
    }

    #[test]
    fn what_comes_too_fast_is_lost_and_counted() {
        let (counters, seen) = run(Policy::Drop, Duration::from_millis(40), 400);
        let [rows_in, dropped, out] =
            [&counters.rows_in, &counters.rows_dropped, &counters.rows_out].map(Counters::get);
        assert_eq!((rows_in, dropped + out), (400, 400));
        assert!(dropped >= 300, "{dropped}");
        assert_eq!(out, seen.iter().map(|(_, rows)| *rows as u64).sum::<u64>());
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        let settings = Settings { row_bytes: 1, block_rows: 1, n_blocks: 2, policy: Policy::Wait, rate: None };
        let mut sink = |_: &Block| Err(io::Error::other("full"));
        let result = pump(&mut io::repeat(1), &settings, &Counters::default(), &mut sink, &mut || ());
        assert_eq!(result.unwrap_err().to_string(), "full");
    }
}
