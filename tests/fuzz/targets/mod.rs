//! What is fuzzed: one file and one line each.

mod abi;
mod bombs;
mod bundle;
mod cd_values;
mod chunk;
mod files;
mod filter;
mod onnx;
mod program;
mod standalone;
mod table;

/// One reader of foreign bytes.
pub struct Target {
    /// What the command line calls it; also the folder of its corpus.
    pub name: &'static str,
    /// Inputs to begin with, made by our writers.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Puts checksums right, so that what lies behind them is reached.
    pub mend: fn(&mut [u8]),
    /// Reads an input: what there is to say of it, or what went wrong with the reader.
    pub run: fn(&[u8]) -> Result<String, String>,
    /// The most bytes of memory that reading an input of this many bytes may take.
    pub memory: fn(usize) -> usize,
}

/// One line per target.
pub const TARGETS: &[Target] = &[
    chunk::TARGET,
    bombs::TARGET,
    bundle::TARGET,
    bundle::MANIFEST,
    onnx::TARGET,
    cd_values::TARGET,
    filter::TARGET,
    standalone::TARGET,
    program::TARGET,
    abi::TARGET,
    table::TARGET,
    table::PARQUET,
    files::TARGET,
];

const MIB: usize = 1 << 20;

/// Leaves the input as it is.
fn as_it_is(_: &mut [u8]) {}

/// What an error says, or that there is none.
fn answer<T>(result: Result<T, impl std::fmt::Display>) -> Result<String, String> {
    Ok(result.map_or_else(|e| e.to_string(), |_| "read".into()))
}

/// Replaces the eight bytes at the end by the XXH3-64 of those before.
fn mend_checksum(input: &mut [u8]) {
    if let Some((body, sum)) = input.split_last_chunk_mut::<8>() {
        *sum = xxhash_rust::xxh3::xxh3_64(body).to_le_bytes();
    }
}
