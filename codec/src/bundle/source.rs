//! Where bundles come from.

use super::{Bundle, BundleId};
use crate::error::Result;
use std::sync::Arc;

/// A place that may hold bundles: built in, a folder, a dataset of the host's file.
pub trait BundleSource: Send + Sync {
    /// Where this looks, for the error message when a bundle is missing: "the folder /x/y".
    fn describe(&self) -> String;

    /// The bundle with this id, if it is here.
    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>>;

    /// Every bundle that is here; what cannot be read is left out.
    fn list(&self) -> Vec<Arc<Bundle>>;
}

/// Bundles held in memory.
#[derive(Default)]
pub struct MemorySource {
    bundles: Vec<Arc<Bundle>>,
}

impl MemorySource {
    /// A source of these bundles.
    pub fn new(bundles: Vec<Arc<Bundle>>) -> Self {
        Self { bundles }
    }
}

impl BundleSource for MemorySource {
    fn describe(&self) -> String {
        match self.bundles.len() {
            1 => "1 bundle given by the program".to_owned(),
            n => format!("{n} bundles given by the program"),
        }
    }

    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>> {
        Ok(self.bundles.iter().find(|bundle| bundle.id() == *id).cloned())
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        self.bundles.clone()
    }
}
