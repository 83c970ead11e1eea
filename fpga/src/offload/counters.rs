//! What happened to the rows of a host.

use crate::device::{Fault, FaultKind};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows whose result came from the device.
    pub device_rows: u64,
    /// Rows computed here.
    pub software_rows: u64,
    /// Rows of the device's that were compared.
    pub checked_rows: u64,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Times the device was opened anew.
    pub resets: u64,
    /// Programs that are not given to the device any more.
    pub quarantined: u64,
}

impl Counters {
    /// Faults of every kind.
    pub fn n_faults(&self) -> u64 {
        self.faults.values().sum()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows by the device ({} compared), {} here",
            self.device_rows, self.checked_rows, self.software_rows
        )?;
        for (kind, n) in &self.faults {
            write!(f, ", {n} {}", kind.name())?;
        }
        write!(f, ", {} resets, {} quarantined", self.resets, self.quarantined)
    }
}

/// The same, counted by many threads.
#[derive(Default)]
pub(super) struct Counts {
    pub device_rows: AtomicU64,
    pub software_rows: AtomicU64,
    pub checked_rows: AtomicU64,
    faults: [AtomicU64; FaultKind::ALL.len()],
    pub resets: AtomicU64,
    pub quarantined: AtomicU64,
}

impl Counts {
    /// Counts a fault; tells whether it is the first of its kind.
    pub fn fault(&self, fault: &Fault) -> bool {
        let kind = FaultKind::ALL.iter().position(|kind| *kind == fault.kind).unwrap_or(0);
        self.faults[kind].fetch_add(1, Ordering::Relaxed) == 0
    }

    pub fn read(&self) -> Counters {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let faults = FaultKind::ALL.into_iter().zip(&self.faults).map(|(kind, n)| (kind, get(n)));
        Counters {
            device_rows: get(&self.device_rows),
            software_rows: get(&self.software_rows),
            checked_rows: get(&self.checked_rows),
            faults: faults.filter(|(_, n)| *n > 0).collect(),
            resets: get(&self.resets),
            quarantined: get(&self.quarantined),
        }
    }
}
