//! How the columns of a table become network inputs, chosen from the training data.
//!
//! | kind | chosen for |
//! |---|---|
//! | `constant` | one value only |
//! | `angle` | values that fill [-pi, pi], [0, 2 pi], [-180, 180] or [0, 360] up to both ends, with alike densities there |
//! | `log` | values above zero with a heavy tail, over more than two orders of magnitude |
//! | `asinh` | other heavy tails |
//! | `standard` | everything else, columns of few distinct values among it |
//!
//! A tail is heavy where the quantiles 0.001 and 0.999 lie more than six standard deviations, judged by the quartiles,
//! from the median: 3.1 for a normal distribution, 7.6 for an exponential one.
//!
//! All kinds but `minmax` and `none` give inputs of mean 0 and standard deviation 1. What is chosen goes into the
//! manifest and stays: unseen data are normalised as the training data were.

use baler_codec::bundle::{Normalisation, Transform};
use baler_codec::{Error, Result};
use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// How a column is to be normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chosen from the data.
    Auto,
    /// Values as they are.
    None,
    /// From 0 at the smallest to 1 at the largest.
    MinMax,
    /// Mean 0, standard deviation 1.
    Standard,
    /// Inverse hyperbolic sine about the median.
    Asinh,
    /// Logarithm; needs values above zero, or shifts them.
    Log,
    /// Periodic, in the smallest of the known branches that holds all values.
    Angle,
}

/// Every kind by its name on the command line.
const KINDS: [(&str, Kind); 7] = [
    ("auto", Kind::Auto),
    ("none", Kind::None),
    ("minmax", Kind::MinMax),
    ("standard", Kind::Standard),
    ("asinh", Kind::Asinh),
    ("log", Kind::Log),
    ("angle", Kind::Angle),
];

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        KINDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            Error::invalid(format!("normalisation {text:?} is unknown: expected one of {names}"))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

/// What was chosen for one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// For the manifest.
    pub transform: Transform,
    /// One line for the training log.
    pub reason: String,
}

/// Reads requests of the form `column=kind`, the column by its name or its number (from 0); `*=kind` is for all columns
/// not named. Later ones win.
pub fn requests(texts: &[String], names: &[String], n_columns: usize) -> Result<BTreeMap<usize, Kind>> {
    let mut kinds = BTreeMap::new();
    let mut of_all = None;
    for text in texts {
        let (column, kind) = text.rsplit_once('=').ok_or_else(|| {
            Error::invalid(format!("normalise {text:?}: expected column=kind, such as pt=log or *=minmax"))
        })?;
        let kind: Kind = kind.trim().parse()?;
        let column = column.trim();
        if column == "*" {
            of_all = Some(kind);
            continue;
        }
        let by_name = names.iter().position(|name| name == column);
        let by_number = || column.parse().ok().filter(|&i: &usize| i < n_columns);
        let i = by_name.or_else(by_number).ok_or_else(|| {
            let known = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            Error::invalid(format!("normalise {text:?}: no such column among the {n_columns}{known}"))
        })?;
        kinds.insert(i, kind);
    }
    if let Some(kind) = of_all {
        (0..n_columns).for_each(|i| {
            kinds.entry(i).or_insert(kind);
        });
    }
    Ok(kinds)
}

/// Tiles of values become tiles of network inputs, in place. `whole`: minimum and range of all the data, which stand for
/// those of a chunk. Returns the range of the data in units of the inputs; for columns the mean of theirs over the tiles of
/// `training`.
pub(super) fn to_inputs(
    normalisation: &Normalisation,
    whole: (f64, f64),
    tiles: &mut [Vec<f32>],
    training: &[usize],
) -> f64 {
    let (offset, scale) = match normalisation {
        Normalisation::Fixed { offset, scale } => (*offset, *scale),
        Normalisation::Range | Normalisation::Tile => whole,
        Normalisation::Columns { columns } => {
            let n = columns.len();
            for (place, v) in tiles.iter_mut().flat_map(|tile| tile.iter_mut().enumerate()) {
                *v = columns[place % n].forward(f64::from(*v)) as f32;
            }
            let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); n];
            for (place, v) in training.iter().flat_map(|&i| tiles[i].iter().enumerate()) {
                let (min, max) = &mut ranges[place % n];
                (*min, *max) = (min.min(*v), max.max(*v));
            }
            let sum: f64 = ranges.iter().map(|(min, max)| f64::from(max - min).max(0.0)).sum();
            return (sum / n as f64).max(f64::MIN_POSITIVE);
        }
    };
    for tile in tiles {
        tile.iter_mut().for_each(|v| *v = ((f64::from(*v) - offset) / scale) as f32);
        if matches!(normalisation, Normalisation::Tile) {
            let mean = tile.iter().sum::<f32>() / tile.len() as f32;
            tile.iter_mut().for_each(|v| *v -= mean);
        }
    }
    whole.1 / scale
}

