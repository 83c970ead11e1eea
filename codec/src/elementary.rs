//! Elementary functions in binary64 whose bits are the same on every machine: a fixed sequence of comparisons, `+`, `-`,
//! `*`, `/`, square roots and bit operations, each rounded once as IEEE 754 says. None calls the mathematical library,
//! whose results differ between systems; none uses fused multiply-add. None branches either: what cases have in common is
//! computed once and the rest chosen afterwards, so that a loop over many values becomes vector code.
//!
//! Decoders need [`exp`] and [`sinh`] (`docs/bundle-format.md` has their formulas, which are part of the format); [`ln`]
//! and [`asinh`] are their inverses for encoders. A NaN gives a NaN.

/// ln 2 = HIGH + LOW; HIGH ends in 21 zero bits, so that its product with an exponent is exact.
const LN2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3DEA_39EF_3579_3C76);
/// Arguments of the exponential function are cut to this range: results stay normal and finite.
const EXP_LEAST: f64 = -708.0;
const EXP_MOST: f64 = 709.0;

/// 1.5 * 2^52: numbers near it are integers, told by their low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// `(2^n, exp(r) - 1)` with `x = n ln 2 + r`, `|r| <= ln 2 / 2` and a little.
#[inline(always)]
fn exp_parts(x: f64) -> (f64, f64) {
    let x = if x > EXP_MOST { EXP_MOST } else { x };
    let x = if x < EXP_LEAST { EXP_LEAST } else { x };
    // Rounds to an integer, which is then found in the low bits.
    let shifted = x * std::f64::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // (exp(r) - 1 - r) / r^2 = 1/2! + r/3! + ...; the term left out is below 2^-57 of the result.
    let q = INVERSE_FACTORIALS.iter().fold(0.0, |q, c| q * r + c);
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(1023);
    (f64::from_bits(exponent << 52), r + (r * r) * q)
}

/// 1/13!, 1/12!, ..., 1/2!
const INVERSE_FACTORIALS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
];

/// `e^x`, for `x` cut to [-708, 709]; within 1 ulp there.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let (scale, p) = exp_parts(x);
    scale + scale * p
}

/// Hyperbolic sine, for `x` cut to [-709, 709]; within 3 ulp there.
#[inline(always)]
pub(crate) fn sinh(x: f64) -> f64 {
    let (scale, p) = exp_parts(x.abs());
    // e = exp(|x|) - 1, without loss near zero.
    let e = (scale - 1.0) + scale * p;
    (0.5 * e + 0.5 * (e / (e + 1.0))).copysign(x)
}

/// `2 artanh(s) = ln((1 + s) / (1 - s))` for `|s| <= 0.18`.
#[inline(always)]
fn twice_artanh(s: f64) -> f64 {
    let z = s * s;
    let q = INVERSE_ODD_NUMBERS.iter().fold(0.0, |q, c| q * z + c);
    2.0 * (s + s * (z * q))
}

/// 1/25, 1/23, ..., 1/3
const INVERSE_ODD_NUMBERS: [f64; 12] = [
    1.0 / 25.0,
    1.0 / 23.0,
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
];

/// `(e, m)` with `x = m 2^e` and `m` between `sqrt(1/2)` and `sqrt(2)`; what is no finite number above 0 counts as the
/// smallest or largest there is.
#[inline(always)]
fn ln_parts(x: f64) -> (f64, f64) {
    const SQRT_HALF: i64 = 0x3FE6_A09E_667F_3BCD;
    let x = if x > f64::MAX { f64::MAX } else { x };
    let x = if x < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { x };
    let e = (x.to_bits() as i64 - SQRT_HALF) >> 52;
    let m = f64::from_bits((x.to_bits() as i64 - (e << 52)) as u64);
    (f64::from_bits(MAGIC.to_bits().wrapping_add(e as u64)) - MAGIC, m)
}

/// Natural logarithm, of finite `x` above 0; within 2 ulp. For anything else, that of the smallest or largest number.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    let (e, m) = ln_parts(x);
    let y = e * LN2_HIGH + (twice_artanh((m - 1.0) / (m + 1.0)) + e * LN2_LOW);
    if x.is_nan() { x } else { y }
}

