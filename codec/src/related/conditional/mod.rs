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
use super::table::{Decoded, Need, read_formula, write_formula};
use crate::candidate::{Exceptions, Part, Target};
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::predict::stream::Ints;
use crate::quantize::{Quantised, Quantiser};
use crate::simd::{self, Kernel};
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use classes::{Coarse, ONE};
use coder::{Coded, IntegerDecoder, ROWS};
use std::cell::OnceCell;
use std::ops::Range;
use surface::{Parents, Planes, Surface};
use tables::Pains;

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
    fn needed(&self) -> Vec<(usize, Need)> {
        let of_parents = if self.are_differences || self.kind != Kind::Contexts { Need::Values } else { Need::Classes };
        let formula = match &self.kind {
            Kind::Formula(formula, _) => formula.columns(),
            _ => Vec::new(),
        };
        let parents = self.parents.iter().map(|&(column, _)| (column, of_parents));
        parents.chain(formula.into_iter().map(|column| (column, Need::Values))).collect()
    }

    /// Looks everything up. A formula is evaluated once for all plans that have it, in `evaluated`.
    fn resolve<'a>(
        &self,
        decoded: &'a Decoded,
        quantiser: Quantiser,
        dtype: Dtype,
        n: usize,
        evaluated: &'a OnceCell<Prediction>,
    ) -> Result<Given<'a>> {
        let mut parents = Vec::new();
        for &(column, most) in &self.parents {
            let column = decoded.look(column, self.are_differences)?;
            let coarse = match self.kind {
                Kind::Surface => column.classes().coarse_with_places(most, column.values()),
                _ => column.classes().coarse(most),
            };
            parents.push((coarse, column.values()));
        }
        let prediction = match &self.kind {
            Kind::Formula(formula, deltas) => {
                for column in formula.columns() {
                    decoded.values(column)?;
                }
                let values = |c: usize| decoded.values(c).unwrap_or_default();
                Some(evaluated.get_or_init(|| Prediction::new(formula, deltas, values, quantiser, dtype, n)))
            }
            _ => None,
        };
        Given::new(parents, prediction)
    }
}

/// What is known of every row.
struct Given<'a> {
    parents: Vec<(Coarse<'a>, &'a [f64])>,
    prediction: Option<&'a Prediction>,
    n_contexts: usize,
}

impl<'a> Given<'a> {
    fn new(parents: Vec<(Coarse<'a>, &'a [f64])>, prediction: Option<&'a Prediction>) -> Result<Self> {
        let mut n_contexts = if prediction.is_some() { N_SPREADS as usize * N_FRACTIONS as usize } else { 1 };
        for (coarse, _) in &parents {
            n_contexts *= coarse.n();
            if n_contexts > MAX_CONTEXTS {
                return Err(Error::corrupt(format!("{n_contexts} contexts: at most {MAX_CONTEXTS}")));
            }
        }
        Ok(Self { parents, prediction, n_contexts })
    }

    /// The contexts of these rows.
    fn contexts(&self, rows: impl Iterator<Item = usize> + Clone) -> Vec<u16> {
        let mut contexts: Vec<u16> = match &self.prediction {
            Some(p) => {
                rows.clone().map(|r| u16::from(p.spread[r]) * N_FRACTIONS as u16 + u16::from(p.fraction[r])).collect()
            }
            None => rows.clone().map(|_| 0).collect(),
        };
        self.parents.iter().for_each(|(coarse, _)| coarse.refine(&mut contexts, rows.clone()));
        contexts
    }

    /// The same of rows that follow one another.
    #[inline(always)]
    fn contexts_of_range(&self, rows: Range<usize>, contexts: &mut [u16]) {
        contexts.fill(0);
        if let Some(Prediction { spread, fraction, .. }) = &self.prediction {
            for ((context, &spread), &fraction) in
                contexts.iter_mut().zip(&spread[rows.clone()]).zip(&fraction[rows.clone()])
            {
                *context = u16::from(spread) * N_FRACTIONS as u16 + u16::from(fraction);
            }
        }
        for (coarse, _) in &self.parents {
            coarse.refine_range(contexts, rows.clone());
        }
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

/// About `most` of `n` rows, rising, one from each stretch at a place that no period of the data keeps up with.
pub(crate) fn some_rows(n: usize, most: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
    let stride = n.div_ceil(most).max(1);
    let place = move |k: usize| ((u64::from((k as u32).wrapping_mul(0x9E37_79B9)) * stride as u64) >> 32) as usize;
    (0..n / stride).map(move |k| k * stride + place(k))
}

/// A column's integers, those of its rows that are coded, and the rows.
struct Integers<'a> {
    plain: Vec<i64>,
    differences: OnceCell<Vec<i64>>,
    /// Leaves rows out.
    classes: &'a [u8],
}

impl<'a> Integers<'a> {
    fn new(q: &Ints, classes: &'a [u8]) -> Self {
        let plain = match q {
            Ints::I32(q) => q.iter().map(|&v| v.into()).collect(),
            Ints::I64(q) => q.clone(),
        };
        Self { plain, differences: OnceCell::new(), classes }
    }

