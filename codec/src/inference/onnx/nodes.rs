//! The supported operators, one function for each kind.

use super::attributes::Attributes;
use super::constant::{Constant, Data, element};
use super::convolution::{self, Axis};
use super::steps::{Builder, Dynamic, features};
use crate::error::{Error, Result};
use crate::inference::activation::Unary;
use crate::inference::kernels::{Class, Linear, LinearSpec, PANEL, Position, Tap};
use crate::inference::plan::{Arithmetic, Op, Operand};
use std::rc::Rc;

/// A tensor while the graph is read.
#[derive(Clone, Debug)]
pub enum Value {
    /// Known now.
    Constant(Constant),
    /// Computed from the input.
    Dynamic(Dynamic),
}

/// What a node's function works with.
pub struct Call<'b, 'n, 'a> {
    pub builder: &'b mut Builder,
    pub inputs: Vec<Option<Value>>,
    pub attributes: Attributes<'n, 'a>,
    /// The graph fixes its batch to one row; shapes in it may then say 1 where they mean the batch.
    pub batch_is_one: bool,
}

type Run = fn(&mut Call<'_, '_, '_>) -> Result<Value>;

/// Every operator, by its ONNX name.
const OPERATORS: &[(&str, Run)] = &[
    ("Add", |c| arithmetic(c, Arithmetic::Add)),
    ("BatchNormalization", batch_normalization),
    ("Cast", cast),
    ("Clip", clip),
    ("Concat", concat),
    ("Constant", constant),
    ("Conv", |c| convolution(c, false)),
    ("ConvTranspose", |c| convolution(c, true)),
    ("DequantizeLinear", dequantize_linear),
    ("Div", |c| arithmetic(c, Arithmetic::Div)),
    ("Dropout", dropout),
    ("Elu", |c| {
        let alpha = c.attributes.float("alpha", 1.0)?;
        unary(c, Unary::Elu(alpha))
    }),
    ("Flatten", flatten),
    ("Gelu", gelu),
    ("Gemm", gemm),
    ("Identity", |c| c.input(0)),
    ("LeakyRelu", |c| {
        let alpha = c.attributes.float("alpha", 0.01)?;
        unary(c, Unary::LeakyRelu(alpha))
    }),
    ("MatMul", mat_mul),
    ("Mul", |c| arithmetic(c, Arithmetic::Mul)),
    ("PRelu", p_relu),
    ("Pow", pow),
    ("Relu", |c| unary(c, Unary::Relu)),
    ("Reshape", reshape),
    ("Sigmoid", |c| unary(c, Unary::Sigmoid)),
    ("Slice", slice),
    ("Softplus", |c| unary(c, Unary::Softplus)),
    ("Sqrt", |c| unary(c, Unary::Sqrt)),
    ("Squeeze", squeeze),
    ("Sub", |c| arithmetic(c, Arithmetic::Sub)),
    ("Tanh", |c| unary(c, Unary::Tanh)),
    ("Transpose", transpose),
    ("Unsqueeze", unsqueeze),
];

/// Runs the operator `op`.
pub fn run(op: &str, call: &mut Call<'_, '_, '_>) -> Result<Value> {
    match OPERATORS.iter().find(|(name, _)| *name == op) {
        Some((_, run)) => run(call),
        None => Err(Error::unsupported(format!("operator {op} is not supported; {}", supported()))),
    }
}

/// "supported are Add, ...", for errors.
pub fn supported() -> String {
    let names: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
    format!("supported are {}", names.join(", "))
}

impl Call<'_, '_, '_> {
    fn opt_input(&self, i: usize) -> Option<Value> {
        self.inputs.get(i).cloned().flatten()
    }

    fn input(&self, i: usize) -> Result<Value> {
        self.opt_input(i).ok_or_else(|| Error::model(format!("input {i} is missing")))
    }

    fn dynamic(&self, i: usize) -> Result<Dynamic> {
        match self.input(i)? {
            Value::Dynamic(value) => Ok(value),
            Value::Constant(_) => {
                Err(Error::unsupported(format!("input {i} is a constant: expected a tensor computed from the input")))
            }
        }
    }

    fn constant(&self, i: usize) -> Result<Constant> {
        self.opt_constant(i)?.ok_or_else(|| Error::model(format!("input {i} is missing")))
    }

    fn opt_constant(&self, i: usize) -> Result<Option<Constant>> {
        match self.opt_input(i) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(Value::Dynamic(_)) => {
                Err(Error::unsupported(format!("input {i} is computed from the input: expected a constant")))
            }
        }
    }
}

