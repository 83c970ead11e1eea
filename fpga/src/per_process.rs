//! State that a forked child does not inherit.

#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value for each process. After a fork the child makes its own: its parent's threads are gone there, a lock may be held
/// by one of them for ever, and a device is the parent's. What was inherited is never dropped.
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<(u32, T)>,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new() -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's value, made the first time. Takes no lock.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        let pid = std::process::id();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: null, or from `Box::into_raw` below and freed by `drop` alone.
        if let Some((_, value)) = unsafe { current.as_ref() }.filter(|(owner, _)| *owner == pid) {
            return value;
        }
        let made = Box::into_raw(Box::new((pid, make())));
        match self.current.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just made, and freed by `drop` alone from now on.
            Ok(_) => &unsafe { &*made }.1,
            Err(other) => {
                // SAFETY: nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: another thread's of this process, freed by `drop` alone.
                &unsafe { &*other }.1
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        // SAFETY: null, or from `Box::into_raw` in `get`; nobody borrows from `self` any more.
        if unsafe { current.as_ref() }.is_some_and(|(owner, _)| *owner == std::process::id()) {
            // SAFETY: as above, and freed once.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn one_for_all_threads_and_another_for_a_child() {
        static STATE: PerProcess<usize> = PerProcess::new();
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let get = || *STATE.get(|| MADE.fetch_add(1, Ordering::Relaxed));
        let first = get();
        let others: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(get)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(others.iter().all(|&v| v == first));
        // SAFETY: the child calls nothing but what is async-signal-safe, and an allocation, which glibc allows.
        match unsafe { libc::fork() } {
            // SAFETY: ends the child at once.
            0 => unsafe { libc::_exit(i32::from(get() == first)) },
            child => {
                let mut status = -1;
                // SAFETY: waits for the child just made.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
        }
    }
}
