//! `baler compress`: arrays into a `.baler`, or into an HDF5 file through our filter.

use crate::args::{DeviceArgs, EncodeArgs, FileArgs, ThreadArgs, fill_value};
use crate::drift;
use crate::failure::{Failure, InFile, Result};
use crate::format::{Array, Format, Source, file_bytes, for_each_block, open};
use crate::models::Models;
use crate::outcome::{Outcome, Sizes, bytes, count, number};
use crate::output::{Output, refuse_overwrite};
use crate::progress::Progress;
use baler_codec::standalone::{
    ArrayHeader, DEFAULT_CHUNK_BYTES, EncodeOptions, Span, Writer, encode_array, resolve_bound, rows_per_chunk,
};
use baler_codec::{Bound, ByteOrder, ModelChoice, describe};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufWriter;
use std::path::PathBuf;

/// Compresses arrays within a bound
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler compress field.npy field.baler --rel 1e-3        # 0.1 % of the range of the array\n  \
    baler compress events.npz events.baler --rel 1e-3 --columns   # of each column\n  \
    baler compress field.npy field.h5 --abs 0.01           # dataset `data`, for any HDF5 program\n  \
    baler compress run.h5 run-small.h5 --rel 1e-3          # the same as `baler h5 repack`\n  \
    baler compress scan.npy scan.baler --lossless --effort max\n\n\
    Reads .npy, .npz, HDF5, netCDF-4, and tables (.csv, Parquet) as an array rows x columns. NaN, infinities, -0.0 and --fill come back bit for bit.")]
pub struct CompressArgs {
    /// .npy, .npz, .h5, .nc, .csv or .parquet
    input: PathBuf,
    /// .baler or .h5
    output: PathBuf,
    #[command(flatten)]
    encode: EncodeArgs,
    /// A value that stands for no data: comes back bit for bit and counts in no range. HDF5 and netCDF files say
    /// their own
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    fill: Option<String>,
    /// Store what the model takes for outliers exactly, not just within the bound; `baler outliers` lists them. Needs --model
    /// with a density. With --latent they are kept anyway
    #[arg(long)]
    keep_outliers: bool,
    /// With --latent: store outliers as latents like all others
    #[arg(long, conflicts_with = "keep_outliers")]
    no_keep_outliers: bool,
    /// Where decoders that are not built in are stored, so that the file opens anywhere
    #[arg(long, value_enum, default_value_t = Embed::File)]
    embed: Embed,
    /// Aimed-at size of a chunk in MiB; chunks are cut along the first axis
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_CHUNK_BYTES as f64 / 1048576.0)]
    chunk_mib: f64,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    files: FileArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Embed {
    /// Once in the file
    File,
    /// In every chunk that needs it
    Chunk,
    /// Nowhere: readers must have the model
    None,
}

