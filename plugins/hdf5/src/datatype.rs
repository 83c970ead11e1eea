//! What element types the filter takes: IEEE floats of 16, 32 and 64 bits and plain integers of 8 to 64 bits, in
//! either byte order. Everything else is refused by name: a filter that guesses returns garbage.

use crate::h5::{Api, Hid};
use baler_codec::{ByteOrder, Dtype, Error, Result};

/// For the end of each refusal.
const SUPPORTED: &str = "supported are IEEE float16, float32, float64 and integers of 8, 16, 32 and 64 bits, \
                         signed or unsigned, in either byte order, using all their bits";

// H5T_class_t
const INTEGER: i32 = 0;
const FLOAT: i32 = 1;

/// Position and size of exponent and mantissa, and the exponent's bias, of the IEEE formats.
const IEEE_FIELDS: [(Dtype, [usize; 6]); 3] = [
    (Dtype::F16, [15, 10, 5, 0, 10, 15]),
    (Dtype::F32, [31, 23, 8, 0, 23, 127]),
    (Dtype::F64, [63, 52, 11, 0, 52, 1023]),
];

/// The element type of `type_id`, or what it is instead.
///
/// # Safety
/// `type_id` must be a datatype of the library that `api` belongs to.
pub(crate) unsafe fn element_of(api: &Api, type_id: Hid) -> Result<(Dtype, ByteOrder)> {
    // SAFETY: type_id is a datatype, as the caller vouches; these calls only ask about it.
    let (class, size_bytes, order) =
        unsafe { ((api.H5Tget_class)(type_id), (api.H5Tget_size)(type_id), (api.H5Tget_order)(type_id)) };
    if class != INTEGER && class != FLOAT {
        return Err(Error::unsupported(format!(
            "the elements are {} of {size_bytes} bytes: {SUPPORTED}{}",
            class_name(class),
            advice(class)
        )));
    }
    let byte_order = match order {
        0 => ByteOrder::Little,
        1 if size_bytes == 1 => ByteOrder::Little,
        1 => ByteOrder::Big,
        _ => return Err(Error::unsupported(format!("the byte order is neither little- nor big-endian: {SUPPORTED}"))),
    };
    // SAFETY: as above; precision and offset are defined for integers and floats.
    let (precision, offset) = unsafe { ((api.H5Tget_precision)(type_id), (api.H5Tget_offset)(type_id)) };
    if size_bytes > 8 || precision != 8 * size_bytes || offset != 0 {
        return Err(Error::unsupported(format!(
            "the elements are {} of {size_bytes} bytes with {precision} significant bits at bit {offset}: {SUPPORTED}",
            class_name(class)
        )));
    }
    let dtype = if class == FLOAT {
        let mut fields = [0usize; 6];
        let [sign, exponent, exponent_bits, mantissa, mantissa_bits, bias] = &mut fields;
        // SAFETY: as above; five writable numbers.
        let (status, norm) = unsafe {
            *bias = (api.H5Tget_ebias)(type_id);
            let status = (api.H5Tget_fields)(type_id, sign, exponent, exponent_bits, mantissa, mantissa_bits);
            (status, (api.H5Tget_norm)(type_id))
        };
        let known = IEEE_FIELDS.iter().find(|(dtype, ieee)| dtype.size_bytes() == size_bytes && *ieee == fields);
        match known {
            // 0 is H5T_NORM_IMPLIED: the leading one of the mantissa is not stored.
            Some((dtype, _)) if status >= 0 && norm == 0 => *dtype,
            _ => {
                return Err(Error::unsupported(format!(
                    "the elements are floats of {size_bytes} bytes that are not IEEE 754 ({} exponent bits, {} \
                     mantissa bits, bias {}): {SUPPORTED}",
                    fields[2], fields[4], fields[5]
                )));
            }
        }
    } else {
        // SAFETY: as above.
        let signed = unsafe { (api.H5Tget_sign)(type_id) } == 1;
        match (size_bytes, signed) {
            (1, true) => Dtype::I8,
            (1, false) => Dtype::U8,
            (2, true) => Dtype::I16,
            (2, false) => Dtype::U16,
            (4, true) => Dtype::I32,
            (4, false) => Dtype::U32,
            (8, true) => Dtype::I64,
            (8, false) => Dtype::U64,
            _ => {
                return Err(Error::unsupported(format!(
                    "the elements are integers of {size_bytes} bytes: {SUPPORTED}"
                )));
            }
        }
    };
    Ok((dtype, byte_order))
}

/// `H5T_class_t` in words.
fn class_name(class: i32) -> &'static str {
    match class {
        INTEGER => "integers",
        FLOAT => "floats",
        2 => "times",
        3 => "strings",
        4 => "bit fields",
        5 => "opaque",
        6 => "compounds (rows of a table, or complex numbers)",
        7 => "references",
        8 => "enumerations (h5py stores booleans so)",
        9 => "of variable length",
        10 => "arrays",
        11 => "complex numbers",
        _ => "of a class unknown to this plugin,",
    }
}

/// What to do instead.
fn advice(class: i32) -> &'static str {
    match class {
        6 => "; store each column as a dataset of its own",
        10 => "; store the array's axes as axes of the dataset",
        11 => "; store real and imaginary parts as datasets of their own",
        _ => "",
    }
}