/// Inverse of [`sinh`], of any finite number; within 3 ulp.
#[inline(always)]
pub(crate) fn asinh(x: f64) -> f64 {
    let a = x.abs();
    // asinh(a) = ln(1 + u)
    let u = a + a * a / (1.0 + (1.0 + a * a).sqrt());
    // 1 under the root is lost beside a^2: asinh(a) = ln(2 a).
    let is_far = a > 1e9;
    let is_near = u < 0.4;
    let (e, m) = ln_parts(if is_far { a } else { 1.0 + u });
    let p = twice_artanh(if is_near { u } else { m - 1.0 } / if is_near { 2.0 + u } else { m + 1.0 });
    let y = if is_near { p } else { e * LN2_HIGH + (p + e * LN2_LOW) };
    let y = if is_far { y + std::f64::consts::LN_2 } else { y };
    if x.is_nan() { x } else { y.copysign(x) }
}

/// Hyperbolic cosine, for `x` cut to [-709, 709]; within 3 ulp there.
#[inline(always)]
pub(crate) fn cosh(x: f64) -> f64 {
    let e = exp(x.abs());
    0.5 * e + 0.5 / e
}

/// pi / 2 = HIGH + LOW; HIGH has 33 bits, so that its product with a quadrant is exact.
const HALF_PI_HIGH: f64 = f64::from_bits(0x3FF9_21FB_5440_0000);
const HALF_PI_LOW: f64 = f64::from_bits(0x3DD0_B461_1A62_6331);

/// Sine, to within 2^-52 for |x| up to 10^5; less and less exact beyond. NaN for infinities.
#[inline(always)]
pub(crate) fn sin(x: f64) -> f64 {
    quarter(x, 0.0)
}

/// Cosine, as exact as [`sin`].
#[inline(always)]
pub(crate) fn cos(x: f64) -> f64 {
    quarter(x, 1.0)
}

/// `sin(x + quadrants * pi / 2)`, quadrants being 0 or 1.
#[inline(always)]
fn quarter(x: f64, quadrants: f64) -> f64 {
    // From here on quadrants stay at this one, of 64 bits.
    const MOST: f64 = (1u64 << 63) as f64;
    let n = (x * std::f64::consts::FRAC_2_PI + 0.5).floor();
    let r = (x - n * HALF_PI_HIGH) - n * HALF_PI_LOW;
    let r2 = r * r;
    // Modulo 4, exactly.
    let quadrant = if n >= MOST { 3.0 } else { n - 4.0 * (n * 0.25).floor() } + quadrants;
    // sin(r) = r - r^3/3! + r^5/5! - ...
    let sine = r + r * r2 * SINE.iter().fold(0.0, |p, c| p * r2 + c);
    let cosine = 1.0 + r2 * COSINE.iter().fold(0.0, |p, c| p * r2 + c);
    let value = if quadrant == 1.0 || quadrant == 3.0 { cosine } else { sine };
    if quadrant == 2.0 || quadrant == 3.0 { -value } else { value }
}

/// 1/17!, -1/15!, ..., -1/3!
const SINE: [f64; 8] = [
    1.0 / 355_687_428_096_000.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 39_916_800.0,
    1.0 / 362_880.0,
    -1.0 / 5_040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
];

