//! Bits that are stored as they are.

use super::MAX_BITS;
use crate::error::{Error, Result};

/// Writes bits, the least significant first.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    n_pending: u32,
}

impl BitWriter {
    #[inline(always)]
    pub fn push(&mut self, bits: u64, n: u32) {
        debug_assert!(n <= MAX_BITS && bits >> n == 0);
        if n > u32::BITS {
            self.push_word(bits & u64::from(u32::MAX), u32::BITS);
            self.push_word(bits >> u32::BITS, n - u32::BITS);
        } else {
            self.push_word(bits, n);
        }
    }

    /// At most as many as fill a word, of which fewer are pending.
    #[inline(always)]
    fn push_word(&mut self, bits: u64, n: u32) {
        self.pending |= bits << self.n_pending;
        self.n_pending += n;
        if self.n_pending >= u32::BITS {
            self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= u32::BITS;
            self.n_pending -= u32::BITS;
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..self.n_pending.div_ceil(8) as usize]);
        self.bytes
    }
}

/// Reads them. Loops work on a copy, which is kept in registers.
#[derive(Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last eight bytes, or all if they are fewer.
    last: u64,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut last = [0; 8];
        let n = bytes.len().min(8);
        last[..n].copy_from_slice(&bytes[bytes.len() - n..]);
        Self { bytes, at: 0, last: u64::from_le_bytes(last) }
    }

    /// Zeros beyond the end.
    #[inline(always)]
    pub fn take(&mut self, n: u32) -> u64 {
        let start = self.at / 8;
        let word = match self.bytes.get(start..start + 8) {
            Some(eight) => u64::from_le_bytes(eight.try_into().expect("eight bytes")),
            // Once in a stream, and then for all that is left: values may take no bits for long.
            None => {
                let n_before = start - self.bytes.len().saturating_sub(8);
                if n_before < 8 { self.last >> (8 * n_before) } else { 0 }
            }
        };
        let bits = word >> (self.at % 8) & ((1 << n) - 1);
        self.at += n as usize;
        bits
    }

    pub fn finish(&self) -> Result<()> {
        if self.at.div_ceil(8) != self.bytes.len() {
            return Err(Error::corrupt("stored bits are left over or missing"));
        }
        Ok(())
    }
}
