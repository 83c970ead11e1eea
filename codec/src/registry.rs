//! Where the codec finds models: a value that the host fills.

use crate::bundle::{Bundle, BundleId, BundleSource, Family};
use crate::error::{Error, ErrorKind, Result};
use crate::inference::{Encoder, FixedEngine};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The sources of bundles, in the order they are asked, what runs fixed-point encoders, and who is told of their faults.
#[derive(Clone, Default)]
pub struct Registry {
    sources: Vec<Arc<dyn BundleSource>>,
    fixed: Option<Arc<dyn FixedEngine>>,
    warnings: Option<Arc<Warnings>>,
}

/// A host's channel for what an encoder had to do without: each thing is told once.
pub struct Warnings {
    tell: Box<dyn Fn(&str) + Send + Sync>,
    told: Mutex<BTreeSet<String>>,
}

impl Warnings {
    /// `tell` is called by the thread that encodes; by several at once.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), told: Mutex::default() }
    }

    /// Tells of a thing, unless of this one it has been told.
    pub fn tell(&self, thing: &str, message: &str) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(thing.to_owned());
        if is_new {
            (self.tell)(message);
        }
    }
}

impl Registry {
    /// A registry without any bundle: classical candidates only.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry of these sources.
    pub fn with_sources(sources: impl IntoIterator<Item = Arc<dyn BundleSource>>) -> Self {
        Self { sources: sources.into_iter().collect(), ..Self::default() }
    }

    /// Adds a source, asked after those that are there.
    pub fn add_source(&mut self, source: Arc<dyn BundleSource>) -> &mut Self {
        self.sources.push(source);
        self
    }

    /// Sets what runs the encoders of bundles in fixed point. Without it they only read.
    pub fn set_fixed_engine(&mut self, engine: Arc<dyn FixedEngine>) -> &mut Self {
        self.fixed = Some(engine);
        self
    }

    /// Sets who is told when a model fails while something is encoded: the chunk is then written without it, within the
    /// same bound, even if the model was asked for by name. Without a channel nothing is done in silence: then that is an
    /// error.
    pub fn set_warnings(&mut self, warnings: Arc<Warnings>) -> &mut Self {
        self.warnings = Some(warnings);
        self
    }

    /// Tells of a model that failed; whether there is somebody to tell.
    pub(crate) fn warn(&self, bundle: &Bundle, error: &Error) -> bool {
        let Some(warnings) = &self.warnings else { return false };
        let (name, id) = (&bundle.manifest().name, bundle.id());
        let message =
            format!("model {name} ({id}) failed, and data are written without it, within the same bound: {error}");
        warnings.tell(&id.to_string(), &message);
        true
    }

    /// Checks that values can be written with a bundle: that its networks load, its encoder if its family has one.
    pub fn check_writes(&self, bundle: &Bundle) -> Result<()> {
        match bundle.manifest().family {
            Family::Autoregressive => bundle.integer_network().map(|_| ()),
            Family::Predictor => Ok(()),
            Family::Autoencoder => self.encoder(bundle).map(|_| ()),
        }
    }

    /// The encoder of a bundle, loaded the first time.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`] if this copy of the bundle is for readers; [`ErrorKind::RuntimeMissing`] if it needs an
    /// ONNX Runtime that is not here, or a [`FixedEngine`] where none is set.
    pub fn encoder(&self, bundle: &Bundle) -> Result<Arc<dyn Encoder>> {
        bundle.encoder(self.fixed.as_deref())
    }

    /// The bundle with this id.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`] names the id, every place looked at, and how to provide it.
    pub fn find(&self, id: &BundleId) -> Result<Arc<Bundle>> {
        let mut failures = Vec::new();
        for source in &self.sources {
            match source.find(id) {
                Ok(Some(bundle)) if bundle.id() == *id => return Ok(bundle),
                Ok(Some(bundle)) => failures.push(format!("{} (it gave {} instead)", source.describe(), bundle.id())),
                Ok(None) => failures.push(source.describe()),
                Err(e) => failures.push(format!("{} (failed: {e})", source.describe())),
            }
        }
        let looked = if failures.is_empty() { "nowhere: no source is set up".to_owned() } else { failures.join(", ") };
        Err(Error::new(
            ErrorKind::ModelMissing,
            format!(
                "model {id} is needed and was not found; looked in {looked}. Put its .bundle file into a folder named by \
                 BALER_MODEL_PATH, or install it with `baler models add FILE`"
            ),
        ))
    }

    /// The bundle of this name, or of this id, of which the first 6 digits or more are enough.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`] names those there are; [`ErrorKind::InvalidArgument`] if several answer.
    pub fn named(&self, text: &str) -> Result<Arc<Bundle>> {
        let all = self.list();
        let answers = |b: &Bundle| b.manifest().name == text || text.len() >= 6 && b.id().to_string().starts_with(text);
        let found: Vec<_> = all.iter().filter(|b| answers(b)).collect();
        let names =
            |bundles: &[Arc<Bundle>]| bundles.iter().map(|b| b.manifest().name.clone()).collect::<Vec<_>>().join(", ");
        match &found[..] {
            [one] => Ok(Arc::clone(one)),
            [] => Err(Error::new(
                ErrorKind::ModelMissing,
                format!(
                    "no model {text:?}, neither a name nor the beginning of an id. There are: {}. Put its .bundle file \
                     into a folder named by BALER_MODEL_PATH, or install it with `baler models add FILE`",
                    names(&all)
                ),
            )),
            more => Err(Error::invalid(format!(
                "{text:?} names {} models: use the id of one: {}",
                more.len(),
                more.iter().map(|b| b.id().to_string()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// Every bundle of every source, each id once.
    pub fn list(&self) -> Vec<Arc<Bundle>> {
        let mut bundles: Vec<Arc<Bundle>> = Vec::new();
        for bundle in self.sources.iter().flat_map(|s| s.list()) {
            if bundles.iter().all(|b| b.id() != bundle.id()) {
                bundles.push(bundle);
            }
        }
        bundles
    }
}
