//! From a network in floating point to a program: formats for every tensor.
//!
//! | file | what |
//! |---|---|
//! | `calibrated.rs` | formats from data: exact sums, rounding and saturation after each layer |
//! | `compat.rs` | hls4ml's types and rules, for the same bits as its C simulation |
//! | `fit.rs` | the format of a given width that suits given values best |
//! | `measure.rs` | a program beside the network it was made from: latents, reconstruction, responses, overflows |
//! | [`metric`] | what a field asks of decoded values |
//! | `search.rs` | the fewest bits within an error budget |

mod calibrated;
mod compat;
mod fit;
mod measure;
pub mod metric;
mod search;

pub use calibrated::{CALIBRATED_ROWS, Widths, calibrated};
pub use compat::{Compat, compat};
pub use measure::{ColumnError, Errors, Measured, Sample, measure};
pub use metric::Metric;
pub use search::{Found, search};
