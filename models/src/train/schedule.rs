//! The learning rate over time, and when to stop.

use super::{Options, Schedule};

/// The learning rate.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    schedule: Schedule,
    start: f64,
    /// Steps of the whole training.
    pub steps: usize,
    factor: f64,
    patience: usize,
    minimum: f64,
    min_delta: f64,
    /// State of `plateau`.
    pub plateau: Plateau,
}

/// The best loss yet, and for how many epochs there was none better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plateau {
    /// The rate now (only [`Rate`] uses it).
    pub rate: f64,
    pub best: f64,
    pub stale: usize,
}

impl Plateau {
    /// Takes note of an epoch's loss; whether it was the best.
    fn improved(&mut self, loss: f64, min_delta: f64) -> bool {
        let better = loss < self.best - min_delta;
        if better {
            self.best = loss;
        }
        self.stale = if better { 0 } else { self.stale + 1 };
        better
    }
}

impl Rate {
    /// For `steps` steps in all.
    pub fn new(options: &Options, steps: usize) -> Self {
        Self {
            schedule: options.schedule,
            start: options.learning_rate,
            steps,
            factor: options.plateau_factor,
            patience: options.plateau_patience,
            minimum: options.plateau_minimum,
            min_delta: options.min_delta,
            plateau: Plateau { rate: options.learning_rate, best: f64::INFINITY, stale: 0 },
        }
    }

    /// For one step.
    pub fn at(&self, step: usize) -> f64 {
        match self.schedule {
            Schedule::Constant => self.start,
            Schedule::Cosine => self.start * cosine(step, self.steps),
            Schedule::Plateau => self.plateau.rate,
        }
    }

    /// After an epoch with this loss.
    pub fn after(&mut self, loss: f64) {
        let state = &mut self.plateau;
        if !state.improved(loss, self.min_delta) && state.stale > self.patience {
            state.stale = 0;
            state.rate = (state.rate * self.factor).max(self.minimum.min(state.rate));
        }
    }
}

/// Rises over the first fiftieth, then falls along a cosine.
fn cosine(step: usize, steps: usize) -> f64 {
    let warm_up = (steps / 50).max(1);
    let rise = ((step + 1) as f64 / warm_up as f64).min(1.0);
    rise * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos()).max(2e-3)
}

/// Early stopping.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    patience: usize,
    min_delta: f64,
    pub state: Plateau,
    /// The parameters of the best epoch.
    pub best: Option<Vec<f32>>,
}

impl Stopping {
    /// If the options ask for it.
    pub fn new(options: &Options) -> Option<Self> {
        let state = Plateau { rate: 0.0, best: f64::INFINITY, stale: 0 };
        options.early_stop.map(|patience| Self { patience, min_delta: options.min_delta, state, best: None })
    }

    /// After an epoch with this loss; whether to stop.
    pub fn after(&mut self, loss: f64, parameters: impl FnOnce() -> Vec<f32>) -> bool {
        if self.state.improved(loss, self.min_delta) {
            self.best = Some(parameters());
        }
        self.state.stale >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_when_the_loss_stalls() {
        let options = Options {
            schedule: Schedule::Plateau,
            learning_rate: 1e-2,
            plateau_patience: 2,
            plateau_minimum: 4e-3,
            ..Options::default()
        };
        let mut rate = Rate::new(&options, 100);
        let rates: Vec<f64> = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
            .into_iter()
            .map(|loss| {
                rate.after(loss);
                rate.at(0)
            })
            .collect();
        assert_eq!(rates, [1e-2, 1e-2, 1e-2, 1e-2, 5e-3, 5e-3, 5e-3, 5e-3, 4e-3]);
    }

    #[test]
    fn stopping_keeps_the_best() {
        let mut stopping =
            Stopping::new(&Options { early_stop: Some(2), min_delta: 0.1, ..Options::default() }).unwrap();
        let stops: Vec<bool> =
            [3.0, 2.0, 1.95, 1.99].into_iter().map(|loss| stopping.after(loss, || vec![loss as f32])).collect();
        assert_eq!(stops, [false, false, false, true]);
        assert_eq!(stopping.best, Some(vec![2.0]));
    }
}
