//! Encoding a chunk: the auction.
//!
//! The candidates that need no model compete on a sample ([`super::classical`]), at the highest effort on the whole; models
//! have to beat what comes of that. A model thus earns its place chunk by chunk.

use super::checksum;
use super::classical;
use super::header::Header;
use super::read::{Limits, decode};
use super::table;
use crate::bound::{Promise, check};
use crate::bundle::{Bundle, Contents, Family as FamilyName};
use crate::candidate::{self, Part, constant, quantised, raw};
use crate::element::{Elements, extremes, swap_order};
use crate::error::{Error, ErrorKind, Result};
use crate::family::{self, Task};
use crate::params::{Bound, Effort, ModelChoice, Params};
use crate::quantize::{Quantised, quantise};
use crate::registry::Registry;
use crate::related::Formula;
use crate::special::{Gaps, Specials};
use crate::wire::Writer;
use std::sync::Arc;

/// Encodes one chunk: `values` holds `params.shape` elements in C order and `params.byte_order`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for parameters that contradict each other or the length of `values`;
/// [`ErrorKind::ModelMissing`] if a bundle is asked for by name and no source has it, or under [`Bound::Latent`] none
/// fits. What fails in a model asked for by name, unless the registry has a channel for that
/// ([`Registry::set_warnings`]).
pub fn encode(params: &Params, values: &[u8], registry: &Registry) -> Result<Vec<u8>> {
    params.validate()?;
    let expected = params.n_values()? * params.dtype.size_bytes();
    if values.len() != expected {
        return Err(Error::invalid(format!(
            "{} bytes of values: shape {:?} of {} takes {expected}",
            values.len(),
            params.shape,
            params.dtype
        )));
    }
    let mut swapped;
    let canonical = if params.byte_order == crate::ByteOrder::Big {
        swapped = values.to_vec();
        swap_order(&mut swapped, params.dtype, params.byte_order);
        &swapped[..]
    } else {
        values
    };
    let (models, predictors) = models(params, registry)?;
    let stream = Auction { params, canonical, gaps: params.gaps(), registry, models, predictors }.run()?;
    if params.check_decode {
        check_decode(params, values, &stream, registry)?;
    }
    Ok(stream)
}

/// What the bytes of a model are multiplied by beside those of the others when it takes part unasked: it takes several times as
/// long in both directions, and readers need it, so it has to gain something.
const HANDICAP_OF_MODELS: f64 = 1.03;

/// The most columns of an array that is taken apart without being asked to.
const MAX_COLUMNS_UNASKED: usize = 256;

/// How many bytes [`encode`] gives for these parameters at most, whatever the values: the head, a part for each column
/// that may be coded on its own, and the values as they are.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where the size depends on the model: under [`Bound::Latent`], and for outliers kept in a
/// chunk that carries its decoder.
pub fn encode_bound(params: &Params) -> Result<usize> {
    const VARINT: usize = 10;
    // Magic number, version, flags, dtype, bound, rank; the model's id; the length of its decoder, whose bytes are paid
    // for by smaller values; the checksum.
    const HEAD: usize = 4 + 1 + 1 + 1 + (1 + 8) + 1 + 16 + VARINT + super::CHECKSUM_BYTES;
    // Length, method; of raw values: their length, a flag.
    const PART: usize = VARINT + 1 + VARINT + 1;
    params.validate()?;
    if params.bound == Bound::Latent || (params.embed && params.keep_outliers == Some(true)) {
        return Err(Error::unsupported(
            "the bound `latent`, and outliers kept beside an embedded decoder, have no largest size before the model is \
             known: encode tells it",
        ));
    }
    // A predictor asked for by name takes any number of columns apart.
    let is_asked = params.per_column || matches!(params.model, ModelChoice::Bundle(_));
    let n_columns = match params.shape.last() {
        Some(&n) if is_asked => n.max(1),
        Some(&n) => n.clamp(1, MAX_COLUMNS_UNASKED),
        None => 1,
    };
    let n_values = params.n_values()?;
    let parts = if n_values == 0 { Some(0) } else { n_columns.checked_mul(PART) };
    (n_values * params.dtype.size_bytes())
        .checked_add(HEAD + params.shape.len() * VARINT)
        .and_then(|len| len.checked_add(parts?))
        .ok_or_else(|| Error::invalid(format!("a chunk of shape {:?} does not fit the address space", params.shape)))
}

