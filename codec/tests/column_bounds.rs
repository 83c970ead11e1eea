//! Promise: with a bound for each column, each column keeps its own, and uses it.

use baler_codec::{
    Bound, Dtype, ErrorKind, Limits, Params, Registry, check, decode, decode_header, encode, encode_bound,
};

const ROWS: usize = 400;
const COLUMNS: usize = 4;

/// Four columns of much the same kind, the last two related.
fn values() -> Vec<f64> {
    let row = |i: usize| {
        let t = i as f64 * 0.037;
        [t.sin() * 3.0, (t * 1.7).cos() * 3.0, (t * 0.3).sin() * 3.0, (t * 0.3).sin() * 6.0 + (t * 9.1).cos() * 0.01]
    };
    (0..ROWS).flat_map(row).collect()
}

/// The largest error of each column after a round trip that checks itself.
fn errors(kind: u8, bounds: &[f64]) -> (Vec<f64>, Bound) {
    let bytes: Vec<u8> = values().iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut params = Params::new(Dtype::F64, &[ROWS, COLUMNS], Bound::Lossless);
    params.check_decode = true;
    params.set_column_bounds(kind, bounds).unwrap();
    let chunk = encode(&params, &bytes, &Registry::new()).unwrap();
    assert!(chunk.len() <= encode_bound(&params).unwrap());
    let decoded = decode(&chunk, &Registry::new(), &Limits::default()).unwrap().values;
    assert!(check(&params, &bytes, &decoded).unwrap().is_kept());
    let mut worst = vec![0.0f64; COLUMNS];
    for (i, (v, back)) in values().iter().zip(decoded.chunks(8)).enumerate() {
        let error = (f64::from_le_bytes(back.try_into().unwrap()) - v).abs();
        worst[i % COLUMNS] = worst[i % COLUMNS].max(error);
    }
    (worst, decode_header(&chunk).unwrap().bound)
}

#[test]
fn each_column_keeps_and_uses_its_own() {
    let bounds = [1e-1, 1e-4, 0.0, 1e-2];
    let (worst, said) = errors(Bound::Abs(1.0).to_wire().0, &bounds);
    assert_eq!(said, Bound::Abs(1e-1), "the chunk says what holds for all");
    for (column, (&worst, bound)) in worst.iter().zip(bounds).enumerate() {
        assert!(worst <= bound && (bound == 0.0 || worst > bound / 10.0), "column {column}: {worst:e} of {bound:e}");
    }
    let (worst, said) = errors(Bound::Rel(0.1).to_wire().0, &[1e-1, 1e-4, 0.0, 1e-2]);
    assert_eq!(said, Bound::Rel(1e-1));
    assert!(worst[0] > 0.01 && worst[1] <= 6e-4 && worst[2] == 0.0);
    assert_eq!(errors(Bound::Psnr(60.0).to_wire().0, &[60.0, 0.0, 80.0, 40.0]).1, Bound::Psnr(40.0));
    assert_eq!(errors(Bound::Abs(1.0).to_wire().0, &[0.0; COLUMNS]), (vec![0.0; COLUMNS], Bound::Lossless));
}

#[test]
fn a_check_tells_the_columns_apart() {
    let bytes: Vec<u8> = values().iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut params = Params::new(Dtype::F64, &[ROWS, COLUMNS], Bound::Lossless);
    params.set_column_bounds(1, &[1e-1, 1e-4, 1e-1, 1e-1]).unwrap();
    for (column, is_kept) in [(0, true), (1, false)] {
        let mut off = values();
        off[7 * COLUMNS + column] += 1e-3;
        let off: Vec<u8> = off.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(check(&params, &bytes, &off).unwrap().is_kept(), is_kept, "column {column}");
    }
}

#[test]
fn what_is_no_bound_for_each_column_is_refused() {
    let params = || Params::new(Dtype::F64, &[ROWS, COLUMNS], Bound::Abs(1e-3));
    let invalid = |result: baler_codec::Result<()>, part: &str| {
        let error = result.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(part), "{error}");
    };
    for (kind, bounds, part) in [
        (1, &[1.0; 3][..], "4 columns"),
        (1, &[1.0, -1.0, 1.0, 1.0], "column 1"),
        (1, &[1.0, f64::NAN, 1.0, 1.0], "column 1"),
        (2, &[0.5, 0.5, 0.5, 1.0], "rel"),
        (0, &[1.0; 4], "column 0"),
        (5, &[1.0; 4], "column 0"),
    ] {
        invalid(params().set_column_bounds(kind, bounds), part);
    }
    let mut loose = params();
    (loose.per_column, loose.column_bounds) = (true, vec![1e-3, 1e-3, 1e-2, 0.0]);
    invalid(loose.validate(), "column 2");
}
