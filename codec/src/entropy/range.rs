//! The range coder: 64-bit range, 32-bit renormalisation, 16-bit probabilities; and the adaptive probability that most
//! decisions are coded with. All integer: encoder and decoder run the same arithmetic.

use crate::error::{Error, Result};

/// One adaptive probability of a 1, in 1/65536.
#[derive(Clone, Copy)]
pub(crate) struct Bit {
    fast: u16,
    slow: u16,
    seen: u16,
}

const FAST_RATE: u32 = 4;
const SLOW_RATE: u32 = 8;

/// Observations that are counted.
const MAX_SEEN: u16 = 64;

/// Rates of both averages by the observations so far. The first few count for more: 1/2, 1/3, ... would be ideal, powers
/// of two come close.
const RATES: [(u32, u32); 128] = {
    let mut rates = [(FAST_RATE, SLOW_RATE); 128];
    let mut seen = 0;
    while seen <= MAX_SEEN as usize {
        let start = if seen < 2 { 2 } else { 2 + seen.ilog2() };
        rates[seen] =
            (if start < FAST_RATE { start } else { FAST_RATE }, if start < SLOW_RATE { start } else { SLOW_RATE });
        seen += 1;
    }
    rates
};

impl Bit {
    pub const fn new() -> Self {
        Self { fast: 1 << 15, slow: 1 << 15, seen: 0 }
    }

    #[inline(always)]
    pub fn probability(self) -> u64 {
        // Within [1, 65535]: neither average reaches 0 or 65536.
        ((u32::from(self.fast) + u32::from(self.slow)) >> 1).max(1).into()
    }

    #[inline(always)]
    pub fn update(&mut self, one: bool) {
        let (fast, slow) = RATES[usize::from(self.seen & 127)];
        self.seen += u16::from(self.seen < MAX_SEEN);
        if one {
            self.fast += (65535 - self.fast) >> fast;
            self.slow += (65535 - self.slow) >> slow;
        } else {
            self.fast -= self.fast >> fast;
            self.slow -= self.slow >> slow;
        }
    }
}

/// Codes decisions: the encoder takes the bit it is given, the decoder finds it.
pub(crate) trait BitCoder {
    /// Whether bits come out of the coder rather than go in.
    const DECODES: bool;
    /// A decision of which a 1 has the probability `ones / 65536`, within [1, 65535].
    fn decide(&mut self, ones: u64, bit: bool) -> bool;
    /// A decision with an adaptive probability.
    #[inline(always)]
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        let bit = self.decide(model.probability(), bit);
        model.update(bit);
        bit
    }
    /// `n_bits <= 32` bits of probability one half.
    fn raw(&mut self, n_bits: u32, bits: u64) -> u64;
}

pub(crate) struct Encoder {
    low: u64,
    range: u64,
    out: Vec<u8>,
}

impl Encoder {
    pub fn new() -> Self {
        Self { low: 0, range: u64::MAX, out: Vec::new() }
    }

    #[inline(always)]
    fn add_low(&mut self, v: u64) {
        let (low, carry) = self.low.overflowing_add(v);
        self.low = low;
        if carry {
            self.carry();
        }
    }

    #[cold]
    fn carry(&mut self) {
        for byte in self.out.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }

    #[inline(always)]
    fn renormalise(&mut self) {
        if self.range < 1 << 32 {
            self.out.extend_from_slice(&((self.low >> 32) as u32).to_be_bytes());
            self.low <<= 32;
            self.range <<= 32;
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        // Any number within [low, low + range) will do: the one with the most zero bytes at its end, which are left out,
        // since the decoder reads zeros after the end.
        let mut value = self.low;
        for shift in (0..64).step_by(8).rev() {
            let mask = (1u64 << shift) - 1;
            let (rounded, carry) = self.low.overflowing_add(mask);
            let rounded = rounded & !mask;
            if rounded.wrapping_sub(self.low) < self.range {
                if carry {
                    self.carry();
                }
                value = rounded;
                break;
            }
        }
        self.out.extend_from_slice(&value.to_be_bytes());
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

impl BitCoder for Encoder {
    const DECODES: bool = false;

    #[inline(always)]
    fn decide(&mut self, ones: u64, bit: bool) -> bool {
        let ones = (self.range >> 16) * ones;
        if bit {
            self.range = ones;
        } else {
            self.add_low(ones);
            self.range -= ones;
        }
        self.renormalise();
        bit
    }

    #[inline(always)]
    fn raw(&mut self, n_bits: u32, bits: u64) -> u64 {
        self.range >>= n_bits;
        self.add_low(self.range * bits);
        self.renormalise();
        bits
    }
}

pub(crate) struct Decoder<'a> {
    code: u64,
    range: u64,
    input: &'a [u8],
    /// Bytes asked for beyond the end.
    overrun: usize,
}

impl<'a> Decoder<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        let mut decoder = Self { code: 0, range: u64::MAX, input, overrun: 0 };
        decoder.code = u64::from(decoder.next()) << 32;
        decoder.code |= u64::from(decoder.next());
        decoder
    }

    /// Checks that the coder has used its bytes up, and no more than the zeros an encoder leaves out.
    pub fn finish(&self) -> Result<()> {
        if !self.input.is_empty() || self.overrun > 16 {
            return Err(Error::corrupt("the range coder did not end with its bytes"));
        }
        Ok(())
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        if let Some((head, tail)) = self.input.split_first_chunk::<4>() {
            self.input = tail;
            return u32::from_be_bytes(*head);
        }
        let mut word = [0; 4];
        word[..self.input.len()].copy_from_slice(self.input);
        self.overrun += 4 - self.input.len();
        self.input = &[];
        u32::from_be_bytes(word)
    }

    #[inline(always)]
    fn renormalise(&mut self) {
        if self.range < 1 << 32 {
            self.code = self.code << 32 | u64::from(self.next());
            self.range <<= 32;
        }
    }
}

impl BitCoder for Decoder<'_> {
    const DECODES: bool = true;

    #[inline(always)]
    fn decide(&mut self, ones: u64, _: bool) -> bool {
        let ones = (self.range >> 16) * ones;
        let bit = self.code < ones;
        if bit {
            self.range = ones;
        } else {
            self.code -= ones;
            self.range -= ones;
        }
        self.renormalise();
        bit
    }

    #[inline(always)]
    fn raw(&mut self, n_bits: u32, _: u64) -> u64 {
        self.range >>= n_bits;
        // A damaged stream can put `code` outside the range; the bits must stay within their width all the same.
        let bits = (self.code / self.range).min((1 << n_bits) - 1);
        self.code -= bits * self.range;
        self.renormalise();
        bits
    }
}
