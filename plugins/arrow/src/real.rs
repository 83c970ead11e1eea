//! The three floating-point types of Arrow, seen alike.

use crate::document::Float;
use arrow_array::ArrowPrimitiveType;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_schema::DataType;

/// A floating-point type.
pub(crate) trait Real: ArrowPrimitiveType {
    /// Exact.
    fn to_f64(v: Self::Native) -> f64;
    /// Of a value of the type, exact.
    fn from_f64(v: f64) -> Self::Native;
    fn to_bits(v: Self::Native) -> u64;
    /// The low bits count.
    fn from_bits(bits: u64) -> Self::Native;
}

impl Real for Float16Type {
    fn to_f64(v: half::f16) -> f64 {
        v.to_f64()
    }

    fn from_f64(v: f64) -> half::f16 {
        half::f16::from_f64(v)
    }

    fn to_bits(v: half::f16) -> u64 {
        u64::from(v.to_bits())
    }

    fn from_bits(bits: u64) -> half::f16 {
        half::f16::from_bits(bits as u16)
    }
}

impl Real for Float32Type {
    fn to_f64(v: f32) -> f64 {
        f64::from(v)
    }

    fn from_f64(v: f64) -> f32 {
        v as f32
    }

    fn to_bits(v: f32) -> u64 {
        u64::from(v.to_bits())
    }

    fn from_bits(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }
}

impl Real for Float64Type {
    fn to_f64(v: f64) -> f64 {
        v
    }

    fn from_f64(v: f64) -> f64 {
        v
    }

    fn to_bits(v: f64) -> u64 {
        v.to_bits()
    }

    fn from_bits(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
}

/// Our name of an Arrow type, if it is a floating-point one.
pub(crate) fn float_of(kind: &DataType) -> Option<Float> {
    match kind {
        DataType::Float16 => Some(Float::Float16),
        DataType::Float32 => Some(Float::Float32),
        DataType::Float64 => Some(Float::Float64),
        _ => None,
    }
}

/// Arrow's name of ours.
pub(crate) fn arrow_type(float: Float) -> DataType {
    match float {
        Float::Float16 => DataType::Float16,
        Float::Float32 => DataType::Float32,
        Float::Float64 => DataType::Float64,
    }
}

/// Runs `$body` with `$T` as the Arrow type of a [`Float`].
macro_rules! with_real {
    ($float:expr, $T:ident => $body:expr) => {
        match $float {
            $crate::document::Float::Float16 => {
                type $T = arrow_array::types::Float16Type;
                $body
            }
            $crate::document::Float::Float32 => {
                type $T = arrow_array::types::Float32Type;
                $body
            }
            $crate::document::Float::Float64 => {
                type $T = arrow_array::types::Float64Type;
                $body
            }
        }
    };
}
pub(crate) use with_real;
