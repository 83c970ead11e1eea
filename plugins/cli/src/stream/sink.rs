//! What becomes of a block of rows: latents as integers, or an array in a `.baler`.

use super::pump::{Block, Policy};
use crate::failure::{Code, Failure, Result};
use crate::models::Models;
use baler_codec::bundle::{Bundle, Normalisation};
use baler_codec::standalone::{ArrayHeader, Container, Writer};
use baler_codec::{Bound, ByteOrder, Dtype, ModelChoice, Params, encode};
use baler_fpga::device::fits_words;
use baler_fpga::ir::Program;
use baler_fpga::offload::{self, Offloaded};
use clap::ValueEnum;
use std::io::Write;
use std::sync::Arc;

/// Element types of raw rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Element {
    F32,
    F64,
    I16,
    U16,
    I32,
}

impl Element {
    pub fn size_bytes(self) -> usize {
        self.dtype().size_bytes()
    }

    fn dtype(self) -> Dtype {
        match self {
            Element::F32 => Dtype::F32,
            Element::F64 => Dtype::F64,
            Element::I16 => Dtype::I16,
            Element::U16 => Dtype::U16,
            Element::I32 => Dtype::I32,
        }
    }

    /// The numbers of some elements.
    fn numbers(self, bytes: &[u8], to: &mut Vec<f64>) {
        fn read<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64, to: &mut Vec<f64>) {
            to.extend(bytes.as_chunks::<N>().0.iter().map(|&element| number(element)));
        }
        to.clear();
        match self {
            Element::F32 => read(bytes, |b| f32::from_le_bytes(b).into(), to),
            Element::F64 => read(bytes, f64::from_le_bytes, to),
            Element::I16 => read(bytes, |b| i16::from_le_bytes(b).into(), to),
            Element::U16 => read(bytes, |b| u16::from_le_bytes(b).into(), to),
            Element::I32 => read(bytes, |b| i32::from_le_bytes(b).into(), to),
        }
    }
}

/// Encodes blocks one after the other.
pub trait Encode {
    /// Elements of a row.
    fn row_len(&self) -> usize;
    /// Before the first block.
    fn start(&mut self, output: Box<dyn Write>) -> Result<()>;
    /// Encodes a block and writes it.
    fn block(&mut self, block: &Block) -> Result<()>;
    /// After the last: everything is written.
    fn finish(self: Box<Self>) -> Result<Encoded>;
}

/// What was encoded.
pub struct Encoded {
    pub row_bytes: usize,
    pub bytes_out: u64,
    pub rows_invalid: u64,
    pub latent_type: Option<&'static str>,
}

/// Integers of the latents.
pub struct Latents {
    encoder: Arc<Offloaded>,
    element: Element,
    is_framed: bool,
    /// Of the model, where the program leaves it to the codec.
    offset: f64,
    scale: f64,
    latent_type: &'static str,
    output: Option<Box<dyn Write>>,
    bytes_out: u64,
    rows_invalid: u64,
    numbers: Vec<f64>,
    inputs: Vec<f32>,
    words: Vec<i32>,
    latents: Vec<i32>,
    bytes: Vec<u8>,
}

impl Latents {
    pub fn new(
        program: Program,
        normalisation: Option<&Normalisation>,
        element: Element,
        policy: Policy,
    ) -> Result<Self> {
        fits_words(&program)
            .map_err(|fault| Failure::new(Code::Model, format!("the program has {}", fault.message)))?;
        let (offset, scale) = match normalisation {
            None | Some(Normalisation::Columns { .. }) => (0.0, 1.0),
            Some(&Normalisation::Fixed { offset, scale }) => (offset, scale),
            Some(Normalisation::Range | Normalisation::Tile) => {
                return Err(Failure::new(
                    Code::Model,
                    "the model takes offset and scale from each chunk, which latents alone do not hold: write a .baler",
                ));
            }
        };
        let formats = program.output_formats();
        let bits = formats.iter().map(|f| f.width() + u32::from(!f.is_signed())).max().unwrap_or(32);
        let latent_type = match bits {
            0..=8 => "i8",
            9..=16 => "i16",
            _ => "i32",
        };
        Ok(Self {
            encoder: offload::host().load(program),
            element,
            is_framed: policy == Policy::Drop,
            offset,
            scale,
            latent_type,
            output: None,
            bytes_out: 0,
            rows_invalid: 0,
            numbers: Vec::new(),
            inputs: Vec::new(),
            words: Vec::new(),
            latents: Vec::new(),
            bytes: Vec::new(),
        })
    }
}

