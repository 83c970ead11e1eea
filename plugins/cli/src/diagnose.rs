//! `baler diagnose`: what the nodes of a model's networks do with data, and how its latents are used.

use crate::dataset::{Dataset, Request};
use crate::failure::{Failure, InFile, Result};
use crate::models::Models;
use crate::outcome::{Outcome, number};
use crate::output::Output;
use crate::train_log;
use baler_codec::bundle::{Bundle, Normalisation};
use baler_codec::inference::Network;
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

/// Columns of the heat map in the terminal.
const CELLS: usize = 64;

/// Shows what the nodes of a model do with data: activations, dead nodes, use of the latents
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler diagnose flow.bundle                        # on the data it was trained on, as its log names them\n  \
    baler diagnose flow.bundle other.npy --svg flow.svg\n\n\
    A node that gives the same for every tile is dead: fewer would do. A latent whose integers take one value is not \
    used.")]
pub struct DiagnoseArgs {
    /// .bundle file
    bundle: PathBuf,
    /// Data as for `baler train`; by default those in the training's log
    data: Vec<PathBuf>,
    /// Which array
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Columns of a table
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    columns_named: Vec<String>,
    /// At most this many tiles, evenly spaced
    #[arg(long, value_name = "N", default_value_t = 2000)]
    tiles: usize,
    /// Write the heat map as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The nodes of one layer, after its activation function.
struct Layer {
    name: String,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    sum: f64,
    inactive: u64,
    n: u64,
    min: f32,
    max: f32,
}

impl Node {
    const NEW: Node = Node { sum: 0.0, inactive: 0, n: 0, min: f32::INFINITY, max: f32::NEG_INFINITY };

    fn add(&mut self, v: f32) {
        self.sum += f64::from(v.abs());
        self.inactive += u64::from(v <= 0.0);
        self.n += 1;
        (self.min, self.max) = (self.min.min(v), self.max.max(v));
    }

    fn mean(&self) -> f64 {
        self.sum / self.n.max(1) as f64
    }