impl CompressArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.files.force)?;
        self.device.apply()?;
        let input = Format::of_file(&self.input)?;
        match (input, Format::of_name(&self.output)?) {
            (Format::Baler, _) => {
                Err(Failure::usage(format!("{} is compressed already: `baler decompress` it", self.input.display())))
            }
            (_, Format::Baler) => self.to_baler(quiet),
            #[cfg(feature = "hdf5")]
            (Format::Hdf5, Format::Hdf5) => {
                self.refuse_for_hdf5()?;
                crate::h5::repack::RepackArgs::new(&self.input, &self.output, &self.encode, self.threads, &self.files)
                    .run(quiet)
            }
            #[cfg(feature = "hdf5")]
            (_, Format::Hdf5) => self.to_hdf5(quiet),
            #[cfg(not(feature = "hdf5"))]
            (_, Format::Hdf5) => Err(crate::format::without_hdf5(&self.output)),
            _ => Err(Failure::usage(format!(
                "{}: compressed arrays go into a .baler or .h5; `baler convert` writes plain files",
                self.output.display()
            ))),
        }
    }

    /// See [`baler_codec::Params::keep_outliers`]; by default it is the codec's to choose.
    fn keep_outliers(&self) -> Option<bool> {
        (self.keep_outliers || self.no_keep_outliers).then_some(self.keep_outliers)
    }

    /// The arrays asked for, with their fill value.
    fn arrays(&self, source: &dyn Source) -> Result<Vec<(usize, Array)>> {
        self.files.check_names(source.arrays())?;
        let mut arrays = Vec::new();
        for (i, array) in source.arrays().iter().enumerate().filter(|(_, a)| self.files.wants(a)) {
            let mut array = array.clone();
            if let Some(text) = &self.fill {
                array.fill = Some(fill_value(text, array.dtype, array.byte_order)?);
            }
            if self.encode.columns && array.reversed_axes {
                return Err(Failure::usage(format!(
                    "array {:?} is in Fortran order: --columns needs rows x columns in C order; write it with \
                     numpy.ascontiguousarray first",
                    array.shown_name()
                )));
            }
            if self.encode.columns && array.shape.is_empty() {
                return Err(Failure::usage(format!(
                    "array {:?} is a single value: it has no columns",
                    array.shown_name()
                )));
            }
            arrays.push((i, array));
        }
        if arrays.is_empty() {
            return Err(Failure::usage(format!("{}: no arrays of numbers to compress", self.input.display())));
        }
        for name in source.left_out() {
            eprintln!("baler: {name:?} is left out");
        }
        Ok(arrays)
    }

    fn to_baler(&self, quiet: bool) -> Result<Outcome> {
        let bound = self.encode.bound.bound()?;
        let (models, model) = Models::choose(&self.encode.model)?;
        need_model(bound, model)?;
        if self.chunk_mib.is_nan() || self.chunk_mib <= 0.0 {
            return Err(Failure::usage(format!("--chunk-mib {}: expected a size above 0", self.chunk_mib)));
        }
        let source = open(&self.input)?;
        let arrays = self.arrays(&*source)?;
        let total: u64 = arrays.iter().map(|(_, a)| a.value_bytes()).sum();
        let mut progress = Progress::new("compressing", total, quiet);
        let (output, file) = Output::create(&self.output, self.files.force)?;
        let mut writer = Writer::new(BufWriter::new(file), source.container()).in_file(&self.output)?;
        let options = EncodeOptions {
            model,
            effort: self.encode.effort.into(),
            keep_outliers: self.keep_outliers(),
            check_decode: self.encode.check,
            embed_in_chunks: self.embed == Embed::Chunk,
            threads: self.threads.n_threads(),
        };
        let mut embedded_bytes = 0;
        let (mut results, mut drift) = (Vec::new(), Vec::new());
        for (i, array) in &arrays {
            let header = ArrayHeader {
                name: array.name.clone(),
                dtype: array.dtype,
                byte_order: array.byte_order,
                shape: array.shape.clone(),
                reversed_axes: array.reversed_axes,
                rows_per_chunk: rows_per_chunk(array.rows(), array.row_bytes(), (self.chunk_mib * 1048576.0) as u64),
                bound,
                per_column: self.encode.columns,
                abs_bound: None,
                fill: array.fill.clone(),
            };
            let span = span_of(&*source, *i, array, bound, self.encode.columns)?;
            let mut tally = Tally::default();
            let model_of = |id: &_| match self.embed {
                Embed::File => Ok(models.decoder_for_file(id)?),
                _ => Ok(None),
            };
            source.read(*i, &mut |values| {
                let mut on_chunk = |chunk: baler_codec::standalone::EncodedChunk<'_>| {
                    tally.add(chunk.stream);
                    progress.add(chunk.value_bytes);
                };
                encode_array(&mut writer, &header, values, &span, &options, models.registry(), &model_of, &mut on_chunk)
                    .map_err(Failure::from)
            })?;
            embedded_bytes += tally.embedded_bytes;
            drift.extend(drift::check(&*source, *i, array, &models, &drift::suspects(model, &tally))?);
            results.push((array.clone(), tally));
        }
        if self.files.arrays.is_empty() {
            for (name, bytes) in source.blobs() {
                writer.blob(name, bytes).in_file(&self.output)?;
            }
        }
        let model_bytes = writer.model_bytes() + embedded_bytes;
        let (_, output_bytes) = writer.finish().in_file(&self.output)?;
        output.commit()?;
        let sizes = Sizes {
            value_bytes: total,
            stored_bytes: output_bytes,
            model_bytes,
            decoder_bytes: decoders(&models, &results),
        };
        let mut outcome = summary(self, bound, sizes, &results);
        drift::put(&drift, &mut outcome);
        Ok(outcome)
    }

    #[cfg(feature = "hdf5")]
    fn refuse_for_hdf5(&self) -> Result<()> {
        if self.fill.is_some() {
            return Err(Failure::usage("--fill: in HDF5 the dataset's own fill value is used; leave the flag out"));
        }
        if self.keep_outliers().is_some() {
            return Err(Failure::usage("--keep-outliers is not for HDF5 output, whose filter has no such parameter"));
        }
        if self.embed != Embed::File {
            return Err(Failure::usage("--embed is not for HDF5 output: the filter stores a decoder once in the file"));
        }
        Ok(())
    }

    #[cfg(feature = "hdf5")]
    fn to_hdf5(&self, quiet: bool) -> Result<Outcome> {
        use crate::format::Sink;
        use crate::format::baler::{Event, visit};
        use crate::format::hdf5::{Hdf5Sink, Layout};
        self.refuse_for_hdf5()?;
        let bound = self.encode.bound.bound()?;
        let source = open(&self.input)?;
        let arrays = self.arrays(&*source)?;
        let total: u64 = arrays.iter().map(|(_, a)| a.value_bytes()).sum();
        let mut words = BTreeMap::new();
        for (i, array) in &arrays {
            let span = span_of(&*source, *i, array, bound, self.encode.columns)?;
            let request = crate::h5::request(&self.encode, resolve_bound_for_hdf5(bound, self.encode.columns, &span))?;
            words.insert(array.shown_name().to_owned(), request.to_words()?);
        }
        let (reach, model) = Models::choose(&self.encode.model)?;
        let mut progress = Progress::new("compressing", total, quiet);
        let mut sink = Hdf5Sink::create(&self.output, self.files.force, Layout::Filtered { words, chunk: None })?;
        for (i, array) in &arrays {
            sink.array(array)?;
            source.read(*i, &mut |input| {
                sink.fill(input, self.threads.n_threads(), &|id| reach.registry().find(id), &mut |n| progress.add(n))
            })?;
        }
        Box::new(sink).finish()?;
        let models = Models::standard();
        let (mut tallies, mut model_bytes) = (Vec::<(Array, Tally)>::new(), 0);
        visit(&self.output, &models, self.threads.n_threads(), &mut |event| {
            match event {
                Event::Array(array) => tallies.push((array.clone(), Tally::default())),
                Event::Chunk { description, stored_bytes } => {
                    if let Some((_, tally)) = tallies.last_mut() {
                        tally.add_description(description.as_ref(), stored_bytes);
                    }
                }
                Event::Model { stored_bytes, .. } => model_bytes += stored_bytes,
                _ => {}
            }
            Ok(())
        })?;
        model_bytes += tallies.iter().map(|(_, t)| t.embedded_bytes).sum::<u64>();
        let decoder_bytes = decoders(&models, &tallies);
        let sizes = Sizes { value_bytes: total, stored_bytes: file_bytes(&self.output)?, model_bytes, decoder_bytes };
        let mut outcome = summary(self, bound, sizes, &tallies);
        let mut drift = Vec::new();
        for ((i, array), (_, tally)) in arrays.iter().zip(&tallies) {
            drift.extend(drift::check(&*source, *i, array, &reach, &drift::suspects(model, tally))?);
        }
        drift::put(&drift, &mut outcome);
        Ok(outcome)
    }
}

