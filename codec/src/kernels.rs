//! Single kernels, for `benches/kernels.rs` and nothing else. Each is run once and its result compared before it is handed out.

use crate::bound::Promise;
use crate::element::Elements;
use crate::entropy::{self, Beside, Hints, context::Lattice};
use crate::params::{Bound, Candidates, Dtype, Effort, Params};
use crate::predict::interpolate::{Plan, Points, Visit, walk};
use crate::predict::{fitted, floating, lorenzo};
use crate::quantize::quantise;
use crate::special::Specials;
use crate::{Limits, Registry, decode, encode};
use std::hint::black_box;

/// Planes, rows, columns of the field that kernels are run on.
const EXTENTS: [usize; 3] = [4, 256, 256];
const STEP: f64 = 2e-3;

/// Something that can be run any number of times.
pub struct Kernel {
    /// `family/direction`.
    pub name: String,
    /// Bytes of values it goes through, 4 for each.
    pub n_bytes: usize,
    /// Runs it.
    pub run: Box<dyn FnMut()>,
}

fn kernel(name: &str, n_bytes: usize, run: impl FnMut() + 'static) -> Kernel {
    Kernel { name: name.to_owned(), n_bytes, run: Box::new(run) }
}

/// Waves and a little noise.
fn field() -> Vec<f32> {
    let mut state = 1u64;
    let [_, rows, columns] = EXTENTS;
    (0..EXTENTS.iter().product())
        .map(|i| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (x, y, z) = ((i % columns) as f32, (i / columns % rows) as f32, (i / (rows * columns)) as f32);
            (x / 60.0).sin() * (y / 50.0 + z / 9.0).cos() + (state >> 40) as f32 / (1 << 24) as f32 * 0.01
        })
        .collect()
}

/// Every kernel.
pub fn all() -> Vec<Kernel> {
    let values = field();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut kernels = quantising(&bytes);
    let q: Vec<i32> = values.iter().map(|v| (f64::from(*v) / STEP).round() as i32).collect();
    kernels.extend(predicting(&values, &q));
    kernels.extend(coding(&q));
    let abs = Bound::Abs(STEP / 2.0);
    for (name, bound) in
        [("quantised", abs), ("interpolated", abs), ("wavelet", abs), ("fitted", abs), ("floating", Bound::Lossless)]
    {
        kernels.extend(candidate(name, Params::new(Dtype::F32, &EXTENTS, bound), &bytes));
    }
    let mut table = Params::new(Dtype::F32, &[EXTENTS.iter().product::<usize>() / 8, 8], abs);
    table.per_column = true;
    kernels.extend(candidate("related", table, &bytes));
    kernels
}

fn quantising(bytes: &[u8]) -> Vec<Kernel> {
    let (n, bytes) = (bytes.len(), bytes.to_vec());
    let quantised = quantise(Elements::new(Dtype::F32, &bytes), &Specials::default(), Promise::Abs(STEP / 2.0));
    let mut out = vec![0; n];
    quantised.quantiser.decode_all(Dtype::F32, &quantised.q, &mut out);
    let as_f32 = |bytes: &[u8]| -> Vec<f32> { bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
    let far = as_f32(&bytes).iter().zip(as_f32(&out)).filter(|(a, b)| f64::from((**a - b).abs()) > STEP).count();
    assert_eq!(far, 0);
    vec![
        kernel("quantise", n, move || {
            let elements = Elements::new(Dtype::F32, &bytes);
            black_box(quantise(elements, &Specials::default(), Promise::Abs(STEP / 2.0)));
        }),
        kernel("dequantise", n, move || {
            quantised.quantiser.decode_all(Dtype::F32, &quantised.q, &mut out);
            black_box(&out);
        }),
    ]
}

struct Quantise<'a> {
    originals: &'a [f64],
}

impl Visit for Quantise<'_> {
    #[inline(always)]
    fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], _level: usize) {
        for (k, (value, prediction)) in values.iter_mut().zip(predictions).enumerate() {
            *value = prediction + ((self.originals[points.place(k)] - prediction) / STEP).round_ties_even() * STEP;
        }
    }
}

