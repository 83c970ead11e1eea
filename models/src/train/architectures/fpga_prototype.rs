//! Python Baler's `FPGA_prototype_model`: small enough to be unrolled on a device.

use super::Architecture;
use super::ae::mirrored;
use super::layered::Layered;
use crate::onnx::Activation;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "fpga-prototype",
    about: "dense 20-10 and back, ReLU: small enough for a fully parallel encoder on an FPGA",
    build: |from, random| {
        let [encoder, decoder] = mirrored(from.tiles.len(), &[20, 10], from.options.latents, Activation::Relu);
        Layered::boxed(from, random, &encoder, &decoder)
    },
};
