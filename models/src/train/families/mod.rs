//! One file for each model family, named as in the codec.

pub(super) mod autoencoder;
pub(super) mod autoregressive;
