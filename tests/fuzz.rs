//! A short course of every fuzz target: its corpus, then new inputs for `BALER_FUZZ_SECONDS` (5) each.
//!
//! `files` needs the program `baler` beside the tests (`cargo build --workspace`), and is left out without it.
//!
//! A longer one: `BALER_FUZZ_SECONDS=120 cargo test -p baler-tests --test fuzz`, or the program itself, `fuzz/main.rs`.

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
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_fuzz")).with_file_name("baler");
    if program.is_file() {
        fuzz("files");
    } else {
        eprintln!("skipped: {} is not built", program.display());
    }
}
