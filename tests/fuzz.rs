//! A short course of every fuzz target: its corpus, then new inputs for `BALER_FUZZ_SECONDS` (5) each.
//!
//! `files` needs the program `baler` beside the tests (`cargo build --workspace`), and is left out without it.
//!
//! A longer one: `BALER_FUZZ_SECONDS=120 cargo test -p baler-tests --test fuzz`, or the program itself, `fuzz/main.rs`.

use baler_arrow::Documents;
use baler_arrow::parquet::BalerParquetReaderBuilder;
use bytes::Bytes;
use std::path::Path;
use std::process::Command;

fn fuzz(target: &str) {
    let seconds = std::env::var("BALER_FUZZ_SECONDS").unwrap_or_else(|_| "5".into());
    let output = Command::new(env!("CARGO_BIN_EXE_fuzz"))
        .args([target, "--seconds", &seconds])
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", env!("CARGO_BIN_EXE_fuzz")));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{target}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*
    };
}

targets! { chunk bombs bundle manifest onnx cd_values filter standalone program abi table parquet }

#[test]
fn files() {
    let program = Path::new(env!("CARGO_BIN_EXE_fuzz")).with_file_name("baler");
    if program.is_file() {
        fuzz("files");
    } else {
        eprintln!("skipped: {} is not built", program.display());
    }
}

/// `damaged_page.parquet`: a page of integers over which the `parquet` crate's arithmetic overflows. With checks of overflow, as
/// in tests, it panics, and the reader makes an error of that; without, other values may come out, but never the end of the
/// process.
#[test]
fn damaged_page_of_parquet_is_an_error() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parquet/damaged_page.parquet");
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let read = || -> Result<usize, baler_arrow::Error> {
        let builder = BalerParquetReaderBuilder::try_new(Bytes::from(bytes), Documents::new())?;
        builder.build()?.try_fold(0, |rows, batch| Ok(rows + batch?.num_rows()))
    };
    let found = read();
    if cfg!(debug_assertions) {
        let message = found.expect_err("the page is damaged").to_string();
        assert!(message.contains("Parquet file is damaged"), "{message}");
    }
}
