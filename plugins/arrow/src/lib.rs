//! Error-bounded columns in Arrow and Parquet: rows of integers that stand for values.
//!
//! An encoded column is an ordinary integer column: each row has a code, and a small [`Document`] says what the codes stand
//! for. Rows can be filtered, sorted, merged, rewritten by any program; statistics of codes prune; other columns are not
//! touched. `FORMAT.md` specifies it.
//!
//! ```
//! use arrow_array::{ArrayRef, Float32Array, RecordBatch};
//! use baler_arrow::{Decoder, Documents, Encoder, Limit, Options, Ranges, plan};
//! use std::sync::Arc;
//!
//! let pt: ArrayRef = Arc::new(Float32Array::from_iter((0..1000).map(|i| (i % 7 != 0).then_some(i as f32 * 0.37))));
//! let batch = RecordBatch::try_from_iter([("pt", pt)])?;
//!
//! let mut ranges = Ranges::default();
//! ranges.observe(&batch)?;
//! let options = Options { bound: Some(Limit::Abs(0.01)), ..Options::default() };
//! let (document, _left_out) = plan(&batch.schema(), &ranges, &batch, &options)?;
//!
//! let encoder = Encoder::new(Arc::new(document), &batch.schema())?;
//! let codes = encoder.encode(&batch)?.batch;
//! // The document travels in the schema's metadata; where those are lost, it is found by the id in every row.
//! let mut decoder = Decoder::new(&codes.schema(), Documents::new(), &[])?;
//! let back = decoder.decode(&codes)?;
//! assert_eq!(back.schema(), batch.schema());
//! # Ok::<(), baler_arrow::Error>(())
//! ```
//!
//! **Architecture invariant:** quantisation and formulas are `baler_codec`'s; this crate knows arrays, rows and files. Without
//! the feature `parquet` it knows no files either.

mod archive;
mod checked;
mod decode;
mod document;
mod encode;
mod error;
mod exact;
mod extension;
mod find;
mod options;
#[cfg(feature = "parquet")]
pub mod parquet;
mod plan;
mod predicate;
mod real;
mod tree;

pub use archive::{BLOCK_COLUMN, ROW_COLUMN};
pub use checked::Checked;
pub use decode::{Decoder, document_ids};
pub use document::{Code, Column, Document, DocumentId, FOLDER, FORMAT, Float, Limit, Mode, Parameters, Steps};
pub use encode::{Encoded, Encoder, ValueRange};
pub use error::{Error, Result};
pub use extension::{CodeType, EXACT_COLUMN, MODEL_COLUMN, NAME as EXTENSION_NAME, VERSION as EXTENSION_VERSION, key};
pub use find::Documents;
pub use options::{Options, mantissa_bits, parse_limit};
pub use plan::{LeftOut, Ranges, plan};
pub use predicate::Comparison;
