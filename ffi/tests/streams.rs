//! Promise: a stream written through the C functions is the file that the Rust API writes, whatever the pieces it was
//! written in and the number of threads, and brings the models it needs.

use ::baler_codec::bundle::{Bundle, BundleSource, Contents, MemorySource};
use ::baler_codec::standalone::{ArrayHeader, Container, EncodeOptions, Span, Writer, encode_array, rows_per_chunk};
use ::baler_codec::{Bound, ByteOrder, Dtype, Effort, ModelChoice, Registry};
use baler::*;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{null, null_mut};

const SHAPE: [u64; 3] = [13, 32, 32];

fn values() -> Vec<u8> {
    let value = |i: usize| {
        let (x, y, z) = (i % 32, i / 32 % 32, i / 1024);
        ((x * x) as f32 * 0.004 + y as f32 * 0.1).sin() * (1.0 + z as f32 * 0.2)
    };
    (0..13 * 32 * 32).flat_map(|i| value(i).to_le_bytes()).collect()
}

unsafe extern "C" fn put(context: *mut c_void, bytes: *const c_void, len: usize) -> i32 {
    // SAFETY: the writer below hands over a vector, and the library bytes that it may read.
    unsafe { (*context.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), len)) };
    0
}

/// What is left of a stream, and how much is given at once.
struct Source<'a>(&'a [u8], usize);

unsafe extern "C" fn get(context: *mut c_void, buffer: *mut c_void, capacity: usize, len: *mut usize) -> i32 {
    // SAFETY: the reader below hands over a `Source`, and the library room for as many bytes as it says.
    unsafe {
        let source = &mut *context.cast::<Source<'_>>();
        let (now, later) = source.0.split_at(source.0.len().min(capacity).min(source.1));
        std::ptr::copy_nonoverlapping(now.as_ptr(), buffer.cast(), now.len());
        *len = now.len();
        source.0 = later;
    }
    0
}

fn ok(status: baler_status) {
    // SAFETY: a C string of this thread.
    let message = || unsafe { CStr::from_ptr(baler_last_error()) };
    assert_eq!(status, baler_status::Ok, "{:?}", message());
}

struct Asked<'a> {
    kind: baler_bound,
    value: f64,
    model: Option<&'a CStr>,
    threads: u32,
    piece: usize,
}

fn write(codec: *const baler_codec, asked: &Asked<'_>, values: &[u8]) -> Vec<u8> {
    let params = baler_params {
        struct_size: size_of::<baler_params>(),
        dtype: baler_dtype::F32 as u32,
        byte_order: 0,
        rank: 3,
        shape: SHAPE.as_ptr(),
        bound_kind: asked.kind as u32,
        per_column: 0,
        bound_value: asked.value,
        fill: null(),
        fill_len: 0,
        model: asked.model.map_or(null(), CStr::as_ptr),
        effort: 0,
        check_decode: 0,
        column_bounds: null(),
        n_column_bounds: 0,
        embed: 0,
        outliers: 0,
    };
    let options = baler_stream_options {
        struct_size: size_of::<baler_stream_options>(),
        rows_per_chunk: 3,
        max_chunk_len: 0,
        threads: asked.threads,
        reversed_axes: 0,
    };
    let mut file: Vec<u8> = Vec::new();
    // SAFETY: live handles and pointers with their own lengths.
    unsafe {
        let writer = baler_writer_new(codec, Some(put), (&raw mut file).cast());
        ok(baler_writer_array(writer, null(), &params, &options));
        if asked.kind == baler_bound::Rel {
            for piece in values.chunks(64) {
                ok(baler_writer_measure(writer, piece.as_ptr().cast(), piece.len()));
            }
        }
        for piece in values.chunks(asked.piece) {
            ok(baler_writer_write(writer, piece.as_ptr().cast(), piece.len()));
        }
        ok(baler_writer_finish(writer));
        baler_writer_free(writer);
    }
    file
}

/// All values of a stream of one array, read in pieces.
fn read(codec: *const baler_codec, file: &[u8], threads: u32, piece: usize) -> Vec<u8> {
    let options = baler_stream_options {
        struct_size: size_of::<baler_stream_options>(),
        rows_per_chunk: 0,
        max_chunk_len: 0,
        threads,
        reversed_axes: 0,
    };
    let mut source = Source(file, piece);
    // SAFETY: zeros are a value of this structure of plain numbers and a pointer.
    let mut info: baler_array_info_t = unsafe { std::mem::zeroed() };
    info.struct_size = size_of_val(&info);
    let mut values = Vec::new();
    // SAFETY: live handles and pointers with their own lengths.
    unsafe {
        let reader = baler_reader_new(codec, Some(get), (&raw mut source).cast(), &options);
        ok(if reader.is_null() { baler_last_status() } else { baler_status::Ok });
        ok(baler_reader_next(reader, &mut info));
        assert_eq!((info.rank, &info.shape[..4], info.rows_per_chunk), (3, &[13, 32, 32, 0][..], 3));
        let (mut room, mut len) = (vec![0u8; piece], usize::MAX);
        while len > 0 {
            ok(baler_reader_read(reader, room.as_mut_ptr().cast(), piece, &mut len));
            values.extend_from_slice(&room[..len]);
        }
        assert_eq!(baler_reader_next(reader, &mut info), baler_status::End);
        baler_reader_free(reader);
    }
    assert_eq!(values.len() as u64, info.values_len);
    values
}

