//! Energy of a piece of work: read from the processor's counters where it may be, else estimated, and always said which.
//!
//! Linux shows Intel's and AMD's counters (RAPL) under `/sys/class/powercap`; since 2020 only root may read them. They
//! count whole packages, other programs included. The estimate is processor time of this process times an assumed power.
//!
//! ```
//! let mut meter = baler_models::energy::Meter::start();
//! meter.poll(); // now and then in long work: counters wrap around
//! let energy = meter.stop();
//! assert!(energy.joules >= 0.0);
//! println!("{:.1} J, {}", energy.joules, energy.source);
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

/// Power assumed for one busy core and its share of memory, in watts: about what a server of two 64-core processors at
/// full load draws for each core.
pub const ASSUMED_WATTS_PER_CORE: f64 = 10.0;

/// Where Linux shows the counters.
const POWERCAP: &str = "/sys/class/powercap";
/// Ticks a second in `/proc/self/stat`: fixed in the kernel's interface to programs, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a piece of work took.
#[derive(Clone, Debug, PartialEq)]
pub struct Energy {
    /// Joules; 1 kWh is 3.6 million.
    pub joules: f64,
    /// How that is known, in one phrase for people.
    pub source: String,
    /// Whether it is an estimate.
    pub is_estimate: bool,
}

/// Emissions of so much energy, in grams of CO2 equivalent. `grams_per_kwh` is the intensity of the grid.
pub fn co2_grams(joules: f64, grams_per_kwh: f64) -> f64 {
    joules / 3.6e6 * grams_per_kwh
}

/// Measures from its start on.
#[derive(Debug)]
pub struct Meter {
    counters: Vec<Counter>,
    started: Instant,
    cpu_seconds: Option<f64>,
}

impl Meter {
    /// Begins with the counters of this machine, or without.
    pub fn start() -> Self {
        Self::with_counters(Path::new(POWERCAP))
    }

    fn with_counters(folder: &Path) -> Self {
        Self { counters: counters(folder), started: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    /// Reads the counters. They wrap around after some 10 minutes at full load at the earliest: call this more often.
    pub fn poll(&mut self) {
        self.counters.retain_mut(|c| c.poll().is_some());
    }

    /// What was used since the start.
    pub fn stop(mut self) -> Energy {
        let n = self.counters.len();
        self.poll();
        if n > 0 && self.counters.len() == n {
            let microjoules: f64 = self.counters.iter().map(|c| c.total).sum();
            return Energy {
                joules: microjoules * 1e-6,
                source: format!("RAPL counters of {n} processor package(s), whatever else ran on them included"),
                is_estimate: false,
            };
        }
        let (seconds, of_what) = match (self.cpu_seconds, cpu_seconds()) {
            (Some(before), Some(after)) => (after - before, "processor seconds"),
            _ => (self.started.elapsed().as_secs_f64(), "seconds"),
        };
        Energy {
            joules: seconds * ASSUMED_WATTS_PER_CORE,
            source: format!(
                "estimate: {seconds:.2} {of_what} at an assumed {ASSUMED_WATTS_PER_CORE} W a core (no readable RAPL counter)"
            ),
            is_estimate: true,
        }
    }
}

/// One package's counter.
#[derive(Debug)]
struct Counter {
    file: PathBuf,
    last: u64,
    /// The counter starts again at 0 after this.
    max: u64,
    /// Microjoules so far.
    total: f64,
}

impl Counter {
    fn open(zone: &Path) -> Option<Self> {
        let file = zone.join("energy_uj");
        let last = read_number(&file)?;
        let max = read_number(&zone.join("max_energy_range_uj"))?;
        Some(Self { file, last, max, total: 0.0 })
    }

    fn poll(&mut self) -> Option<()> {
        let now = read_number(&self.file)?;
        let used = if now >= self.last { now - self.last } else { (self.max - self.last.min(self.max)) + now };
        self.total += used as f64;
        self.last = now;
        Some(())
    }
}

/// The zones that are whole packages: `intel-rapl:0`, not the parts `intel-rapl:0:0` it holds.
fn counters(folder: &Path) -> Vec<Counter> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut zones: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    zones.sort();
    zones
        .iter()
        .filter(|zone| {
            let name = zone.file_name().unwrap_or_default().to_string_lossy();
            let is_package = std::fs::read_to_string(zone.join("name")).is_ok_and(|n| n.starts_with("package"));
            is_package && name.starts_with("intel-rapl:")
        })
        .filter_map(|zone| Counter::open(zone))
        .collect()
}

fn read_number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Processor time of this process and its threads, where the system tells it as Linux does.
pub fn cpu_seconds() -> Option<f64> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15, `utime` and `stime` (proc(5)). The second field, the program's name, may hold anything.
fn parse_stat(stat: &str) -> Option<f64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_packages_and_wrap() {
        let folder = tempfile::tempdir().unwrap();
        let set = |zone: &str, file: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join(file), text).unwrap();
        };
        for (zone, name, at) in [
            ("intel-rapl:0", "package-0", "900000\n"),
            ("intel-rapl:1", "package-1", "5\n"),
            ("intel-rapl:0:0", "core", "7\n"),
        ] {
            set(zone, "name", name);
            set(zone, "energy_uj", at);
            set(zone, "max_energy_range_uj", "1000000\n");
        }
        let mut meter = Meter::with_counters(folder.path());
        set("intel-rapl:0", "energy_uj", "100000\n");
        meter.poll();
        set("intel-rapl:0", "energy_uj", "400000\n");
        set("intel-rapl:1", "energy_uj", "1000005\n");
        let energy = meter.stop();
        assert!(!energy.is_estimate, "{energy:?}");
        // 0.1 J to the wrap, 0.1 and 0.3 after it; 1 J of the other.
        assert!((energy.joules - 1.5).abs() < 1e-9, "{energy:?}");
    }

    #[test]
    fn without_counters_it_is_an_estimate_that_says_so() {
        let meter = Meter::with_counters(Path::new("/nowhere"));
        let energy = meter.stop();
        assert!(energy.is_estimate && energy.source.starts_with("estimate"), "{energy:?}");
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "1 (a b) c) S 1 1 1 0 -1 4194560 1 2 3 4 150 250 5 6 20 0 1 0 1 1 1";
        assert_eq!(parse_stat(stat), Some(4.0));
        assert_eq!(parse_stat("1 (x) S"), None);
    }

    #[test]
    fn a_kilowatt_hour_emits_what_the_grid_says() {
        assert_eq!(co2_grams(7.2e6, 400.0), 800.0);
    }
}
