//! Both files, value by value, into the statistics of the report.

use super::LayoutArg;
use crate::check::{Numbers, Ranges};
use crate::compress::{Tally, decoders};
use crate::failure::{Failure, Result};
use crate::format::baler::Event;
use crate::format::table::column_names;
use crate::format::{Array, Promise, Source};
use crate::verify::{ArrayCheck, Comparison, Seen};
use baler_codec::{Bound, ByteOrder, Dtype};
use baler_models::report::{self, Allowed, Layout, Meter};

/// Size of the rows that the rate-distortion curve is measured on, about.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Rows above this are not taken at all.
const MAX_ROW_BYTES: u64 = 64 << 20;

/// What came of it.
pub struct Found {
    pub arrays: Vec<report::Array>,
    /// Of the largest array.
    pub sample: Option<Sample>,
    /// Models in the file.
    pub model_bytes: u64,
    /// Decoders that are needed.
    pub decoder_bytes: u64,
}

/// Some rows of an array, as they lie in the original.
pub struct Sample {
    pub array: Array,
    pub rows: std::ops::Range<u64>,
    pub bytes: Vec<u8>,
    /// `max - min` of the whole array.
    pub range: f64,
    /// Bounds are meant of each column.
    pub per_column: bool,
    seen: u64,
}

impl Sample {
    /// The middle of an array.
    fn of(array: &Array, range: f64, per_column: bool) -> Option<Self> {
        let row = array.row_bytes();
        if array.value_bytes() == 0 || row > MAX_ROW_BYTES {
            return None;
        }
        let n = (SAMPLE_BYTES / row).clamp(1, array.rows());
        let start = (array.rows() - n) / 2;
        Some(Self { array: array.clone(), rows: start..start + n, bytes: Vec::new(), range, per_column, seen: 0 })
    }

    fn add(&mut self, rows: &[u8]) {
        let row = self.array.row_bytes();
        let (from, to) = (self.rows.start * row, self.rows.end * row);
        let here = self.seen..self.seen + rows.len() as u64;
        let (a, b) = (from.clamp(here.start, here.end), to.clamp(here.start, here.end));
        self.bytes.extend(&rows[(a - here.start) as usize..(b - here.start) as usize]);
        self.seen = here.end;
    }
}

/// One array on its way.
struct Current {
    numbers: Numbers,
    orders: (ByteOrder, ByteOrder),
    meter: Meter,
    tally: Tally,
    is_table: bool,
}

/// Goes through both files once.
pub fn compare(
    comparison: &Comparison<'_>,
    asked: Option<Promise>,
    layout: LayoutArg,
    without_sample: bool,
) -> Result<Found> {
    let mut all: Vec<Current> = Vec::new();
    let mut sample: Option<Sample> = None;
    let mut is_sampled = false;
    let mut model_bytes = 0;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let checks = comparison.run(
        &|_| asked,
        Some(&mut |seen| {
            match seen {
                Seen::Array { source, i, array, decoded, ranges } => {
                    let per_column = asked.or(decoded.promise).is_some_and(|p| p.per_column);
                    let current = begin(source, i, array, decoded, ranges, per_column, layout)?;
                    is_sampled =
                        !without_sample && sample.as_ref().is_none_or(|s| s.array.value_bytes() < array.value_bytes());
                    if is_sampled {
                        let range = ranges.whole();
                        let candidate = Sample::of(array, range, current.is_table);
                        is_sampled = candidate.is_some();
                        sample = candidate.or(sample.take());
                    }
                    all.push(current);
                }
                Seen::Values { original, decoded } => {
                    let Some(current) = all.last_mut() else { return Ok(()) };
                    if let (Some(sample), true) = (&mut sample, is_sampled) {
                        sample.add(original);
                    }
                    // Some pages at a time: eight times the bytes of a small type are a lot.
                    let size = original.len() / (original.len() >> 20).max(1);
                    let row = current.numbers.row_bytes();
                    let step = (size / row).max(1) * row;
                    for (a, b) in original.chunks(step).zip(decoded.chunks(step)) {
                        x.clear();
                        y.clear();
                        current.numbers.read(a, current.orders.0, true, &mut x);
                        current.numbers.read(b, current.orders.1, false, &mut y);
                        current.meter.add(&x, &y);
                    }
                }
                Seen::Stored(Event::Chunk { description, stored_bytes }) => {
                    if let Some(current) = all.last_mut() {
                        current.tally.add_description(description.as_ref(), *stored_bytes);
                    }
                }
                Seen::Stored(Event::Model { stored_bytes, .. }) => model_bytes += stored_bytes,
                Seen::Stored(_) => {}
            }
            Ok(())
        }),
    )?;
    let tallies: Vec<(Array, Tally)> =
        checks.iter().zip(&all).map(|(c, current)| (c.array.clone(), current.tally.clone())).collect();
    model_bytes += tallies.iter().map(|(_, t)| t.embedded_bytes).sum::<u64>();
    Ok(Found {
        decoder_bytes: decoders(comparison.models, &tallies),
        model_bytes,
        arrays: checks.iter().zip(all).map(|(check, current)| finish(check, current)).collect(),
        sample,
    })
}

