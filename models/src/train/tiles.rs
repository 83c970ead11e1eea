//! Arrays become tiles of network inputs, split three ways.

use super::{Dataset, Options, normalise};
use crate::simulate::Random;
use crate::tiling::cut;
use baler_codec::bundle::Normalisation;
use baler_codec::{Error, Result};
use std::collections::BTreeSet;

/// Whole trailing axes become one tile up to this many values.
const LARGEST_WHOLE_TILE: usize = 4096;

/// Arrays of rows with no more values than this are tables, whose columns are normalised one by one.
const MOST_COLUMNS: usize = 256;

/// Normalised tiles.
pub(super) struct Tiles {
    /// Extents of a tile.
    pub tile: Vec<usize>,
    /// As it goes into the manifest.
    pub normalisation: Normalisation,
    /// For tables why each column is normalised as it is; otherwise empty.
    pub reasons: Vec<String>,
    /// Range of the data in units of the network's inputs: 1 unless the normalisation is the caller's own. For tables the
    /// mean of the columns' ranges.
    pub range: f64,
    /// How many training tiles each round of removing outliers has left out.
    pub removed: Vec<usize>,
    /// Which of all tiles without gaps are trained on, rising.
    pub training_indices: Vec<usize>,
    /// Each set's tiles, one after the other.
    pub training: Vec<f32>,
    /// Watched while training.
    pub validation: Vec<f32>,
    /// Measured at the end.
    pub test: Vec<f32>,
}

impl Tiles {
    /// Tiles of `left_out`, numbered as in [`Tiles::training_indices`], are not trained on; columns are then normalised by
    /// the others alone.
    pub fn new(dataset: &Dataset, options: &Options, left_out: &BTreeSet<usize>) -> Result<Self> {
        let (data, shape) = (&dataset.values[..], &dataset.shape[..]);
        let tile = choose_tile(shape, &options.tile)?;
        let (min, max) = data
            .iter()
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(f64::from(v)), b.max(f64::from(v))));
        let range = max - min;
        if !(range > 0.0 && range.is_finite()) {
            return Err(Error::invalid("the data are constant, or hold no finite value: there is nothing to learn"));
        }
        let mut tiles = cut(data, shape, &tile);
        let d: usize = tile.iter().product();
        tiles.retain(|tile| tile.iter().all(|v| v.is_finite()));
        let order = Random::new(options.seed ^ 0x7469_6c65_7300).permutation(tiles.len());
        let n_validation = (tiles.len() as f64 * options.validation) as usize;
        let n_test = (tiles.len() as f64 * options.test) as usize;
        let (held, training) = order.split_at(n_validation + n_test);
        // In the array's order: a batch of neighbours is no matter, for every epoch shuffles.
        let mut training: Vec<usize> = training.iter().copied().filter(|i| !left_out.contains(i)).collect();
        training.sort_unstable();
        if training.len() < 2 {
            return Err(Error::invalid(format!(
                "{} tiles of {tile:?} without gaps in the shape {shape:?}: too few to train on; choose a smaller tile",
                tiles.len()
            )));
        }
        let is_table = matches!(shape, [_, columns] if tile == [*columns] && *columns <= MOST_COLUMNS);
        let whole = shape[shape.len() - tile.len()..] == tile[..];
        let mut reasons = Vec::new();
        let normalisation = match &options.normalisation {
            Some(normalisation) => normalisation.clone(),
            None if is_table => {
                let rows: Vec<f32> = training.iter().flat_map(|&i| tiles[i].iter().copied()).collect();
                let chosen =
                    normalise::choose(&rows, d, &normalise::requests(&options.normalise, &dataset.columns, d)?)?;
                reasons = chosen.iter().map(|c| c.reason.clone()).collect();
                Normalisation::Columns { columns: chosen.into_iter().map(|c| c.transform).collect() }
            }
            None if whole => Normalisation::Fixed { offset: min, scale: range },
            None => Normalisation::Range,
        };
        if !(options.normalise.is_empty() || matches!(normalisation, Normalisation::Columns { .. })) {
            return Err(Error::invalid(format!(
                "normalise {:?}: the columns of tables have a normalisation each, tiles of {tile:?} in {shape:?} have not",
                options.normalise
            )));
        }
        let range = normalise::to_inputs(&normalisation, (min, range), &mut tiles, &training);
        let take = |indices: &[usize]| indices.iter().flat_map(|&i| tiles[i].iter().copied()).collect::<Vec<f32>>();
        let sorted = |indices: &[usize]| {
            let mut indices = indices.to_vec();
            indices.sort_unstable();
            take(&indices)
        };
        Ok(Self {
            normalisation,
            reasons,
            range,
            removed: Vec::new(),
            validation: sorted(&held[..n_validation]),
            test: sorted(&held[n_validation..]),
            training: take(&training),
            training_indices: training,
            tile,
        })
    }

    /// Values of a tile.
    pub fn len(&self) -> usize {
        self.tile.iter().product()
    }
}

