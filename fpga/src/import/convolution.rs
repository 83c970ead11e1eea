//! Convolutions as dense layers.

use super::graph::MAX_VALUES;
use super::operators::{Call, Tensor};
use baler_codec::{Error, Result};

/// The weights of a dense layer that a convolution would have to list: beyond that it is no small one.
const MAX_WEIGHTS: usize = 1 << 24;

/// Geometry along one axis.
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// The input that kernel position `k` takes for output `o`; none on padding.
    fn tap(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.pad).filter(|&i| i < self.input)
    }
}

/// Shape of the output, rows of weights, biases.
type Lowered = (Vec<usize>, Vec<Vec<f64>>, Vec<f64>);

/// The dense layer of a `Conv` node over one or two axes, for an input of `dims` (channels first).
pub fn lower(call: &mut Call<'_, '_, '_>, dims: &[usize], w: &Tensor, bias: Option<&Tensor>) -> Result<Lowered> {
    let Some((&n_in, spatial)) = dims.split_first().filter(|(_, spatial)| (1..=2).contains(&spatial.len())) else {
        return Err(Error::unsupported(format!("a convolution over rows of shape {dims:?}: expected one or two axes")));
    };
    if w.dims.len() != spatial.len() + 2 || w.dims.contains(&0) {
        return Err(Error::model(format!("weights of shape {:?}: expected {} axes", w.dims, spatial.len() + 2)));
    }
    let (n_out, per_group) = (w.dims[0], w.dims[1]);
    let groups = usize::try_from(call.attributes.int("group", 1)?).unwrap_or(0);
    if groups == 0 || n_out % groups != 0 || per_group.checked_mul(groups) != Some(n_in) {
        return Err(Error::model(format!(
            "weights of shape {:?} in {groups} groups do not fit {n_in} channels",
            w.dims
        )));
    }
    let axes = axes(call, spatial, &w.dims[2..])?;
    // One axis is two of which the first has extent 1.
    let unit = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0 };
    let (high, wide) = match &axes[..] {
        [one] => (&unit, one),
        [high, wide] => (high, wide),
        _ => unreachable!("one or two axes"),
    };
    let n_inputs = n_in * high.input * wide.input;
    let n_outputs = n_out.checked_mul(high.output * wide.output).filter(|&n| n <= MAX_VALUES);
    let n_outputs = n_outputs.filter(|n| n * n_inputs <= MAX_WEIGHTS).ok_or_else(|| {
        Error::unsupported(format!("as a dense layer it has more than {MAX_WEIGHTS} weights: it is too large"))
    })?;
    let biases = match bias {
        None => vec![0.0; n_out],
        Some(bias) if bias.values.len() == n_out => bias.values.clone(),
        Some(bias) => return Err(Error::model(format!("{} biases for {n_out} channels", bias.values.len()))),
    };
    let mut weights = vec![vec![0.0; n_inputs]; n_outputs];
    let area = high.output * wide.output;
    for (j, row) in weights.iter_mut().enumerate() {
        let (channel, y, x) = (j / area, j % area / wide.output, j % wide.output);
        let first = channel / (n_out / groups) * per_group;
        for c in 0..per_group {
            for ky in 0..high.kernel {
                for kx in 0..wide.kernel {
                    let (Some(iy), Some(ix)) = (high.tap(y, ky), wide.tap(x, kx)) else { continue };
                    let at = ((channel * per_group + c) * high.kernel + ky) * wide.kernel + kx;
                    row[((first + c) * high.input + iy) * wide.input + ix] = w.values[at];
                }
            }
        }
    }
    let mut dims = vec![n_out];
    dims.extend(axes.iter().map(|axis| axis.output));
    Ok((dims, weights, (0..n_outputs).map(|j| biases[j / area]).collect()))
}

fn axes(call: &mut Call<'_, '_, '_>, spatial: &[usize], kernel: &[usize]) -> Result<Vec<Axis>> {
    let n = spatial.len();
    let mut list = |name: &str, len: usize, default: usize, least: i64| -> Result<Vec<usize>> {
        match call.attributes.ints(name) {
            None => Ok(vec![default; len]),
            Some(list) if list.len() == len && list.iter().all(|&v| v >= least && v <= MAX_VALUES as i64) => {
                Ok(list.iter().map(|&v| v as usize).collect())
            }
            Some(list) => Err(Error::unsupported(format!("{name} = {list:?}: expected {len} numbers from {least} on"))),
        }
    };
    let shape = list("kernel_shape", n, 0, 1)?;
    if shape.iter().any(|&k| k != 0) && shape != kernel {
        return Err(Error::model(format!("kernel_shape = {shape:?}, but the weights have {kernel:?}")));
    }
    let (strides, dilations, mut pads) =
        (list("strides", n, 1, 1)?, list("dilations", n, 1, 1)?, list("pads", 2 * n, 0, 0)?);
    let extents: Vec<usize> = kernel.iter().zip(&dilations).map(|(k, d)| (k - 1) * d + 1).collect();
    match call.attributes.string("auto_pad", "NOTSET")? {
        "NOTSET" | "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for a in 0..n {
                let output = spatial[a].div_ceil(strides[a]);
                let total = ((output - 1) * strides[a] + extents[a]).saturating_sub(spatial[a]);
                let before = if same == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) };
                (pads[a], pads[n + a]) = (before, total - before);
            }
        }
        other => return Err(Error::unsupported(format!("auto_pad = {other:?} is unknown"))),
    }
    (0..n)
        .map(|a| {
            let room = (spatial[a] + pads[a] + pads[n + a]).checked_sub(extents[a]);
            let output = room.map(|room| room / strides[a] + 1).ok_or_else(|| {
                Error::model(format!("a kernel of {} on an axis of {} values", extents[a], spatial[a]))
            })?;
            Ok(Axis {
                input: spatial[a],
                output,
                kernel: kernel[a],
                stride: strides[a],
                dilation: dilations[a],
                pad: pads[a],
            })
        })
        .collect()
}
