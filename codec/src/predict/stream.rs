//! The integers of a part on the wire: width, axes, orders, entropy-coded differences.

use super::lorenzo::{self, MAX_AXES, MAX_ORDER, Stencil};
use super::search;
use crate::entropy::context::Lattice;
use crate::entropy::{self, Beside, Hints, Int};
use crate::error::{Error, Result};
use crate::params::Effort;
use crate::wire::{Reader, Writer};
use std::borrow::Cow;

/// Integers in the narrower width that holds them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ints {
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Ints {
    pub fn zeros(n: usize) -> Self {
        Ints::I32(vec![0; n])
    }

    /// Puts an integer at its place; all become wide once one does not fit.
    #[inline(always)]
    pub fn set(&mut self, i: usize, v: i64) {
        match self {
            Ints::I32(all) if i64::from(v as i32) == v => all[i] = v as i32,
            Ints::I64(all) => all[i] = v,
            Ints::I32(_) => self.widen_and_set(i, v),
        }
    }

    #[cold]
    fn widen_and_set(&mut self, i: usize, v: i64) {
        if let Ints::I32(narrow) = self {
            *self = Ints::I64(narrow.iter().map(|&v| i64::from(v)).collect());
        }
        self.set(i, v);
    }

    pub fn len(&self) -> usize {
        match self {
            Ints::I32(v) => v.len(),
            Ints::I64(v) => v.len(),
        }
    }

    #[inline]
    pub fn get(&self, i: usize) -> i64 {
        match self {
            Ints::I32(v) => i64::from(v[i]),
            Ints::I64(v) => v[i],
        }
    }

    /// See [`search::bits_per_value`].
    pub fn bits_per_value(&self) -> f64 {
        match self {
            Ints::I32(v) => search::bits_per_value(v),
            Ints::I64(v) => search::bits_per_value(v),
        }
    }

    /// Whether all values that `classes` leaves in are the same.
    pub fn is_constant(&self, classes: &[u8]) -> bool {
        let mut kept = (0..self.len()).filter(|&i| classes.get(i).is_none_or(|&c| c == 0)).map(|i| self.get(i));
        let Some(first) = kept.next() else { return true };
        kept.all(|v| v == first)
    }
}

/// Picks the width.
impl FromIterator<i64> for Ints {
    fn from_iter<T: IntoIterator<Item = i64>>(values: T) -> Self {
        let mut values = values.into_iter();
        let mut narrow = Vec::with_capacity(values.size_hint().0);
        while let Some(v) = values.next() {
            if i64::from(v as i32) != v {
                let so_far = narrow.into_iter().map(i64::from);
                return Ints::I64(so_far.chain([v]).chain(values).collect());
            }
            narrow.push(v as i32);
        }
        Ints::I32(narrow)
    }
}

/// Encodes an array of integers; those with a class other than 0 are not coded.
pub(crate) fn encode(values: &Ints, shape: &[usize], classes: &[u8], effort: Effort) -> Vec<u8> {
    encode_at(values, shape, classes, Pace { effort, beside: Beside::Nothing })
}

/// The same for what a network leaves: decoding takes its time anyway.
pub(crate) fn encode_beside_network(values: &Ints, shape: &[usize], classes: &[u8], effort: Effort) -> Vec<u8> {
    encode_at(values, shape, classes, Pace { effort, beside: Beside::Network })
}

/// What the coders' time is weighed against; see [`Hints`].
#[derive(Clone, Copy)]
struct Pace {
    effort: Effort,
    beside: Beside,
}

fn encode_at(values: &Ints, shape: &[usize], classes: &[u8], pace: Pace) -> Vec<u8> {
    match values {
        Ints::I32(v) => encode_width(v, shape, classes, pace),
        Ints::I64(v) => encode_width(v, shape, classes, pace),
    }
}

/// The same without differences, for integers that are residuals already.
pub(crate) fn encode_plain(values: &Ints, shape: &[usize], classes: &[u8], effort: Effort) -> Vec<u8> {
    encode_beside(values, shape, classes, effort, Beside::Nothing)
}