/// A 32-bit index; tensors are limited to far fewer values.
fn index(i: usize) -> Result<u32> {
    u32::try_from(i).map_err(|_| Error::unsupported("a tensor is too large"))
}

/// Axis `axis` of `rank`, counted from the end if negative.
fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let from_start = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Error::model(format!("axis {axis} of a tensor with {rank} axes")))
}

fn mixes_rows(what: &str) -> Error {
    Error::unsupported(format!("{what} changes axis 0, the batch: rows must stay independent"))
}

// ---- activations

fn unary(call: &mut Call<'_, '_, '_>, op: Unary) -> Result<Value> {
    let x = call.dynamic(0)?;
    call.builder.step(Op::Unary(op), &[&x], x.dims.clone()).map(Value::Dynamic)
}

fn clip(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let limit = |i: usize, default: f32| match call.opt_constant(i)? {
        None => Ok(default),
        Some(limit) => match limit.as_floats()? {
            [value] if !value.is_nan() => Ok(*value),
            _ => Err(Error::model(format!("input {i} is not one number"))),
        },
    };
    let (low, high) = (limit(1, f32::NEG_INFINITY)?, limit(2, f32::INFINITY)?);
    unary(call, Unary::Clip(low, high))
}

fn gelu(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    match call.attributes.string("approximate", "none")? {
        "none" => unary(call, Unary::Gelu),
        "tanh" => unary(call, Unary::GeluTanh),
        other => Err(Error::unsupported(format!("approximate = {other:?}: expected \"none\" or \"tanh\""))),
    }
}

fn p_relu(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, slope) = (call.dynamic(0)?, call.constant(1)?);
    let slope = operand(call.builder, &slope, &x.dims)?;
    call.builder.step(Op::PRelu(slope), &[&x], x.dims.clone()).map(Value::Dynamic)
}

fn dropout(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    call.attributes.ignore("seed");
    if let Some(training) = call.opt_constant(2)?
        && training.as_ints()?.iter().any(|&t| t != 0)
    {
        return Err(Error::unsupported("training_mode is on: export the model for inference"));
    }
    call.input(0)
}

// ---- arithmetic with constants

/// A constant broadcast to tensors of `dims` (without batch).
fn operand(builder: &mut Builder, constant: &Constant, dims: &[usize]) -> Result<Operand> {
    let values = constant.as_floats()?;
    let misfit = || {
        Error::unsupported(format!(
            "a constant of shape {:?} does not broadcast to rows of shape {dims:?} (the batch, axis 0, left out)",
            constant.dims
        ))
    };
    if let [value] = values
        && constant.dims.len() <= dims.len() + 1
    {
        return Ok(Operand::Uniform(*value));
    }
    // Aligned at the last axis; an axis of the batch's rank must be 1.
    let own = match constant.dims.len().checked_sub(dims.len()) {
        None | Some(0) => &constant.dims[..],
        Some(1) if constant.dims[0] == 1 => &constant.dims[1..],
        _ => return Err(misfit()),
    };
    let lead = dims.len() - own.len();
    if own.iter().zip(&dims[lead..]).any(|(&own, &dim)| own != dim && own != 1) {
        return Err(misfit());
    }
    let len = features(dims)?;
    builder.spend(len)?;
    let mut strides = vec![0; dims.len()];
    let mut stride = 1;
    for (axis, &extent) in own.iter().enumerate().rev() {
        strides[lead + axis] = if extent == 1 { 0 } else { stride };
        stride *= extent;
    }
    let each = (0..len).map(|i| values[strided(i, dims, &strides)]).collect();
    Ok(Operand::Each(each))
}

/// Where element `i` of a tensor of `dims` in C order is with other strides.
fn strided(mut i: usize, dims: &[usize], strides: &[usize]) -> usize {
    let mut at = 0;
    for (&dim, &stride) in dims.iter().zip(strides).rev() {
        at += i % dim * stride;
        i /= dim;
    }
    at
}

