//! A column's values as contexts: numbered by quantiles.

/// Bins at most.
const MOST: usize = 256;
/// Values that the quantiles are taken from.
const SAMPLE: usize = 1 << 16;
/// Coarse bins at most.
const MOST_COARSE: usize = 32;

/// Which of a column's bins each row lies in. Bins hold about equally many rows; a value that fills several has one to
/// itself, so that few distinct values are told apart.
#[derive(Clone, Debug)]
pub(crate) struct Bins {
    fine: Vec<u8>,
    n_bins: usize,
}

impl Bins {
    /// Of decoded values. NaN has a place in the total order like any other value.
    pub fn new(values: &[f64]) -> Self {
        let mut sorted: Vec<i64> =
            values.iter().step_by(values.len().div_ceil(SAMPLE).max(1)).map(|&v| total_order(v)).collect();
        sorted.sort_unstable();
        let n = sorted.len();
        let mut thresholds: Vec<i64> = (1..MOST).filter(|_| n > 0).map(|i| sorted[i * n / MOST]).collect();
        // A bin begins at its threshold; nothing lies below the smallest value.
        thresholds.retain(|&t| t > sorted[0]);
        thresholds.dedup();
        let fine = values.iter().map(|&v| thresholds.partition_point(|&t| t <= total_order(v)) as u8).collect();
        Self { fine, n_bins: thresholds.len() + 1 }
    }

    /// The bin of a row, below [`Bins::n_fine`].
    #[inline]
    pub fn fine(&self, row: usize) -> u32 {
        u32::from(self.fine[row])
    }

    /// A coarser bin, below [`Bins::n_coarse`].
    #[inline]
    pub fn coarse(&self, row: usize) -> u32 {
        if self.n_bins <= MOST_COARSE {
            self.fine(row)
        } else {
            self.fine(row) * MOST_COARSE as u32 / self.n_bins as u32
        }
    }

    pub fn n_coarse(&self) -> usize {
        self.n_bins.min(MOST_COARSE)
    }
}

/// An integer that orders floats as `f64::total_cmp` does.
fn total_order(v: f64) -> i64 {
    let bits = v.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_many_share() {
        let few: Vec<f64> = (0..1000).map(|i| [-999.0, 0.0, 1.5, f64::NAN][i % 4]).collect();
        let bins = Bins::new(&few);
        assert_eq!(bins.n_coarse(), 4);
        for i in 0..1000 {
            assert_eq!(bins.fine(i), [0, 1, 2, 3][i % 4], "{i}");
            assert_eq!(bins.coarse(i), bins.fine(i));
        }
        let many: Vec<f64> = (0..100_000).map(|i| f64::from(i).sqrt()).collect();
        let bins = Bins::new(&many);
        assert_eq!((bins.fine(0), bins.fine(99_999)), (0, 255));
        assert_eq!((bins.coarse(0), bins.coarse(99_999), bins.n_coarse()), (0, 31, 32));
        assert_eq!(bins.fine(50_000), 128);
        assert_eq!(Bins::new(&[]).n_coarse(), 1);
    }
}
