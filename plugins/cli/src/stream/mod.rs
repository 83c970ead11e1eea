//! `baler stream`: rows through an encoder as a detector delivers them. `pump.rs` keeps memory bounded, `sink.rs` encodes.

mod pump;
mod sink;

use crate::args::{BoundArgs, DeviceArgs};
use crate::failure::{Failure, InFile, Result};
use crate::fpga::{program_of, read_program};
use crate::models::Models;
use crate::outcome::{Outcome, number};
use crate::output::Output;
use baler_codec::ModelChoice;
use clap::Args;
use pump::{Counters, Policy, Settings, pump};
use serde_json::json;
use sink::{Baler, Element, Encode, Encoded, Latents};
use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Encodes rows as they come, from a pipe, a file or a socket, in bounded memory
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    readout | baler stream --program encoder.fixed.json -o latents.bin\n  \
    baler stream --model jets-24-16-8 --listen /run/readout.sock --policy drop -o latents.bin --every 1\n  \
    baler stream --model walsh --abs 0.01 events.f32 -o events.baler\n  \
    baler stream --program encoder.fixed.json events.f32 --rate 1e6 --policy drop -o -    # a file replayed\n\n\
    Latents are integers, row after row, in the smallest of i8, i16, i32 that holds all. With --policy drop each block of them \
    begins with the number of its first row (u64) and how many rows it has (u64), so that gaps can be seen. A .baler has an \
    array for each block.")]
pub struct StreamArgs {
    /// Raw rows in C order; `-` is standard input
    #[arg(default_value = "-")]
    input: PathBuf,
    /// Latents, or a .baler (needs --model and a bound); `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// A fixed-point program (.json) as the encoder, or a model with one: a .bundle file or a name
    #[arg(long, value_name = "FILE", conflicts_with = "model", required_unless_present = "model")]
    program: Option<PathBuf>,
    /// A model: its fixed-point encoder, or for a .baler any
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Wait for one sender at this Unix socket instead of reading the input
    #[arg(long, value_name = "SOCKET")]
    listen: Option<PathBuf>,
    /// Element type of the input, little-endian
    #[arg(long, value_enum, default_value_t = Element::F32)]
    dtype: Element,
    /// What happens when rows come faster than they are encoded
    #[arg(long, value_enum, default_value_t = Policy::Wait)]
    policy: Policy,
    /// Rows of a block: what is encoded at once
    #[arg(long, value_name = "N", default_value = "4096")]
    block: std::num::NonZero<usize>,
    /// Memory for rows that wait, in MiB, at most
    #[arg(long, value_name = "MIB", default_value_t = 16.0)]
    buffer: f64,
    /// Replay the input at so many rows a second
    #[arg(long, value_name = "ROWS_PER_S")]
    rate: Option<f64>,
    /// Report the counters on standard error every so many seconds
    #[arg(long, value_name = "S")]
    every: Option<f64>,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    bound: BoundArgs,
}

impl StreamArgs {
    pub fn run(&self) -> Result<Outcome> {
        self.device.apply()?;
        for (flag, value) in [("--buffer", Some(self.buffer)), ("--rate", self.rate), ("--every", self.every)] {
            if value.is_some_and(|v| !(v.is_finite() && v > 0.0)) {
                return Err(Failure::usage(format!("{flag} {}: expected a number above 0", value.unwrap_or(0.0))));
            }
        }
        let encoder = self.encoder()?;
        let row_bytes = encoder.row_len() * self.dtype.size_bytes();
        let block_bytes = row_bytes.saturating_mul(self.block.get());
        if block_bytes > 1 << 30 {
            return Err(Failure::usage(format!(
                "--block {}: a block of {block_bytes} bytes; 1 GiB at most",
                self.block
            )));
        }
        let settings = Settings {
            row_bytes,
            block_rows: self.block.get(),
            n_blocks: ((self.buffer * 1048576.0 / block_bytes as f64) as usize).max(2),
            policy: self.policy,
            rate: self.rate,
        };
        if self.output == Path::new("-") {
            let (counters, sink, elapsed) = self.encode(encoder, Box::new(std::io::stdout()), &settings)?;
            // Standard output has the latents.
            eprintln!("{}", self.text(&counters, &sink, elapsed));
            return Ok(Outcome::new("", json!({})));
        }
        let (output, file) = Output::create(&self.output, self.force)?;
        let (counters, sink, elapsed) = self.encode(encoder, Box::new(file), &settings)?;
        output.commit()?;
        let mut text = self.text(&counters, &sink, elapsed);
        let seconds = elapsed.as_secs_f64();
        let rows_in = Counters::get(&counters.rows_in);
        let mut json = json!({
            "output": self.output.display().to_string(),
            "rows_in": rows_in,
            "rows_out": Counters::get(&counters.rows_out),
            "rows_dropped": Counters::get(&counters.rows_dropped),
            "rows_invalid": sink.rows_invalid,
            "bytes_left": Counters::get(&counters.bytes_left),
            "bytes_in": rows_in * row_bytes as u64,
            "bytes_out": sink.bytes_out,
            "seconds": number(seconds),
            "rows_per_s": number(Counters::get(&counters.rows_out) as f64 / seconds),
            "mb_per_s": number((rows_in * row_bytes as u64) as f64 / 1e6 / seconds),
            "latent_type": sink.latent_type,
        });
        self.device.put(&mut text, &mut json);
        Ok(Outcome::new(text, json))
    }

