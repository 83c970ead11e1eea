//! The operators an encoder may have, one function for each kind.

use super::{FloatLayer, FloatOp, convolution, graph};
use crate::fixed::{Fixed, Format, Overflow, Rounding};
use baler_codec::inference::onnx::Attributes;
use baler_codec::{Error, Result};

/// A constant.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dims: Vec<usize>,
    /// In C order.
    pub values: Vec<f64>,
    /// The format a Quant node has rounded it to.
    pub format: Option<Format>,
}

/// A value while the graph is read.
#[derive(Clone, Debug)]
pub enum Value {
    Constant(Tensor),
    /// What the first `version` layers give; element `i` (in C order of `dims`) is element `places[i]` of their output.
    Dynamic {
        dims: Vec<usize>,
        places: Option<Vec<usize>>,
        version: usize,
    },
}

/// What a node's function works with.
pub struct Call<'l, 'n, 'a> {
    pub inputs: Vec<Option<Value>>,
    pub attributes: Attributes<'n, 'a>,
    /// Of the layer that the node becomes.
    pub name: String,
    pub layers: &'l mut Vec<FloatLayer>,
}

type Run = fn(&mut Call<'_, '_, '_>) -> Result<Value>;

const OPERATORS: &[(&str, Run)] = &[
    ("Add", |c| arithmetic(c, "Add")),
    ("BatchNormalization", batch_normalization),
    ("Constant", constant),
    ("Conv", conv),
    ("DequantizeLinear", dequantize_linear),
    ("Div", |c| arithmetic(c, "Div")),
    ("Dropout", |c| {
        c.attributes.ignore("seed");
        c.input(0)
    }),
    ("Flatten", flatten),
    ("Gemm", gemm),
    ("Identity", |c| c.input(0)),
    ("LeakyRelu", |c| {
        let alpha = c.attributes.float("alpha", 0.01)?;
        c.elementwise(FloatOp::LeakyRelu(f64::from(alpha)))
    }),
    ("MatMul", mat_mul),
    ("Mul", |c| arithmetic(c, "Mul")),
    ("Relu", |c| c.elementwise(FloatOp::Relu)),
    ("Reshape", reshape),
    ("Sigmoid", |c| c.elementwise(FloatOp::Sigmoid)),
    ("Squeeze", |c| squeeze(c, false)),
    ("Sub", |c| arithmetic(c, "Sub")),
    ("Tanh", |c| c.elementwise(FloatOp::Tanh)),
    ("Transpose", transpose),
    ("Unsqueeze", |c| squeeze(c, true)),
];

/// Domains of QONNX's Quant node.
const QUANT_DOMAINS: [&str; 3] = ["qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"];

pub fn run(domain: &str, op: &str, call: &mut Call<'_, '_, '_>) -> Result<Value> {
    if QUANT_DOMAINS.contains(&domain) && op == "Quant" {
        return quant(call);
    }
    match OPERATORS.iter().find(|(name, _)| *name == op).filter(|_| domain.is_empty() || domain == "ai.onnx") {
        Some((_, run)) => run(call),
        None => {
            let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
            Err(Error::unsupported(format!(
                "operator {op} has no fixed-point form here; supported are {} and QONNX Quant",
                names.join(", ")
            )))
        }
    }
}

/// A dynamic value that is the output of the last layer.
struct Last {
    dims: Vec<usize>,
    places: Option<Vec<usize>>,
}

impl Last {
    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// A row of weights by element becomes one by place in the output of the last layer.
    fn by_place(&self, row: Vec<f64>) -> Vec<f64> {
        let Some(places) = &self.places else { return row };
        let mut moved = vec![0.0; row.len()];
        row.into_iter().zip(places).for_each(|(w, &place)| moved[place] = w);
        moved
    }
}

impl Call<'_, '_, '_> {
    fn input(&self, i: usize) -> Result<Value> {
        self.opt(i).ok_or_else(|| Error::model(format!("input {i} is missing")))
    }

    fn opt(&self, i: usize) -> Option<Value> {
        self.inputs.get(i).cloned().flatten()
    }

    fn last(&self, i: usize) -> Result<Last> {
        match self.input(i)? {
            Value::Dynamic { dims, places, version } if version == self.layers.len() => Ok(Last { dims, places }),
            Value::Dynamic { .. } => Err(Error::unsupported("the graph branches here: expected a chain of layers")),
            Value::Constant(_) => Err(Error::unsupported(format!("input {i} is a constant: expected computed values"))),
        }
    }

    fn constant(&self, i: usize) -> Result<Tensor> {
        self.opt_constant(i)?.ok_or_else(|| Error::model(format!("input {i} is missing")))
    }

    fn opt_constant(&self, i: usize) -> Result<Option<Tensor>> {
        match self.opt(i) {
            None => Ok(None),
            Some(Value::Constant(tensor)) => Ok(Some(tensor)),
            Some(Value::Dynamic { .. }) => {
                Err(Error::unsupported(format!("input {i} is computed: expected a constant")))
            }
        }
    }

    fn push(&mut self, op: FloatOp, dims: Vec<usize>, places: Option<Vec<usize>>) -> Value {
        self.layers.push(FloatLayer { name: self.name.clone(), op });
        Value::Dynamic { dims, places, version: self.layers.len() }
    }

    fn elementwise(&mut self, op: FloatOp) -> Result<Value> {
        let x = self.last(0)?;
        Ok(self.push(op, x.dims, x.places))
    }

    fn dense(
        &mut self,
        x: &Last,
        rows: Vec<Vec<f64>>,
        biases: Vec<f64>,
        format: Option<Format>,
        dims: Vec<usize>,
    ) -> Value {
        let weights = rows.into_iter().map(|row| x.by_place(row)).collect();
        self.push(FloatOp::Dense { weights, biases, weight_format: format }, dims, None)
    }
}

