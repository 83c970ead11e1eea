//! Ours: the codec on one thread, a whole array as one chunk.

use super::data::Set;
use super::held_out::Admitted;
use super::results::{Measured, OURS, Seen};
use crate::check::{Checker, Ranges};
use crate::failure::Result;
use baler_codec::{Bound, Candidates, Effort, Limits, Params, decode, describe, encode, explain};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;

/// No repeats once they took this many seconds.
const PATIENCE_S: f64 = 10.0;

/// How to encode, and how often.
pub struct Settings {
    /// Whether to say what each candidate alone would take.
    pub explain: bool,
    pub effort: Effort,
    pub candidates: Candidates,
    pub repeat: usize,
}

fn params(set: &Set, bound: Bound, admitted: &Admitted, settings: &Settings) -> Params {
    let mut params = Params::new(set.dtype(), &set.shape(), bound);
    params.byte_order = set.array.byte_order;
    params.per_column = set.columns;
    params.model = admitted.choice;
    params.effort = settings.effort;
    params.candidates = settings.candidates;
    params
}

/// Length of the encoded array, and nothing else.
pub fn stream_bytes(set: &Set, bound: Bound, admitted: &Admitted, settings: &Settings) -> Result<u64> {
    Ok(encode(&params(set, bound, admitted, settings), &set.values, &admitted.registry)?.len() as u64)
}

/// Encodes, decodes, and measures what came back.
pub fn measure(set: &Set, bound: Bound, admitted: &Admitted, settings: &Settings) -> Result<Measured> {
    let params = params(set, bound, admitted, settings);
    let limits = Limits { max_output_bytes: set.values.len() };
    let (encode_s, stream) = timed(settings.repeat, || encode(&params, &set.values, &admitted.registry))?;
    let (decode_s, decoded) = timed(settings.repeat, || decode(&stream, &admitted.registry, &limits))?;

    let verdict = compare(set, bound, &decoded.values)?;
    let description = describe(&stream)?;
    let mut candidates = BTreeMap::new();
    for part in &description.parts {
        *candidates.entry(part.candidate.to_owned()).or_insert(0) += 1;
    }
    let model = description.header.model.map(|id| admitted.registry.find(&id)).transpose()?;
    let auction = if settings.explain {
        crate::auction::lines(&description, &explain(&params, &set.values, &admitted.registry)?)
    } else {
        Vec::new()
    };
    let (raw, bytes) = (set.value_bytes(), stream.len() as u64);
    let model_bytes = model.as_ref().map_or(0, |m| m.decoder_bytes() as u64);
    let speed = |seconds: f64| (seconds > 0.0).then(|| raw as f64 / 1e6 / seconds);
    Ok(Measured {
        codec: OURS.into(),
        bound: bound.into(),
        bytes,
        model_bytes,
        ratio: raw as f64 / bytes as f64,
        ratio_with_model: raw as f64 / (bytes + model_bytes) as f64,
        encode_mb_s: speed(encode_s),
        decode_mb_s: speed(decode_s),
        error_over_bound: (bound != Bound::Lossless).then_some(verdict.max_error_over_bound),
        bound_kept: verdict.n_broken == 0,
        non_finite_kept: (verdict.n_special > 0).then_some(verdict.n_broken == 0),
        psnr: verdict.psnr.is_finite().then_some(verdict.psnr),
        seen: model.as_ref().map(|m| admitted.seen.get(&m.id()).copied().unwrap_or(Seen::Unknown)),
        candidates,
        models: model.iter().map(|m| m.manifest().name.clone()).collect(),
        auction,
    })
}

/// Definitions only: nothing here comes from the encoder.
fn compare(set: &Set, bound: Bound, decoded: &[u8]) -> Result<crate::check::Verdict> {
    let mut ranges = Ranges::new(&set.array, set.columns);
    ranges.add(&set.values);
    let mut checker = Checker::new(&set.array, set.array.byte_order, bound, ranges);
    checker.add(&set.values, decoded)?;
    Ok(checker.finish())
}

/// Median processor time of one call, and what the last one gave.
fn timed<T>(repeat: usize, mut call: impl FnMut() -> baler_codec::Result<T>) -> Result<(f64, T)> {
    let mut seconds = Vec::new();
    loop {
        let start = processor_time();
        let value = call()?;
        seconds.push(processor_time() - start);
        if seconds.len() >= repeat || seconds.iter().sum::<f64>() > PATIENCE_S {
            seconds.sort_by(f64::total_cmp);
            return Ok((seconds[seconds.len() / 2], value));
        }
    }
}

/// Seconds of processor time this process has used, over all its threads.
fn processor_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
