//! Integers to bits by tables that their contexts choose.

use super::intervals::Intervals;
use super::tables::{Assignment, MOST as MOST_TABLES, Pains};
use crate::candidate::occurring;
use crate::entropy::range::{Bit, BitCoder, Decoder, Encoder};
use crate::entropy::rans::{
    BitReader, BitWriter, Counts, Lookup, MAX_VALUES_PER_BYTE_LOG2, N_TOKENS, States, Table, encode_tokens,
};
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Rows that are decoded together: what belongs to them stays in the first cache.
pub(super) const ROWS: usize = 1 << 10;
/// Ranks stand for integers where at most this many occur, and this many rows share one, on average.
const MOST_RANKS: usize = 1 << 10;
const ROWS_PER_RANK: usize = 64;

/// Integers as they will be written.
pub(super) struct Coded {
    base: i64,
    occurring: Vec<i64>,
    intervals: Intervals,
    tokens: Vec<u8>,
    /// How far each integer is from the first of its interval.
    rests: Vec<u64>,
    assignment: Assignment,
}

impl Coded {
    /// Integers, each with a context below `n_contexts`; nothing where they spread too far, or there are none.
    pub fn new(integers: Vec<i64>, contexts: &[u16], n_contexts: usize, pains: Pains) -> Option<Self> {
        let &first = integers.first()?;
        let (base, most) = integers.iter().fold((first, first), |(min, max), &v| (min.min(v), max.max(v)));
        let mut largest = most.wrapping_sub(base) as u64;
        // In their place.
        let mut codes: Vec<u64> = integers.into_iter().map(|v| v.wrapping_sub(base) as u64).collect();
        let n_rows = match pains {
            Pains::Few(n_rows) => n_rows,
            Pains::All => codes.len(),
        };
        let most_ranks = (n_rows / ROWS_PER_RANK).min(MOST_RANKS);
        let mut occurring = if largest < u64::from(occurring::SMALL) {
            occurring::find_small(codes.iter().map(|&v| v as usize), largest as usize, most_ranks)
        } else {
            let mut occurring = occurring::find(codes.iter().map(|&v| base.wrapping_add(v as i64)), most_ranks);
            occurring.iter_mut().for_each(|v| *v = v.wrapping_sub(base));
            occurring
        };
        // Where they lie close, they stand for themselves.
        if occurring.len() as u64 > largest / 2 {
            occurring.clear();
        }
        if !occurring.is_empty() {
            occurring::rank(&mut codes, &occurring);
            largest = occurring.len() as u64 - 1;
        }
        let intervals = Intervals::of(&codes, u64::BITS - largest.leading_zeros())?;
        let tokens = intervals.tokens(&codes);
        let assignment = Assignment::of(contexts, &tokens, n_contexts, pains);
        let starts = intervals.starts();
        codes.iter_mut().zip(&tokens).for_each(|(code, &token)| *code -= starts[usize::from(token)]);
        Some(Self { base, occurring, intervals, tokens, rests: codes, assignment })
    }

    /// What the integers take, about, and what is written in front of them.
    pub fn bits(&self) -> (f64, f64) {
        let stored = |counts: &Counts| -> u64 {
            self.intervals.extra.iter().zip(counts).map(|(&bits, &n)| u64::from(bits) * u64::from(n)).sum()
        };
        let stored = self.assignment.counts.iter().map(stored).sum::<u64>();
        (self.assignment.token_bits + stored as f64, self.assignment.table_bits)
    }

