//! Autoencoders: the loop over epochs, from the untrained model to the one that is written.
//!
//! ```text
//! tiles -> encoder -> latents -> (noise or rounding, where the loss learns steps) -> decoder -> loss -> optimiser
//! ```
//!
//! Everything random comes from one generator, in one order: batches, noise, dropout, samples of the loss. No sum depends
//! on the timing of threads. So a seed gives the same bundle each time, and a checkpoint that holds the generator's state
//! goes on as if there had been no break.

use crate::simulate::Random;
use crate::train::architectures::{self, Build, Model, Pass};
use crate::train::checkpoint::{self, State};
use crate::train::finish::finish;
use crate::train::losses::{self, Loss, Terms};
use crate::train::optimiser::Adam;
use crate::train::parameters::rows;
use crate::train::quantise_aware::{FITTED_TILES, FixedPoint};
use crate::train::rounding::Rounding;
use crate::train::schedule::{Rate, Stopping};
use crate::train::tiles::Tiles;
use crate::train::{Dataset, Epoch, Options, Trained, device};
use baler_codec::{Error, ErrorKind, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A model in training.
struct Training<'a> {
    tiles: &'a Tiles,
    options: &'a Options,
    loss: &'static Loss,
    /// The bound in units of the network's output.
    bound: f32,
    rounding: Rounding,
    /// The formats of this epoch, where the encoder computes in fixed point.
    fixed: Option<FixedPoint>,
    device: Device,
    model: Box<dyn Model>,
    optimiser: Adam,
    rate: Rate,
    stopping: Option<Stopping>,
    random: Random,
    step: usize,
    epochs: Vec<Epoch>,
}

