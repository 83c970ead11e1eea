//! Data that anybody can make again: a small flow solver, random fields with the spectra of nature, camera frames with
//! known spots, tables with exact relations, cells of a calorimeter.
//!
//! Training data, demonstrations and tests use these where no measured data may be assumed. Everything follows from the
//! arguments: the same call gives the same bits on one machine (other machines differ at most in rounding).

mod cells;
mod events;
mod flow;
mod jets;
mod moessbauer;
mod random;

pub use cells::{CELLS, cells, telescope};
pub use events::{EVENT_COLUMNS, Events};
pub use flow::{Cylinder, Quantity, cylinder};
pub use jets::{JET_COLUMNS, jets};
pub use moessbauer::{Camera, Exposure, SPOT_COLUMNS, Spot, moessbauer};
pub use random::{Random, power_law, power_law_3d};
