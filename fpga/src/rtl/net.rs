//! The operations of a design on integers, before they are put into cycles.
//!
//! A [`Net`] is a list of nodes, operands first; each carries integers of an exactly known range, which gives its wire
//! the bits it needs and no more. Building one simplifies: what cannot change a value is left out, equal nodes are one,
//! and two limits in a row become one.

use super::adders::{AdderGraph, Form, Sum, Value};
use crate::fixed::{Format, Overflow, Rounding};
use crate::ir::Range;
use baler_codec::{Error, Result};
use std::collections::HashMap;

/// A node's number.
pub type Id = usize;

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Element of the input.
    Input(usize),
    /// A constant.
    Constant(i128),
    /// `a ± (b << shift)`, an adder.
    Sum(Sum),
    /// `a * weight`, for a hardware multiplier.
    Multiply(Id, i128),
    /// `a << bits`: wiring.
    Up(Id, u32),
    /// `a >> bits`, rounded: wiring for [`Rounding::Trn`].
    Drop(Id, u32, Rounding),
    /// The nearest value of the node's range: saturation, and the rectifier.
    Clamp(Id),
    /// Zero outside of the node's range.
    ZeroOutside(Id),
    /// The low bits: wiring.
    Wrap(Id),
    /// [`Overflow::WrapSm`].
    WrapSignMagnitude(Id),
    /// `above` where `x >= 0`, else `below`.
    Select {
        /// What is compared.
        x: Id,
        /// Where it is not negative.
        above: Id,
        /// Where it is.
        below: Id,
    },
    /// Entry number `a` of a table, by its number.
    Table(Id, usize),
    /// Whether `a` is outside of a range: below it, above it.
    Outside(Id, i128, i128),
    /// Whether any is set.
    Any(Vec<Id>),
}

/// One operation and what it can give.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The integers it can give.
    pub range: Range,
}

/// Operations from the input to the output; built by its methods.
#[derive(Clone, Debug, Default)]
pub struct Net {
    nodes: Vec<Node>,
    known: HashMap<(Op, i128, i128), Id>,
    tables: Vec<Vec<i128>>,
    outputs: Vec<Id>,
}

impl Op {
    /// What it reads.
    pub fn operands(&self) -> Vec<Id> {
        match self {
            Op::Input(_) | Op::Constant(_) => Vec::new(),
            Op::Sum(sum) => vec![sum.a, sum.b],
            Op::Multiply(a, _)
            | Op::Up(a, _)
            | Op::Drop(a, ..)
            | Op::Clamp(a)
            | Op::ZeroOutside(a)
            | Op::Wrap(a)
            | Op::WrapSignMagnitude(a)
            | Op::Table(a, _)
            | Op::Outside(a, ..) => vec![*a],
            Op::Select { x, above, below } => vec![*x, *above, *below],
            Op::Any(of) => of.clone(),
        }
    }

    /// Whether it is wiring, without logic.
    pub fn is_wiring(&self) -> bool {
        matches!(self, Op::Input(_) | Op::Constant(_) | Op::Up(..) | Op::Drop(_, _, Rounding::Trn) | Op::Wrap(_))
    }
}

fn too_wide() -> Error {
    Error::unsupported("a wire of more than 126 bits: use narrower formats")
}

impl Net {
    /// Every node, operands first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes that leave.
    pub fn outputs(&self) -> &[Id] {
        &self.outputs
    }

    /// The tables that [`Op::Table`] numbers.
    pub fn tables(&self) -> &[Vec<i128>] {
        &self.tables
    }

    /// The range of a node.
    pub fn range(&self, id: Id) -> Range {
        self.nodes[id].range
    }

    /// Says what leaves.
    pub fn set_outputs(&mut self, outputs: Vec<Id>) {
        self.outputs = outputs;
    }

    fn push(&mut self, op: Op, range: Range) -> Id {
        if let (Some(constant), false) = (constant(range), matches!(op, Op::Input(_) | Op::Constant(_))) {
            return self.constant(constant);
        }
        // Limits of different ranges are different operations.
        let key = (op, range.low, range.high);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let id = self.nodes.len();
        self.nodes.push(Node { op: key.0.clone(), range });
        self.known.insert(key, id);
        id
    }

