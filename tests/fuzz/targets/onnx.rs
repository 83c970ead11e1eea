//! ONNX files for the exact engine. Its corpus holds small networks of every operator.

use super::{MIB, Target, as_it_is};
use baler_codec::inference::Network;
use baler_tests::walsh;

pub const TARGET: Target = Target { name: "onnx", seeds, mend: as_it_is, run, memory };

fn seeds() -> Vec<Vec<u8>> {
    let bundle = walsh::bundle("walsh");
    [Some(bundle.decoder_onnx()), bundle.encoder_onnx()].into_iter().flatten().map(<[u8]>::to_vec).collect()
}

/// Tensors of a row that is run; a graph may claim more, and is not run here then.
const MOST_VALUES: usize = 1 << 16;

fn memory(len: usize) -> usize {
    64 * MIB + 256 * len
}

fn run(input: &[u8]) -> Result<String, String> {
    let network = match Network::from_onnx(input) {
        Ok(network) => network,
        Err(e) => return Ok(e.to_string()),
    };
    let (inputs, outputs) = (network.input_len(), network.output_len());
    if inputs > MOST_VALUES || outputs > MOST_VALUES {
        return Ok("large".into());
    }
    let row: Vec<f32> = (0..inputs).map(|i| (i % 7) as f32 - 3.0).collect();
    let mut output = vec![0.0; outputs];
    Ok(network.run(1, &row, &mut output).map_or_else(|e| e.to_string(), |()| format!("run: {inputs} to {outputs}")))
}