fn arithmetic(call: &mut Call<'_, '_, '_>, op: Arithmetic) -> Result<Value> {
    let (x, inputs, op) = match (call.input(0)?, call.input(1)?) {
        (Value::Dynamic(x), Value::Constant(c)) => {
            let operand = operand(call.builder, &c, &x.dims)?;
            (x.clone(), vec![x], Op::Constant { op, operand, swapped: false })
        }
        (Value::Constant(c), Value::Dynamic(x)) => {
            let operand = operand(call.builder, &c, &x.dims)?;
            (x.clone(), vec![x], Op::Constant { op, operand, swapped: true })
        }
        (Value::Dynamic(a), Value::Dynamic(b)) if a.dims == b.dims => (a.clone(), vec![a, b], Op::Binary(op)),
        (Value::Dynamic(a), Value::Dynamic(b)) => {
            return Err(Error::unsupported(format!(
                "tensors of different shapes {:?} and {:?} (without the batch): only constants broadcast",
                a.dims, b.dims
            )));
        }
        (Value::Constant(_), Value::Constant(_)) => {
            return Err(Error::unsupported("both inputs are constants: simplify the model before export"));
        }
    };
    let inputs: Vec<&Dynamic> = inputs.iter().collect();
    call.builder.step(op, &inputs, x.dims).map(Value::Dynamic)
}

/// Squares and square roots, as divisive normalisation has them: exact, which other powers are not.
fn pow(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, exponent) = (call.dynamic(0)?, call.constant(1)?);
    match exponent.cast(element::FLOAT)?.as_floats()? {
        [2.0] => call.builder.step(Op::Binary(Arithmetic::Mul), &[&x, &x], x.dims.clone()).map(Value::Dynamic),
        [0.5] => unary(call, Unary::Sqrt),
        other => Err(Error::unsupported(format!("exponent {other:?}: expected 2 or 0.5"))),
    }
}

fn batch_normalization(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.dynamic(0)?;
    let epsilon = f64::from(call.attributes.float("epsilon", 1e-5)?);
    call.attributes.ignore("momentum");
    if call.attributes.int("training_mode", 0)? != 0 {
        return Err(Error::unsupported("training_mode is on: export the model for inference"));
    }
    let Some(&channels) = x.dims.first() else {
        return Err(Error::model("its input has no channel axis"));
    };
    let parameters = (1..5).map(|i| call.constant(i)).collect::<Result<Vec<_>>>()?;
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| parameters[i].as_floats());
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    if [gamma, beta, mean, variance].iter().any(|p| p.len() != channels) {
        return Err(Error::model(format!("its parameters do not have one value for each of {channels} channels")));
    }
    let len = x.len();
    call.builder.spend(2 * len)?;
    let (mut scale, mut shift) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for c in 0..channels {
        let s = f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt();
        scale.extend(std::iter::repeat_n(s as f32, len / channels));
        let b = f64::from(beta[c]) - f64::from(mean[c]) * s;
        shift.extend(std::iter::repeat_n(b as f32, len / channels));
    }
    let op = Op::Affine { scale: Operand::Each(scale), shift: Operand::Each(shift) };
    call.builder.step(op, &[&x], x.dims.clone()).map(Value::Dynamic)
}

// ---- linear layers

/// Accounts for a layer's weights, packed in panels. In tiles they take as much again, which is not counted: networks that
/// were read once must be read for ever.
fn spend_weights(builder: &mut Builder, groups: usize, n_k: usize, n_channels: usize) -> Result<()> {
    let n = n_channels.div_ceil(PANEL).checked_mul(PANEL);
    let n = n.and_then(|n| n.checked_mul(n_k)).and_then(|n| n.checked_mul(groups));
    builder.spend(n.unwrap_or(usize::MAX))
}

/// `x` times a matrix along its last axis.
fn dense(
    call: &mut Call<'_, '_, '_>,
    x: &Dynamic,
    n_k: usize,
    n_channels: usize,
    weight: &dyn Fn(usize, usize, usize) -> f32,
    bias: Option<&dyn Fn(usize, usize) -> f32>,
) -> Result<Value> {
    let Some((&last, leading)) = x.dims.split_last() else {
        return Err(Error::model("its first input has no axis beside the batch"));
    };
    if last != n_k {
        return Err(Error::model(format!("rows of {last} values meet a matrix for {n_k}")));
    }
    let n_positions: usize = leading.iter().product();
    let dims = [leading, &[n_channels]].concat();
    let n_outputs = features(&dims)?;
    spend_weights(call.builder, 1, n_k, n_channels)?;
    let taps = (0..n_k).map(|k| Ok(Tap { offset: index(k)?, k: index(k)? })).collect::<Result<_>>()?;
    let positions = (0..n_positions)
        .map(|p| Ok(Position { input: index(p * n_k)?, output: index(p * n_channels)? }))
        .collect::<Result<_>>()?;
    let linear = Linear::new(LinearSpec {
        n_inputs: x.len(),
        n_outputs,
        n_channels,
        n_k,
        stride: 1,
        classes: vec![Class::new(taps, positions)],
        groups: vec![(0, 0)],
        weight,
        bias,
    })?;
    call.builder.step(Op::Linear(Box::new(linear)), &[x], dims).map(Value::Dynamic)
}