    /// Writes them; nothing where nearly all are alike.
    pub fn write(&self, contexts: &[u16], out: &mut Writer) -> Option<()> {
        let start = out.bytes.len();
        let of_context = &self.assignment.of_context;
        let tables: Vec<Table> = self.assignment.counts.iter().map(Table::from_counts).collect();
        out.varint_signed(self.base);
        occurring::write(&self.occurring, out);
        self.intervals.write(out);
        out.u8(tables.len() as u8);
        let mut coder = Encoder::new();
        code_map(&mut coder, &mut of_context.clone());
        out.block(&coder.finish());
        Table::write_all(&tables, out);
        let mut extra = BitWriter::default();
        for (&token, &rest) in self.tokens.iter().zip(&self.rests) {
            let bits = u32::from(self.intervals.extra[usize::from(token)]);
            if bits > 0 {
                extra.push(rest, bits);
            }
        }
        out.block(&extra.finish());
        let coded = contexts.iter().zip(&self.tokens).map(|(&c, &t)| (of_context[usize::from(c)], t));
        encode_tokens(&tables, coded, out);
        (self.tokens.len() >> MAX_VALUES_PER_BYTE_LOG2 <= out.bytes.len() - start).then_some(())
    }
}

/// The table of each context: mostly that of the context before.
fn code_map<C: BitCoder>(coder: &mut C, of_context: &mut [u8]) {
    const BITS: u32 = (MOST_TABLES - 1).ilog2() + 1;
    let mut is_same = [Bit::new(); 2];
    let mut names = [Bit::new(); 1 << BITS];
    let (mut before, mut was_same) = (0, true);
    for table in of_context {
        was_same = coder.bit(&mut is_same[usize::from(was_same)], *table == before);
        if !was_same {
            let mut node = 1;
            for k in (0..BITS).rev() {
                node = 2 * node + usize::from(coder.bit(&mut names[node], *table >> k & 1 == 1));
            }
            before = (node & ((1 << BITS) - 1)) as u8;
        }
        *table = before;
    }
}

/// Reads what [`Coded::write`] wrote, some rows at a time.
pub(super) struct IntegerDecoder<'a> {
    base: i64,
    occurring: Vec<i64>,
    of_context: Vec<u8>,
    lookup: Lookup,
    /// First integer and stored bits of each token.
    starts: [(u64, u32); MANY_TOKENS],
    /// What each token stands for, where none has stored bits.
    whole: Option<[i64; MANY_TOKENS]>,
    extra: BitReader<'a>,
    states: States<'a>,
}

/// As many as a byte tells apart, so that no look-up is checked.
const MANY_TOKENS: usize = N_TOKENS.next_power_of_two();

impl<'a> IntegerDecoder<'a> {
    /// For `n_coded` integers.
    ///
    /// An integer can take no bits at all, so a stream that is shorter than the encoder makes any is refused.
    pub fn new(input: &mut Reader<'a>, n_coded: usize, n_contexts: usize) -> Result<Self> {
        if n_coded >> MAX_VALUES_PER_BYTE_LOG2 > input.rest().len() {
            return Err(Error::corrupt(format!("{} bytes of rANS cannot hold {n_coded} integers", input.rest().len())));
        }
        let base = input.varint_signed("the smallest integer")?;
        let occurring = occurring::read(n_coded, input)?;
        let intervals = Intervals::read(input)?;
        let n_tables = usize::from(input.u8("the number of tables")?);
        if !(1..=MOST_TABLES).contains(&n_tables) {
            return Err(Error::corrupt(format!("{n_tables} tables: expected 1 to {MOST_TABLES}")));
        }
        let mut coder = Decoder::new(input.block("the tables of contexts")?);
        let mut of_context = vec![0; n_contexts];
        code_map(&mut coder, &mut of_context);
        coder.finish()?;
        if let Some(table) = of_context.iter().find(|&&table| usize::from(table) >= n_tables) {
            return Err(Error::corrupt(format!("table {table} of {n_tables}")));
        }
        let lookup = Lookup::new(&Table::read_all(n_tables, input)?, |token| token);
        let mut starts = [(0, 0); MANY_TOKENS];
        for (start, (&first, &extra)) in starts.iter_mut().zip(intervals.starts().iter().zip(&intervals.extra)) {
            *start = (first, u32::from(extra));
        }
        let extra = BitReader::new(input.block("the stored bits")?);
        let states = States::read(input)?;
        let whole = intervals.extra.iter().all(|&bits| bits == 0).then(|| {
            starts.map(|(start, _)| match occurring.len().checked_sub(1) {
                Some(last) => base.wrapping_add(occurring[start.min(last as u64) as usize]),
                None => base.wrapping_add(start as i64),
            })
        });
        Ok(Self { base, occurring, of_context, lookup, starts, whole, extra, states })
    }

