//! What is seen of a training: curves redrawn on a terminal, lines elsewhere, and Ctrl-C, which ends it early.

use crate::curves::{Curve, draw};
use crate::failure::Result;
use baler_models::train::Epoch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Time between two drawings on a terminal.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(200);

const WIDTH: usize = 60;
const HEIGHT: usize = 8;
const TRAINING: &str = "\u{1b}[36m";
const VALIDATION: &str = "\u{1b}[33m";

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Show {
    /// Curves on a terminal, lines elsewhere
    Auto,
    /// A line every ten seconds
    Lines,
    /// A JSON object a line, for each epoch, on standard error
    Json,
    /// Nothing
    None,
}

/// Follows a training.
pub struct Display {
    show: Show,
    bar: ProgressBar,
    training: Vec<f64>,
    validation: Vec<f64>,
    best: Option<(usize, f64)>,
    last: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Display {
    /// From now on the first Ctrl-C ends the training, the second the program.
    pub fn new(show: Show, quiet: bool) -> Result<Self> {
        let is_terminal = std::io::stderr().is_terminal();
        let show = match show {
            Show::Auto if quiet => Show::None,
            Show::Auto if !is_terminal => Show::Lines,
            other => other,
        };
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if show == Show::Auto {
            let style = ProgressStyle::with_template("{msg}\ntraining {bar:30} {pos}/{len} {elapsed} + {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGINT, 130, interrupted.clone())?;
        signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted.clone())?;
        let last = Instant::now();
        Ok(Self { show, bar, training: Vec::new(), validation: Vec::new(), best: None, last, interrupted })
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The epoch with the smallest loss (of validation, where there is one), and that loss.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// An epoch is done.
    pub fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.training.push(epoch.training_loss);
        self.validation.push(epoch.validation_loss.unwrap_or(f64::NAN));
        let loss = epoch.validation_loss.unwrap_or(epoch.training_loss);
        if self.best.is_none_or(|(_, best)| loss < best) {
            self.best = Some((epoch.epoch, loss));
        }
        let is_last = epoch.epoch == epoch.epochs || self.is_interrupted();
        match self.show {
            Show::Auto if is_last || self.last.elapsed() >= BETWEEN_DRAWINGS => {
                self.last = Instant::now();
                self.bar.set_length(epoch.epochs as u64);
                self.bar.set_position(epoch.epoch as u64);
                self.bar.set_message(self.drawing(epoch));
            }
            Show::Lines if is_last || self.last.elapsed() >= BETWEEN_LINES => {
                self.last = Instant::now();
                eprintln!("training: epoch {} of {}, {}", epoch.epoch, epoch.epochs, self.figures(epoch));
            }
            Show::Json => eprintln!("{}", epoch_json(epoch)),
            _ => {}
        }
        if self.is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn drawing(&self, epoch: &Epoch) -> String {
        let mut curves = vec![Curve { values: &self.training, colour: TRAINING }];
        if epoch.validation_loss.is_some() {
            curves.push(Curve { values: &self.validation, colour: VALIDATION });
        }
        let mut text = draw(&curves, WIDTH, HEIGHT).join("\n");
        text += &format!("\n{TRAINING}training\u{1b}[0m");
        if epoch.validation_loss.is_some() {
            text += &format!(" {VALIDATION}validation\u{1b}[0m");
        }
        format!("{text}: {}  (Ctrl-C ends it early and keeps the model)", self.figures(epoch))
    }

    fn figures(&self, epoch: &Epoch) -> String {
        let validation = epoch.validation_loss.map(|loss| format!(", validation {loss:.3}")).unwrap_or_default();
        let best = self.best.map(|(at, _)| format!(", best at {at}")).unwrap_or_default();
        format!(
            "loss {:.3}{validation}{best}, rate {:.1e}, {} s left",
            epoch.training_loss,
            epoch.learning_rate,
            epoch.remaining.as_secs()
        )
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // The curves stay on the screen.
        self.bar.abandon();
    }
}

/// An epoch as in the log.
pub fn epoch_json(epoch: &Epoch) -> serde_json::Value {
    json!({
        "epoch": epoch.epoch,
        "training_loss": epoch.training_loss,
        "validation_loss": epoch.validation_loss,
        "learning_rate": epoch.learning_rate,
        "elapsed_s": epoch.elapsed.as_secs_f64(),
    })
}