type Bundles = Vec<Arc<Bundle>>;

/// The bundles that take part: those that code parts, and those that predict columns.
fn models(params: &Params, registry: &Registry) -> Result<(Bundles, Bundles)> {
    let is_predictor = |bundle: &Arc<Bundle>| bundle.manifest().family == FamilyName::Predictor;
    let fits = |bundle: &Bundle| bundle.check_fits(params.dtype, &params.shape);
    let models = match params.model {
        ModelChoice::None | ModelChoice::Auto if params.keep_outliers == Some(true) => {
            return Err(Error::invalid("keep_outliers: name the model whose density tells outliers"));
        }
        ModelChoice::None => Vec::new(),
        ModelChoice::Auto => registry.list().into_iter().filter(|b| fits(b).is_ok()).collect(),
        ModelChoice::Bundle(id) => {
            let bundle = registry.find(&id)?;
            fits(&bundle)?;
            if params.keep_outliers == Some(true) && bundle.manifest().density.is_none() {
                return Err(Error::invalid(format!(
                    "model {} has no density, so nothing is an outlier to it: train it with one, or leave keep_outliers out",
                    bundle.manifest().name
                )));
            }
            vec![bundle]
        }
    };
    let (predictors, models): (Bundles, Bundles) = models.into_iter().partition(is_predictor);
    if params.bound == Bound::Latent && models.is_empty() {
        return Err(Error::new(
            ErrorKind::ModelMissing,
            format!(
                "the bound `latent` keeps a model's latents and nothing else: no model for {} of shape {:?} is there",
                params.dtype, params.shape
            ),
        ));
    }
    Ok((models, predictors))
}

/// Decodes what was written and compares it with the input.
fn check_decode(params: &Params, values: &[u8], stream: &[u8], registry: &Registry) -> Result<()> {
    let limits = Limits { max_output_bytes: usize::MAX };
    let decoded = decode(stream, registry, &limits).map_err(|e| e.context("check-decode"))?;
    let found = check(params, values, &decoded.values)?;
    if found.is_kept() {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "check-decode: {} of {} values break the bound, the first at {:?}; please report this with the data",
        found.n_broken, found.n_values, found.first_broken
    )))
}

pub(super) struct Auction<'a> {
    pub(super) params: &'a Params,
    /// Little-endian elements.
    pub(super) canonical: &'a [u8],
    gaps: Gaps,
    registry: &'a Registry,
    models: Bundles,
    predictors: Bundles,
}

/// One part as it will be written: method and payload, and the model it needs.
pub(super) struct Winner {
    pub(super) bytes: Vec<u8>,
    model: Option<Arc<Bundle>>,
}

