//! A writer of ONNX files for tests and benches: just enough protobuf to build any graph, right or wrong.

#![allow(dead_code)] // each test uses a part

/// Protobuf: appends a field with a number.
fn int_field(out: &mut Vec<u8>, number: u64, value: i64) {
    varint(out, number << 3);
    varint(out, value as u64);
}

/// Protobuf: appends a field with bytes.
fn bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An attribute of a node.
pub enum Attr<'a> {
    /// One integer.
    Int(&'a str, i64),
    /// One float.
    Float(&'a str, f32),
    /// A string.
    Str(&'a str, &'a str),
    /// Integers.
    Ints(&'a str, &'a [i64]),
}

impl Attr<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match *self {
            Attr::Int(name, value) => {
                bytes_field(&mut out, 1, name.as_bytes());
                int_field(&mut out, 3, value);
                int_field(&mut out, 20, 2);
            }
            Attr::Float(name, value) => {
                bytes_field(&mut out, 1, name.as_bytes());
                varint(&mut out, 2 << 3 | 5);
                out.extend_from_slice(&value.to_le_bytes());
                int_field(&mut out, 20, 1);
            }
            Attr::Str(name, value) => {
                bytes_field(&mut out, 1, name.as_bytes());
                bytes_field(&mut out, 4, value.as_bytes());
                int_field(&mut out, 20, 3);
            }
            Attr::Ints(name, values) => {
                bytes_field(&mut out, 1, name.as_bytes());
                values.iter().for_each(|&value| int_field(&mut out, 8, value));
                int_field(&mut out, 20, 7);
            }
        }
        out
    }
}

/// A graph in the making: a chain of nodes, each taking the value before it.
pub struct Graph {
    body: Vec<u8>,
    input: Vec<u8>,
    n_values: usize,
    value: String,
    /// Version of the operator set.
    pub opset: i64,
    seed: u64,
}

impl Graph {
    /// A graph with one input of this shape, the batch left out.
    pub fn new(shape: &[usize]) -> Self {
        Self {
            body: Vec::new(),
            input: value_info("x", Some(shape)),
            n_values: 0,
            value: "x".to_owned(),
            opset: 20,
            seed: 1,
        }
    }

    /// The name of the newest value.
    pub fn value(&self) -> String {
        self.value.clone()
    }

    fn name(&mut self) -> String {
        self.n_values += 1;
        format!("v{}", self.n_values)
    }

    /// Adds an initialiser of any type from raw bytes.
    pub fn raw(&mut self, element: i64, dims: &[usize], raw: &[u8]) -> String {
        let name = self.name();
        let mut tensor = Vec::new();
        dims.iter().for_each(|&d| int_field(&mut tensor, 1, d as i64));
        int_field(&mut tensor, 2, element);
        bytes_field(&mut tensor, 8, name.as_bytes());
        bytes_field(&mut tensor, 9, raw);
        bytes_field(&mut self.body, 5, &tensor);
        name
    }

