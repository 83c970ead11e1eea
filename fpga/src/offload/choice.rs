//! Which device, and how it is watched.

use crate::device::{self, Driver, Fault, Settings};
use baler_codec::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Names the device, for hosts that have no other way to ask: see [`Choice`].
pub const VARIABLE: &str = "BALER_DEVICE";

/// Which device, and how it is watched: `NAME`, or `NAME:KEY=VALUE,...`.
///
/// | key | what | without it |
/// |---|---|---|
/// | `check` | `all`, or N: every N-th row is compared with the emulator | `all` |
/// | `timeout` | milliseconds a batch may take | 2000 |
/// | `rows` | rows of a batch | 4096 |
/// | `faults` | faults after which the device is not used any more | 3 |
///
/// All other keys are the device's own. With `check=all` no wrong result gets past; with a sample a device that is wrong
/// in few rows may.
#[derive(Clone)]
pub struct Choice {
    text: String,
    driver: &'static dyn Driver,
    settings: Settings,
    /// Every so many rows one is compared; 1 for all.
    pub check: usize,
    /// For one batch.
    pub timeout: Duration,
    /// Rows of a batch.
    pub rows: usize,
    /// Faults after which the device is given up.
    pub faults: u64,
}

impl Choice {
    /// The emulator.
    pub fn emulator() -> Self {
        Self {
            text: device::DEVICES[0].name().into(),
            driver: device::DEVICES[0],
            settings: Settings::default(),
            check: 1,
            timeout: Duration::from_secs(2),
            rows: 4096,
            faults: 3,
        }
    }

    /// What [`VARIABLE`] says; the emulator if it is not set.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.trim().is_empty() => {
                text.parse().map_err(|e: Error| e.context(format_args!("{VARIABLE}={text}")))
            }
            _ => Ok(Self::emulator()),
        }
    }

    /// The kind of device.
    pub fn driver(&self) -> &'static dyn Driver {
        self.driver
    }

    /// What is left for the device itself.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn is_emulator(&self) -> bool {
        self.driver.name() == device::DEVICES[0].name()
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |fault: Fault| Error::invalid(fault.message);
        let (name, settings) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        let mut settings = Settings::parse(settings);
        let driver = device::driver(name).map_err(wrong)?;
        let mut choice = Self { text: text.trim().into(), driver, ..Self::emulator() };
        let mut count = |key: &str, at_least: u64| -> Result<Option<u64>> {
            let expected = format!("an integer of at least {at_least}");
            match settings.take::<u64>(key, &expected).map_err(wrong)? {
                Some(n) if n < at_least => Err(Error::invalid(format!("{key}={n}: expected {expected}"))),
                n => Ok(n),
            }
        };
        if let Some(ms) = count("timeout", 1)? {
            choice.timeout = Duration::from_millis(ms);
        }
        if let Some(rows) = count("rows", 1)? {
            choice.rows = usize::try_from(rows).unwrap_or(usize::MAX).min(1 << 20);
        }
        if let Some(faults) = count("faults", 1)? {
            choice.faults = faults;
        }
        match settings.take::<String>("check", "all or an integer").map_err(wrong)? {
            None => {}
            Some(all) if all == "all" => {}
            Some(n) => match n.parse() {
                Ok(n) if n >= 1 => choice.check = n,
                _ => return Err(Error::invalid(format!("check={n}: expected all, or an integer of at least 1"))),
            },
        }
        choice.settings = settings;
        Ok(choice)
    }
}

/// As it was asked for.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Choice({self})")
    }
}