impl Auction<'_> {
    fn run(&self) -> Result<Vec<u8>> {
        let params = self.params;
        // A predictor asked for by name says that this is a table.
        let is_table = !self.predictors.is_empty() && matches!(params.model, ModelChoice::Bundle(_));
        let is_columnar = params.per_column || is_table || (self.models.is_empty() && self.columns_pay());
        let mut winners = Vec::new();
        if self.canonical.is_empty() {
            // No values, no parts.
        } else if is_columnar {
            let n_columns = *params.shape.last().unwrap_or(&1);
            let rows = &params.shape[..params.shape.len() - 1];
            // A bound that is meant of the whole array is resolved before the columns part.
            let promise = if params.per_column { None } else { Some(self.promise()) };
            winners = table::encode(self, n_columns, rows, promise)?;
        } else {
            winners.push(self.part(self.canonical, &params.shape, &self.gaps, self.promise(), true)?);
        }
        let model = winners.iter().find_map(|w| w.model.clone());
        let header = Header {
            dtype: params.dtype,
            byte_order: params.byte_order,
            shape: params.shape.clone(),
            bound: params.bound,
            per_column: params.per_column,
            is_columnar,
            model: model.as_ref().map(|m| m.id()),
            is_embedded: params.embed && model.is_some(),
        };
        let mut out = Writer::default();
        header.write(&mut out);
        if let (true, Some(model)) = (header.is_embedded, &model) {
            out.block(&model.to_bytes(Contents::DecoderOnly));
        }
        for winner in &winners {
            out.block(&winner.bytes);
        }
        let sum = checksum(&out.bytes);
        out.raw(&sum.to_le_bytes());
        Ok(out.bytes)
    }

    /// The special values among these, of which `gaps` tells, under a promise.
    pub(super) fn specials(&self, bytes: &[u8], gaps: &Gaps, promise: Promise) -> Specials {
        let dtype = self.params.dtype;
        let is_exact = match promise {
            Promise::Exact => true,
            Promise::Abs(abs) => !dtype.is_float() && abs < 1.0,
            _ => false,
        };
        let elements = Elements::new(dtype, bytes);
        // Zeros come back as such by themselves.
        if is_exact { Specials::find(elements, &gaps.without_padding()) } else { Specials::find(elements, gaps) }
    }

    /// The bound of the array resolved against its values.
    fn promise(&self) -> Promise {
        self.promise_of(self.params.bound, self.canonical, &self.gaps)
    }

    /// The bound of a column resolved against its values.
    pub(super) fn promise_of_column(&self, column: usize, bytes: &[u8], gaps: &Gaps) -> Promise {
        self.promise_of(self.params.bound_of(column), bytes, gaps)
    }

    fn promise_of(&self, bound: Bound, bytes: &[u8], gaps: &Gaps) -> Promise {
        if !matches!(bound, Bound::Rel(_) | Bound::Psnr(_)) {
            return Promise::resolve(bound, 0.0, 0.0);
        }
        let elements = Elements::new(self.params.dtype, bytes);
        let has_special = gaps.any_value(elements);
        let is_special = gaps.test(self.params.dtype);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut values = [0.0; 2048];
        for (bytes, first) in
            bytes.chunks(values.len() * self.params.dtype.size_bytes()).zip((0..).step_by(values.len()))
        {
            let elements = Elements::new(self.params.dtype, bytes);
            let values = &mut values[..elements.len()];
            elements.read_numbers(values);
            if has_special || gaps.any_place(first..first + values.len()) {
                for (_, v) in values.iter_mut().enumerate().filter(|&(i, _)| is_special(first + i, elements.bits(i))) {
                    *v = f64::NAN;
                }
            }
            if let Some(found) = extremes(values) {
                (min, max) = (min.min(found.0), max.max(found.1));
            }
        }
        if min > max {
            return Promise::Exact;
        }
        Promise::resolve(bound, min, max)
    }

    /// Whether an array without declared columns is smaller column by column, judged from some rows.
    fn columns_pay(&self) -> bool {
        const SAMPLE_ROWS: usize = 2048;
        let params = self.params;
        let &[n_rows, n_columns] = &params.shape[..] else { return false };
        if !(2..=MAX_COLUMNS_UNASKED).contains(&n_columns)
            || n_rows < 64.max(4 * n_columns)
            || params.effort == Effort::Fast
        {
            return false;
        }
        let row_bytes = n_columns * params.dtype.size_bytes();
        let n_sample = n_rows.min(SAMPLE_ROWS);
        let start = (n_rows - n_sample) / 2 * row_bytes;
        let rows = &self.canonical[start..start + n_sample * row_bytes];
        let promise = self.promise();
        let gaps = self.gaps.without_padding();
        let bytes = |bytes: &[u8], shape: &[usize]| {
            let specials = self.specials(bytes, &gaps, promise);
            let elements = Elements::new(params.dtype, bytes);
            let part =
                Part { elements, shape, specials: &specials, promise, effort: Effort::Fast, keep_outliers: false };
            let quantised = quantise(elements, &specials, promise);
            constant::encode(&part, &quantised).unwrap_or_else(|| quantised::encode(&part, &quantised)).len()
        };
        let whole = bytes(rows, &[n_sample, n_columns]);
        let apart = columns(rows, params.dtype.size_bytes(), n_columns);
        let apart: usize = apart.iter().map(|column| bytes(column, &[n_sample])).sum();
        apart < whole
    }

    /// The formulas that models offer for a table of this many columns: target and formula.
    pub(super) fn formulas(&self, n_columns: usize) -> Vec<(usize, Formula)> {
        family::predictor::formulas(self.predictors.iter().map(|b| &**b), n_columns)
    }

    /// Holds the auction for one part.
    pub(super) fn part(
        &self,
        bytes: &[u8],
        shape: &[usize],
        gaps: &Gaps,
        promise: Promise,
        models_allowed: bool,
    ) -> Result<Winner> {
        let params = self.params;
        let elements = Elements::new(params.dtype, bytes);
        let specials = self.specials(bytes, gaps, promise);
        let keep_outliers = params.keep_outliers.unwrap_or(params.bound == Bound::Latent);
        let part = Part { elements, shape, specials: &specials, promise, effort: params.effort, keep_outliers };
        if promise == Promise::None {
            return self.latents_only(&part, models_allowed);
        }
        self.part_of(&part, &quantise(elements, &specials, promise), models_allowed, false)
    }

    /// The same for a part that has been quantised; `quickest_only` leaves out the candidates that take long.
    pub(super) fn part_of(
        &self,
        part: &Part<'_>,
        quantised: &Quantised,
        models_allowed: bool,
        quickest_only: bool,
    ) -> Result<Winner> {
        let params = self.params;
        let elements = part.elements;
        if let Some(constant) = constant::encode(part, quantised) {
            let mut best = Winner::new(with_method(candidate::CONSTANT, constant));
            best.keep_no_larger_than_raw(part);
            return Ok(best);
        }
        let allow = |method| params.candidates.allow(method);
        let is_nearly_empty = |len: usize| classical::is_nearly_empty(len as f64, elements.bytes.len());
        let candidates = if quickest_only {
            classical::quickest(params.candidates)
        } else {
            classical::shortlist(part, params.candidates)
        };
        let mut best: Option<Winner> = None;
        for classical in candidates {
            let to_beat = best.as_ref().map(|best| best.bytes.len()).filter(|&len| !is_nearly_empty(len));
            let to_beat = to_beat.unwrap_or(elements.bytes.len());
            let Some(payload) = (classical.encode)(part, quantised, to_beat) else { continue };
            let bytes = with_method(classical.method, payload);
            match &mut best {
                Some(best) => best.keep_smaller(bytes, None),
                None => best = Some(Winner::new(bytes)),
            }
        }
        let mut best = best.unwrap_or_else(|| Winner::new(with_method(candidate::RAW, raw::encode(part))));
        let is_unasked = params.model == ModelChoice::Auto && params.effort != Effort::Max;
        if models_allowed && !(is_unasked && is_nearly_empty(best.bytes.len())) {
            let task = Task::new(part, Some(quantised));
            for bundle in &self.models {
                let Some(family) = family::of(bundle).filter(|f| allow(f.method())) else { continue };
                // A decoder that has to travel in the chunk is paid for by the values it predicts.
                let carried = |bundle: &Bundle| if params.embed { bundle.decoder_bytes() } else { 0 };
                let cost_of_best = best.bytes.len() + best.model.as_deref().map_or(0, carried);
                // Nothing but the model knows outliers.
                let cost_of_best = if params.keep_outliers == Some(true) { usize::MAX } else { cost_of_best };
                let Some(to_beat) = cost_of_best.checked_sub(carried(bundle)) else { continue };
                // Among themselves models are equals.
                let handicap = if is_unasked && best.model.is_none() { HANDICAP_OF_MODELS } else { 1.0 };
                let to_beat = (to_beat as f64 / handicap) as usize;
                match family.encode(bundle, self.registry, &task, to_beat) {
                    Ok(Some(payload)) => {
                        let bytes = with_method(family.method(), payload);
                        if bytes.len() < to_beat {
                            best = Winner { bytes, model: Some(bundle.clone()) };
                        }
                    }
                    Ok(None) => {}
                    // A model may fail (its encoder can need a runtime or an engine that is not here): the classical
                    // candidates serve, unless it was asked for and nobody would hear of it.
                    Err(e) => {
                        let is_told = params.keep_outliers != Some(true) && self.registry.warn(bundle, &e);
                        if !is_told && params.model != ModelChoice::Auto {
                            return Err(e);
                        }
                    }
                }
            }
        }
        best.keep_no_larger_than_raw(part);
        Ok(best)
    }

    /// [`Bound::Latent`]: the first model that encodes.
    fn latents_only(&self, part: &Part<'_>, models_allowed: bool) -> Result<Winner> {
        if !models_allowed {
            return Err(Error::invalid("the bound `latent` is meant of whole chunks: leave per_column out"));
        }
        let mut best: Option<Winner> = None;
        let task = Task::new(part, None);
        for bundle in &self.models {
            let Some(family) = family::of(bundle) else { continue };
            if let Some(payload) = family.encode(bundle, self.registry, &task, usize::MAX)? {
                let bytes = with_method(family.method(), payload);
                match &mut best {
                    Some(best) => best.keep_smaller(bytes, Some(bundle.clone())),
                    None => best = Some(Winner { bytes, model: Some(bundle.clone()) }),
                }
            }
        }
        // Nothing but special or equal values has no latents: keep them as they are.
        Ok(best.unwrap_or_else(|| Winner { bytes: with_method(candidate::RAW, raw::encode(part)), model: None }))
    }
}