impl Encode for Latents {
    fn row_len(&self) -> usize {
        self.encoder.program().input_len()
    }

    fn start(&mut self, output: Box<dyn Write>) -> Result<()> {
        self.output = Some(output);
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        let (n_in, n_out) = (self.row_len(), self.encoder.program().output_len());
        self.element.numbers(&block.bytes, &mut self.numbers);
        for row in self.numbers.chunks_exact_mut(n_in) {
            if row.iter().any(|v| !v.is_finite()) {
                row.fill(0.0);
                self.rows_invalid += 1;
            }
        }
        let transforms = &self.encoder.program().input().transforms;
        self.inputs.clear();
        if transforms.is_empty() {
            self.inputs.extend(self.numbers.iter().map(|v| ((v - self.offset) / self.scale) as f32));
        } else {
            let places = self.numbers.iter().zip(transforms.iter().cycle());
            self.inputs.extend(places.map(|(&v, transform)| transform.forward(v) as f32));
        }
        self.words.resize(self.inputs.len(), 0);
        self.encoder.quantise(&self.inputs, &mut self.words)?;
        self.latents.resize(block.rows * n_out, 0);
        self.encoder.run(&self.words, &mut self.latents)?;
        self.bytes.clear();
        if self.is_framed {
            self.bytes.extend_from_slice(&block.first_row.to_le_bytes());
            self.bytes.extend_from_slice(&(block.rows as u64).to_le_bytes());
        }
        match self.latent_type {
            "i8" => self.bytes.extend(self.latents.iter().map(|&z| z as u8)),
            "i16" => self.bytes.extend(self.latents.iter().flat_map(|&z| (z as i16).to_le_bytes())),
            _ => self.bytes.extend(self.latents.iter().flat_map(|z| z.to_le_bytes())),
        }
        self.bytes_out += self.bytes.len() as u64;
        if let Some(output) = &mut self.output {
            output.write_all(&self.bytes)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Encoded> {
        if let Some(output) = &mut self.output {
            output.flush()?;
        }
        Ok(Encoded {
            row_bytes: self.row_len() * self.element.size_bytes(),
            bytes_out: self.bytes_out,
            rows_invalid: self.rows_invalid,
            latent_type: Some(self.latent_type),
        })
    }
}

/// A `.baler` with an array for each block.
pub struct Baler {
    models: Models,
    bundle: Arc<Bundle>,
    bound: Bound,
    element: Element,
    writer: Option<Writer<Box<dyn Write>>>,
}

impl Baler {
    pub fn new(models: Models, bundle: Arc<Bundle>, bound: Bound, element: Element) -> Self {
        Self { models, bundle, bound, element, writer: None }
    }
}

impl Encode for Baler {
    fn row_len(&self) -> usize {
        self.bundle.manifest().tile_values()
    }

    fn start(&mut self, output: Box<dyn Write>) -> Result<()> {
        self.writer = Some(Writer::new(output, Container::Npz)?);
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        let mut shape = vec![block.rows];
        shape.extend_from_slice(&self.bundle.manifest().input.tile);
        let header = ArrayHeader {
            name: format!("rows-{:012}", block.first_row),
            dtype: self.element.dtype(),
            byte_order: ByteOrder::Little,
            shape: shape.iter().map(|&n| n as u64).collect(),
            reversed_axes: false,
            rows_per_chunk: block.rows as u64,
            bound: self.bound,
            per_column: false,
            abs_bound: None,
            fill: None,
        };
        let mut params = Params::new(self.element.dtype(), &shape, self.bound);
        params.model = ModelChoice::Bundle(self.bundle.id());
        let chunk = encode(&params, &block.bytes, self.models.registry())?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if baler_codec::decode_header(&chunk)?.model.is_some()
            && let Some(decoder) = self.models.decoder_for_file(&self.bundle.id())?
        {
            writer.model(self.bundle.id(), &decoder)?;
        }
        writer.array(&header)?;
        Ok(writer.chunk(0..block.rows as u64, &chunk)?)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        let row_bytes = self.row_len() * self.element.size_bytes();
        let bytes_out = match self.writer {
            Some(writer) => {
                let (mut output, bytes_out) = writer.finish()?;
                output.flush()?;
                bytes_out
            }
            None => 0,
        };
        Ok(Encoded { row_bytes, bytes_out, rows_invalid: 0, latent_type: None })
    }
}