/// 1/16!, -1/14!, ..., -1/2!
const COSINE: [f64; 8] = [
    1.0 / 20_922_789_888_000.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 479_001_600.0,
    -1.0 / 3_628_800.0,
    1.0 / 40_320.0,
    -1.0 / 720.0,
    1.0 / 24.0,
    -1.0 / 2.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest difference from the mathematical library, in units of the last place, over a sweep of `low..high` and
    /// numbers of every size and of both signs.
    fn largest_error(low: f64, high: f64, f: impl Fn(f64) -> f64, reference: impl Fn(f64) -> f64) -> f64 {
        let sweep = (0..=400_000).map(|i| low + (high - low) * f64::from(i) / 400_000.0);
        let small = (1..40_000u64).map(|i| f64::from_bits(i * (1 << 47) + i * 0x1234_5678));
        let small = small.flat_map(|x| [x, -x]).filter(|x| (low..=high).contains(x));
        sweep
            .chain(small)
            .map(|x| {
                let exact = reference(x);
                let ulp = f64::from_bits(exact.abs().to_bits() + 1) - exact.abs();
                (f(x) - exact).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_within_what_is_stated() {
        // The library's own half ulp comes on top of the stated figures.
        let cases: [(&str, f64, f64); 7] = [
            ("exp", 1.0, largest_error(-707.9, 708.9, exp, f64::exp)),
            ("exp near 0", 1.0, largest_error(-1.0, 1.0, exp, f64::exp)),
            ("sinh", 3.0, largest_error(-708.9, 708.9, sinh, f64::sinh)),
            ("sinh near 0", 3.0, largest_error(-2.0, 2.0, sinh, f64::sinh)),
            ("ln", 2.0, largest_error(1e-300, 1e9, ln, f64::ln)),
            ("ln near 1", 2.0, largest_error(1e-3, 3.0, ln, f64::ln)),
            ("asinh", 3.0, largest_error(-5.0, 5.0, asinh, wide_asinh)),
        ];
        for (name, stated, found) in cases {
            println!("{name}: {found:.2} ulp");
            assert!(found <= stated + 0.5, "{name}: {found} ulp, stated {stated}");
        }
    }

    /// The standard library's asinh loses digits near zero on some systems.
    fn wide_asinh(x: f64) -> f64 {
        let a = x.abs();
        let u = a + a * a / (1.0 + a.hypot(1.0));
        u.ln_1p().copysign(x)
    }

    #[test]
    fn inverses() {
        for i in -3000..3000 {
            let x = f64::from(i) * 0.1;
            assert!((asinh(sinh(x)) - x).abs() <= 1e-14 * x.abs().max(1e-2), "{x}");
            assert!((ln(exp(x)) - x).abs() <= 1e-14 * x.abs().max(1.0), "{x}");
        }
        for x in [1e-320, 1e-300, 1e-20, 1.0, 12345.678, 1e9, 1.1e9, 1e300] {
            assert!((sinh(asinh(x)) - x).abs() <= 1e-12 * x, "{x}");
            assert_eq!(asinh(-x), -asinh(x));
        }
    }

    #[test]
    fn limits_and_nan() {
        assert!([exp, sinh, ln, asinh].iter().all(|f| f(f64::NAN).is_nan()));
        assert_eq!((exp(0.0), sinh(0.0), ln(1.0), asinh(0.0)), (1.0, 0.0, 0.0, 0.0));
        assert_eq!((exp(1e9), exp(f64::INFINITY)), (exp(709.0), exp(709.0)));
        assert_eq!(exp(f64::NEG_INFINITY), exp(-708.0));
        assert_eq!(sinh(f64::NEG_INFINITY), -sinh(709.0));
        assert!(exp(709.0).is_finite() && sinh(709.0).is_finite() && exp(-708.0) > 0.0);
        assert!([0.0, -1.0, f64::NEG_INFINITY, f64::INFINITY, 5e-324].iter().all(|&x| ln(x).is_finite()));
    }

    /// Fixed for ever: streams depend on every bit.
    #[test]
    fn bits_are_fixed() {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for i in -40_000..40_000 {
            let x = f64::from(i) * 0.017_717_3;
            for bits in [exp(x).to_bits(), sinh(x).to_bits()] {
                hash = (hash ^ bits).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(hash, 0x066f_497c_fbd7_06ce, "{hash:#x}");
    }

    /// As fixed: formulas between columns are evaluated by readers. Numbers of every size, near every change of method.
    #[test]
    fn bits_of_what_formulas_need_are_fixed() {
        let of_every_size =
            (0..2048u64).flat_map(|e| [0, 1, 0x000D_1234_5678_9ABC, 0x000F_FFFF_FFFF_FFFF].map(|m| e << 52 | m));
        let numbers = of_every_size.map(f64::from_bits).filter(|x| !x.is_nan());
        let swept = (0..40_000).map(|i| f64::from(i) * 0.017_717_3).chain((1..40_000).map(|i| f64::from(i) * 1e-5));
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for x in numbers.chain(swept).flat_map(|x| [x, -x]) {
            for y in [exp(x), sinh(x), cosh(x), ln(x), asinh(x), sin(x), cos(x)] {
                let bits = if y.is_nan() { 1 } else { y.to_bits() };
                hash = (hash ^ bits).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(hash, 0x897f_c566_8433_66b4, "{hash:#x}");
    }

    #[test]
    fn sine_and_cosine_are_close() {
        for i in -200_000..200_000 {
            let x = f64::from(i) * 0.0137;
            assert!((sin(x) - x.sin()).abs() < 2.3e-16, "sin {x}");
            assert!((cos(x) - x.cos()).abs() < 2.3e-16, "cos {x}");
            assert!((cosh(x / 100.0) / (x / 100.0).cosh() - 1.0).abs() < 7e-16, "cosh {x}");
        }
        assert!(sin(f64::INFINITY).is_nan() && cos(f64::NAN).is_nan());
        // Quadrants beyond 64 bits.
        assert!(cos(1e300).is_nan());
    }
}