    /// Whether it says nothing about its input.
    fn is_dead(&self) -> bool {
        self.n > 1 && self.min == self.max
    }
}

/// How one latent is used, quantised by its step.
struct Latent {
    step: f64,
    min: f64,
    max: f64,
    distinct: usize,
    entropy_bits: f64,
}

impl DiagnoseArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (models, _) = Models::choose(&self.bundle.to_string_lossy())?;
        let bundle = match self.bundle.is_file() {
            true => std::sync::Arc::new(crate::models::read_bundle(&self.bundle)?),
            false => models.named(&self.bundle.to_string_lossy())?,
        };
        let Some(onnx) = bundle.encoder_onnx() else {
            return Err(Failure::new(
                crate::failure::Code::Model,
                "the bundle holds no encoder, so there are no latents to look at: diagnosing needs the full bundle of an autoencoder",
            ));
        };
        let log = train_log::of_bundle(&self.bundle, &bundle.id().to_string());
        let dataset = self.dataset(log.as_ref())?;
        let tiles = Tiles::of(&bundle, &dataset, self.tiles.max(1))?;
        let manifest = bundle.manifest();
        let mut layers = Vec::new();
        let encoder = Network::from_onnx(onnx)?;
        let mut z = vec![0f32; tiles.n * manifest.latents.count];
        encoder.run(tiles.n, &tiles.values, &mut z)?;
        observe("encoder", &encoder, &tiles.values, &mut layers)?;
        let step = &manifest.latents.step;
        let kept: Vec<f32> = z
            .chunks_exact(step.len())
            .flat_map(|row| row.iter().zip(step).map(|(v, s)| ((f64::from(*v) / s).round_ties_even() * s) as f32))
            .collect();
        observe("decoder", bundle.decoder()?, &kept, &mut layers)?;
        let latents: Vec<Latent> =
            step.iter().enumerate().map(|(j, &s)| Latent::of(z.iter().skip(j).step_by(step.len()), s)).collect();
        if let Some(path) = &self.svg {
            let (output, mut file) = Output::create(path, true)?;
            file.write_all(svg(&manifest.name, &layers).as_bytes()).in_file(path)?;
            output.commit()?;
        }
        Ok(self.outcome(&bundle, tiles.n, &layers, &latents))
    }

    fn dataset(&self, log: Option<&Value>) -> Result<Dataset> {
        let logged: Vec<PathBuf> = log
            .and_then(|log| log["data"].as_array())
            .map(|parts| parts.iter().filter_map(|p| p["path"].as_str().map(PathBuf::from)).collect())
            .unwrap_or_default();
        let (paths, array, columns): (_, Option<String>, Vec<String>) = match (&self.data[..], log) {
            ([], Some(log)) if !logged.is_empty() => {
                let columns = log["columns"].as_array().cloned().unwrap_or_default();
                let array = log["data"][0]["array"].as_str().map(String::from);
                (&logged[..], array, columns.iter().filter_map(|c| c.as_str().map(String::from)).collect())
            }
            ([], _) => {
                return Err(Failure::usage(format!(
                    "name the data: no log {} that says what the model was trained on",
                    train_log::path_of(&self.bundle).display()
                )));
            }
            (paths, _) => (paths, self.array.clone(), self.columns_named.clone()),
        };
        Dataset::read(&Request { paths, array: array.as_deref(), columns: &columns, most_rows: None })
    }

    fn outcome(&self, bundle: &Bundle, n_tiles: usize, layers: &[Layer], latents: &[Latent]) -> Outcome {
        let mut text = format!("{} ({}): {n_tiles} tiles", bundle.manifest().name, bundle.id());
        let width = layers.iter().map(|l| l.name.len()).max().unwrap_or(0);
        for layer in layers {
            let dead = layer.nodes.iter().filter(|n| n.is_dead()).count();
            text += &format!(
                "\n  {:<width$} \u{2502}{}\u{2502} {} nodes, {dead} dead, mean activation {:.3}",
                layer.name,
                layer.shades(),
                layer.nodes.len(),
                layer.nodes.iter().map(Node::mean).sum::<f64>() / layer.nodes.len().max(1) as f64
            );
        }
        let used = latents.iter().filter(|l| l.distinct > 1).count();
        let bits: f64 = latents.iter().map(|l| l.entropy_bits).sum();
        text += &format!(
            "\n  latents: {used} of {} used, {bits:.1} bits a tile ({:.2} for each value)",
            latents.len(),
            bits / bundle.manifest().tile_values().max(1) as f64
        );
        let layers_json = layers.iter().map(|layer| {
            json!({
                "layer": layer.name,
                "nodes": layer.nodes.len(),
                "dead": layer.nodes.iter().enumerate().filter(|(_, n)| n.is_dead()).map(|(i, _)| i).collect::<Vec<_>>(),
                "mean_abs": layer.nodes.iter().map(|n| number(n.mean())).collect::<Vec<_>>(),
                "inactive": layer.nodes.iter().map(|n| n.inactive as f64 / n.n.max(1) as f64).collect::<Vec<_>>(),
            })
        });
        let latents_json = latents.iter().map(|l| {
            json!({
                "step": l.step,
                "range": [number(l.min), number(l.max)],
                "distinct": l.distinct,
                "entropy_bits": number(l.entropy_bits),
            })
        });
        let json = json!({
            "name": bundle.manifest().name,
            "id": bundle.id().to_string(),
            "tiles": n_tiles,
            "layers": layers_json.collect::<Vec<_>>(),
            "latents": latents_json.collect::<Vec<_>>(),
            "svg": self.svg.as_ref().map(|p| p.display().to_string()),
        });
        Outcome::new(text, json)
    }
}

impl Layer {
    /// Mean activations in at most [`CELLS`] cells, each in units of the layer's largest.
    fn cells(&self, most: usize) -> Vec<f64> {
        let n = self.nodes.len().min(most);
        let mean = |nodes: &[Node]| nodes.iter().map(Node::mean).sum::<f64>() / nodes.len().max(1) as f64;
        let cells: Vec<f64> =
            (0..n).map(|i| mean(&self.nodes[i * self.nodes.len() / n..(i + 1) * self.nodes.len() / n])).collect();
        let largest = cells.iter().copied().fold(0.0, f64::max);
        cells.into_iter().map(|v| if largest > 0.0 { v / largest } else { 0.0 }).collect()
    }

