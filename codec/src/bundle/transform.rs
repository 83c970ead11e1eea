//! How the values of one column become network inputs, and network outputs values again.
//!
//! | kind | `t` of a value `x` | value of `t` |
//! |---|---|---|
//! | `linear` | `x` | `t` |
//! | `asinh` | `asinh((x - centre) / width)` | `centre + width * sinh(t)` |
//! | `log` | `ln(x - origin)` | `origin + exp(t)` |
//! | `angle` | `x`, turned by whole periods into `[low, low + period]` | `t`, turned into `[begin, begin + period]` |
//! | `constant` | 0 | `value` |
//!
//! The network sees `(t - offset) / scale`. The way back is part of the format and exact on every machine
//! (`docs/bundle-format.md`); the way there is the encoder's own.

use crate::elementary::{asinh, exp, ln, sinh};
use serde::{Deserialize, Serialize};

/// The transform of one column. `offset` and `scale` are those of the network's inputs, everything else is in the units
/// of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Transform {
    /// Min-max, standard score, or none: values as they are.
    Linear {
        /// Subtracted first.
        offset: f64,
        /// Divided by next; above zero.
        scale: f64,
    },
    /// Heavy tails of either sign: linear within about `width` of `centre`, logarithmic beyond.
    Asinh {
        /// Where it is linear.
        centre: f64,
        /// How far; above zero.
        width: f64,
        /// Subtracted from the inverse hyperbolic sine.
        offset: f64,
        /// Divided by next; above zero.
        scale: f64,
    },
    /// Values above `origin` that spread over orders of magnitude.
    Log {
        /// Subtracted first; values at or below it count as the smallest number above it.
        origin: f64,
        /// Subtracted from the natural logarithm.
        offset: f64,
        /// Divided by next; above zero.
        scale: f64,
    },
    /// Periodic values. The network's inputs are cut at `low`, where few values lie; decoded values are cut at `begin`,
    /// as the data's own are.
    Angle {
        /// Above zero: 2 pi, 360, ...
        period: f64,
        /// Where the data's own period begins.
        begin: f64,
        /// Where that of the network's inputs begins: at least `begin`, below `begin + period`.
        low: f64,
        /// Subtracted after turning.
        offset: f64,
        /// Divided by next; above zero.
        scale: f64,
    },
    /// Always the same value; the network's input is 0, its output is not looked at.
    Constant {
        /// The value.
        value: f64,
    },
}

/// Numbers with their names.
type Named<'a> = &'a [(&'a str, f64)];

impl Transform {
    /// The name in manifests.
    pub fn kind(&self) -> &'static str {
        match self {
            Transform::Linear { .. } => "linear",
            Transform::Asinh { .. } => "asinh",
            Transform::Log { .. } => "log",
            Transform::Angle { .. } => "angle",
            Transform::Constant { .. } => "constant",
        }
    }

    /// The network's input for a finite value.
    pub fn forward(&self, x: f64) -> f64 {
        let (t, offset, scale) = match *self {
            Transform::Linear { offset, scale } => (x, offset, scale),
            Transform::Asinh { centre, width, offset, scale } => (asinh((x - centre) / width), offset, scale),
            Transform::Log { origin, offset, scale } => (ln(x - origin), offset, scale),
            Transform::Angle { period, begin, low, offset, scale } => (turn(x, begin, low, period), offset, scale),
            Transform::Constant { .. } => return 0.0,
        };
        (t - offset) / scale
    }

    /// The value of a network's output; the same bits on every machine. Not finite where the result leaves binary64.
    #[inline]
    pub fn inverse(&self, y: f64) -> f64 {
        match *self {
            Transform::Linear { offset, scale } => offset + y * scale,
            Transform::Asinh { centre, width, offset, scale } => centre + width * sinh(offset + y * scale),
            Transform::Log { origin, offset, scale } => origin + exp(offset + y * scale),
            Transform::Angle { period, begin, low, offset, scale } => {
                let t = offset + y * scale;
                let t = if t > low + period { low + period } else { t };
                let t = if t < low { low } else { t };
                if t > begin + period { t - period } else { t }
            }
            Transform::Constant { value } => value,
        }
    }

    /// What is wrong with the numbers, if anything is.
    pub fn validate(&self) -> Result<(), String> {
        let (numbers, above_zero): (Named<'_>, Named<'_>) = match self {
            Transform::Linear { offset, scale } => (&[("offset", *offset)], &[("scale", *scale)]),
            Transform::Asinh { centre, width, offset, scale } => {
                (&[("centre", *centre), ("offset", *offset)], &[("width", *width), ("scale", *scale)])
            }
            Transform::Log { origin, offset, scale } => {
                (&[("origin", *origin), ("offset", *offset)], &[("scale", *scale)])
            }
            Transform::Angle { period, begin, low, offset, scale } => {
                (&[("begin", *begin), ("low", *low), ("offset", *offset)], &[("period", *period), ("scale", *scale)])
            }
            Transform::Constant { value } => (&[("value", *value)], &[]),
        };
        if let Some((name, v)) = numbers.iter().find(|(_, v)| !v.is_finite()) {
            return Err(format!("{name} = {v}: expected a finite number"));
        }
        if let Some((name, v)) = above_zero.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
            return Err(format!("{name} = {v}: expected a finite number above 0"));
        }
        match *self {
            Transform::Angle { period, begin, low, .. } if !(low >= begin && low < begin + period) => {
                Err(format!("low = {low}: expected at least begin = {begin}, and less than a period of {period} above"))
            }
            _ => Ok(()),
        }
    }
}

