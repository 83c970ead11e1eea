//! Functions of one value. Every one is a fixed sequence of `f32` comparisons, `+`, `-`, `*`, `/` and bit operations,
//! each rounded once as IEEE 754 says, so its bits are the same everywhere; none calls the mathematical library, whose
//! results differ between systems, and none uses fused multiply-add, so that any machine runs them at full speed.
//! `docs/inference.md` lists the formulas with their largest errors; the tests below measure these.
//!
//! A NaN gives a NaN.

/// An activation function with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `x` where above zero, else +0.
    Relu,
    /// `alpha * x` below zero.
    LeakyRelu(f32),
    /// Between the two.
    Clip(f32, f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `alpha * (exp(x) - 1)` below zero.
    Elu(f32),
    /// `log(1 + exp(x))`.
    Softplus,
    /// Square root, NaN below zero.
    Sqrt,
    /// `x` times the normal distribution function of `x`.
    Gelu,
    /// GELU by its approximation with tanh.
    GeluTanh,
}

impl Unary {
    /// Applies the function to each value, in place.
    #[inline(always)]
    pub fn apply(&self, values: &mut [f32]) {
        // One loop for each function, so that each becomes vector code.
        match *self {
            Unary::Relu => map(values, relu),
            Unary::LeakyRelu(alpha) => map(values, |x| leaky_relu(x, alpha)),
            Unary::Clip(low, high) => map(values, |x| clip(x, low, high)),
            Unary::Tanh => map(values, tanh),
            Unary::Sigmoid => map(values, sigmoid),
            Unary::Elu(alpha) => map(values, |x| elu(x, alpha)),
            Unary::Softplus => map(values, softplus),
            // IEEE 754 rounds it exactly, so the hardware's is everyone's.
            Unary::Sqrt => map(values, f32::sqrt),
            Unary::Gelu => map(values, gelu),
            Unary::GeluTanh => map(values, gelu_tanh),
        }
    }
}

#[inline(always)]
fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for value in values {
        *value = f(*value);
    }
}

#[inline(always)]
fn leaky_relu(x: f32, alpha: f32) -> f32 {
    // Not a choice between the product and what is there already: that is compiled to a masked store, which takes many
    // cycles on some processors.
    x * if x < 0.0 { alpha } else { 1.0 }
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    // The sum makes +0 of -0, and, as above, no store depends on the comparison.
    (if x < 0.0 { 0.0 } else { x }) + 0.0
}

/// `low` wins where the limits cross.
#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `(2^n, exp(r) - 1)` with `x = n ln 2 + r`, `|r| <= ln 2 / 2`, for `x` in `[-87, 88]`.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to an integer, which is then found in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    // ln 2 = HIGH + LOW; HIGH has 10 bits, so that n * HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Minimax fit of (exp(r) - 1 - r) / r^2.
    let q = 0.001_394_216_1_f32;
    let q = q * r + 0.008_363_776;
    let q = q * r + 0.041_666_362;
    let q = q * r + 0.166_665_73;
    let q = q * r + 0.5;
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127);
    (f32::from_bits(exponent << 23), r + (r * r) * q)
}

#[inline(always)]
fn exp(x: f32) -> f32 {
    let (scale, p) = exp_parts(clip(x, -87.0, 88.0));
    scale + scale * p
}

