//! Flags that several commands share, with the same meaning in each.

use crate::failure::{Failure, Result};
use crate::format::Array;
use baler_codec::{Bound, ByteOrder, Dtype, Effort};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;

/// The promise: one of these, where a command needs one.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub struct BoundArgs {
    /// Largest absolute error of any value
    #[arg(long, value_name = "X", help_heading = "Bound (one of these)")]
    abs: Option<f64>,
    /// Largest error relative to the range (max - min) of the whole array; with --columns, of each column
    #[arg(long, value_name = "X", help_heading = "Bound (one of these)")]
    rel: Option<f64>,
    /// Largest error of each value relative to that value; zeros stay zero
    #[arg(long, value_name = "X", help_heading = "Bound (one of these)")]
    pw_rel: Option<f64>,
    /// Smallest peak signal-to-noise ratio in dB over the array: 20 log10(range / rms error)
    #[arg(long, value_name = "DB", help_heading = "Bound (one of these)")]
    psnr: Option<f64>,
    /// Every bit comes back
    #[arg(long, help_heading = "Bound (one of these)")]
    lossless: bool,
    /// The latents of the model alone: a fixed size and no bound at all; needs --model
    #[arg(long, help_heading = "Bound (one of these)")]
    latent: bool,
}

impl BoundArgs {
    /// The bound, checked; an error that lists them if none is named.
    pub fn bound(&self) -> Result<Bound> {
        self.optional()?.ok_or_else(|| {
            Failure::usage(
                "name a bound: --abs X, --rel X, --pw-rel X, --psnr DB, --lossless or --latent; for example --rel 1e-3",
            )
        })
    }

    /// The bound, checked, if one is named.
    pub fn optional(&self) -> Result<Option<Bound>> {
        let bound = match (self.abs, self.rel, self.pw_rel, self.psnr) {
            (Some(v), ..) => Bound::Abs(v),
            (_, Some(v), ..) => Bound::Rel(v),
            (_, _, Some(v), _) => Bound::PwRel(v),
            (.., Some(v)) => Bound::Psnr(v),
            _ if self.latent => Bound::Latent,
            _ if self.lossless => Bound::Lossless,
            _ => return Ok(None),
        };
        bound.validate()?;
        Ok(Some(bound))
    }
}

/// How to encode.
#[derive(Args, Clone, Debug)]
pub struct EncodeArgs {
    #[command(flatten)]
    pub bound: BoundArgs,
    /// The last axis holds the columns of a table: relative bounds are meant of each column
    #[arg(long)]
    pub columns: bool,
    /// `auto` (every model that fits), `none`, the name or id of a model, or a .bundle file
    #[arg(long, value_name = "MODEL", default_value = "auto")]
    pub model: String,
    /// How long to search for the smallest encoding
    #[arg(long, value_enum, default_value_t = EffortArg::Default)]
    pub effort: EffortArg,
    /// Decode every chunk and compare it with the input before it is written
    #[arg(long)]
    pub check: bool,
}

/// See [`Effort`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EffortArg {
    /// The cheapest candidates only
    Fast,
    /// All candidates, chosen from samples
    Default,
    /// All candidates, each encoded in full
    Max,
}

impl From<EffortArg> for Effort {
    fn from(arg: EffortArg) -> Self {
        match arg {
            EffortArg::Fast => Effort::Fast,
            EffortArg::Default => Effort::Default,
            EffortArg::Max => Effort::Max,
        }
    }
}