    /// Element `i` of the input, with every value of its range.
    pub fn input(&mut self, i: usize, range: Range) -> Id {
        self.push(Op::Input(i), range)
    }

    /// A constant.
    pub fn constant(&mut self, value: i128) -> Id {
        self.push(Op::Constant(value), Range::of(value))
    }

    /// The sum of two nodes.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn sum(&mut self, sum: Sum) -> Result<Id> {
        let b = checked_up(self.range(sum.b), sum.shift)?;
        let a = self.range(sum.a);
        let negative = |r: Range| Range { low: -r.high, high: -r.low };
        let range = match sum.form {
            Form::Plus => a.plus(b),
            Form::Minus => a.plus(negative(b)),
            Form::Reverse => b.plus(negative(a)),
        };
        Ok(self.push(Op::Sum(sum), range.filter(|r| r.bits() <= 126).ok_or_else(too_wide)?))
    }

    /// The sum of many nodes, each with its shift, as a balanced tree.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn total(&mut self, terms: &[(Id, u32)]) -> Result<Id> {
        let mut terms: Vec<(Id, u32)> = terms.iter().copied().filter(|t| self.range(t.0) != Range::of(0)).collect();
        while terms.len() > 1 {
            let mut next = Vec::with_capacity(terms.len().div_ceil(2));
            for pair in terms.chunks(2) {
                let [x, y] = pair else {
                    next.push(pair[0]);
                    continue;
                };
                let (low, high) = if x.1 <= y.1 { (x, y) } else { (y, x) };
                next.push((self.sum(Sum { a: low.0, b: high.0, shift: high.1 - low.1, form: Form::Plus })?, low.1));
            }
            terms = next;
        }
        match terms.first() {
            None => Ok(self.constant(0)),
            Some(&(id, shift)) => self.up(id, shift),
        }
    }

    /// `a * weight` by a multiplier; by wiring where the weight is a power of two.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn multiply(&mut self, a: Id, weight: i128) -> Result<Id> {
        if weight > 0 && weight & (weight - 1) == 0 {
            return self.up(a, weight.trailing_zeros());
        }
        let range = self.range(a).times(weight).filter(|r| r.bits() <= 126).ok_or_else(too_wide)?;
        Ok(self.push(Op::Multiply(a, weight), range))
    }

    /// `a << bits`.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn up(&mut self, a: Id, bits: u32) -> Result<Id> {
        if bits == 0 {
            return Ok(a);
        }
        let range = checked_up(self.range(a), bits)?;
        Ok(self.push(Op::Up(a, bits), range))
    }

    /// `a >> bits`, rounded.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn drop_bits(&mut self, a: Id, bits: u32, rounding: Rounding) -> Result<Id> {
        // Below the sign there is only the sign.
        let bits = bits.min(self.range(a).bits() + 2);
        if bits == 0 {
            return Ok(a);
        }
        if rounding == Rounding::Rnd {
            let half = self.constant(1);
            let a = self.total(&[(a, 0), (half, bits - 1)])?;
            return self.drop_bits(a, bits, Rounding::Trn);
        }
        let Range { low, high } = self.range(a);
        let range = Range { low: dropped(low, bits, rounding), high: dropped(high, bits, rounding) };
        Ok(self.push(Op::Drop(a, bits, rounding), range))
    }

    /// The value of `low..=high` nearest to `a`.
    pub fn clamp(&mut self, a: Id, low: i128, high: i128) -> Id {
        let range = self.range(a);
        if low <= range.low && range.high <= high {
            return a;
        }
        let limited = Range { low: range.low.clamp(low, high), high: range.high.clamp(low, high) };
        match self.nodes[a].op {
            // Its own limits lie around these or are moved to them: one comparison does.
            Op::Clamp(inner) => self.push(Op::Clamp(inner), limited),
            _ => self.push(Op::Clamp(a), limited),
        }
    }

    /// `above` where `x >= 0`, else `below`; the caller knows the range of what is chosen.
    pub fn select(&mut self, x: Id, above: Id, below: Id, range: Range) -> Id {
        let of_x = self.range(x);
        if of_x.low >= 0 {
            return above;
        }
        if of_x.high < 0 {
            return below;
        }
        self.push(Op::Select { x, above, below }, range)
    }

    /// Entry `a` of a table, whose entries are all there.
    pub fn table(&mut self, a: Id, entries: &[i128]) -> Id {
        let number = self.tables.iter().position(|t| t == entries).unwrap_or_else(|| {
            self.tables.push(entries.to_vec());
            self.tables.len() - 1
        });
        let Range { low, high } = self.range(a);
        let reached = entries[low as usize..=high as usize].iter().map(|&e| Range::of(e));
        let range = reached.reduce(Range::hull).expect("a range is not empty");
        self.push(Op::Table(a, number), range)
    }

    /// Whether any of the nodes, each 0 or 1, is set.
    pub fn any(&mut self, of: &[Id]) -> Id {
        let mut of: Vec<Id> = of.iter().copied().filter(|&id| self.range(id) != Range::of(0)).collect();
        // Six inputs are one look-up table.
        while of.len() > 1 {
            of = of.chunks(6).map(|part| self.push(Op::Any(part.to_vec()), Range { low: 0, high: 1 })).collect();
        }
        of.first().copied().unwrap_or_else(|| self.constant(0))
    }

    /// Brings `a` into the range of `format`, and says whether it was outside (a node of 0 or 1).
    pub fn fit(&mut self, a: Id, format: Format) -> (Id, Id) {
        let range = self.range(a);
        let high = format.max_raw();
        let low = if format.overflow() == Overflow::SatSym && format.is_signed() { -high } else { format.min_raw() };
        let outside = self.outside(a, low, high);
        if low <= range.low && range.high <= high {
            return (a, outside);
        }
        let all = Range { low: format.min_raw(), high };
        let fitted = match format.overflow() {
            Overflow::Sat | Overflow::SatSym => self.clamp(a, low, high),
            Overflow::SatZero => {
                let kept = Range { low: range.low.clamp(low, high).min(0), high: range.high.clamp(low, high).max(0) };
                let kept = if range.high < low || range.low > high { Range::of(0) } else { kept };
                self.push(Op::ZeroOutside(a), kept)
            }
            Overflow::Wrap => self.push(Op::Wrap(a), all),
            Overflow::WrapSm => self.push(Op::WrapSignMagnitude(a), all),
        };
        (fitted, outside)
    }

    fn outside(&mut self, a: Id, low: i128, high: i128) -> Id {
        let range = self.range(a);
        // No comparison with what cannot be.
        let (low, high) = (low.max(range.low), high.min(range.high));
        if low == range.low && high == range.high {
            return self.constant(0);
        }
        self.push(Op::Outside(a, low, high), Range { low: 0, high: 1 })
    }

    /// A constant matrix times nodes, plus biases: shifts and additions.
    ///
    /// # Errors
    /// More than 126 bits.
    pub fn linear(&mut self, inputs: &[Id], weights: &[Vec<i128>], biases: &[i128], slack: u32) -> Result<Vec<Id>> {
        let ranges: Vec<Range> = inputs.iter().map(|&i| self.range(i)).collect();
        let graph = AdderGraph::new(weights, biases, &ranges, slack)?;
        let mut ids = Vec::with_capacity(graph.values().len());
        for (i, value) in graph.values().iter().enumerate() {
            ids.push(match *value {
                Value::Input(i) => inputs[i],
                Value::Constant(c) => self.constant(c),
                Value::Sum(sum) => self.push(Op::Sum(Sum { a: ids[sum.a], b: ids[sum.b], ..sum }), graph.range(i)),
            });
        }
        graph.outputs().iter().map(|&(value, shift)| self.up(ids[value], shift)).collect()
    }

    /// Leaves out nodes that no output needs. Inputs stay.
    #[must_use]
    pub fn pruned(&self) -> Net {
        let mut is_used = vec![false; self.nodes.len()];
        for &id in &self.outputs {
            is_used[id] = true;
        }
        for id in (0..self.nodes.len()).rev() {
            if is_used[id] {
                self.nodes[id].op.operands().iter().for_each(|&o| is_used[o] = true);
            }
        }
        let mut net = Net { tables: self.tables.clone(), ..Net::default() };
        let mut ids = vec![usize::MAX; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            if is_used[id] || matches!(node.op, Op::Input(_)) {
                ids[id] = net.nodes.len();
                let mut op = node.op.clone();
                op.renumber(&ids);
                net.nodes.push(Node { op, range: node.range });
            }
        }
        net.outputs = self.outputs.iter().map(|&id| ids[id]).collect();
        net
    }

    /// The output for one input: what the hardware must give.
    ///
    /// # Panics
    /// If there are fewer inputs than the net reads.
    pub fn evaluate(&self, inputs: &[i128]) -> Vec<i128> {
        let mut found: Vec<i128> = Vec::with_capacity(self.nodes.len());
        for Node { op, range } in &self.nodes {
            let value = match op {
                Op::Input(i) => inputs[*i],
                Op::Constant(c) => *c,
                Op::Sum(Sum { a, b, shift, form }) => {
                    let (a, b) = (found[*a], found[*b] << shift);
                    match form {
                        Form::Plus => a + b,
                        Form::Minus => a - b,
                        Form::Reverse => b - a,
                    }
                }
                Op::Multiply(a, weight) => found[*a] * weight,
                Op::Up(a, bits) => found[*a] << bits,
                Op::Drop(a, bits, rounding) => dropped(found[*a], *bits, *rounding),
                Op::Clamp(a) => found[*a].clamp(range.low, range.high),
                Op::ZeroOutside(a) if (range.low..=range.high).contains(&found[*a]) => found[*a],
                Op::ZeroOutside(_) => 0,
                Op::Wrap(a) => wrapped(found[*a], *range),
                Op::WrapSignMagnitude(a) => {
                    let low_bits = wrapped(found[*a], *range);
                    let cut_off = found[*a] >> range.bits() & 1 == 1;
                    if cut_off == (low_bits < 0) { low_bits } else { !low_bits }
                }
                Op::Select { x, above, below } => found[if found[*x] >= 0 { *above } else { *below }],
                Op::Table(a, number) => self.tables[*number][found[*a] as usize],
                Op::Outside(a, low, high) => i128::from(!(*low..=*high).contains(&found[*a])),
                Op::Any(of) => i128::from(of.iter().any(|&id| found[id] != 0)),
            };
            debug_assert!((range.low..=range.high).contains(&value), "{op:?} gives {value}, outside {range:?}");
            found.push(value);
        }
        self.outputs.iter().map(|&id| found[id]).collect()
    }
}

