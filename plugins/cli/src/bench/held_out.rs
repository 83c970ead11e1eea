//! No model is measured on what it was trained on.

use super::data::Set;
use super::results::Seen;
use crate::failure::{Code, Failure, Result};
use crate::models::Models;
use baler_codec::bundle::{Bundle, BundleId, MemorySource};
use baler_codec::{ModelChoice, Registry};
use baler_models::fingerprint;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The models that may take part for one array, and what is known of each.
pub struct Admitted {
    pub registry: Registry,
    pub choice: ModelChoice,
    pub seen: BTreeMap<BundleId, Seen>,
    /// Models left out, and why.
    pub notes: Vec<String>,
}

/// Leaves out every model that has seen a row of `set`; one that was asked for by name is an error. With `allow_seen`
/// all are admitted and the results say so.
pub fn admit(models: &Models, choice: ModelChoice, set: &Set, allow_seen: bool) -> Result<Admitted> {
    let candidates = match choice {
        ModelChoice::None => Vec::new(),
        ModelChoice::Auto => models.registry().list(),
        ModelChoice::Bundle(id) => vec![models.registry().find(&id)?],
    };
    let mut admitted = Admitted { registry: Registry::new(), choice, seen: BTreeMap::new(), notes: Vec::new() };
    admitted.registry.set_fixed_engine(baler_fpga::offload::host());
    let mut kept: Vec<Arc<Bundle>> = Vec::new();
    // The hashes of the rows are made once, and only where a model has something to compare them with.
    let mut rows = None;
    for bundle in candidates {
        let trained_on = fingerprint::of_bundle(&bundle);
        let seen = if trained_on.is_empty() {
            Seen::Unknown
        } else {
            let rows = rows
                .get_or_insert_with(|| fingerprint::rows(set.dtype(), set.array.byte_order, &set.shape(), &set.values));
            if trained_on.iter().any(|row| rows.contains(row)) { Seen::Yes } else { Seen::No }
        };
        if seen == Seen::Yes && !allow_seen {
            let name = &bundle.manifest().name;
            let why = format!("model {name} was trained on rows of {}", set.name);
            if let ModelChoice::Bundle(_) = choice {
                return Err(Failure::new(
                    Code::Model,
                    format!(
                        "{why}: what it reaches there says nothing about other data. Measure it on a part it has not \
                         seen (--part last:0.5, --rows A..B), or --allow-seen to measure all the same and have the \
                         results marked"
                    ),
                ));
            }
            admitted.notes.push(format!("{why}: left out (--allow-seen admits it)"));
            continue;
        }
        admitted.seen.insert(bundle.id(), seen);
        kept.push(bundle);
    }
    admitted.registry.add_source(Arc::new(MemorySource::new(kept)));
    Ok(admitted)
}
