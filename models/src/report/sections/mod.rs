//! The sections of the page: one file for each, one line each here, in the order of the page.

mod distributions;
mod energy;
mod frames;
mod rate;
mod summary;
mod training;
mod variables;

use super::Report;
use super::page::Section;

/// Makes a section, or leaves it out where it does not apply.
type Make = fn(&Report) -> Option<Section>;

/// In the order of the page.
pub(super) const SECTIONS: &[Make] = &[
    summary::section,
    frames::section,
    variables::section,
    distributions::section,
    rate::section,
    training::section,
    energy::section,
];
