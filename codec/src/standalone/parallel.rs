//! Work on several threads whose results come out in the order of their input, with few of them in memory at once.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// Pulls jobs from `next`, puts them through `work` on `threads` threads, and hands the results to `done` in order.
/// At most two jobs a thread are in memory. The first error ends it.
///
/// `next` and `done` run on the calling thread alone, so they may hold what cannot be shared: a file, a library's handle.
///
/// # Errors
/// The first of `next`, `work` or `done`.
pub fn map_in_order<T: Send, U: Send, E: Send>(
    threads: usize,
    mut next: impl FnMut() -> Result<Option<T>, E>,
    work: impl Fn(T) -> Result<U, E> + Sync,
    mut done: impl FnMut(U) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        while let Some(job) = next()? {
            done(work(job)?)?;
        }
        return Ok(());
    }
    thread::scope(|scope| {
        // Dropped when this closure returns, whether with an error or not: the workers then find no more jobs and end.
        let (jobs, waiting) = mpsc::channel::<(u64, T)>();
        let (results, finished) = mpsc::channel();
        let waiting = std::sync::Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (waiting, results, work) = (waiting.clone(), results.clone(), &work);
            scope.spawn(move || {
                loop {
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((i, job)) = job else { break };
                    let result = catch_unwind(AssertUnwindSafe(|| work(job)));
                    if results.send((i, result)).is_err() {
                        break;
                    }
                }
            });
        }
        let (mut sent, mut handed_out, mut exhausted) = (0u64, 0u64, false);
        let mut early = BTreeMap::new();
        loop {
            while !exhausted && sent - handed_out < 2 * threads as u64 {
                match next()? {
                    Some(job) => {
                        // The receiver lives as long as this closure.
                        let _ = jobs.send((sent, job));
                        sent += 1;
                    }
                    None => exhausted = true,
                }
            }
            if handed_out == sent {
                return Ok(());
            }
            let Ok((i, result)) = finished.recv() else { return Ok(()) };
            early.insert(i, result.unwrap_or_else(|panic| resume_unwind(panic))?);
            while let Some(result) = early.remove(&handed_out) {
                done(result)?;
                handed_out += 1;
            }
        }
    })
}

/// [`map_in_order`] of `items`, all results kept.
///
/// # Errors
/// The first of `work`.
pub fn map_all<T: Send, U: Send, E: Send>(
    threads: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E> {
    let (mut items, mut results) = (items.into_iter(), Vec::new());
    map_in_order(
        threads,
        || Ok(items.next()),
        work,
        |result| {
            results.push(result);
            Ok(())
        },
    )?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn all_results_or_the_first_failure() {
        for threads in [0, 1, 3] {
            let squares = map_all(threads, 0..100, |i| Ok::<u32, ()>(i * i)).unwrap();
            assert_eq!(squares, (0..100).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(map_all(threads, 0..100, |i| if i == 7 { Err("seven") } else { Ok(i) }), Err("seven"));
        }
    }

    #[test]
    fn results_keep_their_order() {
        for threads in [1, 2, 5] {
            let (mut i, mut out) = (0, Vec::new());
            let next = || {
                i += 1;
                Ok::<_, ()>((i <= 40).then_some(i))
            };
            let work = |n: u64| {
                thread::sleep(Duration::from_micros(n * 7919 % 500));
                Ok(n * n)
            };
            map_in_order(threads, next, work, |n| {
                out.push(n);
                Ok(())
            })
            .unwrap();
            assert_eq!(out, (1..=40).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn errors_end_it_wherever_they_are() {
        for threads in [1, 3] {
            let count = |fail_next: u64, fail_work: u64, fail_done: u64| {
                let mut i = 0;
                map_in_order(
                    threads,
                    || {
                        i += 1;
                        if i == fail_next { Err("next") } else { Ok(Some(i)) }
                    },
                    |n| if n == fail_work { Err("work") } else { Ok(n) },
                    |n| if n == fail_done { Err("done") } else { Ok(()) },
                )
            };
            assert_eq!(count(9, 0, 0), Err("next"));
            assert_eq!(count(0, 9, 0), Err("work"));
            assert_eq!(count(0, 0, 9), Err("done"));
        }
    }

    #[test]
    #[should_panic(expected = "seven")]
    fn a_panic_reaches_the_caller() {
        let mut i = 0;
        let next = || {
            i += 1;
            Ok::<_, ()>(Some(i))
        };
        let _ = map_in_order(3, next, |n| if n == 7 { panic!("seven") } else { Ok(n) }, |_| Ok(()));
    }
}
