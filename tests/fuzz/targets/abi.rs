//! The C ABI: chunks and parameters as a C program passes them, into buffers whose surroundings are watched.

use super::chunk::{OUTPUT, memory};
use super::{Target, mend_checksum};
use baler::{
    baler_chunk_info, baler_chunk_info_t, baler_codec, baler_codec_new_bare, baler_decode, baler_encode,
    baler_encode_bound, baler_params, baler_status,
};
use std::sync::LazyLock;

pub const TARGET: Target = Target { name: "abi", seeds, mend, run, memory };

/// Numbers of the parameters that come first; a chunk, or values, follow.
const HEAD: usize = 48;
/// Bytes around an output that must stay as they are.
const CANARY: usize = 64;
/// What they are.
const MARK: u8 = 0xa5;

struct Handle(*mut baler_codec);

// SAFETY: the interface lets any thread use a codec.
unsafe impl Send for Handle {}
// SAFETY: and many at once.
unsafe impl Sync for Handle {}

static CODEC: LazyLock<Handle> = LazyLock::new(|| Handle(baler_codec_new_bare()));

fn seeds() -> Vec<Vec<u8>> {
    // dtype, byte order, rank, bound, per column, effort, check; two extents, the bound's value, buffer.
    let heads = [
        [&[2, 0, 2, 1, 0, 0, 0, 0], &12u64.to_le_bytes()[..], &25u64.to_le_bytes(), &0.01f64.to_le_bytes(), &[0; 16]]
            .concat(),
        [&[3, 1, 1, 0, 1, 1, 1, 0], &150u64.to_le_bytes()[..], &1u64.to_le_bytes(), &0f64.to_le_bytes(), &[9; 16]]
            .concat(),
    ];
    let chunks = (super::chunk::TARGET.seeds)();
    chunks.iter().enumerate().map(|(i, chunk)| [&heads[i % 2], &chunk[..]].concat()).collect()
}

fn mend(input: &mut [u8]) {
    if input.len() > HEAD {
        mend_checksum(&mut input[HEAD..]);
    }
}

/// A buffer within canaries.
struct Guarded(Vec<u8>);

impl Guarded {
    fn new(len: usize) -> Self {
        Self(vec![MARK; len + 2 * CANARY])
    }

    fn pointer(&mut self) -> *mut u8 {
        self.0[CANARY..].as_mut_ptr()
    }

    fn check(&self, status: baler_status, len: usize, what: &str) -> Result<(), String> {
        let (inside, after) = self.0[CANARY..].split_at(self.0.len() - 2 * CANARY);
        if self.0[..CANARY].iter().chain(after).any(|&b| b != MARK) {
            return Err(format!("{what} wrote outside of its buffer"));
        }
        match status {
            baler_status::Ok if len > inside.len() => {
                Err(format!("{what}: {len} bytes in a buffer of {}", inside.len()))
            }
            baler_status::Internal => Err(format!("{what}: an internal error")),
            baler_status::Ok => Ok(()),
            _ if inside.iter().any(|&b| b != MARK) => Err(format!("{what} failed and wrote")),
            _ => Ok(()),
        }
    }
}

fn run(input: &[u8]) -> Result<String, String> {
    let Some((head, body)) = input.split_at_checked(HEAD) else { return Ok("short".into()) };
    let (codec, chunk) = (CODEC.0, body.as_ptr().cast());
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|k| head[at + k]));

    // SAFETY: plain numbers and pointers, all of which may be zero.
    let mut info: baler_chunk_info_t = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<baler_chunk_info_t>();
    // SAFETY: `chunk` is as long as said, `info` says its size.
    let described = unsafe { baler_chunk_info(chunk, body.len(), &mut info) };

    // Room for all, for nothing, or for what the input says.
    let capacity = match head[32] % 3 {
        0 => OUTPUT,
        1 => 0,
        _ => number(33) as usize % OUTPUT,
    };
    let (mut out, mut len) = (Guarded::new(capacity), usize::MAX);
    // SAFETY: every buffer is as long as said.
    let decoded = unsafe { baler_decode(codec, chunk, body.len(), out.pointer().cast(), capacity, &mut len) };
    out.check(decoded, len, "baler_decode")?;
    if decoded == baler_status::Ok && described != baler_status::Ok {
        return Err("decoded, but not described".into());
    }

    let shape = [number(8), number(16)];
    // SAFETY: as above.
    let mut params: baler_params = unsafe { std::mem::zeroed() };
    params.struct_size = size_of::<baler_params>();
    params.dtype = u32::from(head[0]) % 13;
    params.byte_order = u32::from(head[1]) % 3;
    params.rank = usize::from(head[2]) % 3;
    params.shape = shape.as_ptr();
    params.bound_kind = u32::from(head[3]) % 7;
    params.per_column = u32::from(head[4]) % 3;
    params.effort = u32::from(head[5]) % 4;
    params.check_decode = u32::from(head[6]) % 3;
    params.bound_value = f64::from_bits(number(24));
    let mut most = usize::MAX;
    // SAFETY: the structure says its size, and `shape` has as many extents as `rank` says.
    let bounded = unsafe { baler_encode_bound(&params, &mut most) };
    let capacity =
        if head[7] % 2 == 0 && bounded == baler_status::Ok { most.min(OUTPUT) } else { number(40) as usize % 4096 };
    let (mut out, mut len) = (Guarded::new(capacity), usize::MAX);
    // SAFETY: as above; the values are as long as said.
    let encoded = unsafe { baler_encode(codec, &params, chunk, body.len(), out.pointer().cast(), capacity, &mut len) };
    out.check(encoded, len, "baler_encode")?;
    if encoded == baler_status::BufferTooSmall && bounded == baler_status::Ok && len > most {
        return Err(format!("a chunk of {len} bytes, where {most} were to be enough"));
    }
    Ok(format!("{described:?} {decoded:?} {bounded:?} {encoded:?}"))
}
