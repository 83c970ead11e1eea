//! Range asymmetric numeral systems (Duda, arXiv:1311.2540) with static tables, one for each size of the values around.
//!
//! What the context coder learns bit by bit is counted beforehand here and written in front: one table look-up a value
//! instead of a handful of binary decisions. Each value is zigzag-coded and split into a *token* and bits that are stored
//! as they are; the token is coded by the table of its neighbours' *class*, the logarithm of a weighted sum of their
//! magnitudes. Four states take turns, so that their steps overlap. All arithmetic is integer.

use super::Int;
use super::context::Lattice;
use super::range::{Bit, BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer, unzigzag64, zigzag64};
use std::marker::PhantomData;

/// Frequencies of a table add up to `1 << PROBABILITY_BITS`.
const PROBABILITY_BITS: u32 = 12;
const TOTAL: u32 = 1 << PROBABILITY_BITS;
/// States lie in `[LEAST_STATE, LEAST_STATE << 16)`; words of 16 bits go in and out.
const LEAST_STATE: u32 = 1 << 16;
const N_STATES: usize = 4;

/// Zigzag values below this are tokens themselves; from here up there are four tokens to each power of two.
const N_DIRECT: u64 = 32;
const DIRECT_BITS: u32 = N_DIRECT.ilog2();
/// Zigzag values are below `1 << MAX_BITS`.
const MAX_BITS: u32 = 44;
const N_TOKENS: usize = N_DIRECT as usize + 4 * (MAX_BITS - DIRECT_BITS) as usize;

/// Neighbours' magnitudes are clamped here.
const MAX_NEIGHBOUR: u32 = 1 << 20;
/// Classes of [`class`].
const N_CLASSES: usize = class(12 * MAX_NEIGHBOUR) + 1;
/// Tables at most: their look-ups have to stay in the cache.
const MAX_TABLES: usize = 24;

/// The stream has at least a byte for this many values; see [`decode`].
const MAX_VALUES_PER_BYTE_LOG2: u32 = 16;

#[inline(always)]
fn token(z: u64) -> usize {
    if z < N_DIRECT {
        return z as usize;
    }
    let top = z.ilog2();
    N_DIRECT as usize + 4 * (top - DIRECT_BITS) as usize + (z >> (top - 2) & 3) as usize
}

/// Bits stored beside a token.
#[inline(always)]
const fn n_extra(token: usize) -> u32 {
    if token < N_DIRECT as usize { 0 } else { DIRECT_BITS - 2 + (token as u32 - N_DIRECT as u32) / 4 }
}

/// The least zigzag value of a token.
const fn token_base(token: usize) -> u64 {
    if token < N_DIRECT as usize { token as u64 } else { (4 + (token as u64 & 3)) << n_extra(token) }
}

/// Four classes to each power of two.
#[inline(always)]
const fn class(energy: u32) -> usize {
    let v = energy + 4;
    let top = v.ilog2();
    (4 * top + (v >> (top - 2) & 3)) as usize - 8
}

/// As a neighbour.
#[inline(always)]
fn near(v: i64) -> i32 {
    v.clamp(-i64::from(MAX_NEIGHBOUR), i64::from(MAX_NEIGHBOUR)) as i32
}

/// All ones where a value is coded with its sign turned: where the values around add up to less than zero. What follows
/// a rise then looks like what follows a fall.
#[inline(always)]
fn turn(around: i32) -> i64 {
    i64::from(around >> 31)
}

// ---------------------------------------------------------------------------------------------------------------------
// Neighbours

/// Values of the plane at hand and the one before, with margins of zeros, row by row; of a single plane, of its last two rows.
struct Planes {
    nx: usize,
    ny: usize,
    has_planes: bool,
    stride: usize,
    current: Vec<i32>,
    previous: Vec<i32>,
    /// For a row, what the rows and planes before it add to the energy, and to the sum.
    base: Vec<(u32, i32)>,
}

impl Planes {
    const MARGIN: usize = 2;

    fn new(lattice: Lattice<'_>, n: usize) -> Self {
        let (nx, ny) = lattice.row_and_column();
        let has_planes = n > nx * ny;
        let stride = nx + 2 * Self::MARGIN;
        let plane = vec![0; stride * if has_planes { ny + 2 } else { 2 }];
        let previous = if has_planes { plane.clone() } else { Vec::new() };
        Self { nx, ny, has_planes, stride, current: plane, previous, base: vec![(0, 0); nx] }
    }

