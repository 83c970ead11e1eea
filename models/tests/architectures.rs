//! Every architecture and every loss: it trains, exports, decodes by the exact engine as it did while training, and a
//! training that was broken off goes on to the same bundle.
#![cfg(feature = "train")]

use baler_codec::inference::Network;
use baler_models::simulate::{Random, power_law};
use baler_models::train::{ARCHITECTURES, Dataset, Epoch, LOSSES, Optimizer, Options, Report, Schedule, Trained, run};
use std::ops::ControlFlow;
use std::path::Path;

/// Rows of a table whose last columns follow from the first.
fn table(n: usize) -> Dataset {
    let mut random = Random::new(3);
    let values = (0..n).flat_map(|_| {
        let (a, b, c) = (random.uniform(), random.uniform(), random.uniform());
        [a, b, c, a * b, b * c, (a + c) / 2.0, a * a, 0.5 + 0.3 * (b - c)]
    });
    Dataset::new(values.collect(), vec![n, 8])
}

fn fields(n: usize) -> Dataset {
    let mut random = Random::new(11);
    let values = (0..n).flat_map(|_| power_law(18, 20, 3.5, 1.0, 1.0, &mut random)).collect();
    Dataset::new(values, vec![n, 18, 20])
}

/// Settings that fit an architecture, and data for it. Odd extents on purpose.
fn case(architecture: &str) -> (Dataset, Options) {
    let mut options = Options::new(architecture);
    options.architecture = architecture.into();
    options.loss = "mse".into();
    options.weight_bits = 16;
    (options.latents, options.epochs, options.batch) = (4, 8, 64);
    let data = match architecture {
        "conv3d" => {
            options.tile = vec![4, 5, 7];
            (options.batch, options.epochs, options.learning_rate) = (8, 12, 3e-3);
            fields(48)
        }
        name if name.contains("conv") => {
            options.tile = vec![9, 10];
            (options.batch, options.learning_rate) = (8, 3e-3);
            fields(24)
        }
        _ => {
            options.tile = vec![8];
            // So that the range of what networks see is 1, as the report's figures count it.
            options.normalise = vec!["*=minmax".into()];
            options.learning_rate = 1e-2;
            table(600)
        }
    };
    (data, options)
}