/// `exp(x) - 1` without loss near zero.
#[inline(always)]
fn expm1(x: f32) -> f32 {
    let (scale, p) = exp_parts(clip(x, -87.0, 88.0));
    (scale - 1.0) + scale * p
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // From 20 on the quotient rounds to 1.
    let e = expm1(clip(2.0 * x.abs(), 0.0, 20.0));
    (e / (e + 2.0)).copysign(x)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn elu(x: f32, alpha: f32) -> f32 {
    if x > 0.0 { x } else { alpha * expm1(x) }
}

#[inline(always)]
fn softplus(x: f32) -> f32 {
    // log(1 + u) = 2 artanh(u / (2 + u)), a short odd series since the argument is at most 1/3.
    let u = exp(-x.abs());
    let s = u / (2.0 + u);
    let z = s * s;
    // Minimax fit of (artanh(s) / s - 1) / s^2 in z = s^2.
    let q = 0.134_418_f32;
    let q = q * z + 0.141_156_4;
    let q = q * z + 0.200_038_91;
    let q = q * z + 0.333_333_2;
    let log = 2.0 * (s + s * (z * q));
    relu(x) + log
}

/// Below this the result is far under the smallest step of anything it is added to; `-0.0` is given.
const GELU_CUTOFF: f32 = -13.0;

#[inline(always)]
fn gelu(x: f32) -> f32 {
    // The normal distribution function of -|x| is erfc(z) / 2 with z = |x| / sqrt 2, and erfc(z) = exp(-z^2) t P(t)
    // with t = 1 / (1 + p z): the form of Abramowitz and Stegun 7.1.26, with a longer polynomial fitted anew.
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = -0.141_662_4_f32;
    let p = p * t + 0.498_877_8;
    let p = p * t - 0.409_598_74;
    let p = p * t + 0.456_560_52;
    let p = p * t + 0.023_717_275;
    let p = p * t + 0.206_397_49;
    let p = p * t + 0.180_650_07;
    let p = p * t + 0.185_058_07;
    let tail = 0.5 * (t * p) * exp(-0.5 * (x * x));
    let phi = if x > 0.0 { 1.0 - tail } else { tail };
    if x < GELU_CUTOFF { -0.0 } else { x * phi }
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
    let u = 1.595_769 * (x + 0.044_715 * (x * x * x));
    if x < GELU_CUTOFF { -0.0 } else { x * sigmoid(u) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function in `f64`: its Taylor series, and the continued fraction of its complement where that
    /// converges.
    fn erfc(z: f64) -> f64 {
        if z < 0.0 {
            return 2.0 - erfc(-z);
        }
        if z < 2.5 {
            let (mut term, mut sum, mut n) = (z, z, 0.0);
            while term.abs() > 1e-18 * sum.abs() {
                n += 1.0;
                term *= -z * z / n;
                sum += term / (2.0 * n + 1.0);
            }
            return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let fraction = (1..200).rev().fold(0.0, |r, k| f64::from(k) / 2.0 / (z + r));
        (-z * z).exp() / (z + fraction) / std::f64::consts::PI.sqrt()
    }

    /// The largest error on a dense sweep of `[-range, range]`, and of numbers close to zero, in units of the last place
    /// of the larger of the result and `floor`.
    fn largest_error(range: f32, floor: f32, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) -> f64 {
        let sweep = (-400_000..=400_000).map(|i| i as f32 / 400_000.0 * range);
        let small = (0..200_000).map(|i| {
            let x = f32::from_bits(i * 5000);
            if i % 2 == 0 { x } else { -x }
        });
        sweep
            .chain(small.filter(|x| x.abs() <= range))
            .map(|x| {
                let exact = reference(f64::from(x));
                let size = (exact.abs() as f32).max(floor);
                let ulp = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
                (f64::from(f(x)) - exact).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_within_what_the_documentation_states() {
        // In the order of the table in docs/inference.md.
        let cases: [(&str, f64, f64); 6] = [
            ("Tanh", 3.0, largest_error(12.0, f32::MIN_POSITIVE, tanh, f64::tanh)),
            ("Sigmoid", 3.0, largest_error(80.0, f32::MIN_POSITIVE, sigmoid, |x| 1.0 / (1.0 + (-x).exp()))),
            (
                "Elu",
                2.0,
                largest_error(80.0, f32::MIN_POSITIVE, |x| elu(x, 1.0), |x| if x > 0.0 { x } else { x.exp_m1() }),
            ),
            (
                "Softplus",
                3.0,
                largest_error(80.0, f32::MIN_POSITIVE, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
            ),
            ("Gelu", 2.0, largest_error(12.0, 1.0, gelu, |x| 0.5 * x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2))),
            (
                "Gelu, tanh",
                3.0,
                largest_error(12.0, 1.0, gelu_tanh, |x| {
                    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                    0.5 * x * (1.0 + u.tanh())
                }),
            ),
        ];
        for (name, stated, found) in cases {
            println!("{name}: {found:.2} ulp");
            assert!(found <= stated, "{name}: {found} ulp, stated {stated}");
        }
    }

    #[test]
    fn limits_and_nan() {
        let functions = [
            Unary::Relu,
            Unary::LeakyRelu(0.1),
            Unary::Clip(-1.0, 1.0),
            Unary::Tanh,
            Unary::Sigmoid,
            Unary::Elu(1.0),
            Unary::Softplus,
            Unary::Gelu,
            Unary::GeluTanh,
        ];
        for f in functions {
            let mut values = [f32::NAN, -f32::NAN, f32::NEG_INFINITY, -1e38, f32::INFINITY, 1e38, 0.0, -0.0];
            f.apply(&mut values);
            assert!(values[0].is_nan() && values[1].is_nan(), "{f:?}");
            assert!(values[2..].iter().all(|v| !v.is_nan()), "{f:?}: {values:?}");
            let saturates = matches!(f, Unary::Clip(..) | Unary::Tanh | Unary::Sigmoid);
            assert_eq!(values[4], if saturates { 1.0 } else { f32::INFINITY }, "{f:?}");
        }
        assert_eq!(relu(-0.0).to_bits(), 0);
        assert_eq!(clip(0.5, 1.0, -1.0), 1.0);
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!((tanh(30.0), tanh(-30.0)), (1.0, -1.0));
        assert!(gelu(-13.5) == 0.0 && gelu(-1e30) == 0.0);
    }
}