fn finite(tensor: &Tensor, what: &str) -> Result<()> {
    match tensor.values.iter().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(v) => Err(Error::model(format!("{what} {v}: expected finite numbers"))),
    }
}

fn gemm(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, b, c) = (call.last(0)?, call.constant(1)?, call.opt_constant(2)?);
    let alpha = f64::from(call.attributes.float("alpha", 1.0)?);
    let beta = f64::from(call.attributes.float("beta", 1.0)?);
    if call.attributes.int("transA", 0)? != 0 {
        return Err(Error::unsupported("transA = 1 mixes rows"));
    }
    let transposed = call.attributes.int("transB", 0)? != 0;
    matrix(call, &x, &b, transposed, alpha, c.map(|c| (c, beta)))
}

fn mat_mul(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, b) = (call.last(0)?, call.constant(1)?);
    matrix(call, &x, &b, false, 1.0, None)
}

fn matrix(
    call: &mut Call<'_, '_, '_>,
    x: &Last,
    b: &Tensor,
    transposed: bool,
    alpha: f64,
    c: Option<(Tensor, f64)>,
) -> Result<Value> {
    let [rows, columns] = b.dims[..] else {
        return Err(Error::unsupported(format!("weights of shape {:?}: expected a matrix", b.dims)));
    };
    finite(b, "weight")?;
    let (n_in, n_out) = if transposed { (columns, rows) } else { (rows, columns) };
    if x.dims.last() != Some(&n_in) || x.len() != n_in {
        return Err(Error::unsupported(format!("rows of shape {:?} meet a matrix for {n_in} values", x.dims)));
    }
    if n_out == 0 {
        return Err(Error::model("a matrix without outputs"));
    }
    let weight = |i: usize, j: usize| alpha * b.values[if transposed { j * columns + i } else { i * columns + j }];
    let weights = (0..n_out).map(|j| (0..n_in).map(|i| weight(i, j)).collect()).collect();
    let biases = match c {
        None => vec![0.0; n_out],
        Some((c, beta)) => {
            finite(&c, "bias")?;
            broadcast(&c, &[n_out])?.into_iter().map(|v| beta * v).collect()
        }
    };
    let format = b.format.filter(|_| alpha == 1.0);
    let dims = [&x.dims[..x.dims.len() - 1], &[n_out]].concat();
    Ok(call.dense(x, weights, biases, format, dims))
}

fn conv(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, w, b) = (call.last(0)?, call.constant(1)?, call.opt_constant(2)?);
    finite(&w, "weight")?;
    if let Some(b) = &b {
        finite(b, "bias")?;
    }
    let (dims, weights, biases) = convolution::lower(call, &x.dims, &w, b.as_ref())?;
    Ok(call.dense(&x, weights, biases, w.format, dims))
}

