//! Encoder side: which axes are transformed together and how wide the steps are, tried on a block of the array.

use super::coefficients;
use super::dequantise;
use super::transform::{AXES, Group, Layout};
use crate::candidate::interpolated::middle_block;
use crate::entropy::context::{self, Lattice};
use crate::entropy::rans;
use crate::params::Effort;
use crate::predict::search::bits_per_value;
use crate::simd::{self, Kernel};

/// What a block says.
pub(super) struct Plan {
    pub axes: Vec<u8>,
    /// Steps of the coefficients over those of the corrections.
    pub factor: f64,
    /// Bytes of the whole by the coder, judged from the block.
    pub bytes: f64,
    /// Bytes of the block by the coder over those by the estimate.
    pub share: f64,
    /// Bytes of the corrections of the whole, by the estimate.
    pub corrections: f64,
}

/// Values of the block that plans are tried on.
const MAX_SAMPLE: usize = 1 << 16;
const MIN_SAMPLE: usize = 1 << 14;

/// Steps tried; the search goes up or down from the middle while it gains.
const FACTORS: [f64; 8] = [0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.6];
const FIRST_FACTOR: usize = 3;

/// Coefficients this much nearer to zero than half a step count as less: their bits are worth more than their error.
const DEAD_ZONE: f64 = 0.12;

/// Coefficients over their step; none if they do not fit.
pub(super) fn quantise(coefficients: &[f64], step: f64) -> Option<Vec<i32>> {
    struct Quantise<'a>(&'a [f64], f64);

    impl Kernel for Quantise<'_> {
        type Output = Option<Vec<i32>>;

        #[inline(always)]
        fn run(self) -> Self::Output {
            const MAX: f64 = (1 << 30) as f64;
            let Self(coefficients, step) = self;
            let inverse = 1.0 / step;
            let mut fits = true;
            let steps = coefficients.iter().map(|&v| {
                let m = (v.abs() * inverse + (0.5 - DEAD_ZONE)).floor();
                // False for NaN.
                fits &= m < MAX;
                let m = m as i32;
                if v < 0.0 { -m } else { m }
            });
            let steps = steps.collect();
            fits.then_some(steps)
        }
    }

    simd::run(Quantise(coefficients, step))
}

/// The block that plans are tried on.
pub(super) struct Sample {
    values: Vec<f64>,
    extents: [usize; AXES],
    /// Values of the array for each of the block.
    scale: f64,
}

impl Sample {
    /// All there is.
    pub fn all(values: Vec<f64>, extents: [usize; AXES]) -> Self {
        Self { values, extents, scale: 1.0 }
    }

    pub fn cut(values: &[f64], extents: [usize; AXES], effort: Effort) -> Self {
        let is_max = effort == Effort::Max;
        let size = if is_max { MAX_SAMPLE } else { (values.len() / 4).clamp(MIN_SAMPLE, MAX_SAMPLE) };
        let (sample, cut) = cut_sample(values, extents, size);
        Self { scale: values.len() as f64 / sample.len() as f64, values: sample, extents: cut }
    }
}

/// The plan with the fewest bytes for a block, unless it promises more than `to_beat` for all.
pub(super) fn plan(sample: &Sample, step: f64, to_beat: usize, effort: Effort) -> Option<Plan> {
    let is_max = effort == Effort::Max;
    let &Sample { values: ref sample, extents: cut, scale } = sample;
    let transformed = |axes: &[u8]| {
        let layout = Layout::new(cut, &groups(axes, cut, DEPTHS[0]));
        let mut coefficients = sample.clone();
        layout.forward(&mut coefficients);
        (layout, coefficients)
    };
    let cost = |(layout, coefficients): &(Layout, Vec<f64>), factor: usize, bytes: Bytes| {
        trial(sample, layout, coefficients, step, step * FACTORS[factor], bytes).unwrap_or(Cost::INFINITE)
    };
    let to_beat = to_beat as f64 / scale;
    // Plans are compared with each other by an estimate, with what is to be beaten by the coder itself.
    let compare = if is_max { Bytes::Coded } else { Bytes::Estimated };
    let choices = groupings(cut);
    let (mut axes, mut factor) = (&choices[0], FIRST_FACTOR);
    let mut best = transformed(axes);
    let mut least = cost(&best, factor, compare);
    // Another plan does not save more than that.
    if !is_max && least.sum() > to_beat && cost(&best, factor, Bytes::Quick).sum() * 0.75 > to_beat {
        return None;
    }
    for choice in &choices[1..] {
        let other = transformed(choice);
        // Corrections depend on the steps, hardly on the axes.
        let bytes = quantise(&other.1, step * FACTORS[factor]).and_then(|mut q| compare.of(&mut q, &other.0));
        if let Some(bytes) = bytes.filter(|&bytes| bytes < least.coefficients) {
            (least.coefficients, axes, best) = (bytes, choice, other);
        }
    }
    let mut keep_less = |cost: Cost| {
        let is_less = cost.sum() < least.sum();
        if is_less {
            least = cost;
        }
        is_less
    };
    while factor + 1 < FACTORS.len() && keep_less(cost(&best, factor + 1, compare)) {
        factor += 1;
    }
    if factor == FIRST_FACTOR {
        while factor > 0 && keep_less(cost(&best, factor - 1, compare)) {
            factor -= 1;
        }
    }
    let coded = if is_max { least.sum() } else { cost(&best, factor, Bytes::Quick).sum() };
    let axes = axes.clone();
    (is_max || coded < to_beat * 1.12).then(|| Plan {
        axes,
        factor: FACTORS[factor],
        bytes: coded * scale,
        share: coded / least.sum(),
        corrections: least.corrections * scale,
    })
}

