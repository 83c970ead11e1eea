//! Integers to bits and back. One file per coder; the encoder tries those that can win and writes the number of the
//! smallest before its bytes.
//!
//! | id | coder | good at |
//! |---|---|---|
//! | 0 | [`CONSTANT`]: one value | residuals that are all zero |
//! | 1 | [`PCO`]: pcodec | most distributions, fast |
//! | 2 | [`NARROW`]: zstd over the fewest bytes that hold the values | repeats: sentinels, sorted keys, flat areas |
//! | 3 | [`SHUFFLED`]: zstd over byte planes | wide values whose high bytes repeat |
//! | 4 | [`CONTEXT`]: adaptive range coder conditioned on neighbours | residuals of fields |

pub(crate) mod bytes;
pub(crate) mod context;
pub(crate) mod int;
mod narrow;
pub(crate) mod pcodec;

pub(crate) use int::Int;

use crate::error::{Error, Result};
use crate::params::Effort;
use crate::wire::{Reader, Writer, unzigzag64, zigzag64};
use context::Lattice;

pub(crate) const CONSTANT: u8 = 0;
pub(crate) const PCO: u8 = 1;
pub(crate) const NARROW: u8 = 2;
pub(crate) const SHUFFLED: u8 = 3;
pub(crate) const CONTEXT: u8 = 4;

/// The name of a coder as reports print it.
pub(crate) fn name(coder: u8) -> &'static str {
    match coder {
        CONSTANT => "constant",
        PCO => "pco",
        NARROW => "zstd",
        SHUFFLED => "shuffle+zstd",
        CONTEXT => "context",
        _ => "unknown",
    }
}

/// What the coders may assume of the values.
#[derive(Clone, Copy)]
pub(crate) struct Hints<'a> {
    pub effort: Effort,
    /// The values are differences already: looking for more of them does not pay.
    pub is_residual: bool,
    /// Which value lies beside which.
    pub lattice: Lattice<'a>,
}

/// Encodes with the coder that gives the fewest bytes.
pub(crate) fn encode<I: Int>(values: &[I], hints: Hints<'_>) -> Vec<u8> {
    let Some((&first, rest)) = values.split_first() else {
        return vec![CONSTANT, 0];
    };
    if rest.iter().all(|&v| v == first) {
        let mut out = Writer::default();
        out.u8(CONSTANT);
        out.varint(zigzag64(first.to_i64()));
        return out.bytes;
    }
    let mut best = with_id(PCO, pcodec::encode(values, hints));
    let mut keep = |candidate: Vec<u8>| {
        if candidate.len() < best.len() {
            best = candidate;
        }
    };
    if hints.effort != Effort::Fast {
        keep(with_id(CONTEXT, context::encode(values, hints.lattice)));
        if narrow::pays(values, hints) {
            keep(with_id(NARROW, narrow::encode(values, false, hints.effort)));
            keep(with_id(SHUFFLED, narrow::encode(values, true, hints.effort)));
        }
    } else if values.len() < 64 {
        keep(with_id(NARROW, narrow::encode(values, false, hints.effort)));
    }
    best
}

fn with_id(coder: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1);
    out.push(coder);
    out.extend_from_slice(&payload);
    out
}

/// Decodes `n` values that [`encode`] wrote; `payload` ends where the values end.
pub(crate) fn decode<I: Int>(payload: &[u8], n: usize, lattice: Lattice<'_>) -> Result<Vec<I>> {
    let mut input = Reader::new(payload);
    let values = match input.u8("an entropy coder")? {
        CONSTANT => {
            let v = unzigzag64(input.varint("a constant")?);
            input.finish("a constant")?;
            let v = I::from_i64(v).ok_or_else(|| Error::corrupt(format!("the constant {v} does not fit its width")))?;
            vec![v; n]
        }
        PCO => pcodec::decode(input.rest(), n)?,
        NARROW => narrow::decode(input.rest(), n, false)?,
        SHUFFLED => narrow::decode(input.rest(), n, true)?,
        CONTEXT => context::decode(input.rest(), n, lattice)?,
        coder => return Err(Error::corrupt(format!("entropy coder {coder} is unknown"))),
    };
    debug_assert_eq!(values.len(), n);
    Ok(values)
}
