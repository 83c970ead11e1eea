//! Fixed-point hardware path of Baler encoders.
//!
//! | module | what |
//! |---|---|
//! | [`fixed`] | `ap_fixed` arithmetic on integers: formats, casts, exact sums and products |
//! | [`ir`] | a program: what an encoder computes, layer by layer, with a plain interpreter that defines it |
//! | [`hls`] | HLS C++ of a program |
//! | [`hls4ml`] | hls4ml's own rules for weights and tables |
//! | [`rtl`] | Verilog of a program, its simulation and synthesis |
//! | [`samples`] | programs to try generators of hardware with |
//! | [`vectors`] | what hls4ml computed, beside what a program computes |
//!
//! **Architecture invariant:** nothing here computes a result in floating point. A value on the hardware path is an
//! integer with a [`fixed::Format`]; floating point is met only where numbers enter ([`fixed::Fixed::from_f64`]) and
//! where people read them ([`fixed::Fixed::to_f64`]).

#![forbid(unsafe_code)]

pub mod fixed;
pub mod hls;
pub mod hls4ml;
pub mod ir;
pub mod rtl;
pub mod samples;
pub mod vectors;
