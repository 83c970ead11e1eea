//! Batches there and back: every kind of column, value and row.

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Float16Array, Float32Array, Float64Array, Int32Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use baler_arrow::{
    BLOCK_COLUMN, Comparison, Decoder, Document, Documents, EXACT_COLUMN, Encoder, Limit, MODEL_COLUMN, Mode, Options,
    Ranges, document_ids, parse_limit, plan,
};
use half::f16;
use std::sync::Arc;

fn options(bound: &str) -> Options {
    Options { bound: parse_limit(bound).unwrap(), ..Options::default() }
}

fn planned(batch: &RecordBatch, options: &Options) -> Arc<Document> {
    let mut ranges = Ranges::default();
    ranges.observe(batch).unwrap();
    Arc::new(plan(&batch.schema(), &ranges, batch, options).unwrap().0)
}

fn encoded(batch: &RecordBatch, options: &Options) -> (Arc<Document>, RecordBatch) {
    let document = planned(batch, options);
    let encoder = Encoder::new(document.clone(), &batch.schema()).unwrap();
    (document, encoder.encode(batch).unwrap().batch)
}

fn decoded(codes: &RecordBatch) -> RecordBatch {
    Decoder::new(&codes.schema(), Documents::new(), &[]).unwrap().decode(codes).unwrap()
}

/// What a rewriter leaves: no metadata anywhere.
fn stripped(batch: &RecordBatch) -> RecordBatch {
    let fields: Vec<Field> =
        batch.schema().fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap()
}

fn kinematics(n: usize) -> RecordBatch {
    let mut random = baler_models::simulate::Random::new(3);
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); 5];
    for _ in 0..n {
        let (pt, eta, phi) = (20.0 + 5.0 * random.normal().abs(), random.normal(), random.uniform() * 6.2 - 3.1);
        let row = [pt, eta, phi, pt * phi.cos(), pt * phi.sin()];
        columns.iter_mut().zip(row).for_each(|(c, v)| c.push(v));
    }
    let names = ["pt", "eta", "phi", "px", "py"];
    RecordBatch::try_from_iter(
        names.iter().zip(columns).map(|(n, c)| (*n, Arc::new(Float32Array::from(c)) as ArrayRef)),
    )
    .unwrap()
}

#[test]
fn special_values_come_back_bit_for_bit() {
    let payload = f32::from_bits(0x7fc0_1234);
    let special = [f32::NAN, payload, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 8.0];
    let values: Vec<Option<f32>> = (0..200)
        .map(|i| match i % 10 {
            0 => None,
            3 => Some(special[i / 10 % special.len()]),
            _ => Some(i as f32 * 0.1 - 7.0),
        })
        .collect();
    let wide = Float64Array::from_iter(values.iter().map(|v| v.map(f64::from)));
    let narrow = Float16Array::from_iter(values.iter().map(|v| v.map(f16::from_f32)));
    let batch = RecordBatch::try_from_iter([
        ("narrow", Arc::new(narrow) as ArrayRef),
        ("single", Arc::new(Float32Array::from(values.clone()))),
        ("wide", Arc::new(wide)),
    ])
    .unwrap();
    for bound in ["abs:0.06", "pw_rel:1e-2", "bits:8"] {
        let (document, codes) = encoded(&batch, &options(bound));
        for back in [decoded(&codes), {
            let mut documents = Documents::new();
            documents.add(document.clone());
            let bare = stripped(&codes);
            let ids = document_ids(&bare).unwrap();
            Decoder::new(&bare.schema(), documents, &ids).unwrap().decode(&bare).unwrap()
        }] {
            let (a, b) = (batch.column(1).as_primitive::<Float32Type>(), back.column(1).as_primitive::<Float32Type>());
            assert_eq!(a.nulls(), b.nulls());
            let limit = document.columns()[1].bound;
            for (x, y) in a.iter().zip(b).filter_map(|(x, y)| Some((x?, y?))) {
                let is_special = !x.is_finite() || (x == 0.0 && x.is_sign_negative());
                if is_special {
                    assert_eq!(x.to_bits(), y.to_bits(), "{bound}: {x} {y}");
                } else {
                    let allowed = match limit {
                        Limit::PwRel(rel) => rel * f64::from(x).abs(),
                        Limit::Abs(abs) | Limit::Rel(abs) => abs,
                    };
                    assert!((f64::from(x) - f64::from(y)).abs() <= allowed, "{bound}: {x} {y}");
                }
            }
            let wide = (batch.column(2).as_primitive::<Float64Type>(), back.column(2).as_primitive::<Float64Type>());
            assert!(wide.0.iter().zip(wide.1).all(|(x, y)| x.is_some() == y.is_some()));
            let half = (batch.column(0).as_primitive::<Float16Type>(), back.column(0).as_primitive::<Float16Type>());
            assert!(half.0.iter().zip(half.1).all(|(x, y)| x.is_none_or(f16::is_nan) == y.is_none_or(f16::is_nan)));
        }
    }
}

