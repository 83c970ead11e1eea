//! The states that tokens are pushed into and popped from.

use super::tables::{Lookup, PROBABILITY_BITS, TOTAL, Table};
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};

/// States lie in `[LEAST_STATE, LEAST_STATE << 16)`; words of 16 bits go in and out.
const LEAST_STATE: u32 = 1 << 16;
const N_STATES: usize = 4;

/// A token's part of the states.
#[derive(Clone, Copy, Default)]
struct Span {
    frequency: u32,
    start: u32,
    /// `2^(32 + PROBABILITY_BITS) / frequency`, rounded up.
    reciprocal: u64,
}

impl Span {
    const SHIFT: u32 = 32 + PROBABILITY_BITS;

    fn new(frequency: u32, start: u32) -> Self {
        Self { frequency, start, reciprocal: (1u64 << Self::SHIFT).div_ceil(u64::from(frequency.max(1))) }
    }

    /// The state with the token in it, of one below `frequency << (32 - PROBABILITY_BITS)`.
    #[inline(always)]
    fn push(self, state: u32) -> u32 {
        // Rounded up by less than the frequency, the reciprocal adds less than 1 / frequency to the quotient, which is exact
        // therefore (T. Granlund, P. L. Montgomery, PLDI 1994, doi:10.1145/178243.178249); the product stays below 2^64.
        let quotient = ((u64::from(state) * self.reciprocal) >> Self::SHIFT) as u32;
        // The quotient in front of the remainder.
        state + quotient * (TOTAL - self.frequency) + self.start
    }
}

/// Codes tokens, each after the number of its table, in the order in which they are decoded.
pub(crate) fn encode_tokens(
    tables: &[Table],
    coded: impl DoubleEndedIterator<Item = (u8, u8)> + ExactSizeIterator,
    out: &mut Writer,
) {
    simd::run(Push { tables, coded, out });
}

struct Push<'a, C> {
    tables: &'a [Table],
    coded: C,
    out: &'a mut Writer,
}

impl<C: DoubleEndedIterator<Item = (u8, u8)> + ExactSizeIterator> Kernel for Push<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { tables, coded, out } = self;
        let spans = |table: &Table| {
            let mut spans = [Span::default(); 1 << u8::BITS];
            let mut start = 0;
            for (span, &f) in spans.iter_mut().zip(&table.frequencies) {
                *span = Span::new(f.into(), start);
                start += u32::from(f);
            }
            spans
        };
        let spans: Vec<[Span; 1 << u8::BITS]> = tables.iter().map(spans).collect();
        let mut words: Vec<u16> = Vec::with_capacity(coded.len() / 2);
        let mut states = [LEAST_STATE; N_STATES];
        let mut left = coded.len();
        let mut coded = coded.rev();
        while left > 0 {
            /// Tokens whose words are put where the next may take their place: no branch says whether there is one.
            const RUN: usize = 1 << 10;
            let mut waiting = [0u16; RUN];
            let mut n_waiting = 0;
            // All but the first run end before a token of the first state.
            let run = if left % RUN == 0 { RUN } else { left % RUN };
            let mut push = |state: &mut u32, (table, token): (u8, u8)| {
                let span = spans[usize::from(table)][usize::from(token)];
                waiting[n_waiting % RUN] = *state as u16;
                let is_full = *state > (span.frequency << (32 - PROBABILITY_BITS)).wrapping_sub(1);
                n_waiting += usize::from(is_full);
                *state = span.push(*state >> (16 * u32::from(is_full)));
            };
            let mut next = || coded.next().expect("as many tokens as there are");
            for k in (0..run % N_STATES).rev() {
                push(&mut states[k], next());
            }
            for _ in 0..run / N_STATES {
                for state in states.iter_mut().rev() {
                    push(state, next());
                }
            }
            words.extend_from_slice(&waiting[..n_waiting]);
            left -= run;
        }
        for state in states {
            out.raw(&state.to_le_bytes());
        }
        out.bytes.extend(words.iter().rev().flat_map(|w| w.to_le_bytes()));
    }
}

/// Decodes them again. Loops work on a copy, which is kept in registers.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    states: [u32; N_STATES],
    /// Tokens taken out: they take turns.
    n_taken: usize,
    words: &'a [u8],
    n_words: usize,
}

