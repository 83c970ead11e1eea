//! Method 11: a column of a table given columns decoded before it, by static tables. The quick one beside method 6.
//!
//! Each row's *context*, the classes of its values in at most two parents, chooses one of a few tables of frequencies,
//! counted beforehand and written in front; the integer's interval is coded by it (interleaved rANS), the bits within the
//! interval are stored as they are. Nothing that is coded depends on the row before, so rows overlap. What is coded may be
//! the distance to what a [`Formula`] or a [`Surface`] over the parents expects; and columns may stand for their
//! differences from row to row, all at once, where rows come in runs.
//!
//! | field | |
//! |---|---|
//! | kind | u8: 0 contexts, 1 surface, 2 formula; 128 more for differences |
//! | parents | number (u8, at most 2), then of each the column (varint) and its most classes (u8, 1 to 128) |
//! | formula | of kind 2: a block, the formula and an f64 for each of its columns |
//! | special values, quantiser, exceptions | as in method 2 |
//! | surface | of kind 1: `surface.rs` |
//! | integers | `coder.rs` |

mod classes;
mod coder;
mod intervals;
mod plan;
mod surface;
mod tables;

pub(crate) use classes::Classes;
pub(crate) use plan::Survey;

use super::Formula;
use super::predict::{N_FRACTIONS, N_SPREADS, Prediction};
use super::table::{Decoded, read_formula, write_formula};
use crate::candidate::{Exceptions, Part, Target};
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::predict::stream::Ints;
use crate::quantize::{Quantised, Quantiser};
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use classes::{Coarse, ONE};
use surface::{Parents, Surface};

/// Parents at most.
const MAX_PARENTS: usize = 2;
/// Contexts at most.
const MAX_CONTEXTS: usize = 1 << 14;
/// Set in the kind where columns stand for their differences from row to row.
const DIFFERENCES: u8 = 0x80;

/// What the integers are told by, beside their contexts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing.
    Contexts,
    /// A surface over the parents.
    Surface,
    /// A formula, and how far each of its columns may be from its true value.
    Formula(Formula, Vec<f64>),
}

/// How a column is coded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub kind: Kind,
    pub are_differences: bool,
    /// Columns, and the most classes of each.
    pub parents: Vec<(usize, usize)>,
}

impl Plan {
    fn write(&self, out: &mut Writer) {
        let kind = match self.kind {
            Kind::Contexts => 0,
            Kind::Surface => 1,
            Kind::Formula(..) => 2,
        };
        out.u8(kind | if self.are_differences { DIFFERENCES } else { 0 });
        out.u8(self.parents.len() as u8);
        for &(column, most) in &self.parents {
            out.varint(column as u64);
            out.u8(most as u8);
        }
        if let Kind::Formula(formula, deltas) = &self.kind {
            write_formula(Some((formula, deltas)), out);
        }
    }

    fn read(input: &mut Reader<'_>, n_columns: usize) -> Result<Self> {
        let kind = input.u8("the kind of a conditional column")?;
        let n_parents = usize::from(input.u8("the number of parents")?);
        if n_parents > MAX_PARENTS {
            return Err(Error::corrupt(format!("{n_parents} parents: at most {MAX_PARENTS} are allowed")));
        }
        let mut parents = Vec::new();
        for _ in 0..n_parents {
            let (column, most) = (input.size("a parent")?, usize::from(input.u8("its classes")?));
            if !(1..=classes::MOST).contains(&most) {
                return Err(Error::corrupt(format!("{most} classes of a parent: expected 1 to {}", classes::MOST)));
            }
            parents.push((column, most));
        }
        let are_differences = kind & DIFFERENCES != 0;
        let kind = match kind & !DIFFERENCES {
            0 => Kind::Contexts,
            1 if n_parents > 0 => Kind::Surface,
            2 if !are_differences => match read_formula(input, n_columns)? {
                Some((formula, deltas)) => Kind::Formula(formula, deltas),
                None => return Err(Error::corrupt("a formula is expected")),
            },
            kind => {
                return Err(Error::corrupt(format!("kind {kind} of a conditional column with {n_parents} parents")));
            }
        };
        Ok(Self { kind, are_differences, parents })
    }

    /// Every column that has to be decoded before, some perhaps twice.
    pub fn needed(&self) -> Vec<usize> {
        let formula = match &self.kind {
            Kind::Formula(formula, _) => formula.columns(),
            _ => Vec::new(),
        };
        self.parents.iter().map(|p| p.0).chain(formula).collect()
    }

    fn resolve<'a>(&self, decoded: &'a Decoded, quantiser: Quantiser, dtype: Dtype, n: usize) -> Result<Given<'a>> {
        let mut parents = Vec::new();
        for &(column, most) in &self.parents {
            let column = decoded.look(column, self.are_differences)?;
            parents.push((column.classes().coarse(most), column.values()));
        }
        let prediction = match &self.kind {
            Kind::Formula(formula, deltas) => {
                for column in formula.columns() {
                    decoded.values(column)?;
                }
                let values = |c: usize| decoded.values(c).unwrap_or_default();
                Some(Prediction::new(formula, deltas, values, quantiser, dtype, n))
            }
            _ => None,
        };
        Given::new(parents, prediction, n)
    }
}

/// What is known of every row.
struct Given<'a> {
    parents: Vec<(Coarse<'a>, &'a [f64])>,
    prediction: Option<Prediction>,
    contexts: Vec<u16>,
    n_contexts: usize,
}

