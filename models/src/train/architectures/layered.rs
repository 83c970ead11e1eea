//! A model of two lists of layers.

use super::layers::{Block, Chain};
use super::{Build, Exported, Model, Pass};
use crate::simulate::Random;
use crate::train::parameters::Parameters;
use crate::train::rounding::Rounding;
use baler_codec::{Error, Result};
use burn::tensor::Tensor;

/// Encoder and decoder as lists of layers. Both begin and end with rows of values: reshaping is part of the lists.
pub(super) struct Layered {
    parameters: Parameters,
    encoder: Chain,
    decoder: Chain,
    n_values: usize,
}

impl Layered {
    /// With random weights.
    pub fn boxed(
        from: &Build<'_>,
        random: &mut Random,
        encoder: &[Block],
        decoder: &[Block],
    ) -> Result<Box<dyn Model>> {
        let (d, k) = (from.tiles.len(), from.options.latents);
        let has_none = |block: &Block| matches!(block, Block::BatchNorm | Block::Gdn { .. });
        if from.options.quantise_aware.is_some() && encoder.iter().any(has_none) {
            return Err(Error::invalid(format!(
                "quantise_aware: the encoder of architecture {:?} has normalisations, which fixed-point programs have not; \
                 take one of dense layers, convolutions and activations",
                from.options.architecture
            )));
        }
        let mut parameters = Parameters::new(from.device);
        let encoder = Chain::new("encoder", &[d], encoder, &mut parameters, random)?;
        let decoder = Chain::new("decoder", &[k], decoder, &mut parameters, random)?;
        if encoder.output_shape() != [k] || decoder.output_shape() != [d] {
            return Err(Error::invalid(format!(
                "architecture {:?}: {d} values become {:?} latents and {k} latents {:?} values",
                from.options.architecture,
                encoder.output_shape(),
                decoder.output_shape()
            )));
        }
        Ok(Box::new(Self { parameters, encoder, decoder, n_values: d }))
    }
}

impl Model for Layered {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn encode(&self, x: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        // The encoder is stored finely: it runs only where data are written.
        let rounding = pass.rounding.take();
        let z = self.encoder.forward(x, &self.parameters, pass);
        pass.rounding = rounding;
        z
    }

    fn decode(&self, z: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        self.decoder.forward(z, &self.parameters, pass)
    }

    fn export(&self, rounding: Rounding, _: &mut dyn Iterator<Item = Tensor<2>>) -> Result<Exported> {
        Ok(Exported {
            encoder: self.encoder.export(&self.parameters, rounding.bits.max(16), rounding.fixed_bits)?,
            encoder_input: vec![self.n_values],
            decoder: self.decoder.export(&self.parameters, rounding.bits, None)?,
            decoder_output: self.decoder.output_shape().to_vec(),
            decoder_weights: self.decoder.n_weights(&self.parameters),
        })
    }
}
