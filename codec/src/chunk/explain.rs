//! What each candidate of an auction costs.
//!
//! The auction rules most candidates out by an estimate, so what they would have come to is not known to it. Here each is
//! held alone: slower by the number of candidates, exact, and no second mechanism beside the auction's own.

use super::describe::describe;
use super::write::encode;
use crate::error::Result;
use crate::params::{Candidates, Params};
use crate::registry::Registry;

/// What one candidate comes to, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// One of [`Candidates::names`].
    pub candidate: &'static str,
    /// Bytes of each part; `None` where the candidate has nothing to offer: values it cannot serve, a model that does
    /// not fit, more bytes than the values themselves.
    pub parts: Vec<Option<usize>>,
}

/// Encodes one chunk with each candidate alone; the arguments are those of [`encode`]. Candidates that `params` leaves
/// out stay out.
///
/// # Errors
/// As [`encode`].
pub fn explain(params: &Params, values: &[u8], registry: &Registry) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for candidate in Candidates::names().filter(|name| params.candidates.has(name)) {
        let mut alone = params.clone();
        alone.candidates = Candidates::only(candidate)?;
        let parts = describe(&encode(&alone, values, registry)?)?.parts;
        let bytes = |p: &super::PartDescription| (p.candidate != "raw").then_some(p.len_bytes);
        costs.push(Cost { candidate, parts: parts.iter().map(bytes).collect() });
    }
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Bound, Dtype};

    #[test]
    fn the_winner_is_the_cheapest_and_what_is_left_out_stays_out() {
        let field: Vec<u8> = (0..64 * 64u32)
            .flat_map(|i| (((i / 64) as f32 * 0.07).sin() * ((i % 64) as f32 * 0.05).cos()).to_le_bytes())
            .collect();
        let registry = Registry::new();
        for bound in [Bound::Rel(1e-2), Bound::Rel(1e-4), Bound::Lossless] {
            let mut params = Params::new(Dtype::F32, &[64, 64], bound);
            let costs = explain(&params, &field, &registry).unwrap();
            assert_eq!(costs.len(), Candidates::names().count());
            let best = describe(&encode(&params, &field, &registry).unwrap()).unwrap().parts[0].len_bytes;
            assert_eq!(costs.iter().filter_map(|c| c.parts[0]).min(), Some(best), "{bound}: {costs:?}");
            for cost in &costs {
                params.candidates = Candidates::default().without(cost.candidate).unwrap();
                assert_eq!(explain(&params, &field, &registry).unwrap().len(), costs.len() - 1);
            }
        }
        // Counts kept as float32, at a bound finer than one: the auction's samples see that pcodec finds their step.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) & 15
        };
        let counts: Vec<u8> = (0..100_000).flat_map(|_| ((1000 + noise() + noise()) as f32).to_le_bytes()).collect();
        let params = Params::new(Dtype::F32, &[100_000], Bound::Rel(1e-3));
        let best = describe(&encode(&params, &counts, &registry).unwrap()).unwrap().parts[0].len_bytes;
        let costs = explain(&params, &counts, &registry).unwrap();
        assert_eq!(costs.iter().filter_map(|c| c.parts[0]).min(), Some(best), "{costs:?}");
        assert!(Candidates::only("magic").unwrap_err().message().contains("quantised"));
    }
}
