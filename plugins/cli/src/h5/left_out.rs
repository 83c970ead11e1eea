//! How `baler` tells the library [`super`] that it puts into h5repack which datasets are to be left out.

/// The environment variable: on its first line the number of the process that fills the datasets, on each further one a path.
pub const VARIABLE: &str = "BALER_H5REPACK_LEAVES_OUT";