    /// Of all rows, or of their differences.
    fn of(&self, are_differences: bool) -> &[i64] {
        if are_differences { self.differences() } else { &self.plain }
    }

    /// About `most` of the rows that are coded.
    fn rows(&self, most: usize) -> Vec<usize> {
        let mut rows = Vec::with_capacity(most.min(self.plain.len()));
        rows.extend(some_rows(self.plain.len(), most).filter(|&row| self.is_coded(row)));
        rows
    }

    fn is_coded(&self, row: usize) -> bool {
        self.classes.get(row).is_none_or(|&class| class == 0)
    }

    fn differences(&self) -> &[i64] {
        self.differences.get_or_init(|| {
            let mut before = 0i64;
            let difference = |(row, &v): (usize, &i64)| {
                if !self.is_coded(row) {
                    return 0;
                }
                v.wrapping_sub(std::mem::replace(&mut before, v))
            };
            self.plain.iter().enumerate().map(difference).collect()
        })
    }
}

/// A column by one plan.
struct Trial<'a> {
    plan: &'a Plan,
    contexts: Vec<u16>,
    n_contexts: usize,
    surface: Option<Surface>,
    coded: Coded,
}

impl<'a> Trial<'a> {
    /// With about `most` rows; nothing where their integers spread too far.
    fn new(plan: &'a Plan, integers: &Integers<'_>, given: &Given<'_>, most: usize, pains: Pains) -> Option<Self> {
        let all = integers.of(plan.are_differences);
        if most >= all.len() && integers.classes.is_empty() {
            return Self::of(plan, all.to_vec(), 0..all.len(), given, pains);
        }
        let rows = integers.rows(most);
        Self::of(plan, rows.iter().map(|&row| all[row]).collect(), rows.iter().copied(), given, pains)
    }

    /// With these rows and their integers.
    fn of(
        plan: &'a Plan,
        mut integers: Vec<i64>,
        rows: impl Iterator<Item = usize> + Clone,
        given: &Given<'_>,
        pains: Pains,
    ) -> Option<Self> {
        let contexts = given.contexts(rows.clone());
        let over = given.over();
        let surface =
            (plan.kind == Kind::Surface).then(|| Surface::of(&over, rows.clone().zip(integers.iter().copied())));
        if let Some(surface) = &surface {
            let centres = surface.centres(&over, rows);
            integers.iter_mut().zip(centres).for_each(|(v, centre)| *v = v.wrapping_sub(centre));
        } else if let Some(prediction) = &given.prediction {
            integers.iter_mut().zip(rows).for_each(|(v, row)| *v = v.wrapping_sub(prediction.centre[row]));
        }
        let coded = Coded::new(integers, &contexts, given.n_contexts, pains)?;
        Some(Self { plan, contexts, n_contexts: given.n_contexts, surface, coded })
    }

    /// What `scale` times as many rows will take, about.
    ///
    /// A parameter that is fitted to some rows gains by chance there what it loses elsewhere (H. Akaike, "A new look at the
    /// statistical model identification", 1974): log2 e bits, over both.
    fn bits(&self, scale: f64) -> f64 {
        const BY_CHANCE: f64 = std::f64::consts::LOG2_E;
        let mut is_seen = vec![false; self.n_contexts];
        self.contexts.iter().for_each(|&context| is_seen[usize::from(context)] = true);
        let n_seen = is_seen.into_iter().filter(|&is_seen| is_seen).count();
        // The choice of a table for each context; a plane for each.
        let n_parameters = n_seen * if self.surface.is_some() { 1 + 3 } else { 1 };
        let (integers, front) = self.coded.bits();
        let surface = 8.0 * self.surface.as_ref().map_or(0, Surface::len_bytes) as f64;
        (integers + n_parameters as f64 * BY_CHANCE) * scale + front + surface
    }
}

/// Plans are compared by these parts of the rows, one after the other, and of those that are within [`NEAR`] of the best by
/// the first the second decides.
const SHARES: [usize; 2] = [8, 4];
const NEAR: f64 = 1.01;
/// As if there were at least and at most so many rows.
const MIN_ROWS: usize = 1 << 14;
const MAX_ROWS: usize = 1 << 15;