#[test]
fn other_columns_are_untouched_and_keys_refused() {
    let n = 50;
    let fields = [
        Field::new("event", DataType::Float64, false),
        Field::new("name", DataType::Utf8, true).with_metadata([("unit", "none")]),
        Field::new("time", DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None), false),
        Field::new("x", DataType::Float32, false).with_metadata([("baler.abs", "0.5"), ("unit", "cm")]),
        Field::new("y", DataType::Float32, false),
    ];
    let batch = RecordBatch::try_new(
        Arc::new(Schema::new(fields.to_vec())),
        vec![
            Arc::new(Float64Array::from_iter_values((0..n).map(f64::from))),
            Arc::new(StringArray::from_iter((0..n).map(|i| (i % 3 > 0).then(|| format!("row {i}"))))),
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..n).map(i64::from))),
            Arc::new(Float32Array::from_iter_values((0..n).map(|i| i as f32))),
            Arc::new(Float32Array::from_iter_values((0..n).map(|i| i as f32))),
        ],
    )
    .unwrap();
    // Only the field's own metadata ask for anything.
    let (document, codes) = encoded(&batch, &Options::default());
    assert_eq!(document.columns().iter().map(|c| c.name()).collect::<Vec<_>>(), ["x"]);
    let back = decoded(&codes);
    assert_eq!(back.schema(), batch.schema());
    for c in [0, 1, 2, 4] {
        assert_eq!(back.column(c), batch.column(c));
        assert_eq!(codes.column(c), batch.column(c));
    }

    let mut ranges = Ranges::default();
    ranges.observe(&batch).unwrap();
    let mut asked = options("rel:1e-3");
    asked.keys.insert("event".into(), "the table is sorted by it".into());
    let (document, left) = plan(&batch.schema(), &ranges, &batch, &asked).unwrap();
    assert_eq!(document.columns().len(), 2);
    assert!(left.iter().any(|l| l.column == "event" && l.reason.contains("sorted")), "{left:?}");
    asked.columns.insert("event".into(), Some(Limit::Abs(1.0)));
    let error = plan(&batch.schema(), &ranges, &batch, &asked).unwrap_err().to_string();
    assert!(error.contains("sorted by it"), "{error}");
    let mut wrong = options("rel:1e-3");
    wrong.only = vec!["nope".into()];
    assert!(plan(&batch.schema(), &ranges, &batch, &wrong).unwrap_err().to_string().contains("no column nope"));
    // Encoding twice is refused.
    assert!(Encoder::new(Arc::new(document), &codes.schema()).unwrap_err().to_string().contains("encoded already"));
}

