//! Temperature near the ground on the grid of a climate model: whole globes. Trained on the years to 1966, used for
//! later ones.

use super::{Data, Recipe};
use crate::train::Options;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-ccsm-temperature");
    options.description =
        "Temperature near the ground in kelvins on the 64 x 128 grid of NCAR's climate model, yearly \
                           means of the whole globe. Trained on 1890 to 1966."
            .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![64, 128];
    options.latents = 12;
    options.separable = Some([30, 60]);
    // The decoder is built in, but what it spends on details of these very years is lost on others.
    options.model_cost = 0.2;
    options.weight_coarseness = 0.3;
    options.epochs = 200;
    options.batch = 77;
    options.learning_rate = 1e-5;
    options.validation = 0.0;
    options.test = 0.0;
    Recipe { data: Data::File("climate_ccsm_trefht.npy"), part: 0.7, options }
}
