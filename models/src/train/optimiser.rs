//! Adam and AdamW.
//!
//! Our own few lines rather than the framework's, because checkpoints need the state as plain numbers, and because a
//! bundle's hash must not change when the framework reorders an operation.

use super::parameters::{Parameters, to_host};
use super::{Optimizer, Options};
use burn::tensor::{Gradients, Tensor, TensorData};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// The two moments of each trained tensor.
pub(super) struct Adam {
    moments: Vec<Option<[Tensor<1>; 2]>>,
    /// Steps taken.
    time: i32,
    /// Weight decay of AdamW; 0 is Adam.
    decay: f64,
    clip_norm: Option<f64>,
}

impl Adam {
    /// Before the first step of these parameters.
    pub fn new(parameters: &mut Parameters, options: &Options) -> Self {
        let decay = match options.optimizer {
            Optimizer::Adam => 0.0,
            Optimizer::Adamw => options.weight_decay,
        };
        let n = parameters.trained().count();
        Self { moments: vec![None; n], time: 0, decay, clip_norm: options.clip_norm }
    }

    /// One step at a learning rate.
    pub fn step(&mut self, rate: f64, parameters: &mut Parameters, gradients: &Gradients) {
        self.time += 1;
        let mut all: Vec<Option<Tensor<1>>> = parameters.trained().map(|value| value.grad(gradients)).collect();
        if let Some(limit) = self.clip_norm {
            clip(&mut all, limit);
        }
        let correction = (1.0 - BETA_2.powi(self.time)).sqrt();
        let factor = correction / (1.0 - BETA_1.powi(self.time));
        for ((value, gradient), moments) in parameters.trained().zip(all).zip(&mut self.moments) {
            let Some(gradient) = gradient else { continue };
            let first = gradient.clone().mul_scalar(1.0 - BETA_1);
            let second = gradient.square().mul_scalar(1.0 - BETA_2);
            let [first, second] = match moments.take() {
                Some([m, v]) => [m.mul_scalar(BETA_1).add(first), v.mul_scalar(BETA_2).add(second)],
                None => [first, second],
            };
            *moments = Some([first.clone(), second.clone()]);
            let delta = first.mul_scalar(factor).div(second.sqrt().add_scalar(EPSILON * correction));
            let mut old = value.clone().inner();
            if self.decay > 0.0 {
                old = old.mul_scalar(1.0 - rate * self.decay);
            }
            *value = Tensor::from_inner(old - delta.mul_scalar(rate)).require_grad();
        }
    }

    /// The state as plain numbers: steps taken, and the moments of each trained tensor (nothing before its first step).
    pub fn to_host(&self) -> (i32, Vec<Option<[Vec<f32>; 2]>>) {
        let moments = self.moments.iter().cloned().map(|m| m.map(|m| m.map(to_host)));
        (self.time, moments.collect())
    }

    /// Takes back what [`Adam::to_host`] gave.
    pub fn restore(&mut self, parameters: &Parameters, time: i32, moments: Vec<Option<[Vec<f32>; 2]>>) {
        let device = parameters.device().clone().inner();
        let tensor = |values: Vec<f32>| {
            let n = values.len();
            Tensor::from_data(TensorData::new(values, [n]), &device)
        };
        self.time = time;
        self.moments = moments.into_iter().map(|m| m.map(|m| m.map(tensor))).collect();
    }
}

/// Shortens all gradients alike where their common norm is above `limit`.
fn clip(gradients: &mut [Option<Tensor<1>>], limit: f64) {
    let squares: f64 =
        gradients.iter().flatten().map(|g| f64::from(g.clone().square().sum().into_scalar::<f32>())).sum();
    let norm = squares.sqrt();
    if norm > limit {
        for gradient in gradients.iter_mut().flatten() {
            *gradient = gradient.clone().mul_scalar((limit / norm) as f32);
        }
    }
}
