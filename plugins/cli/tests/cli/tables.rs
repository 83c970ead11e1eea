//! Tables as text and Parquet: columns of numbers become an array, and what does not fit is said with its place.

use crate::support::Place;

#[test]
fn a_csv_becomes_an_array_with_names() {
    let p = Place::new();
    p.write("t.csv", b"run,pt,\"eta, rad\",note\n1,10.5,-0.25,x\r\n2,11.5,,y\n\n3,1e3,0.5,z\n");
    let report = p.json(0, "convert t.csv t.npz");
    assert_eq!(report["left_out"], serde_json::json!(["note"]));
    let info = p.json(0, "info t.npz");
    assert_eq!(info["arrays"][0]["shape"], serde_json::json!([3, 3]));
    assert_eq!(info["arrays"][0]["dtype"], "float32");
    assert_eq!(info["members"][0]["name"], "names");
    p.run(0, "convert t.csv two.npy --columns-named pt,run");
    let values: Vec<f32> =
        p.read("two.npy")[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(values, [10.5, 1.0, 11.5, 2.0, 1e3, 3.0]);
    // More digits than float32 has.
    p.write("wide.csv", b"0.1234567890123 1\n2 3\n");
    assert_eq!(p.json(0, "info wide.csv")["arrays"][0]["dtype"], "float64");
    // What was converted is compressed, and so is the table itself.
    p.run(0, "compress t.npz t.baler --abs 0.1");
    p.run(0, "verify t.npz t.baler");
    p.run(0, "compress t.csv direct.baler --abs 0.1");
    p.run(0, "verify t.csv direct.baler");
}

#[test]
fn a_bad_cell_is_named_with_line_and_column() {
    let p = Place::new();
    p.write("bad.csv", b"a,b\n1,2\n3,four\n");
    p.write("ragged.csv", b"a,b\n1,2\n3\n");
    p.write("words.csv", b"a,b\nx,y\n");
    p.write("quote.csv", b"a,b\n1,\"2\n");
    for (line, code, says) in [
        ("convert bad.csv x.npz", 4, "line 3, column 2 (b): \"four\""),
        ("convert ragged.csv x.npz", 4, "line 3 has 1 cells: expected 2"),
        ("convert words.csv x.npz", 2, "no column holds numbers"),
        ("convert quote.csv x.npz", 4, "line 2: a quote that does not end"),
        ("convert bad.csv x.npz --columns-named c", 2, "the columns are: a, b"),
        ("convert bad.csv x.csv --columns-named a", 2, "written as .npz"),
    ] {
        let text = p.run(code, line);
        assert!(text.contains(says), "baler {line}: {text}");
    }
    assert!(!p.names().iter().any(|n| n.starts_with("x.")), "{:?}", p.names());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_get_it() {
    let p = Place::new();
    p.write("t.parquet", b"PAR1");
    assert!(p.run(1, "convert t.parquet t.npz").contains("--features parquet"));
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;
    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    fn write(p: &Place, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let file = std::fs::File::create(p.path(name)).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn columns_of_floats_are_taken_and_others_on_request() {
        let p = Place::new();
        let pt: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), None, Some(3.0)]));
        let mass: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 0.2, 0.3]));
        let charge: ArrayRef = Arc::new(Int64Array::from(vec![-1, 1, 1]));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40, 2, 3]));
        let note: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let all = vec![("pt", pt), ("charge", charge), ("mass", mass), ("id", id), ("note", note)];
        write(&p, "t.parquet", all);
        let report = p.json(0, "convert t.parquet t.npz");
        assert_eq!(report["left_out"], serde_json::json!(["charge", "id", "note"]));
        let info = p.json(0, "info t.npz");
        assert_eq!((&info["arrays"][0]["dtype"], &info["arrays"][0]["shape"][1]), (&"float64".into(), &2.into()));
        p.run(0, "convert t.parquet few.npy --columns-named charge,pt");
        let values: Vec<f32> =
            p.read("few.npy")[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!((&values[..3], values[3].is_nan(), &values[4..]), (&[-1.0, 1.5, 1.0][..], true, &[1.0, 3.0][..]));
        assert!(p.run(1, "convert t.parquet x.npy --columns-named pt,id").contains("cannot hold exactly"));
        assert!(p.run(2, "convert t.parquet x.npy --columns-named note").contains("expected floats"));
    }

    #[test]
    fn a_damaged_file_is_4() {
        let p = Place::new();
        write(&p, "t.parquet", vec![("x", Arc::new(Float32Array::from(vec![1.0; 1000])))]);
        let whole = p.read("t.parquet");
        for cut in [4, 20, whole.len() / 2, whole.len() - 1] {
            p.write("cut.parquet", &whole[..cut]);
            p.run(4, "convert cut.parquet x.npy");
        }
    }
}