#[test]
fn nested_columns() {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for row in 0..40 {
        for k in 0..row % 4 {
            lists.values().append_option((k != 2).then_some(if row == 7 {
                f32::NAN
            } else {
                row as f32 + k as f32 * 0.3
            }));
        }
        lists.append(row % 5 != 0);
    }
    let lists = lists.finish();
    let inner = Float64Array::from_iter((0..40).map(|i| (i % 6 != 1).then_some(f64::from(i) * 1.7)));
    let flag = Int32Array::from_iter_values(0..40);
    let fields = vec![Field::new("pt", DataType::Float64, true), Field::new("flag", DataType::Int32, false)];
    let structs = StructArray::try_new(fields.into(), vec![Arc::new(inner), Arc::new(flag)], None).unwrap();
    let batch =
        RecordBatch::try_from_iter([("jets", Arc::new(lists) as ArrayRef), ("lead", Arc::new(structs))]).unwrap();
    for part in [batch.clone(), batch.slice(3, 20), batch.slice(0, 0)] {
        let document = planned(&batch, &options("abs:0.01"));
        assert_eq!(document.columns().iter().map(|c| c.name()).collect::<Vec<_>>(), ["jets", "lead.pt"]);
        let encoder = Encoder::new(document, &batch.schema()).unwrap();
        let codes = encoder.encode(&part).unwrap().batch;
        assert_eq!(
            *codes.schema().field_with_name("jets").unwrap().data_type(),
            *encoder.schema().field(0).data_type()
        );
        let back = decoded(&codes);
        assert_eq!(back.num_rows(), part.num_rows());
        for row in 0..part.num_rows() {
            let (a, b) = (part.column(0).as_list::<i32>(), back.column(0).as_list::<i32>());
            assert_eq!(a.is_null(row), b.is_null(row));
            if a.is_valid(row) {
                let (a, b) = (a.value(row), b.value(row));
                for (x, y) in a.as_primitive::<Float32Type>().iter().zip(b.as_primitive::<Float32Type>()) {
                    match (x, y) {
                        (Some(x), Some(y)) => assert!(x.to_bits() == y.to_bits() || (x - y).abs() <= 0.01, "{x} {y}"),
                        other => assert_eq!(other, (None, None)),
                    }
                }
                assert_eq!(a.len(), b.len());
            }
        }
        let (a, b) = (part.column(1).as_struct(), back.column(1).as_struct());
        assert_eq!(a.column(1), b.column(1));
        assert_eq!(a.column(0).null_count(), b.column(0).null_count());
    }
}

#[test]
fn columns_are_predicted_from_others() {
    let batch = kinematics(4000);
    let (document, codes) = encoded(&batch, &options("rel:1e-4"));
    let predicted: Vec<String> =
        document.columns().iter().filter(|c| matches!(c.mode, Mode::Predict { .. })).map(|c| c.name()).collect();
    assert!(!predicted.is_empty(), "nothing found: {:#?}", document.columns());
    let back = decoded(&codes);
    for (column, limit) in document.columns().iter().map(|c| (c.name(), c.bound)) {
        let Limit::Abs(abs) = limit else { panic!("{limit:?}") };
        let values =
            |b: &RecordBatch| b.column_by_name(&column).unwrap().as_primitive::<Float32Type>().values().to_vec();
        for (x, y) in values(&batch).iter().zip(values(&back)) {
            assert!((f64::from(*x) - f64::from(y)).abs() <= abs, "{column}: {x} {y}");
        }
    }
    // Without a column that it follows from, a predicted one says so.
    let needed = document.parents(&predicted[0]);
    let keep: Vec<usize> =
        (0..codes.num_columns()).filter(|&i| !needed.contains(codes.schema().field(i).name())).collect();
    let part = codes.project(&keep).unwrap();
    let error = Decoder::new(&part.schema(), Documents::new(), &[]).unwrap().decode(&part).unwrap_err().to_string();
    assert!(error.contains("is predicted from"), "{error}");
    // With fewer bytes of codes to look at: none is predicted if nobody wants it.
    let plain = planned(&batch, &Options { no_prediction: true, ..options("rel:1e-4") });
    assert!(plain.columns().iter().all(|c| matches!(c.mode, Mode::Plain { .. })));
}