    fn shades(&self) -> String {
        const SHADES: [char; 5] = [' ', '\u{2591}', '\u{2592}', '\u{2593}', '\u{2588}'];
        let shade = |v: f64| match v {
            v if v <= 0.0 => ' ',
            v => SHADES[(v * 4.0).ceil().clamp(1.0, 4.0) as usize],
        };
        format!("{:<CELLS$}", self.cells(CELLS).into_iter().map(shade).collect::<String>())
    }
}

impl Latent {
    fn of<'a>(values: impl Iterator<Item = &'a f32>, step: f64) -> Self {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut counts: HashMap<i64, u64> = HashMap::new();
        for v in values.map(|v| f64::from(*v)) {
            (min, max) = (min.min(v), max.max(v));
            *counts.entry((v / step).round_ties_even() as i64).or_default() += 1;
        }
        let n = counts.values().sum::<u64>() as f64;
        let entropy_bits = counts.values().map(|&c| c as f64 / n * (n / c as f64).log2()).sum();
        Self { step, min, max, distinct: counts.len(), entropy_bits }
    }
}

/// Runs the rows of `input` and adds what each layer gives.
fn observe(name: &str, network: &Network, input: &[f32], layers: &mut Vec<Layer>) -> Result<()> {
    let first = layers.len();
    // The layer that a step belongs to: operations in place change the one before.
    let mut layer_of: Vec<usize> = Vec::new();
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    let rows = input.len() / network.input_len().max(1);
    for row in 0..rows {
        let mut at = 0;
        outputs.iter_mut().for_each(Vec::clear);
        network.observe(&input[row * network.input_len()..][..network.input_len()], &mut |step| {
            if step.is_layer && at == layer_of.len() {
                layer_of.push(at);
                outputs.push(Vec::new());
            }
            at += usize::from(step.is_layer);
            if at > 0
                && (step.is_layer || step.is_in_place)
                && (step.is_layer || step.values.len() == outputs[at - 1].len())
            {
                outputs[at - 1].clear();
                outputs[at - 1].extend_from_slice(step.values);
            }
        })?;
        for (i, values) in outputs.iter().enumerate() {
            if layers.len() <= first + i {
                let nodes = vec![Node::NEW; values.len()];
                layers.push(Layer { name: format!("{name} {}", i + 1), nodes });
            }
            layers[first + i].nodes.iter_mut().zip(values).for_each(|(node, &v)| node.add(v));
        }
    }
    Ok(())
}

/// Network inputs.
struct Tiles {
    n: usize,
    values: Vec<f32>,
}