/// Trains, packs, measures.
pub(in crate::train) fn train(
    data: &Dataset,
    tiles: &Tiles,
    options: &Options,
    progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Trained> {
    let mut training = Training::new(tiles, options)?;
    let digest = options.checkpoint.is_some().then(|| format!("{:016x}", data.digest()));
    let mut ended = false;
    if let (Some(path), Some(digest), true) = (&options.checkpoint, &digest, options.resume)
        && let Some((state, values)) = checkpoint::read(path, options, digest)?
    {
        ended = state.ended;
        training.restore(&state, values).map_err(|e| e.context(format!("checkpoint {}", path.display())))?;
    }
    let before = training.epochs.last().map_or(Duration::ZERO, |e| e.elapsed);
    let (start, first) = (Instant::now(), training.epochs.len());
    while !ended && training.epochs.len() < options.epochs {
        let stop = training.epoch()?;
        let elapsed = start.elapsed();
        let (done, n) = (training.epochs.len(), training.epochs.len() - first);
        ended = stop || done == options.epochs;
        if let Some(epoch) = training.epochs.last_mut() {
            epoch.elapsed = before + elapsed;
            epoch.remaining = elapsed.mul_f64((options.epochs - done) as f64 / n as f64);
            let broken_off = progress(epoch).is_break();
            if let (Some(path), Some(digest)) = (&options.checkpoint, &digest)
                && (ended || broken_off || done.is_multiple_of(options.checkpoint_epochs))
            {
                training.save(path, digest, ended)?;
            }
            if broken_off {
                break;
            }
        }
    }
    if let Some(Stopping { best: Some(best), .. }) = &training.stopping {
        training.model.parameters_mut().restore(best);
    }
    let Training { model, rounding, loss, epochs, .. } = training;
    finish(tiles, options, &*model, loss, rounding, epochs, before + start.elapsed())
}

impl<'a> Training<'a> {
    fn new(tiles: &'a Tiles, options: &'a Options) -> Result<Self> {
        let bound = (options.rel_bound * tiles.range) as f32;
        let device = device::of(options)?.autodiff();
        let mut random = Random::new(options.seed);
        let mut model = architectures::build(&Build { tiles, options, bound, device: &device }, &mut random)?;
        let steps = options.epochs * (tiles.training.len() / tiles.len()).div_ceil(options.batch);
        Ok(Self {
            tiles,
            options,
            loss: losses::named(&options.loss)?,
            bound,
            rounding: Rounding::new(options, bound),
            fixed: None,
            optimiser: Adam::new(model.parameters_mut(), options),
            model,
            device,
            rate: Rate::new(options, steps),
            stopping: Stopping::new(options),
            random,
            step: 0,
            epochs: Vec::new(),
        })
    }

    /// Whether latents and weights are rounded in the next step. Losses that learn the steps begin with noise.
    fn rounds(&self) -> bool {
        !self.loss.learns_steps || self.is_second_half()
    }

    fn is_second_half(&self) -> bool {
        2 * self.step >= self.rate.steps
    }

    /// Formats for the encoder as it is now.
    fn formats(&self, bits: [u8; 2]) -> Option<FixedPoint> {
        let d = self.tiles.len();
        let spacing = (self.tiles.training.len() / d).div_ceil(FITTED_TILES).max(1);
        let tiles = self.tiles.training.chunks_exact(d).step_by(spacing).flatten().copied().collect();
        let mut pass = Pass { fixed: Some(FixedPoint::choosing(bits)), ..Pass::as_written(None) };
        self.model.encode(rows(tiles, d, &self.device), &mut pass);
        pass.fixed.map(FixedPoint::chosen)
    }

    /// Adds what quantisation will do to latents.
    fn quantised(&self, z: Tensor<2>, noise: Option<Tensor<2>>) -> Tensor<2> {
        match noise {
            _ if !self.loss.learns_steps => z,
            Some(noise) => z + noise,
            None => z.clone() + (z.clone().round() - z).detach(),
        }
    }

    fn loss_of(
        &self,
        input: Tensor<2>,
        noise: Option<Tensor<2>>,
        pass: &mut Pass<'_>,
        random: &mut Random,
    ) -> Tensor<1> {
        pass.fixed.clone_from(&self.fixed);
        let latents = self.model.encode(input.clone(), pass);
        pass.fixed = None;
        let output = self.model.decode(self.quantised(latents.clone(), noise), pass);
        let terms = Terms {
            input,
            latents,
            output,
            weight_bits: pass.weight_bits.take(),
            parameters: self.model.parameters(),
            options: self.options,
            bound: self.bound,
            n_training_values: self.tiles.training.len(),
        };
        self.loss.of(&terms, random)
    }

    /// One pass over the training tiles; whether to stop after it.
    fn epoch(&mut self) -> Result<bool> {
        let d = self.tiles.len();
        let n = self.tiles.training.len() / d;
        let order = self.random.permutation(n);
        self.fixed = self.options.quantise_aware.filter(|_| self.is_second_half()).and_then(|bits| self.formats(bits));
        let is_as_written = self.rounds() && self.fixed.is_some() == self.options.quantise_aware.is_some();
        let (mut sum, mut rate) = (0.0, 0.0);
        for indices in order.chunks(self.options.batch) {
            let batch = indices.iter().flat_map(|&i| &self.tiles.training[i * d..][..d]).copied().collect();
            let batch = rows(batch, d, &self.device);
            let noise = (!self.rounds()).then(|| {
                let shape = [indices.len(), self.options.latents];
                let noise: Vec<f32> = (0..shape[0] * shape[1]).map(|_| self.random.uniform() - 0.5).collect();
                Tensor::from_data(TensorData::new(noise, shape), &self.device)
            });
            let rounding = self.rounds().then_some(self.rounding);
            let mut random = self.random.clone();
            // Its own generator, so that losses which draw samples leave all other random numbers as they are.
            let mut samples = Random::new(self.options.seed ^ (self.step as u64 + 1) << 32);
            let mut pass = Pass::of_training(rounding, &mut random);
            let loss = self.loss_of(batch, noise, &mut pass, &mut samples);
            let statistics = std::mem::take(&mut pass.statistics);
            self.random = random;
            rate = self.rate.at(self.step);
            let gradients = loss.backward();
            self.optimiser.step(rate, self.model.parameters_mut(), &gradients);
            for (index, value) in statistics {
                self.model.parameters_mut().set_statistics(index, value);
            }
            sum += f64::from(loss.into_scalar::<f32>()) * indices.len() as f64;
            self.step += 1;
        }
        let training_loss = sum / n as f64;
        let epoch = self.epochs.len() + 1;
        if !training_loss.is_finite() {
            return Err(Error::model(format!(
                "training diverged in epoch {epoch}: try a learning rate below {}",
                self.options.learning_rate
            )));
        }
        let validation_loss = (!self.tiles.validation.is_empty()).then(|| self.validation_loss());
        self.epochs.push(Epoch {
            epoch,
            epochs: self.options.epochs,
            training_loss,
            validation_loss,
            learning_rate: rate,
            elapsed: Duration::ZERO,
            remaining: Duration::ZERO,
        });
        let watched = validation_loss.unwrap_or(training_loss);
        self.rate.after(watched);
        // Losses with noise and losses with rounding do not compare.
        let Some(stopping) = self.stopping.as_mut().filter(|_| is_as_written) else { return Ok(false) };
        Ok(stopping.after(watched, || self.model.parameters().to_host()))
    }

    /// Loss of the validation tiles, with weights and latents as they will be stored.
    fn validation_loss(&self) -> f64 {
        let d = self.tiles.len();
        // The same samples each time, so that epochs compare.
        let mut samples = Random::new(self.options.seed);
        let losses = self.tiles.validation.chunks(self.options.batch * d).map(|chunk| {
            let batch = rows(chunk.to_vec(), d, &self.device);
            let mut pass = Pass::as_written(Some(self.rounding));
            let loss = self.loss_of(batch, None, &mut pass, &mut samples);
            f64::from(loss.into_scalar::<f32>()) * (chunk.len() / d) as f64
        });
        losses.sum::<f64>() / (self.tiles.validation.len() / d) as f64
    }

    fn save(&self, path: &std::path::Path, digest: &str, ended: bool) -> Result<()> {
        let (time, moments) = self.optimiser.to_host();
        debug_assert_eq!(time as usize, self.step);
        let stopping = self.stopping.as_ref();
        let state = State {
            options: checkpoint::decisive(self.options)?,
            data: digest.to_string(),
            random: self.random.state().iter().map(|word| format!("{word:016x}")).collect(),
            step: self.step,
            plateau: (self.rate.plateau.rate, self.rate.plateau.best, self.rate.plateau.stale),
            stopping: stopping.map_or((f64::INFINITY, 0), |s| (s.state.best, s.state.stale)),
            ended,
            epochs: checkpoint::pack(&self.epochs),
            ..State::default()
        };
        let parameters = self.model.parameters().to_host();
        let best = stopping.and_then(|s| s.best.as_deref()).unwrap_or_default();
        let mut values: Vec<&[f32]> = vec![&parameters, best];
        for moments in &moments {
            let [first, second] = moments.as_ref().map_or([&[][..]; 2], |[m, v]| [m, v]);
            values.extend([first, second]);
        }
        checkpoint::write(path, &state, &values)
    }

    fn restore(&mut self, state: &State, values: Vec<Vec<f32>>) -> Result<()> {
        let damaged = || Error::new(ErrorKind::Corrupt, "its parts do not fit each other: delete it and train anew");
        let n = self.model.parameters().len();
        let trained: Vec<usize> = self.model.parameters_mut().trained().map(|t| t.dims()[0]).collect();
        let [parameters, best, moments @ ..] = &values[..] else { return Err(damaged()) };
        let words: Vec<u64> = state.random.iter().filter_map(|w| u64::from_str_radix(w, 16).ok()).collect();
        let Ok(words) = <[u64; 4]>::try_from(words) else { return Err(damaged()) };
        let fits = |list: &[f32], n: usize| list.is_empty() || list.len() == n;
        let moments_fit = moments.len() == 2 * trained.len()
            && moments.chunks_exact(2).zip(&trained).all(|(m, &n)| fits(&m[0], n) && m[0].len() == m[1].len());
        let time = i32::try_from(state.step).map_err(|_| damaged())?;
        if parameters.len() != n || !fits(best, n) || !moments_fit || state.epochs.len() > self.options.epochs {
            return Err(damaged());
        }
        self.model.parameters_mut().restore(parameters);
        let moments = moments.chunks_exact(2).map(|m| (!m[0].is_empty()).then(|| [m[0].clone(), m[1].clone()]));
        self.optimiser.restore(self.model.parameters(), time, moments.collect());
        self.random = Random::from_state(words);
        self.step = state.step;
        (self.rate.plateau.rate, self.rate.plateau.best, self.rate.plateau.stale) = state.plateau;
        if let Some(stopping) = &mut self.stopping {
            (stopping.state.best, stopping.state.stale) = state.stopping;
            stopping.best = (!best.is_empty()).then(|| best.clone());
        }
        self.epochs = checkpoint::unpack(&state.epochs, self.options.epochs);
        Ok(())
    }
}