impl<'a> States<'a> {
    /// Reads to the end of the input.
    pub fn read(input: &mut Reader<'a>) -> Result<Self> {
        let mut states = [0u32; N_STATES];
        for state in &mut states {
            *state = u32::from_le_bytes(input.raw(4, "a state")?.try_into().expect("four bytes"));
            if *state < LEAST_STATE {
                return Err(Error::corrupt("a state is too small"));
            }
        }
        Ok(Self { states, n_taken: 0, words: input.rest(), n_words: 0 })
    }

    /// The next token, by this table. Only [`Self::advance`] takes it out, so that whoever waits for the token does not
    /// wait for the state.
    #[inline(always)]
    pub fn token(&self, lookup: &Lookup, table: usize) -> u8 {
        lookup.token(table, self.states[self.n_taken % N_STATES] & (TOTAL - 1))
    }

    #[inline(always)]
    pub fn advance(&mut self, lookup: &Lookup, table: usize, token: u8) {
        let state = self.states[self.n_taken % N_STATES];
        let (frequency, first) = lookup.span(table, token);
        let state = frequency * (state >> PROBABILITY_BITS) + (state & (TOTAL - 1)) - first;
        // A state too small takes in a word. Without a branch, which would be guessed wrong once in some values.
        let is_small = u32::from(state < LEAST_STATE);
        let word = self.words.get(self.n_words..self.n_words + 2).map_or(0, |w| u16::from_le_bytes([w[0], w[1]]));
        self.n_words += 2 * is_small as usize;
        self.states[self.n_taken % N_STATES] = state << (16 * is_small) | u32::from(word) & is_small.wrapping_neg();
        self.n_taken += 1;
    }

    /// The next tokens, in place of the numbers of their tables.
    #[inline(always)]
    pub fn tokens(&mut self, lookup: &Lookup, tables: &mut [u8]) {
        let (rounds, rest) = tables.as_chunks_mut::<N_STATES>();
        self.states.rotate_left(self.n_taken % N_STATES);
        self.n_taken = 0;
        let (mut states, mut n_words) = (self.states, self.n_words);
        let mut n_rounds = 0;
        for tokens in &mut *rounds {
            // One check for all words that a round can take in.
            let Some(words) = self.words.get(n_words..n_words + 2 * N_STATES) else { break };
            let mut words = u64::from_le_bytes(words.try_into().expect("eight bytes"));
            for (state, token) in states.iter_mut().zip(tokens) {
                let table = usize::from(*token);
                *token = lookup.token(table, *state & (TOTAL - 1));
                let (frequency, first) = lookup.span(table, *token);
                let next = frequency * (*state >> PROBABILITY_BITS) + (*state & (TOTAL - 1)) - first;
                let n_bits = if next < LEAST_STATE { 16 } else { 0 };
                *state = if next < LEAST_STATE { next << 16 | u32::from(words as u16) } else { next };
                words >>= n_bits;
                n_words += n_bits / 8;
            }
            n_rounds += 1;
        }
        (self.states, self.n_words) = (states, n_words);
        for token in rounds[n_rounds..].as_flattened_mut().iter_mut().chain(rest) {
            let table = usize::from(*token);
            *token = self.token(lookup, table);
            self.advance(lookup, table, *token);
        }
    }

    /// An error unless everything has been taken out.
    pub fn finish(&self) -> Result<()> {
        if self.states != [LEAST_STATE; N_STATES] || self.n_words != self.words.len() {
            return Err(Error::corrupt("rANS did not end with its bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_exact() {
        for frequency in 1..=TOTAL {
            let span = Span::new(frequency, 0);
            let end = u64::from(frequency) << (32 - PROBABILITY_BITS);
            let near =
                (0..end).step_by(1 << 19).flat_map(|s| [s.wrapping_sub(1), s, s + 1, s + u64::from(frequency) - 1]);
            for state in near.chain([end - 1, end - u64::from(frequency)]).filter(|&s| s < end) {
                let state = state as u32;
                assert_eq!(span.push(state), ((state / frequency) << PROBABILITY_BITS) + state % frequency, "{state}");
            }
        }
    }
}