/// A constant for each element of a row of `dims`; an axis of the batch's may be 1.
fn broadcast(constant: &Tensor, dims: &[usize]) -> Result<Vec<f64>> {
    let misfit =
        || Error::unsupported(format!("a constant of shape {:?} beside rows of shape {dims:?}", constant.dims));
    let mut own = &constant.dims[..];
    if own.len() == dims.len() + 1 && own[0] == 1 {
        own = &own[1..];
    }
    let lead = dims.len().checked_sub(own.len()).ok_or_else(misfit)?;
    if own.iter().zip(&dims[lead..]).any(|(&own, &dim)| own != dim && own != 1) {
        return Err(misfit());
    }
    let n: usize = dims.iter().product();
    Ok((0..n)
        .map(|mut i| {
            let (mut at, mut stride) = (0, 1);
            for (axis, &dim) in dims.iter().enumerate().rev() {
                if let Some(&extent) = axis.checked_sub(lead).and_then(|axis| own.get(axis)) {
                    at += if extent == 1 { 0 } else { i % dim * stride };
                    stride *= extent;
                }
                i /= dim;
            }
            constant.values[at]
        })
        .collect())
}

fn scale_shift(call: &mut Call<'_, '_, '_>, x: Last, scales: Vec<f64>, shifts: Vec<f64>) -> Result<Value> {
    if scales.iter().chain(&shifts).any(|v| !v.is_finite()) {
        return Err(Error::model("a factor or a summand is not finite"));
    }
    // `by_place` moves each to where its element lies.
    let op = FloatOp::ScaleShift { scales: x.by_place(scales), shifts: x.by_place(shifts) };
    Ok(call.push(op, x.dims, x.places))
}

fn arithmetic(call: &mut Call<'_, '_, '_>, op: &str) -> Result<Value> {
    let (x, constant, swapped) = match (call.input(0)?, call.input(1)?) {
        (Value::Dynamic { .. }, Value::Constant(c)) => (call.last(0)?, c, false),
        (Value::Constant(c), Value::Dynamic { .. }) => (call.last(1)?, c, true),
        _ => return Err(Error::unsupported("expected computed values and a constant")),
    };
    let c = broadcast(&constant, &x.dims)?;
    let n = c.len();
    let (scales, shifts) = match (op, swapped) {
        ("Add", _) => (vec![1.0; n], c),
        ("Sub", false) => (vec![1.0; n], c.iter().map(|v| -v).collect()),
        ("Sub", true) => (vec![-1.0; n], c),
        ("Mul", _) => (c, vec![0.0; n]),
        ("Div", false) => (c.iter().map(|v| 1.0 / v).collect(), vec![0.0; n]),
        _ => return Err(Error::unsupported("a constant divided by computed values")),
    };
    scale_shift(call, x, scales, shifts)
}

fn batch_normalization(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.last(0)?;
    let epsilon = f64::from(call.attributes.float("epsilon", 1e-5)?);
    call.attributes.ignore("momentum");
    if call.attributes.int("training_mode", 0)? != 0 {
        return Err(Error::unsupported("training_mode is on: export the model for inference"));
    }
    let channels = x.dims[0];
    let parameters = (1..5).map(|i| call.constant(i)).collect::<Result<Vec<_>>>()?;
    if parameters.iter().any(|p| p.values.len() != channels) {
        return Err(Error::model(format!("its parameters do not have one value for each of {channels} channels")));
    }
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| &parameters[i].values);
    let each = x.len() / channels;
    let scale = |c: usize| gamma[c] / (variance[c] + epsilon).sqrt();
    let scales = (0..x.len()).map(|i| scale(i / each)).collect();
    let shifts = (0..x.len()).map(|i| beta[i / each] - mean[i / each] * scale(i / each)).collect();
    scale_shift(call, x, scales, shifts)
}

fn constant(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    if let Some(constant) = call.attributes.tensor("value")? {
        return Ok(Value::Constant(graph::to_tensor(&constant)));
    }
    if let Some(value) = call.attributes.opt_float("value_float")? {
        return Ok(Value::Constant(Tensor { dims: Vec::new(), values: vec![f64::from(value)], format: None }));
    }
    Err(Error::unsupported("a constant without the attribute value or value_float"))
}