/// `x` turned by whole periods into `[low, low + period]`. A little beyond the data's own period counts as its end: pi as
/// a 32-bit float lies above pi.
fn turn(x: f64, begin: f64, low: f64, period: f64) -> f64 {
    let (end, beyond) = (begin + period, 1e-5 * period);
    let x = if x > begin - beyond && x < end + beyond { x.clamp(begin, end) } else { x };
    if x >= low && x <= low + period { x } else { x - period * ((x - low) / period).floor() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    #[test]
    fn angles_come_back_in_their_own_branch() {
        // Data cut at -pi, but crowded there: the network's cut is at 0.
        let t = Transform::Angle { period: 2.0 * PI, begin: -PI, low: 0.0, offset: PI, scale: 2.0 };
        for x in [-PI, -3.1, -1.0, -1e-9, 0.0, 1e-9, 1.0, 3.1, PI] {
            assert!((t.inverse(t.forward(x)) - x).abs() < 1e-12 || x == -PI, "{x}");
        }
        // Neighbours across the data's cut are neighbours to the network.
        assert!((t.forward(3.1405) - t.forward(-3.1405)).abs() < 0.01);
        assert!((t.inverse(t.forward(-PI)).abs() - PI).abs() < 1e-12);
        // Turned by whole periods, and beyond the ends.
        assert!((t.inverse(t.forward(1.0 + 4.0 * PI)) - 1.0).abs() < 1e-12);
        assert!([-1e300, -9.0, 9.0, 1e300].iter().all(|y| t.inverse(*y).abs() <= PI));
        // No turn where both cuts are one: the largest angle stays where it is.
        let same = Transform::Angle { period: 360.0, begin: 0.0, low: 0.0, offset: 180.0, scale: 100.0 };
        assert_eq!((same.inverse(same.forward(360.0)), same.inverse(1.81), same.inverse(-1.81)), (360.0, 360.0, 0.0));
    }

    #[test]
    fn the_largest_float_angle_is_not_turned() {
        let t = Transform::Angle { period: 2.0 * PI, begin: -PI, low: -PI, offset: 0.0, scale: 1.0 };
        let pi = f64::from(std::f32::consts::PI);
        assert!(pi > PI);
        assert!([pi, -pi].iter().all(|x| (t.inverse(t.forward(*x)) - x).abs() < 1e-6));
    }

    #[test]
    fn totality() {
        let log = Transform::Log { origin: 0.0, offset: 2.0, scale: 1.5 };
        assert!([0.0, -5.0, -1e300, 1e300].iter().all(|&x| log.forward(x).is_finite()));
        let constant = Transform::Constant { value: 4.5 };
        assert_eq!((constant.forward(9.0), constant.inverse(f64::NAN)), (0.0, 4.5));
    }

    proptest! {
        #[test]
        fn inverse_undoes_forward(
            x in prop_oneof![-1e3..1e3f64, -1e-3..1e-3f64, -1e12..1e12f64],
            centre in -10.0..10.0f64,
            width in 1e-3..1e3f64,
            offset in -5.0..5.0f64,
            scale in 1e-2..1e2f64,
        ) {
            let near = |t: Transform, x: f64, unit: f64| {
                let back = t.inverse(t.forward(x));
                prop_assert!((back - x).abs() <= 1e-11 * (x.abs() + unit), "{t:?}: {x} came back as {back}");
                Ok(())
            };
            near(Transform::Linear { offset, scale }, x, offset.abs())?;
            near(Transform::Asinh { centre, width, offset, scale }, x, centre.abs() + width)?;
            let positive = x.abs() + 1e-6;
            near(Transform::Log { origin: centre, offset, scale }, centre + positive, centre.abs() + 1.0)?;
            let (begin, low) = (-PI, -PI + (offset + 5.0) / 10.0 * 2.0 * PI * 0.999);
            let angle = Transform::Angle { period: 2.0 * PI, begin, low, offset, scale };
            prop_assert_eq!(angle.validate(), Ok(()));
            let inside = begin + (x.abs() * 1e-3).fract() * 2.0 * PI * 0.999 + 1e-3;
            near(angle, inside, 10.0 + scale)?;
        }
    }
}
