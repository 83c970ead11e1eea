//! Frequencies of tokens: counted, shared by classes that are alike, written in front of what they code.

use super::{N_CLASSES, N_TOKENS, class};
use crate::entropy::range::{Bit, BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Frequencies of a table add up to `1 << PROBABILITY_BITS`.
pub(super) const PROBABILITY_BITS: u32 = 12;
pub(super) const TOTAL: u32 = 1 << PROBABILITY_BITS;
/// Tables at most: their look-ups have to stay in the cache.
const MAX_TABLES: usize = 24;

/// Frequencies of tokens, each table's adding up to [`TOTAL`]; which classes use which.
pub(crate) struct Tables {
    /// The table of each class: classes of a table lie side by side.
    pub of_class: [u8; N_CLASSES],
    pub tables: Vec<Table>,
}

pub(crate) struct Table {
    pub frequencies: [u16; N_TOKENS],
    /// The token that has what the others leave.
    rest: usize,
}

/// How often each token occurs in a class.
pub(crate) type Counts = [u32; N_TOKENS];

impl Tables {
    /// Neighbouring classes share a table where that takes fewer bits.
    pub fn from_counts(counts: &[Counts]) -> Self {
        struct Group {
            first_class: usize,
            counts: Counts,
            bits: f64,
        }
        let merged = |a: &Group, b: &Group| {
            let counts: Counts = std::array::from_fn(|t| a.counts[t] + b.counts[t]);
            Group { first_class: a.first_class, bits: bits(&counts), counts }
        };
        let used = counts.iter().enumerate().filter(|(_, c)| c.iter().any(|&n| n > 0));
        let mut groups: Vec<Group> = used.map(|(k, c)| Group { first_class: k, counts: *c, bits: bits(c) }).collect();
        let mut pairs: Vec<Group> = groups.windows(2).map(|w| merged(&w[0], &w[1])).collect();
        loop {
            let gain = |k: usize| groups[k].bits + groups[k + 1].bits - pairs[k].bits;
            let Some(best) = (0..pairs.len()).max_by(|&a, &b| gain(a).total_cmp(&gain(b))) else { break };
            if gain(best) <= 0.0 && groups.len() <= MAX_TABLES {
                break;
            }
            groups[best] = pairs.remove(best);
            groups.remove(best + 1);
            if best > 0 {
                pairs[best - 1] = merged(&groups[best - 1], &groups[best]);
            }
            if best + 1 < groups.len() {
                pairs[best] = merged(&groups[best], &groups[best + 1]);
            }
        }
        let mut of_class = [0; N_CLASSES];
        for (k, group) in groups.iter().enumerate().skip(1) {
            of_class[group.first_class..].fill(k as u8);
        }
        Self { of_class, tables: groups.iter().map(|g| Table::from_counts(&g.counts)).collect() }
    }

    pub fn write(&self, out: &mut Writer) {
        out.u8(self.tables.len() as u8);
        for table in 1..self.tables.len() {
            let first = self.of_class.iter().position(|&t| usize::from(t) == table).expect("every table has a class");
            out.u8(first as u8);
        }
        Table::write_all(&self.tables, out);
    }

    pub fn read(input: &mut Reader<'_>) -> Result<Self> {
        let n_tables = usize::from(input.u8("the number of tables")?);
        if !(1..=MAX_TABLES).contains(&n_tables) {
            return Err(Error::corrupt(format!("{n_tables} tables: expected 1 to {MAX_TABLES}")));
        }
        let mut of_class = [0u8; N_CLASSES];
        let mut last = 0;
        for table in 1..n_tables {
            let first = usize::from(input.u8("the first class of a table")?);
            if first <= last || first >= N_CLASSES {
                return Err(Error::corrupt(format!("table {table} begins with class {first} after {last}")));
            }
            of_class[first..].fill(table as u8);
            last = first;
        }
        let tables = Table::read_all(n_tables, input)?;
        Ok(Self { of_class, tables })
    }
}

/// Bits that values of these counts take with a table of their own, and the table.
fn bits(counts: &Counts) -> f64 {
    /// What a frequency takes, near enough.
    const ENTRY: f64 = 5.0;
    let n: u32 = counts.iter().sum();
    let total = f64::from(n).log2();
    let used = counts.iter().filter(|&&c| c > 0);
    used.map(|&c| f64::from(c) * (total - f64::from(c).log2()) + ENTRY).sum::<f64>() + 16.0
}

impl Table {
    /// Writes tables, each given the one before.
    pub fn write_all(tables: &[Table], out: &mut Writer) {
        let mut coder = Encoder::new();
        let mut model = TableModel::new();
        for table in tables {
            let mut copy = Table { frequencies: table.frequencies, rest: table.rest };
            model.table(&mut coder, &mut copy).expect("encoding reads its table only");
        }
        out.block(&coder.finish());
    }

    /// Reads what [`Self::write_all`] wrote.
    pub fn read_all(n_tables: usize, input: &mut Reader<'_>) -> Result<Vec<Table>> {
        let mut coder = Decoder::new(input.block("the tables")?);
        let mut model = TableModel::new();
        let mut tables = Vec::with_capacity(n_tables);
        for _ in 0..n_tables {
            let mut table = Table { frequencies: [0; N_TOKENS], rest: 0 };
            model.table(&mut coder, &mut table)?;
            tables.push(table);
        }
        coder.finish()?;
        Ok(tables)
    }

    /// Frequencies of at most three significant bits but for the most frequent token.
    pub fn from_counts(counts: &Counts) -> Self {
        let n: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        let rest = (0..N_TOKENS).max_by_key(|&t| counts[t]).expect("there are tokens");
        let scaled = |count: u32, of: u64| (u64::from(count) * u64::from(TOTAL) + of / 2) / of;
        let round = |f: u64| {
            let shift = f.ilog2().saturating_sub(2);
            // Rounding up to the next power of two keeps to three bits.
            (f + (1 << shift >> 1)) >> shift << shift
        };
        // Rare tokens get more than their share: where many are, the others get less.
        let mut of = n;
        loop {
            let mut frequencies: [u16; N_TOKENS] =
                std::array::from_fn(|t| if counts[t] == 0 { 0 } else { round(scaled(counts[t], of).max(1)) as u16 });
            frequencies[rest] = 0;
            let others: u64 = frequencies.iter().map(|&f| u64::from(f)).sum();
            let left = u64::from(TOTAL).saturating_sub(others);
            if left > 0 && left * 8 >= scaled(counts[rest], of) * 7 {
                frequencies[rest] = left as u16;
                return Self { frequencies, rest };
            }
            of += of / 16 + 1;
        }
    }
}

/// Codes tables: each frequency's size as a walk from that of the same token in the table before, then two bits below it.
struct TableModel {
    before: [u16; N_TOKENS],
    is_first: bool,
    size: Vec<[[Bit; 16]; 2]>,
    below: [Bit; 3],
    is_rest: [Bit; 2],
    n_tokens: [Bit; 256],
}

impl TableModel {
    fn new() -> Self {
        Self {
            before: [0; N_TOKENS],
            is_first: true,
            size: vec![[[Bit::new(); 16]; 2]; 14 * 14],
            below: [Bit::new(); 3],
            is_rest: [Bit::new(); 2],
            n_tokens: [Bit::new(); 256],
        }
    }

    fn table<C: BitCoder>(&mut self, coder: &mut C, table: &mut Table) -> Result<()> {
        // Bits of a frequency, 0 for none; the largest has 12, and the rest's 13 are not coded.
        let size = |f: u16| (u16::BITS - f.leading_zeros()) as usize;
        let frequencies = &mut table.frequencies;
        let n_tokens = N_TOKENS - frequencies.iter().rev().take_while(|&&f| f == 0).count();
        // The number of tokens, as a byte from its top bit.
        let mut node = 1;
        for k in (0..8).rev() {
            node = 2 * node + usize::from(coder.bit(&mut self.n_tokens[node], n_tokens >> k & 1 == 1));
        }
        let n_tokens = node & 255;
        if n_tokens > N_TOKENS || n_tokens == 0 {
            return Err(Error::corrupt(format!("{n_tokens} tokens: expected 1 to {N_TOKENS}")));
        }
        let mut rest = None;
        let mut sum = 0u32;
        let mut last = 0;
        for (t, frequency) in frequencies.iter_mut().enumerate().take(n_tokens) {
            if rest.is_none()
                && (t + 1 == n_tokens || coder.bit(&mut self.is_rest[usize::from(last > 0)], t == table.rest))
            {
                rest = Some(t);
                last = 12;
                continue;
            }
            let expected = size(self.before[t]);
            let target = size(*frequency);
            let [up, down] = &mut self.size[expected * 14 + last];
            let mut s = if self.is_first { last } else { expected.min(12) };
            if s < 12 && coder.bit(&mut up[s], target > s) {
                s += 1;
                while s < 12 && coder.bit(&mut up[s], target > s) {
                    s += 1;
                }
            } else {
                while s > 0 && !coder.bit(&mut down[s - 1], target > s - 1) {
                    s -= 1;
                }
            }
            let mut f = u16::from(s > 0);
            for k in 1..s.min(3) {
                let bit = *frequency >> (s - 1 - k) & 1 == 1;
                let at = if k == 1 { 0 } else { 1 + usize::from(f & 1) };
                f = 2 * f + u16::from(coder.bit(&mut self.below[at], bit));
            }
            f <<= s.saturating_sub(3);
            last = s;
            sum += u32::from(f);
            if C::DECODES {
                *frequency = f;
            } else {
                debug_assert_eq!(*frequency, f);
            }
        }
        if sum >= TOTAL {
            return Err(Error::corrupt(format!("frequencies of {sum}: expected less than {TOTAL}")));
        }
        table.rest = rest.expect("the last token is the rest if no other was");
        frequencies[table.rest] = (TOTAL - sum) as u16;
        self.before = *frequencies;
        self.is_first = false;
        Ok(())
    }
}

/// Which table an energy has.
pub(super) struct OfEnergy {
    of_energy: Vec<u8>,
    of_class: [u8; N_CLASSES],
}

/// Energies whose table is looked up at once.
const N_ENERGIES: usize = 1 << 12;

impl OfEnergy {
    pub fn new(tables: &Tables) -> Self {
        let of_energy = (0..N_ENERGIES).map(|energy| tables.of_class[class(energy as u32)]).collect();
        Self { of_energy, of_class: tables.of_class }
    }

    #[inline(always)]
    pub fn table(&self, energy: u32) -> usize {
        usize::from(match self.of_energy.get(energy as usize) {
            Some(&table) => table,
            None => self.of_class[class(energy)],
        })
    }
}

/// What a decoder looks up for each token: itself by table and a state's low bits, frequency and first slot by table and
/// token. Tokens have names here, any byte each, so that a name may be what the decoder wants of its token.
pub(crate) struct Lookup {
    tokens: Vec<[u8; TOTAL as usize]>,
    spans: Vec<[u32; N_NAMES]>,
}

const N_NAMES: usize = 1 << u8::BITS;

impl Lookup {
    pub fn new(tables: &[Table], name: impl Fn(u8) -> u8) -> Self {
        let mut lookup =
            Self { tokens: vec![[0; TOTAL as usize]; tables.len()], spans: vec![[0; N_NAMES]; tables.len()] };
        for ((table, tokens), spans) in tables.iter().zip(&mut lookup.tokens).zip(&mut lookup.spans) {
            let mut first = 0;
            for (token, &frequency) in (0..).zip(&table.frequencies) {
                let name = name(token);
                spans[usize::from(name)] = u32::from(frequency) | first << 16;
                let end = first + u32::from(frequency);
                tokens[first as usize..end as usize].fill(name);
                first = end;
            }
            debug_assert_eq!(first, TOTAL);
        }
        lookup
    }

    #[inline(always)]
    pub fn token(&self, table: usize, slot: u32) -> u8 {
        self.tokens[table][(slot % TOTAL) as usize]
    }

    #[inline(always)]
    pub fn span(&self, table: usize, token: u8) -> (u32, u32) {
        let span = self.spans[table][usize::from(token)];
        (span & 0xffff, span >> 16)
    }
}