/// One transform for each column of `rows` (row after row, finite values only), by `asked` where it names the column and
/// otherwise by the data.
pub fn choose(rows: &[f32], n_columns: usize, asked: &BTreeMap<usize, Kind>) -> Result<Vec<Chosen>> {
    (0..n_columns)
        .map(|c| {
            let column: Vec<f64> = rows.iter().skip(c).step_by(n_columns).map(|&v| f64::from(v)).collect();
            let column = Column::new(column).ok_or_else(|| Error::invalid(format!("column {c} has no values")))?;
            let kind = asked.get(&c).copied().unwrap_or(Kind::Auto);
            column.choose(kind).map_err(|e| e.context(format_args!("column {c}")))
        })
        .collect()
}

/// Sorted values of a column.
struct Column {
    sorted: Vec<f64>,
}

/// Beyond this many standard deviations, judged by the quartiles, the quantile 0.999 is a heavy tail.
const HEAVY: f64 = 6.0;
/// Columns with no more distinct values than this are labels or counts.
const FEW: usize = 16;

impl Column {
    fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self { sorted: values })
    }

    fn min(&self) -> f64 {
        self.sorted[0]
    }

    fn max(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    fn quantile(&self, q: f64) -> f64 {
        self.sorted[((self.sorted.len() - 1) as f64 * q).round() as usize]
    }

    fn choose(&self, kind: Kind) -> Result<Chosen> {
        if self.min() == self.max() {
            let value = self.min();
            return Ok(Chosen { transform: Transform::Constant { value }, reason: format!("constant {value}") });
        }
        let (transform, reason) = match kind {
            Kind::Auto => self.by_data(),
            Kind::None => (Transform::Linear { offset: 0.0, scale: 1.0 }, "as asked".into()),
            Kind::MinMax => {
                (Transform::Linear { offset: self.min(), scale: self.max() - self.min() }, "as asked".into())
            }
            Kind::Standard => (self.standard(), "as asked".into()),
            Kind::Asinh => (self.asinh(), "as asked".into()),
            Kind::Log => (self.log(), "as asked".into()),
            Kind::Angle => {
                let branch = BRANCHES.iter().find(|b| self.min() >= b.least() && self.max() <= b.most());
                let branch = branch.ok_or_else(|| {
                    let (min, max) = (self.min(), self.max());
                    Error::invalid(format!(
                        "values from {min} to {max} are no angles of a known branch: [-pi, pi], [0, 2 pi], [-180, 180], [0, 360]"
                    ))
                })?;
                (self.angle(branch), format!("as asked, {}", branch.name))
            }
        };
        Ok(Chosen { transform, reason })
    }

    fn by_data(&self) -> (Transform, String) {
        let distinct = self.sorted.chunk_by(|a, b| a == b).take(FEW + 1).count();
        if distinct <= FEW {
            return (self.standard(), format!("{distinct} distinct values"));
        }
        if let Some(branch) = BRANCHES.iter().find(|b| self.fills(b)) {
            return (self.angle(branch), format!("fills {} up to both ends", branch.name));
        }
        let tail = self.tail();
        if tail <= HEAVY {
            return (self.standard(), format!("tails of {tail:.1} standard deviations"));
        }
        let asinh = self.asinh();
        if self.min() > 0.0 && self.max() > 100.0 * self.min() {
            let log = self.log();
            // The better of the two is the one that leaves shorter tails.
            let after = |t: Transform| self.mapped(t).map_or(f64::INFINITY, |column| column.tail());
            if after(log) <= after(asinh) {
                return (log, format!("tails of {tail:.1} standard deviations, above zero"));
            }
        }
        (asinh, format!("tails of {tail:.1} standard deviations"))
    }

    /// Distance of the quantile 0.001 or 0.999, whichever lies farther from the median, in standard deviations as the
    /// quartiles give them.
    fn tail(&self) -> f64 {
        let median = self.quantile(0.5);
        let farthest = (self.quantile(0.999) - median).max(median - self.quantile(0.001));
        farthest / (self.spread() / 1.349)
    }

    /// Distance between the quartiles; where half the values are one, that between wider quantiles.
    fn spread(&self) -> f64 {
        [0.25, 0.1, 0.05, 0.02, 0.01, 0.0]
            .iter()
            .map(|q| self.quantile(1.0 - q) - self.quantile(*q))
            .find(|spread| *spread > 0.0)
            .unwrap_or(1.0)
    }

    fn mapped(&self, transform: Transform) -> Option<Self> {
        Self::new(self.sorted.iter().map(|&x| transform.forward(x)).collect())
    }

    /// `of(0, 1)` with the offset and scale that give its inputs mean 0 and standard deviation 1.
    fn standardised(&self, of: impl Fn(f64, f64) -> Transform) -> Transform {
        let plain = of(0.0, 1.0);
        let n = self.sorted.len() as f64;
        let (first, sum) = (plain.forward(self.sorted[0]), |f: &dyn Fn(f64) -> f64| {
            self.sorted.iter().map(|&x| f(plain.forward(x))).sum::<f64>()
        });
        let mean = first + sum(&|t| t - first) / n;
        let deviation = (sum(&|t| (t - mean) * (t - mean)) / n).sqrt();
        if deviation.is_finite() && deviation > 0.0 { of(mean, deviation) } else { of(first, 1.0) }
    }

    fn standard(&self) -> Transform {
        self.standardised(|offset, scale| Transform::Linear { offset, scale })
    }

    fn asinh(&self) -> Transform {
        let (centre, width) = (self.quantile(0.5), self.spread() / 1.349);
        self.standardised(|offset, scale| Transform::Asinh { centre, width, offset, scale })
    }

    fn log(&self) -> Transform {
        // Values at or below zero: shifted until the smallest lies a little above it.
        let origin = if self.min() > 0.0 { 0.0 } else { self.min() - 0.01 * self.spread() };
        self.standardised(|offset, scale| Transform::Log { origin, offset, scale })
    }

    fn fills(&self, branch: &Branch) -> bool {
        // Below this, counts at the ends say nothing.
        const LEAST_VALUES: usize = 500;
        if self.sorted.len() < LEAST_VALUES || self.min() < branch.least() || self.max() > branch.most() {
            return false;
        }
        let width = branch.period / 32.0;
        let n = self.sorted.len() as f64;
        let at_begin = self.sorted.partition_point(|&x| x < branch.begin + width) as f64;
        let at_end = n - self.sorted.partition_point(|&x| x < branch.begin + branch.period - width) as f64;
        let close = |x: f64| x < width / 2.0;
        close(self.min() - branch.begin)
            && close(branch.begin + branch.period - self.max())
            && at_begin.min(at_end) >= 0.25 * n / 32.0
            && at_begin.max(at_end) <= 1.5 * at_begin.min(at_end) + 3.0 * n.sqrt() / 32f64.sqrt()
    }

    /// The network's cut lies opposite the circular mean, unless the values have no preferred direction: then it stays
    /// where the data's is, and nothing is turned.
    fn angle(&self, branch: &Branch) -> Transform {
        const PREFERRED: f64 = 0.2;
        let (Branch { begin, period, .. }, n) = (*branch, self.sorted.len() as f64);
        let turn = 2.0 * PI / period;
        let (sin, cos) = self.sorted.iter().fold((0.0, 0.0), |(s, c), &x| {
            let (sin, cos) = ((x - begin) * turn).sin_cos();
            (s + sin / n, c + cos / n)
        });
        let opposite = (sin.atan2(cos) / turn + 1.5 * period).rem_euclid(period);
        let low = if sin.hypot(cos) > PREFERRED && opposite > 0.0 { begin + opposite } else { begin };
        let low = if low < begin + period { low } else { begin };
        self.standardised(|offset, scale| Transform::Angle { period, begin, low, offset, scale })
    }
}