/// The same where the part has more than these.
pub(crate) fn encode_beside(values: &Ints, shape: &[usize], classes: &[u8], effort: Effort, beside: Beside) -> Vec<u8> {
    let extents = lorenzo::working_extents(shape);
    let orders = vec![0; extents.len()];
    let pace = Pace { effort, beside };
    match values {
        Ints::I32(v) => encode_orders(v, &extents, &orders, classes, pace),
        Ints::I64(v) => encode_orders(v, &extents, &orders, classes, pace),
    }
}

fn encode_width<I: Int>(values: &[I], shape: &[usize], classes: &[u8], pace: Pace) -> Vec<u8> {
    let extents = lorenzo::working_extents(shape);
    orders_to_try(values, &extents, pace.effort)
        .iter()
        .map(|orders| encode_orders(values, &extents, orders, classes, pace))
        .min_by_key(Vec::len)
        .expect("at least one choice is tried")
}

/// The orders worth encoding with: the cheapest by estimate, and what comes close to it.
fn orders_to_try<I: Int>(values: &[I], extents: &[usize], effort: Effort) -> Vec<Vec<u8>> {
    let plain = vec![0; extents.len()];
    if values.is_empty() {
        return vec![plain];
    }
    let (n_tries, margin) = match effort {
        Effort::Fast => (1, 1.0),
        Effort::Default => (2, 1.02),
        Effort::Max => (4, 1.1),
    };
    let ranked = search::rank_orders(values, extents);
    let least = ranked[0].1;
    let plain_bits = ranked.iter().find(|(orders, _)| *orders == plain).map_or(f64::INFINITY, |r| r.1);
    let mut tries: Vec<Vec<u8>> =
        ranked.into_iter().take_while(|r| r.1 <= least * margin + 1e-3).take(n_tries).map(|r| r.0).collect();
    // Repeats (sentinels, masks) show in the values themselves only, which the estimate does not see.
    if effort != Effort::Fast && !tries.contains(&plain) && plain_bits < 1.3 * least + 0.5 {
        tries.push(plain);
    }
    tries
}

fn encode_orders<I: Int>(values: &[I], extents: &[usize], orders: &[u8], classes: &[u8], pace: Pace) -> Vec<u8> {
    let mut out = Writer::default();
    write_head::<I>(extents, orders, &mut out);
    let is_residual = orders.iter().any(|&o| o > 0);
    let lattice = Lattice { extents, classes };
    let hints = Hints { effort: pace.effort, is_residual, lattice, beside: pace.beside };
    let differences = if classes.is_empty() {
        let mut differences = Cow::Borrowed(values);
        if is_residual {
            lorenzo::forward(differences.to_mut(), extents, orders);
        }
        differences
    } else if !is_residual {
        Cow::Owned(values.iter().zip(classes).filter(|&(_, &class)| class == 0).map(|(&v, _)| v).collect())
    } else {
        let mut differences = Vec::with_capacity(values.len());
        let Ok(()) = Stencil::new(extents, orders).scan(&mut values.to_vec(), |i, v, prediction| {
            if classes[i] != 0 {
                return Ok::<_, std::convert::Infallible>(prediction);
            }
            differences.push(v.wrapping_sub(prediction));
            Ok(v)
        });
        Cow::Owned(differences)
    };
    out.raw(&entropy::encode(&differences, hints));
    out.bytes
}

/// What the head of a stream says, for reports.
pub(crate) struct Summary {
    pub orders: Vec<u8>,
    pub coder: u8,
}

pub(crate) fn write_head<I: Int>(extents: &[usize], orders: &[u8], out: &mut Writer) {
    out.u8(I::SIZE_BYTES as u8);
    out.u8(extents.len() as u8);
    for (&extent, &order) in extents.iter().zip(orders) {
        out.varint(extent as u64);
        out.u8(order);
    }
}

