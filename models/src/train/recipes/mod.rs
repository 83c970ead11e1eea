//! How the built-in bundles are made: options and data of each, so that anybody can make them again. One file for each,
//! and one line in [`recipes`].

mod ccsm_temperature;
mod cfd_animation;
mod detector;
mod field2d;
mod field3d;
mod fpga;
mod moessbauer;

use super::Options;
use baler_codec::Result;

/// An array of 32-bit floats in C order, and its shape.
pub type Array = (Vec<f32>, Vec<usize>);

/// Where a recipe's data come from.
#[derive(Clone, Copy, Debug)]
pub enum Data {
    /// A file that the caller has to supply: its usual name.
    File(&'static str),
    /// Made on the spot.
    Simulated(fn() -> Result<Array>),
}

/// How one built-in bundle is made.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What it is trained on.
    pub data: Data,
    /// The part of a file's rows (extent of the first axis) trained on, the first ones; the rest is held out. 1: all.
    pub part: f64,
    /// How; [`Options::name`] is the bundle's name.
    pub options: Options,
}

/// All recipes.
pub fn recipes() -> Vec<Recipe> {
    vec![
        ccsm_temperature::recipe(),
        cfd_animation::recipe(),
        detector::recipe(),
        field2d::recipe(),
        field3d::recipe(),
        fpga::prototype(),
        fpga::tiny(),
        fpga::tiny_int8(),
        fpga::medium(),
        fpga::trigger_cells(),
        moessbauer::recipe(),
    ]
}

/// The recipe of this bundle.
pub fn recipe(name: &str) -> Option<Recipe> {
    recipes().into_iter().find(|recipe| recipe.options.name == name)
}

/// Scales each field to 0..1, as a chunk of its own would be, and puts them one after the other.
fn scaled_to_one(fields: Vec<Vec<f32>>) -> Vec<f32> {
    let mut data = Vec::with_capacity(fields.iter().map(Vec::len).sum());
    for field in fields {
        let (min, max) = field.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        data.extend(field.iter().map(|v| (v - min) / (max - min)));
    }
    data
}
