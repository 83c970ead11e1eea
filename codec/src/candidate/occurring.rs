//! The integers that occur, where ranks among them stand for integers.

use crate::entropy::bytes;
use crate::error::{Error, Result};
use crate::predict::stream::Ints;
use crate::wire::{Reader, Writer};

/// The integers that occur, rising; nothing where they are more than `most`.
pub(crate) fn find(values: impl Iterator<Item = i64>, most: usize) -> Vec<i64> {
    // Open addressing: nothing is far from where it belongs while three slots in four are free.
    let mut slots: Vec<Option<i64>> = vec![None; (4 * most.max(1)).next_power_of_two()];
    let unused_bits = u64::BITS - slots.len().ilog2();
    let mut some = Vec::new();
    let mut last = None;
    for v in values {
        // Runs are common.
        if last == Some(v) {
            continue;
        }
        last = Some(v);
        let mut at = ((v as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> unused_bits) as usize;
        while slots[at].is_some_and(|there| there != v) {
            at = (at + 1) % slots.len();
        }
        if slots[at].is_none() {
            if some.len() == most {
                return Vec::new();
            }
            slots[at] = Some(v);
            some.push(v);
        }
    }
    some.sort_unstable();
    some
}

/// The same of 32-bit integers, in a fraction of the time where their range is narrow.
pub(crate) fn find_near(values: &[i32], most: usize) -> Vec<i64> {
    let (min, max) = values.iter().fold((i32::MAX, i32::MIN), |(min, max), &v| (min.min(v), max.max(v)));
    if values.is_empty() || max.abs_diff(min) >= SMALL {
        return find(values.iter().map(|&v| v.into()), most);
    }
    // Not further from the smallest than the largest is.
    let above = values.iter().map(|&v| v.wrapping_sub(min) as usize);
    let mut some = find_small(above, max.abs_diff(min) as usize, most);
    some.iter_mut().for_each(|v| *v += i64::from(min));
    some
}

/// Below this, integers that occur are told by a byte for each.
pub(crate) const SMALL: u32 = 1 << 16;

/// The same of integers of which none is above `largest`, for which as many bytes are taken.
pub(crate) fn find_small(values: impl Iterator<Item = usize>, largest: usize, most: usize) -> Vec<i64> {
    let mut occurs = vec![false; largest + 1];
    values.for_each(|v| occurs[v] = true);
    let n = occurs.iter().map(|&occurs| usize::from(occurs)).sum::<usize>();
    if n > most {
        return Vec::new();
    }
    (0..).zip(occurs).filter(|(_, occurs)| *occurs).map(|(v, _)| v).collect()
}

/// Each integer's rank among those that occur, which it is one of.
pub(crate) fn rank(values: &mut [u64], occurring: &[i64]) {
    let rank = |v: u64| occurring.partition_point(|&o| (o as u64) < v) as u64;
    match occurring.last() {
        Some(&last) if (last as u64) < 1 << 16 => {
            let mut ranks = vec![0u16; last as usize + 1];
            (0..).zip(occurring).for_each(|(rank, &v)| ranks[v as usize] = rank);
            values.iter_mut().for_each(|v| *v = ranks[*v as usize].into());
        }
        _ => values.iter_mut().for_each(|v| *v = rank(*v)),
    }
}

/// The same of 32-bit integers, in new ones.
pub(crate) fn ranks(values: &[i32], occurring: &[i64]) -> Vec<i32> {
    let (&first, &last) = occurring.first().zip(occurring.last()).expect("something occurs");
    if last - first >= i64::from(SMALL) {
        return values.iter().map(|&v| occurring.partition_point(|&o| o < i64::from(v)) as i32).collect();
    }
    let mut ranks = vec![0; (last - first) as usize + 1];
    (0..).zip(occurring).for_each(|(rank, &v)| ranks[(v - first) as usize] = rank);
    values.iter().map(|&v| ranks[(i64::from(v) - first) as usize]).collect()
}

/// The integers of these ranks; the last or the first for those that a damaged stream may give beside.
pub(crate) fn of_ranks(ranks: Ints, occurring: &[i64]) -> Ints {
    let last = occurring.len() - 1;
    match (ranks, occurring.iter().map(|&v| i32::try_from(v)).collect::<std::result::Result<Vec<i32>, _>>()) {
        (Ints::I32(mut ranks), Ok(occurring)) => {
            ranks.iter_mut().for_each(|rank| *rank = occurring[((*rank).max(0) as usize).min(last)]);
            Ints::I32(ranks)
        }
        (ranks, _) => {
            let of_rank = |rank: i64| occurring[usize::try_from(rank).unwrap_or(0).min(last)];
            (0..ranks.len()).map(|i| of_rank(ranks.get(i))).collect()
        }
    }
}

/// Writes rising integers; none where integers stand for themselves.
pub(crate) fn write(occurring: &[i64], out: &mut Writer) {
    out.varint(occurring.len() as u64);
    let Some(&first) = occurring.first() else { return };
    out.varint_signed(first);
    let mut gaps = Writer::default();
    for pair in occurring.windows(2) {
        gaps.varint(pair[1].wrapping_sub(pair[0]).wrapping_sub(1) as u64);
    }
    out.block(&bytes::pack(&gaps.bytes, 9));
}

/// Reads what [`write`] wrote for at most `n` integers.
pub(crate) fn read(n: usize, input: &mut Reader<'_>) -> Result<Vec<i64>> {
    let count = input.size("the number of integers that occur")?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > n {
        return Err(Error::corrupt(format!("{count} integers occur among {n}")));
    }
    let mut last = input.varint_signed("the first integer that occurs")?;
    let gaps = bytes::unpack(input.block("the integers that occur")?, count.saturating_mul(10))?;
    let mut gaps = Reader::new(&gaps);
    let mut occurring = vec![last];
    for _ in 1..count {
        let gap = gaps.varint("a gap between integers")?;
        last = last.wrapping_add(1).wrapping_add(gap as i64);
        occurring.push(last);
    }
    gaps.finish("the integers that occur")?;
    Ok(occurring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_finds_the_same() {
        let ranges = [(0, 300), (-70, 90), (40_000, 70_000), (-5, 1 << 16), (i32::MIN, i32::MAX)];
        for (k, (min, max)) in (1u64..).zip(ranges) {
            let span = i64::from(max) - i64::from(min) + 1;
            let value = |i: u64| {
                i64::from(min) + (i.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(k)) >> 33) as i64 % span
            };
            let values: Vec<i64> = (0..500).map(value).chain([min, max].map(i64::from)).collect();
            let narrow: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            let mut expected = values.clone();
            expected.sort_unstable();
            expected.dedup();
            for most in [expected.len() - 1, expected.len(), 1000] {
                let expected = if most < expected.len() { &[][..] } else { &expected };
                assert_eq!(find(values.iter().copied(), most), expected);
                assert_eq!(find_near(&narrow, most), expected);
            }
            let mut codes: Vec<u64> = values.iter().map(|&v| (v - i64::from(min)) as u64).collect();
            let above: Vec<i64> = expected.iter().map(|v| v - i64::from(min)).collect();
            rank(&mut codes, &above);
            let ranks = ranks(&narrow, &expected);
            assert!(ranks.iter().map(|&rank| rank as u64).eq(codes));
            assert_eq!(of_ranks(Ints::I32(ranks), &expected), Ints::I32(narrow));
        }
        assert_eq!(find_near(&[], 5), []);
        // What a damaged stream may give.
        let of_ranks = |ranks: &[i64], occurring: &[i64]| {
            let all: [Ints; 2] = [ranks.iter().copied().collect(), Ints::I64(ranks.to_vec())];
            all.map(|ranks| of_ranks(ranks, occurring))
        };
        assert_eq!(of_ranks(&[0, 7, -1], &[4, 9]).map(|v| [0, 1, 2].map(|i| v.get(i))), [[4, 9, 4]; 2]);
        assert_eq!(of_ranks(&[0, 1], &[4, 1 << 40]), [Ints::I64(vec![4, 1 << 40]), Ints::I64(vec![4, 1 << 40])]);
    }
}