/// Reads the width, extents and orders of `n` integers.
pub(crate) fn read_head(input: &mut Reader<'_>, n: usize) -> Result<(u8, Vec<usize>, Vec<u8>)> {
    let width = input.u8("the width of the integers")?;
    let n_axes = usize::from(input.u8("the number of axes")?);
    if n_axes > MAX_AXES {
        return Err(Error::corrupt(format!("{n_axes} axes: at most {MAX_AXES} are allowed")));
    }
    let (mut extents, mut orders) = (Vec::new(), Vec::new());
    for _ in 0..n_axes {
        extents.push(input.size("an extent")?);
        let order = input.u8("an order")?;
        if order > MAX_ORDER {
            return Err(Error::corrupt(format!("order {order}: at most {MAX_ORDER} is allowed")));
        }
        orders.push(order);
    }
    if extents.iter().try_fold(1usize, |p, &e| p.checked_mul(e)) != Some(n) {
        return Err(Error::corrupt(format!("extents {extents:?} do not hold {n} integers")));
    }
    Ok((width, extents, orders))
}

/// Reads the head of a stream of `n` integers.
pub(crate) fn summarise(stream: &[u8], n: usize) -> Result<Summary> {
    let mut input = Reader::new(stream);
    let (_, _, orders) = read_head(&mut input, n)?;
    Ok(Summary { orders, coder: input.u8("an entropy coder")? })
}

/// Decodes `n` integers; `classes` as at encoding.
pub(crate) fn decode(stream: &[u8], n: usize, classes: &[u8]) -> Result<Ints> {
    let mut input = Reader::new(stream);
    let (width, extents, orders) = read_head(&mut input, n)?;
    match width {
        4 => Ok(Ints::I32(decode_width(input.rest(), n, &extents, &orders, classes)?)),
        8 => Ok(Ints::I64(decode_width(input.rest(), n, &extents, &orders, classes)?)),
        _ => Err(Error::corrupt(format!("integers of {width} bytes: expected 4 or 8"))),
    }
}

fn decode_width<I: Int>(payload: &[u8], n: usize, extents: &[usize], orders: &[u8], classes: &[u8]) -> Result<Vec<I>> {
    let lattice = Lattice { extents, classes };
    if classes.is_empty() {
        let mut values = entropy::decode(payload, n, lattice)?;
        lorenzo::inverse(&mut values, extents, orders);
        return Ok(values);
    }
    let n_coded = classes.iter().filter(|&&c| c == 0).count();
    let differences: Vec<I> = entropy::decode(payload, n_coded, lattice)?;
    let mut differences = differences.into_iter();
    let mut values = vec![I::default(); n];
    if orders.iter().all(|&order| order == 0) {
        // Predictions are zeros.
        for (value, _) in values.iter_mut().zip(classes).filter(|(_, class)| **class == 0) {
            *value = differences.next().ok_or_else(|| Error::corrupt("too few differences"))?;
        }
        return Ok(values);
    }
    Stencil::new(extents, orders).scan(&mut values, |i, _, prediction| {
        if classes[i] != 0 {
            return Ok(prediction);
        }
        let difference = differences.next().ok_or_else(|| Error::corrupt("too few differences"))?;
        Ok::<_, Error>(prediction.wrapping_add(difference))
    })?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_with_and_without_masks() {
        for shape in [vec![0], vec![1], vec![300], vec![20, 30], vec![5, 6, 7], vec![2, 3, 4, 5, 6], vec![]] {
            let n: usize = shape.iter().product();
            for scale in [1i64, 1 << 34] {
                let values: Ints = (0..n as i64).map(|i| (i * i % 97 - 40) * scale).collect();
                let classes: Vec<u8> = (0..n).map(|i| u8::from(i % 5 == 2 || i % 31 < 4)).collect();
                for effort in [Effort::Fast, Effort::Default, Effort::Max] {
                    let stream = encode(&values, &shape, &[], effort);
                    assert_eq!(decode(&stream, n, &[]).unwrap(), values);
                    let stream = encode(&values, &shape, &classes, effort);
                    let back = decode(&stream, n, &classes).unwrap();
                    for i in (0..n).filter(|&i| classes[i] == 0) {
                        assert_eq!(back.get(i), values.get(i));
                    }
                    assert!(decode(&stream, n + 1, &[]).is_err());
                }
            }
        }
    }
}
