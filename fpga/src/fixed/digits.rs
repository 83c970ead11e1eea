//! Constants as sums of few powers of two.

/// The digits of `weight` in canonical signed form (no two neighbours are non-zero, which no form with fewer has), lowest
/// first: places and whether they count negative. A product with `weight` is as many terms.
pub fn signed_digits(weight: i128) -> Vec<(u32, bool)> {
    let mut digits = Vec::new();
    let (mut rest, mut place) = (weight, 0);
    while rest != 0 {
        let zeros = rest.trailing_zeros();
        rest >>= zeros;
        place += zeros;
        // ...01 stays a one; ...11 becomes minus one with a carry.
        let is_negative = rest & 3 == 3;
        digits.push((place, is_negative));
        rest += if is_negative { 1 } else { -1 };
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_canonical() {
        for weight in (-300..300).chain([i128::from(i64::MIN), i128::from(i64::MAX), 0x5555, 0x7ffe]) {
            let digits = signed_digits(weight);
            let value: i128 = digits.iter().map(|&(place, neg)| (1 << place) * if neg { -1 } else { 1 }).sum();
            assert_eq!(value, weight);
            assert!(digits.windows(2).all(|d| d[1].0 > d[0].0 + 1), "{weight}: {digits:?}");
        }
    }

    #[test]
    fn how_many_by_hand() {
        let n = |weight: i64| signed_digits(weight.into()).len();
        assert_eq!([0, 1, -1, 3, 7, -7, 11, i64::MIN].map(n), [0, 1, 1, 2, 2, 2, 3, 1]);
    }
}
