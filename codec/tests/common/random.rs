//! Random arrays and what to ask of them: all dtypes, ranks, bounds, byte orders, and kinds of values from subnormals to
//! 1e308. `baler-tests` takes this file in too.

use baler_codec::{Bound, ByteOrder, Dtype, Effort, Params};

/// A small generator of our own, so that a failure names a seed and nothing else.
#[derive(Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits (SplitMix64).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Values of one kind as little-endian bits of `dtype`.
pub fn values(rng: &mut Rng, dtype: Dtype, n: usize, kind: u64) -> Vec<u64> {
    let mask = u64::MAX >> (64 - 8 * dtype.size_bytes());
    let (mut walk, step) = (0.0f64, 10f64.powf(rng.unit() * 8.0 - 4.0));
    (0..n)
        .map(|i| {
            let smooth = (i as f64 * 0.05).sin() * 3.0 + (i as f64 * 0.011).cos();
            let v = match kind {
                // Any bits at all: NaN payloads, infinities, subnormals, extremes.
                0 => return rng.next() & mask,
                1 => smooth,
                2 => {
                    walk += (rng.unit() - 0.5) * step;
                    walk
                }
                // Exact halves and ties.
                3 => (rng.below(64) as f64 - 32.0) * 0.5,
                4 => 42.0,
                // Subnormals of every dtype.
                5 => return rng.below(1 << 9) & mask,
                // Huge dynamic range.
                6 => (rng.unit() - 0.5) * 10f64.powf(rng.unit() * 600.0 - 300.0),
                7 => (rng.unit() - 0.5) * 1.7e308 * 2.0 * 0.999,
                // Mostly smooth with NaN, infinities and -0.0 between.
                8 => match rng.below(12) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => f64::NEG_INFINITY,
                    3 => -0.0,
                    _ => smooth,
                },
                // Sentinels.
                _ => {
                    if rng.below(3) == 0 {
                        -999.0
                    } else {
                        (rng.unit() * 100.0).floor()
                    }
                }
            };
            to_bits(dtype, v)
        })
        .collect()
}

/// The bits of the element next to `v`, or near it.
pub fn to_bits(dtype: Dtype, v: f64) -> u64 {
    match dtype {
        // Far enough for test values: f16 by way of its own decoder would test the codec with itself.
        Dtype::F16 => u64::from(f16_bits(v)),
        Dtype::F32 => u64::from((v as f32).to_bits()),
        Dtype::F64 => v.to_bits(),
        Dtype::I8 => u64::from(v as i8 as u8),
        Dtype::I16 => u64::from(v as i16 as u16),
        Dtype::I32 => u64::from(v as i32 as u32),
        Dtype::I64 => v as i64 as u64,
        Dtype::U8 => u64::from(v as u8),
        Dtype::U16 => u64::from(v as u16),
        Dtype::U32 => u64::from(v as u32),
        Dtype::U64 => v as u64,
    }
}

/// Truncates to binary16; exactness does not matter here.
fn f16_bits(v: f64) -> u16 {
    let bits = (v as f32).to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127;
    match exponent {
        128 if bits & 0x7f_ffff != 0 => sign | 0x7e01,
        16.. => sign | 0x7c00,
        -14..=15 => sign | ((exponent + 15) as u16) << 10 | (bits >> 13 & 0x3ff) as u16,
        _ => sign,
    }
}

/// Elements in a byte order.
pub fn to_bytes(dtype: Dtype, order: ByteOrder, bits: &[u64]) -> Vec<u8> {
    bits.iter()
        .flat_map(|b| {
            let mut bytes = b.to_le_bytes()[..dtype.size_bytes()].to_vec();
            if order == ByteOrder::Big {
                bytes.reverse();
            }
            bytes
        })
        .collect()
}

fn shape_of_rank(rng: &mut Rng, rank: usize, is_tiny: bool) -> Vec<usize> {
    let most = match rank {
        1 if is_tiny => 60,
        2 if is_tiny => 8,
        3.. if is_tiny => 3,
        0..=4 => 14,
        _ => 3,
    };
    (0..rank).map(|_| 1 + rng.below(most) as usize).collect()
}

/// What to encode and how; `seed` says it all.
#[derive(Debug)]
pub struct Case {
    /// What is asked.
    pub params: Params,
    /// The array.
    pub original: Vec<u8>,
    /// Kind of values.
    pub kind: u64,
}

/// The case of a seed. Chunks are small, so that thousands take seconds; tiny but for every sixteenth, and three in four without a long search.
pub fn case(seed: u64) -> Case {
    let mut rng = Rng(seed);
    let dtype = Dtype::ALL[rng.below(11) as usize];
    let rank = rng.below(7) as usize;
    let mut shape = shape_of_rank(&mut rng, rank, !seed.is_multiple_of(16));
    if rng.below(40) == 0 && rank > 0 {
        shape[0] = 0;
    }
    let n: usize = shape.iter().product();
    let kind = rng.below(10);
    let mut bits = values(&mut rng, dtype, n, kind);
    let magnitude = 10f64.powf(rng.unit() * 8.0 - 6.0);
    let bound = match rng.below(6) {
        0 => Bound::Lossless,
        1 => Bound::Abs(if rng.below(4) == 0 { 0.5 } else { magnitude }),
        2 => Bound::Abs(10f64.powf(rng.unit() * 600.0 - 300.0)),
        3 => Bound::Rel((magnitude / 100.0).min(0.5)),
        4 => Bound::PwRel((magnitude / 100.0).min(0.5)),
        _ => Bound::Psnr(20.0 + rng.unit() * 100.0),
    };
    let mut params = Params::new(dtype, &shape, bound);
    params.byte_order = if rng.below(2) == 0 { ByteOrder::Little } else { ByteOrder::Big };
    params.per_column = rank > 0 && rng.below(3) == 0;
    params.effort = [Effort::Fast, Effort::Default, Effort::Max][rng.below(3) as usize];
    if !seed.is_multiple_of(4) {
        params.effort = Effort::Fast;
    }
    if n > 0 && rng.below(3) == 0 {
        let fill = bits[rng.below(n as u64) as usize];
        params.fill = Some(to_bytes(dtype, params.byte_order, &[fill]));
    }
    // Zeros as HDF5 puts behind the last entries, now and then with a value left among them.
    if n > 0 && rng.below(4) == 0 {
        params.padding =
            shape.iter().map(|&extent| rng.below(extent as u64) as usize * rng.below(2) as usize).collect();
        for (i, value) in bits.iter_mut().enumerate() {
            let mut rest = i;
            let is_padded = shape.iter().zip(&params.padding).rev().any(|(&extent, &n)| {
                let at = rest % extent;
                rest /= extent;
                at + n >= extent
            });
            if is_padded && rng.below(1000) > 0 {
                *value = 0;
            }
        }
    }
    let original = to_bytes(dtype, params.byte_order, &bits);
    Case { params, original, kind }
}