#[test]
fn bases_are_moved_where_codes_become_smaller() {
    let mut random = baler_models::simulate::Random::new(5);
    // Steps of nearly 1 from a smallest value of 0: half of the codes would be below 256, half above.
    let values: Vec<f32> = (0..4000).map(|i| if i == 0 { 0.0 } else { 256.0 + 20.0 * random.normal() }).collect();
    let batch = RecordBatch::try_from_iter([("x", Arc::new(Float32Array::from(values)) as ArrayRef)]).unwrap();
    let (document, codes) = encoded(&batch, &options("abs:0.5"));
    let Mode::Plain { base } = document.columns()[0].mode else { panic!("one column cannot be predicted") };
    assert!((-0xf0..0).contains(&base), "{base}");
    let pages: Vec<i32> = codes.column(0).as_primitive::<Int32Type>().values().iter().map(|code| code >> 8).collect();
    assert!(pages.iter().filter(|&&page| page == pages[1]).count() > 3960);
    let back = decoded(&codes);
    let values = |b: &RecordBatch| b.column(0).as_primitive::<Float32Type>().values().to_vec();
    for (x, y) in values(&batch).iter().zip(values(&back)) {
        assert!((x - y).abs() <= 0.5);
    }
}

#[test]
fn rows_of_several_documents_and_of_none() {
    let batch = kinematics(300);
    let (first, a) = encoded(&batch, &options("rel:1e-3"));
    let (second, b) = encoded(&batch, &Options { no_prediction: true, ..options("abs:0.5") });
    assert_ne!(first.id(), second.id());
    let (a, b) = (stripped(&a), stripped(&b));
    let nulls: Vec<ArrayRef> = a.columns().iter().map(|c| arrow_array::new_null_array(c.data_type(), 5)).collect();
    let none = RecordBatch::try_new(a.schema(), nulls).unwrap();
    let mixed = arrow_select::concat::concat_batches(&a.schema(), [&a, &b, &none]).unwrap();
    let order: Vec<u64> = (0..605).map(|i| i * 7 % 605).collect();
    let mixed = arrow_select::take::take_record_batch(&mixed, &arrow_array::UInt64Array::from(order.clone())).unwrap();
    let mut documents = Documents::new();
    documents.add(first);
    let ids = document_ids(&mixed).unwrap();
    assert_eq!(ids.len(), 2);
    let error = Decoder::new(&mixed.schema(), documents.clone(), &ids).unwrap_err().to_string();
    assert!(error.contains(&second.id().to_string()) && error.contains("looked in"), "{error}");
    documents.add(second);
    let back = Decoder::new(&mixed.schema(), documents, &ids).unwrap().decode(&mixed).unwrap();
    let pt = back.column(0).as_primitive::<Float32Type>();
    let truth = batch.column(0).as_primitive::<Float32Type>();
    for (row, &from) in order.iter().enumerate() {
        if from >= 600 {
            assert!(pt.is_null(row));
        } else {
            assert!((pt.value(row) - truth.value(from as usize % 300)).abs() <= 0.5);
        }
    }
}

#[test]
fn damage_is_an_error() {
    let values = Float32Array::from_iter((0..100).map(|i| Some(if i % 9 == 0 { f32::NAN } else { i as f32 })));
    let batch = RecordBatch::try_from_iter([("x", Arc::new(values) as ArrayRef)]).unwrap();
    let (_, codes) = encoded(&batch, &options("abs:0.1"));
    let decode = |batch: &RecordBatch| {
        Decoder::new(&batch.schema(), Documents::new(), &[])
            .and_then(|mut d| d.decode(batch))
            .map_err(|e| e.to_string())
    };
    let with = |name: &str, array: ArrayRef| {
        let schema = codes.schema();
        let c = schema.index_of(name).unwrap();
        let mut columns = codes.columns().to_vec();
        columns[c] = array;
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields[c] = Arc::new(fields[c].as_ref().clone().with_data_type(columns[c].data_type().clone()));
        RecordBatch::try_new(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns).unwrap()
    };
    // Exact values cut, for another column, beside a code; codes of another type; ids that are none; no exact values.
    let bytes: &[&[u8]] = &[&[0, 0, 1], &[9, 0, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0], &[0xff; 12]];
    for bad in bytes {
        let rows = (0..100).map(|i| (i == 1).then_some(*bad));
        assert!(decode(&with(EXACT_COLUMN, Arc::new(arrow_array::BinaryArray::from_iter(rows)))).is_err(), "{bad:?}");
    }
    let error = decode(&with("x", Arc::new(Float64Array::from(vec![1.0; 100])))).unwrap_err();
    assert!(error.contains("Float64"), "{error}");
    assert!(decode(&with(MODEL_COLUMN, Arc::new(StringArray::from(vec!["no id"; 100])))).is_err());
    assert!(decode(&with(MODEL_COLUMN, Arc::new(Int32Array::from(vec![1; 100])))).is_err());
    let error = decode(&codes.project(&[0, 1]).unwrap()).unwrap_err();
    assert!(error.contains(EXACT_COLUMN), "{error}");
}

