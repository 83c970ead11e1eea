//! What a condition on values means for codes, so that statistics and page indexes of codes prune.

use crate::document::{Code, Document, Float, Mode, Steps};
use std::ops::RangeInclusive;

/// A comparison of a column with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    /// Whether a value meets the condition. NaN meets none.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Less => value < limit,
            Comparison::LessOrEqual => value <= limit,
            Comparison::Equal => value == limit,
            Comparison::GreaterOrEqual => value >= limit,
            Comparison::Greater => value > limit,
        }
    }

    /// Whether some value between two others may meet the condition.
    pub fn may_hold(self, min: f64, max: f64, limit: f64) -> bool {
        match self {
            Comparison::Less | Comparison::LessOrEqual => self.holds(min, limit),
            Comparison::Equal => min <= limit && limit <= max,
            Comparison::GreaterOrEqual | Comparison::Greater => self.holds(max, limit),
        }
    }
}

impl Document {
    /// The codes whose decoded values meet `column <comparison> limit`, in rows that have a code; `None` where codes do not
    /// grow with values (predicted columns) or the column is not in the document. An empty range (start > end): no code does.
    ///
    /// A row without a code may meet it too: `code BETWEEN start AND end OR (code IS NULL AND _baler_exact IS NOT NULL)`
    /// is true for every row that meets the condition.
    pub fn code_range(&self, path: &[&str], comparison: Comparison, limit: f64) -> Option<RangeInclusive<i64>> {
        let c = self.position(path)?;
        let column = &self.columns()[c];
        let Mode::Plain { base } = column.mode else { return None };
        let (low, high) = match column.code {
            Code::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Code::Int64 => (i64::MIN, i64::MAX),
        };
        // Of integers, which codes grow with: those of the lowest and the highest code that the encoder writes.
        let (low, high) = (column.gather(low & !0xff), column.gather((high & !0xff) | ((1 << column.low_bits) - 1)));
        // Within it decoding is monotone.
        let reach = match (column.lattice, column.dtype) {
            (Steps::Linear(_), _) => 1 << 51,
            (Steps::Pattern(step), dtype) => {
                let largest = match dtype {
                    Float::Float16 => 0x7bff,
                    Float::Float32 => 0x7f7f_ffff,
                    Float::Float64 => 0x7fef_ffff_ffff_ffff,
                };
                largest / (step as i64).max(1)
            }
        };
        let low = low.max((-reach).saturating_sub(base));
        let high = high.min(reach.saturating_sub(base));
        let value = |integer: i64| self.quantisers[c].decode(integer.wrapping_add(base));
        // The first integer from `low` on that is not `below`.
        let first = |below: &dyn Fn(f64) -> bool| {
            let (mut from, mut to) = (i128::from(low), i128::from(high) + 1);
            while from < to {
                let middle = (from + to).div_euclid(2);
                if below(value(middle as i64)) { from = middle + 1 } else { to = middle }
            }
            from
        };
        let at_least = || first(&|v| v < limit);
        let above = || first(&|v| v <= limit);
        let (start, end) = match comparison {
            _ if limit.is_nan() => (1, 0),
            Comparison::Less => (i128::from(low), at_least() - 1),
            Comparison::LessOrEqual => (i128::from(low), above() - 1),
            Comparison::Equal => (at_least(), above() - 1),
            Comparison::GreaterOrEqual => (at_least(), i128::from(high)),
            Comparison::Greater => (above(), i128::from(high)),
        };
        let clamp = |v: i128| v.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let code = |v: i128| column.spread(clamp(v)).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX });
        Some(if start > end { RangeInclusive::new(1, 0) } else { code(start)..=code(end) })
    }
}
