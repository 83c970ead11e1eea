//! A model's numbers, in one list that optimiser, checkpoints and export go through.

use burn::tensor::{Device, Tensor, TensorData};

/// One tensor of a model, kept flat.
#[derive(Clone, Debug)]
struct Parameter {
    shape: Vec<usize>,
    value: Tensor<1>,
    /// Stepped by the optimiser; the others are running statistics.
    is_trained: bool,
    /// Counts in the penalty on weights; biases do not.
    is_weight: bool,
}

/// All tensors of a model.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    list: Vec<Parameter>,
    device: Device,
}

/// Which tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index(usize);

impl Parameters {
    /// None yet.
    pub fn new(device: &Device) -> Self {
        Self { list: Vec::new(), device: device.clone() }
    }

    /// Adds weights (two axes or more) or a bias.
    pub fn add(&mut self, values: Vec<f32>, shape: &[usize]) -> Index {
        self.push(values, shape, true)
    }

    /// Adds running statistics, which the optimiser leaves alone.
    pub fn add_statistics(&mut self, values: Vec<f32>) -> Index {
        let shape = [values.len()];
        self.push(values, &shape, false)
    }

    fn push(&mut self, values: Vec<f32>, shape: &[usize], is_trained: bool) -> Index {
        let value = self.tensor(values, is_trained);
        let is_weight = shape.iter().filter(|&&n| n > 1).count() > 1;
        self.list.push(Parameter { shape: shape.to_vec(), value, is_trained, is_weight });
        Index(self.list.len() - 1)
    }

    fn tensor(&self, values: Vec<f32>, is_trained: bool) -> Tensor<1> {
        let n = values.len();
        let value = Tensor::from_data(TensorData::new(values, [n]), &self.device);
        if is_trained { value.require_grad() } else { value }
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One tensor, in its shape, which has `D` axes.
    pub fn get<const D: usize>(&self, index: Index) -> Tensor<D> {
        let parameter = &self.list[index.0];
        let shape: [usize; D] = std::array::from_fn(|axis| parameter.shape[axis]);
        parameter.value.clone().reshape(shape)
    }

    /// Extents of one tensor.
    pub fn shape(&self, index: Index) -> &[usize] {
        &self.list[index.0].shape
    }

    /// Values of one tensor.
    pub fn values(&self, index: Index) -> Vec<f32> {
        to_host(self.list[index.0].value.clone())
    }

    /// Replaces running statistics.
    pub fn set_statistics(&mut self, index: Index, value: Tensor<1>) {
        self.list[index.0].value = Tensor::from_inner(value.inner());
    }

    /// Tensors that count in the penalty on weights.
    pub fn weights(&self) -> impl Iterator<Item = Tensor<1>> {
        self.list.iter().filter(|p| p.is_trained && p.is_weight).map(|p| p.value.clone())
    }

    /// Tensors that the optimiser steps.
    pub fn trained(&mut self) -> impl Iterator<Item = &mut Tensor<1>> {
        self.list.iter_mut().filter(|p| p.is_trained).map(|p| &mut p.value)
    }

    /// Every tensor's values, one after the other.
    pub fn to_host(&self) -> Vec<f32> {
        self.list.iter().flat_map(|p| to_host(p.value.clone())).collect()
    }

    /// Number of values of all tensors.
    pub fn len(&self) -> usize {
        self.list.iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Takes back what [`Parameters::to_host`] gave for a model of the same shapes.
    pub fn restore(&mut self, values: &[f32]) {
        let mut rest = values;
        for i in 0..self.list.len() {
            let (own, others) = rest.split_at(self.list[i].shape.iter().product());
            self.list[i].value = self.tensor(own.to_vec(), self.list[i].is_trained);
            rest = others;
        }
    }
}

/// Values of a tensor.
pub(super) fn to_host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().expect("all tensors hold 32-bit floats")
}

/// A tensor [rows, ...] of values.
pub(super) fn rows(values: Vec<f32>, row_len: usize, device: &Device) -> Tensor<2> {
    let n = values.len() / row_len;
    Tensor::from_data(TensorData::new(values, [n, row_len]), device)
}