fn predicting(values: &[f32], q: &[i32]) -> Vec<Kernel> {
    let n_bytes = 4 * q.len();
    let mut differences = q.to_vec();
    lorenzo::forward(&mut differences, &EXTENTS, &[1; 3]);
    let mut back = differences.clone();
    lorenzo::inverse(&mut back, &EXTENTS, &[1; 3]);
    assert!(back == q);
    let extents = [1, EXTENTS[0], EXTENTS[1], EXTENTS[2]];
    let plan = Plan { extents, first_axis: 2, fastest_first: true, step_codes: vec![0; Plan::n_levels(&extents, 2)] };
    let weights = fitted::fit(q, &extents, 1 << 14, |_| true);
    let floating = floating::Plan { extents: EXTENTS.to_vec(), orders: vec![1; 3], shift: 0 };
    let mut words: Vec<i32> = values.iter().map(|v| v.to_bits() as i32).collect();
    let mut residual = floating.residual::<f32>(&mut words, |_| false);
    let mut back = residual.clone();
    floating.undo::<f32>(&mut back, |_| false);
    assert!(back == words);
    let undone = floating.clone();
    let originals: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let (mut forward, mut inverse, mut walked, mut scanned) = (q.to_vec(), q.to_vec(), originals.clone(), q.to_vec());
    let (known, weights_known) = (q.to_vec(), weights.clone());
    vec![
        // Again and again on what the last run left: the time does not depend on the values.
        kernel("lorenzo/forward", n_bytes, move || lorenzo::forward(black_box(&mut forward), &EXTENTS, &[1; 3])),
        kernel("lorenzo/inverse", n_bytes, move || lorenzo::inverse(black_box(&mut inverse), &EXTENTS, &[1; 3])),
        kernel("interpolation/walk", n_bytes, move || {
            walk(&plan, &mut walked, 0.0, Quantise { originals: &originals });
            black_box(&walked);
        }),
        kernel("floating/scan", n_bytes, move || {
            black_box(floating.residual::<f32>(black_box(&mut words), |_| false));
        }),
        kernel("floating/undo", n_bytes, move || undone.undo::<f32>(black_box(&mut residual), |_| false)),
        kernel("fitted/scan", n_bytes, move || {
            let result = fitted::scan::<_, ()>(&mut scanned, &extents, &weights, |_, value, prediction| {
                Ok(value.max((prediction as i32).min(value)))
            });
            black_box((&scanned, result.is_ok()));
        }),
        kernel("fitted/residual", n_bytes, move || {
            black_box(fitted::residual(black_box(&known), &extents, &weights_known));
        }),
    ]
}

fn coding(q: &[i32]) -> Vec<Kernel> {
    let mut residual = q.to_vec();
    lorenzo::forward(&mut residual, &EXTENTS, &[1; 3]);
    let n_bytes = 4 * q.len();
    let lattice = Lattice { extents: &EXTENTS, classes: &[] };
    let hints = Hints { effort: Effort::Default, is_residual: true, lattice, beside: Beside::Nothing };
    [entropy::PCO, entropy::NARROW, entropy::CONTEXT, entropy::MIXED, entropy::RANS, entropy::SPARSE]
        .into_iter()
        .flat_map(|coder| {
            let (n, values) = (residual.len(), residual.clone());
            let payload = entropy::smallest(&values, hints, &[coder]);
            let name = entropy::name(coder);
            assert!(entropy::decode::<i32>(&payload, n, lattice).is_ok_and(|back| back == values), "{name}");
            [
                kernel(&format!("{name}/encode"), n_bytes, move || {
                    black_box(entropy::smallest(&values, hints, &[coder]));
                }),
                kernel(&format!("{name}/decode"), n_bytes, move || {
                    black_box(entropy::decode::<i32>(&payload, n, lattice).is_ok());
                }),
            ]
        })
        .collect()
}

/// A whole chunk by one candidate.
fn candidate(name: &str, mut params: Params, bytes: &[u8]) -> Vec<Kernel> {
    // A name from the table above, and values that suit every candidate.
    params.candidates = Candidates::only(name).unwrap_or_default();
    let (bytes, registry, limits) = (bytes.to_vec(), Registry::new(), Limits::default());
    let chunk = encode(&params, &bytes, &registry).unwrap_or_default();
    let back = decode(&chunk, &registry, &limits).map(|d| d.values).unwrap_or_default();
    assert!(crate::check(&params, &bytes, &back).is_ok_and(|found| found.is_kept()), "{name}");
    let n = bytes.len();
    vec![
        kernel(&format!("candidate {name}/encode"), n, move || {
            black_box(encode(&params, &bytes, &Registry::new()).is_ok());
        }),
        kernel(&format!("candidate {name}/decode"), n, move || {
            black_box(decode(&chunk, &registry, &limits).is_ok());
        }),
    ]
}