/// Of constants: what stored integers stand for.
fn dequantize_linear(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (q, scale, zero) = (call.constant(0)?, call.constant(1)?, call.opt_constant(2)?);
    let axis = call.attributes.int("axis", 1)?;
    let axis = usize::try_from(if axis < 0 { axis + q.dims.len() as i64 } else { axis }).unwrap_or(usize::MAX);
    let inner: usize = q.dims.iter().skip(axis.saturating_add(1)).product();
    let n = scale.values.len();
    if n == 0 || n > 1 && q.dims.get(axis) != Some(&n) || zero.as_ref().is_some_and(|z| z.values.len() != n) {
        return Err(Error::model(format!("{n} scales along axis {axis} of {:?}", q.dims)));
    }
    let at = |i: usize| if n == 1 { 0 } else { i / inner.max(1) % n };
    // As the float engine has it: the product rounded to binary32.
    let value = |(i, v): (usize, &f64)| {
        let centred = v - zero.as_ref().map_or(0.0, |z| z.values[at(i)]);
        f64::from((centred * scale.values[at(i)]) as f32)
    };
    let values = q.values.iter().enumerate().map(value).collect();
    Ok(Value::Constant(Tensor { dims: q.dims, values, format: None }))
}

/// QONNX Quant: rounded to a grid of powers of two, of constants or of what was computed.
fn quant(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (scale, zero, width) = (call.constant(1)?, call.constant(2)?, call.constant(3)?);
    let is_signed = call.attributes.int("signed", 1)? != 0;
    let is_narrow = call.attributes.int("narrow", 0)? != 0;
    let rounding = match call.attributes.string("rounding_mode", "ROUND")?.to_ascii_uppercase().as_str() {
        "ROUND" | "HALF_EVEN" => Rounding::RndConv,
        "FLOOR" => Rounding::Trn,
        "ROUND_TO_ZERO" | "DOWN" => Rounding::TrnZero,
        "HALF_UP" => Rounding::RndInf,
        "HALF_DOWN" => Rounding::RndZero,
        other => return Err(Error::unsupported(format!("rounding_mode {other:?} has no fixed-point form"))),
    };
    if zero.values.iter().any(|&z| z != 0.0) {
        return Err(Error::unsupported("a zero point other than 0: fixed-point formats are centred on 0"));
    }
    let [width] = width.values[..] else {
        return Err(Error::unsupported("several bit widths in one Quant node: expected one"));
    };
    if !(1.0..=63.0).contains(&width) || width.fract() != 0.0 {
        return Err(Error::unsupported(format!("a width of {width} bits: expected a whole number up to 63")));
    }
    let overflow = if is_narrow && is_signed { Overflow::SatSym } else { Overflow::Sat };
    if is_narrow && !is_signed {
        return Err(Error::unsupported("a narrow range without sign has no fixed-point form"));
    }
    let width = width as u32;
    let format = |scale: f64| -> Result<Format> {
        let fraction = -scale.log2();
        if !(scale > 0.0 && fraction.fract() == 0.0 && fraction.abs() < 1000.0) {
            return Err(Error::unsupported(format!("a scale of {scale}: expected a power of two")));
        }
        let integer_bits = width as i32 - fraction as i32;
        let base = if is_signed { Format::signed(width, integer_bits) } else { Format::unsigned(width, integer_bits) };
        base?.with_modes(rounding, overflow)
    };
    match call.input(0)? {
        Value::Dynamic { .. } => {
            let x = call.last(0)?;
            let scales = x.by_place(broadcast(&scale, &x.dims)?);
            let formats = scales.into_iter().map(format).collect::<Result<_>>()?;
            call.elementwise(FloatOp::Quant(formats))
        }
        Value::Constant(x) => {
            let scales = broadcast(&scale, &x.dims)?;
            let mut values = Vec::with_capacity(x.values.len());
            for (&v, &scale) in x.values.iter().zip(&scales) {
                values.push(Fixed::from_f64(v, format(scale)?)?.to_f64());
            }
            // One format for all: the finest grid and the largest range.
            let finest = scales.iter().copied().fold(f64::INFINITY, f64::min);
            let widest = scales.iter().copied().fold(0.0, f64::max);
            let fine = format(finest)?;
            let more = (widest / finest).log2() as u32;
            let (w, i) = (fine.width() + more, fine.integer_bits() + more as i32);
            let one = if is_signed { Format::signed(w, i) } else { Format::unsigned(w, i) };
            Ok(Value::Constant(Tensor { dims: x.dims, values, format: Some(one?) }))
        }
    }
}

// ---- shapes

