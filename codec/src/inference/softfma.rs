//! Fused multiply-add of `f32` on hosts without the instruction: the same bits, from `f64` arithmetic.
//!
//! The product of two `f32` is exact in `f64`. The sum with the third is not, and rounding it twice (to 53 bits, then to
//! 24) can differ from rounding once. So the first rounding is made a *rounding to odd*: where the sum is inexact, the
//! neighbour with an odd last bit is taken. A number rounded to odd with at least two bits more than the target rounds
//! on to the target as the exact number would have (Boldo and Melquiond, "Emulation of a FMA and correctly rounded
//! sums: proved algorithms using rounding to odd", 2008). This holds for subnormal results too, where the target has
//! fewer bits still.

/// `a * b + c`, rounded once.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    // Knuth's two-sum: `sum + error` is exactly `product + addend`. Nothing here is near the limits of f64.
    let virtual_addend = sum - product;
    let error = (product - (sum - virtual_addend)) + (addend - virtual_addend);
    let bits = sum.to_bits();
    // An even `sum` that is inexact moves one step towards the exact value: away from zero if the error has the sign
    // of the sum. Infinities and NaN give a NaN error, which is not "inexact" here; a zero sum is always exact.
    let inexact = error.abs() > 0.0;
    let step = if (error < 0.0) == (sum < 0.0) { 1u64 } else { u64::MAX };
    let fix = if inexact && bits & 1 == 0 { step } else { 0 };
    f64::from_bits(bits.wrapping_add(fix)) as f32
}

#[cfg(test)]
mod tests {
    use super::fma;

    /// The standard library's `mul_add` rounds once on every target Rust supports.
    fn check(a: f32, b: f32, c: f32) {
        let (ours, reference) = (fma(a, b, c), a.mul_add(b, c));
        assert!(
            ours.to_bits() == reference.to_bits() || (ours.is_nan() && reference.is_nan()),
            "{a:e} * {b:e} + {c:e}: {ours:e} ({:08x}), expected {reference:e} ({:08x})",
            ours.to_bits(),
            reference.to_bits()
        );
    }

    struct Rng(u64);
    impl Rng {
        fn next(&mut self) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
        }
    }

    #[test]
    fn special_values() {
        let one_ulp = f32::from_bits(1);
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1.0 + f32::EPSILON,
            1.0 - f32::EPSILON / 2.0,
            one_ulp,
            -one_ulp,
            f32::from_bits(0x007f_ffff),
            f32::MIN_POSITIVE,
            -f32::MIN_POSITIVE,
            f32::MAX,
            -f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            0.5,
            3.0,
            1e-30,
            1e30,
            1.5 * f32::MIN_POSITIVE,
            2f32.powi(-75),
            2f32.powi(-74) * 1.5,
            2f32.powi(-126) * 0.5,
            16_777_217.0,
            16_777_215.0,
        ];
        for a in special {
            for b in special {
                for c in special {
                    check(a, b, c);
                }
            }
        }
    }

    #[test]
    fn random_bits() {
        let mut rng = Rng(1);
        for _ in 0..2_000_000 {
            check(f32::from_bits(rng.next()), f32::from_bits(rng.next()), f32::from_bits(rng.next()));
        }
    }

    #[test]
    fn cancellations_ties_and_subnormal_results() {
        let mut rng = Rng(2);
        for _ in 0..2_000_000 {
            let a = f32::from_bits(rng.next() & 0x807f_ffff | (120 + rng.next() % 16) << 23);
            let b = f32::from_bits(rng.next() & 0x807f_ffff | (120 + rng.next() % 16) << 23);
            // Near cancellation: the addend is the rounded product, give or take a few units.
            let c = f32::from_bits((-(a * b)).to_bits().wrapping_add(rng.next() % 5).wrapping_sub(2));
            check(a, b, c);
            // Far apart exponents with few significant bits: ties of the final rounding, decided by the tiny term.
            let coarse = f32::from_bits(a.to_bits() & 0xffff_f000);
            let tiny = f32::from_bits((rng.next() & 0x8000_0000) | (1 + rng.next() % 120) << 23);
            check(coarse, f32::from_bits(b.to_bits() & 0xffff_f000), tiny);
            check(tiny, 1.0, f32::from_bits(a.to_bits()));
            // Subnormal results.
            let small = f32::from_bits(rng.next() & 0x807f_ffff | (rng.next() % 40) << 23);
            let factor = f32::from_bits(rng.next() & 0x807f_ffff | (90 + rng.next() % 38) << 23);
            check(small, factor, f32::from_bits(rng.next() & 0x80ff_ffff));
            // Overflow or just not.
            let large = f32::from_bits(rng.next() & 0x807f_ffff | (253 + rng.next() % 2) << 23);
            check(large, f32::from_bits(rng.next() & 0x807f_ffff | (126 + rng.next() % 3) << 23), -large);
        }
    }
}