fn matrix(constant: &Constant) -> Result<(usize, usize)> {
    match constant.dims[..] {
        [rows, columns] if rows > 0 && columns > 0 => Ok((rows, columns)),
        _ => Err(Error::unsupported(format!("its second input has shape {:?}: expected a matrix", constant.dims))),
    }
}

fn gemm(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, b, c) = (call.dynamic(0)?, call.constant(1)?, call.opt_constant(2)?);
    let (alpha, beta) = (call.attributes.float("alpha", 1.0)?, call.attributes.float("beta", 1.0)?);
    if call.attributes.int("transA", 0)? != 0 {
        return Err(mixes_rows("transA = 1"));
    }
    let transposed = call.attributes.int("transB", 0)? != 0;
    if x.dims.len() != 1 {
        return Err(Error::model(format!("rows of shape {:?}: expected one axis beside the batch", x.dims)));
    }
    let (rows, columns) = matrix(&b)?;
    let weights = b.as_floats()?;
    let (n_k, n_channels) = if transposed { (columns, rows) } else { (rows, columns) };
    let weight = |_, k, o| alpha * weights[if transposed { o * columns + k } else { k * columns + o }];
    let Some(c) = c else {
        return dense(call, &x, n_k, n_channels, &weight, None);
    };
    let bias = c.as_floats()?;
    let fits = match c.dims[..] {
        [] | [1] | [1, 1] => true,
        [n] | [1, n] => n == n_channels,
        _ => false,
    };
    if !fits {
        return Err(Error::unsupported(format!("a bias of shape {:?} for {n_channels} outputs", c.dims)));
    }
    let bias = |_, o| beta * bias[if bias.len() == 1 { 0 } else { o }];
    dense(call, &x, n_k, n_channels, &weight, Some(&bias))
}

fn mat_mul(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, b) = (call.dynamic(0)?, call.constant(1)?);
    let (n_k, n_channels) = matrix(&b)?;
    let weights = b.as_floats()?;
    dense(call, &x, n_k, n_channels, &|_, k, o| weights[k * n_channels + o], None)
}

/// A list attribute of a convolution, one entry for each axis and each not below `least`.
fn per_axis(list: Option<&[i64]>, name: &str, n: usize, default: usize, least: i64) -> Result<Vec<usize>> {
    let Some(list) = list else { return Ok(vec![default; n]) };
    if list.len() != n || list.iter().any(|&v| v < least || v > i64::from(i32::MAX)) {
        return Err(Error::unsupported(format!("{name} = {list:?}: expected {n} numbers of at least {least}")));
    }
    Ok(list.iter().map(|&v| v as usize).collect())
}

fn convolution(call: &mut Call<'_, '_, '_>, transposed: bool) -> Result<Value> {
    let (x, w, b) = (call.dynamic(0)?, call.constant(1)?, call.opt_constant(2)?);
    let weights = w.as_floats()?;
    let Some((&n_in, spatial)) = x.dims.split_first() else {
        return Err(Error::model("its input has no channel axis"));
    };
    let n = spatial.len();
    if !(1..=3).contains(&n) {
        return Err(Error::unsupported(format!("a convolution over {n} axes: expected 1 to 3")));
    }
    if w.dims.len() != n + 2 || w.dims.contains(&0) {
        return Err(Error::model(format!("weights of shape {:?}: expected {} axes", w.dims, n + 2)));
    }
    let kernel = &w.dims[2..];
    if let Some(shape) = call.attributes.ints("kernel_shape")
        && !shape.iter().copied().eq(kernel.iter().map(|&k| k as i64))
    {
        return Err(Error::model(format!("kernel_shape = {shape:?}, but the weights have shape {:?}", w.dims)));
    }
    let groups = usize::try_from(call.attributes.int("group", 1)?).unwrap_or(0);
    // Weights are [out, in / groups, ...], transposed ones [in, out / groups, ...].
    let (channels, n_out) = match (transposed, groups) {
        (_, 0) => return Err(Error::model("group is not above 0")),
        (false, g) => (w.dims[1], w.dims[0] / g),
        (true, g) => (w.dims[0] / g, w.dims[1]),
    };
    if channels.checked_mul(groups) != Some(n_in) || w.dims[0] % groups != 0 {
        return Err(Error::model(format!(
            "weights of shape {:?} with {groups} groups do not fit {n_in} input channels",
            w.dims
        )));
    }
    let axes = axes(call, spatial, kernel, transposed)?;
    let mut dims = vec![n_out * groups];
    dims.extend(axes.iter().map(|axis| axis.output));
    let n_outputs = features(&dims)?;
    let volume = n_outputs / dims[0];
    let input_volume: usize = spatial.iter().product();
    let kernel_volume: usize = kernel.iter().product();
    let n_k = channels * kernel_volume;
    spend_weights(call.builder, groups, n_k, n_out)?;
    let group_starts = (0..groups)
        .map(|g| Ok((index(g * channels * input_volume)?, index(g * n_out * volume)?)))
        .collect::<Result<_>>()?;
    let weight = |g, k, o| {
        let at = if transposed {
            ((g * channels + k / kernel_volume) * n_out + o) * kernel_volume + k % kernel_volume
        } else {
            (g * n_out + o) * n_k + k
        };
        weights[at]
    };
    let bias = match &b {
        None => None,
        Some(bias) if bias.dims == [dims[0]] => Some(bias.as_floats()?),
        Some(bias) => return Err(Error::model(format!("a bias of shape {:?} for {} channels", bias.dims, dims[0]))),
    };
    let bias = bias.map(|bias| move |g: usize, o: usize| bias[g * n_out + o]);
    let linear = Linear::new(LinearSpec {
        n_inputs: x.len(),
        n_outputs,
        n_channels: n_out,
        n_k,
        stride: volume,
        classes: convolution::classes(&axes, channels)?,
        groups: group_starts,
        weight: &weight,
        bias: bias.as_ref().map(|bias| bias as &dyn Fn(usize, usize) -> f32),
    })?;
    call.builder.step(Op::Linear(Box::new(linear)), &[&x], dims).map(Value::Dynamic)
}