impl Winner {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, model: None }
    }

    fn keep_no_larger_than_raw(&mut self, part: &Part<'_>) {
        if self.bytes.len() >= part.elements.bytes.len() {
            self.keep_smaller(with_method(candidate::RAW, raw::encode(part)), None);
        }
    }

    pub(super) fn keep_smaller(&mut self, bytes: Vec<u8>, model: Option<Arc<Bundle>>) {
        if bytes.len() < self.bytes.len() {
            *self = Winner { bytes, model };
        }
    }
}

pub(super) fn with_method(method: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 1);
    bytes.push(method);
    bytes.extend_from_slice(&payload);
    bytes
}

/// The columns of a table as bytes.
pub(super) fn columns(table: &[u8], size: usize, n_columns: usize) -> Vec<Vec<u8>> {
    match size {
        1 => transpose::<1>(table, n_columns),
        2 => transpose::<2>(table, n_columns),
        4 => transpose::<4>(table, n_columns),
        _ => transpose::<8>(table, n_columns),
    }
}

fn transpose<const SIZE: usize>(table: &[u8], n_columns: usize) -> Vec<Vec<u8>> {
    const LINE_BYTES: usize = 64;
    let table = table.as_chunks::<SIZE>().0;
    let mut columns = vec![vec![[0; SIZE]; table.len() / n_columns]; n_columns];
    // As many at once as a cache line holds of.
    for (columns, first) in columns.chunks_mut(LINE_BYTES / SIZE).zip((0..).step_by(LINE_BYTES / SIZE)) {
        for (k, row) in table.chunks_exact(n_columns).enumerate() {
            for (column, element) in columns.iter_mut().zip(&row[first..]) {
                column[k] = *element;
            }
        }
    }
    columns.into_iter().map(Vec::into_flattened).collect()
}
