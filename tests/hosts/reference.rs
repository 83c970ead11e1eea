//! The independent decoder in Python, `tests/reference_decoder.py`: golden chunks, what today's writer writes, networks.

use crate::bench::{Bench, Need, Outcome, success};
use baler_codec::bundle::Family;
use baler_codec::inference::Network;
use baler_codec::{Bound, Dtype, Limits, ModelChoice, Params, Registry, decode, describe, encode};
use baler_tests::random::{self, Rng};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let needs = &[Need::ReferenceDecoder];
    vec![
        bench.trial("reference::golden_chunks", needs, golden),
        bench.trial("reference::random_chunks", needs, random_chunks),
        bench.trial("reference::built_in_models", needs, built_in_models),
        bench.trial("reference::networks", &[Need::ReferenceDecoder, Need::OnnxRuntime], networks),
    ]
}

fn reference(bench: &Bench, folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = bench.python(folder);
    command.arg(bench.root.join("tests/reference_decoder.py")).args(arguments);
    Ok(success(&mut command)?.lines().map(str::to_owned).collect())
}

fn golden(bench: &Bench, folder: &Path) -> Outcome {
    let golden = bench.root.join("tests/golden");
    reference(bench, folder, &["--check", &golden.to_string_lossy()])
}

/// Encodes, decodes and leaves chunk and values for the other decoder; the candidates of the parts.
fn keep(folder: &Path, name: &str, params: &Params, values: &[u8], registry: &Registry) -> Result<Vec<String>, String> {
    let chunk = encode(params, values, registry).map_err(|e| format!("{name}: {e}"))?;
    let back = decode(&chunk, registry, &Limits::default()).map_err(|e| format!("{name}: {e}"))?;
    for (extension, bytes) in [("chunk", &chunk), ("values", &back.values)] {
        std::fs::write(folder.join(format!("{name}.{extension}")), bytes).map_err(|e| e.to_string())?;
    }
    let description = describe(&chunk).map_err(|e| format!("{name}: {e}"))?;
    Ok(description.parts.iter().map(|part| part.candidate.to_owned()).collect())
}

/// Small chunks of today's writer, whatever it chooses.
fn random_chunks(bench: &Bench, folder: &Path) -> Outcome {
    let n_cases = std::env::var("BALER_REFERENCE_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(300);
    let mut candidates = BTreeMap::<String, usize>::new();
    for seed in 0..n_cases {
        let random::Case { params, original, .. } = random::case(seed);
        if original.len() > 20_000 {
            continue;
        }
        for candidate in keep(folder, &format!("case{seed}"), &params, &original, &Registry::new())? {
            *candidates.entry(candidate).or_default() += 1;
        }
    }
    let mut notes = reference(bench, folder, &["--check", "."])?;
    notes.push(format!("parts: {candidates:?}"));
    Ok(notes)
}

/// Every network that comes with Baler, with noise for latents: arrays of the bundle's tiles, the last ones cut.
fn built_in_models(bench: &Bench, folder: &Path) -> Outcome {
    let zoo = baler_models::builtin();
    let bundles = zoo.list();
    let mut registry = Registry::with_sources([zoo]);
    registry.set_fixed_engine(baler_fpga::offload::host());
    let mut rng = Rng(1);
    let mut n_models = 0;
    for bundle in bundles.iter().filter(|bundle| bundle.manifest().family == Family::Autoencoder) {
        let mut shape = vec![3];
        shape.extend(&bundle.manifest().input.tile);
        let n: usize = shape.iter().product();
        let values: Vec<u8> = (0..n).flat_map(|_| (100.0 * rng.unit() as f32).to_le_bytes()).collect();
        let mut params = Params::new(Dtype::F32, &shape, Bound::Latent);
        params.model = ModelChoice::Bundle(bundle.id());
        params.embed = true;
        let found = keep(folder, &bundle.manifest().name, &params, &values, &registry)?;
        n_models += usize::from(found.iter().any(|candidate| candidate == "autoencoder"));
    }
    if n_models == 0 {
        return Err("no model was used".into());
    }
    let mut notes = reference(bench, folder, &["--check", "."])?;
    notes.push(format!("{n_models} models"));
    Ok(notes)
}

/// Small networks of every operator: the same bits from both engines.
fn networks(bench: &Bench, folder: &Path) -> Outcome {
    let cases = bench.root.join("codec/tests/inference_cases.py");
    success(bench.python(folder).arg(cases).arg("."))?;
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let what = |e: baler_codec::Error| format!("{}: {e}", path.display());
        let network = Network::from_onnx(&read(&path)?).map_err(what)?;
        let input = read(&path.with_extension("input"))?;
        let input: Vec<f32> = input.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let rows = input.len() / network.input_len();
        let mut output = vec![0.0f32; rows * network.output_len()];
        network.run(rows, &input, &mut output).map_err(what)?;
        let output: Vec<u8> = output.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(path.with_extension("exact"), output).map_err(|e| e.to_string())?;
    }
    reference(bench, folder, &["--networks", "."])
}
