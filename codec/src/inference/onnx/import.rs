//! From an ONNX graph to a [`Network`].

use super::attributes::Attributes;
use super::constant::{Constant, element};
use super::nodes::{self, Call, Value};
use super::proto::{Dim, Graph, Model, Node, ValueInfo};
use super::steps::Builder;
use crate::error::{Error, Result};
use crate::inference::Network;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Versions of ONNX's own operator set whose definitions of the supported operators agree with ours.
const OPSETS: RangeInclusive<i64> = 13..=24;

/// Reads a network; see [`Network::from_onnx`].
pub fn import(bytes: &[u8]) -> Result<Network> {
    let model = Model::read(bytes)?;
    check_opsets(&model)?;
    let Some(graph) = model.graph else {
        return Err(Error::model("not a valid ONNX file: it has no graph"));
    };
    let mut builder = Builder::new();
    let mut values: HashMap<&str, Value> = HashMap::new();
    let Graph { nodes, initialisers, inputs, outputs } = graph;
    let initialised: HashSet<&str> = initialisers.iter().map(|tensor| tensor.name).collect();
    for tensor in initialisers {
        let name = tensor.name;
        let constant = Constant::read(tensor).map_err(|e| e.context(format_args!("initialiser {name:?}")))?;
        values.insert(name, Value::Constant(constant));
    }
    // Old files list initialisers among the inputs too.
    let inputs: Vec<_> = inputs.iter().filter(|info| !initialised.contains(info.name)).collect();
    let (&[input], [output]) = (&inputs[..], &outputs[..]) else {
        return Err(Error::unsupported(format!(
            "the graph has {} inputs and {} outputs: expected one of each",
            inputs.len(),
            outputs.len()
        )));
    };
    let (dims, batch_is_one) = input_dims(input).map_err(|e| e.context(format_args!("input {:?}", input.name)))?;
    let input_value = builder.value(dims)?;
    values.insert(input.name, Value::Dynamic(input_value.clone()));
    for (i, node) in nodes.iter().enumerate() {
        run_node(&mut builder, &mut values, node, batch_is_one).map_err(|e| e.context(label(i, node)))?;
    }
    let output_value = match values.get(output.name) {
        Some(Value::Dynamic(value)) => value.clone(),
        Some(Value::Constant(_)) => {
            return Err(Error::model(format!(
                "output {:?} is a constant: it does not depend on the input",
                output.name
            )));
        }
        None => return Err(Error::model(format!("output {:?} is not computed by any node", output.name))),
    };
    let plan = builder.finish(&input_value, &output_value)?;
    Ok(Network { plan, input_shape: input_value.dims, output_shape: output_value.dims })
}

fn check_opsets(model: &Model<'_>) -> Result<()> {
    let version = model.opsets.iter().find(|(domain, _)| is_onnx(domain)).map(|(_, version)| *version);
    match version {
        Some(version) if OPSETS.contains(&version) => Ok(()),
        Some(version) => Err(Error::unsupported(format!(
            "operator set version {version}: supported are {} to {}; export the model with one of these",
            OPSETS.start(),
            OPSETS.end()
        ))),
        None => Err(Error::model("not a valid ONNX file: it imports no operator set")),
    }
}

fn is_onnx(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Shape without the batch, and whether the batch is fixed to one row (which we do not mind: rows never mix).
fn input_dims(info: &ValueInfo<'_>) -> Result<(Vec<usize>, bool)> {
    if info.elem_type != element::FLOAT {
        return Err(Error::unsupported(format!("is {}: expected float", element::name(info.elem_type))));
    }
    let shape = info.shape.as_deref().unwrap_or_default();
    let batch_is_one = match shape.first() {
        Some(Dim::Param(_)) => false,
        Some(Dim::Value(1)) => true,
        other => {
            let found = match other {
                Some(Dim::Value(n)) => format!("fixed to {n}"),
                _ => "missing".to_owned(),
            };
            return Err(Error::unsupported(format!(
                "its first axis is {found}: expected a batch axis with a name, such as \"N\""
            )));
        }
    };
    let dims = shape[1..]
        .iter()
        .enumerate()
        .map(|(i, dim)| match dim {
            Dim::Value(n) if *n > 0 => usize::try_from(*n).map_err(|_| Error::unsupported("axis too long")),
            Dim::Value(n) => Err(Error::unsupported(format!("axis {} has extent {n}: expected at least 1", i + 1))),
            Dim::Param(name) => Err(Error::unsupported(format!(
                "axis {} has no fixed extent ({name:?}): only axis 0, the batch, may be symbolic",
                i + 1
            ))),
        })
        .collect::<Result<_>>()?;
    Ok((dims, batch_is_one))
}

/// What errors call a node: `node 3 "/encoder/2" (Softmax)`.
pub fn label(i: usize, node: &Node<'_>) -> String {
    let domain = if is_onnx(node.domain) { String::new() } else { format!("{}.", node.domain) };
    match node.name {
        "" => format!("node {i} ({domain}{})", node.op),
        name => format!("node {i} {name:?} ({domain}{})", node.op),
    }
}

fn run_node<'a>(
    builder: &mut Builder,
    values: &mut HashMap<&'a str, Value>,
    node: &Node<'a>,
    batch_is_one: bool,
) -> Result<()> {
    if !is_onnx(node.domain) {
        return Err(Error::unsupported(format!(
            "operators of domain {:?} are not supported; {}",
            node.domain,
            nodes::supported()
        )));
    }
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
    let mut call = Call { builder, inputs, attributes: Attributes::of(node), batch_is_one };
    let result = nodes::run(node.op, &mut call)?;
    call.attributes.finish()?;
    match node.outputs[..] {
        // Further outputs (the mask of Dropout) are optional; a node that uses one will not find it.
        [name, ..] if !name.is_empty() => {
            if values.insert(name, result).is_some() {
                return Err(Error::model(format!("output {name:?} is there twice")));
            }
            Ok(())
        }
        _ => Err(Error::model("has no output")),
    }
}
