//! `baler outliers`: tiles that are not like those a model was trained on.

use crate::args::{FileArgs, ThreadArgs};
use crate::failure::{Code, Failure, Result};
use crate::format::baler::{Event, visit};
use crate::format::{Array, Format};
use crate::models::Models;
use crate::outcome::{Outcome, count, number, table};
use crate::progress::Progress;
use baler_codec::bundle::BundleId;
use baler_codec::standalone::{DEFAULT_CHUNK_BYTES, rows_per_chunk};
use baler_codec::{Bound, Bundle, ErrorKind, ModelChoice, Params, Registry, score_tiles};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Lists the tiles (rows of a table, blocks of a field) that are not like those a model was trained on
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler outliers events.baler                          # by the model the file was made with\n  \
    baler outliers events.npy --model events.bundle --top 5\n  \
    baler outliers frames.h5 --model camera.bundle --array run7/frames --json\n\n\
    Scores are about 1 for tiles like those of training; an outlier's is above the model's threshold. The model needs a \
    density (`baler train --density`) and its encoder. Outliers that were kept exactly (`baler compress --latent` does so) \
    score in a compressed file as they did in the original. docs/outliers.md says more.")]
pub struct OutliersArgs {
    /// .baler, .npy, .npz, .h5 or .nc
    input: PathBuf,
    /// Name or id of a model, or a .bundle file; by default the one the file was made with
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// List no more than this many, those with the highest scores
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Only this array: member of a .npz, path of an HDF5 dataset; may be repeated
    #[arg(long = "array", value_name = "NAME")]
    arrays: Vec<String>,
    #[command(flatten)]
    threads: ThreadArgs,
}

/// An outlier and where it is.
struct Outlier {
    array: usize,
    /// Counted over the array's tiles in C order.
    tile: u64,
    /// Coordinates of its first value in the array.
    at: Vec<u64>,
    score: f64,
}

/// An array while its values come in.
struct Scored {
    array: Array,
    is_wanted: bool,
    tiles: u64,
    rows: u64,
    pending: Vec<u8>,
}

