//! Promise: wrong arguments give a status and a message and change nothing; right ones give the bytes of the Rust API,
//! from any number of threads.

use baler::*;
use std::ffi::CStr;
use std::ptr::null;

const INVALID: baler_status = baler_status::InvalidArgument;

fn message() -> String {
    // SAFETY: a C string of this thread; it is copied before anything else can fail.
    unsafe { CStr::from_ptr(baler_last_error()) }.to_str().unwrap().to_owned()
}

/// A codec that is freed in the end.
struct Codec(*mut baler_codec);

// SAFETY: the library promises that many threads may use one handle.
unsafe impl Sync for Codec {}

impl Codec {
    fn new() -> Self {
        let codec = baler_codec_new();
        assert!(!codec.is_null(), "{}", message());
        Self(codec)
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: made by `baler_codec_new`, freed once.
        unsafe { baler_codec_free(self.0) };
    }
}

static SHAPE: [u64; 2] = [32, 48];

fn params() -> baler_params {
    baler_params {
        struct_size: size_of::<baler_params>(),
        dtype: baler_dtype::F32 as u32,
        byte_order: 0,
        rank: 2,
        shape: SHAPE.as_ptr(),
        bound_kind: baler_bound::Abs as u32,
        per_column: 0,
        bound_value: 1e-3,
        fill: null(),
        fill_len: 0,
        model: null(),
        effort: 0,
        check_decode: 0,
        column_bounds: null(),
        n_column_bounds: 0,
        embed: 0,
        outliers: 0,
    }
}

static BOUNDS: [f64; 48] = [0.5; 48];

fn with_bounds(bounds: &'static [f64], per_column: u32) -> baler_params {
    baler_params { column_bounds: bounds.as_ptr(), n_column_bounds: bounds.len(), per_column, ..params() }
}

fn values() -> Vec<u8> {
    (0..32 * 48).flat_map(|i| ((i as f32 * 0.01).sin() + (i / 48) as f32 * 0.1).to_le_bytes()).collect()
}

fn try_encode(codec: &Codec, params: &baler_params, values: &[u8], capacity: usize) -> (baler_status, Vec<u8>, usize) {
    let (mut out, mut len) = (vec![0xa5; capacity], usize::MAX);
    let (input, output) = (values.as_ptr().cast(), out.as_mut_ptr().cast());
    // SAFETY: live pointers with their own lengths.
    let status = unsafe { baler_encode(codec.0, params, input, values.len(), output, capacity, &mut len) };
    if status == baler_status::Ok {
        out.truncate(len);
    }
    (status, out, len)
}

fn encode(codec: &Codec, params: &baler_params, values: &[u8]) -> Vec<u8> {
    let mut capacity = 0;
    // SAFETY: live pointers.
    assert_eq!(unsafe { baler_encode_bound(params, &mut capacity) }, baler_status::Ok, "{}", message());
    let (status, chunk, _) = try_encode(codec, params, values, capacity);
    assert_eq!(status, baler_status::Ok, "{}", message());
    chunk
}

fn try_decode(codec: &Codec, chunk: &[u8], capacity: usize) -> (baler_status, Vec<u8>, usize) {
    let (mut out, mut len) = (vec![0xa5; capacity], usize::MAX);
    let (input, output) = (chunk.as_ptr().cast(), out.as_mut_ptr().cast());
    // SAFETY: live pointers with their own lengths.
    let status = unsafe { baler_decode(codec.0, input, chunk.len(), output, capacity, &mut len) };
    (status, out, len)
}

#[test]
fn same_bytes_as_the_rust_api() {
    let (codec, values) = (Codec::new(), values());
    let chunk = encode(&codec, &params(), &values);
    let registry = ::baler_codec::Registry::with_sources(baler_models::standard_sources());
    let rust = ::baler_codec::Params::new(::baler_codec::Dtype::F32, &[32, 48], ::baler_codec::Bound::Abs(1e-3));
    assert!(chunk == ::baler_codec::encode(&rust, &values, &registry).unwrap());
    let (status, back, len) = try_decode(&codec, &chunk, values.len() + 7);
    assert_eq!((status, len), (baler_status::Ok, values.len()));
    let expected = ::baler_codec::decode(&chunk, &registry, &::baler_codec::Limits::default()).unwrap();
    assert!(back[..len] == expected.values && back[len..] == [0xa5; 7]);
}

