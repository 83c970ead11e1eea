//! What is asked of which column: by options, or by the metadata of a schema and its fields.

use crate::document::Limit;
use crate::error::{Error, Result};
use arrow_schema::Metadata;
use baler_codec::Bound;
use std::collections::BTreeMap;

/// What is asked for. A column takes its bound from the first that names one: [`Options::columns`], the metadata of its
/// field, [`Options::bound`], the metadata of the schema. Without any it is left as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// For every column of floats.
    pub bound: Option<Limit>,
    /// For single columns, by path (`jets.pt`); `None`: leave it as it is.
    pub columns: BTreeMap<String, Option<Limit>>,
    /// If not empty, no other columns are encoded.
    pub only: Vec<String>,
    /// Columns by which rows are found, joined, partitioned or sorted, with the reason: never encoded.
    pub keys: BTreeMap<String, String>,
    /// No column is predicted from others.
    pub no_prediction: bool,
    /// Threads that look for what predicts a column; 0 is 1. What they find is the same.
    pub n_threads: usize,
}

/// A bound as users write it: `abs:0.1`, `rel:1e-4`, `pw_rel:1e-3`, `bits:10` (mantissa bits kept), `lossless` (`None`).
pub fn parse_limit(text: &str) -> Result<Option<Limit>> {
    let wrong = || {
        Error::invalid(format!("bound {text:?}: expected abs:X, rel:X, pw_rel:X, bits:N or lossless, such as rel:1e-4"))
    };
    if text == "lossless" {
        return Ok(None);
    }
    let (kind, value) = text.split_once(':').ok_or_else(wrong)?;
    named_limit(kind, value).ok_or_else(wrong)?
}

/// The bound of a number of mantissa bits: values are rounded to them.
pub fn mantissa_bits(bits: u32) -> Result<Limit> {
    if !(1..=52).contains(&bits) {
        return Err(Error::invalid(format!("{bits} mantissa bits: expected 1 to 52")));
    }
    Ok(Limit::PwRel(0.5 / (1u64 << bits) as f64))
}

/// `None` for a kind that is not known.
fn named_limit(kind: &str, value: &str) -> Option<Result<Option<Limit>>> {
    let number =
        || value.trim().parse::<f64>().map_err(|_| Error::invalid(format!("bound {kind} = {value:?}: no number")));
    let limit = match kind {
        "abs" => number().map(Bound::Abs),
        "rel" => number().map(Bound::Rel),
        "pw_rel" | "pw-rel" => number().map(Bound::PwRel),
        "bits" => {
            let bits = value.trim().parse().map_err(|_| Error::invalid(format!("bits = {value:?}: no whole number")));
            return Some(bits.and_then(mantissa_bits).map(Some));
        }
        _ => return None,
    };
    Some(limit.and_then(Limit::of).map(Some))
}

/// What metadata ask for: `baler.abs`, `baler.rel`, `baler.pw_rel`, `baler.bits`, or `baler.lossless`. The outer `None`: they
/// say nothing.
pub(crate) fn of_metadata(metadata: &Metadata) -> Result<Option<Option<Limit>>> {
    let mut found = None;
    for (key, value) in metadata.iter() {
        let Some(kind) = key.strip_prefix("baler.") else { continue };
        let limit = match kind {
            "lossless" => Some(Ok(None)),
            _ => named_limit(kind, value),
        };
        if let Some(limit) = limit {
            let limit = limit?;
            if found.replace(limit).is_some() {
                return Err(Error::invalid("metadata name several bounds: keep one of baler.abs, baler.rel, ..."));
            }
        }
    }
    Ok(found)
}

impl Options {
    /// The options as one line, the same for the same options.
    pub fn request(&self) -> String {
        let limit = |l: &Option<Limit>| match l {
            None => "lossless".to_owned(),
            Some(Limit::Abs(v)) => format!("abs:{v:e}"),
            Some(Limit::Rel(v)) => format!("rel:{v:e}"),
            Some(Limit::PwRel(v)) => format!("pw_rel:{v:e}"),
        };
        let mut text = self.bound.map_or_else(|| "metadata".to_owned(), |b| limit(&Some(b)));
        for (name, l) in &self.columns {
            text += &format!(" {name}={}", limit(l));
        }
        if !self.only.is_empty() {
            text += &format!(" only={}", self.only.join(","));
        }
        if !self.keys.is_empty() {
            text += &format!(" keys={}", self.keys.keys().cloned().collect::<Vec<_>>().join(","));
        }
        if self.no_prediction {
            text += " no-prediction";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        assert_eq!(parse_limit("rel:1e-4").unwrap(), Some(Limit::Rel(1e-4)));
        assert_eq!(parse_limit("lossless").unwrap(), None);
        assert_eq!(parse_limit("bits:10").unwrap(), Some(Limit::PwRel(0.5 / 1024.0)));
        for bad in ["rel", "rel:x", "rel:2", "psnr:60", "bits:0", "bits:1.5", "abs:-1", ""] {
            assert!(parse_limit(bad).is_err(), "{bad}");
        }
        let metadata = |pairs: &[(&str, &str)]| -> Metadata { pairs.iter().copied().collect() };
        assert_eq!(
            of_metadata(&metadata(&[("baler.abs", "0.5"), ("unit", "GeV")])).unwrap(),
            Some(Some(Limit::Abs(0.5)))
        );
        assert_eq!(of_metadata(&metadata(&[("baler.lossless", "")])).unwrap(), Some(None));
        assert_eq!(of_metadata(&metadata(&[("baler.id", "x")])).unwrap(), None);
        assert!(of_metadata(&metadata(&[("baler.abs", "1"), ("baler.rel", "0.1")])).is_err());
    }
}