impl OutliersArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let files = FileArgs { force: false, arrays: self.arrays.clone() };
        let (models, mut bundle) = match &self.model {
            None => (Models::standard(), None),
            Some(text) => {
                let (models, choice) = Models::choose(text)?;
                let ModelChoice::Bundle(id) = choice else {
                    return Err(Failure::usage(format!("--model {text}: name one model, or its .bundle file")));
                };
                let bundle = models.registry().find(&id)?;
                (models, Some(bundle))
            }
        };
        // A chunk of a .baler is scored as it was encoded; anything else in pieces of the size it would have.
        let by_chunk = Format::of_file(&self.input)? == Format::Baler;
        let mut progress = Progress::new("scoring", 0, quiet);
        let mut scored: Vec<Scored> = Vec::new();
        let mut found: Vec<Outlier> = Vec::new();
        let mut misfit: Option<Failure> = None;
        visit(&self.input, &models, self.threads.n_threads(), &mut |event| {
            match event {
                Event::Array(array) => {
                    let is_wanted = files.wants(array) && array.value_bytes() > 0;
                    if is_wanted {
                        progress.grow(array.value_bytes());
                    }
                    scored.push(Scored { array: array.clone(), is_wanted, tiles: 0, rows: 0, pending: Vec::new() });
                }
                Event::Chunk { description: Some(description), .. } if bundle.is_none() => {
                    if let Some(id) = description.header.model {
                        bundle = Some(with_encoder(&models, &id)?);
                    }
                }
                Event::Values(values) => {
                    let index = scored.len().saturating_sub(1);
                    let Some(array) = scored.last_mut().filter(|s| s.is_wanted) else { return Ok(()) };
                    progress.add(values.len() as u64);
                    array.pending.extend_from_slice(values);
                    let Some(bundle) = &bundle else {
                        // A .baler whose first chunks went without a model: nothing was an outlier there.
                        if !by_chunk {
                            return Err(Failure::usage("name the model to score by: --model NAME or --model FILE"));
                        }
                        array.skip(values.len());
                        return Ok(());
                    };
                    match array.score(bundle, models.registry(), by_chunk, index, &mut found) {
                        Ok(()) => {}
                        Err(e) if e.kind() == ErrorKind::InvalidArgument && bundle.manifest().density.is_some() => {
                            array.is_wanted = false;
                            misfit.get_or_insert(e.into());
                        }
                        Err(e) => return Err(e.into()),
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        let all: Vec<Array> = scored.iter().map(|s| s.array.clone()).collect();
        files.check_names(&all)?;
        let Some(bundle) = bundle else {
            return Err(Failure::usage(format!(
                "{}: no chunk was made with a model; name one to score by: --model NAME or --model FILE",
                self.input.display()
            )));
        };
        if scored.iter().all(|s| s.tiles == 0) {
            return Err(
                misfit.unwrap_or_else(|| Failure::usage(format!("{}: no values to score", self.input.display())))
            );
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(self.outcome(&bundle, &scored, &found))
    }

    fn outcome(&self, bundle: &Bundle, scored: &[Scored], found: &[Outlier]) -> Outcome {
        let manifest = bundle.manifest();
        let threshold = manifest.density.as_ref().map_or(f64::INFINITY, |d| d.threshold);
        let tiles: u64 = scored.iter().map(|s| s.tiles).sum();
        let listed = &found[..found.len().min(self.top)];
        let tile: Vec<String> = manifest.input.tile.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "{}: {} among {tiles} tiles of {} (model {}, scores above {threshold:.3})",
            self.input.display(),
            count(found.len() as u64, "outlier"),
            tile.join(" x "),
            manifest.name
        );
        if !listed.is_empty() {
            let mut rows = vec![["ARRAY", "TILE", "AT", "SCORE"].map(String::from).to_vec()];
            rows.extend(listed.iter().map(|o| {
                let at: Vec<String> = o.at.iter().map(ToString::to_string).collect();
                let score = if o.score < 1e5 { format!("{:.3}", o.score) } else { format!("{:.3e}", o.score) };
                vec![scored[o.array].array.shown_name().to_owned(), o.tile.to_string(), at.join(", "), score]
            }));
            text += &format!("\n{}", table(&rows));
        }
        if listed.len() < found.len() {
            text += &format!("\n{} more: --top N lists N", found.len() - listed.len());
        }
        let arrays: Vec<Value> = (0..scored.len())
            .filter(|&i| scored[i].tiles > 0)
            .map(|i| {
                let of = |o: &&Outlier| o.array == i;
                json!({
                    "name": scored[i].array.shown_name(),
                    "tiles": scored[i].tiles,
                    "n_outliers": found.iter().filter(of).count(),
                    "outliers": listed
                        .iter()
                        .filter(of)
                        .map(|o| json!({ "tile": o.tile, "at": o.at, "score": number(o.score) }))
                        .collect::<Vec<_>>(),
                })
            })
            .collect();
        let json = json!({
            "input": self.input.display().to_string(),
            "model": manifest.name,
            "model_id": bundle.id().to_string(),
            "tile": manifest.input.tile,
            "threshold": number(threshold),
            "n_outliers": found.len(),
            "arrays": arrays,
        });
        Outcome::new(text, json)
    }
}

impl Scored {
    /// Scores what is pending, in pieces; the rest waits for more rows.
    fn score(
        &mut self,
        bundle: &Bundle,
        registry: &Registry,
        by_chunk: bool,
        index: usize,
        found: &mut Vec<Outlier>,
    ) -> baler_codec::Result<()> {
        let row_bytes = self.array.row_bytes();
        let piece_rows = rows_per_chunk(self.array.rows(), row_bytes, DEFAULT_CHUNK_BYTES);
        loop {
            let there = self.pending.len() as u64 / row_bytes.max(1);
            let is_last = self.rows + there == self.array.rows();
            let rows = if by_chunk { there } else { there.min(piece_rows) };
            if rows == 0 || !(by_chunk || is_last || rows == piece_rows) {
                return Ok(());
            }
            let mut shape: Vec<usize> = self.array.shape.iter().map(|&n| n as usize).collect();
            if let Some(first) = shape.first_mut() {
                *first = rows as usize;
            }
            let mut params = Params::new(self.array.dtype, &shape, Bound::Latent);
            params.byte_order = self.array.byte_order;
            params.fill.clone_from(&self.array.fill);
            let values: Vec<u8> = self.pending.drain(..(rows * row_bytes) as usize).collect();
            let scores = score_tiles(bundle, &params, &values, registry)?;
            found.extend(scores.outliers().into_iter().map(|i| {
                let mut at: Vec<u64> = scores.corner(i).iter().map(|&c| c as u64).collect();
                if let Some(first) = at.first_mut() {
                    *first += self.rows;
                }
                Outlier { array: index, tile: self.tiles + i as u64, at, score: scores.scores[i] }
            }));
            self.tiles += scores.scores.len() as u64;
            self.rows += rows;
        }
    }

    /// Passes over values that are not scored.
    fn skip(&mut self, n_bytes: usize) {
        self.pending.clear();
        self.rows += n_bytes as u64 / self.array.row_bytes().max(1);
    }
}

/// The full copy of a file's own model, which scoring needs.
fn with_encoder(models: &Models, id: &BundleId) -> Result<Arc<Bundle>> {
    let bundle = models.registry().find(id)?;
    if !bundle.has_encoder() {
        let name = &bundle.manifest().name;
        return Err(Failure::new(
            Code::Model,
            format!(
                "scoring needs the encoder of model {name} ({id}), and the file holds its decoder only: add the full bundle with \
                 --model FILE, or install it with `baler models add FILE`"
            ),
        ));
    }
    Ok(bundle)
}