impl Op {
    fn renumber(&mut self, ids: &[Id]) {
        let new = |id: &mut Id| *id = ids[*id];
        match self {
            Op::Input(_) | Op::Constant(_) => {}
            Op::Sum(sum) => {
                new(&mut sum.a);
                new(&mut sum.b);
            }
            Op::Multiply(a, _)
            | Op::Up(a, _)
            | Op::Drop(a, ..)
            | Op::Clamp(a)
            | Op::ZeroOutside(a)
            | Op::Wrap(a)
            | Op::WrapSignMagnitude(a)
            | Op::Table(a, _)
            | Op::Outside(a, ..) => new(a),
            Op::Select { x, above, below } => [x, above, below].into_iter().for_each(new),
            Op::Any(of) => of.iter_mut().for_each(new),
        }
    }
}

/// The one value of a range, if there is only one.
pub(super) fn constant(range: Range) -> Option<i128> {
    (range.low == range.high).then_some(range.low)
}

fn checked_up(range: Range, bits: u32) -> Result<Range> {
    let shifted = range.shifted_up(i32::try_from(bits).unwrap_or(i32::MAX));
    shifted.filter(|r| r.bits() <= 126).ok_or_else(too_wide)
}

/// `value / 2^bits` rounded; `bits` from 1 to 127.
fn dropped(value: i128, bits: u32, rounding: Rounding) -> i128 {
    let floor = value >> bits;
    let half = value >> (bits - 1) & 1 == 1;
    let rest = value & ((1 << (bits - 1)) - 1) != 0;
    floor + i128::from(rounding.rounds_up(floor & 1 == 1, half, rest, value < 0))
}

/// The low bits of `value`, as many as the range has, which is all that a format holds.
fn wrapped(value: i128, range: Range) -> i128 {
    let unused = 128 - range.bits();
    if range.is_signed() { value << unused >> unused } else { ((value as u128) << unused >> unused) as i128 }
}