/// A period of angles as data come in.
#[derive(Clone, Copy)]
struct Branch {
    name: &'static str,
    begin: f64,
    period: f64,
}

/// The narrowest first: values of [-pi, pi] lie in [-180, 180] too.
const BRANCHES: [Branch; 4] = [
    Branch { name: "[-pi, pi]", begin: -PI, period: 2.0 * PI },
    Branch { name: "[0, 2 pi]", begin: 0.0, period: 2.0 * PI },
    Branch { name: "[-180, 180]", begin: -180.0, period: 360.0 },
    Branch { name: "[0, 360]", begin: 0.0, period: 360.0 },
];

impl Branch {
    /// The ends, with room for pi as a 32-bit float or with four digits.
    fn least(&self) -> f64 {
        self.begin - 1e-5 * self.period
    }

    fn most(&self) -> f64 {
        self.begin + self.period + 1e-5 * self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Random;

    const N: usize = 4000;

    /// `N` values of a column, as the choice sees them.
    fn column(mut f: impl FnMut(&mut Random) -> f64) -> Vec<f32> {
        let mut random = Random::new(7);
        (0..N).map(|_| f(&mut random) as f32).collect()
    }

    fn of(values: &[f32]) -> Transform {
        choose(values, 1, &BTreeMap::new()).unwrap()[0].transform
    }

    fn normal(random: &mut Random) -> f64 {
        f64::from(random.normal())
    }

    fn uniform(random: &mut Random) -> f64 {
        f64::from(random.uniform())
    }

    #[test]
    fn kinds_are_chosen_by_the_data() {
        let cases: [(&str, &str, Vec<f32>); 12] = [
            ("normal", "linear", column(|r| 5.0 + 2.0 * normal(r))),
            ("uniform", "linear", column(|r| 10.0 * uniform(r))),
            ("constant", "constant", column(|_| 13.6)),
            ("charge", "linear", column(|r| if uniform(r) < 0.5 { -1.0 } else { 1.0 })),
            ("momentum of either sign", "asinh", column(|r| 10.0 * normal(r) * (2.0 * normal(r)).exp())),
            ("energy over six orders", "log", column(|r| (3.0 * normal(r)).exp())),
            ("exponential", "asinh", column(|r| -(1.0 - uniform(r)).ln())),
            ("mostly zero", "asinh", column(|r| if uniform(r) < 0.9 { 0.0 } else { (2.0 * normal(r)).exp() })),
            ("azimuth", "angle", column(|r| (2.0 * uniform(r) - 1.0) * PI)),
            ("azimuth from 0", "angle", column(|r| 2.0 * uniform(r) * PI)),
            ("degrees", "angle", column(|r| 360.0 * uniform(r))),
            ("polar angle", "linear", column(|r| (2.0 * uniform(r) - 1.0).acos())),
        ];
        for (what, kind, values) in cases {
            let transform = of(&values);
            assert_eq!(transform.kind(), kind, "{what}");
            // Inputs of order 1, which come back.
            for &x in &values {
                let x = f64::from(x);
                let input = transform.forward(x);
                assert!(input.abs() < 12.0, "{what}: {x} becomes {input}");
                let back = transform.inverse(f64::from(input as f32));
                let slope = (transform.inverse(input + 1e-6) - transform.inverse(input - 1e-6)) / 2e-6;
                assert!((back - x).abs() <= 1e-5 * (slope.abs() + x.abs()), "{what}: {x} comes back as {back}");
            }
        }
    }

    #[test]
    fn angles_are_cut_where_few_lie() {
        // Crowded about pi, so on both sides of the data's cut.
        let values = column(|r| (PI + 0.3 * normal(r) + PI).rem_euclid(2.0 * PI) - PI);
        let asked = BTreeMap::from([(0, Kind::Angle)]);
        let Transform::Angle { begin, low, .. } = choose(&values, 1, &asked).unwrap()[0].transform else { panic!() };
        assert_eq!(begin, -PI);
        assert!(low.abs() < 0.1, "{low}");
        // No preferred direction: the data's own cut.
        let Transform::Angle { begin, low, .. } = of(&column(|r| (2.0 * uniform(r) - 1.0) * PI)) else { panic!() };
        assert_eq!((begin, low), (-PI, -PI));
    }

    #[test]
    fn requests_name_columns() {
        let names = ["pt".to_owned(), "phi".to_owned(), "E=mc2".to_owned()];
        let read = |texts: &[&str]| requests(&texts.iter().map(|t| t.to_string()).collect::<Vec<_>>(), &names, 3);
        let kinds = read(&["*=minmax", "pt=log", "1=angle"]).unwrap();
        assert_eq!(kinds, BTreeMap::from([(0, Kind::Log), (1, Kind::Angle), (2, Kind::MinMax)]));
        assert_eq!(read(&["E=mc2=asinh"]).unwrap(), BTreeMap::from([(2, Kind::Asinh)]));
        for (text, says) in
            [("pt", "column=kind"), ("pt=cubic", "expected one of auto"), ("eta=log", "pt, phi"), ("3=log", "no such")]
        {
            let error = read(&[text]).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn asked_for_kinds_are_taken() {
        let values: Vec<f32> = (0..1000).map(|i| i as f32 - 10.0).collect();
        let get = |kind| choose(&values, 1, &BTreeMap::from([(0, kind)]));
        assert_eq!(get(Kind::None).unwrap()[0].transform, Transform::Linear { offset: 0.0, scale: 1.0 });
        assert_eq!(get(Kind::MinMax).unwrap()[0].transform, Transform::Linear { offset: -10.0, scale: 999.0 });
        for kind in [Kind::Asinh, Kind::Log] {
            let transform = get(kind).unwrap()[0].transform;
            assert_eq!(transform.kind(), kind.to_string());
            assert!(values.iter().all(|&x| transform.forward(f64::from(x)).abs() < 20.0));
        }
        assert!(get(Kind::Angle).unwrap_err().message().contains("no angles"));
        assert!(choose(&[], 1, &BTreeMap::new()).is_err());
    }
}