    /// What turns rows into bytes.
    fn encoder(&self) -> Result<Box<dyn Encode>> {
        let is_baler = self.output.extension().is_some_and(|e| e == "baler");
        let bound = self.bound.optional()?;
        if let Some(path) = &self.program {
            if is_baler || bound.is_some() {
                return Err(Failure::usage("a .baler and a bound need --model: a program alone gives latents"));
            }
            return Ok(Box::new(Latents::new(read_program(path)?, None, self.dtype, self.policy)?));
        }
        let name = self.model.as_deref().unwrap_or_default();
        let (models, choice) = Models::choose(name)?;
        let ModelChoice::Bundle(id) = choice else {
            return Err(Failure::usage(format!("--model {name}: name one model, or its .bundle file")));
        };
        let bundle = models.registry().find(&id)?;
        if is_baler {
            let bound = self.bound.bound()?;
            return Ok(Box::new(Baler::new(models, bundle, bound, self.dtype)));
        }
        if bound.is_some() {
            return Err(Failure::usage("a bound is for a .baler: name the output so, or leave the bound out"));
        }
        let program = program_of(&bundle)?;
        Ok(Box::new(Latents::new(program, Some(&bundle.manifest().input.normalisation), self.dtype, self.policy)?))
    }

    fn encode(
        &self,
        mut encoder: Box<dyn Encode>,
        output: Box<dyn Write>,
        settings: &Settings,
    ) -> Result<(Counters, Encoded, Duration)> {
        let mut input = self.open()?;
        encoder.start(Box::new(BufWriter::with_capacity(1 << 20, output)))?;
        let counters = Counters::default();
        let began = Instant::now();
        let mut next_report = self.every.map(Duration::from_secs_f64);
        let mut sink = |block: &pump::Block| encoder.block(block);
        let mut each = || {
            if let (Some(every), Some(due)) = (self.every, next_report)
                && began.elapsed() >= due
            {
                next_report = Some(due.max(began.elapsed()) + Duration::from_secs_f64(every));
                eprintln!("{}", progress(&counters, settings.row_bytes, began.elapsed()));
            }
        };
        pump(&mut *input, settings, &counters, &mut sink, &mut each)?;
        let encoded = encoder.finish()?;
        Ok((counters, encoded, began.elapsed()))
    }

    /// The input, or the first that calls.
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        if let Some(path) = &self.listen {
            let listener = UnixListener::bind(path).in_file(path)?;
            let accepted = listener.accept();
            let _ = std::fs::remove_file(path);
            return Ok(Box::new(accepted.in_file(path)?.0));
        }
        if self.input == Path::new("-") {
            return Ok(Box::new(std::io::stdin()));
        }
        Ok(Box::new(crate::format::open_file(&self.input)?))
    }

    fn text(&self, counters: &Counters, encoded: &Encoded, elapsed: Duration) -> String {
        let mut text = progress(counters, encoded.row_bytes, elapsed);
        text += &format!("; {} bytes out", encoded.bytes_out);
        if let Some(latent_type) = encoded.latent_type {
            text += &format!(" ({latent_type})");
        }
        if encoded.rows_invalid > 0 {
            text += &format!("; {} rows with NaN or infinities, encoded as zeros", encoded.rows_invalid);
        }
        match Counters::get(&counters.bytes_left) {
            0 => text,
            n => text + &format!("; the input ended within a row: {n} bytes are left out"),
        }
    }
}

/// One line of counters.
fn progress(counters: &Counters, row_bytes: usize, elapsed: Duration) -> String {
    let [rows_in, out, dropped] = [&counters.rows_in, &counters.rows_out, &counters.rows_dropped].map(Counters::get);
    let seconds = elapsed.as_secs_f64().max(1e-9);
    format!(
        "{rows_in} rows in, {out} encoded, {dropped} dropped; {:.3} M rows/s, {:.1} MB/s in {seconds:.2} s",
        out as f64 / seconds / 1e6,
        (rows_in * row_bytes as u64) as f64 / 1e6 / seconds
    )
}