/// Strides, padding and output extent along each axis.
fn axes(call: &mut Call<'_, '_, '_>, spatial: &[usize], kernel: &[usize], transposed: bool) -> Result<Vec<Axis>> {
    let n = spatial.len();
    let attributes = &mut call.attributes;
    let strides = per_axis(attributes.ints("strides"), "strides", n, 1, 1)?;
    let dilations = per_axis(attributes.ints("dilations"), "dilations", n, 1, 1)?;
    let pads = attributes.ints("pads");
    let auto_pad = attributes.string("auto_pad", "NOTSET")?;
    let (output_padding, output_shape) = if transposed {
        let output_padding = per_axis(attributes.ints("output_padding"), "output_padding", n, 0, 0)?;
        let shape = attributes.ints("output_shape").map(|s| per_axis(Some(s), "output_shape", n, 0, 1)).transpose()?;
        (output_padding, shape)
    } else {
        (vec![0; n], None)
    };
    let pads = match auto_pad {
        "NOTSET" => per_axis(pads, "pads", 2 * n, 0, 0)?,
        "VALID" | "SAME_UPPER" | "SAME_LOWER" => vec![0; 2 * n],
        other => return Err(Error::unsupported(format!("auto_pad = {other:?} is unknown"))),
    };
    let same = auto_pad.starts_with("SAME");
    let mut axes = Vec::with_capacity(n);
    for a in 0..n {
        let (input, stride, dilation) = (spatial[a], strides[a], dilations[a]);
        // All below 2^31 or tensor extents, so sums and products of two fit i64.
        let extent = (kernel[a] as i64 - 1) * dilation as i64 + 1;
        let split = |total: i64| {
            let (less, more) = (total / 2, total - total / 2);
            if auto_pad == "SAME_UPPER" { less } else { more }
        };
        let (pad, output) = if transposed {
            let full = stride as i64 * (input as i64 - 1) + output_padding[a] as i64 + extent;
            let wanted = match &output_shape {
                Some(shape) => Some(shape[a] as i64),
                None => same.then_some((stride * input) as i64),
            };
            match wanted {
                Some(output) => (split((full - output).max(0)), output),
                None => (pads[a] as i64, full - pads[a] as i64 - pads[n + a] as i64),
            }
        } else if same {
            let output = input.div_ceil(stride) as i64;
            let total = ((output - 1) * stride as i64 + extent - input as i64).max(0);
            (split(total), output)
        } else {
            let room = input as i64 + pads[a] as i64 + pads[n + a] as i64 - extent;
            (pads[a] as i64, if room < 0 { 0 } else { room / stride as i64 + 1 })
        };
        let output = usize::try_from(output).ok().filter(|&o| o > 0).ok_or_else(|| {
            Error::model(format!("its output would have extent {output} along axis {}: expected at least 1", a + 2))
        })?;
        axes.push(Axis { input, output, kernel: kernel[a], stride, dilation, pad, transposed });
    }
    Ok(axes)
}