#[test]
fn conditions_become_ranges_of_codes() {
    let values = Float32Array::from_iter_values((0..2000).map(|i| (i as f32 * 0.618).sin() * 50.0));
    let batch = RecordBatch::try_from_iter([("x", Arc::new(values) as ArrayRef)]).unwrap();
    for bound in ["abs:0.3", "bits:6"] {
        let (document, codes) = encoded(&batch, &options(bound));
        let back = decoded(&codes);
        let codes = codes.column(0).as_primitive::<Int32Type>();
        for limit in [-60.0, -12.25, 0.0, 7.0, 49.9, 60.0, f64::INFINITY, f64::NAN] {
            for comparison in [
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Equal,
                Comparison::GreaterOrEqual,
                Comparison::Greater,
            ] {
                let range = document.code_range(&["x"], comparison, limit).unwrap();
                for (row, value) in back.column(0).as_primitive::<Float32Type>().values().iter().enumerate() {
                    let inside = codes.is_valid(row) && range.contains(&i64::from(codes.value(row)));
                    if codes.is_valid(row) {
                        assert_eq!(
                            inside,
                            comparison.holds(f64::from(*value), limit),
                            "{bound} {comparison:?} {limit} {value}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn archives_hold_values_in_blocks() {
    let values = |shift: usize| -> RecordBatch {
        let special = [f32::from_bits(0x7fc0_1234), f32::INFINITY, -0.0];
        let single = (0..500).map(|i| match (i + shift) % 50 {
            0 => None,
            7 => Some(special[i % 3]),
            k => Some(k as f32 * 0.3 + (i % 7) as f32),
        });
        let wide = (0..500).map(|i| f64::from(i * i % 977) + 1.0);
        RecordBatch::try_from_iter([
            ("event", Arc::new(Int32Array::from_iter_values(0..500)) as ArrayRef),
            ("single", Arc::new(single.collect::<Float32Array>())),
            ("other", Arc::new(Float32Array::from_iter_values((0..500).map(|i| (i as f32).sin())))),
            ("wide", Arc::new(Float64Array::from_iter_values(wide))),
        ])
        .unwrap()
    };
    let (one, two) = (values(0), values(9));
    let mut options = options("abs:0.01");
    options.columns.insert("wide".into(), parse_limit("pw_rel:1e-3").unwrap());
    let document = planned(&one, &options);
    let encoder = Encoder::archive(document, &one.schema()).unwrap();
    let (a, b) = (encoder.encode(&one).unwrap().batch, encoder.encode(&two).unwrap().batch);
    assert_eq!((a.num_rows(), a.column(1).data_type()), (500, &DataType::Boolean));
    // Parts of blocks, and rows that a filter left of them.
    let even = arrow_array::BooleanArray::from_iter((0..500).map(|i| Some(i % 2 == 0)));
    let filtered = arrow_select::filter::filter_record_batch(&b, &even).unwrap();
    let mut decoder = Decoder::new(&a.schema(), Documents::new(), &[]).unwrap();
    assert_eq!(decoder.schema().fields(), one.schema().fields());
    let mut found = vec![decoder.decode(&a.slice(0, 123)).unwrap(), decoder.decode(&a.slice(123, 377)).unwrap()];
    found.push(decoder.decode(&filtered).unwrap());
    let found = arrow_select::concat::concat_batches(&one.schema(), &found).unwrap();
    let half = arrow_select::filter::filter_record_batch(&two, &even).unwrap();
    let expected = arrow_select::concat::concat_batches(&one.schema(), [&one, &half]).unwrap();
    assert_eq!(found.column(0), expected.column(0));
    let columns =
        |c: usize| (found.column(c).as_primitive::<Float32Type>(), expected.column(c).as_primitive::<Float32Type>());
    for (x, y) in [columns(1), columns(2)] {
        assert_eq!(x.nulls(), y.nulls());
        for (x, y) in x.iter().flatten().zip(y.iter().flatten()) {
            let is_special = !y.is_finite() || y.to_bits() == (-0.0f32).to_bits();
            assert!(if is_special { x.to_bits() == y.to_bits() } else { (x - y).abs() <= 0.01 }, "{x} {y}");
        }
    }
    let (x, y) = (found.column(3).as_primitive::<Float64Type>(), expected.column(3).as_primitive::<Float64Type>());
    assert!(x.values().iter().zip(y.values()).all(|(x, y)| (x - y).abs() <= 1e-3 * y));
    // Without the row that holds their block, with rows of another block, damaged, without what decoding needs.
    let new = |schema: &Schema| Decoder::new(schema, Documents::new(), &[]);
    assert!(new(&a.schema()).unwrap().decode(&a.slice(1, 9)).unwrap_err().to_string().contains("read whole"));
    let mixed = arrow_select::concat::concat_batches(&a.schema(), [&a, &b.slice(3, 4)]).unwrap();
    assert!(new(&a.schema()).unwrap().decode(&mixed).is_err());
    let mut columns = a.columns().to_vec();
    let block = a.column_by_name(BLOCK_COLUMN).unwrap().as_binary::<i32>().value(0);
    for cut in [0, 5, block.len() / 2, block.len() - 1] {
        let cut = (0..500).map(|row| (row == 0).then_some(&block[..cut]));
        columns[5] = Arc::new(arrow_array::BinaryArray::from_iter(cut));
        let damaged = RecordBatch::try_new(a.schema(), columns.clone()).unwrap();
        assert!(new(&a.schema()).unwrap().decode(&damaged).is_err());
    }
    let bare = a.project(&[0, 1, 6]).unwrap();
    assert!(new(&bare.schema()).unwrap_err().to_string().contains(BLOCK_COLUMN));
    assert!(Encoder::archive(planned(&one, &options), &a.schema()).is_err());
}

#[test]
fn layouts_of_codes_keep_their_order() {
    // 5,000 levels: neither byte is worth a whole one.
    let mut random = baler_models::simulate::Random::new(5);
    let x = Float32Array::from_iter_values((0..40_000).map(|_| random.uniform()));
    let batch = RecordBatch::try_from_iter([("x", Arc::new(x) as ArrayRef)]).unwrap();
    let (document, codes) = encoded(&batch, &options("rel:1e-4"));
    assert!(document.columns()[0].low_bits < 8 && document.parameters().format == 2);
    let back = decoded(&codes);
    let (values, codes) = (back.column(0).as_primitive::<Float32Type>(), codes.column(0).as_primitive::<Int32Type>());
    let mut pairs: Vec<(i32, f32)> = codes.values().iter().copied().zip(values.values().iter().copied()).collect();
    pairs.sort_by_key(|pair| pair.0);
    assert!(pairs.is_sorted_by_key(|pair| pair.1));
    for limit in [-1.0, 0.25, 0.5, 0.999, 2.0] {
        for comparison in [Comparison::Less, Comparison::GreaterOrEqual, Comparison::Equal] {
            let range = document.code_range(&["x"], comparison, limit).unwrap();
            let agrees =
                |&(code, value): &(i32, f32)| range.contains(&code.into()) == comparison.holds(value.into(), limit);
            assert!(pairs.iter().all(agrees), "{comparison:?} {limit}");
        }
    }
}
