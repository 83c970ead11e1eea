//! Integers as tokens: intervals that hold about equally many, each as wide as a power of two, and the bits below.

use crate::entropy::range::{Bit, BitCoder, Decoder, Encoder};
use crate::entropy::rans::N_TOKENS;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Integers are told apart by at most this many of their highest bits when they are counted.
const MAX_CELL_BITS: u32 = 16;
/// An interval is cut in halves while it holds more than this part of all integers,
const MOST_SHARE: usize = 96;
/// and more of them than pay for one more token in every table.
const LEAST_COUNT: usize = 24;
/// Bits stored beside a token.
const MAX_EXTRA: u32 = 44;

/// Intervals that cover `0..1 << n_bits`, rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    n_bits: u32,
    /// The logarithm of each one's width.
    pub extra: Vec<u8>,
}

impl Intervals {
    /// Intervals for these integers below `1 << n_bits`; none where they spread too far.
    pub fn of(values: &[u64], n_bits: u32) -> Option<Self> {
        let cell_bits = n_bits.min(MAX_CELL_BITS).min(values.len().max(1).ilog2() + 2);
        let shift = n_bits - cell_bits;
        // Of each cell, how many integers lie below it.
        let mut below = vec![0u32; (1 << cell_bits) + 1];
        values.iter().for_each(|&v| below[(v >> shift) as usize + 1] += 1);
        for k in 1..below.len() {
            below[k] += below[k - 1];
        }
        let mut most = (values.len() / MOST_SHARE).max(LEAST_COUNT);
        loop {
            let mut extra = Vec::new();
            let mut waiting = vec![(0usize, cell_bits)];
            while let Some((start, bits)) = waiting.pop() {
                let count = below[start + (1 << bits)] - below[start];
                if bits > 0 && count as usize > most {
                    waiting.push((start + (1 << (bits - 1)), bits - 1));
                    waiting.push((start, bits - 1));
                } else {
                    extra.push((bits + shift) as u8);
                }
            }
            if extra.len() <= N_TOKENS {
                return extra.iter().all(|&e| u32::from(e) <= MAX_EXTRA).then_some(Self { n_bits, extra });
            }
            most += most / 4;
        }
    }

    /// The first integer of each interval.
    pub fn starts(&self) -> Vec<u64> {
        let mut start = 0u64;
        let next = |&extra: &u8| {
            let this = start;
            start = start.wrapping_add(1 << extra);
            this
        };
        self.extra.iter().map(next).collect()
    }

    /// The interval of each integer.
    pub fn tokens(&self, values: &[u64]) -> Vec<u8> {
        // All bounds are multiples of the narrowest width, of which there are no more than cells.
        let shift = self.extra.iter().copied().min().unwrap_or(0);
        let mut of_cell = Vec::new();
        for (token, &extra) in self.extra.iter().enumerate() {
            of_cell.resize(of_cell.len() + (1 << (extra - shift)), token as u8);
        }
        values.iter().map(|&v| of_cell[(v >> shift) as usize]).collect()
    }

    pub fn write(&self, out: &mut Writer) {
        let mut coder = Encoder::new();
        let mut copy = self.clone();
        copy.code(&mut coder).expect("encoding reads its intervals only");
        out.u8(self.n_bits as u8);
        out.block(&coder.finish());
    }

    pub fn read(input: &mut Reader<'_>) -> Result<Self> {
        let n_bits = u32::from(input.u8("the bits of the integers")?);
        if n_bits > 64 {
            return Err(Error::corrupt(format!("integers of {n_bits} bits: at most 64")));
        }
        let mut coder = Decoder::new(input.block("the intervals")?);
        let mut intervals = Self { n_bits, extra: Vec::new() };
        intervals.code(&mut coder)?;
        coder.finish()?;
        Ok(intervals)
    }

    /// Whether each interval is cut, from the whole down, halves in order.
    fn code<C: BitCoder>(&mut self, coder: &mut C) -> Result<()> {
        let mut is_cut = [Bit::new(); 65];
        let mut waiting = vec![self.n_bits];
        let mut n = 0;
        while let Some(bits) = waiting.pop() {
            let cut = bits > 0 && {
                let wanted = !C::DECODES && u32::from(self.extra[n]) < bits;
                coder.bit(&mut is_cut[bits as usize], wanted)
            };
            if cut {
                waiting.extend([bits - 1; 2]);
                if n + waiting.len() > N_TOKENS {
                    return Err(Error::corrupt(format!("more than {N_TOKENS} intervals")));
                }
            } else {
                if bits > MAX_EXTRA {
                    return Err(Error::corrupt(format!("an interval of {bits} bits: at most {MAX_EXTRA}")));
                }
                if C::DECODES {
                    self.extra.push(bits as u8);
                }
                n += 1;
            }
        }
        Ok(())
    }
}