    /// Adds an initialiser of floats.
    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(1, dims, &raw)
    }

    /// Adds an initialiser of 64-bit integers.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(7, &[values.len()], &raw)
    }

    /// Adds an initialiser of random floats, scaled as weights of `fan_in` inputs are.
    pub fn random(&mut self, dims: &[usize], fan_in: usize) -> String {
        self.seed += 1;
        let scale = 1.0 / (fan_in as f32).sqrt();
        let values: Vec<f32> = random(self.seed, dims.iter().product()).into_iter().map(|v| v * scale).collect();
        self.floats(dims, &values)
    }

    /// Appends a node with the newest value as first input.
    pub fn node(&mut self, op: &str, others: &[&str], attributes: &[Attr<'_>]) -> &mut Self {
        let value = self.value();
        let inputs: Vec<&str> = std::iter::once(value.as_str()).chain(others.iter().copied()).collect();
        self.node_from(op, &inputs, attributes)
    }

    /// Appends a node with these inputs.
    pub fn node_from(&mut self, op: &str, inputs: &[&str], attributes: &[Attr<'_>]) -> &mut Self {
        let name = self.name();
        let mut node = Vec::new();
        inputs.iter().for_each(|input| bytes_field(&mut node, 1, input.as_bytes()));
        bytes_field(&mut node, 2, name.as_bytes());
        bytes_field(&mut node, 3, format!("{op}_{name}").as_bytes());
        bytes_field(&mut node, 4, op.as_bytes());
        attributes.iter().for_each(|attribute| bytes_field(&mut node, 5, &attribute.bytes()));
        bytes_field(&mut self.body, 1, &node);
        self.value = name;
        self
    }

    /// Appends a dense layer with random weights.
    pub fn dense(&mut self, n_inputs: usize, n_outputs: usize) -> &mut Self {
        let (w, b) = (self.random(&[n_outputs, n_inputs], n_inputs), self.random(&[n_outputs], 1));
        self.node("Gemm", &[&w, &b], &[Attr::Int("transB", 1)])
    }

    /// Appends a convolution with random weights.
    pub fn convolution(&mut self, op: &str, weights: &[usize], n_outputs: usize, attributes: &[Attr<'_>]) -> &mut Self {
        let w = self.random(weights, weights[1..].iter().product());
        let b = self.random(&[n_outputs], 1);
        self.node(op, &[&w, &b], attributes)
    }

    /// The file.
    pub fn finish(&self) -> Vec<u8> {
        let mut graph = self.body.clone();
        bytes_field(&mut graph, 11, &self.input);
        bytes_field(&mut graph, 12, &value_info(&self.value, None));
        let mut opset = Vec::new();
        int_field(&mut opset, 2, self.opset);
        let mut model = Vec::new();
        int_field(&mut model, 1, 8);
        bytes_field(&mut model, 8, &opset);
        bytes_field(&mut model, 7, &graph);
        model
    }
}

fn value_info(name: &str, shape: Option<&[usize]>) -> Vec<u8> {
    let mut dims = Vec::new();
    if let Some(shape) = shape {
        let mut batch = Vec::new();
        bytes_field(&mut batch, 2, b"N");
        bytes_field(&mut dims, 1, &batch);
        for &extent in shape {
            let mut dim = Vec::new();
            int_field(&mut dim, 1, extent as i64);
            bytes_field(&mut dims, 1, &dim);
        }
    }
    let mut tensor = Vec::new();
    int_field(&mut tensor, 1, 1);
    if shape.is_some() {
        bytes_field(&mut tensor, 2, &dims);
    }
    let mut kind = Vec::new();
    bytes_field(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    bytes_field(&mut info, 1, name.as_bytes());
    bytes_field(&mut info, 2, &kind);
    info
}

/// Random floats in [-1.7, 1.7) with variance 1.
pub fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let unit = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32;
            (unit - 0.5) * 2.0 * 1.732_050_8
        })
        .collect()
}

/// A multi-layer perceptron.
pub fn perceptron(sizes: &[usize], activation: &str) -> Vec<u8> {
    let mut graph = Graph::new(&sizes[..1]);
    for (i, pair) in sizes.windows(2).enumerate() {
        graph.dense(pair[0], pair[1]);
        if i + 2 < sizes.len() {
            graph.node(activation, &[], &[]);
        }
    }
    graph.finish()
}

/// A convolutional decoder of 16 x 16 patches.
pub fn conv_decoder() -> Vec<u8> {
    let up = [Attr::Ints("strides", &[2, 2]), Attr::Ints("pads", &[1, 1, 1, 1])];
    let mut graph = Graph::new(&[8]);
    graph.dense(8, 256);
    let shape = graph.ints(&[0, 16, 4, 4]);
    graph.node("Reshape", &[&shape], &[]);
    graph.convolution("ConvTranspose", &[16, 16, 4, 4], 16, &up).node("Gelu", &[], &[]);
    graph.convolution("ConvTranspose", &[16, 8, 4, 4], 8, &up).node("LeakyRelu", &[], &[]);
    graph.convolution("Conv", &[1, 8, 3, 3], 1, &[Attr::Ints("pads", &[1, 1, 1, 1])]);
    graph.finish()
}
