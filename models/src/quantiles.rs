//! Quantiles of training data, kept in a bundle's manifest, and how far other data drift from them.
//!
//! A model serves data like those it was trained on. `[training] quantiles` says what those were like:
//!
//! ```toml
//! quantile_columns = ["pt", "eta"]                 # names; only tables with names have them
//! quantiles = [[0.5, 1.1, 7.0, 61.0, 420.0], ...]  # 0, 1, 50, 99, 100 %: one row a column, or one for all values
//! ```

use baler_codec::bundle::{Manifest, Normalisation};

/// Where the quantiles are: parts of the values in order.
pub const PARTS: [f64; 5] = [0.0, 0.01, 0.5, 0.99, 1.0];

/// More columns than this are described together.
const MOST_COLUMNS: usize = 1024;

/// Values beyond the training range, as part of all, from which data count as drifted.
const MOST_BEYOND: f64 = 0.01;

/// Shift of the 1, 50 or 99 % quantile, in units of the distance between the 1 and the 99 % quantile of the training
/// data, from which data count as drifted. Samples of some hundred values differ by less.
const MOST_SHIFT: f64 = 0.25;

/// Fewer values than this say nothing about a distribution.
const LEAST_VALUES: usize = 100;

/// The quantiles of some data.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// A name for each row of `values`; empty if they have none.
    pub columns: Vec<String>,
    /// The values at [`PARTS`], for each column, or one row for all values.
    pub values: Vec<[f64; 5]>,
}

/// How one column of other data differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Name or number of the column; `None` where all values are described together.
    pub column: Option<String>,
    /// Part of the values below the training minimum or above its maximum.
    pub beyond: f64,
    /// Largest shift of the 1, 50 and 99 % quantile, in units of the distance between the training data's 1 and 99 %.
    pub shift: f64,
    /// Whether that is more than chance.
    pub is_drift: bool,
}

impl Quantiles {
    /// Of `values` in C order, by column where the last axis has `columns` of them. Values that are not finite are left
    /// out; `None` if a column has no others.
    pub fn of(values: &[f32], columns: usize, names: &[String]) -> Option<Self> {
        let columns = if columns == 0 || columns > MOST_COLUMNS { 1 } else { columns };
        let values = by_column(values, columns).into_iter().map(|column| quantiles(&column)).collect::<Option<_>>()?;
        let columns = if names.len() == columns { names.to_vec() } else { Vec::new() };
        Some(Self { columns, values })
    }

    /// Those of a manifest, if it has them.
    pub fn of_manifest(manifest: &Manifest) -> Option<Self> {
        let rows = manifest.training.get("quantiles")?.as_array()?;
        let number = |v: &toml::Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
        let row = |v: &toml::Value| v.as_array()?.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok();
        let values = rows.iter().map(row).collect::<Option<Vec<[f64; 5]>>>()?;
        let names = manifest.training.get("quantile_columns").and_then(|v| v.as_array());
        let columns = names.map(|n| n.iter().filter_map(|v| v.as_str().map(String::from)).collect());
        (!values.is_empty()).then(|| Self { columns: columns.unwrap_or_default(), values })
    }

    /// Adds them to a manifest.
    pub fn put(&self, manifest: &mut Manifest) {
        let rows = self.values.iter().map(|row| toml::Value::Array(row.iter().map(|&v| v.into()).collect()));
        manifest.training.insert("quantiles".into(), toml::Value::Array(rows.collect()));
        if !self.columns.is_empty() {
            let names = self.columns.iter().map(|n| n.as_str().into()).collect();
            manifest.training.insert("quantile_columns".into(), toml::Value::Array(names));
        }
    }

    /// How `values` with this last axis differ, column by column; empty where the two cannot be compared.
    pub fn drift(&self, values: &[f32], last_axis: usize) -> Vec<Drift> {
        let n = self.values.len();
        if n > 1 && n != last_axis {
            return Vec::new();
        }
        let columns = by_column(values, n);
        (self.values.iter().zip(columns).enumerate())
            .filter_map(|(i, (then, now))| {
                let column = (n > 1).then(|| self.columns.get(i).cloned().unwrap_or_else(|| i.to_string()));
                one(column, then, &now)
            })
            .collect()
    }
}