fn train(data: &Dataset, options: &Options) -> Trained {
    run(data, options, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn last_loss(report: &Report) -> f64 {
    report.epochs.last().unwrap().validation_loss.unwrap()
}

#[test]
fn every_architecture_learns_and_is_written_as_it_was_trained() {
    for architecture in ARCHITECTURES {
        let (data, options) = case(architecture.name);
        let trained = train(&data, &options);
        let (report, manifest) = (&trained.report, trained.bundle.manifest());
        let losses: Vec<f64> = report.epochs.iter().map(|e| e.validation_loss.unwrap()).collect();
        // `dense` begins with principal components, where there is next to nothing left to learn.
        let least = if architecture.name == "dense" { 1.0 } else { 0.9 };
        assert!(last_loss(report) < least * losses[0], "{}: {losses:?}", architecture.name);
        // The engine on the files as written gives the mean square that training saw at its end: test tiles are other
        // tiles, so roughly; a wrong weight order or normalisation would be far off.
        let by_engine = 10f64.powf(-report.psnr / 10.0);
        let by_training = last_loss(report);
        assert!(
            by_engine < 2.5 * by_training && by_engine > 0.3 * by_training,
            "{}: mean square {by_engine} by the engine, {by_training} in training",
            architecture.name
        );
        assert_eq!(manifest.latents.step.len(), 4);
        assert!(manifest.latents.step.iter().all(|s| *s != 1.0 && *s > 0.0), "{:?}", manifest.latents.step);
        assert!(report.activations.iter().all(|layer| layer.mean_abs.iter().all(|v| v.is_finite())));
        assert_eq!(report.latents.len(), 4);
        let has_hidden_layers = architecture.name != "dense";
        assert_eq!(report.activations.is_empty(), !has_hidden_layers, "{}", architecture.name);
        // A batch of one decodes like any other.
        let decoder = Network::from_onnx(trained.bundle.decoder_onnx()).unwrap();
        let z: Vec<f32> = (0..40).map(|i| (i % 7) as f32 / 7.0 - 0.5).collect();
        let (mut all, mut one) = (vec![0.0; 10 * decoder.output_len()], vec![0.0; decoder.output_len()]);
        decoder.run(10, &z, &mut all).unwrap();
        decoder.run(1, &z[..4], &mut one).unwrap();
        assert_eq!(all[..one.len()], one[..]);
    }
}

#[test]
fn every_loss_trains_with_any_batch() {
    for loss in LOSSES {
        let (data, mut options) = case("fpga-prototype");
        options.loss = loss.name.into();
        options.epochs = 4;
        (options.sparsity_weight, options.weight_l1) = (1e-3, 1e-3);
        let trained = train(&data, &options);
        let losses: Vec<f64> = trained.report.epochs.iter().map(|e| e.training_loss).collect();
        assert!(losses[3] < losses[0], "{}: {losses:?}", loss.name);
        assert_eq!(trained.report.loss_unit, loss.unit);
        // A batch of one tile has no distribution of its own, and must not divide by what it lacks.
        let few = Dataset::new(data.values[..80].to_vec(), vec![10, 8]);
        options.batch = 1;
        assert!(train(&few, &options).report.epochs.iter().all(|e| e.training_loss.is_finite()), "{}", loss.name);
    }
}

#[test]
fn rounded_latents_cost_little() {
    let (data, options) = case("ae");
    let trained = train(&data, &options);
    let metric = |key: &str| trained.bundle.manifest().metrics[key].as_float().unwrap();
    // Steps are chosen on training tiles for an error 5 % larger; the figures are of test tiles.
    let quantised = 10f64.powf(-trained.report.psnr / 20.0);
    assert!(quantised < 1.08 * metric("own_rms_error"), "{quantised} {}", metric("own_rms_error"));
    assert!(quantised > metric("own_rms_error"));
    // Four latents for eight values, as floats 16 bits a value.
    assert!(metric("latent_bits_per_value") < 5.0, "{}", metric("latent_bits_per_value"));
}

#[test]
fn early_stopping_takes_the_best_weights() {
    let (data, mut options) = case("ae");
    // So long a step that it gets no better after a while.
    (options.epochs, options.learning_rate, options.schedule) = (60, 3e-2, Schedule::Constant);
    options.early_stop = Some(3);
    let trained = train(&data, &options);
    let losses: Vec<f64> = trained.report.epochs.iter().map(|e| e.validation_loss.unwrap()).collect();
    assert!(losses.len() < 60, "{losses:?}");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(losses[losses.len() - 4] == best, "{losses:?}");
    options.early_stop = None;
    options.epochs = losses.len() - 3;
    // The same training ended at the best epoch gives the same networks.
    let ended_there = train(&data, &options);
    assert_eq!(trained.bundle.decoder_onnx(), ended_there.bundle.decoder_onnx());
}

/// Trains, breaks off after `after` epochs, and goes on from the checkpoint.
fn with_a_break(data: &Dataset, options: &Options, after: usize, checkpoint: &Path) -> Trained {
    let mut options = options.clone();
    options.checkpoint = Some(checkpoint.into());
    options.checkpoint_epochs = 2;
    let mut stop = |epoch: &Epoch| match epoch.epoch == after {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    run(data, &options, &mut stop).unwrap();
    options.resume = true;
    let mut first = None;
    let trained = run(data, &options, &mut |epoch| {
        first.get_or_insert(epoch.epoch);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(first, Some(after + 1));
    trained
}

#[test]
fn a_broken_off_training_goes_on_to_the_same_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.checkpoint");
    // All that has a state: dropout, running statistics, noise, plateaus, the best weights, decay, clipping.
    let (table, mut dropout) = case("ae-dropout-bn");
    (dropout.optimizer, dropout.schedule, dropout.plateau_patience) = (Optimizer::Adamw, Schedule::Plateau, 1);
    (dropout.early_stop, dropout.clip_norm) = (Some(6), Some(0.5));
    let (fields, mut bits) = case("conv2d-gdn");
    bits.loss = "bits".into();
    let (same, mut swae) = case("dense");
    swae.loss = "swae".into();
    for (data, options, after) in [(&table, dropout, 3), (&fields, bits, 5), (&same, swae, 2)] {
        let whole = train(data, &options);
        assert_eq!(whole.bundle.id(), train(data, &options).bundle.id(), "{}: same seed", options.architecture);
        let resumed = with_a_break(data, &options, after, &path);
        assert_eq!(whole.bundle.id(), resumed.bundle.id(), "{}: resumed", options.architecture);
        let losses = |t: &Trained| t.report.epochs.iter().map(|e| e.training_loss).collect::<Vec<_>>();
        assert_eq!(losses(&whole), losses(&resumed));
    }
    // The checkpoint of the last one, asked to go on with other data or options.
    let (data, mut options) = case("dense");
    (options.loss, options.checkpoint, options.resume) = ("swae".into(), Some(path), true);
    let fail = |data: &Dataset, options: &Options| {
        run(data, options, &mut |_| ControlFlow::Continue(())).unwrap_err().message().to_string()
    };
    let mut other = data.clone();
    other.values[3] += 1.0;
    assert!(fail(&other, &options).contains("other data"));
    options.batch = 32;
    assert!(fail(&data, &options).contains("batch = 32"));
}

#[test]
fn what_does_not_fit_is_named() {
    let fail = |change: &dyn Fn(&mut Options)| {
        let (data, mut options) = case("conv2d");
        change(&mut options);
        run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap_err().message().to_string()
    };
    for (error, says) in [
        (fail(&|o| o.architecture = "resnet".into()), "fpga-prototype"),
        (fail(&|o| o.loss = "huber".into()), "mse-sum"),
        (fail(&|o| o.tile = vec![3, 9]), "at least 4"),
        (fail(&|o| o.tile = vec![9]), "2 axes"),
        (fail(&|o| o.encoder_hidden = vec![9]), "hidden layers"),
        (fail(&|o| o.dropout = vec![0.5]), "ae-dropout-bn"),
        (fail(&|o| o.resume = true), "checkpoint"),
        (fail(&|o| o.plateau_factor = 0.0), "plateau_factor"),
        (fail(&|o| o.device = baler_models::train::Device::Gpu), "train-gpu"),
    ] {
        assert!(error.contains(says), "{says}: {error}");
    }
}