// ---- shapes

fn reshape(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let shape = call.constant(1)?;
    let target = shape.as_ints()?;
    let keep_zero = call.attributes.int("allowzero", 0)? != 0;
    match call.input(0)? {
        Value::Constant(x) => {
            let dims = resolve(target, &x.dims, x.len(), keep_zero)?;
            Ok(Value::Constant(x.reshaped(dims)))
        }
        Value::Dynamic(x) => {
            let Some((&batch, rest)) = target.split_first() else {
                return Err(mixes_rows("Reshape"));
            };
            // -1 stands for the batch if the rest has a whole row's values, which `resolve` checks.
            let batch_is_kept = match batch {
                0 => !keep_zero,
                -1 => !rest.contains(&-1),
                1 => call.batch_is_one,
                _ => false,
            };
            if !batch_is_kept {
                return Err(Error::unsupported(format!(
                    "Reshape to {target:?}: expected 0 or -1 for axis 0, the batch: rows must stay independent"
                )));
            }
            let dims = resolve(rest, &x.dims, x.len(), keep_zero)?;
            Ok(Value::Dynamic(x.reshaped(dims)))
        }
    }
}

/// The shape that `target` means for `len` values of shape `old`.
fn resolve(target: &[i64], old: &[usize], len: usize, keep_zero: bool) -> Result<Vec<usize>> {
    let misfit = || Error::unsupported(format!("{len} values a row of shape {old:?} cannot have the shape {target:?}"));
    let mut dims = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &extent) in target.iter().enumerate() {
        dims.push(match extent {
            0 if !keep_zero => *old.get(i).ok_or_else(misfit)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            extent => usize::try_from(extent).map_err(|_| misfit())?,
        });
    }
    let known = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(misfit)?;
    match open {
        Some(i) if known > 0 && len.is_multiple_of(known) => dims[i] = len / known,
        None if known == len => {}
        _ => return Err(misfit()),
    }
    Ok(dims)
}

fn flatten(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.dynamic(0)?;
    let rank = x.dims.len() + 1;
    let axis = match call.attributes.int("axis", 1)? {
        axis if axis == rank as i64 => rank,
        axis => axis_of(axis, rank)?,
    };
    if axis == 0 || x.dims[..axis - 1].iter().any(|&d| d != 1) {
        return Err(mixes_rows(&format!("Flatten with axis = {axis}")));
    }
    Ok(Value::Dynamic(x.reshaped(vec![x.len()])))
}

/// Axes given as input 1, or as the attribute of old versions.
fn axes_argument(call: &mut Call<'_, '_, '_>) -> Result<Option<Vec<i64>>> {
    match call.opt_constant(1)? {
        Some(axes) => Ok(Some(axes.as_ints()?.to_vec())),
        None => Ok(call.attributes.ints("axes").map(<[i64]>::to_vec)),
    }
}

fn squeeze(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let Some(axes) = axes_argument(call)? else {
        return Err(Error::unsupported("Squeeze without axes: name the axes to remove"));
    };
    let remove = |dims: &[usize], rank: usize, skip: usize| -> Result<Vec<usize>> {
        let mut keep = vec![true; rank];
        for &axis in &axes {
            let axis = axis_of(axis, rank)?;
            let Some(&extent) = axis.checked_sub(skip).and_then(|axis| dims.get(axis)) else {
                return Err(mixes_rows("Squeeze"));
            };
            if extent != 1 {
                return Err(Error::model(format!("axis {axis} has extent {extent}: only 1 can be removed")));
            }
            keep[axis] = false;
        }
        Ok(dims.iter().zip(&keep[skip..]).filter(|(_, keep)| **keep).map(|(&d, _)| d).collect())
    };
    match call.input(0)? {
        Value::Dynamic(x) => Ok(Value::Dynamic(x.reshaped(remove(&x.dims, x.dims.len() + 1, 1)?))),
        Value::Constant(x) => Ok(Value::Constant(x.reshaped(remove(&x.dims, x.dims.len(), 0)?))),
    }
}