    /// Where row `y` lies in `current`, and the row before it.
    #[inline(always)]
    fn row_and_north(&self, y: usize) -> (usize, usize) {
        let (row, north) = if self.has_planes { (y + 1, y) } else { (y & 1, !y & 1) };
        (row * self.stride + Self::MARGIN, north * self.stride + Self::MARGIN)
    }

    /// Fills `base` for row `y` and clears the row, which may hold one of two planes before, or of two rows before. Rows come
    /// in order. Where the row begins.
    #[inline(always)]
    fn start_row(&mut self, y: usize) -> usize {
        if y == 0 && self.has_planes {
            std::mem::swap(&mut self.current, &mut self.previous);
        }
        let (nx, stride) = (self.nx, self.stride);
        let (row, north) = self.row_and_north(y);
        if self.ny > 1 {
            let north = &self.current[north - 1..][..nx + 2];
            for (base, n) in self.base.iter_mut().zip(north.windows(3)) {
                *base = (n[0].unsigned_abs() + 2 * n[1].unsigned_abs() + n[2].unsigned_abs(), n[1]);
            }
        } else {
            self.base.fill((0, 0));
        }
        if self.has_planes {
            let before = &self.previous[row..][..nx + 1];
            let south = &self.previous[row + stride..][..nx];
            for ((base, b), s) in self.base.iter_mut().zip(before.windows(2)).zip(south) {
                base.0 += 2 * b[0].unsigned_abs() + b[1].unsigned_abs() + s.unsigned_abs();
                base.1 += b[0];
            }
        }
        self.current[row..row + nx].fill(0);
        row
    }
}