/// Bytes that a block takes.
#[derive(Clone, Copy)]
struct Cost {
    coefficients: f64,
    corrections: f64,
}

impl Cost {
    const INFINITE: Self = Self { coefficients: f64::INFINITY, corrections: f64::INFINITY };

    fn sum(self) -> f64 {
        self.coefficients + self.corrections
    }
}

/// How bytes are counted.
#[derive(Clone, Copy)]
enum Bytes {
    /// By the coders that take the fewest.
    Coded,
    /// By rANS without its tables, which the whole writes once.
    Quick,
    /// By the distribution in each band, without contexts: an order of magnitude faster.
    Estimated,
}

impl Bytes {
    /// Those of coefficients.
    fn of(self, q: &mut [i32], layout: &Layout) -> Option<f64> {
        Some(match self {
            Self::Coded => coefficients::encode(q, layout, Effort::Max).1.len() as f64,
            Self::Quick => coefficients::quick_len(q, layout)? as f64,
            Self::Estimated => coefficients::estimate(q, layout) / 8.0,
        })
    }
}

/// How far axes are halved.
#[derive(Clone, Copy)]
struct Depth {
    /// Axes shorter than this are left alone.
    min_axis: usize,
    /// The longest axis of a group is halved while it has as much.
    min_extent: usize,
}

/// What is tried, the usual one first.
const DEPTHS: [Depth; 2] = [Depth { min_axis: 8, min_extent: 8 }, Depth { min_axis: 4, min_extent: 4 }];

fn groups(axes: &[u8], extents: [usize; AXES], depth: Depth) -> Vec<Group> {
    let group = |axes: u8| {
        let is_long = |a: usize| axes >> a & 1 == 1 && extents[a] >= depth.min_axis;
        let axes = (0..AXES).filter(|&a| is_long(a)).fold(0, |bits, a| bits | 1 << a);
        let mut longest = (0..AXES).filter(|&a| is_long(a)).map(|a| extents[a]).max().unwrap_or(1);
        let mut n_levels = 0;
        while longest >= depth.min_extent {
            longest = longest.div_ceil(2);
            n_levels += 1;
        }
        Group { axes, n_levels }
    };
    axes.iter().map(|&axes| group(axes)).filter(|g| g.axes != 0).collect()
}

/// All values transformed and quantised.
pub(super) struct Transformed {
    pub groups: Vec<Group>,
    pub layout: Layout,
    pub q: Vec<i32>,
    /// As much memory as the values took, for another use.
    pub values: Vec<f64>,
    /// Bits of the coefficients by the estimate.
    pub bits: f64,
}

