//! Serves the very data it is trained on, so everything is trained on, and the decoder's bits count in full.

use super::{Data, Recipe};
use crate::train::Options;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-cfd-animation");
    options.description = "Flow past an obstacle, whole frames of 50 x 50: the CFD animation of Baler's examples. \
                           Trained on the very data it serves."
        .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![50, 50];
    options.latents = 35;
    options.separable = Some([22, 22]);
    options.model_cost = 1.0;
    options.weight_coarseness = 0.6;
    options.epochs = 3000;
    options.batch = 60;
    options.learning_rate = 1e-5;
    options.validation = 0.0;
    options.test = 0.0;
    Recipe { data: Data::File("CFD_animation.npz"), part: 1.0, options }
}