/// The rows of a lattice's first `n` positions: number within its plane, first position, length.
#[inline(always)]
fn rows(planes: &Planes, n: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (nx, ny) = (planes.nx.max(1), planes.ny);
    (0..n.div_ceil(nx)).map(move |row| (row % ny, row * nx, nx.min(n - row * nx)))
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables

/// Frequencies of tokens, each table's adding up to [`TOTAL`]; which classes use which.
struct Tables {
    /// The table of each class: classes of a table lie side by side.
    of_class: [u8; N_CLASSES],
    tables: Vec<Table>,
}

struct Table {
    frequencies: [u16; N_TOKENS],
    /// The token that has what the others leave.
    rest: usize,
}

type Counts = [u32; N_TOKENS];

impl Tables {
    /// Neighbouring classes share a table where that takes fewer bits.
    fn from_counts(counts: &[Counts]) -> Self {
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

    fn write(&self, out: &mut Writer) {
        out.u8(self.tables.len() as u8);
        for table in 1..self.tables.len() {
            let first = self.of_class.iter().position(|&t| usize::from(t) == table).expect("every table has a class");
            out.u8(first as u8);
        }
        let mut coder = Encoder::new();
        let mut model = TableModel::new();
        for table in &self.tables {
            let mut copy = Table { frequencies: table.frequencies, rest: table.rest };
            model.table(&mut coder, &mut copy).expect("encoding reads its table only");
        }
        out.block(&coder.finish());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
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
        let mut coder = Decoder::new(input.block("the tables")?);
        let mut model = TableModel::new();
        let mut tables = Vec::with_capacity(n_tables);
        for _ in 0..n_tables {
            let mut table = Table { frequencies: [0; N_TOKENS], rest: 0 };
            model.table(&mut coder, &mut table)?;
            tables.push(table);
        }
        coder.finish()?;
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
    /// Frequencies of at most three significant bits but for the most frequent token.
    fn from_counts(counts: &Counts) -> Self {
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

// ---------------------------------------------------------------------------------------------------------------------
// Coding

/// Encodes, unless a value is too large or nearly all are alike: the payload, and how many bytes of it are tables.
pub(crate) fn encode<I: Int>(values: &[I], lattice: Lattice<'_>) -> Option<(Vec<u8>, usize)> {
    simd::run(Encode { values, lattice })
}

struct Encode<'a, I> {
    values: &'a [I],
    lattice: Lattice<'a>,
}

impl<I: Int> Kernel for Encode<'_, I> {
    type Output = Option<(Vec<u8>, usize)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { values, lattice } = self;
        let classes = lattice.classes;
        let n = if classes.is_empty() { values.len() } else { classes.len() };
        let mut planes = Planes::new(lattice, n);
        let mut counts = vec![[0u32; N_TOKENS]; N_CLASSES];
        // Of each value, class and token.
        let mut coded: Vec<(u8, u8)> = Vec::with_capacity(values.len());
        let mut extra = BitWriter::default();
        let mut rest = values.iter();
        let mut largest = 0;
        for (y, start, len) in rows(&planes, n) {
            let row = planes.start_row(y);
            let (mut w, mut ww) = (0i32, 0i32);
            for x in 0..len {
                if !classes.is_empty() && classes[start + x] != 0 {
                    (w, ww) = (0, w);
                    continue;
                }
                let v = rest.next().expect("a value for each position").to_i64();
                let (energy, around) = planes.base[x];
                let turn = turn(around + w);
                let z = zigzag64((v ^ turn).wrapping_sub(turn));
                largest |= z;
                let k = class(energy + 3 * w.unsigned_abs() + ww.unsigned_abs());
                let t = token(z & ((1 << MAX_BITS) - 1));
                counts[k][t] += 1;
                coded.push((k as u8, t as u8));
                let bits = n_extra(t);
                if bits > 0 {
                    extra.push(z & ((1 << bits) - 1), bits);
                }
                (w, ww) = (near(v), w);
                planes.current[row + x] = w;
            }
        }
        if largest >> MAX_BITS != 0 || coded.is_empty() {
            return None;
        }
        let tables = Tables::from_counts(&counts);
        // Of each table and token, frequency and the sum of those before.
        let spans: Vec<[(u16, u16); N_TOKENS]> = tables
            .tables
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
        for (i, &(k, t)) in coded.iter().enumerate().rev() {
            let (frequency, start) = spans[usize::from(tables.of_class[usize::from(k)])][usize::from(t)];
            let state = &mut states[i % N_STATES];
            if u64::from(*state) >= u64::from(frequency) << (32 - PROBABILITY_BITS) {
                words.push(*state as u16);
                *state >>= 16;
            }
            let f = u32::from(frequency);
            *state = ((*state / f) << PROBABILITY_BITS) + *state % f + u32::from(start);
        }
        let mut out = Writer::default();
        tables.write(&mut out);
        let head = out.bytes.len();
        out.block(&extra.finish());
        for state in states {
            out.raw(&state.to_le_bytes());
        }
        out.bytes.extend(words.iter().rev().flat_map(|w| w.to_le_bytes()));
        (values.len() >> MAX_VALUES_PER_BYTE_LOG2 <= out.bytes.len()).then_some((out.bytes, head))
    }
}

/// Decodes `n` values.
///
/// A value can take no bits at all, so a stream that is shorter than the encoder makes any is refused before memory is
/// taken for `n` values.
pub(super) fn decode<I: Int>(payload: &[u8], n: usize, lattice: Lattice<'_>) -> Result<Vec<I>> {
    simd::run(Decode { payload, n, lattice, values: PhantomData::<I> })
}

struct Decode<'a, I> {
    payload: &'a [u8],
    n: usize,
    lattice: Lattice<'a>,
    values: PhantomData<I>,
}

impl<I: Int> Kernel for Decode<'_, I> {
    type Output = Result<Vec<I>>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { payload, n, lattice, .. } = self;
        if n >> MAX_VALUES_PER_BYTE_LOG2 > payload.len() {
            return Err(Error::corrupt(format!("{} bytes of rANS cannot hold {n} values", payload.len())));
        }
        let mut input = Reader::new(payload);
        let tables = Tables::read(&mut input)?;
        let mut extra = BitReader::new(input.block("the stored bits")?);
        let mut states = [0u32; N_STATES];
        for state in &mut states {
            *state = u32::from_le_bytes(input.raw(4, "a state")?.try_into().expect("four bytes"));
            if *state < LEAST_STATE {
                return Err(Error::corrupt("a state is too small"));
            }
        }
        let words = input.rest();
        let mut n_words = 0;
        let lookup = Lookup::new(&tables);
        let classes = lattice.classes;
        let n_positions = if classes.is_empty() { n } else { classes.len() };
        let mut planes = Planes::new(lattice, n_positions);
        let mut values = vec![I::default(); n];
        let mut rest = values.iter_mut();
        let mut is_wide = false;
        for (y, start, len) in rows(&planes, n_positions) {
            let row = planes.start_row(y);
            let (mut w, mut ww) = (0i32, 0i32);
            let current = &mut planes.current[row..row + len];
            for (x, (current, &(energy, around))) in current.iter_mut().zip(&planes.base).enumerate() {
                if !classes.is_empty() && classes[start + x] != 0 {
                    (w, ww) = (0, w);
                    continue;
                }
                let Some(value) = rest.next() else { return Err(Error::corrupt("more values than expected")) };
                // What the next value waits for comes first: its neighbour by way of class and token.
                let table = lookup.table(energy + 3 * w.unsigned_abs() + ww.unsigned_abs());
                let [state, second, third, fourth] = states;
                let slot = state & (TOTAL - 1);
                let t = lookup.token(table, slot);
                let turn = around.wrapping_add(w) >> 31;
                ww = w;
                if t < N_DIRECT as usize {
                    let t = t as i32;
                    w = ((t >> 1 ^ -(t & 1)) ^ turn) - turn;
                    *value = I::from_i32(w);
                } else {
                    let z = token_base(t) + extra.take(n_extra(t));
                    let turn = i64::from(turn);
                    let v = (unzigzag64(z) ^ turn) - turn;
                    match I::from_i64(v) {
                        Some(v) => *value = v,
                        None => is_wide = true,
                    }
                    w = near(v);
                }
                *current = w;
                let (frequency, first) = lookup.span(table, t);
                let state = frequency * (state >> PROBABILITY_BITS) + slot - first;
                // A state too small takes in a word. Without a branch, which would be guessed wrong once in some values.
                let is_small = u32::from(state < LEAST_STATE);
                let word = words.get(n_words..n_words + 2).map_or(0, |w| u16::from_le_bytes([w[0], w[1]]));
                n_words += 2 * is_small as usize;
                let state = state << (16 * is_small) | u32::from(word) & is_small.wrapping_neg();
                states = [second, third, fourth, state];
            }
        }
        if is_wide {
            return Err(Error::corrupt("a residual does not fit its width"));
        }
        if rest.next().is_some() || states != [LEAST_STATE; N_STATES] || n_words != words.len() {
            return Err(Error::corrupt("rANS did not end with its bytes"));
        }
        extra.finish()?;
        Ok(values)
    }
}