#[test]
fn members_reach_the_codec() {
    let (codec, mut values) = (Codec::new(), values());
    let fill = 7.0f32.to_be_bytes();
    for element in values.chunks_exact_mut(4) {
        element.reverse();
    }
    values[40..44].copy_from_slice(&fill);
    let asked = baler_params {
        byte_order: baler_byte_order::Big as u32,
        bound_kind: baler_bound::Rel as u32,
        per_column: 1,
        fill: fill.as_ptr().cast(),
        fill_len: 4,
        model: c"none".as_ptr(),
        effort: baler_effort::Max as u32,
        check_decode: 1,
        ..params()
    };
    let chunk = encode(&codec, &asked, &values);
    let mut rust = ::baler_codec::Params::new(::baler_codec::Dtype::F32, &[32, 48], ::baler_codec::Bound::Rel(1e-3));
    let bounded = baler_params { bound_value: 0.0, ..with_bounds(&BOUNDS, 1) };
    let mut rust_bounded = rust.clone();
    rust_bounded.set_column_bounds(1, &BOUNDS).unwrap();
    let registry = ::baler_codec::Registry::with_sources(baler_models::standard_sources());
    assert!(encode(&codec, &bounded, &values) == ::baler_codec::encode(&rust_bounded, &values, &registry).unwrap());
    rust.byte_order = ::baler_codec::ByteOrder::Big;
    rust.per_column = true;
    rust.fill = Some(fill.to_vec());
    rust.model = ::baler_codec::ModelChoice::None;
    rust.effort = ::baler_codec::Effort::Max;
    assert!(chunk == ::baler_codec::encode(&rust, &values, &::baler_codec::Registry::new()).unwrap());
    let missing = baler_params { model: c"00112233445566778899aabbccddeeff".as_ptr(), ..params() };
    assert_eq!(try_encode(&codec, &missing, &values, 10_000).0, baler_status::ModelMissing);
    assert!(message().contains("00112233445566778899aabbccddeeff"), "{}", message());
}

#[test]
fn wrong_params_are_refused() {
    let (codec, values) = (Codec::new(), values());
    let huge = [u64::MAX, 2];
    let byte = 1u8;
    let cases: &[(&str, baler_params)] = &[
        ("struct_size", baler_params { struct_size: 0, ..params() }),
        ("struct_size", baler_params { struct_size: size_of::<baler_params>() - 1, ..params() }),
        ("struct_size", baler_params { struct_size: usize::MAX, ..params() }),
        ("dtype", baler_params { dtype: 0, ..params() }),
        ("dtype", baler_params { dtype: 258, ..params() }),
        ("byte_order", baler_params { byte_order: 2, ..params() }),
        ("rank", baler_params { rank: 33, ..params() }),
        ("shape is NULL", baler_params { shape: null(), ..params() }),
        ("not aligned", baler_params { shape: SHAPE.as_ptr().wrapping_byte_add(1), rank: 1, ..params() }),
        ("overflows", baler_params { shape: huge.as_ptr(), ..params() }),
        ("bound_kind", baler_params { bound_kind: 257, ..params() }),
        ("abs", baler_params { bound_value: 0.0, ..params() }),
        ("abs", baler_params { bound_value: f64::NAN, ..params() }),
        ("bound_value", baler_params { bound_kind: baler_bound::Lossless as u32, ..params() }),
        ("per_column", baler_params { per_column: 2, ..params() }),
        ("check_decode", baler_params { check_decode: 7, ..params() }),
        ("fill is NULL", baler_params { fill_len: 4, ..params() }),
        ("fill_len", baler_params { fill_len: usize::MAX, fill: (&raw const byte).cast(), ..params() }),
        ("fill_len", baler_params { fill: (&raw const byte).cast(), ..params() }),
        ("effort", baler_params { effort: 3, ..params() }),
        ("bundle id", baler_params { model: c"best".as_ptr(), ..params() }),
        ("UTF-8", baler_params { model: c"\xff".as_ptr(), ..params() }),
        ("embed", baler_params { embed: 2, ..params() }),
        ("outliers", baler_params { outliers: 3, ..params() }),
        ("name the model", baler_params { outliers: 1, ..params() }),
        ("per_column", baler_params { bound_value: 0.0, ..with_bounds(&BOUNDS, 0) }),
        ("column_bounds is set", with_bounds(&BOUNDS, 1)),
        ("48 columns", baler_params { bound_value: 0.0, ..with_bounds(&BOUNDS[1..], 1) }),
        ("column 0", baler_params { bound_value: 0.0, ..with_bounds(&[f64::NAN; 48], 1) }),
        ("n_column_bounds", baler_params { column_bounds: BOUNDS.as_ptr(), ..params() }),
    ];
    for (part, wrong) in cases {
        let (status, out, len) = try_encode(&codec, wrong, &values, 10_000);
        assert_eq!((status, len), (INVALID, usize::MAX), "{part}: {wrong:?}");
        assert!(message().contains(part), "{part}: {}", message());
        assert!(out.iter().all(|&byte| byte == 0xa5));
        let mut size = 5;
        if *part != "name the model" {
            // SAFETY: live pointers.
            assert_eq!(unsafe { baler_encode_bound(wrong, &mut size) }, INVALID, "{part}");
            assert_eq!(size, 5);
        }
        assert_eq!(baler_last_status(), INVALID);
    }
    let unknown = baler_params { bound_kind: 99, ..params() };
    assert_eq!(try_encode(&codec, &unknown, &values, 10_000).0, baler_status::Unsupported);
    for len in [0, values.len() - 1] {
        assert_eq!(try_encode(&codec, &params(), &values[..len], 10_000).0, INVALID);
    }
}

