//! Fixed-point hardware path of Baler encoders.
//!
//! | module | what |
//! |---|---|
//! | [`fixed`] | `ap_fixed` arithmetic on integers: formats, casts, exact sums and products |
//! | [`ir`] | a program: what an encoder computes, layer by layer, with a plain interpreter that defines it |
//! | [`hls`] | HLS C++ of a program |
//! | [`import`] | an ONNX encoder as a chain of layers in floating point |
//! | [`quantise`] | formats for every tensor of such a chain: a program |
//! | [`emulate`] | programs on a processor, many rows at once, with the same bits |
//! | [`report`] | what a program costs, from the program alone |
//! | [`hls4ml`] | hls4ml's own rules for weights and tables |
//! | [`rtl`] | Verilog of a program, its simulation and synthesis |
//! | [`samples`] | programs to try generators of hardware with |
//! | [`vectors`] | what hls4ml computed, beside what a program computes |
//! | [`device`] | devices that run programs: drivers, the queue in front of them |
//! | [`offload`] | running encoders on a device that is not trusted: self-test, comparison, redoing, quarantine |
//!
//! **Architecture invariant:** no result of a program is computed in floating point. A value on the hardware path is an
//! integer with a [`fixed::Format`]; floating point is met only where numbers enter ([`fixed::Fixed::from_f64`]) and
//! where people read them ([`fixed::Fixed::to_f64`]).

#![deny(unsafe_code)] // but for vector instructions and drivers of devices

pub mod device;
pub mod emulate;
pub mod fixed;
pub mod hls;
pub mod hls4ml;
pub mod import;
pub mod ir;
pub mod offload;
mod per_process;
pub mod quantise;
pub mod report;
pub mod rtl;
pub mod samples;
mod software;
pub mod vectors;