/// What a decoder looks up for each value: table by energy, token by table and a state's low bits, frequency and first slot
/// by table and token.
struct Lookup {
    of_energy: Vec<u8>,
    of_class: [u8; N_CLASSES],
    tokens: Vec<u8>,
    spans: Vec<[u32; SPANS]>,
}

/// Energies whose table is looked up at once.
const N_ENERGIES: usize = 1 << 12;
/// Tokens of a table, up to a power of two.
const SPANS: usize = N_TOKENS.next_power_of_two();

impl Lookup {
    fn new(tables: &Tables) -> Self {
        let of_energy = (0..N_ENERGIES).map(|energy| tables.of_class[class(energy as u32)]).collect();
        let mut tokens = Vec::with_capacity(tables.tables.len() << PROBABILITY_BITS);
        let mut spans = Vec::with_capacity(tables.tables.len());
        for table in &tables.tables {
            let (mut first, mut of_token) = (0, [0; SPANS]);
            for (token, (&frequency, span)) in table.frequencies.iter().zip(&mut of_token).enumerate() {
                *span = u32::from(frequency) | first << 16;
                first += u32::from(frequency);
                tokens.resize(tokens.len() + usize::from(frequency), token as u8);
            }
            spans.push(of_token);
        }
        debug_assert_eq!(tokens.len(), tables.tables.len() << PROBABILITY_BITS);
        Self { of_energy, of_class: tables.of_class, tokens, spans }
    }

    #[inline(always)]
    fn table(&self, energy: u32) -> usize {
        usize::from(match self.of_energy.get(energy as usize) {
            Some(&table) => table,
            None => self.of_class[class(energy)],
        })
    }

    #[inline(always)]
    fn token(&self, table: usize, slot: u32) -> usize {
        usize::from(self.tokens[table << PROBABILITY_BITS | slot as usize])
    }

    #[inline(always)]
    fn span(&self, table: usize, token: usize) -> (u32, u32) {
        let span = self.spans[table][token % SPANS];
        (span & 0xffff, span >> 16)
    }
}

/// Bits, the least significant first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    n_pending: u32,
}

