//! Walks the nodes of a graph.

use super::operators::{self, Call, Tensor, Value};
use super::{FloatLayer, FloatOp, Network};
use baler_codec::inference::onnx::{Attributes, Constant, Data, Dim, Graph, Model, Node, ValueInfo, label};
use baler_codec::{Error, Result};
use std::collections::{HashMap, HashSet};

/// More values than this in one tensor are no small encoder; a dense layer of them would not fit a device.
pub const MAX_VALUES: usize = crate::ir::MAX_VALUES;

pub fn read(bytes: &[u8]) -> Result<Network> {
    let graph = Model::read(bytes)?.graph.ok_or_else(|| Error::model("not a valid ONNX file: it has no graph"))?;
    let Graph { nodes, initialisers, inputs, outputs } = graph;
    let initialised: HashSet<&str> = initialisers.iter().map(|tensor| tensor.name).collect();
    let mut values: HashMap<&str, Value> = HashMap::new();
    for tensor in initialisers {
        let name = tensor.name;
        let constant = Constant::read(tensor).map_err(|e| e.context(format_args!("initialiser {name:?}")))?;
        values.insert(name, Value::Constant(to_tensor(&constant)));
    }
    let inputs: Vec<&ValueInfo<'_>> = inputs.iter().filter(|info| !initialised.contains(info.name)).collect();
    let (&[input], [output]) = (&inputs[..], &outputs[..]) else {
        return Err(Error::unsupported(format!(
            "the graph has {} inputs and {} outputs: expected one of each",
            inputs.len(),
            outputs.len()
        )));
    };
    let dims = input_dims(input)?;
    let n_inputs = dims.iter().product();
    let mut layers = Vec::new();
    values.insert(input.name, Value::Dynamic { dims, places: None, version: 0 });
    for (i, node) in nodes.iter().enumerate() {
        run(node, &mut values, &mut layers).map_err(|e| e.context(label(i, node)))?;
    }
    match values.get(output.name) {
        Some(Value::Dynamic { version, places, .. }) if *version == layers.len() => {
            if let Some(places) = places {
                layers.push(permutation(places));
            }
            Ok(Network { n_inputs, layers })
        }
        Some(Value::Constant(_)) => Err(Error::model(format!("output {:?} is a constant", output.name))),
        _ => Err(Error::unsupported(format!("output {:?} is not what the last node gives", output.name))),
    }
}

/// A dense layer that puts elements into another order.
fn permutation(places: &[usize]) -> FloatLayer {
    let row = |&place: &usize| (0..places.len()).map(|i| if i == place { 1.0 } else { 0.0 }).collect();
    let weights = places.iter().map(row).collect();
    let op = FloatOp::Dense { weights, biases: vec![0.0; places.len()], weight_format: None };
    FloatLayer { name: "order".to_owned(), op }
}

/// A constant as doubles.
pub fn to_tensor(constant: &Constant) -> Tensor {
    let values = match &*constant.data {
        Data::Floats(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::Doubles(v) => v.clone(),
        Data::Ints(v) => v.iter().map(|&x| x as f64).collect(),
    };
    Tensor { dims: constant.dims.clone(), values, format: None }
}

/// Extents of one row: without the batch, the first axis.
fn input_dims(info: &ValueInfo<'_>) -> Result<Vec<usize>> {
    let wrong = || {
        Error::unsupported(format!(
            "input {:?} has the shape {:?}: expected a batch axis and then fixed extents of {MAX_VALUES} values in all",
            info.name,
            info.shape.as_deref().unwrap_or_default()
        ))
    };
    let shape = info.shape.as_deref().unwrap_or_default();
    if shape.len() < 2 || matches!(shape[0], Dim::Value(n) if n > 1) {
        return Err(wrong());
    }
    let extent = |dim: &Dim<'_>| match dim {
        Dim::Value(n) => usize::try_from(*n).ok().filter(|&n| (1..=MAX_VALUES).contains(&n)),
        Dim::Param(_) => None,
    };
    let dims: Vec<usize> = shape[1..].iter().map(extent).collect::<Option<_>>().ok_or_else(wrong)?;
    let n = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if n.is_some_and(|n| n <= MAX_VALUES) { Ok(dims) } else { Err(wrong()) }
}

fn run<'a>(node: &Node<'a>, values: &mut HashMap<&'a str, Value>, layers: &mut Vec<FloatLayer>) -> Result<()> {
    let inputs = node
        .inputs
        .iter()
        .map(|&name| match name {
            "" => Ok(None),
            name => values.get(name).cloned().map(Some).ok_or_else(|| {
                Error::model(format!("input {name:?} is neither an initialiser nor computed by an earlier node"))
            }),
        })
        .collect::<Result<Vec<_>>>()?;
    let name =
        if node.name.is_empty() { format!("{}_{}", node.op.to_lowercase(), layers.len()) } else { node.name.into() };
    let mut call = Call { inputs, attributes: Attributes::of(node), name, layers };
    let result = operators::run(node.domain, node.op, &mut call)?;
    call.attributes.finish()?;
    match node.outputs[..] {
        [name, ..] if !name.is_empty() => {
            values.insert(name, result);
            Ok(())
        }
        _ => Err(Error::model("has no output")),
    }
}