/// The transform of all values, as deep as takes the fewest bits. Short axes and coarse levels look different in a block,
/// so this is judged from the whole, band by band without contexts. None if that is hopeless with the corrections of a block.
pub(super) fn transform(
    values: impl Fn() -> Option<Vec<f64>>,
    extents: [usize; AXES],
    plan: &Plan,
    step: f64,
    is_too_long: impl Fn(f64, f64) -> bool,
) -> Option<Transformed> {
    /// What another depth leaves of the bits, at least as a rule.
    const GAIN: f64 = 0.85;
    /// What is left of the corrections that a block makes expect, where it has more than the rest.
    const LIKELY: f64 = 0.95;
    /// Of all coefficients those that a further level would change, where it is worth a try.
    const MIN_COARSE: f64 = 0.01;
    let is_short = |a: usize| (DEPTHS[1].min_axis..DEPTHS[0].min_axis).contains(&extents[a]);
    let corrections = plan.corrections * LIKELY;
    let mut best: Option<Transformed> = None;
    for depth in DEPTHS {
        let groups = groups(&plan.axes, extents, depth);
        if let Some(best) = &best {
            let coarse = best
                .groups
                .iter()
                .map(|group| 0.5f64.powi((group.axes.count_ones() * u32::from(group.n_levels)) as i32));
            let is_like_best = coarse.sum::<f64>() < MIN_COARSE && !(0..AXES).any(is_short);
            if best.groups == groups || is_like_best {
                continue;
            }
        }
        let layout = Layout::new(extents, &groups);
        // One at a time.
        best.iter_mut().for_each(|best| best.values = Vec::new());
        let mut values = values()?;
        layout.forward(&mut values);
        let q = quantise(&values, step)?;
        let bits = coefficients::estimate(&q, &layout);
        if best.is_none() && is_too_long(bits * GAIN, corrections) {
            return None;
        }
        if best.as_ref().is_none_or(|best| bits < best.bits) {
            best = Some(Transformed { groups, layout, q, values, bits });
        } else {
            best.iter_mut().for_each(|best| best.values = std::mem::take(&mut values));
        }
    }
    best.filter(|best| !is_too_long(best.bits, corrections))
}

/// Bytes of coefficients and corrections.
fn trial(
    sample: &[f64],
    layout: &Layout,
    coefficients: &[f64],
    step: f64,
    coefficient_step: f64,
    bytes: Bytes,
) -> Option<Cost> {
    let mut q = quantise(coefficients, coefficient_step)?;
    let mut values = vec![0.0; q.len()];
    dequantise(&q, coefficient_step, &mut values);
    layout.inverse(&mut values);
    let corrections = simd::run(Steps { from: &values, to: sample, step });
    drop(values);
    let lattice = Lattice { extents: &layout.extents, classes: &[] };
    let estimated = || bits_per_value(&corrections) * corrections.len() as f64 / 8.0;
    let of_corrections = match bytes {
        Bytes::Coded => context::encode(&corrections, lattice).len() as f64,
        Bytes::Quick => {
            rans::encode(&corrections, lattice).map_or_else(estimated, |(bytes, head)| (bytes.len() - head) as f64)
        }
        Bytes::Estimated => estimated(),
    };
    Some(Cost { coefficients: bytes.of(&mut q, layout)?, corrections: of_corrections })
}

/// Steps between values, saturated where they do not fit.
struct Steps<'a> {
    from: &'a [f64],
    to: &'a [f64],
    step: f64,
}

impl Kernel for Steps<'_> {
    type Output = Vec<i32>;

    #[inline(always)]
    fn run(self) -> Vec<i32> {
        let Self { from, to, step } = self;
        from.iter().zip(to).map(|(y, x)| ((x - y) / step).round_ties_even() as i32).collect()
    }
}

/// Groups of axes to try, the usual one first: the slowest axis on its own, the others together.
fn groupings(extents: [usize; AXES]) -> Vec<Vec<u8>> {
    let long: Vec<u8> = (0..AXES).filter(|&a| extents[a] > 1).map(|a| 1 << a).collect();
    let Some((&slowest, others)) = long.split_first() else { return vec![Vec::new()] };
    let others_together: u8 = others.iter().sum();
    let mut choices = match long.len() {
        1 => vec![long.clone()],
        2 => vec![vec![slowest + others_together], long.clone(), vec![others_together]],
        3 => vec![vec![slowest, others_together], long.clone(), vec![slowest + others_together], vec![others_together]],
        _ => {
            let [first, second, third, fourth] = [long[0], long[1], long[2], long[3]];
            vec![
                vec![first, second, third + fourth],
                long.clone(),
                vec![second, third + fourth],
                vec![second, third, fourth],
                vec![third + fourth],
            ]
        }
    };
    choices.dedup();
    choices
}

/// A block of at most `size` values from the middle, its longest axes cut first.
fn cut_sample(values: &[f64], extents: [usize; AXES], size: usize) -> (Vec<f64>, [usize; AXES]) {
    let mut cut = extents;
    while cut.iter().product::<usize>() > size {
        let longest = (0..AXES).max_by_key(|&a| cut[a]).expect("there are axes");
        cut[longest] = cut[longest].div_ceil(2);
    }
    (middle_block(values, extents, cut), cut)
}
