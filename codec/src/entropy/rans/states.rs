//! The states that tokens are pushed into and popped from.

use super::tables::{Lookup, PROBABILITY_BITS, TOTAL, Table};
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// States lie in `[LEAST_STATE, LEAST_STATE << 16)`; words of 16 bits go in and out.
const LEAST_STATE: u32 = 1 << 16;
const N_STATES: usize = 4;

/// Codes tokens, each after the number of its table, in the order in which they are decoded.
pub(crate) fn encode_tokens(
    tables: &[Table],
    coded: impl DoubleEndedIterator<Item = (u8, u8)> + ExactSizeIterator,
    out: &mut Writer,
) {
    // Of each table and token, frequency and the sum of those before.
    let spans: Vec<_> = tables
        .iter()
        .map(|table| {
            let mut start = 0;
            table.frequencies.map(|f| {
                let span = (f, start);
                start = (start + f) & (TOTAL as u16 - 1);
                span
            })
        })
        .collect();
    let mut words: Vec<u16> = Vec::with_capacity(coded.len() / 2);
    let mut states = [LEAST_STATE; N_STATES];
    for (i, (table, token)) in coded.enumerate().rev() {
        let (frequency, start) = spans[usize::from(table)][usize::from(token)];
        let state = &mut states[i % N_STATES];
        if u64::from(*state) >= u64::from(frequency) << (32 - PROBABILITY_BITS) {
            words.push(*state as u16);
            *state >>= 16;
        }
        let f = u32::from(frequency);
        *state = ((*state / f) << PROBABILITY_BITS) + *state % f + u32::from(start);
    }
    for state in states {
        out.raw(&state.to_le_bytes());
    }
    out.bytes.extend(words.iter().rev().flat_map(|w| w.to_le_bytes()));
}

/// Decodes them again.
pub(crate) struct States<'a> {
    /// The one whose turn it is first.
    states: [u32; N_STATES],
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
        Ok(Self { states, words: input.rest(), n_words: 0 })
    }

    /// The next token, by this table. Only [`Self::advance`] takes it out, so that whoever waits for the token does not
    /// wait for the state.
    #[inline(always)]
    pub fn token(&self, lookup: &Lookup, table: usize) -> usize {
        lookup.token(table, self.states[0] & (TOTAL - 1))
    }

    #[inline(always)]
    pub fn advance(&mut self, lookup: &Lookup, table: usize, token: usize) {
        let [state, second, third, fourth] = self.states;
        let (frequency, first) = lookup.span(table, token);
        let state = frequency * (state >> PROBABILITY_BITS) + (state & (TOTAL - 1)) - first;
        // A state too small takes in a word. Without a branch, which would be guessed wrong once in some values.
        let is_small = u32::from(state < LEAST_STATE);
        let word = self.words.get(self.n_words..self.n_words + 2).map_or(0, |w| u16::from_le_bytes([w[0], w[1]]));
        self.n_words += 2 * is_small as usize;
        let state = state << (16 * is_small) | u32::from(word) & is_small.wrapping_neg();
        self.states = [second, third, fourth, state];
    }

    /// An error unless everything has been taken out.
    pub fn finish(&self) -> Result<()> {
        if self.states != [LEAST_STATE; N_STATES] || self.n_words != self.words.len() {
            return Err(Error::corrupt("rANS did not end with its bytes"));
        }
        Ok(())
    }
}
