//! Autoregressive bundles small enough to make in a test.

use baler_codec::Bundle;
use baler_codec::autoregressive::N_INPUTS;
use baler_models::onnx::{Activation, Layer, Weights, write};

/// Two hidden layers, the weights made up: it predicts badly.
pub fn bundle(name: &str) -> Bundle {
    let mut state = 1u32;
    let mut numbers = |n: usize, scale: f32| -> Vec<f32> {
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as f32 / 32768.0 - 1.0) * scale
            })
            .collect()
    };
    let mut layers = Vec::new();
    for (inputs, outputs) in [(N_INPUTS, 20), (20, 7), (7, 2)] {
        if !layers.is_empty() {
            layers.push(Layer::Activation(Activation::Relu));
        }
        let weight = numbers(inputs * outputs, 0.4);
        layers.push(Layer::Dense {
            inputs,
            outputs,
            weight: Weights::quantise(&weight, &[outputs, inputs], Some(0), 8).expect("finite weights"),
            bias: Some(Weights::F32(numbers(outputs, 0.5))),
        });
    }
    packed(name, &layers)
}

/// Leaves the linear prediction as it is, and expects to be off by half of how much the values around differ. Enough to win on
/// [`field`].
pub fn steady(name: &str) -> Bundle {
    let weight = Weights::F32(vec![0.0; 2 * N_INPUTS]);
    let bias = Some(Weights::F32(vec![0.0, -1.0]));
    packed(name, &[Layer::Dense { inputs: N_INPUTS, outputs: 2, weight, bias }])
}

fn packed(name: &str, layers: &[Layer]) -> Bundle {
    let manifest = format!(
        "format = 4\nname = \"{name}\"\nfamily = \"autoregressive\"\ndescription = \"For tests.\"\nlicense = \"CC0-1.0\"\n"
    );
    let decoder = write("around", &[N_INPUTS], &[2], layers).expect("the network is sound");
    Bundle::new(&manifest, None, decoder, None).expect("the bundle is sound")
}

/// Extents of [`field`].
pub const FIELD: [usize; 3] = [16, 96, 96];

/// Waves, and noise in proportion to them.
pub fn field() -> Vec<f32> {
    let mut state = 1u64;
    (0..FIELD.iter().product())
        .map(|i: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
            let (z, y, x) = ((i / 9216) as f32, (i / 96 % 96) as f32, (i % 96) as f32);
            (0.1 * x + 0.2 * z).sin() * (0.08 * y).cos() * (1.0 + 0.05 * noise)
        })
        .collect()
}