#[test]
fn structures_may_grow() {
    #[repr(C)]
    struct Later<T> {
        known: T,
        appended: u64,
    }
    let (codec, values) = (Codec::new(), values());
    let mut later = Later { known: params(), appended: 0 };
    later.known.struct_size = size_of_val(&later);
    let chunk = {
        let (mut out, mut len) = (vec![0u8; 10_000], 0);
        let (pointer, input) = ((&raw const later).cast(), values.as_ptr().cast());
        // SAFETY: the structure is as long as it says; the others are live pointers with their own lengths.
        let mut call = |params| unsafe {
            baler_encode(codec.0, params, input, values.len(), out.as_mut_ptr().cast(), 10_000, &mut len)
        };
        assert_eq!(call(pointer), baler_status::Ok, "{}", message());
        out.truncate(len);
        out
    };
    assert!(chunk == encode(&codec, &params(), &values));
    // A program built with the first version knows 80 bytes; what lies behind them is not its own.
    let first = baler_params { struct_size: 80, embed: 77, n_column_bounds: usize::MAX, ..params() };
    assert!(chunk == encode(&codec, &first, &values));
    later.appended = 1;
    let mut size = 0;
    // SAFETY: the structure is as long as it says.
    assert_eq!(unsafe { baler_encode_bound((&raw const later).cast(), &mut size) }, baler_status::Unsupported);

    // SAFETY: zeros are a valid structure of plain numbers.
    let mut info: Later<baler_chunk_info_t> = Later { known: unsafe { std::mem::zeroed() }, appended: 9 };
    info.known.struct_size = size_of_val(&info);
    let pointer = (&raw mut info).cast();
    // SAFETY: the structure is as long as it says.
    assert_eq!(unsafe { baler_chunk_info(chunk.as_ptr().cast(), chunk.len(), pointer) }, baler_status::Ok);
    assert_eq!((info.appended, info.known.struct_size), (0, size_of_val(&info)));
    assert_eq!((info.known.dtype, info.known.rank, info.known.decoded_len), (2, 2, values.len() as u64));
    assert_eq!(info.known.shape[..3], [32, 48, 0]);
    info.known.struct_size -= 9;
    // SAFETY: as before.
    assert_eq!(unsafe { baler_chunk_info(chunk.as_ptr().cast(), chunk.len(), (&raw mut info).cast()) }, INVALID);
}