/// Encodes a column whose parents have been decoded, by the best of these plans; nothing where its integers spread too far.
pub(crate) fn encode(
    part: &Part<'_>,
    quantised: &Quantised,
    plans: &[Plan],
    decoded: &Decoded,
) -> Result<Option<Vec<u8>>> {
    let n = quantised.q.len();
    let integers = Integers::new(&quantised.q, &part.specials.classes);
    // The plans of a column have one formula.
    let evaluated = OnceCell::new();
    let trial = |plan, most, pains| -> Result<Option<Trial<'_>>> {
        let given = Plan::resolve(plan, decoded, quantised.quantiser, part.dtype(), n, &evaluated)?;
        Ok(Trial::new(plan, &integers, &given, most, pains))
    };
    let mut left: Vec<&Plan> = plans.iter().collect();
    for share in SHARES {
        if left.len() < 2 {
            break;
        }
        let n_compared = n.min(n.clamp(MIN_ROWS, MAX_ROWS) / share);
        let scale = n as f64 / n_compared as f64;
        let bits_of =
            |plan| Ok(trial(plan, n_compared, Pains::Few(n))?.map_or(f64::INFINITY, |trial| trial.bits(scale)));
        let mut costs = left.into_iter().map(|plan| Ok((bits_of(plan)?, plan))).collect::<Result<Vec<_>>>()?;
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let enough = costs[0].0 * NEAR;
        left = costs.into_iter().take_while(|cost| cost.0 <= enough).map(|cost| cost.1).collect();
    }
    let Some(&plan) = left.first() else { return Ok(None) };
    let Some(best) = trial(plan, n, Pains::All)? else { return Ok(None) };
    let mut out = Writer::default();
    best.plan.write(&mut out);
    part.specials.write(part.dtype(), &mut out);
    quantised.quantiser.write(&mut out);
    Exceptions::write(part.elements, &quantised.exceptions, &mut out);
    if let Some(surface) = &best.surface {
        surface.write(&mut out);
    }
    Ok(best.coded.write(&best.contexts, &mut out).map(|()| out.bytes))
}

/// The columns that a payload needs, some perhaps twice.
pub(crate) fn parents_of(payload: &[u8], n_columns: usize) -> Result<Vec<(usize, Need)>> {
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
    let evaluated = OnceCell::new();
    let given = plan.resolve(decoded, quantiser, target.dtype, n, &evaluated)?;
    let planes = match plan.kind {
        Kind::Surface => Some(Surface::read(given.over().classes.map(Coarse::n), &mut input)?.planes()),
        _ => None,
    };
    let n_coded = n - specials.classes.iter().filter(|&&class| class != 0).count();
    let integers = IntegerDecoder::new(&mut input, n_coded, given.n_contexts)?;
    let Plan { are_differences, .. } = plan;
    let classes = &specials.classes;
    simd::run(DecodeRows { given: &given, planes, integers, are_differences, classes, quantiser, target })?;
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}

/// A column, some rows at a time.
struct DecodeRows<'a, 'b> {
    given: &'a Given<'a>,
    planes: Option<Planes>,
    integers: IntegerDecoder<'a>,
    are_differences: bool,
    classes: &'a [u8],
    quantiser: Quantiser,
    target: &'a mut Target<'b>,
}

impl Kernel for DecodeRows<'_, '_> {
    type Output = Result<()>;

    #[inline(always)]
    fn run(self) -> Result<()> {
        let Self { given, planes, mut integers, are_differences, classes, quantiser, target } = self;
        let over = given.over();
        let (mut contexts, mut q) = ([0; ROWS], [0; ROWS]);
        let mut sum = 0i64;
        let n_rows = target.n_values();
        for (out, start) in target.out.chunks_mut(ROWS * target.dtype.size_bytes()).zip((0..).step_by(ROWS)) {
            let rows = start..n_rows.min(start + ROWS);
            let (contexts, q) = (&mut contexts[..rows.len()], &mut q[..rows.len()]);
            let classes = classes.get(rows.clone()).unwrap_or_default();
            match (&planes, &given.prediction) {
                (Some(planes), _) => planes.centres(&over, rows.clone(), q),
                (_, Some(prediction)) => q.copy_from_slice(&prediction.centre[rows.clone()]),
                _ => q.fill(0),
            }
            given.contexts_of_range(rows, contexts);
            integers.add(classes, contexts, q);
            if are_differences {
                for (_, v) in q.iter_mut().enumerate().filter(|(k, _)| classes.get(*k).is_none_or(|&c| c == 0)) {
                    sum = sum.wrapping_add(*v);
                    *v = sum;
                }
            }
            quantiser.decode_ints(target.dtype, q, out);
        }
        integers.finish()
    }
}