fn begin(
    source: &dyn Source,
    i: usize,
    array: &Array,
    decoded: &Array,
    ranges: &Ranges,
    per_column: bool,
    layout: LayoutArg,
) -> Result<Current> {
    let layout = layout_of(source, i, array, per_column, layout)?;
    let is_table = matches!(layout, Layout::Table { .. });
    let n_columns = if let Layout::Table { columns } = &layout { columns.len() } else { 1 };
    Ok(Current {
        numbers: Numbers::new(array, n_columns),
        orders: (array.byte_order, decoded.byte_order),
        meter: Meter::new(array.shown_name(), &array.shape, layout, ranges.whole()),
        tally: Tally::default(),
        is_table,
    })
}

/// A table has names for its columns, a bound for each, or many rows of few values.
fn layout_of(source: &dyn Source, i: usize, array: &Array, per_column: bool, asked: LayoutArg) -> Result<Layout> {
    let n_columns = array.shape.last().copied().unwrap_or(1);
    let named = column_names(source, i);
    let looks_like_one = array.shape.len() == 2
        && !array.reversed_axes
        && (named.is_some() || (2..=128).contains(&n_columns) && array.shape[0] >= 8 * n_columns);
    let is_table = match asked {
        LayoutArg::Auto => per_column || looks_like_one,
        LayoutArg::Table => true,
        LayoutArg::Field => false,
    };
    if !is_table {
        return Ok(Layout::Field);
    }
    const MOST: u64 = 4096;
    if n_columns > MOST || n_columns == 0 || array.shape.is_empty() {
        let name = array.shown_name();
        let shape = array.describe();
        return match asked {
            LayoutArg::Table => Err(Failure::usage(format!(
                "{name}: {shape} is no table of 1 to {MOST} columns; leave --as out, or name other arrays with --array"
            ))),
            _ => Ok(Layout::Field),
        };
    }
    let columns = match named {
        Some(names) if names.len() as u64 == n_columns => names,
        _ => (0..n_columns)
            .map(|c| format!("{} {c}", if n_columns == 1 { array.shown_name() } else { "column" }))
            .collect(),
    };
    Ok(Layout::Table { columns })
}

fn finish(check: &ArrayCheck, current: Current) -> report::Array {
    let ArrayCheck { array, promise, verdict } = check;
    let per_column = promise.per_column;
    let allowed = match promise.bound {
        Bound::Abs(a) => Allowed::Abs(a),
        Bound::Rel(share) => Allowed::Rel { share, per_column },
        Bound::PwRel(r) => Allowed::PwRel(r),
        Bound::Psnr(db) => Allowed::Rms { share: 10f64.powf(-db / 20.0), per_column },
        Bound::Lossless | Bound::Latent => Allowed::Nothing,
    };
    let measured = current.meter.finish(allowed);
    let finite = |v: f64| v.is_finite().then_some(v);
    let promises_error = !matches!(promise.bound, Bound::Lossless | Bound::Latent);
    report::Array {
        name: array.shown_name().to_owned(),
        dtype: array.dtype.name().to_owned(),
        shape: array.shape.clone(),
        layout: if current.is_table { "table" } else { "field" },
        value_bytes: array.value_bytes(),
        stored_bytes: current.tally.stored_bytes,
        candidates: current.tally.candidates.clone(),
        models: current.tally.models.iter().cloned().collect(),
        bound: report::Bound {
            kind: promise.bound.name(),
            value: promise.bound.to_wire().1,
            per_column: promise.per_column,
        },
        kept: verdict.n_broken == 0,
        n_values: verdict.n_values,
        n_special: verdict.n_special,
        n_broken: verdict.n_broken,
        max_error: finite(verdict.max_error),
        max_error_over_bound: finite(verdict.max_error_over_bound).filter(|_| promises_error),
        psnr: finite(verdict.psnr),
        is_float32_inside: array.dtype == Dtype::F64 && measured.is_float32,
        n_sampled: measured.n_sampled,
        n_total: measured.n_total,
        // Of an empty array there is nothing to say.
        variables: if verdict.n_values > 0 { measured.variables } else { Vec::new() },
        field: measured.field,
    }
}
