//! Arrays through the whole of it: split, encoded on threads, written, read, decoded.

use super::*;
use crate::params::{Bound, ByteOrder, Dtype, Effort, ModelChoice};
use crate::{ErrorKind, Limits, Registry};

/// 40 rows of 50 values: the first half spans a thousandth of the whole.
fn values() -> Vec<f64> {
    (0..2000).map(|i| (f64::from(i) / 40.0).sin() * if i < 1000 { 1e-3 } else { 1.0 }).collect()
}

fn write(bound: Bound, threads: usize) -> Vec<u8> {
    let bytes: Vec<u8> = values().iter().flat_map(|v| v.to_be_bytes()).collect();
    let header = ArrayHeader {
        name: "wave".into(),
        dtype: Dtype::F64,
        byte_order: ByteOrder::Big,
        shape: vec![40, 50],
        reversed_axes: false,
        rows_per_chunk: 7,
        bound,
        per_column: false,
        abs_bound: None,
        fill: None,
    };
    let mut span = Span::new(header.dtype, header.byte_order, None).unwrap();
    span.add(&bytes);
    let options = EncodeOptions {
        model: ModelChoice::None,
        effort: Effort::Default,
        keep_outliers: None,
        check_decode: true,
        embed_in_chunks: false,
        threads,
    };
    let mut writer = Writer::new(Vec::new(), Container::Npy).unwrap();
    let mut n_bytes = 0;
    let mut on_chunk = |c: EncodedChunk<'_>| n_bytes += c.value_bytes;
    let (registry, no_model) = (Registry::new(), |_: &_| Ok(None));
    encode_array(&mut writer, &header, &mut &bytes[..], &span, &options, &registry, &no_model, &mut on_chunk).unwrap();
    assert_eq!(n_bytes, 16000);
    writer.finish().unwrap().0
}

fn read(file: &[u8], threads: usize) -> Result<(ArrayHeader, Vec<f64>)> {
    let mut reader = Reader::new(file)?;
    let (mut header, mut decoded) = (None, Vec::new());
    let models = FileModels::default();
    decode_items(&mut reader, &models, &Registry::new(), &Limits::default(), threads, |item| {
        match item {
            DecodedItem::Array(h) => header = Some(h),
            DecodedItem::Rows { values, .. } => {
                decoded.extend(values.chunks(8).map(|b| f64::from_be_bytes(b.try_into().unwrap())));
            }
            _ => panic!("neither models nor members were written"),
        }
        Ok::<(), Error>(())
    })?;
    Ok((header.unwrap(), decoded))
}

#[test]
fn the_bound_is_of_the_whole_array_and_threads_change_no_byte() {
    let file = write(Bound::Rel(0.01), 1);
    assert!(file == write(Bound::Rel(0.01), 4));
    let (header, decoded) = read(&file, 3).unwrap();
    let range = values().iter().copied().fold(f64::MIN, f64::max) - values().iter().copied().fold(f64::MAX, f64::min);
    let abs = header.abs_bound.unwrap();
    assert!(abs <= 0.01 * range && abs >= 0.01 * range * (1.0 - f64::EPSILON), "rounded down, if at all: {abs}");
    let errors: Vec<f64> = values().iter().zip(&decoded).map(|(a, b)| (a - b).abs()).collect();
    assert!(errors.iter().all(|&e| e <= 0.01 * range));
    // The quiet half uses the whole of the bound, too, and not a thousandth of it.
    assert!(errors[..1000].iter().any(|&e| e > 0.05 * 0.01 * range));
}

#[test]
fn psnr_holds_over_the_array() {
    let (_, decoded) = read(&write(Bound::Psnr(50.0), 2), 1).unwrap();
    let mean_square = values().iter().zip(&decoded).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 2000.0;
    let psnr = 20.0 * 2.0f64.log10() - 10.0 * mean_square.log10();
    assert!((50.0..65.0).contains(&psnr), "{psnr} dB");
}

#[test]
fn lossless_is() {
    assert!(read(&write(Bound::Lossless, 2), 2).unwrap().1 == values());
}

#[test]
fn values_that_run_out_are_an_error() {
    let header = ArrayHeader { shape: vec![3], ..read(&write(Bound::Lossless, 1), 1).unwrap().0 };
    let mut writer = Writer::new(Vec::new(), Container::Npy).unwrap();
    let span = Span::new(header.dtype, header.byte_order, None).unwrap();
    let options = EncodeOptions {
        model: ModelChoice::None,
        effort: Effort::Fast,
        keep_outliers: None,
        check_decode: false,
        embed_in_chunks: false,
        threads: 2,
    };
    let too_few = &mut &[0u8; 23][..];
    let (registry, no_model) = (Registry::new(), |_: &_| Ok(None));
    let error = encode_array(&mut writer, &header, too_few, &span, &options, &registry, &no_model, &mut |_| {});
    assert_eq!(error.unwrap_err().kind(), Some(ErrorKind::Corrupt));
}

#[test]
fn damage_is_an_error_with_threads_too() {
    let file = write(Bound::Rel(0.01), 1);
    for at in (0..file.len()).step_by(17) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        assert!(read(&damaged, 3).is_err(), "byte {at}");
    }
}