impl<'a> Given<'a> {
    fn new(parents: Vec<(Coarse<'a>, &'a [f64])>, prediction: Option<Prediction>, n: usize) -> Result<Self> {
        let (mut contexts, mut n_contexts) = (vec![0; n], 1);
        if let Some(p) = &prediction {
            n_contexts = N_SPREADS as usize * N_FRACTIONS as usize;
            for (context, (&spread, &fraction)) in contexts.iter_mut().zip(p.spread.iter().zip(&p.fraction)) {
                *context = u16::from(spread) * N_FRACTIONS as u16 + u16::from(fraction);
            }
        }
        for (coarse, _) in &parents {
            n_contexts *= coarse.n();
            if n_contexts > MAX_CONTEXTS {
                return Err(Error::corrupt(format!("{n_contexts} contexts: at most {MAX_CONTEXTS}")));
            }
            coarse.refine(&mut contexts);
        }
        Ok(Self { parents, prediction, contexts, n_contexts })
    }

    /// The parents of a surface.
    fn over(&self) -> Parents<'_> {
        let [first, second] = [self.parents.first(), self.parents.get(1)];
        Parents {
            classes: [first, second].map(|p| p.map_or(&ONE, |p| &p.0)),
            values: [first, second.or(first)].map(|p| p.map_or(&[][..], |p| p.1)),
        }
    }
}

/// Encodes a column whose parents have been decoded; nothing where its integers spread too far.
pub(crate) fn encode(
    part: &Part<'_>,
    quantised: &Quantised,
    plan: &Plan,
    decoded: &Decoded,
) -> Result<Option<Vec<u8>>> {
    let mut out = Writer::default();
    plan.write(&mut out);
    part.specials.write(part.dtype(), &mut out);
    quantised.quantiser.write(&mut out);
    Exceptions::write(part.elements, &quantised.exceptions, &mut out);
    let q = &quantised.q;
    let given = plan.resolve(decoded, quantised.quantiser, part.dtype(), q.len())?;
    let mut integers: Vec<i64> = match q {
        Ints::I32(q) => q.iter().map(|&v| v.into()).collect(),
        Ints::I64(q) => q.clone(),
    };
    let classes = &part.specials.classes;
    let is_coded = |row: usize| classes.get(row).is_none_or(|&c| c == 0);
    if plan.are_differences {
        let mut before = 0i64;
        for (_, v) in integers.iter_mut().enumerate().filter(|(row, _)| is_coded(*row)) {
            (before, *v) = (*v, v.wrapping_sub(before));
        }
    }
    if plan.kind == Kind::Surface {
        let over = given.over();
        let surface = Surface::of(&over, || {
            integers.iter().enumerate().filter(|(row, _)| is_coded(*row)).map(|(row, &q)| (row, q))
        });
        surface.write(&mut out);
        let centres = surface.centres(&over, integers.len());
        integers.iter_mut().zip(centres).for_each(|(v, centre)| *v = v.wrapping_sub(centre));
    }
    if let Some(p) = &given.prediction {
        integers.iter_mut().zip(&p.centre).for_each(|(v, centre)| *v = v.wrapping_sub(*centre));
    }
    let Given { mut contexts, n_contexts, .. } = given;
    if !classes.is_empty() {
        let mut row = 0..;
        integers.retain(|_| row.next().is_some_and(is_coded));
        let mut row = 0..;
        contexts.retain(|_| row.next().is_some_and(is_coded));
    }
    Ok(coder::encode(&integers, &contexts, n_contexts, &mut out).map(|()| out.bytes))
}

/// The columns that a payload needs.
pub(crate) fn parents_of(payload: &[u8], n_columns: usize) -> Result<Vec<usize>> {
    Ok(Plan::read(&mut Reader::new(payload), n_columns)?.needed())
}

/// What a payload says of itself, for reports.
pub(crate) fn summarise(payload: &[u8], n_columns: usize) -> Result<String> {
    let plan = Plan::read(&mut Reader::new(payload), n_columns)?;
    let parents: Vec<String> = plan.parents.iter().map(|p| p.0.to_string()).collect();
    let kind = match plan.kind {
        Kind::Contexts => String::new(),
        Kind::Surface => " surface".to_owned(),
        Kind::Formula(formula, _) => format!(" = {formula}"),
    };
    let differences = if plan.are_differences { " differences" } else { "" };
    Ok(format!("{}{kind}{differences}", parents.join(",")).trim_start().to_owned())
}

/// Decodes a column whose parents have been decoded.
pub(crate) fn decode(payload: &[u8], n_columns: usize, decoded: &Decoded, target: &mut Target<'_>) -> Result<()> {
    let n = target.n_values();
    let mut input = Reader::new(payload);
    let plan = Plan::read(&mut input, n_columns)?;
    let specials = Specials::read(target.dtype, n, &mut input)?;
    let quantiser = Quantiser::read(target.dtype, &mut input)?;
    let exceptions = Exceptions::read(target.dtype.size_bytes(), n, &mut input)?;
    let given = plan.resolve(decoded, quantiser, target.dtype, n)?;
    let mut q = match (&plan.kind, &given.prediction) {
        (Kind::Surface, _) => {
            let over = given.over();
            Surface::read(over.classes.map(Coarse::n), &mut input)?.centres(&over, n)
        }
        (_, Some(prediction)) => prediction.centre.clone(),
        _ => vec![0; n],
    };
    coder::decode(&mut input, &specials.classes, &given.contexts, given.n_contexts, &mut q)?;
    if plan.are_differences {
        let mut sum = 0i64;
        for (row, v) in q.iter_mut().enumerate() {
            if specials.classes.get(row).is_none_or(|&c| c == 0) {
                sum = sum.wrapping_add(*v);
                *v = sum;
            }
        }
    }
    quantiser.decode_all(target.dtype, &Ints::I64(q), target.out);
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}
