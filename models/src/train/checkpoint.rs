//! Training broken off, as a file: going on from it gives what would have come without the break, byte for byte.
//!
//! ```text
//! "BALERCKP"  header length (u32)  header (TOML)  values (f32...)  XXH3-64 of everything before
//! ```
//!
//! All little-endian. The values are those of the header's `lens`, one list after the other: parameters, the best ones yet
//! (or none), and for each trained tensor its two moments (or none).

use super::{Epoch, Options};
use baler_codec::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"BALERCKP";

/// Where training stands, beside the values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Version of this layout.
    pub version: u32,
    /// The options that shape the result, as TOML.
    pub options: String,
    /// Hash of the data, hexadecimal.
    pub data: String,
    /// State of the random generator, hexadecimal.
    pub random: Vec<String>,
    /// Steps of the optimiser taken.
    pub step: usize,
    /// Learning rate, best loss and stale epochs of the schedule.
    pub plateau: (f64, f64, usize),
    /// Best loss and stale epochs of early stopping.
    pub stopping: (f64, usize),
    /// Training has ended: only the bundle is to be made.
    pub ended: bool,
    /// Every epoch: training loss, validation loss (NaN for none), learning rate, seconds since the start.
    pub epochs: Vec<(f64, f64, f64, f64)>,
    /// Lengths of the lists of values.
    pub lens: Vec<usize>,
}

/// The version that is written and read.
pub(super) const VERSION: u32 = 1;

/// The options that decide what training gives, for comparison: not those that only say where it is written to.
pub(super) fn decisive(options: &Options) -> Result<String> {
    let defaults = Options::default();
    let mut options = options.clone();
    options.name = String::new();
    options.description = String::new();
    options.license = String::new();
    options.card = None;
    options.checkpoint = None;
    options.checkpoint_epochs = defaults.checkpoint_epochs;
    options.resume = false;
    toml::to_string(&options).map_err(|e| Error::invalid(e.to_string()))
}

/// Epochs as they are kept.
pub(super) fn pack(epochs: &[Epoch]) -> Vec<(f64, f64, f64, f64)> {
    let row =
        |e: &Epoch| (e.training_loss, e.validation_loss.unwrap_or(f64::NAN), e.learning_rate, e.elapsed.as_secs_f64());
    epochs.iter().map(row).collect()
}

/// Epochs as they were.
pub(super) fn unpack(packed: &[(f64, f64, f64, f64)], epochs: usize) -> Vec<Epoch> {
    let row = |(i, &(training_loss, validation, learning_rate, elapsed)): (usize, &(f64, f64, f64, f64))| Epoch {
        epoch: i + 1,
        epochs,
        training_loss,
        validation_loss: (!validation.is_nan()).then_some(validation),
        learning_rate,
        elapsed: Duration::try_from_secs_f64(elapsed).unwrap_or_default(),
        remaining: Duration::ZERO,
    };
    packed.iter().enumerate().map(row).collect()
}

/// Writes beside the file, then renames: a crash leaves the checkpoint before.
pub(super) fn write(path: &Path, state: &State, values: &[&[f32]]) -> Result<()> {
    let state = State { version: VERSION, lens: values.iter().map(|v| v.len()).collect(), ..state.clone() };
    let header = toml::to_string(&state).map_err(|e| Error::invalid(e.to_string()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|list| bytes.extend(list.iter().flat_map(|v| v.to_le_bytes())));
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|e| Error::invalid(format!("checkpoint {}: {e}", path.display())))
}

/// Reads a checkpoint of training with these options on data of this digest. `None` if there is no such file.
pub(super) fn read(path: &Path, options: &Options, digest: &str) -> Result<Option<(State, Vec<Vec<f32>>)>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::invalid(format!("checkpoint {}: {e}", path.display()))),
    };
    let (state, values) = parse(&bytes).map_err(|e| e.context(format!("checkpoint {}", path.display())))?;
    let misfit = |what: String| {
        Error::invalid(format!("checkpoint {}: {what}; delete it, or train without going on from it", path.display()))
    };
    if state.data != digest {
        return Err(misfit("it was trained on other data".into()));
    }
    let asked = decisive(options)?;
    if state.options != asked {
        let differs = asked.lines().find(|line| !state.options.lines().any(|old| old == *line));
        let old = |key: &str| state.options.lines().find(|line| line.starts_with(key)).unwrap_or("unset").to_string();
        let note = differs.map_or(String::new(), |line| {
            let key = line.split('=').next().unwrap_or(line);
            format!(": now {line}, then {}", old(key))
        });
        return Err(misfit(format!("it was trained with other options{note}")));
    }
    Ok(Some((state, values)))
}

fn parse(bytes: &[u8]) -> Result<(State, Vec<Vec<f32>>)> {
    let damaged = || Error::new(ErrorKind::Corrupt, "the file is damaged or no checkpoint: delete it and train anew");
    let body = bytes.len().checked_sub(8).map(|n| &bytes[..n]).ok_or_else(damaged)?;
    let rest = body.strip_prefix(MAGIC).ok_or_else(damaged)?;
    if xxh3_64(body).to_le_bytes() != bytes[body.len()..] {
        return Err(damaged());
    }
    let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (header, values) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let table: toml::Table = header.parse().map_err(|_| damaged())?;
    match table.get("version").and_then(toml::Value::as_integer) {
        Some(v) if v == i64::from(VERSION) => {}
        v => return Err(Error::new(ErrorKind::Version, format!("version {v:?}: this program reads {VERSION}"))),
    }
    let state: State = table.try_into().map_err(|_| damaged())?;
    let mut floats = values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if state.lens.iter().try_fold(0usize, |n, len| n.checked_add(*len)) != Some(values.len() / 4) {
        return Err(damaged());
    }
    let lists = state.lens.iter().map(|&n| floats.by_ref().take(n).collect()).collect();
    Ok((state, lists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_exactly_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let options = Options::new("any");
        let state = State {
            version: VERSION,
            options: decisive(&options).unwrap(),
            data: "00ff".into(),
            random: vec!["1".into(); 4],
            plateau: (0.1, f64::INFINITY, 3),
            stopping: (1.0 / 3.0, 0),
            epochs: vec![(0.1 + 0.2, 1.0, 1e-300, 0.5)],
            lens: vec![2, 0, 1],
            ..State::default()
        };
        let values: [&[f32]; 3] = [&[1.5, -0.0], &[], &[f32::MIN_POSITIVE]];
        write(&path, &state, &values).unwrap();
        let (read_state, read_values) = read(&path, &options, "00ff").unwrap().unwrap();
        assert_eq!((&read_state, read_values), (&state, values.map(<[f32]>::to_vec).to_vec()));

        assert!(read(&folder.path().join("none"), &options, "").unwrap().is_none());
        let message = |error: Error| error.message().to_string();
        assert!(message(read(&path, &options, "0").unwrap_err()).contains("other data"));
        let other = Options { epochs: 3, ..options.clone() };
        let error = message(read(&path, &other, "00ff").unwrap_err());
        assert!(error.contains("epochs = 3") && error.contains("epochs = 200"), "{error}");

        let good = std::fs::read(&path).unwrap();
        for at in [0, 9, 40, good.len() - 9, good.len() - 1] {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path, &options, "00ff").unwrap_err().kind(), ErrorKind::Corrupt, "{at}");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(message(read(&path, &options, "00ff").unwrap_err()).contains("damaged"));
    }
}