impl Tiles {
    /// Tiles of the data without gaps, at most so many, evenly spaced.
    fn of(bundle: &Bundle, dataset: &Dataset, most: usize) -> Result<Self> {
        let input = &bundle.manifest().input;
        let shape: Vec<usize> = dataset.array.shape.iter().map(|&n| n as usize).collect();
        let tile = &input.tile;
        let d: usize = tile.iter().product();
        let fits = tile.len() <= shape.len()
            && shape[shape.len() - tile.len()..].iter().zip(tile).all(|(extent, t)| extent >= t);
        if !fits {
            return Err(Failure::usage(format!("the model's tile {tile:?} does not fit into data of shape {shape:?}")));
        }
        let values = dataset.to_f32(&dataset.bytes);
        let (lead, extents) = shape.split_at(shape.len() - tile.len());
        let grid: Vec<usize> = extents.iter().zip(tile).map(|(e, t)| e / t).collect();
        let frame: usize = extents.iter().product();
        let per_frame: usize = grid.iter().product();
        let total = lead.iter().product::<usize>() * per_frame;
        let (offset, scale) = scaling(&input.normalisation, &values)?;
        let mut out = Vec::new();
        for index in (0..total).step_by(total.div_ceil(most).max(1)) {
            let start = out.len();
            for at in 0..d {
                let (mut t, mut place, mut stride, mut position) = (index % per_frame, at, 1, 0);
                for axis in (0..tile.len()).rev() {
                    position += (t % grid[axis] * tile[axis] + place % tile[axis]) * stride;
                    t /= grid[axis];
                    place /= tile[axis];
                    stride *= extents[axis];
                }
                let value = f64::from(values[index / per_frame * frame + position]);
                out.push(match &input.normalisation {
                    Normalisation::Columns { columns } => columns[at % columns.len()].forward(value) as f32,
                    _ => ((value - offset) / scale) as f32,
                });
            }
            if out[start..].iter().any(|v| !v.is_finite()) {
                out.truncate(start);
            } else if matches!(input.normalisation, Normalisation::Tile) {
                let mean = out[start..].iter().sum::<f32>() / d as f32;
                out[start..].iter_mut().for_each(|v| *v -= mean);
            }
        }
        if out.is_empty() {
            return Err(Failure::usage("no tile of the data is without gaps"));
        }
        Ok(Self { n: out.len() / d, values: out })
    }
}

/// Offset and scale of network inputs.
fn scaling(normalisation: &Normalisation, values: &[f32]) -> Result<(f64, f64)> {
    if let Normalisation::Fixed { offset, scale } = normalisation {
        return Ok((*offset, *scale));
    }
    let finite = values.iter().copied().filter(|v| v.is_finite()).map(f64::from);
    let (min, max) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if max > min {
        return Ok((min, max - min));
    }
    Err(Failure::usage("the data are constant, or hold no finite value: there is nothing to show"))
}

/// The heat map: a row a layer, a cell a node.
fn svg(name: &str, layers: &[Layer]) -> String {
    const WIDTH: f64 = 640.0;
    const LEFT: f64 = 90.0;
    let height = 40 + 28 * layers.len() + 24;
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"14\">{name}: mean activation of each node, of the layer's largest</text>\n",
        WIDTH + LEFT + 80.0
    );
    for (i, layer) in layers.iter().enumerate() {
        let y = 36 + 28 * i;
        out += &format!("<text x=\"8\" y=\"{}\">{}</text>\n", y + 14, layer.name);
        let cells = layer.cells(256);
        let each = WIDTH / cells.len().max(1) as f64;
        for (c, v) in cells.iter().enumerate() {
            // White to dark blue.
            let shade = |full: f64| (255.0 + (full - 255.0) * v).round() as u8;
            out += &format!(
                "<rect x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"20\" fill=\"#{:02x}{:02x}{:02x}\"/>\n",
                LEFT + c as f64 * each,
                each + 0.05,
                shade(8.0),
                shade(48.0),
                shade(107.0)
            );
        }
        let dead = layer.nodes.iter().filter(|n| n.is_dead()).count();
        out += &format!(
            "<text x=\"{}\" y=\"{}\">{} ({dead} dead)</text>\n",
            LEFT + WIDTH + 6.0,
            y + 14,
            layer.nodes.len()
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_nodes_and_latents_are_seen() {
        let mut nodes = vec![Node::NEW; 3];
        for i in 0..4 {
            nodes[0].add(0.0);
            nodes[1].add(i as f32);
            nodes[2].add(-1.0 - i as f32);
        }
        assert_eq!(nodes.iter().map(Node::is_dead).collect::<Vec<_>>(), [true, false, false]);
        let layer = Layer { name: "encoder 1".into(), nodes };
        assert_eq!(layer.cells(8), [0.0, 0.6, 1.0]);
        assert!(layer.shades().starts_with(" \u{2593}\u{2588}"));
        let latent = Latent::of([0.0f32, 0.4, 1.2, 0.9].iter(), 1.0);
        assert_eq!((latent.distinct, latent.entropy_bits), (2, 1.0));
        assert!(svg("a<b", &[layer]).contains("a&lt;b"));
    }
}