/// What the Rust API writes.
fn reference(bound: Bound, values: &[u8]) -> Vec<u8> {
    let header = ArrayHeader {
        name: String::new(),
        dtype: Dtype::F32,
        byte_order: ByteOrder::Little,
        shape: SHAPE.to_vec(),
        reversed_axes: false,
        rows_per_chunk: 3,
        bound,
        per_column: false,
        abs_bound: None,
        fill: None,
    };
    let options = EncodeOptions {
        model: ModelChoice::None,
        effort: Effort::Default,
        keep_outliers: None,
        check_decode: false,
        embed_in_chunks: false,
        threads: 1,
    };
    let mut span = Span::new(Dtype::F32, ByteOrder::Little, None).unwrap();
    if matches!(bound, Bound::Rel(_)) {
        span.add(values);
    }
    let mut writer = Writer::new(Vec::new(), Container::Npy).unwrap();
    let (registry, none) = (Registry::new(), |_: &_| Ok(None));
    encode_array(&mut writer, &header, &mut &*values, &span, &options, &registry, &none, &mut |_| {}).unwrap();
    writer.finish().unwrap().0
}

#[test]
fn the_same_file_as_the_rust_api_in_any_pieces() {
    let (codec, values) = (baler_codec_new_bare(), values());
    for (kind, bound) in [(baler_bound::Abs, Bound::Abs(1e-2)), (baler_bound::Rel, Bound::Rel(1e-3))] {
        let expected = reference(bound, &values);
        for (threads, piece) in [(1, values.len()), (1, 1000), (3, 4096), (2, 7), (8, 30_000)] {
            let asked = Asked { kind, value: bound.to_wire().1, model: None, threads, piece };
            assert!(write(codec, &asked, &values) == expected, "{bound}, {threads} threads, {piece} bytes");
        }
        let whole = read(codec, &expected, 1, values.len());
        for (threads, piece) in [(1, 1000), (3, 8192), (2, 333)] {
            assert!(read(codec, &expected, threads, piece) == whole, "{bound}, {threads} threads, {piece} bytes");
        }
        let worst = values.chunks(4).zip(whole.chunks(4)).map(|(a, b)| {
            let [a, b] = [a, b].map(|v| f64::from(f32::from_le_bytes(v.try_into().unwrap())));
            (a - b).abs()
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst > 1e-3 && worst <= 1e-2, "{bound}: {worst}");
    }
    // SAFETY: made above, not used any more.
    unsafe { baler_codec_free(codec) };
    assert_eq!(rows_per_chunk(13, 4096, 8 << 20), 13, "the default is one chunk here, so the 3 above were asked for");
}

/// A model that no library has travels in the stream, once.
#[test]
fn a_stream_brings_its_models() {
    let builtin = baler_models::builtin().list();
    let known = builtin.iter().find(|b| b.manifest().name == "autoencoder-field2d").unwrap();
    let toml = known.manifest_toml().replacen("description = \"", "description = \"Not in any library. ", 1);
    let encoder = known.encoder_onnx().map(<[u8]>::to_vec);
    let bundle = Bundle::new(&toml, encoder, known.decoder_onnx().to_vec(), None).unwrap();
    assert!(MemorySource::new(builtin).find(&bundle.id()).unwrap().is_none());
    let packed = bundle.to_bytes(Contents::Full);
    let id = CString::new(bundle.id().to_string()).unwrap();
    let (codec, values) = (baler_codec_new_bare(), values());
    // SAFETY: live handles and pointers with their own lengths.
    unsafe {
        let model = baler_model_parse(packed.as_ptr().cast(), packed.len());
        ok(baler_codec_add_model(codec, model));
        baler_model_free(model);
    }
    let asked = Asked { kind: baler_bound::Latent, value: 0.0, model: Some(&id), threads: 2, piece: 5000 };
    let file = write(codec, &asked, &values);
    let decoder = bundle.to_bytes(Contents::DecoderOnly);
    assert_eq!(file.windows(decoder.len()).filter(|part| *part == decoder).count(), 1);
    let stranger = baler_codec_new_bare();
    assert!(read(stranger, &file, 2, 4096) == read(codec, &file, 1, values.len()));
    // SAFETY: made above, not used any more.
    unsafe {
        baler_codec_free(codec);
        baler_codec_free(stranger);
    }
}

/// A call from within a function of the caller finds the handle in use, instead of a deadlock or worse.
#[test]
fn one_call_at_a_time() {
    struct Context {
        writer: *mut baler_writer,
        found: Vec<baler_status>,
    }
    unsafe extern "C" fn again(context: *mut c_void, _: *const c_void, _: usize) -> i32 {
        // SAFETY: the writer below hands over a `Context`, which lives as long.
        let context = unsafe { &mut *context.cast::<Context>() };
        // SAFETY: a live handle.
        context.found.push(unsafe { baler_writer_finish(context.writer) });
        0
    }
    let codec = baler_codec_new_bare();
    let mut context = Context { writer: null_mut(), found: Vec::new() };
    let params = baler_params {
        struct_size: 80,
        dtype: baler_dtype::U8 as u32,
        byte_order: 0,
        rank: 0,
        shape: null(),
        bound_kind: 0,
        per_column: 0,
        bound_value: 0.0,
        fill: null(),
        fill_len: 0,
        model: null(),
        effort: 0,
        check_decode: 0,
        column_bounds: null(),
        n_column_bounds: 0,
        embed: 0,
        outliers: 0,
    };
    // SAFETY: live handles and pointers with their own lengths.
    unsafe {
        let writer = baler_writer_new(codec, Some(again), (&raw mut context).cast());
        context.writer = writer;
        ok(baler_writer_array(writer, null(), &params, null()));
        ok(baler_writer_write(writer, [7u8].as_ptr().cast(), 1));
        ok(baler_writer_finish(writer));
        baler_writer_free(writer);
        baler_codec_free(codec);
    }
    assert!(context.found.len() > 3 && context.found.iter().all(|&s| s == baler_status::InvalidArgument));
}
