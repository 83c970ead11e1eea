//! Prints what a chunk of a raw little-endian file takes: `sizes FILE DTYPE SHAPE BOUND [columns]`, for example
//! `cargo run --release -p baler-codec --example sizes -- field.f32 float32 64x128 rel=1e-3`.

use baler_codec::{Bound, Dtype, Limits, Params, Registry, check, decode, describe, encode};
use std::collections::BTreeMap;

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
        let start = cpu_seconds();
        let chunk = encode(&params, &values, &Registry::new())?;
        let encoded = cpu_seconds() - start;
        let start = cpu_seconds();
        let back = decode(&chunk, &Registry::new(), &Limits::default())?;
        let decoded = cpu_seconds() - start;
        let found = check(&params, &values, &back.values)?;
        let mut candidates: BTreeMap<String, usize> = BTreeMap::new();
        for part in describe(&chunk)?.parts {
            *candidates.entry(format!("{} {}", part.candidate, part.detail).trim().to_owned()).or_default() += 1;
        }
        println!(
            "{bound}: {} bytes, ratio {:.3}, error/bound {:.4}, broken {}, encode {:.0} MB/s, decode {:.0} MB/s, {candidates:?}",
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

/// Processor seconds this process has used; other programs do not count.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|t| t.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |n| n / 1e9)
}
