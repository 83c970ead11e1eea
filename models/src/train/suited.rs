//! Settings by the shape of the data.

use super::Options;

impl Options {
    /// Settings for data of this shape, the tile chosen too where `tile` is empty; trained in about a minute.
    ///
    /// Whole frames of 256 to 4096 values, at least 8 of them: as the recipe of `autoencoder-cfd-animation`, a model that
    /// serves the very data it is trained on, so all are trained on and the decoder's bits count. Everything else: small
    /// tiles as in the recipe of `autoencoder-field2d`, a tenth kept aside for the test and as much for validation.
    pub fn suited_to(name: impl Into<String>, shape: &[usize], tile: &[usize]) -> Self {
        let mut options = Self::new(name);
        let whole_frames = match (shape, tile) {
            ([lead @ .., a, b], []) => lead.iter().product::<usize>() >= 8 && (256..=4096).contains(&(a * b)),
            ([.., a, b], [_, _]) => tile == [*a, *b] && a * b >= 256,
            _ => false,
        };
        options.tile = match (shape, tile) {
            ([.., a, b], []) if whole_frames => vec![*a, *b],
            ([_, columns], []) if *columns < 8 => vec![*columns],
            ([.., a, b], []) => vec![(*a).min(8), (*b).min(8)],
            ([n], []) => vec![(*n).min(64)],
            _ => tile.to_vec(),
        };
        let d = options.tile.iter().product::<usize>().max(1);
        let n_values: usize = shape.iter().product();
        let tiles = n_values / d;
        // The recipes' own training, in values seen: 30 seconds and 4 seconds on two cores.
        let epochs = |values_seen: usize, least, most| (values_seen / n_values.max(1)).clamp(least, most);
        if whole_frames {
            let part = |extent: usize| (extent * 11).div_ceil(25);
            options.separable = Some([part(options.tile[0]), part(options.tile[1])]);
            options.latents = (tiles * 7 / 12).clamp(2, 64);
            options.epochs = epochs(450_000_000, 100, 3000);
            options.batch = tiles.clamp(1, 64);
            options.model_cost = 1.0;
            options.weight_coarseness = 0.6;
            options.learning_rate = 1e-5;
            (options.validation, options.test) = (0.0, 0.0);
        } else {
            options.latents = (d / 4).clamp(1, 64);
            options.epochs = epochs(200_000_000, 3, 300);
            options.batch = (tiles / 8).clamp(1, 256);
            options.learning_rate = 3e-4;
        }
        options
    }
    /// Changes settings that [`Options::suited_to`] chose for `dense` and `bits` to what suits another architecture or
    /// loss, for data of this shape. `tile` as there: empty where it is to be chosen.
    pub fn suit(&mut self, architecture: &str, loss: &str, shape: &[usize], tile: &[usize]) {
        let usual = Self::default();
        let is_other = architecture != usual.architecture;
        let (n_values, d) = (shape.iter().product::<usize>(), |o: &Self| o.tile.iter().product::<usize>().max(1));
        if is_other && tile.is_empty() {
            let extents = |axes: usize, most: usize| -> Vec<usize> {
                shape[shape.len().saturating_sub(axes)..].iter().map(|&n| n.min(most)).collect()
            };
            match architecture {
                "conv3d" => self.tile = extents(3, 16),
                name if name.contains("conv") && self.separable.is_none() => self.tile = extents(2, 32),
                _ => {}
            }
            self.latents = self.latents.max((d(self) / 16).clamp(1, 64));
        }
        if is_other || loss != usual.loss {
            // Rounded while training all the same, but not to what a bound makes sensible.
            (self.weight_bits, self.weight_coarseness) = (16, 0.0);
        }
        if loss != usual.loss {
            self.model_cost = 0.0;
        }
        if is_other {
            // These start from random weights, which have further to go than principal components.
            self.separable = None;
            self.learning_rate = 1e-3;
            let tiles = (n_values / d(self)).max(1);
            self.batch = (tiles / 16).clamp(8, 256);
            self.epochs = (2_000_000 / tiles).clamp(10, 1000);
        }
        (self.architecture, self.loss) = (architecture.into(), loss.into());
    }
}
