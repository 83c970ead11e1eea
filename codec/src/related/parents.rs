//! Which columns say most about another, from a sample of the rows.

use super::Bins;

/// Rows looked at.
const SAMPLE: usize = 8192;
/// Bits it takes to learn the distribution of one pair of bins, roughly.
const BITS_TO_LEARN: f64 = 2.0;
/// Parents at most.
pub(crate) const MAX_PARENTS: usize = 3;

/// The parents of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parents {
    /// The strongest first.
    pub columns: Vec<usize>,
    /// What says most together with the first.
    pub pair: Option<usize>,
    /// Whether the rows before say something too.
    pub has_rows: bool,
}

/// Chooses among `candidates`.
pub(crate) fn choose<'a>(
    target: usize,
    candidates: &[usize],
    bins: impl Fn(usize) -> &'a Bins,
    n_rows: usize,
) -> Parents {
    let stride = n_rows.div_ceil(SAMPLE).max(1);
    let rows: Vec<usize> = (0..n_rows).step_by(stride).collect();
    let learning = BITS_TO_LEARN / stride as f64;
    let of = |c: usize| -> Vec<u32> { rows.iter().map(|&r| bins(c).coarse(r)).collect() };
    let (values, n_values) = (of(target), bins(target).n_coarse());
    let alone = conditional_bits(&values, n_values, &vec![0; rows.len()], 1, learning);
    let row_before: Vec<u32> = rows.iter().map(|&r| bins(target).coarse(r.saturating_sub(1))).collect();
    let has_rows = conditional_bits(&values, n_values, &row_before, n_values, learning) < 0.99 * alone;
    let mut single: Vec<(f64, usize)> = candidates
        .iter()
        .map(|&c| (conditional_bits(&values, n_values, &of(c), bins(c).n_coarse(), learning), c))
        .filter(|&(bits, _)| bits < 0.995 * alone)
        .collect();
    single.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some(&(bits, first)) = single.first() else { return Parents { has_rows, ..Parents::default() } };
    let (first_values, n_first) = (of(first), bins(first).n_coarse());
    let pair = candidates
        .iter()
        .filter(|&&c| c != first)
        .map(|&c| {
            let joint: Vec<u32> = of(c).iter().zip(&first_values).map(|(a, b)| a / 2 * n_first as u32 + b).collect();
            (conditional_bits(&values, n_values, &joint, bins(c).n_coarse().div_ceil(2) * n_first, learning), c)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|&(together, _)| together < 0.99 * bits);
    Parents {
        columns: single.iter().take(MAX_PARENTS).map(|&(_, c)| c).collect(),
        pair: pair.map(|(_, column)| column),
        has_rows,
    }
}

/// Bits of the sampled values given those of another column, and of learning their distributions.
fn conditional_bits(values: &[u32], n_values: usize, given: &[u32], n_given: usize, learning: f64) -> f64 {
    let mut joint = vec![0u32; n_values * n_given];
    let mut sums = vec![0u32; n_given];
    for (&v, &g) in values.iter().zip(given) {
        joint[g as usize * n_values + v as usize] += 1;
        sums[g as usize] += 1;
    }
    let mut bits = 0.0;
    for (counts, &sum) in joint.chunks_exact(n_values).zip(&sums).filter(|(_, sum)| **sum > 0) {
        for &count in counts.iter().filter(|&&count| count > 0) {
            bits += f64::from(count) * (f64::from(sum) / f64::from(count)).log2() + learning;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_who_knows() {
        let noise = |i: usize, k: u64| ((i as u64 + 1).wrapping_mul(k) >> 40) as f64;
        let columns: Vec<Vec<f64>> = vec![
            (0..4000).map(|i| noise(i, 0x9E37_79B9_7F4A_7C15)).collect(),
            (0..4000).map(|i| noise(i, 0xC2B2_AE3D_27D4_EB4F)).collect(),
            (0..4000).map(|i| noise(i, 0xC2B2_AE3D_27D4_EB4F) * 2.0 + 5.0).collect(),
            (0..4000).map(|i| f64::from(noise(i, 0x9E37_79B9_7F4A_7C15) > noise(i, 0xC2B2_AE3D_27D4_EB4F))).collect(),
        ];
        let bins: Vec<Bins> = columns.iter().map(|c| Bins::new(c)).collect();
        assert_eq!(choose(2, &[0, 1], |c| &bins[c], 4000).columns, [1]);
        let parents = choose(3, &[0, 1], |c| &bins[c], 4000);
        assert_eq!(parents.columns.len(), 2);
        assert!(parents.pair.is_some(), "{parents:?}");
        for candidates in [&[0][..], &[]] {
            let parents = choose(1, candidates, |c| &bins[c], 4000);
            assert!(parents.columns.is_empty() && parents.pair.is_none(), "{parents:?}");
        }
    }

    #[test]
    fn rows_before_count_where_a_column_runs_on() {
        let mut seed = 1u64;
        let mut noise = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 40) as f64
        };
        let shuffled = Bins::new(&(0..8000).map(|_| noise()).collect::<Vec<_>>());
        let rising = Bins::new(&(0..8000).map(|i| f64::from(i / 10)).collect::<Vec<_>>());
        assert!(!choose(0, &[], |_| &shuffled, 8000).has_rows);
        assert!(choose(0, &[], |_| &rising, 8000).has_rows);
    }
}