#[test]
fn small_buffers_say_what_they_need() {
    let (codec, values) = (Codec::new(), values());
    let chunk = encode(&codec, &params(), &values);
    for capacity in [0, 1, chunk.len() - 1] {
        let (status, out, len) = try_encode(&codec, &params(), &values, capacity);
        assert_eq!((status, len), (baler_status::BufferTooSmall, chunk.len()));
        assert!(out.iter().all(|&byte| byte == 0xa5));
    }
    for capacity in [0, values.len() - 1] {
        let (status, out, len) = try_decode(&codec, &chunk, capacity);
        assert_eq!((status, len), (baler_status::BufferTooSmall, values.len()));
        assert!(out.iter().all(|&byte| byte == 0xa5));
    }
    assert_eq!(try_encode(&codec, &params(), &values, chunk.len()).0, baler_status::Ok);
}

#[test]
fn empty_arrays_and_single_values() {
    let codec = Codec::new();
    let empty = baler_params { shape: [0u64].as_ptr(), rank: 1, ..params() };
    let chunk = encode(&codec, &empty, &[]);
    assert_eq!(try_decode(&codec, &chunk, 0), (baler_status::Ok, vec![], 0));
    let one = baler_params { shape: null(), rank: 0, ..params() };
    let chunk = encode(&codec, &one, &1f32.to_le_bytes());
    assert_eq!(try_decode(&codec, &chunk, 4).0, baler_status::Ok);
}

/// Noise without loss is the worst case: nothing can be saved, and every column is a part.
#[test]
fn bound_on_the_size_holds() {
    let codec = Codec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(8 * 600)
    .collect();
    for (shape, per_column) in [([600, 1], 0), ([1, 600], 1), ([300, 2], 1), ([2, 300], 0)] {
        let params = baler_params {
            dtype: baler_dtype::I64 as u32,
            shape: shape.as_ptr(),
            bound_kind: 0,
            bound_value: 0.0,
            per_column,
            ..params()
        };
        let chunk = encode(&codec, &params, &noise);
        assert!(try_decode(&codec, &chunk, noise.len()).1 == noise);
    }
    let latent = baler_params { bound_kind: baler_bound::Latent as u32, bound_value: 0.0, ..params() };
    // SAFETY: live pointers.
    assert_eq!(unsafe { baler_encode_bound(&latent, &mut 0) }, baler_status::Unsupported);
}

#[test]
fn damage_is_an_error() {
    let (codec, values) = (Codec::new(), values());
    let chunk = encode(&codec, &params(), &values);
    for at in 0..chunk.len() {
        let mut damaged = chunk.clone();
        damaged[at] ^= 0x10;
        assert_ne!(try_decode(&codec, &damaged, values.len()).0, baler_status::Ok, "byte {at}");
        assert_ne!(try_decode(&codec, &chunk[..at], values.len()).0, baler_status::Ok, "cut at {at}");
    }
}

#[test]
fn threads_share_a_codec() {
    let (codec, values) = (Codec::new(), values());
    let bounds = [1e-1, 1e-2, 1e-3, 1e-4];
    let serial = bounds.map(|bound_value| encode(&codec, &baler_params { bound_value, ..params() }, &values));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (codec, values, serial) = (&codec, &values, &serial);
            scope.spawn(move || {
                for i in 0..8 {
                    let k = (thread + i) % bounds.len();
                    let chunk = encode(codec, &baler_params { bound_value: bounds[k], ..params() }, values);
                    assert!(chunk == serial[k]);
                    assert_eq!(try_decode(codec, &chunk, values.len()).0, baler_status::Ok);
                    // Each thread has a message of its own.
                    let wrong = baler_params { dtype: 1000 + thread as u32, ..params() };
                    assert_eq!(try_encode(codec, &wrong, values, 16).0, INVALID);
                    assert!(message().contains(&format!("{}", 1000 + thread)));
                }
            });
        }
    });
}

#[test]
fn version_is_that_of_the_crate() {
    // SAFETY: a C string that lives as long as the library.
    assert_eq!(unsafe { CStr::from_ptr(baler_version()) }.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}