fn with_dims(value: Value, new: Vec<usize>) -> Value {
    match value {
        Value::Constant(tensor) => Value::Constant(Tensor { dims: new, ..tensor }),
        Value::Dynamic { places, version, .. } => Value::Dynamic { dims: new, places, version },
    }
}

fn flatten(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let x = call.last(0)?;
    if call.attributes.int("axis", 1)? != 1 {
        return Err(Error::unsupported("Flatten along another axis than 1"));
    }
    let n = x.len();
    Ok(with_dims(call.input(0)?, vec![n]))
}

fn reshape(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let (x, shape) = (call.last(0)?, call.constant(1)?);
    call.attributes.ignore("allowzero");
    let misfit = || Error::unsupported(format!("rows of shape {:?} reshaped to {:?}", x.dims, shape.values));
    let (&batch, rest) = shape.values.split_first().ok_or_else(misfit)?;
    if !(batch == 0.0 || batch == 1.0 || batch == -1.0) || batch == -1.0 && rest.contains(&-1.0) {
        return Err(misfit());
    }
    let mut dims = Vec::with_capacity(rest.len());
    for (i, &extent) in rest.iter().enumerate() {
        dims.push(match extent {
            0.0 => *x.dims.get(i).ok_or_else(misfit)?,
            -1.0 => {
                let others = rest.iter().filter(|&&e| e > 0.0).product::<f64>() as usize;
                x.len().checked_div(others).unwrap_or(0)
            }
            extent => extent as usize,
        });
    }
    if dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(x.len()) {
        return Err(misfit());
    }
    Ok(with_dims(call.input(0)?, dims))
}

fn squeeze(call: &mut Call<'_, '_, '_>, insert: bool) -> Result<Value> {
    let x = call.last(0)?;
    let axes: Vec<i64> = match call.opt_constant(1)? {
        Some(axes) => axes.values.iter().map(|&a| a as i64).collect(),
        None => call.attributes.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
    };
    let mut dims = x.dims.clone();
    for &axis in &axes {
        let rank = (dims.len() + 1 + usize::from(insert)) as i64;
        let at = usize::try_from(if axis < 0 { axis + rank } else { axis } - 1).unwrap_or(usize::MAX);
        match (insert, dims.get(at)) {
            (true, _) if at <= dims.len() => dims.insert(at, 1),
            (false, Some(1)) => drop(dims.remove(at)),
            _ => return Err(Error::unsupported(format!("axis {axis} of rows of shape {:?}", x.dims))),
        }
    }
    Ok(with_dims(call.input(0)?, dims))
}

fn transpose(call: &mut Call<'_, '_, '_>) -> Result<Value> {
    let perm: Option<Vec<i64>> = call.attributes.ints("perm").map(<[i64]>::to_vec);
    if let Value::Constant(x) = call.input(0)? {
        let rank = x.dims.len();
        let perm = perm.unwrap_or_else(|| (0..rank as i64).rev().collect());
        let (dims, order) = permute(&x.dims, &perm)?;
        let values = order.into_iter().map(|i| x.values[i]).collect();
        return Ok(Value::Constant(Tensor { dims, values, format: x.format }));
    }
    let x = call.last(0)?;
    let perm =
        perm.filter(|perm| perm.first() == Some(&0)).ok_or_else(|| Error::unsupported("it moves the batch axis"))?;
    let perm: Vec<i64> = perm[1..].iter().map(|&axis| axis - 1).collect();
    let (dims, order) = permute(&x.dims, &perm)?;
    let places = order.into_iter().map(|i| x.places.as_ref().map_or(i, |places| places[i])).collect();
    Ok(Value::Dynamic { dims, places: Some(places), version: call.layers.len() })
}

/// The new shape, and for each element where it was.
fn permute(dims: &[usize], perm: &[i64]) -> Result<(Vec<usize>, Vec<usize>)> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..dims.len() as i64) {
        return Err(Error::model(format!("perm = {perm:?} of {} axes", dims.len())));
    }
    let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect();
    let new: Vec<usize> = perm.iter().map(|&axis| dims[axis as usize]).collect();
    let n: usize = dims.iter().product();
    let order = (0..n)
        .map(|mut i| {
            let mut at = 0;
            for (&axis, &extent) in perm.iter().zip(&new).rev() {
                at += i % extent * strides[axis as usize];
                i /= extent;
            }
            at
        })
        .collect();
    Ok((new, order))
}
