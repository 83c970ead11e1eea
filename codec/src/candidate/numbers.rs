//! Method 3: the numbers themselves through pcodec, lossless. It finds decimal steps, common factors, few distinct
//! values and repeats that the quantisers do not look for.

use super::{Part, Target};
use crate::element::Elements;
use crate::entropy::pcodec;
use crate::error::Result;
use crate::params::{Dtype, Effort};

/// Encodes; nothing where pcodec would not give the very bits back.
pub(crate) fn encode(part: &Part<'_>) -> Option<Vec<u8>> {
    let payload = pack(part.elements, part.effort);
    let mut out = vec![0; part.elements.bytes.len()];
    decode(&payload, &mut Target { dtype: part.dtype(), out: &mut out }).ok()?;
    (out == part.elements.bytes).then_some(payload)
}

/// Bytes that a sample of the part takes. At a lower level than [`encode`]'s pcodec does not look for common factors and
/// comes out twice as large on values that have one.
pub(crate) fn sample_len(elements: Elements<'_>, effort: Effort) -> usize {
    pack(elements, effort).len()
}

macro_rules! for_dtype {
    ($dtype:expr, $apply:ident) => {
        match $dtype {
            // pcodec's own f16 needs a further crate; the bits do as well.
            Dtype::F16 | Dtype::U16 => $apply!(u16),
            Dtype::F32 => $apply!(f32),
            Dtype::F64 => $apply!(f64),
            Dtype::I8 => $apply!(i8),
            Dtype::I16 => $apply!(i16),
            Dtype::I32 => $apply!(i32),
            Dtype::I64 => $apply!(i64),
            Dtype::U8 => $apply!(u8),
            Dtype::U32 => $apply!(u32),
            Dtype::U64 => $apply!(u64),
        }
    };
}

fn pack(elements: Elements<'_>, effort: Effort) -> Vec<u8> {
    macro_rules! pack_as {
        ($t:ty) => {{
            let numbers: Vec<$t> = elements.words().map(<$t>::from_le_bytes).collect();
            pcodec::encode_numbers(&numbers, effort)
        }};
    }
    for_dtype!(elements.dtype, pack_as)
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    macro_rules! unpack_as {
        ($t:ty) => {{
            let numbers: Vec<$t> = pcodec::decode(payload, target.n_values())?;
            for (element, v) in target.out.chunks_exact_mut(size_of::<$t>()).zip(numbers) {
                element.copy_from_slice(&v.to_le_bytes());
            }
        }};
    }
    for_dtype!(target.dtype, unpack_as);
    Ok(())
}
