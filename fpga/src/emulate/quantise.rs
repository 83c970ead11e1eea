//! Floats to the integers of the input, many at once.

use super::{Emulator, Port};
use crate::fixed::{Fixed, Format, Overflow, Rounding};
use baler_codec::{Error, Result};

/// The widest format whose cast is done in binary64: value, half and limits are then exact.
const MAX_FAST_WIDTH: u32 = 32;

impl Emulator {
    /// The integers of `rows` rows of transformed values, as
    /// [`Input::quantise_transformed`](crate::ir::Input::quantise_transformed) gives them.
    ///
    /// # Errors
    /// Wrong lengths, NaN and infinities (with their place), and a type that does not hold the integers.
    pub fn quantise<P: Port>(&self, rows: usize, values: &[f32], raw: &mut [P]) -> Result<()> {
        let formats = &self.program().input().formats;
        if rows.checked_mul(formats.len()) != Some(values.len()) || values.len() != raw.len() {
            return Err(Error::invalid(format!(
                "{} values for {} integers: expected {rows} rows of {}",
                values.len(),
                raw.len(),
                formats.len()
            )));
        }
        if let Some(format) = formats.iter().find(|f| f.width() + u32::from(!f.is_signed()) > P::BITS) {
            return Err(Error::invalid(format!("{format} in integers of {} bits: choose wider ones", P::BITS)));
        }
        let place = |k: usize| format!("row {}, value {}", k / formats.len(), k % formats.len());
        if let Some(k) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::invalid(format!("{}: {}, expected a finite number", place(k), values[k])));
        }
        let fast: Option<Vec<Fast>> = formats.iter().map(|&format| Fast::new(format)).collect();
        match fast {
            Some(fast) => {
                for (values, raw) in values.chunks_exact(formats.len()).zip(raw.chunks_exact_mut(formats.len())) {
                    for ((&value, raw), fast) in values.iter().zip(raw).zip(&fast) {
                        *raw = P::truncate(fast.cast(value));
                    }
                }
            }
            None => {
                for ((&value, raw), &format) in values.iter().zip(raw).zip(formats.iter().cycle()) {
                    *raw = P::truncate(Fixed::from_f64(value.into(), format)?.raw() as i64);
                }
            }
        }
        Ok(())
    }

    /// `rows` rows of transformed values to latents: quantised, computed, and as the 32-bit floats nearest to them.
    ///
    /// # Errors
    /// As [`Emulator::quantise`] and [`Emulator::run`].
    pub fn encode(&self, rows: usize, values: &[f32], latents: &mut [f32]) -> Result<()> {
        let (n_in, n_out) = (self.program().input_len(), self.program().output_len());
        if rows.checked_mul(n_in) != Some(values.len()) || rows.checked_mul(n_out) != Some(latents.len()) {
            return Err(Error::invalid(format!(
                "{} values and {} latents: expected {rows} rows of {n_in} and of {n_out}",
                values.len(),
                latents.len()
            )));
        }
        const ROWS: usize = 1024;
        let steps: Vec<i32> = self.program().output_formats().iter().map(|f| -f.fraction_bits()).collect();
        let steps: Vec<f64> = steps.into_iter().map(|n| 2f64.powi(n)).collect();
        let (mut raw_in, mut raw_out) = (vec![0i64; ROWS.min(rows) * n_in], vec![0i64; ROWS.min(rows) * n_out]);
        for (values, latents) in values.chunks(ROWS * n_in).zip(latents.chunks_mut(ROWS * n_out)) {
            let rows = values.len() / n_in;
            let (raw_in, raw_out) = (&mut raw_in[..rows * n_in], &mut raw_out[..rows * n_out]);
            self.quantise(rows, values, raw_in)?;
            self.run(rows, raw_in, raw_out)?;
            for (latents, raw) in latents.chunks_exact_mut(n_out).zip(raw_out.chunks_exact(n_out)) {
                for ((latent, &raw), step) in latents.iter_mut().zip(raw).zip(&steps) {
                    *latent = (raw as f64 * step) as f32;
                }
            }
        }
        Ok(())
    }
}

/// A cast to nearest or down, saturating, of values of binary32.
struct Fast {
    scale: f64,
    half: f64,
    min: f64,
    max: f64,
}

impl Fast {
    fn new(format: Format) -> Option<Self> {
        let half = match format.rounding() {
            Rounding::Trn => 0.0,
            Rounding::Rnd => 0.5,
            _ => return None,
        };
        // A power of two that leaves every value of binary32 a normal double.
        let is_fast = format.overflow() == Overflow::Sat
            && format.width() <= MAX_FAST_WIDTH
            && (-500..=500).contains(&format.fraction_bits());
        is_fast.then(|| Self {
            scale: 2f64.powi(format.fraction_bits()),
            half,
            min: format.min_raw() as f64,
            max: format.max_raw() as f64,
        })
    }

    /// The value times the scale is exact. Adding a half may round, but not across an integer: where the sum has more than
    /// 53 bits, either the value is so small that the half decides, or so large that it is saturated.
    #[inline(always)]
    fn cast(&self, value: f32) -> i64 {
        (f64::from(value) * self.scale + self.half).floor().max(self.min).min(self.max) as i64
    }
}
