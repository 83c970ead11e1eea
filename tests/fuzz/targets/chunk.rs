//! Chunks, as every host decodes them.

use super::{MIB, Target, mend_checksum};
use baler_codec::{Limits, Registry, decode, describe, encode};
use baler_tests::random;
use std::path::Path;

/// What the caller allows the decoded array to take.
pub const OUTPUT: usize = MIB;

pub const TARGET: Target = Target { name: "chunk", seeds, mend: mend_checksum, run, memory };

/// Random small chunks, and the golden ones.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..300)
        .map(random::case)
        .filter_map(|case| encode(&case.params, &case.original, &Registry::new()).ok())
        .filter(|chunk| chunk.len() < 2000)
        .collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let folders = std::fs::read_dir(golden).into_iter().flatten().flatten();
    let files = folders.flat_map(|release| std::fs::read_dir(release.path()).into_iter().flatten().flatten());
    let mut paths: Vec<_> =
        files.map(|e| e.path()).filter(|path| path.extension().is_some_and(|e| e == "chunk")).collect();
    paths.sort();
    seeds.extend(paths.iter().filter_map(|path| std::fs::read(path).ok()));
    seeds
}

/// 64 times the output (of one-byte elements, which are integers of eight bytes on their way), 256 times the input (an
/// embedded decoder may be packed tightly), and tables of a fixed size.
pub fn memory(len: usize) -> usize {
    64 * OUTPUT + 256 * len + 8 * MIB
}

pub fn run(input: &[u8]) -> Result<String, String> {
    let described = describe(input);
    match decode(input, &Registry::new(), &Limits { max_output_bytes: OUTPUT }) {
        Ok(decoded) => {
            let expected = decoded.shape.iter().product::<usize>() * decoded.dtype.size_bytes();
            if decoded.values.len() != expected {
                return Err(format!("{} bytes decoded, the shape takes {expected}", decoded.values.len()));
            }
            let parts = described.map_err(|e| format!("decoded, but not described: {e}"))?.parts;
            Ok(parts.iter().map(|part| part.candidate).collect::<Vec<_>>().join(" "))
        }
        Err(e) => Ok(e.to_string()),
    }
}