fn unsqueeze(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let Some(axes) = axes_argument(call)? else {
        return Err(Error::model("Unsqueeze without axes"));
    };
    let insert = |dims: &[usize], own_rank: usize| -> Result<Vec<usize>> {
        let rank = own_rank + axes.len();
        let mut at = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>>>()?;
        at.sort_unstable();
        if at.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::model(format!("axes {axes:?} name one axis twice")));
        }
        let batch = own_rank - dims.len();
        if batch == 1 && at.first() == Some(&0) {
            return Err(mixes_rows("Unsqueeze"));
        }
        let mut dims = dims.to_vec();
        at.iter().for_each(|&axis| dims.insert(axis - batch, 1));
        Ok(dims)
    };
    if axes.len() > 16 {
        return Err(Error::unsupported(format!("Unsqueeze of {} axes at once", axes.len())));
    }
    match call.input(0)? {
        Value::Dynamic(x) => Ok(Value::Dynamic(x.reshaped(insert(&x.dims, x.dims.len() + 1)?))),
        Value::Constant(x) => Ok(Value::Constant(x.reshaped(insert(&x.dims, x.dims.len())?))),
    }
}

fn transpose(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.input(0)?;
    let (dims, batch) = match &x {
        Value::Dynamic(x) => (&x.dims, 1),
        Value::Constant(x) => (&x.dims, 0),
    };
    let rank = dims.len() + batch;
    let permutation = match call.attributes.ints("perm") {
        Some(perm) => perm.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut seen = vec![false; rank];
    permutation.iter().for_each(|&axis| seen[axis] = true);
    if permutation.len() != rank || seen.contains(&false) {
        return Err(Error::model(format!("perm = {permutation:?} is no permutation of {rank} axes")));
    }
    if batch == 1 && permutation[0] != 0 {
        return Err(mixes_rows("Transpose"));
    }
    let from: Vec<usize> = permutation[batch..].iter().map(|&axis| axis - batch).collect();
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    let new_dims: Vec<usize> = from.iter().map(|&axis| dims[axis]).collect();
    let new_strides: Vec<usize> = from.iter().map(|&axis| strides[axis]).collect();
    let len = new_dims.iter().product();
    call.builder.spend(len)?;
    let map = (0..len).map(|i| index(strided(i, &new_dims, &new_strides))).collect::<Result<Vec<u32>>>()?;
    match x {
        Value::Dynamic(x) => call.builder.step(Op::Gather(map), &[&x], new_dims).map(Value::Dynamic),
        Value::Constant(x) => Ok(Value::Constant(x.gathered(new_dims, &map))),
    }
}

fn concat(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let inputs = (0..call.inputs.len()).map(|i| call.dynamic(i)).collect::<Result<Vec<_>>>()?;
    let Some(first) = inputs.first() else { return Err(Error::model("has no inputs")) };
    let axis = call.attributes.opt_int("axis")?.ok_or_else(|| Error::model("attribute \"axis\" is missing"))?;
    let Some(axis) = axis_of(axis, first.dims.len() + 1)?.checked_sub(1) else {
        return Err(mixes_rows("Concat"));
    };
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    for input in &inputs {
        let fits = input.dims.len() == dims.len()
            && input.dims.iter().zip(&first.dims).enumerate().all(|(i, (a, b))| i == axis || a == b);
        if !fits {
            return Err(Error::model(format!("rows of shapes {:?} and {:?}", first.dims, input.dims)));
        }
        dims[axis] += input.dims[axis];
    }
    let len = features(&dims)?;
    call.builder.spend(len)?;
    let inner: usize = dims[axis + 1..].iter().product();
    let mut start = 0;
    let mut maps = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let run = input.dims[axis] * inner;
        let map = (0..input.len()).map(|i| index(i / run * dims[axis] * inner + start + i % run));
        maps.push(map.collect::<Result<Vec<u32>>>()?);
        start += run;
    }
    let inputs: Vec<&Dynamic> = inputs.iter().collect();
    call.builder.step(Op::Scatter(maps), &inputs, dims).map(Value::Dynamic)
}