/// Bytes of every decoder these arrays need.
pub fn decoders(models: &Models, results: &[(Array, Tally)]) -> u64 {
    models.decoder_bytes(results.iter().flat_map(|(_, tally)| &tally.models).collect::<BTreeSet<_>>())
}

/// A mode that is nothing without a model says so before any work.
fn need_model(bound: Bound, model: ModelChoice) -> Result<()> {
    if bound == Bound::Latent && model == ModelChoice::None {
        return Err(Failure::usage("--latent stores the latents of a model: name one with --model"));
    }
    Ok(())
}

/// Goes through the values once where the bound depends on their range.
pub fn span_of(source: &dyn Source, i: usize, array: &Array, bound: Bound, columns: bool) -> Result<Span> {
    let mut span = Span::new(array.dtype, array.byte_order, array.fill.as_deref())?;
    if matches!(bound, Bound::Rel(_) | Bound::Psnr(_)) && !columns {
        source.read(i, &mut |input| {
            for_each_block(array, input, &mut |block| {
                span.add(block);
                Ok(())
            })
        })?;
    }
    Ok(span)
}

/// In HDF5 the filter sees chunks only: a bound of the whole dataset is made absolute here. `psnr` stays as it is,
/// relative to the range of each chunk, which is stricter.
pub fn resolve_bound_for_hdf5(bound: Bound, columns: bool, whole: &Span) -> Bound {
    match bound {
        Bound::Rel(_) => resolve_bound(bound, columns, whole, whole),
        _ => bound,
    }
}

