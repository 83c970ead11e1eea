//! Training on small fields: it learns, the same seed gives the same bundle, and wrong options are named.
#![cfg(feature = "train")]

use baler_codec::bundle::{MemorySource, Normalisation};
use baler_codec::{Bound, Dtype, Limits, ModelChoice, Params, Registry, decode, encode};
use baler_models::simulate::{Random, power_law};
use baler_models::train::{Dataset, Epoch, Options, Report, run};
use std::f32::consts::PI;
use std::ops::ControlFlow;
use std::sync::Arc;

fn fields(n: usize) -> Dataset {
    let mut random = Random::new(11);
    let data = (0..n).flat_map(|_| power_law(32, 32, 3.5, 1.0, 1.0, &mut random)).collect();
    Dataset::new(data, vec![n, 32, 32])
}

fn options(name: &str) -> Options {
    let mut options = Options::new(name);
    options.tile = vec![8, 8];
    options.latents = 12;
    options.epochs = 6;
    options.batch = 64;
    options.learning_rate = 3e-4;
    options
}

#[test]
fn training_learns_and_repeats() {
    let data = fields(24);
    let mut seen = 0;
    let mut count = |_: &_| {
        seen += 1;
        ControlFlow::Continue(())
    };
    let first = run(&data, &options("first"), &mut count).unwrap();
    assert_eq!(seen, 6);
    assert_eq!(first.report.epochs.len(), 6);
    let at = first.report.at_bounds.iter().find(|at| at.rel_bound == 1e-2).unwrap();
    // Rounded to multiples of the bound and no more, these fields take about 4.5 bits.
    assert!(at.bits_per_value < 3.0, "{at:?}");
    let again = run(&data, &options("first"), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(first.bundle.id(), again.bundle.id());
    let mut other = options("first");
    other.seed = 2;
    let other = run(&data, &other, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_ne!(first.bundle.id(), other.bundle.id());
}

#[test]
fn separable_and_hidden_layers_train_and_export() {
    let data = fields(8);
    let mut separable = options("separable");
    separable.tile = vec![32, 32];
    separable.separable = Some([10, 12]);
    (separable.latents, separable.test, separable.validation) = (4, 0.0, 0.0);
    separable.weight_coarseness = 0.5;
    let trained = run(&data, &separable, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(trained.bundle.decoder().unwrap().output_len(), 1024);
    assert_eq!(trained.report.measured_on, "training");

    let mut hidden = options("hidden");
    (hidden.encoder_hidden, hidden.decoder_hidden) = (vec![32], vec![24, 32]);
    hidden.weight_bits = 16;
    let trained = run(&data, &hidden, &mut |_| ControlFlow::Continue(())).unwrap();
    let losses: Vec<f64> = trained.report.epochs.iter().map(|e| e.training_loss).collect();
    assert!(losses[5] < losses[0], "{losses:?}");
}

#[test]
fn breaking_off_keeps_what_was_reached() {
    let data = fields(8);
    let trained = run(&data, &options("short"), &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(trained.report.epochs.len(), 1);
}

#[test]
fn wrong_options_are_named() {
    let data = fields(2);
    let mut cases: Vec<(Options, &str)> = Vec::new();
    let mut with = |change: &dyn Fn(&mut Options), says| {
        let mut options = options("wrong");
        change(&mut options);
        cases.push((options, says));
    };
    with(&|o| o.tile = vec![64, 64], "does not fit");
    with(&|o| o.latents = 0, "latents");
    with(&|o| o.weight_bits = 4, "weight_bits");
    with(&|o| o.rel_bound = f64::NAN, "rel_bound");
    with(&|o| o.validation = 1.0, "validation");
    with(&|o| o.separable = Some([9, 4]), "separable");
    with(&|o| o.quantise_aware = Some([1, 8]), "quantise_aware");
    let gdn: fn(&mut Options) = |o| (o.architecture, o.quantise_aware) = ("conv2d-gdn".into(), Some([8, 8]));
    with(&gdn, "normalisations");
    with(&|o| o.name = "../x".into(), "name");
    for (options, says) in cases {
        let error = run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(error.message().contains(says), "{says}: {error}");
    }
    let error = run(&Dataset::new(vec![1.0; 64], vec![8, 8]), &options("flat"), &mut |_| ControlFlow::Continue(()))
        .unwrap_err();
    assert!(error.message().contains("constant"), "{error}");
}

/// Rows of (normal, constant, six orders of magnitude, azimuth), the first about `mean`.
fn rows(n: usize, mean: f32, spread: f32, random: &mut Random) -> Vec<f32> {
    (0..n)
        .flat_map(|_| {
            let phi = (2.0 * random.uniform() - 1.0) * PI;
            [mean + spread * random.normal(), 13.6, (3.0 * random.normal()).exp(), phi]
        })
        .collect()
}

#[test]
fn columns_of_a_table_are_normalised_as_in_training() {
    let mut random = Random::new(3);
    let mut data = rows(3000, 5.0, 2.0, &mut random);
    data[4..8].fill(f32::NAN);
    let mut options = Options::new("table");
    (options.latents, options.epochs, options.rel_bound, options.learning_rate) = (4, 2, 1e-3, 1e-6);
    let trained = run(&Dataset::new(data, vec![3000, 4]), &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let bundle = Arc::new(trained.bundle);
    let Normalisation::Columns { columns } = &bundle.manifest().input.normalisation else { panic!() };
    let kinds: Vec<&str> = columns.iter().map(|c| c.kind()).collect();
    assert_eq!((bundle.manifest().format, &kinds[..]), (2, &["linear", "constant", "log", "angle"][..]));

    // A slice of another mean and range comes back right: it is not normalised by its own.
    let mut slice = rows(40, 8.0, 0.1, &mut random);
    slice[17] = f32::NAN;
    let bytes: Vec<u8> = slice.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut params = Params::new(Dtype::F32, &[40, 4], Bound::Latent);
    params.model = ModelChoice::Bundle(bundle.id());
    let registry = Registry::with_sources([Arc::new(MemorySource::new(vec![bundle])) as _]);
    let chunk = encode(&params, &bytes, &registry).unwrap();
    let back = decode(&chunk, &registry, &Limits::default()).unwrap().values;
    let back: Vec<f32> = back.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    for (a, b) in slice.chunks(4).zip(back.chunks(4)) {
        if a.iter().all(|v| v.is_finite()) {
            assert!((a[0] - b[0]).abs() < 0.1 && a[1] == b[1], "{a:?} {b:?}");
            assert!((a[2] / b[2]).ln().abs() < 0.15 && (a[3] - b[3]).abs() < 0.1, "{a:?} {b:?}");
        } else {
            assert!(b[1].is_nan() && b[0].is_finite());
        }
    }
}

/// Rows whose last columns follow from the first.
fn products(n: usize) -> Dataset {
    let mut random = Random::new(3);
    let values = (0..n).flat_map(|_| {
        let (a, b, c) = (random.uniform(), random.uniform(), random.uniform());
        [a, b, c, a * b, b * c, (a + c) / 2.0, a * a, 0.5 + 0.3 * (b - c)]
    });
    Dataset::new(values.collect(), vec![n, 8])
}

#[test]
fn training_for_fixed_point_repeats_and_resumes() {
    let data = products(600);
    let folder = tempfile::tempdir().unwrap();
    for architecture in ["dense", "fpga-prototype"] {
        let mut options = Options::new("fixed");
        (options.architecture, options.loss) = (architecture.into(), "mse".into());
        if architecture == "dense" {
            (options.encoder_hidden, options.decoder_hidden) = (vec![12], vec![12]);
        }
        (options.tile, options.latents, options.epochs, options.batch) = (vec![8], 4, 9, 64);
        let floats = run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        options.quantise_aware = Some([4, 6]);
        let trained = run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let again = run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(trained.bundle.id(), again.bundle.id());
        // The first half is that of a training with floats.
        let losses = |report: &Report| report.epochs.iter().map(|e| e.training_loss).collect::<Vec<f64>>();
        let (plain, fixed) = (losses(&floats.report), losses(&trained.report));
        assert_eq!(plain[..4], fixed[..4]);
        assert!(plain[8] < fixed[8] && fixed[8] < fixed[0], "{plain:?} {fixed:?}");
        let bits = trained.bundle.manifest().training["quantise_aware"].as_array().unwrap();
        assert_eq!(bits.iter().map(|b| b.as_integer().unwrap()).collect::<Vec<_>>(), [4, 6]);

        // Broken off in the second half.
        options.checkpoint = Some(folder.path().join(architecture));
        let stop = &mut |e: &Epoch| if e.epoch == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        run(&data, &options, stop).unwrap();
        options.resume = true;
        let resumed = run(&data, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(trained.bundle.id(), resumed.bundle.id());
    }
}