/// Where encoders in fixed point run.
#[derive(Args, Clone, Debug, Default)]
pub struct DeviceArgs {
    /// What runs the encoders of fixed-point models: `emulator`, `opencl`, ... (`baler fpga devices` lists them); the
    /// result is the same. By default BALER_DEVICE, or the emulator
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl DeviceArgs {
    /// Makes it the device of this process, before any encoder is asked for.
    pub fn apply(&self) -> Result<()> {
        let Some(text) = &self.device else { return Ok(()) };
        let choice = text.parse().map_err(|e| Failure::usage(format!("--device: {e}")))?;
        Ok(baler_fpga::offload::set_host(choice)?)
    }

    /// Says what the device did, if one was asked for or went wrong.
    pub fn put(&self, text: &mut String, json: &mut serde_json::Value) {
        let host = baler_fpga::offload::host();
        let counters = host.counters();
        if self.device.is_none() && counters.n_faults() == 0 {
            return;
        }
        *text += &format!("\n  device {}: {counters}", host.choice());
        let faults: BTreeMap<&str, u64> = counters.faults.iter().map(|(kind, n)| (kind.name(), *n)).collect();
        json["device"] = serde_json::json!({
            "device": host.choice().to_string(),
            "device_rows": counters.device_rows,
            "software_rows": counters.software_rows,
            "checked_rows": counters.checked_rows,
            "faults": faults,
            "resets": counters.resets,
            "quarantined": counters.quarantined,
        });
    }
}

/// How many threads.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThreadArgs {
    /// Number of threads; by default one for each processor
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZero<usize>>,
}

impl ThreadArgs {
    pub fn n_threads(self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, std::num::NonZero::get)
    }
}

/// Whether to write and what to read.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// Replace the output if it is there
    #[arg(long, short)]
    pub force: bool,
    /// Only this array: member of a .npz, path of an HDF5 dataset; may be repeated
    #[arg(long = "array", value_name = "NAME")]
    pub arrays: Vec<String>,
}

impl FileArgs {
    /// Whether an array was asked for; all are if none is named.
    pub fn wants(&self, array: &Array) -> bool {
        self.arrays.is_empty() || self.arrays.iter().any(|n| n.trim_start_matches('/') == array.shown_name())
    }

    /// An error if a name was asked for that is not there.
    pub fn check_names(&self, arrays: &[Array]) -> Result<()> {
        for name in &self.arrays {
            if !arrays.iter().any(|a| a.shown_name() == name.trim_start_matches('/')) {
                let there: Vec<&str> = arrays.iter().map(Array::shown_name).collect();
                return Err(Failure::usage(format!("no array {name:?} in the file; there are: {}", there.join(", "))));
            }
        }
        Ok(())
    }
}

/// A fill value as the bytes of one element: `nan`, `-999`, `1e20`.
pub fn fill_value(text: &str, dtype: Dtype, byte_order: ByteOrder) -> Result<Vec<u8>> {
    let bad = |why: &str| Failure::usage(format!("--fill {text}: {why} for {dtype}"));
    let mut bytes = if dtype.is_float() {
        let v: f64 = text.parse().map_err(|_| bad("not a number"))?;
        match dtype {
            Dtype::F16 => half::f16::from_f64(v).to_le_bytes().to_vec(),
            Dtype::F32 => (v as f32).to_le_bytes().to_vec(),
            _ => v.to_le_bytes().to_vec(),
        }
    } else {
        let v: i128 = text.parse().map_err(|_| bad("not an integer"))?;
        let bits = 8 * dtype.size_bytes() as u32;
        let signed = dtype.name().starts_with('i');
        let (min, max) = if signed { (-(1i128 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
        if v < min || v > max {
            return Err(bad("out of range"));
        }
        v.to_le_bytes()[..dtype.size_bytes()].to_vec()
    };
    if byte_order == ByteOrder::Big {
        bytes.reverse();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_values_are_elements() {
        let fill = |text, dtype| fill_value(text, dtype, ByteOrder::Big).ok();
        assert_eq!(fill("-999", Dtype::I16), Some(vec![0xfc, 0x19]));
        assert_eq!(fill("255", Dtype::U8), Some(vec![255]));
        assert_eq!(fill("256", Dtype::U8), None);
        assert_eq!(fill("-1", Dtype::U32), None);
        assert_eq!(fill("1.5", Dtype::I32), None);
        assert_eq!(fill("1e20", Dtype::F32), Some(1e20f32.to_be_bytes().to_vec()));
        assert_eq!(fill("18446744073709551615", Dtype::U64), Some(vec![255; 8]));
    }
}
