//! A bundle small enough to make in a test, and data for which it beats every classical candidate.
//!
//! Walsh functions of 64 points take the values 1 and -1 and are orthogonal: `w_k(i) = (-1)^popcount(k & i)`. A tile is
//! a weighted sum of three of them that look like noise, so that nothing but a model can tell 64 values from 3.

use baler_codec::bundle::{Bundle, Normalisation};
use baler_models::import::{Options, import};
use baler_models::onnx::{Layer, Weights, write};

/// Extent of a tile along both axes.
pub const TILE: usize = 8;
const TILE_VALUES: usize = TILE * TILE;
/// The three functions.
const INDICES: [usize; 3] = [0b010_101, 0b101_110, 0b111_011];

fn walsh(k: usize, i: usize) -> f32 {
    if (k & i).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// The three functions, value by value.
pub fn functions() -> [[f32; TILE_VALUES]; 3] {
    INDICES.map(|k| std::array::from_fn(|i| walsh(k, i)))
}

/// The bundle; another `name` gives another hash.
pub fn bundle(name: &str) -> Bundle {
    let (inputs, outputs) = (TILE_VALUES, INDICES.len());
    let weight = |n_rows: usize, n_columns: usize, value: &dyn Fn(usize, usize) -> f32| {
        Weights::F32((0..n_rows * n_columns).map(|i| value(i / n_columns, i % n_columns)).collect())
    };
    let encoder = Layer::Dense {
        inputs,
        outputs,
        weight: weight(outputs, inputs, &|k, i| walsh(INDICES[k], i) / TILE_VALUES as f32),
        bias: None,
    };
    let decoder = Layer::Dense {
        inputs: outputs,
        outputs: inputs,
        weight: weight(inputs, outputs, &|i, k| walsh(INDICES[k], i)),
        bias: None,
    };
    let encoder = write("walsh encoder", &[inputs], &[outputs], &[encoder]).expect("the encoder is sound");
    let decoder = write("walsh decoder", &[outputs], &[inputs], &[decoder]).expect("the decoder is sound");
    let mut options = Options::new(name);
    options.description = "Three Walsh functions, for tests.".into();
    options.license = "CC0-1.0".into();
    options.normalisation = Normalisation::Fixed { offset: 0.0, scale: 1.0 };
    options.tile = Some(vec![TILE, TILE]);
    import(Some(&encoder), &decoder, &options).expect("the pair is sound").bundle
}

/// `n` tiles of [`TILE`] x [`TILE`], the same each time.
pub fn tiles(n: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = || {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut values = Vec::with_capacity(n * TILE_VALUES);
    for _ in 0..n {
        let weights = INDICES.map(|_| uniform());
        values.extend((0..TILE_VALUES).map(|i| {
            let exact: f32 = INDICES.iter().zip(weights).map(|(&k, weight)| weight * walsh(k, i)).sum();
            exact + 1e-5 * uniform()
        }));
    }
    values
}