/// Whether a shift of the values matters to a bundle: a model that takes each chunk relative to its own range does not
/// see it.
pub fn is_sensitive(manifest: &Manifest) -> bool {
    !matches!(manifest.input.normalisation, Normalisation::Range | Normalisation::Tile)
}

fn one(column: Option<String>, then: &[f64; 5], now: &[f32]) -> Option<Drift> {
    let here = quantiles(now)?;
    let beyond = now.iter().filter(|v| f64::from(**v) < then[0] || f64::from(**v) > then[4]).count();
    let beyond = beyond as f64 / now.len() as f64;
    let unit = [then[3] - then[1], then[4] - then[0]].into_iter().find(|u| *u > 0.0);
    let shift = |i: usize| match unit {
        Some(unit) => (here[i] - then[i]).abs() / unit,
        // Constant then: any other value is a shift without measure.
        None => f64::from(u8::from(here[i] != then[i])),
    };
    let shift = (1..4).map(shift).fold(0.0, f64::max);
    let is_drift = now.len() >= LEAST_VALUES && (beyond > MOST_BEYOND || shift > MOST_SHIFT);
    Some(Drift { column, beyond, shift, is_drift })
}

/// The finite values of each column.
fn by_column(values: &[f32], columns: usize) -> Vec<Vec<f32>> {
    (0..columns).map(|c| values.iter().skip(c).step_by(columns).copied().filter(|v| v.is_finite()).collect()).collect()
}

/// The value at each of [`PARTS`], the one before it where that falls between two; `None` of no values.
fn quantiles(values: &[f32]) -> Option<[f64; 5]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    // The digits of the float32, not those of the float64 that equals it; of the inner ones four, for a manifest travels
    // with the data.
    Some(PARTS.map(|part| {
        let value = sorted[(last as f64 * part) as usize];
        let digits = if part > 0.0 && part < 1.0 { format!("{value:.3e}") } else { value.to_string() };
        digits.parse().unwrap_or(f64::NAN)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(shift: f32) -> Vec<f32> {
        (0..2000).flat_map(|i| [(i % 100) as f32 * 0.1, ((i * 7) % 1000) as f32 + shift]).collect()
    }

    #[test]
    fn quantiles_are_of_each_column() {
        let q = Quantiles::of(&table(0.0), 2, &["a".into(), "b".into()]).unwrap();
        // Inner ones have four digits, the largest all of its float32.
        assert_eq!(q.values[0], [0.0, 0.0, 4.9, 9.8, (99.0 * 0.1f32).to_string().parse().unwrap()]);
        assert_eq!((q.values[1][0], q.values[1][4]), (0.0, 999.0));
        assert_eq!(q.columns, ["a", "b"]);
        assert_eq!(Quantiles::of(&[f32::NAN], 1, &[]), None);
    }

    #[test]
    fn drift_is_found_where_it_is() {
        let q = Quantiles::of(&table(0.0), 2, &[]).unwrap();
        assert!(q.drift(&table(0.0), 2).iter().all(|d| !d.is_drift && d.beyond == 0.0 && d.shift == 0.0));
        let shifted = q.drift(&table(400.0), 2);
        assert!(!shifted[0].is_drift && shifted[1].is_drift, "{shifted:?}");
        assert_eq!(shifted[1].column.as_deref(), Some("1"));
        assert!((shifted[1].beyond - 0.4).abs() < 0.01 && shifted[1].shift > 0.3, "{shifted:?}");
        assert!(q.drift(&table(0.0), 3).is_empty(), "other columns cannot be compared");
        assert!(!q.drift(&table(400.0)[..20], 2)[1].is_drift, "ten rows say nothing");
    }
}
