//! Networks from ONNX files.

mod attributes;
mod constant;
mod convolution;
mod import;
mod nodes;
mod proto;
mod steps;

pub use import::import;