fn slice(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.dynamic(0)?;
    let (starts, ends) = (call.constant(1)?, call.constant(2)?);
    let (starts, ends) = (starts.as_ints()?, ends.as_ints()?);
    let rank = x.dims.len() + 1;
    let axes = match call.opt_constant(3)? {
        Some(axes) => axes.as_ints()?.to_vec(),
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.opt_constant(4)? {
        Some(steps) => steps.as_ints()?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(Error::model("starts, ends, axes and steps have different lengths"));
    }
    // First place, step and count along each axis.
    let mut picks: Vec<(i64, i64, usize)> = x.dims.iter().map(|&d| (0, 1, d)).collect();
    for i in 0..starts.len() {
        let Some(axis) = axis_of(axes[i], rank)?.checked_sub(1) else {
            return Err(mixes_rows("Slice"));
        };
        let extent = x.dims[axis] as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
        let (start, end, step) = (from_end(starts[i]), from_end(ends[i]), steps[i]);
        let (start, count) = match step {
            1.. => {
                let (start, end) = (start.clamp(0, extent), end.clamp(0, extent));
                (start, (end - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
            }
            0 => return Err(Error::model("a step is 0")),
            _ => {
                let (start, end) = (start.clamp(-1, extent - 1), end.clamp(-1, extent - 1));
                (start, (start - end).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
            }
        };
        picks[axis] = (start, step, count as usize);
    }
    let dims: Vec<usize> = picks.iter().map(|pick| pick.2).collect();
    let len = features(&dims)?;
    call.builder.spend(len)?;
    let map = (0..len)
        .map(|mut i| {
            let (mut at, mut stride) = (0, 1);
            for (&(start, step, count), &extent) in picks.iter().zip(&x.dims).rev() {
                at += (start + step * (i % count) as i64) as usize * stride;
                i /= count;
                stride *= extent;
            }
            index(at)
        })
        .collect::<Result<Vec<u32>>>()?;
    call.builder.step(Op::Gather(map), &[&x], dims).map(Value::Dynamic)
}

// ---- constants

fn constant(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let attributes = &mut call.attributes;
    let value = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(value) = attributes.opt_float("value_float")? {
        Constant::floats(vec![], vec![value])
    } else if let Some(value) = attributes.opt_int("value_int")? {
        Constant::ints(vec![], vec![value])
    } else if let Some(values) = attributes.floats("value_floats") {
        Constant::floats(vec![values.len()], values.to_vec())
    } else if let Some(values) = attributes.ints("value_ints") {
        Constant::ints(vec![values.len()], values.to_vec())
    } else {
        return Err(Error::unsupported("a constant that is neither a tensor nor numbers"));
    };
    Ok(Value::Constant(value))
}

fn cast(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    call.attributes.ignore("saturate");
    let to = call.attributes.opt_int("to")?.ok_or_else(|| Error::model("attribute \"to\" is missing"))?;
    match call.input(0)? {
        Value::Constant(x) => {
            call.builder.spend(x.len())?;
            Ok(Value::Constant(x.cast(to)?))
        }
        Value::Dynamic(x) if to == element::FLOAT => Ok(Value::Dynamic(x)),
        Value::Dynamic(_) => Err(Error::unsupported(format!(
            "conversion of computed values to {}: the exact engine computes in float",
            element::name(to)
        ))),
    }
}

fn dequantize_linear(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, scale, zero) = (call.constant(0)?, call.constant(1)?, call.opt_constant(2)?);
    let axis = call.attributes.int("axis", 1)?;
    if call.attributes.int("block_size", 0)? != 0 {
        return Err(Error::unsupported("block_size: quantisation by blocks is not supported, only by tensor and axis"));
    }
    if !matches!(call.attributes.int("output_dtype", 0)?, 0 | element::FLOAT) {
        return Err(Error::unsupported("output_dtype: expected float"));
    }
    let supported = [element::INT8, element::UINT8, element::INT16, element::UINT16, element::INT32];
    if !supported.contains(&x.element) {
        return Err(Error::unsupported(format!(
            "its input is {}: expected int8, uint8, int16, uint16 or int32",
            element::name(x.element)
        )));
    }
    let (values, scales) = (x.as_ints()?, scale.as_floats()?);
    let zeros = zero.as_ref().map(Constant::as_ints).transpose()?;
    if zeros.is_some_and(|zeros| zeros.len() != scales.len()) {
        return Err(Error::model("scale and zero point have different lengths"));
    }
    // Elements that share a scale come in runs; the scales follow each other, and repeat.
    let run = if scale.dims.is_empty() || scales.len() == 1 && scale.dims.len() == 1 {
        x.len().max(1)
    } else {
        let axis = axis_of(axis, x.dims.len())?;
        if scale.dims != [x.dims[axis]] {
            return Err(Error::model(format!(
                "scales of shape {:?} for axis {axis} of a tensor of shape {:?}",
                scale.dims, x.dims
            )));
        }
        x.dims[axis + 1..].iter().product::<usize>().max(1)
    };
    call.builder.spend(x.len())?;
    let floats = values
        .iter()
        .enumerate()
        .map(|(i, &q)| {
            let s = i / run % scales.len();
            let zero = zeros.map_or(0, |zeros| zeros[s]);
            q.wrapping_sub(zero) as f32 * scales[s]
        })
        .collect();
    Ok(Value::Constant(Constant { dims: x.dims.clone(), element: element::FLOAT, data: Rc::new(Data::Floats(floats)) }))
}
