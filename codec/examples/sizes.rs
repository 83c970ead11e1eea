//! Prints what a chunk of a raw little-endian file takes, and its speeds by the clock, the best of a few runs:
//! `sizes FILE DTYPE SHAPE BOUND [columns]`, for example
//! `cargo run --release -p baler-codec --example sizes -- field.f32 float32 64x128 rel=1e-3`.

use baler_codec::{Bound, Dtype, Limits, Params, Registry, check, decode, describe, encode};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, dtype, shape, bounds, rest @ ..] = &args[..] else {
        return Err("usage: sizes FILE DTYPE SHAPE BOUND[,BOUND...] [columns]".into());
    };
    let dtype = Dtype::ALL.into_iter().find(|d| d.name() == dtype).ok_or("unknown dtype")?;
    let shape = shape.split('x').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let values = std::fs::read(file)?;
    for bound in bounds.split(',') {
        let (kind, value) = bound.split_once('=').unwrap_or((bound, "0"));
        let value: f64 = value.parse()?;
        let bound = match kind {
            "lossless" => Bound::Lossless,
            "abs" => Bound::Abs(value),
            "rel" => Bound::Rel(value),
            "pw_rel" => Bound::PwRel(value),
            "psnr" => Bound::Psnr(value),
            _ => return Err("unknown bound".into()),
        };
        let mut params = Params::new(dtype, &shape, bound);
        params.per_column = rest.iter().any(|a| a == "columns");
        let (encoded, chunk) = fastest(|| encode(&params, &values, &Registry::new()))?;
        let (decoded, back) = fastest(|| decode(&chunk, &Registry::new(), &Limits::default()))?;
        let found = check(&params, &values, &back.values)?;
        let mut candidates: BTreeMap<String, usize> = BTreeMap::new();
        for part in describe(&chunk)?.parts {
            *candidates.entry(format!("{} {}", part.candidate, part.detail).trim().to_owned()).or_default() += 1;
        }
        println!(
            "{bound}: {} bytes, ratio {:.3}, error/bound {:.4}, broken {}, encode {:.1} MB/s, decode {:.1} MB/s, {candidates:?}",
            chunk.len(),
            values.len() as f64 / chunk.len() as f64,
            found.max_error_over_bound,
            found.n_broken,
            values.len() as f64 / 1e6 / encoded,
            values.len() as f64 / 1e6 / decoded,
        );
    }
    Ok(())
}

/// What this gives, and the seconds it takes at least, of some runs.
fn fastest<T>(run: impl Fn() -> baler_codec::Result<T>) -> baler_codec::Result<(f64, T)> {
    const ENOUGH: Duration = Duration::from_millis(400);
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    loop {
        let start = Instant::now();
        let found = run()?;
        least = least.min(start.elapsed().as_secs_f64());
        if begin.elapsed() > ENOUGH {
            return Ok((least, found));
        }
    }
}
