//! Networks from ONNX files.
//!
//! The file as it is, for importers with other aims than ours: [`Model`] and its parts, [`Constant`], [`Attributes`].

mod attributes;
mod constant;
mod convolution;
mod import;
mod nodes;
mod proto;
mod steps;

pub use attributes::Attributes;
pub use constant::{Constant, Data, element};
pub use import::label;
pub use proto::{Attribute, Dim, Graph, Model, Node, Tensor, ValueInfo};

pub(super) use import::import;