/// What the chunks of an array came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub stored_bytes: u64,
    pub n_chunks: u64,
    pub embedded_bytes: u64,
    /// How often each candidate won, parts counted one by one.
    pub candidates: BTreeMap<String, u64>,
    /// Models the chunks need.
    pub models: BTreeSet<String>,
}

impl Tally {
    pub fn add(&mut self, stream: &[u8]) {
        self.add_description(describe(stream).ok().as_ref(), stream.len() as u64);
    }

    pub fn add_description(&mut self, description: Option<&baler_codec::Description>, stored_bytes: u64) {
        self.stored_bytes += stored_bytes;
        self.n_chunks += 1;
        let Some(d) = description else {
            *self.candidates.entry("unfiltered".into()).or_default() += 1;
            return;
        };
        self.embedded_bytes += d.embedded_bytes as u64;
        self.models.extend(d.header.model.map(|id| id.to_string()));
        for part in &d.parts {
            *self.candidates.entry(part.candidate.to_owned()).or_default() += 1;
        }
    }

    /// `43.285 kB in 4 chunks: lorenzo 3, constant 1`.
    pub fn text(&self) -> String {
        if self.n_chunks == 0 {
            return "empty".into();
        }
        format!("{} in {}: {}", bytes(self.stored_bytes), count(self.n_chunks, "chunk"), self.winners())
    }

    /// `lorenzo 3, constant 1`.
    fn winners(&self) -> String {
        self.candidates.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
    }

    pub fn report(&self, array: &Array) -> Value {
        json!({
            "name": array.shown_name(),
            "dtype": array.dtype.name(),
            "byte_order": if array.byte_order == ByteOrder::Big { "big" } else { "little" },
            "shape": array.shape,
            "reversed_axes": array.reversed_axes,
            "value_bytes": array.value_bytes(),
            "stored_bytes": self.stored_bytes,
            "chunks": self.n_chunks,
            "candidates": self.candidates,
            "models": self.models,
        })
    }
}

fn summary(args: &CompressArgs, bound: Bound, sizes: Sizes, results: &[(Array, Tally)]) -> Outcome {
    let mut text = format!("{}: {} at {bound}", args.output.display(), sizes.text());
    for (array, tally) in results {
        text += &format!("\n  {}: {}", array.shown_name(), tally.text());
    }
    let mut json = json!({
        "input": args.input.display().to_string(),
        "output": args.output.display().to_string(),
        "bound": bound_json(bound, args.encode.columns),
        "arrays": results.iter().map(|(array, tally)| tally.report(array)).collect::<Vec<_>>(),
    });
    sizes.put(&mut json);
    args.device.put(&mut text, &mut json);
    Outcome::new(text, json)
}

/// A bound for JSON.
pub fn bound_json(bound: Bound, per_column: bool) -> Value {
    json!({ "kind": bound.name(), "value": number(bound.to_wire().1), "per_column": per_column })
}
