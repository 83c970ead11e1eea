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
            Unary::LeakyRelu(alpha) => map(values, |x| if x < 0.0 { alpha * x } else { x }),
            Unary::Clip(low, high) => map(values, |x| clip(x, low, high)),
            Unary::Tanh => map(values, tanh),
            Unary::Sigmoid => map(values, sigmoid),
            Unary::Elu(alpha) => map(values, |x| elu(x, alpha)),
            Unary::Softplus => map(values, softplus),
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
fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
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
    let u = 1.595_769_1 * (x + 0.044_715 * (x * x * x));
    if x < GELU_CUTOFF { -0.0 } else { x * sigmoid(u) }
}