impl BitWriter {
    #[inline(always)]
    fn push(&mut self, bits: u64, n: u32) {
        debug_assert!(n <= MAX_BITS);
        self.pending |= bits << self.n_pending;
        self.n_pending += n;
        // At most 7 + 44 bits.
        let whole = self.n_pending / 8;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..whole as usize]);
        self.pending = if whole == 8 { 0 } else { self.pending >> (8 * whole) };
        self.n_pending %= 8;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.n_pending > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Zeros beyond the end.
    #[inline(always)]
    fn take(&mut self, n: u32) -> u64 {
        let start = self.at / 8;
        let word = match self.bytes.get(start..start + 8) {
            Some(eight) => u64::from_le_bytes(eight.try_into().expect("eight bytes")),
            None => self.last_bytes(start),
        };
        let bits = word >> (self.at % 8) & ((1 << n) - 1);
        self.at += n as usize;
        bits
    }

    #[cold]
    fn last_bytes(&self, start: usize) -> u64 {
        let mut eight = [0; 8];
        let rest = self.bytes.get(start..).unwrap_or_default();
        eight[..rest.len().min(8)].copy_from_slice(&rest[..rest.len().min(8)]);
        u64::from_le_bytes(eight)
    }

    fn finish(&self) -> Result<()> {
        if self.at.div_ceil(8) != self.bytes.len() {
            return Err(Error::corrupt("stored bits are left over or missing"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    fn round_trip<I: Int + std::fmt::Debug>(values: &[I], extents: &[usize], classes: &[u8]) -> usize {
        let lattice = Lattice { extents, classes };
        let packed = encode(values, lattice).unwrap().0;
        assert_eq!(decode::<I>(&packed, values.len(), lattice).unwrap(), values);
        packed.len()
    }

    #[test]
    fn tokens_cover_every_value() {
        for z in (0..MAX_BITS).flat_map(|s| [1u64 << s, (1u64 << s) - 1, (1u64 << s) + 1, (1u64 << s) * 3 / 2]) {
            let t = token(z);
            let base = token_base(t);
            assert!(t < N_TOKENS && base <= z && z - base < 1 << n_extra(t), "{z}");
        }
        for energy in 1..5000 {
            assert!((0..=1).contains(&(class(energy) - class(energy - 1))));
        }
        assert_eq!(class(0), 0);
    }

    #[test]
    fn all_ranks_masks_and_extremes() {
        let mut seed = 42;
        for extents in [vec![2000], vec![40, 50], vec![4, 10, 50], vec![2, 2, 10, 50], vec![1000, 2], vec![20, 1, 100]]
        {
            for spread in [1u64, 2, 3, 100, 1 << 20, 1 << 43] {
                let values: Vec<i64> =
                    (0..2000).map(|_| (noise(&mut seed) % spread) as i64 - (spread / 2) as i64).collect();
                round_trip(&values, &extents, &[]);
                let classes: Vec<u8> = (0..2000).map(|_| u8::from(noise(&mut seed).is_multiple_of(3))).collect();
                let coded: Vec<i64> = values.iter().zip(&classes).filter(|(_, c)| **c == 0).map(|(v, _)| *v).collect();
                round_trip(&coded, &extents, &classes);
            }
        }
        round_trip(&[i32::MIN, i32::MAX, 0, -1, 1, i32::MIN], &[6], &[]);
        round_trip(&[7i32], &[], &[]);
        for outside in [i64::MAX, i64::MIN, 1 << 43] {
            assert!(encode(&[0, outside], Lattice { extents: &[2], classes: &[] }).is_none());
        }
        assert!(encode::<i32>(&[], Lattice { extents: &[0], classes: &[] }).is_none());
        assert!(encode(&vec![0i32; 1 << 24], Lattice { extents: &[1 << 24], classes: &[] }).is_none());
    }

    #[test]
    fn comes_near_the_entropy() {
        let mut seed = 7;
        let values: Vec<i32> = (0..200_000).map(|_| i32::from(noise(&mut seed).is_multiple_of(64))).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 0.122, "{bits}");
        let values: Vec<i32> = (0..200_000).map(|_| (noise(&mut seed) % 256) as i32 - 128).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 8.05, "{bits}");
        // Calm and lively rows take turns.
        let values: Vec<i32> =
            (0..200_000).map(|i| (noise(&mut seed) % if i / 10_000 % 2 == 0 { 2 } else { 64 }) as i32).collect();
        let bits = 8.0 * round_trip(&values, &[400, 500], &[]) as f64 / 200_000.0;
        assert!(bits < 4.0, "{bits}");
    }

    #[test]
    fn damage_is_an_error_or_other_values_but_never_a_crash() {
        let mut seed = 3;
        let values: Vec<i64> = (0..600).map(|_| (noise(&mut seed) >> (21 + noise(&mut seed) % 43)) as i64).collect();
        let lattice = Lattice { extents: &[20, 30], classes: &[] };
        let packed = encode(&values, lattice).unwrap().0;
        for i in 0..packed.len() {
            for flip in [1u8, 2, 16, 128, 255] {
                let mut bad = packed.clone();
                bad[i] ^= flip;
                let _ = decode::<i64>(&bad, 600, lattice);
                let _ = decode::<i32>(&bad, 600, lattice);
            }
            assert!(decode::<i64>(&packed[..i], 600, lattice).is_err());
        }
    }
}