fn choose_tile(shape: &[usize], asked: &[usize]) -> Result<Vec<usize>> {
    if !asked.is_empty() {
        let fits = asked.len() <= shape.len()
            && shape[shape.len() - asked.len()..].iter().zip(asked).all(|(extent, t)| (1..=*extent).contains(t));
        if !fits {
            return Err(Error::invalid(format!(
                "a tile of {asked:?} does not fit into the trailing axes of {shape:?}"
            )));
        }
        return Ok(asked.to_vec());
    }
    Ok(match shape {
        [] => return Err(Error::invalid("a single value cannot be trained on")),
        [n] => vec![(*n).min(64)],
        [_, n] => vec![(*n).min(LARGEST_WHOLE_TILE)],
        [.., a, b] if a * b <= LARGEST_WHOLE_TILE => vec![*a, *b],
        [.., a, b] => vec![(*a).min(16), (*b).min(16)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_do_not_overlap_and_gaps_are_left_out() {
        let mut data: Vec<f32> = (0..100).map(|v| v as f32).collect();
        data[7] = f32::NAN;
        let options = Options { tile: vec![2], validation: 0.2, test: 0.3, ..Options::new("t") };
        let tiles = Tiles::new(&Dataset::new(data, vec![100]), &options, &BTreeSet::new()).unwrap();
        let mut all = [tiles.training.clone(), tiles.validation.clone(), tiles.test.clone()].concat();
        assert_eq!((tiles.validation.len(), tiles.test.len(), all.len()), (18, 28, 98));
        all.sort_by(f32::total_cmp);
        all.dedup();
        assert_eq!(all.len(), 98);
    }

    #[test]
    fn columns_of_tables_are_normalised_each() {
        // A row of gaps, a constant column, and one far wider than the others.
        let mut data: Vec<f32> = (0..400).flat_map(|i| [i as f32, 7.0, 1e6 * i as f32]).collect();
        data[3..6].fill(f32::NAN);
        let data = Dataset::new(data, vec![400, 3]);
        let tiles = Tiles::new(&data, &Options::new("t"), &BTreeSet::new()).unwrap();
        let left_out: BTreeSet<usize> = tiles.training_indices[..10].iter().copied().collect();
        let fewer = Tiles::new(&data, &Options::new("t"), &left_out).unwrap();
        assert_eq!(fewer.training_indices, tiles.training_indices[10..]);
        assert!(fewer.normalisation != tiles.normalisation && fewer.test.len() == tiles.test.len());
        assert!(matches!(&tiles.normalisation, Normalisation::Columns { columns } if columns[1].kind() == "constant"));
        assert_eq!(tiles.reasons.len(), 3);
        assert_eq!(tiles.training.len() + tiles.validation.len() + tiles.test.len(), 399 * 3);
        assert!(tiles.training.iter().all(|v| v.abs() < 2.0));
        assert!(tiles.training.chunks(3).all(|row| row[1] == 0.0 && (row[0] - row[2]).abs() < 1e-3));
        let asked = Options { normalise: vec!["2=minmax".into()], ..Options::new("t") };
        let tiles = Tiles::new(&data, &asked, &BTreeSet::new()).unwrap();
        assert!(tiles.training.chunks(3).all(|row| (0.0..=1.0).contains(&row[2])));
        let field = Dataset::new(data.values[..1024].to_vec(), vec![16, 64]);
        assert!(Tiles::new(&field, &Options { tile: vec![2, 2], ..asked }, &BTreeSet::new()).is_err());
    }
}
