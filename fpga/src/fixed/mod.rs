//! `ap_fixed` arithmetic: what a fixed-point datapath made by high-level synthesis computes, bit for bit.
//!
//! A value is an integer `raw` and a [`Format`] with `F` fraction bits; it stands for `raw * 2^-F`. Sums and products
//! are exact and have wider formats of their own; bits are lost in one place only, [`Fixed::cast`], by the [`Rounding`]
//! and [`Overflow`] of the format cast to.
//!
//! ```
//! use baler_fpga::fixed::{Fixed, Format};
//!
//! let weight: Format = "ap_fixed<8,2>".parse()?;
//! let narrow: Format = "ap_fixed<6,3,AP_RND,AP_SAT>".parse()?;
//! let product = Fixed::from_f64(1.25, weight)?.mul(Fixed::from_f64(-0.75, weight)?)?;
//! assert_eq!(product.format().to_string(), "ap_fixed<16,4,AP_TRN,AP_WRAP,0>");
//! assert_eq!(product.to_f64(), -0.9375);
//! assert_eq!(product.cast(narrow).to_f64(), -0.875);
//! # Ok::<(), baler_codec::Error>(())
//! ```
//!
//! # Source
//! The types and modes are those of the AMD Vitis HLS reference (UG1399, "Arbitrary Precision Fixed-Point Data Types"),
//! which follows `sc_fixed` of IEEE 1666. Every cast is tested against hls4ml's C simulation.
//!
//! # Not here
//! The parameter `N`, the number of saturated bits, changes nothing under the saturating modes; under the wrapping ones
//! only `N = 0` is supported. `AP_WRAP_SM` exists for signed formats only, as its rule is about the sign bit.

mod cast;
mod digits;
mod format;
mod overflow;
mod rounding;
mod value;

pub use digits::signed_digits;
pub use format::{Format, MAX_INTEGER_BITS, MAX_WIDTH};
pub use overflow::Overflow;
pub use rounding::Rounding;
pub use value::Fixed;