    /// Adds the integers of the next rows, but for those with a class other than 0.
    #[inline(always)]
    pub fn add(&mut self, classes: &[u8], contexts: &[u16], values: &mut [i64]) {
        let mut tokens = [0; ROWS];
        let tokens = &mut tokens[..values.len()];
        for (token, &context) in tokens.iter_mut().zip(contexts) {
            *token = self.of_context[usize::from(context)];
        }
        if classes.iter().all(|&class| class == 0) {
            self.states.tokens(&self.lookup, tokens);
            self.add_tokens(values.iter_mut().zip(&*tokens));
        } else {
            let is_coded = |class: &u8| *class == 0;
            for (token, _) in tokens.iter_mut().zip(classes).filter(|(_, class)| is_coded(class)) {
                self.states.tokens(&self.lookup, std::slice::from_mut(token));
            }
            let rows = values.iter_mut().zip(&*tokens).zip(classes);
            self.add_tokens(rows.filter(|(_, class)| is_coded(class)).map(|(row, _)| row));
        }
    }

    #[inline(always)]
    fn add_tokens<'b>(&mut self, rows: impl Iterator<Item = (&'b mut i64, &'b u8)>) {
        if let Some(whole) = &self.whole {
            for (value, &token) in rows {
                *value = value.wrapping_add(whole[usize::from(token)]);
            }
            return;
        }
        let (starts, base, mut extra) = (&self.starts, self.base, self.extra);
        let mut code = |token: u8| {
            let (start, bits) = starts[usize::from(token)];
            start.wrapping_add(extra.take(bits))
        };
        if let Some(last) = self.occurring.len().checked_sub(1) {
            for (value, &token) in rows {
                // A damaged stream can give any rank.
                let above = self.occurring[code(token).min(last as u64) as usize];
                *value = value.wrapping_add(base).wrapping_add(above);
            }
        } else {
            for (value, &token) in rows {
                *value = value.wrapping_add(base).wrapping_add(code(token) as i64);
            }
        }
        self.extra = extra;
    }

    /// An error unless everything has been read.
    pub fn finish(&self) -> Result<()> {
        self.states.finish()?;
        self.extra.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds what was written to `values`.
    fn decode(bytes: &[u8], classes: &[u8], contexts: &[u16], n_contexts: usize, values: &mut [i64]) -> Result<()> {
        let n_coded = values.len() - classes.iter().filter(|&&class| class != 0).count();
        let mut decoder = IntegerDecoder::new(&mut Reader::new(bytes), n_coded, n_contexts)?;
        for (k, (values, contexts)) in values.chunks_mut(ROWS).zip(contexts.chunks(ROWS)).enumerate() {
            let classes = classes.get(k * ROWS..).unwrap_or_default();
            decoder.add(&classes[..classes.len().min(values.len())], contexts, values);
        }
        decoder.finish()
    }

    fn round_trip(integers: &[i64], contexts: &[u16], n_contexts: usize) -> Option<usize> {
        let mut out = Writer::default();
        let coded = Coded::new(integers.to_vec(), contexts, n_contexts, Pains::All)?;
        coded.write(contexts, &mut out)?;
        let (integers_bits, front_bits) = coded.bits();
        let estimate = (integers_bits + front_bits) / 8.0;
        let len = out.bytes.len() as f64;
        assert!((estimate - len).abs() < 200.0 + len / 8.0, "{estimate}, {len}");
        let mut back = vec![0; integers.len()];
        decode(&out.bytes, &[], contexts, n_contexts, &mut back).unwrap();
        assert_eq!(back, integers);
        // Rows that are left out are where they were.
        let mask: Vec<u8> = (0..2 * integers.len()).map(|i| (i % 2) as u8).collect();
        let twice: Vec<u16> = contexts.iter().flat_map(|&c| [c, 0]).collect();
        let mut back = vec![7; mask.len()];
        decode(&out.bytes, &mask, &twice, n_contexts, &mut back).unwrap();
        assert!(back.chunks(2).zip(integers).all(|(pair, &v)| pair == [v.wrapping_add(7), 7]));
        for i in 0..out.bytes.len().min(400) {
            let mut bad = out.bytes.clone();
            bad[i] ^= 1 << (i % 8);
            let _ = decode(&bad, &[], contexts, n_contexts, &mut back[..integers.len()]);
            let cut = &out.bytes[..i];
            assert!(decode(cut, &[], contexts, n_contexts, &mut back[..integers.len()]).is_err());
        }
        Some(out.bytes.len())
    }

    #[test]
    fn any_integers_come_back() {
        let noise = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i.wrapping_mul(0xC2B2_AE3D_27D4_EB4F) >> 17;
        for n in [1, 2, 100, 5000] {
            for spread in [1, 2, 7, 1 << 10, 1 << 30, 1 << 50] {
                let integers: Vec<i64> = (0..n).map(|i| (noise(i) % spread) as i64 - (spread / 3) as i64).collect();
                for n_contexts in [1u16, 5, 300] {
                    let contexts: Vec<u16> = (0..n).map(|i| (noise(i + n) % u64::from(n_contexts)) as u16).collect();
                    // What spreads over everything is not for these tables.
                    assert!(
                        round_trip(&integers, &contexts, n_contexts.into()).is_some()
                            || (spread == 1 << 50 && n < 5000)
                    );
                }
            }
        }
        assert!(round_trip(&[i64::MIN, i64::MAX], &[0, 0], 1).is_none());
        assert!(round_trip(&[], &[], 1).is_none());
        let contexts = vec![0; 1 << 24];
        let alike = Coded::new(vec![5; 1 << 24], &contexts, 1, Pains::All).unwrap();
        assert!(alike.write(&contexts, &mut Writer::default()).is_none());
    }

    #[test]
    fn rows_left_out_take_no_bytes() {
        const ROWS: usize = 1 << 22;
        let mut out = Writer::default();
        Coded::new(vec![1, 2, 1, 2], &[0; 4], 1, Pains::All).unwrap().write(&[0; 4], &mut out).unwrap();
        assert!(out.bytes.len() < ROWS >> MAX_VALUES_PER_BYTE_LOG2, "{} bytes", out.bytes.len());
        let mut classes = vec![1; ROWS];
        classes[ROWS - 4..].fill(0);
        let mut back = vec![0; ROWS];
        decode(&out.bytes, &classes, &vec![0; ROWS], 1, &mut back).unwrap();
        assert_eq!(back[ROWS - 4..], [1, 2, 1, 2]);
    }

    #[test]
    fn few_far_apart_take_their_entropy() {
        let integers: Vec<i64> =
            (0..8000u64).map(|i| [-999_000_000, 13, 1 << 40, 17][(i * i % 7 % 4) as usize]).collect();
        assert!(round_trip(&integers, &vec![0; 8000], 1).unwrap() < 2050);
    }

    #[test]
    fn contexts_are_told_apart_and_put_together() {
        let noise = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as i64;
        let contexts: Vec<u16> = (0..20_000u64).map(|i| (i * 7 % 100) as u16).collect();
        // 100 contexts of two kinds.
        let integers: Vec<i64> = contexts
            .iter()
            .zip(0..)
            .map(|(c, i)| if c % 2 == 0 { noise(i) % 4 } else { 1000 + noise(i) % 64 })
            .collect();
        let with = round_trip(&integers, &contexts, 100).unwrap();
        assert!((10_000..10_300).contains(&with), "{with}");
        assert!(round_trip(&integers, &vec![0; 20_000], 1).unwrap() > 12_000);
    }
}
